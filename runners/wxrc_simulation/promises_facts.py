"""What the judges read off a finished run before they judge: the log by stream, each message's life, who owned which shard, who knew what.

Everything here is read from the raw log and from the records of the world outside. Nothing is taken from a gateway's own fold, and
the few rules that are needed (which step follows which) are compiled here once more from the declarations.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from wxrc_core import bot, channel, delivery, message
from wxrc_core.log import Recorded, event_as
from wxrc_core.puppet import SendOutcome
from wxrc_core.shard import ShardTaken, shard_of
from wxrc_core.table import Transitions, event_name
from wxrc_simulation.contents import SENDING
from wxrc_simulation.records import Arrival, Call, HandOver, Received, Run

STEPS: dict[str, dict[tuple[str, str], str]] = {}
"""For each aggregate with a table: the state after a (state, trigger)."""


def _compile(aggregate: str, transitions: Transitions) -> None:
    steps = STEPS.setdefault(aggregate, {})
    for row in transitions:
        sources = row["source"] if isinstance(row["source"], list) else [row["source"]]
        for source in sources:
            steps[source, str(row["trigger"])] = source if row["dest"] in ("=", None) else str(row["dest"])


_compile("bot", bot.TRANSITIONS)
_compile("message", message.TRANSITIONS)
_compile("delivery", delivery.TRANSITIONS)

ENDS: dict[type, str] = {
    message.MessageSent: "sent",
    message.MessageRoomNotFound: "room_not_found",
    message.MessageRejected: "rejected",
    message.MessageFailed: "failed",
    message.MessageExpired: "expired",
    message.MessageCancelled: "cancelled",
    message.MessageInDoubt: "in_doubt",
}
FINAL = frozenset(ENDS.values()) - {"in_doubt"}

CONTROL = ("qrCode", "botStatus")


def trigger(event: object, aggregate: str) -> str:
    """Return the name of an event in its aggregate's declaration."""
    return event_name(event.__class__, aggregate)


def is_end(event: object) -> bool:
    """Return whether a channel is to be told of this event of a message."""
    return event.__class__ in ENDS and not (isinstance(event, message.MessageInDoubt) and event.resend)


def label(queued: message.MessageQueued) -> str:
    """Return what tells contents apart: the text, a card's title, or the URL of an image."""
    if queued.image is not None:
        return queued.image.source
    return queued.card.title if queued.card is not None else queued.text


def wire_status(event: Any, queued: message.MessageQueued) -> tuple[str, str]:
    """Return sendStatus and sendReason of an end, as wire.md has them (roomSendText)."""
    match event:
        case message.MessageRejected() if queued.card is not None:
            return "3", "rejected"
        case message.MessageFailed(reason="no_file"):
            return "3", "failed"
        case message.MessageSent():
            return {"ok": "1", "not_in_room": "3", "unknown": "4"}[event.mention], ""
        case message.MessageRoomNotFound():
            return "2", ""
        case message.MessageFailed():
            return "-1", event.reason
        case message.MessageInDoubt():
            return "-1", "unconfirmed"
        case _:
            return "-1", ENDS[event.__class__]


@frozen
class MessageFacts:
    """One message: its number, its stream, its events."""

    msgid: int
    stream: str
    history: list[Recorded]

    @property
    def queued(self) -> message.MessageQueued:
        """What was asked for."""
        return event_as(message.MessageQueued, self.history[0])

    @cached_property
    def states(self) -> list[tuple[int, str]]:
        """Where it stood from which position on."""
        state, found = "new", []
        for recorded in self.history:
            state = STEPS["message"].get((state, trigger(recorded.event, "message")), state)
            found.append((recorded.position, state))
        return found

    @property
    def state(self) -> str:
        """Where it stands in the end."""
        return self.states[-1][1]

    def state_at(self, position: int) -> str:
        """Return where it stood when the log ended at this position; `new` before its first event."""
        found = bisect.bisect_right(self.states, (position, "~")) - 1
        return self.states[found][1] if found >= 0 else "new"


