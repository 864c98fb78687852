"""The gateway's promises (docs, Testing), as far as a log alone can show whether they were kept.

    assert [] == check_log(log)

`log` is all of a log in position order, as `Store.read_all` gives it. What needs to know more than the log (what reached WeChat, what the
receivers got, when a hand-over took place) is judged by `wxrc_simulation`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import cast

import msgspec
from attrs import field, frozen

from wxrc_core import aggregate, bot, codec, delivery, inbound, message, operation, shard
from wxrc_core.aggregate import State
from wxrc_core.bot import Bot
from wxrc_core.codec import UnknownEvent
from wxrc_core.errors import InvalidValue
from wxrc_core.log import Event, Recorded, event_as
from wxrc_core.message import Message, MessageState
from wxrc_core.puppet import conversation
from wxrc_core.table import Table

TABLES: Mapping[str, Table[bot.BotState] | Table[MessageState] | Table[delivery.DeliveryState]] = {
    "bot": bot.TABLE,
    "message": message.TABLE,
    "delivery": delivery.TABLE,
}


@frozen
class Broken:
    """A promise that was not kept: its number, and in a sentence where."""

    number: int
    sentence: str


@frozen
class Evidence:
    """A log, looked at from several sides.

    Attributes:
        log: All events, in position order.
        streams: The same, by stream.
    """

    log: Sequence[Recorded]
    streams: Mapping[str, Sequence[Recorded]] = field(init=False)
    _bots: dict[str, list[tuple[int, Bot]]] = field(init=False, factory=dict)

    @streams.default
    def _by_stream(self) -> Mapping[str, Sequence[Recorded]]:
        streams: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in self.log:
            streams[recorded.stream].append(recorded)
        return dict(streams)

    @property
    def whole(self) -> bool:
        """No stream lacks an event: where one does, nothing more can be said of what the events mean."""
        return all(
            [recorded.version for recorded in history] == list(range(1, len(history) + 1))
            for history in self.streams.values()
        )

    @property
    def pruned(self) -> bool:
        """Closed streams were deleted: what refers to their events refers to nothing."""
        return bool(self.log) and self.log[-1].position != len(self.log)

    def messages(self) -> Iterator[tuple[str, Sequence[Recorded]]]:
        """Give out every message's stream and history."""
        for stream, history in self.streams.items():
            if isinstance(history[0].event, message.MessageQueued):
                yield stream, history

    def bot_between(self, botcode: str, after: int, until: int) -> Iterator[Bot]:
        """Give out every state that the bot was in from one position to another. Who decided at the second knew one of them."""
        states = self._bots.get(botcode)
        if states is None:
            states = self._bots[botcode] = []
            state: Bot | None = None
            for recorded in self.streams.get(bot.stream_name(botcode), ()):
                state = bot.evolve(state, cast("bot.BotEvent", recorded.event))
                states.append((recorded.position, state))
        earlier = [state for position, state in states if position <= after]
        yield from earlier[-1:]
        yield from (state for position, state in states if after < position <= until)


# -- the checks -----------------------------------------------------------------------------------------------------------------


def check_1(evidence: Evidence) -> Iterator[str]:
    """Check that a message has exactly one `queued` event, its first."""
    for stream, history in evidence.streams.items():
        numbers = [recorded.version for recorded in history if isinstance(recorded.event, message.MessageQueued)]
        if numbers not in ([], [1]):
            yield f"{stream} was queued at its versions {numbers}"


def check_2(evidence: Evidence) -> Iterator[str]:
    """Check that an operation is carried out once at most, by the bot that it was for, and after it was accepted."""
    accepted = {
        recorded.position: recorded.event
        for recorded in evidence.log
        if isinstance(recorded.event, operation.OperationAccepted)
    }
    carried_out: set[int] = set()
    for recorded in evidence.log:
        position = getattr(recorded.event, "operation", 0)
        if not position:
            continue
        if position in carried_out:
            yield f"operation {position} was carried out again at position {recorded.position}"
        carried_out.add(position)
        asked = accepted.get(position)
        if asked is None and evidence.pruned:
            continue
        if asked is None or position > recorded.position or bot.stream_name(asked.botcode) != recorded.stream:
            yield f"{recorded.stream} carried out operation {position} at position {recorded.position}, which was not asked of it"


