"""What every replica must know of everybody: channels, grants, where each bot stands, who owns which shard, who may use the admin API."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import define

from wxrc_core import bot, channel, shard, token
from wxrc_core.bot import Bot, BotEvent
from wxrc_core.callback_health import Failing, after_event
from wxrc_core.channel import (
    BotGranted,
    BotRevoked,
    CallbackMoved,
    CallbackRetried,
    Channel,
    ChannelEvent,
    ChannelRemoved,
)
from wxrc_core.delivery import DeliveryEvent, channel_of
from wxrc_core.log import Recorded
from wxrc_core.shard import Shard, ShardEvent
from wxrc_core.token import Token, TokenEvent

State = TypeVar("State")


@define
class StreamState(Generic[State]):
    """One open aggregate: its state, its stream's version, and the position of its first event (for a message: its msgid)."""

    state: State
    version: int
    position: int


class View:
    """The fold of what concerns all replicas.

    Attributes:
        bots: By botcode.
        channels: By chid.
        shards: By number; `version` is the epoch. A shard that was never taken is not in it.
        tokens: By name, those that were removed included.
        failing: The channels whose callbacks fail, by chid: since when and why.
    """

    def __init__(self) -> None:
        self.bots: dict[str, StreamState[Bot]] = {}
        self.channels: dict[str, StreamState[Channel]] = {}
        self.shards: dict[int, StreamState[Shard]] = {}
        self.tokens: dict[str, StreamState[Token]] = {}
        self.failing: dict[str, Failing] = {}
        self._grants: dict[str, dict[str, BotGranted]] = {}

    def fold_bot(self, recorded: Recorded, event: BotEvent) -> Bot:
        """Take in an event of a bot; return the bot after it."""
        botcode = recorded.stream.partition("/")[2]
        known = self.bots.get(botcode)
        if known is None:
            state = bot.evolve(None, event)
            self.bots[botcode] = StreamState(state, recorded.version, recorded.position)
            return state
        known.state = bot.evolve(known.state, event)
        known.version = recorded.version
        return known.state

    def fold_channel(self, recorded: Recorded, event: ChannelEvent) -> Channel:
        """Take in an event of a channel; return the channel after it."""
        chid = recorded.stream.partition("/")[2]
        known = self.channels.get(chid)
        if known is None:
            known = self.channels[chid] = StreamState(channel.evolve(None, event), recorded.version, recorded.position)
        else:
            known.state = channel.evolve(known.state, event)
            known.version = recorded.version
        if isinstance(event, BotGranted):
            self._grants.setdefault(event.botcode, {})[chid] = event
        elif isinstance(event, BotRevoked):
            self._grants.get(event.botcode, {}).pop(chid, None)
        elif isinstance(event, ChannelRemoved):
            for grants in self._grants.values():
                grants.pop(chid, None)
        if isinstance(event, CallbackMoved | CallbackRetried | ChannelRemoved):
            self.failing.pop(chid, None)
        return known.state

    def fold_delivery(self, stream: str, event: DeliveryEvent) -> None:
        """Take in what a callback's event says about its channel's receiver."""
        chid = channel_of(stream)
        failing = after_event(self.failing.get(chid), event)
        if failing is not None:
            self.failing[chid] = failing
        else:
            self.failing.pop(chid, None)

    def fold_shard(self, recorded: Recorded, event: ShardEvent) -> None:
        """Take in a change of a shard's owner."""
        state = shard.evolve(None, event)
        self.shards[int(recorded.stream.partition("/")[2])] = StreamState(state, recorded.version, recorded.position)

    def fold_token(self, recorded: Recorded, event: TokenEvent) -> None:
        """Take in an event of a token."""
        name = recorded.stream.partition("/")[2]
        known = self.tokens.get(name)
        state = token.evolve(known.state if known else None, event)
        self.tokens[name] = StreamState(state, recorded.version, known.position if known else recorded.position)

    def removed(self, chid: str) -> bool:
        """Return whether the channel was removed."""
        known = self.channels.get(chid)
        return known is not None and known.state.removed

    def bot_removed(self, botcode: str) -> bool:
        """Return whether the bot was removed. Its grants are in force no more, although the log tells their ends a little later."""
        known = self.bots.get(botcode)
        return known is not None and known.state.removed

    def own_pace(self, botcode: str, chid: str) -> int:
        """Return how many messages of a channel may go to a bot in any minute by its grant; 0 = as the bot's pace allows."""
        granted = self._grants.get(botcode, {}).get(chid)
        return granted.pace if granted is not None else 0

    def grants(self, botcode: str) -> Iterator[tuple[str, BotGranted]]:
        """Give out the grants for a bot, by chid, in the order in which the channels got their first one."""
        yield from self._grants.get(botcode, {}).items()

    def wants_everything(self, botcode: str) -> bool:
        """Return whether a channel asks for everything that is said where the bot can read it."""
        return any(grant.inbound == "all" for _, grant in self.grants(botcode))

    def grants_by_bot(self) -> dict[str, dict[str, BotGranted]]:
        """Return all grants, by botcode and chid."""
        return {botcode: dict(grants) for botcode, grants in self._grants.items() if grants}

    def restore_grants(self, grants: dict[str, dict[str, BotGranted]]) -> None:
        """Take in the grants of a snapshot."""
        self._grants = {botcode: dict(each) for botcode, each in grants.items()}
