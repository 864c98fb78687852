"""The core as the simulated gateway calls it, and the same core with one rule switched off.

Each function is called at one place. A rule that is off is a function replaced here, never a flag in the core: so the simulation can show
that it would notice if the core lost the rule.
"""

import itertools
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import attrs
from attrs import frozen

from wxrc_core import aggregate, message
from wxrc_core.effects import Decide, Effect, Send, Wait
from wxrc_core.log import Event, Recorded
from wxrc_core.puppet import Accepted, NotSent, Unconfirmed
from wxrc_core.world import Held, World


class Rule(StrEnum):
    """A rule that can be switched off."""

    DEDUPE = "dedupe"
    IN_DOUBT = "in_doubt"
    ATTEMPTED_FIRST = "attempted_first"
    COMPLETE_ROOMS = "complete_rooms"
    RECEIPT = "receipt"


BREAKS: dict[Rule, int] = {
    Rule.DEDUPE: 2,
    Rule.IN_DOUBT: 6,
    Rule.ATTEMPTED_FIRST: 5,
    Rule.COMPLETE_ROOMS: 9,
    Rule.RECEIPT: 7,
}
"""The invariant (design.md) that cannot hold without the rule."""


def _nothing_before_append(held: Held | None, stream: str, events: Sequence[Event]) -> Sequence[Effect]:
    return ()


@frozen(kw_only=True)
class Core:
    """What the gateway calls.

    Attributes:
        stream_name: The stream of a request: (chid, day, txcode).
        decide: (state, command) -> events.
        before_append: What is done about events before they are durable: nothing.
        fold: What is done about an event once it is.
        next_message: What is next for a bot's queue.
    """

    stream_name: Callable[[str, str, str], str] = message.stream_name
    decide: Callable[[Any, Any], tuple[Event, ...]] = aggregate.decide
    before_append: Callable[[Held | None, str, Sequence[Event]], Sequence[Effect]] = _nothing_before_append
    fold: Callable[[World, Recorded], Sequence[Effect]] = World.fold
    next_message: Callable[[World, str, int], Decide | Wait | None] = World.next_message


def without(rule: Rule | None) -> Core:
    """Return the core without this rule (None = with all of them)."""
    match rule:
        case None:
            return Core()
        case Rule.DEDUPE:
            return Core(stream_name=_always_new())
        case Rule.IN_DOUBT:
            return Core(decide=_decide_doubt_is_failure)
        case Rule.ATTEMPTED_FIRST:
            return Core(before_append=_send_at_once, fold=_fold_without_sending)
        case Rule.COMPLETE_ROOMS:
            return Core(next_message=_next_message_whatever_is_synced)
        case Rule.RECEIPT:
            return Core(decide=_decide_success_is_proof)


def _always_new() -> Callable[[str, str, str], str]:
    numbers = itertools.count(1)
    return lambda chid, day, txcode: f"{message.stream_name(chid, day, txcode)}#{next(numbers)}"


def _decide_doubt_is_failure(state: Any, command: Any) -> tuple[Event, ...]:
    if isinstance(command, message.Lose) and isinstance(state, message.Message):
        lost = NotSent("forgotten in a crash", retry=True)
        command = message.Settle(at=command.at, attempt=state.attempt, outcome=lost)
    elif isinstance(command, message.Settle) and isinstance(command.outcome, Unconfirmed):
        command = attrs.evolve(command, outcome=NotSent("no answer", retry=True))
    return aggregate.decide(state, command)


def _decide_success_is_proof(state: Any, command: Any) -> tuple[Event, ...]:
    if isinstance(command, message.Settle) and command.outcome == Accepted(""):
        command = attrs.evolve(command, outcome=Accepted("it said so"))
    return aggregate.decide(state, command)


def _send_at_once(held: Held | None, stream: str, events: Sequence[Event]) -> Sequence[Effect]:
    if held is None or not isinstance(held.state, message.Message):
        return ()
    return [
        effect
        for event in events
        for effect in message.react(message.evolve(held.state, event), event, stream, held.position)
        if isinstance(effect, Send)
    ]


def _fold_without_sending(world: World, recorded: Recorded) -> Sequence[Effect]:
    return [effect for effect in world.fold(recorded) if not isinstance(effect, Send)]


def _next_message_whatever_is_synced(world: World, botcode: str, now: int) -> Decide | Wait | None:
    held = world.bots.get(botcode)
    if held is None:
        return None
    known = held.state
    held.state = attrs.evolve(known, client=attrs.evolve(known.client, rooms_complete=True))
    try:
        return world.next_message(botcode, now)
    finally:
        held.state = known
