"""All aggregates at once: which `decide` takes a command, which `evolve` an event, and the fold of a stream.

What a runner needs in order to treat every stream alike; the aggregates themselves know nothing of each other.
"""

from collections.abc import Callable, Iterable
from typing import Any

from wxrc_core import bot, channel, delivery, inbound, message, operation
from wxrc_core.log import Event, Recorded

AGGREGATES = (bot, channel, delivery, inbound, message, operation)

_DECIDE: dict[type, Callable[[Any, Any], tuple[Event, ...]]] = {
    command: aggregate.decide for aggregate in AGGREGATES for command in aggregate.COMMANDS
}
_EVOLVE: dict[type, Callable[[Any, Any], Any]] = {
    event: aggregate.evolve for aggregate in AGGREGATES for event in aggregate.TRIGGERS
}

CREATING = (bot.Add, channel.Add, delivery.Create, inbound.Receive, message.Queue, operation.Accept)
"""Commands that mostly meet a stream which is not there yet."""


def decide(state: Any, command: Any) -> tuple[Event, ...]:
    """Return what happens because of a command to the aggregate in this state (None = not there yet).

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    return _DECIDE[command.__class__](state, command)


def evolve(state: Any, event: Event) -> Any:
    """Return the aggregate after an event."""
    return _EVOLVE[event.__class__](state, event)


def fold(history: Iterable[Recorded]) -> tuple[Any, int]:
    """Return the state that a stream's events lead to, and its version; (None, 0) where there are none."""
    state, version = None, 0
    for recorded in history:
        state, version = evolve(state, recorded.event), recorded.version
    return state, version
