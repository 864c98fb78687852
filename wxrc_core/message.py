"""A message to WeChat, from the accepted request to its end.

Everything that decides about a message stands in this file. In the order of a message's life: it is *queued* (durably, before the
channel gets its answer); when its bot can send, an *attempt* is recorded before the puppet is called; the puppet's outcome ends it, or
sends it back to the queue where it is certain that nothing left the house. Where nobody can say whether it arrived it is *in doubt*, and
nothing but a late fact, an operator or an explicit policy takes it out of there: a message is never called sent without a receipt, and
never sent again because we forgot.

The stream of a message is named after the request (`stream_name`), so that the same txcode meets itself there, on every store. Its number
(msgid) is the position of its first event.
"""

import hashlib
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec
from attrs import frozen

from wxrc_core.effects import Dispatch, Effect, Notify, Send
from wxrc_core.errors import Refusal, TxcodeReused
from wxrc_core.puppet import Accepted, NotSent, Outgoing, Rejected, SendOutcome, Unconfirmed
from wxrc_core.table import Table, machine

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

TRANSITIONS = (
    {"trigger": "queued", "source": "new", "dest": "queued"},
    {"trigger": "attempted", "source": "queued", "dest": "attempted"},
    {"trigger": "room_not_found", "source": "queued", "dest": "room_not_found"},
    {"trigger": "expired", "source": "queued", "dest": "expired"},
    {"trigger": "cancelled", "source": "queued", "dest": "cancelled"},
    {"trigger": "failed", "source": "queued", "dest": "failed"},
    # to be sent again by policy, and not to be sent after all
    {"trigger": "in_doubt", "source": "queued", "dest": "in_doubt"},
    {"trigger": "sent", "source": "queued", "dest": "sent"},  # it waited to be sent again, and had arrived after all
    {"trigger": "sent", "source": "attempted", "dest": "sent"},
    {"trigger": "rejected", "source": "attempted", "dest": "rejected"},
    {"trigger": "failed", "source": "attempted", "dest": "failed"},
    {"trigger": "requeued", "source": "attempted", "dest": "queued"},
    {"trigger": "in_doubt", "source": "attempted", "dest": "in_doubt"},
    {"trigger": "sent", "source": "in_doubt", "dest": "sent"},
    {"trigger": "failed", "source": "in_doubt", "dest": "failed"},
    {"trigger": "requeued", "source": "in_doubt", "dest": "queued"},
)

MAX_ATTEMPTS = 3
"""How often a message is handed over at most, when each time it is certain that nothing left the house."""

RETRY_MS = (0, 1_000, 5_000)
"""How long a message waits after its 1st, 2nd, ... definite failure (ms)."""


# -- events: what is stored -----------------------------------------------------------------------------------------------------


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
        room_topic: the room by its name.
        text: The text.
        mention_names: Display names to mention.
        mention_id: A WeChat id to mention.
        expires_at: When it is no longer worth sending (epoch ms), or None.
        on_doubt: What the grant says of a message in doubt: `leave` it there or `resend` it.
    """

    at: int
    chid: str
    botcode: str
    txcode: str
    interface: str
    digest: str
    room_id: str = ""
    room_topic: str = ""
    text: str
    mention_names: tuple[str, ...] = ()
    mention_id: str = ""
    expires_at: int | None = None
    on_doubt: Literal["leave", "resend"] = "leave"


@frozen(kw_only=True)
class MessageAttempted:
    """The message is about to be handed to the puppet, to the room with this id. Durable before the puppet is called (invariant 5)."""

    at: int
    attempt: int
    room_id: str


@frozen(kw_only=True)
class MessageSent:
    """WeChat accepted it and gave a receipt. `answered`: the channel got this as the answer to its request, so no callback is due."""

    at: int
    attempt: int
    receipt: str
    mention: Literal["ok", "not_in_room", "unknown"] = "ok"
    answered: bool = False


@frozen(kw_only=True)
class MessageRoomNotFound:
    """The bot is in no such room; it will not be sent. Said only with a complete room list (invariant 9)."""

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
    """It was not sent and will not be. `reason` is the wire's sendReason, `detail` a sentence for people."""

    at: int
    reason: Literal["failed", "unsupported", "window_closed"]
    detail: str
    answered: bool = False


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
    """It was handed over and nobody can say whether it arrived. `resend`: policy sends it again at once, so the channel is not told yet."""

    at: int
    attempt: int
    detail: str
    resend: bool = False
    answered: bool = False


