"""A message's state, how events change it, and what the wire calls it.

The third part of the message aggregate, between `wxrc_core.message_commands` and `wxrc_core.message`, which offers all of these names too.
"""

from typing import Literal, assert_never

from attrs import evolve as evolve_attrs
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.content import ContentKind, Image, file_name
from wxrc_core.effects import FetchImage
from wxrc_core.message_events import (
    TABLE,
    MessageAttempted,
    MessageCancelled,
    MessageEvent,
    MessageExpired,
    MessageFailed,
    MessageImageStored,
    MessageInDoubt,
    MessageQueued,
    MessageRejected,
    MessageRequeued,
    MessageRoomNotFound,
    MessageSent,
    MessageState,
)
from wxrc_core.puppet import ImageFile, Outgoing

# -- state, and how events change it --------------------------------------------------------------------------------------------


class Message(Struct, frozen=True):
    """The fold of a message's events.

    Attributes:
        state: Where it stands.
        queued: What was asked for.
        attempt: The number of the latest claim; 0 = none yet.
        tries: How many attempts are used up.
        epoch: The epoch of the latest claim.
        room_id: The room of the latest claim; or
        user_id: the person of the latest claim.
        image: For an image: what is known of it by now.
        wait_ms: How long it waits since it was returned to the queue (ms).
        doubted: An attempt ended in doubt: it may have arrived, whatever becomes of later ones.
        mention: For a message that was sent: what became of the mention.
        failure: For a message that failed: the wire's sendReason.
        detail: Why it stands where it does, in a sentence; empty where there is nothing to say.
        vouched: For a message that was sent: there is no receipt, but an operator's word.
    """

    state: MessageState
    queued: MessageQueued
    attempt: int = 0
    tries: int = 0
    epoch: int = 0
    room_id: str = ""
    user_id: str = ""
    image: Image | None = None
    wait_ms: int = 0
    doubted: bool = False
    mention: Literal["ok", "not_in_room", "unknown"] = "ok"
    failure: Literal["", "failed", "unsupported", "window_closed", "no_file"] = ""
    detail: str = ""
    vouched: bool = False


def evolve(message: Message | None, event: MessageEvent) -> Message:
    """Return the message after an event. Total: a recorded fact is never refused, and a step that the table does not have changes
    nothing.
    """
    if message is None:
        assert isinstance(event, MessageQueued), "a message's first event is `queued`"
        return Message(MessageState.QUEUED, event, image=event.image)
    state = TABLE.next[event.__class__].get(message.state)
    if state is None:
        return message
    match event:
        case MessageAttempted():
            return replace(
                message, state=state, attempt=event.attempt, tries=message.tries + 1, epoch=event.epoch,
                room_id=event.room_id, user_id=event.user_id, wait_ms=0, detail="",
            )  # fmt: skip
        case MessageSent():
            return replace(message, state=state, mention=event.mention, detail="", vouched=bool(event.by))
        case MessageImageStored():
            image = evolve_attrs(
                message.image or Image(source=""), digest=event.digest, media_type=event.media_type, size=event.size
            )
            return replace(message, image=image)
        case MessageRequeued():
            tries = message.tries - 1 if event.held else message.tries
            wait_ms = max(0, event.not_before - event.at)
            return replace(message, state=state, tries=tries, wait_ms=wait_ms, detail=event.detail)
        case MessageInDoubt():
            return replace(message, state=state, doubted=True, detail=event.detail)
        case MessageFailed():
            return replace(message, state=state, failure=event.reason, detail=event.detail)
        case MessageRejected():
            return replace(message, state=state, detail=event.detail)
        case MessageRoomNotFound():
            what = "person" if is_to_person(message.queued) else "room"
            return replace(message, state=state, detail=f"there is no such {what}")
        case MessageExpired():
            return replace(message, state=state, detail="its time was over before it could be sent")
        case MessageCancelled():
            return replace(message, state=state, detail="it was cancelled before it was sent")
        case MessageQueued():
            return replace(message, state=state)
        case _:
            assert_never(event)


# -- what follows from the state ------------------------------------------------------------------------------------------------


def is_to_person(queued: MessageQueued) -> bool:
    """Return whether a message goes to a person, and not to a room."""
    return bool(queued.user_id or queued.user_name)


def content(queued: MessageQueued) -> ContentKind:
    """Return the kind of content that a message carries."""
    if queued.card is not None:
        return "app"
    return "image" if queued.image is not None else "text"


def awaits_image(message: Message) -> bool:
    """Return whether the message's image still has to be fetched: until then it cannot be sent."""
    return message.image is not None and not message.image.digest


def fetch_of(stream: str, message: Message, msgid: int) -> FetchImage:
    """Return what is to be fetched for a message that awaits its image."""
    assert message.image is not None
    return FetchImage(stream, msgid, message.queued.chid, message.image.source)


def outgoing(message: Message, msgid: int, image: bytes | None = None) -> Outgoing:
    """Return what the puppet is handed for the open claim of this message; `image` has the bytes of its image, where it has one."""
    queued = message.queued
    file = None
    if image is not None:
        assert message.image is not None, "bytes go with an image"
        file = ImageFile(file_name(message.image), message.image.media_type, image)
    return Outgoing(
        msgid=msgid,
        attempt=message.attempt,
        room_id=message.room_id,
        user_id=message.user_id,
        text=queued.text,
        card=queued.card,
        image=file,
        mention_names=queued.mention_names,
        mention_id=queued.mention_id,
    )


# -- what the wire calls it -----------------------------------------------------------------------------------------------------

_STATUS: dict[MessageState, tuple[str, str]] = {
    MessageState.QUEUED: ("0", ""),
    MessageState.ATTEMPTED: ("0", ""),
    MessageState.ROOM_NOT_FOUND: ("2", ""),
    MessageState.REJECTED: ("-1", "rejected"),
    MessageState.EXPIRED: ("-1", "expired"),
    MessageState.CANCELLED: ("-1", "cancelled"),
    MessageState.IN_DOUBT: ("-1", "unconfirmed"),
}
_MENTION = {"ok": "1", "not_in_room": "3", "unknown": "4"}


def send_status(message: Message) -> tuple[str, str]:
    """Return sendStatus and sendReason (wire.md, roomSendText); the reason is empty where there is none.

    A 3 without a reason was sent (the mentioned one is not in the room); a 3 with one was not (card refused, image not there).
    """
    state = message.state
    if state is MessageState.SENT:
        return _MENTION[message.mention], ""
    if state is MessageState.REJECTED and content(message.queued) == "app":
        return "3", "rejected"
    if state is MessageState.FAILED:
        return ("3", "failed") if message.failure == "no_file" else ("-1", message.failure)
    return _STATUS[state]


def evidence(message: Message) -> str:
    """Return what shows that the message arrived (wire.md, msgStatus): `receipt`, `operator` (somebody looked), or nothing."""
    if message.state is not MessageState.SENT:
        return ""
    return "operator" if message.vouched else "receipt"
