"""A delivery: one callback on its way to one channel (wire.md, section 3).

At least once: nothing is recorded before a POST, and one whose end was not recorded is made again, with the same `webhook-id`, which is the
name of the stream: the event that caused it and the channel. Making the same delivery again is harmless, since its stream is there already.

The first event of the stream says how the channel is told. For the end of a message it may be `answered`: the request that made the message
was still waiting and told the end in its answer, so no callback is due.
"""

from enum import StrEnum
from typing import TypeAlias, assert_never

from attrs import frozen
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.delivery_schedule import SCHEDULE_S, wait_ms
from wxrc_core.table import Table, Transitions

# -- states and transitions -----------------------------------------------------------------------------------------------------


class DeliveryState(StrEnum):
    """Where a delivery stands. `NEW` is before its first event."""

    NEW = "new"
    DUE = "due"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    DEAD = "dead"
    ANSWERED = "answered"
    CANCELLED = "cancelled"


FINAL = frozenset(DeliveryState) - {DeliveryState.NEW, DeliveryState.DUE}
"""Nothing more is posted in these, unless an operator has it replayed."""

REPLAYABLE = frozenset({DeliveryState.DELIVERED, DeliveryState.EXPIRED, DeliveryState.DEAD})
"""What an operator may have delivered once more."""

TRANSITIONS: Transitions = (
    {"trigger": "due", "source": "new", "dest": "due"},
    {"trigger": "answered", "source": "new", "dest": "answered"},
    {"trigger": "attempted", "source": "due", "dest": "="},  # written by earlier releases only
    {"trigger": "postponed", "source": "due", "dest": "="},
    {"trigger": "delivered", "source": "due", "dest": "delivered"},
    {"trigger": "expired", "source": "due", "dest": "expired"},
    {"trigger": "superseded", "source": "due", "dest": "superseded"},
    {"trigger": "given_up", "source": "due", "dest": "dead"},
    {"trigger": "cancelled", "source": "due", "dest": "cancelled"},
    {"trigger": "replayed", "source": ["delivered", "expired", "dead"], "dest": "due"},
)

CONTROL = frozenset({"qrCode", "botStatus"})
"""The kinds of notice that tell of the bot itself: they go before data, and a newer one of a kind supersedes an older one."""


# -- events ---------------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class DeliveryDue:
    """A callback is due.

    Attributes:
        at: When (epoch ms).
        chid: The channel it goes to.
        botcode: The bot it is about.
        kind: `qrCode`, `botStatus`, `userMsg` or `sendStatus`.
        body: The reqBody, as a JSON text.
        expires_at: When it is no longer worth telling (epoch ms), or None.
        code_id: The QR code that belongs into the body and is in the vault (`wxrc_core.qr_code`), or empty.
    """

    at: int
    chid: str
    botcode: str
    kind: str
    body: str
    expires_at: int | None = None
    code_id: str = ""


@frozen(kw_only=True)
class DeliveryAnswered:
    """The request that made the message with this number told its end in the answer: no callback is due."""

    at: int
    chid: str
    botcode: str
    msgid: int


@frozen(kw_only=True)
class DeliveryAttempted:
    """It was about to be posted. Earlier releases wrote this; it changes nothing."""

    at: int
    attempt: int


@frozen(kw_only=True)
class DeliveryPostponed:
    """The receiver did not acknowledge it, and why; it is due again at `not_before` (epoch ms)."""

    at: int
    attempt: int
    reason: str
    not_before: int


@frozen(kw_only=True)
class DeliveryDelivered:
    """The receiver acknowledged it."""

    at: int
    attempt: int


@frozen(kw_only=True)
class DeliveryExpired:
    """Its time was over before it was acknowledged."""

    at: int


@frozen(kw_only=True)
class DeliverySuperseded:
    """A newer notice of its kind about its bot overtook it before it could be delivered, or the QR code that it tells is over."""

    at: int


@frozen(kw_only=True)
class DeliveryGivenUp:
    """The schedule is used up, or the receiver said that it is gone (410): it is a dead letter now, and why."""

    at: int
    attempt: int
    reason: str