@frozen(kw_only=True)
class MessageRequeued:
    """It may be handed over again, not before `not_before` (epoch ms): a definite failure, an explicit resend, or policy (invariant 6)."""

    at: int
    detail: str
    not_before: int


TRIGGERS: dict[type, str] = {
    MessageQueued: "queued",
    MessageAttempted: "attempted",
    MessageSent: "sent",
    MessageRoomNotFound: "room_not_found",
    MessageRejected: "rejected",
    MessageFailed: "failed",
    MessageExpired: "expired",
    MessageCancelled: "cancelled",
    MessageInDoubt: "in_doubt",
    MessageRequeued: "requeued",
}
MACHINE = machine(list(MessageState), TRANSITIONS, MessageState.NEW)
TABLE = Table("message", MACHINE, TRIGGERS)

MessageEvent: TypeAlias = (
    MessageQueued
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


# -- state ----------------------------------------------------------------------------------------------------------------------


@frozen
class Message:
    """The fold of a message's events.

    Attributes:
        state: Where it stands.
        queued: What was asked for.
        attempt: The number of the latest attempt; 0 = none yet.
        last: The latest event.
        doubted: An attempt ended in doubt. It may have arrived, whatever becomes of later ones.
    """

    state: MessageState
    queued: MessageQueued
    attempt: int
    last: MessageEvent
    doubted: bool = False


def stream_name(chid: str, day: str, txcode: str) -> str:
    """Return the stream of what (channel, day of txtime as `yyyymmdd`, txcode) names: a message or an operation."""
    return f"message/{chid}/{day}/{txcode}"


def digest(interface: str, botcode: str, body: object) -> str:
    """Return the fingerprint of a request: equal for equal interface, botcode and body, however the JSON was spelled."""
    return hashlib.sha256(msgspec.json.encode([interface, botcode, body], order="deterministic")).hexdigest()


# -- commands and decide --------------------------------------------------------------------------------------------------------


@frozen
class Queue:
    """Accept a request: `queued` is the event to record if the stream is new."""

    queued: MessageQueued


@frozen(kw_only=True)
class Attempt:
    """Claim the message for one hand-over to this room, as its attempt of this number."""

    at: int
    attempt: int
    room_id: str


@frozen(kw_only=True)
class Settle:
    """Record how a hand-over ended.

    Attributes:
        at: Now (epoch ms).
        attempt: The attempt that ended.
        outcome: What the puppet answered.
        resend: Policy allows to resend what is in doubt (the puppet deduplicates).
        answered: The channel is waiting for its answer and will get this as the answer.
    """

    at: int
    attempt: int
    outcome: SendOutcome
    resend: bool = False
    answered: bool = False


@frozen(kw_only=True)
class Lose:
    """The one who made this attempt is gone; nobody will report its outcome any more. `resend` as in `Settle`."""

    at: int
    attempt: int
    resend: bool = False


@frozen(kw_only=True)
class NoRoom:
    """The complete room list has no such room."""

    at: int
    answered: bool = False


@frozen(kw_only=True)
class Fail:
    """It cannot be sent, before any attempt: `reason` and `detail` as in `MessageFailed`."""

    at: int
    reason: Literal["failed", "unsupported", "window_closed"]
    detail: str
    answered: bool = False


@frozen(kw_only=True)
class Expire:
    """Its time may be over; nothing happens if it is not, or if it is no longer queued."""

    at: int
    answered: bool = False


@frozen(kw_only=True)
class Cancel:
    """Take it back."""

    at: int


@frozen(kw_only=True)
class Confirm:
    """A late fact: it has turned up in WeChat, under this receipt."""

    at: int
    receipt: str


@frozen(kw_only=True)
class Resend:
    """An operator decides to send a message in doubt once more."""

    at: int


def _queue(message: Message | None, command: Queue) -> tuple[MessageEvent, ...]:
    if message is None:
        return (command.queued,)
    # The stream may belong to an operation: a txcode names one thing only, whichever interface it was used with.
    if not isinstance(message, Message) or message.queued.digest != command.queued.digest:
        raise TxcodeReused("txcode was used today for a different request; take a new txcode for each new request")
    return ()


def _attempt(message: Message, command: Attempt) -> tuple[MessageEvent, ...]:
    if command.attempt != message.attempt + 1:
        return ()  # made before; a store that lost its answer must not turn one claim into two
    TABLE.check(message.state, MessageAttempted)
    return (MessageAttempted(at=command.at, attempt=message.attempt + 1, room_id=command.room_id),)


def _settle(message: Message, command: Settle) -> tuple[MessageEvent, ...]:
    outcome = command.outcome
    if type(outcome) is Accepted and outcome.receipt:
        if message.state in FINAL or not message.attempt:
            return ()  # said before: the same fact again changes nothing, and a final state stays
        return (
            MessageSent(
                at=command.at,
                attempt=command.attempt,
                receipt=outcome.receipt,
                mention=outcome.mention,
                answered=command.answered,
            ),
        )
    if message.state != MessageState.ATTEMPTED or command.attempt != message.attempt:
        return ()  # about an attempt that is no longer the open one; only a receipt could still tell something new
    match outcome:
        case Rejected(reason):
            rejected = MessageRejected(at=command.at, attempt=command.attempt, detail=reason, answered=command.answered)
            return _not_sent(message, rejected, reason)
        case NotSent(reason, retry=True) if message.attempt < MAX_ATTEMPTS:
            return (MessageRequeued(at=command.at, detail=reason, not_before=command.at + RETRY_MS[message.attempt]),)
        case NotSent(reason):
            failed = MessageFailed(at=command.at, reason="failed", detail=reason, answered=command.answered)
            return _not_sent(message, failed, reason)
        case Unconfirmed(reason):
            return _doubt(message, command.at, reason, resend=command.resend, answered=command.answered)
        case _:  # Accepted without a receipt: success without proof is doubt
            return _doubt(
                message, command.at, "accepted without a receipt", resend=command.resend, answered=command.answered
            )


def _doubt(message: Message, at: int, detail: str, *, resend: bool, answered: bool) -> tuple[MessageEvent, ...]:
    # A resend is limited too: a message that ends in doubt every time must not be sent for ever.
    resend = (resend or message.queued.on_doubt == "resend") and message.attempt < MAX_ATTEMPTS
    in_doubt = MessageInDoubt(
        at=at, attempt=message.attempt, detail=detail, resend=resend, answered=answered and not resend
    )
    if not resend:
        return (in_doubt,)
    return (in_doubt, MessageRequeued(at=at, detail="resent by policy", not_before=at + RETRY_MS[message.attempt]))


def _not_sent(
    message: Message,
    event: MessageRoomNotFound | MessageRejected | MessageFailed | MessageExpired | MessageCancelled,
    why: str,
) -> tuple[MessageEvent, ...]:
    """Return an end that says "it was not sent"; unless an earlier attempt may have arrived: then nobody can say so."""
    if not message.doubted:
        return (event,)
    detail = f"an earlier attempt may have arrived, and it will not be sent again: {why}"
    return (MessageInDoubt(at=event.at, attempt=message.attempt, detail=detail, answered=event.answered),)


def _lose(message: Message, command: Lose) -> tuple[MessageEvent, ...]:
    if message.state != MessageState.ATTEMPTED or command.attempt != message.attempt:
        return ()
    return _doubt(
        message,
        command.at,
        "the gateway stopped while the message was being sent",
        resend=command.resend,
        answered=False,
    )


def _no_room(message: Message, command: NoRoom) -> tuple[MessageEvent, ...]:
    TABLE.check(message.state, MessageRoomNotFound)
    return _not_sent(message, MessageRoomNotFound(at=command.at, answered=command.answered), "there is no such room")


def _fail(message: Message, command: Fail) -> tuple[MessageEvent, ...]:
    TABLE.check(message.state, MessageFailed)
    failed = MessageFailed(at=command.at, reason=command.reason, detail=command.detail, answered=command.answered)
    if message.state == MessageState.IN_DOUBT:
        return (failed,)  # an operator's word
    return _not_sent(message, failed, command.detail)


def _expire(message: Message, command: Expire) -> tuple[MessageEvent, ...]:
    expires_at = message.queued.expires_at
    if message.state != MessageState.QUEUED or expires_at is None or command.at < expires_at:
        return ()
    return _not_sent(message, MessageExpired(at=command.at, answered=command.answered), "its time is over")


def _cancel(message: Message, command: Cancel) -> tuple[MessageEvent, ...]:
    if message.state == MessageState.CANCELLED:
        return ()
    if message.state != MessageState.QUEUED:
        raise Refusal(f"only a queued message can be cancelled; this one is '{message.state}'")
    return _not_sent(message, MessageCancelled(at=command.at), "it was cancelled")


def _confirm(message: Message, command: Confirm) -> tuple[MessageEvent, ...]:
    if message.state not in TABLE.next[MessageSent] or not message.attempt:
        return ()
    return (MessageSent(at=command.at, attempt=message.attempt, receipt=command.receipt),)


def _resend(message: Message, command: Resend) -> tuple[MessageEvent, ...]:
    if message.state != MessageState.IN_DOUBT:
        raise Refusal(f"only a message in doubt can be resent; this one is '{message.state}'")
    return (MessageRequeued(at=command.at, detail="resent by an operator", not_before=command.at),)


_DECIDE: dict[type, Any] = {
    Queue: _queue,
    Attempt: _attempt,
    Settle: _settle,
    Lose: _lose,
    NoRoom: _no_room,
    Fail: _fail,
    Expire: _expire,
    Cancel: _cancel,
    Confirm: _confirm,
    Resend: _resend,
}
COMMANDS = tuple(_DECIDE)
Command: TypeAlias = Queue | Attempt | Settle | Lose | NoRoom | Fail | Expire | Cancel | Confirm | Resend


def decide(message: Message | None, command: Command) -> tuple[MessageEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if message is None and type(command) is not Queue:
        raise Refusal("there is no such message")
    events: tuple[MessageEvent, ...] = _DECIDE[type(command)](message, command)
    return events


# -- evolve ---------------------------------------------------------------------------------------------------------------------

_NEXT: dict[type, dict[str, MessageState]] = {
    event: {source: MessageState(dest) for source, dest in row.items()} for event, row in TABLE.next.items()
}


def evolve(message: Message | None, event: MessageEvent) -> Message:
    """Return the message after an event. Total: a recorded fact is never refused."""
    kind = event.__class__
    if message is None or kind is MessageQueued:
        assert isinstance(event, MessageQueued), "a message's first event is `queued`"
        return Message(MessageState.QUEUED, event, 0, event)
    attempt = event.attempt if kind is MessageAttempted else message.attempt  # type: ignore[union-attr]
    doubted = message.doubted or kind is MessageInDoubt
    return Message(_NEXT[kind].get(message.state, message.state), message.queued, attempt, event, doubted)


# -- react ----------------------------------------------------------------------------------------------------------------------


def react(message: Message, event: MessageEvent, stream: str, msgid: int) -> tuple[Effect | Notify, ...]:
    """Return what a runner must do now that the event is recorded; `message` is the state after it."""
    queued = message.queued
    match event:
        case MessageQueued() | MessageRequeued():
            return (Dispatch(queued.botcode),)
        case MessageAttempted():
            outgoing = Outgoing(
                msgid=msgid,
                attempt=event.attempt,
                room_id=event.room_id,
                text=queued.text,
                mention_names=queued.mention_names,
                mention_id=queued.mention_id,
            )
            return (Send(queued.botcode, stream, outgoing),)
        case MessageInDoubt(resend=True) | MessageSent(answered=True):
            return (Dispatch(queued.botcode),)
        case _ if event.answered:
            return (Dispatch(queued.botcode),)
        case _:
            # The message was answered with 0 and has now come to its end (or into doubt): its own channel is told.
            status, reason = send_status(message)
            body = {"msgid": msgid, "sendStatus": status, "sendReason": reason, "txcode": queued.txcode}
            return (Dispatch(queued.botcode), Notify(queued.botcode, "sendStatus", body, chid=queued.chid))


# -- what the wire calls it -----------------------------------------------------------------------------------------------------

_PLAIN: dict[MessageState, tuple[str, str]] = {
    MessageState.QUEUED: ("0", ""),
    MessageState.ATTEMPTED: ("0", ""),
    MessageState.ROOM_NOT_FOUND: ("2", ""),
    MessageState.REJECTED: ("3", ""),
    MessageState.EXPIRED: ("-1", "expired"),
    MessageState.CANCELLED: ("-1", "cancelled"),
    MessageState.IN_DOUBT: ("-1", "unconfirmed"),
}
_MENTION = {"ok": "1", "not_in_room": "3", "unknown": "4"}


def send_status(message: Message) -> tuple[str, str]:
    """Return sendStatus and sendReason (wire.md, roomSendText); the reason is empty where there is none."""
    last = message.last
    if isinstance(last, MessageSent):
        return _MENTION[last.mention], ""
    if isinstance(last, MessageFailed):
        return "-1", last.reason
    return _PLAIN[message.state]
