"""All aggregates at once: which `decide` takes a command, which `evolve` an event, and the fold of a stream.

What a runner needs in order to treat every stream alike; the aggregates themselves know nothing of each other. The look-ups are made
from the aggregates' unions of events and commands, so there is no list to keep.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, get_args

from wxrc_core import bot, channel, delivery, inbound, message, operation, shard, token
from wxrc_core.log import Event, Recorded

Command: TypeAlias = (
    bot.Command
    | channel.Command
    | delivery.Command
    | inbound.Command
    | message.Command
    | operation.Command
    | token.Command
)
State: TypeAlias = (
    bot.Bot
    | channel.Channel
    | delivery.Delivery
    | inbound.Inbound
    | message.Message
    | operation.Operation
    | shard.Shard
    | token.Token
)


def members(union: Any) -> tuple[type, ...]:
    """Return the classes of a union, or the one class that stands in its place."""
    return get_args(union) or (union,)


EVENTS: dict[str, tuple[type, ...]] = {
    "bot": members(bot.BotEvent),
    "channel": members(channel.ChannelEvent),
    "delivery": members(delivery.DeliveryEvent),
    "inbound": members(inbound.InboundEvent),
    "message": members(message.MessageEvent),
    "operation": members(operation.OperationEvent),
    "shard": members(shard.ShardEvent),
    "token": members(token.TokenEvent),
}
"""The event classes of each aggregate."""

COMMANDS: dict[str, tuple[type, ...]] = {
    "bot": members(bot.Command),
    "channel": members(channel.Command),
    "delivery": members(delivery.Command),
    "inbound": members(inbound.Command),
    "message": members(message.Command),
    "operation": members(operation.Command),
    "token": members(token.Command),
}
"""The command classes of each aggregate. Shards have none: stores append their events."""

CREATING = (
    bot.Add, channel.Add, delivery.Create, delivery.Answer, inbound.Receive, message.Queue, operation.Accept, token.Add,
)  # fmt: skip
"""The commands that make a stream; all others need one that is there."""

_MODULES: dict[str, Any] = {
    "bot": bot,
    "channel": channel,
    "delivery": delivery,
    "inbound": inbound,
    "message": message,
    "operation": operation,
    "shard": shard,
    "token": token,
}
_DECIDE: dict[type, Callable[[State | None, Command], tuple[Event, ...]]] = {
    command: _MODULES[name].decide for name, commands in COMMANDS.items() for command in commands
}
_EVOLVE: dict[type, Callable[[State | None, Event], State]] = {
    event: _MODULES[name].evolve for name, events in EVENTS.items() for event in events
}


def decide(state: State | None, command: Command) -> tuple[Event, ...]:
    """Return what happens because of a command to the aggregate in this state (None = not there yet).

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    return _DECIDE[command.__class__](state, command)


def evolve(state: State | None, event: Event) -> State:
    """Return the aggregate after an event."""
    return _EVOLVE[event.__class__](state, event)


def fold(history: Iterable[Recorded]) -> tuple[State | None, int]:
    """Return the state that a stream's events lead to, and its version; (None, 0) where there are none."""
    state: State | None = None
    version = 0
    for recorded in history:
        state, version = evolve(state, recorded.event), recorded.version
    return state, version
