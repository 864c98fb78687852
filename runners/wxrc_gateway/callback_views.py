"""What an operator sees of callbacks, and how some are chosen (see `callbacks`)."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import frozen
from msgspec import Struct

from wxrc_core import aggregate, codec, delivery
from wxrc_core.delivery import (
    FINAL,
    Delivery,
    DeliveryDue,
    DeliveryGivenUp,
    DeliveryPostponed,
    DeliveryState,
)
from wxrc_core.delivery_queue import DueDelivery
from wxrc_core.log import Recorded

Standing: TypeAlias = Literal["none", "healthy", "failing", "disabled"]


class CallbackHealth(Struct, frozen=True, kw_only=True):
    """How a channel's callback URL stands; times in epoch ms.

    Attributes:
        chid: The channel.
        state: `none` (it has no URL), `healthy`, `failing` (no acknowledgement since a failure), or `disabled`.
        since: Since when it fails, or None.
        reason: Why the latest attempt failed.
        last_failure: When that was, or None.
        next_try: When the next attempt is due; None = nothing waits, or it is disabled, or only the owner of its bots could say.
        waiting: How many callbacks are due, or will be because of what is in the log.
    """

    chid: str
    state: Standing
    since: int | None = None
    reason: str = ""
    last_failure: int | None = None
    next_try: int | None = None
    waiting: int = 0


class CallbackView(Struct, frozen=True, kw_only=True):
    """A callback that waits, or has ended; times in epoch ms.

    Attributes:
        id: Its `webhook-id`.
        seq: The event that it tells of.
        chid: The channel.
        botcode: The bot.
        kind: The callback's type.
        state: `due`, `dead`, ...
        at: When it became due, or was replayed.
        attempts: How many attempts failed.
        reason: Why it was given up.
        ended_at: When it ended, or None.
        next_try: When it is due again by its own schedule, or None.
    """

    id: str
    seq: int
    chid: str
    botcode: str
    kind: str
    state: DeliveryState
    at: int
    attempts: int = 0
    reason: str = ""
    ended_at: int | None = None
    next_try: int | None = None


class CallbackStep(Struct, frozen=True, kw_only=True):
    """What happened to a callback.

    Attributes:
        at: When (epoch ms).
        event: The event's name in the log: `delivery.postponed` and `delivery.given_up` are attempts that failed.
        attempt: The number of the attempt; 0 = it is none.
        reason: Why it failed.
        next_try: When it is due again by its own schedule (epoch ms), or None.
        by: Who asked for a replay.
    """

    at: int
    event: str
    attempt: int = 0
    reason: str = ""
    next_try: int | None = None
    by: str = ""


class CallbackHistory(Struct, frozen=True, kw_only=True):
    """One callback, and what happened to it, the oldest first. Its text is not in it."""

    callback: CallbackView
    steps: tuple[CallbackStep, ...]


@frozen(kw_only=True)
class Selection:
    """Which callbacks are meant; what is not given matches all.

    Attributes:
        chid: Of this channel.
        botcode: About this bot.
        since: Due at this time or later (epoch ms).
        until: Due before this time (epoch ms).
        first: Telling of this event (`seq`) or a later one.
        last: Telling of this event or an earlier one.
    """

    chid: str | None = None
    botcode: str | None = None
    since: int | None = None
    until: int | None = None
    first: int | None = None
    last: int | None = None

    def has(self, stream: str, chid: str, botcode: str, at: int) -> bool:
        """Return whether a callback is meant."""
        seq = delivery.cause(stream)
        return (
            self.chid in (None, chid)
            and self.botcode in (None, botcode)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and (self.first is None or seq >= self.first)
            and (self.last is None or seq <= self.last)
        )


EVERYTHING = Selection()


def says_which(ids: Sequence[str], selection: Selection, *, everything: bool) -> bool:
    """Return whether it is said in exactly one way which callbacks are meant: by their ids, by a selection, or all."""
    return bool(ids) + (selection != EVERYTHING) + everything == 1


def waiting_view(due: DueDelivery) -> CallbackView:
    """Return the view of a callback that waits."""
    state = due.state
    return CallbackView(
        id=delivery.webhook_id(due.stream),
        seq=delivery.cause(due.stream),
        chid=state.chid,
        botcode=state.botcode,
        kind=state.kind,
        state=state.state,
        at=state.at,
        attempts=state.attempts,
        next_try=state.failed_at + state.wait_ms if state.attempts else None,
    )


def dead_view(stream: str, due: DeliveryDue, end: DeliveryGivenUp) -> CallbackView:
    """Return the view of a dead letter."""
    return CallbackView(
        id=delivery.webhook_id(stream),
        seq=delivery.cause(stream),
        chid=due.chid,
        botcode=due.botcode,
        kind=due.kind,
        state=DeliveryState.DEAD,
        at=due.at,
        attempts=end.attempt,
        reason=end.reason,
        ended_at=end.at,
    )


def callback_history(history: Sequence[Recorded]) -> CallbackHistory:
    """Return what happened to a callback; `history` is all of its stream."""
    state, _ = aggregate.fold(history)
    assert isinstance(state, Delivery)
    steps = tuple(map(_step, history))
    ended = state.state in FINAL
    return CallbackHistory(
        callback=CallbackView(
            id=delivery.webhook_id(history[0].stream),
            seq=delivery.cause(history[0].stream),
            chid=state.chid,
            botcode=state.botcode,
            kind=state.kind or "sendStatus",
            state=state.state,
            at=state.at,
            attempts=steps[-1].attempt if isinstance(history[-1].event, DeliveryGivenUp) else state.attempts,
            reason=steps[-1].reason if ended else "",
            ended_at=steps[-1].at if ended else None,
            next_try=state.failed_at + state.wait_ms if state.attempts and not ended else None,
        ),
        steps=steps,
    )


def _step(recorded: Recorded) -> CallbackStep:
    event = recorded.event
    return CallbackStep(
        at=event.at,
        event=codec.NAMES[type(event)],
        attempt=getattr(event, "attempt", 0),
        reason=getattr(event, "reason", ""),
        next_try=event.not_before if isinstance(event, DeliveryPostponed) else None,
        by=getattr(event, "by", ""),
    )
