"""Everything that is open, folded from the log in position order.

A replica hands every event of the log to `fold` and gets back which loops to wake. It may look at everything (`view`); for the bots that it
owns it asks their `BotWorld` what is to be done. All that a replica adds is time, chance and the calls to the outside.

What has come to its end is dropped from here: the log still has it. A message in doubt leaves a reference (`doubts`): before one
more event of its stream is folded, `recall` takes in its history again.
"""

from collections.abc import Iterable, Sequence
from typing import cast, get_args

from wxrc_core import bot, inbound, message
from wxrc_core.bot import BotEvent
from wxrc_core.bot_world import BotWorld
from wxrc_core.channel import BotGranted, BotRevoked, CallbackMoved, CallbackRetried, ChannelEvent, ChannelRemoved
from wxrc_core.delivery import DeliveryDue, DeliveryEvent, DeliveryReplayed
from wxrc_core.effects import Effect, Notify, Wake, WakeDeliveries, WakeQueue, WakeRecords
from wxrc_core.inbound import MessageReceived
from wxrc_core.log import Recorded
from wxrc_core.message import Message, MessageEvent, MessageState
from wxrc_core.operation import OperationAccepted
from wxrc_core.shard import ShardEvent
from wxrc_core.token import TokenEvent
from wxrc_core.view import StreamState, View

_KINDS: dict[type, str] = {
    event: kind
    for kind, events in (
        ("bot", get_args(BotEvent)),
        ("channel", get_args(ChannelEvent)),
        ("delivery", get_args(DeliveryEvent)),
        ("inbound", (MessageReceived,)),
        ("message", get_args(MessageEvent)),
        ("operation", (OperationAccepted,)),
        ("shard", get_args(ShardEvent)),
        ("token", get_args(TokenEvent)),
    )
    for event in events
}


