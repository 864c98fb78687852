"""A message's states, the steps between them, and the events that are stored.

The first part of the message aggregate: `wxrc_core.message` has the rest and offers all of these names too.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

from attrs import frozen

from wxrc_core.content import Card, Image
from wxrc_core.table import Table, Transitions

# -- states and transitions -----------------------------------------------------------------------------------------------------


class MessageState(StrEnum):
    """Where a message stands. `NEW` is before its first event."""

    NEW = "new"
    QUEUED = "queued"
    ATTEMPTED = "attempted"
    SENT = "sent"
    ROOM_NOT_FOUND = "room_not_found"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"


FINAL = frozenset(
    {
        MessageState.SENT,
        MessageState.ROOM_NOT_FOUND,
        MessageState.REJECTED,
        MessageState.FAILED,
        MessageState.EXPIRED,
        MessageState.CANCELLED,
    }
)

ENDED = FINAL | {MessageState.IN_DOUBT}
"""The states that a channel is told of."""

TRANSITIONS: Transitions = (
    {"trigger": "queued", "source": "new", "dest": "queued"},
    {"trigger": "attempted", "source": "queued", "dest": "attempted"},
    {"trigger": "room_not_found", "source": "queued", "dest": "room_not_found"},
    {"trigger": "expired", "source": "queued", "dest": "expired"},
    {"trigger": "cancelled", "source": "queued", "dest": "cancelled"},
    {"trigger": "failed", "source": "queued", "dest": "failed"},
    {"trigger": "image_stored", "source": "queued", "dest": "="},  # from now on it can be sent
    # to be sent again by policy, and not to be sent after all
    {"trigger": "in_doubt", "source": "queued", "dest": "in_doubt"},
    {"trigger": "sent", "source": "queued", "dest": "sent"},  # it waited to be sent again, and had arrived after all
    {"trigger": "sent", "source": "attempted", "dest": "sent"},
    {"trigger": "room_not_found", "source": "attempted", "dest": "room_not_found"},
    {"trigger": "rejected", "source": "attempted", "dest": "rejected"},
    {"trigger": "failed", "source": "attempted", "dest": "failed"},
    {"trigger": "requeued", "source": "attempted", "dest": "queued"},
    {"trigger": "in_doubt", "source": "attempted", "dest": "in_doubt"},
    {"trigger": "sent", "source": "in_doubt", "dest": "sent"},
    {"trigger": "failed", "source": "in_doubt", "dest": "failed"},
    {"trigger": "requeued", "source": "in_doubt", "dest": "queued"},
)


# -- events: what is stored -----------------------------------------------------------------------------------------------------

OPERATOR = "-"
"""The channel of what an operator or an embedding application asks for; it has no callback."""

FailReason: TypeAlias = Literal["failed", "unsupported", "window_closed", "no_file"]


@frozen(kw_only=True)
class MessageQueued:
    """The request was accepted.

    Attributes:
        at: When (epoch ms).
        chid: The channel that asked; `-` = the operator or the embedding application.
        botcode: The bot that is to send it.
        txcode: The channel's serial number.
        interface: The interface that was called.
        digest: Fingerprint of interface, botcode and body, to tell a repeated request from another one.
        room_id: The room by its id; or empty, and
        room_topic: the room by its name. For a message to a person both are empty, and
        user_id: is the person's id; or empty, and
        user_name: is how the account's owner calls them (remark), or else their nickname.
        text: The text; empty for a card or an image.
        card: The mini-program card, or None.
        image: The image, or None.
        mention_names: Display names to mention.
        mention_id: A WeChat id to mention.
        expires_at: When it is no longer worth sending (epoch ms), or None.
        on_doubt: What the grant says of a message in doubt: `leave` it there or `resend` it.
        answer_by: Until when the request waits for the message's end (epoch ms); 0 = it does not wait.
    """

    at: int
    chid: str
    botcode: str
    txcode: str
    interface: str
    digest: str
    room_id: str = ""
    room_topic: str = ""
    user_id: str = ""
    user_name: str = ""
    text: str = ""
    card: Card | None = None
    image: Image | None = None
    mention_names: tuple[str, ...] = ()
    mention_id: str = ""
    expires_at: int | None = None
    on_doubt: Literal["leave", "resend"] = "leave"
    answer_by: int = 0


@frozen(kw_only=True)
class MessageImageStored:
    """The message's image has been fetched, checked and stored; the fields are those of `wxrc_core.content.Image`."""

    at: int
    digest: str
    media_type: str
    size: int


@frozen(kw_only=True)
class MessageAttempted:
    """An owner claims the message for one hand-over, to this room or person. Durable before the puppet is called (invariant 5).

    Attributes:
        at: When.
        attempt: The number of this claim, from 1.
        room_id: The room; empty = it goes to a person.
        user_id: The person; empty = it goes to a room.
        epoch: The owner's epoch: only the owner that made the claim carries it out (invariant 8).
        gap_ms: How long the bot's hand-over before it was ago, at least, on a clock that is never set (ms); -1 = not known.
    """

    at: int
    attempt: int
    room_id: str
    user_id: str = ""
    epoch: int = 0
    gap_ms: int = -1


@frozen(kw_only=True)
class MessageSent:
    """WeChat accepted it and gave a receipt; or, where there was none, an operator says that it arrived: `by` is who.

    `answered` here and in the other ends: an earlier release told the channel in its answer, so no callback is due. Never written any more.
    """

    at: int
    attempt: int
    receipt: str
    mention: Literal["ok", "not_in_room", "unknown"] = "ok"
    answered: bool = False
    by: str = ""


@frozen(kw_only=True)
class MessageRoomNotFound:
    """The bot is in no such room, or knows no such person; it will not be sent. Said only with a complete list (invariant 9)."""

    at: int
    answered: bool = False


@frozen(kw_only=True)
class MessageRejected:
    """WeChat refused this content; it will not be sent."""

    at: int
    attempt: int
    detail: str
    answered: bool = False


@frozen(kw_only=True)
class MessageFailed:
    """It was not sent and will not be. `reason` is the wire's sendReason, or `no_file`: the image is not there (wire.md, sendStatus
    3). `detail` is a sentence for people.

    `by`: the operator who says so, of a message that was in doubt.
    """

    at: int
    reason: FailReason
    detail: str
    answered: bool = False
    by: str = ""


@frozen(kw_only=True)
class MessageExpired:
    """Its time was over before it could be sent."""

    at: int
    answered: bool = False


@frozen(kw_only=True)
class MessageCancelled:
    """The channel or an operator took it back while it was queued."""

    at: int
    answered: bool = False


@frozen(kw_only=True)
class MessageInDoubt:
    """It was handed over, and whether it arrived is unknown. `resend`: policy sends it again at once, so the channel is not told yet."""

    at: int
    attempt: int
    detail: str
    resend: bool = False
    answered: bool = False


@frozen(kw_only=True)
class MessageRequeued:
    """It may be handed over again, not before `not_before` (epoch ms): a definite failure, an explicit resend, or policy (invariant 6).

    `held`: nothing was tried, since the client was not connected or the claim was put back: it counts as no attempt.
    `by`: the operator who has it resent.
    """

    at: int
    detail: str
    not_before: int
    held: bool = False
    by: str = ""


MessageEvent: TypeAlias = (
    MessageQueued
    | MessageImageStored
    | MessageAttempted
    | MessageSent
    | MessageRoomNotFound
    | MessageRejected
    | MessageFailed
    | MessageExpired
    | MessageCancelled
    | MessageInDoubt
    | MessageRequeued
)
TABLE = Table("message", MessageState, TRANSITIONS, MessageEvent)
