"""A delivery: one callback on its way to one channel (wire.md, section 3).

At least once: an attempt that nobody reported the end of is simply made again, with the same `webhook-id`, which is the name of the stream:
the event that caused it and the channel. Making the same delivery again is harmless, since its stream is there already.
"""

from enum import StrEnum
from typing import Any, TypeAlias

from attrs import frozen

from wxrc_core.table import Table, machine

# -- states and transitions -----------------------------------------------------------------------------------------------------


class DeliveryState(StrEnum):
    """Where a delivery stands. `NEW` is before its first event."""

    NEW = "new"
    DUE = "due"
    ATTEMPTED = "attempted"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    DEAD = "dead"


FINAL = frozenset({DeliveryState.DELIVERED, DeliveryState.EXPIRED, DeliveryState.DEAD})

TRANSITIONS = (
    {"trigger": "due", "source": "new", "dest": "due"},
    {"trigger": "attempted", "source": "due", "dest": "attempted"},
    {
        "trigger": "attempted",
        "source": "attempted",
        "dest": "attempted",
    },  # killed after the POST and before recording it
    {"trigger": "delivered", "source": "attempted", "dest": "delivered"},
    {"trigger": "postponed", "source": "attempted", "dest": "due"},
    {"trigger": "expired", "source": "due", "dest": "expired"},
    {"trigger": "expired", "source": "attempted", "dest": "expired"},
    {"trigger": "given_up", "source": "attempted", "dest": "dead"},
)

SCHEDULE_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long to wait after the 1st, 2nd, ... failed attempt (seconds; wire.md, section 3)."""

JITTER = 0.1
"""A wait is made longer by up to this share, so that receivers that come back are not met by everything at once."""


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
    """

    at: int
    chid: str
    botcode: str
    kind: str
    body: str
    expires_at: int | None = None


@frozen(kw_only=True)
class DeliveryAttempted:
    """It is about to be posted."""

    at: int
    attempt: int


@frozen(kw_only=True)
class DeliveryDelivered:
    """The receiver acknowledged it."""

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
class DeliveryExpired:
    """Its time was over before it was acknowledged."""

    at: int


@frozen(kw_only=True)
class DeliveryGivenUp:
    """The schedule is used up, or the receiver said that it is gone (410): it is a dead letter now, and why."""

    at: int
    attempt: int
    reason: str


TRIGGERS: dict[type, str] = {
    DeliveryDue: "due",
    DeliveryAttempted: "attempted",
    DeliveryDelivered: "delivered",
    DeliveryPostponed: "postponed",
    DeliveryExpired: "expired",
    DeliveryGivenUp: "given_up",
}
MACHINE = machine(list(DeliveryState), TRANSITIONS, DeliveryState.NEW)
TABLE = Table("delivery", MACHINE, TRIGGERS)
DeliveryEvent: TypeAlias = (
    DeliveryDue | DeliveryAttempted | DeliveryDelivered | DeliveryPostponed | DeliveryExpired | DeliveryGivenUp
)


# -- state ----------------------------------------------------------------------------------------------------------------------


@frozen
class Delivery:
    """The fold of a delivery's events: where it stands, what is due, how often it was attempted, not before when (epoch ms) it is next."""

    state: DeliveryState
    due: DeliveryDue
    attempt: int
    not_before: int


def stream_name(position: int, chid: str) -> str:
    """Return the stream of the delivery that the event at a position causes for a channel."""
    return f"delivery/evt_{position}_{chid}"


def webhook_id(stream: str) -> str:
    """Return the `webhook-id` of a delivery: its stream's own name, the same over all attempts."""
    return stream.removeprefix("delivery/")


# -- commands and decide --------------------------------------------------------------------------------------------------------


@frozen
class Create:
    """A callback is due: `due` is the event to record if the stream is new."""

    due: DeliveryDue


@frozen(kw_only=True)
class Attempt:
    """Post it now, as the attempt of this number."""

    at: int
    attempt: int


@frozen(kw_only=True)
class Succeed:
    """The receiver acknowledged this attempt."""

    at: int
    attempt: int


@frozen(kw_only=True)
class Miss:
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


def _create(delivery: Delivery | None, command: Create) -> tuple[DeliveryEvent, ...]:
    return (command.due,) if delivery is None else ()


def _attempt(delivery: Delivery, command: Attempt) -> tuple[DeliveryEvent, ...]:
    if delivery.state in FINAL or command.attempt != delivery.attempt + 1:
        return ()
    if delivery.due.expires_at is not None and command.at >= delivery.due.expires_at:
        return (DeliveryExpired(at=command.at),)
    return (DeliveryAttempted(at=command.at, attempt=delivery.attempt + 1),)


def _succeed(delivery: Delivery, command: Succeed) -> tuple[DeliveryEvent, ...]:
    if delivery.state is not DeliveryState.ATTEMPTED:
        return ()
    return (DeliveryDelivered(at=command.at, attempt=command.attempt),)


def _miss(delivery: Delivery, command: Miss) -> tuple[DeliveryEvent, ...]:
    if delivery.state is not DeliveryState.ATTEMPTED or command.attempt != delivery.attempt:
        return ()
    if command.gone or delivery.attempt > len(SCHEDULE_S):
        return (DeliveryGivenUp(at=command.at, attempt=command.attempt, reason=command.reason),)
    wait_s = SCHEDULE_S[delivery.attempt - 1] * (1 + JITTER * command.jitter)
    not_before = command.at + int(max(wait_s, command.retry_after_s or 0) * 1000)
    if delivery.due.expires_at is not None and not_before >= delivery.due.expires_at:
        return (DeliveryExpired(at=command.at),)
    return (DeliveryPostponed(at=command.at, attempt=command.attempt, reason=command.reason, not_before=not_before),)


_DECIDE: dict[type, Any] = {Create: _create, Attempt: _attempt, Succeed: _succeed, Miss: _miss}
COMMANDS = tuple(_DECIDE)
Command: TypeAlias = Create | Attempt | Succeed | Miss


def decide(delivery: Delivery | None, command: Command) -> tuple[DeliveryEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before."""
    if delivery is None and type(command) is not Create:
        return ()
    events: tuple[DeliveryEvent, ...] = _DECIDE[type(command)](delivery, command)
    return events


# -- evolve ---------------------------------------------------------------------------------------------------------------------

_NEXT: dict[type, dict[str, DeliveryState]] = {
    event: {source: DeliveryState(dest) for source, dest in row.items()} for event, row in TABLE.next.items()
}


def evolve(delivery: Delivery | None, event: DeliveryEvent) -> Delivery:
    """Return the delivery after an event. Total: a recorded fact is never refused."""
    kind = event.__class__
    if delivery is None or kind is DeliveryDue:
        assert isinstance(event, DeliveryDue), "a delivery's first event is `due`"
        return Delivery(DeliveryState.DUE, event, 0, event.at)
    attempt = event.attempt if kind is DeliveryAttempted else delivery.attempt  # type: ignore[union-attr]
    not_before = event.not_before if kind is DeliveryPostponed else delivery.not_before  # type: ignore[union-attr]
    return Delivery(_NEXT[kind].get(delivery.state, delivery.state), delivery.due, attempt, not_before)