class World:
    """The fold of the whole log, as far as it is open.

    Attributes:
        position: Up to where the log is folded.
        told_to: Whatever was due because of events up to here is recorded: it is not made due again, by this release's rules or otherwise.
        view: What concerns all replicas.
        bots: What each bot's owner has to do, by botcode.
        messages: Open messages by stream, without those in doubt.
        doubts: Messages in doubt: msgid and botcode by stream.
    """

    def __init__(self, told_to: int = 0) -> None:
        self.position = 0
        self.told_to = told_to
        self.view = View()
        self.bots: dict[str, BotWorld] = {}
        self.messages: dict[str, StreamState[Message]] = {}
        self.doubts: dict[str, tuple[int, str]] = {}
        self.delivery_bots: dict[str, str] = {}
        self._folds = {event: getattr(self, f"_fold_{kind}") for event, kind in _KINDS.items()}

    def bot_world(self, botcode: str) -> BotWorld:
        """Return what the owner of this bot has to do; made where it is not there yet."""
        found = self.bots.get(botcode)
        if found is None:
            found = self.bots[botcode] = BotWorld(botcode, self.view)
        return found

    @property
    def deliveries(self) -> int:
        """How many callbacks are due, or will be because of what is folded."""
        return sum(len(each.deliveries) for each in self.bots.values())

    # -- the log ----------------------------------------------------------------------------------------------------------------

    def recall(self, stream: str, history: Iterable[Recorded]) -> None:
        """Take in a message in doubt again, before one more event of it is folded; `history` is all of its stream."""
        state: Message | None = None
        version = 0
        for recorded in history:
            if recorded.position <= self.position:
                event = cast("MessageEvent", recorded.event)  # a message's stream has no others
                state, version = message.evolve(state, event), recorded.version
        msgid, _ = self.doubts.pop(stream)
        assert state is not None, "a message in doubt has a history"
        self.messages[stream] = StreamState(state, version, msgid)

    def fold(self, recorded: Recorded, mono: int) -> Sequence[Wake]:
        """Take in the next event of the log.

        Args:
            recorded: The event.
            mono: Now (`Moment.mono`); for events of the past, the time of the start.

        Returns:
            The loops to wake. Only the bot's owner has them.
        """
        self.position = recorded.position
        wakes: Sequence[Wake] = self._folds[recorded.event.__class__](recorded, recorded.event, mono)
        return wakes

    def _fold_bot(self, recorded: Recorded, event: BotEvent, mono: int) -> Sequence[Wake]:
        state = self.view.fold_bot(recorded, event)
        world = self.bot_world(state.added.botcode)
        operation = getattr(event, "operation", 0)
        if operation:
            world.operations.pop(operation, None)
        if isinstance(event, bot.BotRemoved):
            world.removed()
        world.queue.lists_changed(state)
        world.deliveries.show_code(state.qr.code_id if state.qr is not None else "")
        return self._follow(world, bot.react(state, event), recorded, mono)

    def _fold_channel(self, recorded: Recorded, event: ChannelEvent, mono: int) -> Sequence[Wake]:
        channel = self.view.fold_channel(recorded, event)
        if isinstance(event, CallbackMoved | CallbackRetried):
            # All bots: callbacks about one whose grant was taken back may still wait.
            return [WakeDeliveries(channel.settings.chid, botcode) for botcode in self.bots]
        if isinstance(event, ChannelRemoved):
            return self._channel_removed(channel.settings.chid)
        if isinstance(event, BotGranted | BotRevoked):
            # The queue goes by its terms; and of a bot that was removed meanwhile, it is to end at once.
            return [WakeQueue(event.botcode), WakeRecords(event.botcode)]
        return ()

    def _channel_removed(self, chid: str) -> Sequence[Wake]:
        messages: dict[str, list[tuple[str, Message]]] = {}
        for stream, known in self.messages.items():
            if known.state.queued.chid == chid:
                messages.setdefault(known.state.queued.botcode, []).append((stream, known.state))
        for botcode, world in self.bots.items():
            world.channel_removed(chid, messages.get(botcode, ()))
        return [WakeRecords(botcode) for botcode in self.bots]

    def _fold_operation(self, recorded: Recorded, event: OperationAccepted, mono: int) -> Sequence[Wake]:
        if event.kind == "cancel":
            return ()  # of a message, and done by whoever accepted it
        self.bot_world(event.botcode).fold_operation(recorded.position, event)
        return (WakeRecords(event.botcode),)

    def _fold_message(self, recorded: Recorded, event: MessageEvent, mono: int) -> Sequence[Wake]:
        stream = recorded.stream
        known = self.messages.get(stream)
        if known is None:
            if not isinstance(event, message.MessageQueued):
                return ()  # closed; a final state stays final whatever else is recorded
            known = self.messages[stream] = StreamState(
                message.evolve(None, event), recorded.version, recorded.position
            )
        else:
            known.state = message.evolve(known.state, event)
            known.version = recorded.version
        state = known.state
        world = self.bot_world(state.queued.botcode)
        world.fold_message(stream, known, event, mono)
        if state.state in message.ENDED and not (isinstance(event, message.MessageInDoubt) and event.resend):
            del self.messages[stream]
            if state.state is MessageState.IN_DOUBT:
                self.doubts[stream] = (known.position, state.queued.botcode)
        return self._follow(world, message.react(state, event, stream, known.position), recorded, mono)

    def _fold_inbound(self, recorded: Recorded, event: MessageReceived, mono: int) -> Sequence[Wake]:
        addressed = event.mentioned or not event.room_id
        notices = [
            inbound.notice(event, chid)
            for chid, grant in self.view.grants(event.botcode)
            if addressed or grant.inbound == "all"
        ]
        return self._follow(self.bot_world(event.botcode), notices, recorded, mono)

    def _fold_delivery(self, recorded: Recorded, event: DeliveryEvent, mono: int) -> Sequence[Wake]:
        stream = recorded.stream
        self.view.fold_delivery(stream, event)
        if isinstance(event, DeliveryDue | DeliveryReplayed):
            self.delivery_bots[stream] = event.botcode
        botcode = self.delivery_bots.get(stream) or getattr(event, "botcode", "")
        if not botcode:
            return ()  # closed
        deliveries = self.bot_world(botcode).deliveries
        wakes = deliveries.fold(recorded, mono)
        if not deliveries.is_open(stream):
            self.delivery_bots.pop(stream, None)
        return [*wakes, WakeRecords(botcode)]

    def _fold_token(self, recorded: Recorded, event: TokenEvent, mono: int) -> Sequence[Wake]:
        self.view.fold_token(recorded, event)
        return ()

    def _fold_shard(self, recorded: Recorded, event: ShardEvent, mono: int) -> Sequence[Wake]:
        self.view.fold_shard(recorded, event)
        return ()

    def _follow(self, world: BotWorld, effects: Iterable[Effect], recorded: Recorded, mono: int) -> Sequence[Wake]:
        wakes: list[Wake] = []
        told = False
        for effect in effects:
            if not isinstance(effect, Notify):
                wakes.append(effect)
            elif recorded.position > self.told_to:
                told = bool(world.expect(effect, recorded, mono)) or told
        if told:
            wakes.append(WakeRecords(world.botcode))
        return wakes