def check_3(evidence: Evidence) -> Iterator[str]:
    """Check that versions run 1..n without a gap, and that only legal transitions are recorded."""
    for stream, history in evidence.streams.items():
        versions = [recorded.version for recorded in history]
        if versions != list(range(1, len(history) + 1)):
            yield f"{stream} has the versions {versions}"
        kind = stream.partition("/")[0]
        if kind not in TABLES or isinstance(history[0].event, operation.OperationAccepted):
            if kind not in ("channel", "shard") and len(history) > 1:
                yield f"{stream} has {len(history)} events and may have one"
            continue
        state = "new"
        for recorded in history:
            after = TABLES[kind].next.get(recorded.event.__class__, {}).get(state)
            if after is None:
                yield f"{stream} took {recorded.event.__class__.__name__} in state '{state}'"
                break
            state = after


def check_4(evidence: Evidence) -> Iterator[str]:
    """Check that positions only rise, by one each; a pruned log may have gaps."""
    positions = [recorded.position for recorded in evidence.log]
    for before, after in pairwise(positions):
        if after <= before:
            yield f"position {after} follows {before}"


def check_5(evidence: Evidence) -> Iterator[str]:
    """Check that claims are numbered 1, 2, 3, ... and that whatever is said of an attempt is said after its claim."""
    for stream, history in evidence.messages():
        claims = 0
        for recorded in history:
            attempt = getattr(recorded.event, "attempt", None)
            if isinstance(recorded.event, message.MessageAttempted):
                claims += 1
                if attempt != claims:
                    yield f"{stream}: claim {claims} has the number {attempt}"
            elif attempt is not None and not 1 <= attempt <= claims:
                yield f"{stream}: {recorded.event.__class__.__name__} is about attempt {attempt}, after {claims} claims"


def check_6(evidence: Evidence) -> Iterator[str]:
    """Check that nothing is sent again by policy out of doubt where no policy allows it."""
    for stream, history in evidence.messages():
        queued = event_as(message.MessageQueued, history[0])
        for recorded in history:
            event = recorded.event
            if not (isinstance(event, message.MessageInDoubt) and event.resend) or queued.on_doubt == "resend":
                continue
            bots = evidence.bot_between(queued.botcode, 0, recorded.position)
            if not any(the_bot.added.deduplicates for the_bot in bots):
                yield f"{stream} was sent again out of doubt, and no policy allowed it"


def check_7(evidence: Evidence) -> Iterator[str]:
    """Check that `sent` is said only with a receipt, or by an operator of a message in doubt."""
    for stream, history in evidence.messages():
        for before, recorded in pairwise(history):
            event = recorded.event
            if not isinstance(event, message.MessageSent) or event.receipt:
                continue
            if not (event.by and isinstance(before.event, message.MessageInDoubt)):
                yield f"{stream} is called sent without a receipt"


def check_8(evidence: Evidence) -> Iterator[str]:
    """Check that every claim was made under the epoch in which its bot's shard was at that time."""
    shards: dict[int, Recorded] = {}
    for recorded in evidence.log:
        if isinstance(recorded.event, shard.ShardTaken | shard.ShardFreed):
            shards[int(recorded.stream.partition("/")[2])] = recorded
        elif isinstance(recorded.event, message.MessageAttempted) and recorded.event.epoch:
            first = event_as(message.MessageQueued, evidence.streams[recorded.stream][0])
            owner = shards.get(shard.shard_of(first.botcode, shard.SHARDS))
            if owner is None or owner.version != recorded.event.epoch or isinstance(owner.event, shard.ShardFreed):
                yield f"{recorded.stream} was claimed at position {recorded.position} under epoch {recorded.event.epoch}, which was over"