class Facts:
    """A run, indexed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.log = run.log
        self.streams: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in run.log:
            self.streams[recorded.stream].append(recorded)

    @cached_property
    def messages(self) -> Mapping[int, MessageFacts]:
        """Every message by its number."""
        return {
            history[0].position: MessageFacts(history[0].position, stream, history)
            for stream, history in self.streams.items()
            if isinstance(history[0].event, message.MessageQueued)
        }

    @cached_property
    def attempts(self) -> Mapping[tuple[int, int], Recorded]:
        """Every claim by msgid and number."""
        return {
            (msgid, recorded.event.attempt): recorded
            for msgid, each in self.messages.items()
            for recorded in each.history
            if isinstance(recorded.event, message.MessageAttempted)
        }

    @cached_property
    def handed(self) -> Mapping[tuple[int, int], list[HandOver]]:
        """Every call of a puppet's `send` by msgid and attempt."""
        found: dict[tuple[int, int], list[HandOver]] = defaultdict(list)
        for hand_over in self.run.handed:
            found[hand_over.msgid, hand_over.attempt].append(hand_over)
        return found

    @cached_property
    def outcomes(self) -> Mapping[tuple[int, int], SendOutcome]:
        """What the puppet answered, as far as it was a proper answer."""
        return {(said.msgid, said.attempt): said.outcome for said in self.run.said}

    @cached_property
    def arrivals(self) -> Mapping[int, list[Arrival]]:
        """What reached WeChat, by msgid."""
        found: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in self.run.arrivals:
            found[arrival.msgid].append(arrival)
        return found

    @cached_property
    def calls(self) -> Mapping[str, list[Call]]:
        """What clients asked under each txcode, by the name of the stream that it names; questions about a message are left out."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in sorted(self.run.calls, key=lambda call: call.number):
            if call.interface in ASKING:
                found[message.stream_name(call.chid, call.day, call.txcode)].append(call)
        return found

    @cached_property
    def received(self) -> Mapping[str, list[Received]]:
        """What receivers got, by webhook-id."""
        found: dict[str, list[Received]] = defaultdict(list)
        for received in self.run.received:
            found[received.webhook_id].append(received)
        return found

    # -- owners -----------------------------------------------------------------------------------------------------------------

    @cached_property
    def _shards(self) -> Mapping[int, list[Recorded]]:
        found: dict[int, list[Recorded]] = {}
        for stream, history in self.streams.items():
            if stream.startswith("shard/"):
                found[int(stream.partition("/")[2])] = history
        return found

    def epoch(self, botcode: str, position: int) -> tuple[int, str]:
        """Return the epoch of a bot's shard when the log ended at this position, and the member that owned it; empty = nobody."""
        history = self._shards.get(shard_of(botcode, self.run.shards), [])
        number = bisect.bisect_right(history, position, key=lambda recorded: recorded.position)
        if not number:
            return 0, ""
        last = history[number - 1].event
        return number, last.member if isinstance(last, ShardTaken) else ""

    def member_until(self, process: str, at: int) -> int:
        """Return until when a replica's run was a member, as far as it had been told by then (ms)."""
        return max(
            (each.until for each in self.run.memberships if each.process == process and each.at <= at), default=0
        )

    def owns(self, process: str, botcode: str, position: int) -> bool:
        """Return whether this process owned the bot's shard when the log ended at this position."""
        _, member = self.epoch(botcode, position)
        return member.rpartition("-")[0] == process

    def author(self, position: int) -> str:
        """Return the process that wrote this event; empty = the set-up."""
        return self.run.authors.get(position, "")

    def seen(self, position: int) -> int:
        """Return up to which position the log was known to whoever wrote this event, when it did."""
        return self.run.seen.get(position, position - 1)

    def durable_at(self, position: int) -> int:
        """Return when this event became durable (true ms)."""
        return self.run.appended[position]

    # -- bots, channels ---------------------------------------------------------------------------------------------------------

    @cached_property
    def bots(self) -> Mapping[str, list[Recorded]]:
        """The history of every bot."""
        return {
            history[0].event.botcode: history
            for history in self.streams.values()
            if isinstance(history[0].event, bot.BotAdded)
        }

    def added(self, botcode: str) -> bot.BotAdded:
        """Return what was said of a bot when it was made."""
        return event_as(bot.BotAdded, self.bots[botcode][0])

    def bot_events(self, botcode: str, to: int) -> list[Recorded]:
        """Return a bot's events up to a position."""
        history = self.bots[botcode]
        return history[: bisect.bisect_right(history, to, key=lambda recorded: recorded.position)]

    @cached_property
    def _channels(self) -> Mapping[str, list[Recorded]]:
        return {
            stream.partition("/")[2]: history
            for stream, history in self.streams.items()
            if isinstance(history[0].event, channel.ChannelAdded)
        }

    def removed_bot(self, botcode: str) -> Recorded | None:
        """Return the event by which a bot was removed, or None."""
        return next((each for each in self.bots.get(botcode, ()) if isinstance(each.event, bot.BotRemoved)), None)

    def own_paces(self, chid: str, botcode: str, first: int, last: int) -> list[int]:
        """Return the paces that a channel's grant for a bot had while the log grew from one position to another; 0 = none of its own."""
        found, pace = [0], 0
        for recorded in self._channels.get(chid, ()):
            if recorded.position > last:
                break
            match recorded.event:
                case channel.BotGranted(botcode=known) if known == botcode:
                    pace = recorded.event.pace
                case channel.BotRevoked(botcode=known) if known == botcode:
                    pace = 0
                case channel.ChannelRemoved():
                    pace = 0
                case _:
                    continue
            found = [pace] if recorded.position <= first else [*found, pace]
        return found

    def told_channels(self, botcode: str, position: int) -> Iterator[tuple[str, channel.BotGranted]]:
        """Give out the channels that are told of what happens to a bot at this position: granted, and with a callback."""
        for chid, history in self._channels.items():
            granted: channel.BotGranted | None = None
            for recorded in history:
                if recorded.position > position:
                    break
                match recorded.event:
                    case channel.BotGranted(botcode=known) if known == botcode:
                        granted = recorded.event
                    case channel.BotRevoked(botcode=known) if known == botcode:
                        granted = None
                    case channel.ChannelRemoved():
                        granted = None
            if granted is not None and self.callback_url(chid, position):
                yield chid, granted

    def callback_url(self, chid: str, position: int) -> str:
        """Return where a channel's callbacks go when the log ends at this position; empty = nowhere, or there is no such channel."""
        url = ""
        for recorded in self._channels.get(chid, ()):
            if recorded.position > position:
                break
            if isinstance(recorded.event, channel.ChannelAdded | channel.CallbackMoved):
                url = recorded.event.callback_url
            elif isinstance(recorded.event, channel.ChannelRemoved):
                url = ""
        return url

    def channel_events(self, chid: str) -> list[tuple[int, channel.ChannelEvent]]:
        """Return the events of a channel with their positions; none where there is no such channel."""
        history = self._channels.get(chid, [])
        return [(each.position, each.event) for each in history if isinstance(each.event, channel.ChannelEvent)]

    def removed_at(self, chid: str) -> int:
        """Return the position at which a channel was removed; 0 = it was not."""
        events = self.channel_events(chid)
        return next((position for position, event in events if isinstance(event, channel.ChannelRemoved)), 0)

    # -- permission -------------------------------------------------------------------------------------------------------------

    def may_repeat(self, each: MessageFacts) -> bool:
        """Return whether policy or an operator allows this message to reach its room more than once."""
        return each.queued.on_doubt == "resend" or self.by_operator(each)

    def by_operator(self, each: MessageFacts) -> bool:
        """Return whether an operator decided about this message."""
        return bool({each.stream, str(each.msgid)} & (self.run.resends | self.run.given_up | self.run.vouched))

    @cached_property
    def operations(self) -> Counter[int]:
        """How often each operation was carried out, by its position."""
        return Counter(number for recorded in self.log if (number := getattr(recorded.event, "operation", 0)))


ASKING = SENDING | {"login", "macLogin", "webLogin", "loginCode", "logout", "stop", "msgCancel"}
"""The interfaces whose txcode is used up."""