@frozen(kw_only=True)
class DeliveryCancelled:
    """Its channel was removed before it was acknowledged."""

    at: int


@frozen(kw_only=True)
class DeliveryReplayed:
    """An operator has it delivered once more, under its own `webhook-id`: it is due again, with the whole schedule before it.

    The stream was closed, so the event has what its fold needs.

    Attributes:
        at: When (epoch ms).
        chid: The channel it goes to.
        botcode: The bot it is about.
        kind: The callback's type.
        position: That of its `due` event, where its body stands.
        by: Who asked for it.
    """

    at: int
    chid: str
    botcode: str
    kind: str
    position: int
    by: str = ""


DeliveryEvent: TypeAlias = (
    DeliveryDue
    | DeliveryAnswered
    | DeliveryAttempted
    | DeliveryPostponed
    | DeliveryDelivered
    | DeliveryExpired
    | DeliverySuperseded
    | DeliveryGivenUp
    | DeliveryCancelled
    | DeliveryReplayed
)
TABLE = Table("delivery", DeliveryState, TRANSITIONS, DeliveryEvent)


# -- state, and how events change it --------------------------------------------------------------------------------------------


class Delivery(Struct, frozen=True):
    """The fold of a delivery's events, without its text.

    Attributes:
        state: Where it stands.
        at: When it became due, or was replayed (epoch ms).
        chid: The channel it goes to.
        botcode: The bot it is about.
        kind: The callback's type.
        expires_at: When it is no longer worth telling (epoch ms), or None.
        attempts: How many attempts failed.
        wait_ms: How long it waits since the latest of them (ms).
        failed_at: When the latest of them was (epoch ms); 0 = there was none.
        code_id: The QR code that it tells, or empty.
    """

    state: DeliveryState
    at: int
    chid: str
    botcode: str
    kind: str = ""
    expires_at: int | None = None
    attempts: int = 0
    wait_ms: int = 0
    failed_at: int = 0
    code_id: str = ""


def evolve(delivery: Delivery | None, event: DeliveryEvent) -> Delivery:
    """Return the delivery after an event. Total: a recorded fact is never refused; a step that the table does not have changes nothing."""
    if delivery is None:
        if isinstance(event, DeliveryDue):
            due = Delivery(DeliveryState.DUE, event.at, event.chid, event.botcode, event.kind, event.expires_at)
            return replace(due, code_id=event.code_id)
        if isinstance(event, DeliveryReplayed):
            return Delivery(DeliveryState.DUE, event.at, event.chid, event.botcode, event.kind)
        assert isinstance(event, DeliveryAnswered), "a delivery's first event is `due`, `replayed` or `answered`"
        return Delivery(DeliveryState.ANSWERED, event.at, event.chid, event.botcode)
    state = TABLE.next[event.__class__].get(delivery.state)
    if state is None:
        return delivery
    if isinstance(event, DeliveryPostponed):
        wait = max(0, event.not_before - event.at)
        return replace(delivery, attempts=event.attempt, wait_ms=wait, failed_at=event.at)
    if isinstance(event, DeliveryReplayed):
        return Delivery(DeliveryState.DUE, event.at, delivery.chid, delivery.botcode, delivery.kind)
    return delivery if state is delivery.state else replace(delivery, state=state)


def stream_name(position: int, chid: str) -> str:
    """Return the stream of the delivery that the event at a position causes for a channel."""
    return f"delivery/evt_{position}_{chid}"


def cause(stream: str) -> int:
    """Return the position of the event that caused the delivery with this stream."""
    return int(stream.split("_", 2)[1])


def channel_of(stream: str) -> str:
    """Return the channel of the delivery with this stream."""
    return stream.split("_", 2)[2]


def webhook_id(stream: str) -> str:
    """Return the `webhook-id` of a delivery: its stream's own name, the same over all attempts."""
    return stream.removeprefix("delivery/")


# -- commands and decide --------------------------------------------------------------------------------------------------------