def check_9(evidence: Evidence) -> Iterator[str]:
    """Check that final states stay final, and that `room_not_found` was decided on a complete list without that room or person."""
    for stream, history in evidence.messages():
        state: Message | None = None
        since, queued = history[0].position, event_as(message.MessageQueued, history[0])
        for recorded in history:
            event = recorded.event
            if state is not None and state.state in message.FINAL:
                yield f"{stream} took {event.__class__.__name__} after its end as {state.state}"
            if isinstance(event, message.MessageRoomNotFound):
                bots = list(evidence.bot_between(queued.botcode, since, recorded.position))
                # After a claim it is the client that says so, of a room which the list still has.
                claimed = state is not None and state.state is MessageState.ATTEMPTED
                if not any(_lacks(the_bot, queued, claimed=claimed) for the_bot in bots):
                    yield f"{stream} ended as room_not_found, and no complete list without its room or person was known"
            state = message.evolve(state, cast("message.MessageEvent", event))
            since = recorded.position


def _lacks(the_bot: Bot, queued: message.MessageQueued, *, claimed: bool) -> bool:
    complete = the_bot.contacts_complete if message.is_to_person(queued) else the_bot.rooms_complete
    return complete and (claimed or not _meant(the_bot, queued))


def _meant(the_bot: Bot, queued: message.MessageQueued) -> list[str]:
    """Return the conversations that a message may be for, as far as the bot knows."""
    if not message.is_to_person(queued):
        topics = the_bot.rooms.items()
        return [
            known
            for known, topic in topics
            if queued.room_id == known or (not queued.room_id and topic == queued.room_topic)
        ]
    people = the_bot.contacts.values()
    if queued.user_id:
        meant = [each for each in people if each.id == queued.user_id]
    else:
        meant = [each for each in people if each.remark == queued.user_name]
        meant = meant or [each for each in people if each.name == queued.user_name]
    return [conversation("", each.id) for each in meant]


def check_10(evidence: Evidence) -> Iterator[str]:
    """Check that a bot claims the messages to one room or person in accept order, and only while it can send."""
    waiting: dict[str, dict[str, Recorded]] = defaultdict(
        dict
    )  # by botcode and stream: the `queued` events, in accept order
    latest: dict[str, int] = {}
    for recorded in evidence.log:
        event, stream = recorded.event, recorded.stream
        if isinstance(event, message.MessageQueued):
            waiting[event.botcode][stream] = recorded
        elif isinstance(event, message.MessageAttempted):
            own = evidence.streams[stream][0]
            queued = event_as(message.MessageQueued, own)
            bots = list(evidence.bot_between(queued.botcode, latest[stream], recorded.position))
            if not any(the_bot.ready for the_bot in bots):
                yield f"{stream} was claimed at position {recorded.position} although its bot could not send"
            mine = waiting[queued.botcode]
            mine.pop(stream, None)
            for name, older in mine.items():
                if older.position < own.position and all(
                    _is_for(event_as(message.MessageQueued, older), conversation(event.room_id, event.user_id), the_bot)
                    for the_bot in bots
                ):
                    yield f"{stream} was claimed at position {recorded.position} before {name}, which is older and for the same one"
        elif isinstance(event, message.MessageRequeued) and _keeps_its_place(evidence, recorded):
            first = evidence.streams[stream][0]
            waiting[event_as(message.MessageQueued, first).botcode][stream] = first
        elif event.__class__ in message.TABLE.next and not isinstance(event, message.MessageImageStored):
            waiting[event_as(message.MessageQueued, evidence.streams[stream][0]).botcode].pop(stream, None)
        latest[stream] = recorded.position


def _is_for(queued: message.MessageQueued, name: str, the_bot: Bot) -> bool:
    """Return whether a message was known to be for this conversation."""
    if queued.room_id or queued.user_id:
        return conversation(queued.room_id, queued.user_id) == name
    complete = the_bot.contacts_complete if queued.user_name else the_bot.rooms_complete
    return complete and _meant(the_bot, queued) == [name]


def _keeps_its_place(evidence: Evidence, requeued: Recorded) -> bool:
    """Return whether the owner itself returned the message to the queue. What others return comes as a surprise to it."""
    before = evidence.streams[requeued.stream][requeued.version - 2].event
    return not (isinstance(before, message.MessageInDoubt) and not before.resend)


def check_12(evidence: Evidence) -> Iterator[str]:
    """Check that every delivery is named after an earlier event and its channel, and that its body says so."""
    positions = {recorded.position for recorded in evidence.log}
    for stream, history in evidence.streams.items():
        first = history[0]
        due = first.event
        if not isinstance(due, delivery.DeliveryDue | delivery.DeliveryAnswered):
            continue
        cause = _cause(stream)
        if (
            stream != delivery.stream_name(cause, due.chid)
            or cause >= first.position
            or (cause not in positions and not evidence.pruned)
        ):
            yield f"{stream} is not named after an earlier event and its channel"
        if isinstance(due, delivery.DeliveryDue) and msgspec.json.decode(due.body).get("seq") != cause:
            yield f"{stream} has the body of another notice"


def check_13(evidence: Evidence) -> Iterator[str]:
    """Check that each stream, written as bytes and read back, folds to the same state."""
    for stream, history in evidence.streams.items():
        again = [_read_back(recorded.event) for recorded in history]
        if None in again:
            continue  # promise 18 was not kept
        if _folded(recorded.event for recorded in history) != _folded(event for event in again if event is not None):
            yield f"{stream} folds to another state after it is read back"


def check_14(evidence: Evidence) -> Iterator[str]:
    """Check that an inbound message is recorded once, in the stream of its name."""
    for recorded in evidence.log:
        event = recorded.event
        if isinstance(event, inbound.MessageReceived):
            if recorded.stream != inbound.stream_name(event.botcode, event.message_id):
                yield f"{recorded.stream} has the inbound message '{event.message_id}'"
            if recorded.version != 1:
                yield f"{recorded.stream} has the same inbound message again"


def check_18(evidence: Evidence) -> Iterator[str]:
    """Check that every event can be written and read back as it is."""
    for recorded in evidence.log:
        if _read_back(recorded.event) != recorded.event:
            yield f"position {recorded.position} cannot be read back as it is: {recorded.event}"


def check_20(evidence: Evidence) -> Iterator[str]:
    """Check that what counts as answered is the end of a message of that channel."""
    for stream, history in evidence.streams.items():
        answered = history[0].event
        if not isinstance(answered, delivery.DeliveryAnswered):
            continue
        cause = _cause(stream)
        ends = [
            recorded.position
            for _, ended in evidence.messages()
            if ended[0].position == answered.msgid and event_as(message.MessageQueued, ended[0]).chid == answered.chid
            for recorded in ended
            if recorded.event.__class__ in _ENDS
        ]
        if cause not in ends:
            yield f"{stream} counts as answered, and event {cause} is no end of message {answered.msgid}"


_ENDS = tuple(event for event, row in message.TABLE.next.items() if set(row.values()) <= message.ENDED)


def _read_back(event: Event) -> Event | None:
    try:
        return codec.decode(*codec.encode(event))
    except (KeyError, InvalidValue, UnknownEvent, msgspec.DecodeError):
        return None


def _cause(stream: str) -> int:
    number = stream.removeprefix("delivery/evt_").partition("_")[0]
    return int(number) if number.isdigit() else 0


def _folded(events: Iterator[Event]) -> State | None:
    state: State | None = None
    for event in events:
        state = aggregate.evolve(state, event)
    return state


# -- all of them ----------------------------------------------------------------------------------------------------------------

CHECKS: Mapping[int, Callable[[Evidence], Iterator[str]]] = {
    1: check_1, 2: check_2, 3: check_3, 4: check_4, 5: check_5, 6: check_6, 7: check_7, 8: check_8, 9: check_9, 10: check_10,
    12: check_12, 13: check_13, 14: check_14, 18: check_18, 20: check_20,
}  # fmt: skip
"""Every check, by the number of its promise."""


def check_log(log: Sequence[Recorded]) -> list[Broken]:
    """Return where a log shows that a promise was not kept; nothing where it shows nothing of the kind."""
    evidence = Evidence(log)
    checks = CHECKS if evidence.whole else {number: CHECKS[number] for number in (3, 4, 18)}
    return [Broken(number, sentence) for number, check in checks.items() for sentence in check(evidence)]