@frozen
class Create:
    """A callback is due: `due` is the event to record if the stream is new."""

    due: DeliveryDue


@frozen
class Answer:
    """The answer to the request tells it: `answered` is the event to record if the stream is new."""

    answered: DeliveryAnswered


@frozen(kw_only=True)
class RecordSuccess:
    """The receiver acknowledged this attempt."""

    at: int
    attempt: int


@frozen(kw_only=True)
class RecordFailure:
    """The receiver did not acknowledge this attempt.

    Attributes:
        at: Now (epoch ms).
        attempt: The attempt that failed.
        reason: Why, in a sentence.
        retry_after_s: What the receiver asked for (seconds), or None.
        gone: It answered 410.
        jitter: A random number from 0 to 1, drawn by the runner.
    """

    at: int
    attempt: int
    reason: str
    retry_after_s: int | None = None
    gone: bool = False
    jitter: float = 0.0


@frozen(kw_only=True)
class Expire:
    """Its time may be over; nothing happens if it is not."""

    at: int


@frozen(kw_only=True)
class Supersede:
    """A newer notice of its kind about its bot is due, or the QR code that it tells is over."""

    at: int


@frozen(kw_only=True)
class GiveUp:
    """It has been due for longer than any schedule lasts, and its endpoint is down, and why."""

    at: int
    reason: str


@frozen(kw_only=True)
class Cancel:
    """Its channel was removed."""

    at: int


@frozen(kw_only=True)
class Replay:
    """An operator wants it delivered once more; `position` is that of its `due` event. Nothing happens while it is due anyway."""

    at: int
    position: int
    by: str = ""


Command: TypeAlias = Create | Answer | RecordSuccess | RecordFailure | Expire | Supersede | GiveUp | Cancel | Replay


def decide(delivery: Delivery | None, command: Command) -> tuple[DeliveryEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before or no longer matters."""
    if delivery is None:
        if isinstance(command, Create):
            return (command.due,)
        return (command.answered,) if isinstance(command, Answer) else ()
    if isinstance(command, Replay):
        return _replayed(delivery, command)
    if delivery.state in FINAL:
        return ()
    match command:
        case Create() | Answer():
            return ()
        case RecordSuccess(at=at, attempt=attempt):
            return (DeliveryDelivered(at=at, attempt=attempt),)
        case RecordFailure():
            return _failed(delivery, command)
        case Expire(at=at):
            over = delivery.expires_at is not None and at >= delivery.expires_at
            return (DeliveryExpired(at=at),) if over else ()
        case Supersede(at=at):
            return (DeliverySuperseded(at=at),) if delivery.kind in CONTROL else ()
        case GiveUp(at=at, reason=reason):
            return (DeliveryGivenUp(at=at, attempt=delivery.attempts, reason=reason),)
        case Cancel(at=at):
            return (DeliveryCancelled(at=at),)
        case _:
            assert_never(command)


def _replayed(delivery: Delivery, command: Replay) -> tuple[DeliveryEvent, ...]:
    if delivery.state not in REPLAYABLE or delivery.kind == "qrCode":
        return ()  # a code of the past logs nobody in
    at, position, chid, botcode = command.at, command.position, delivery.chid, delivery.botcode
    return (DeliveryReplayed(at=at, chid=chid, botcode=botcode, kind=delivery.kind, position=position, by=command.by),)


def _failed(delivery: Delivery, command: RecordFailure) -> tuple[DeliveryEvent, ...]:
    at, attempt, reason = command.at, command.attempt, command.reason
    if attempt != delivery.attempts + 1:
        return ()  # recorded before
    if command.gone or attempt > len(SCHEDULE_S):
        return (DeliveryGivenUp(at=at, attempt=attempt, reason=reason),)
    not_before = at + wait_ms(attempt, command.retry_after_s, command.jitter)
    if delivery.expires_at is not None and not_before >= delivery.expires_at:
        return (DeliveryExpired(at=at),)
    return (DeliveryPostponed(at=at, attempt=attempt, reason=reason, not_before=not_before),)
