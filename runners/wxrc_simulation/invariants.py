"""What must hold, by the numbers of design.md. Each check reads the evidence of one finished run and says what is wrong with it.

The log is checked against what others know: WeChat's own record, the answers that channels got, what their receivers were told.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import frozen

from wxrc_core import aggregate, bot, codec, delivery, inbound, message, operation, pace
from wxrc_core.log import Recorded
from wxrc_core.puppet import NotSent, ReportMessage, SendOutcome
from wxrc_core.world import World
from wxrc_simulation.clients import Answer, Request
from wxrc_simulation.receiver import Received
from wxrc_simulation.wechat import Arrival, HandOver


@frozen(kw_only=True)
class Evidence:
    """What is known when a run has come to rest.

    Attributes:
        log: All events.
        streams: The same, by stream.
        world: The last process's fold of them.
        given: Answers that the gateway gave.
        arrived: Answers that reached their channel.
        requests: What channels asked, by the name of the request; the first is not always the one that was accepted.
        arrivals: What reached the rooms.
        handed: Calls of a puppet's `send`.
        said: What the puppet answered, by (msgid, attempt).
        receipts: The message that each receipt was given for.
        inboxes: What people wrote, by bot.
        received: Callbacks that reached their receiver.
        resent: Streams of messages that an operator had sent again.
        decided_on: For each event's position: up to which position the log was known to the one who decided it.
        ended_at: When the run ended (epoch ms).
        at_rest: Everything that could happen has happened.
    """

    log: Sequence[Recorded]
    streams: Mapping[str, Sequence[Recorded]]
    world: World
    given: Sequence[Answer]
    arrived: Sequence[Answer]
    requests: Mapping[str, Sequence[Request]]
    arrivals: Sequence[Arrival]
    handed: Sequence[HandOver]
    said: Mapping[tuple[int, int], SendOutcome]
    receipts: Mapping[str, int]
    inboxes: Mapping[str, Sequence[ReportMessage]]
    received: Sequence[Received]
    resent: frozenset[str]
    decided_on: Mapping[int, int]
    ended_at: int
    at_rest: bool

    def messages(self) -> Iterator[tuple[str, Sequence[Recorded]]]:
        """Give out every message's stream and history."""
        for stream, history in self.streams.items():
            if isinstance(history[0].event, message.MessageQueued):
                yield stream, history

    def bot_as_known(self, botcode: str, event: Recorded) -> bot.Bot:
        """Return the bot as it was known to the one who decided this event."""
        history, known = self.streams[bot.stream_name(botcode)], self.decided_on[event.position]
        state, _ = aggregate.fold(recorded for recorded in history if recorded.position <= known)
        assert isinstance(state, bot.Bot)
        return state

    def may_repeat(self, stream: str, queued: message.MessageQueued) -> bool:
        """Tell whether policy or an operator allows this message to reach its room more than once."""
        return queued.on_doubt == "resend" or stream in self.resent


def check_invariant_1(evidence: Evidence) -> Iterator[str]:
    """Check that every accepted request has exactly one `queued` event, durable before the answer."""
    for answer in evidence.given:
        if answer.code != "0" or not answer.msgid:
            continue
        if answer.msgid > answer.position:
            yield f"msgid {answer.msgid} was answered when the log ended at {answer.position}"
            continue
        first = evidence.log[answer.msgid - 1]
        if not isinstance(first.event, message.MessageQueued) or first.event.digest != answer.request.digest:
            yield f"msgid {answer.msgid} is not the `queued` event of {answer.request.name}"
    for stream, history in evidence.messages():
        queued = sum(isinstance(recorded.event, message.MessageQueued) for recorded in history)
        if queued != 1:
            yield f"{stream} has {queued} `queued` events"


def check_invariant_2(evidence: Evidence) -> Iterator[str]:
    """Check that the same request got the same msgid, another with its txcode got 12, and that only one of them was ever carried out."""
    accepted: dict[str, tuple[str, int]] = {}
    for answer in evidence.given:
        name, digest = answer.request.name, answer.request.digest
        if answer.code == "0":
            known = accepted.setdefault(name, (digest, answer.msgid))
            if known != (digest, answer.msgid):
                yield f"{name} was accepted twice: {known} and {(digest, answer.msgid)}"
    for answer in evidence.given:
        name, digest = answer.request.name, answer.request.digest
        if answer.code == "12" and accepted.get(name, ("",))[0] == digest:
            yield f"{name} was refused as another request although it is the one that was accepted"
    owners = {request.text: request.name for requests in evidence.requests.values() for request in requests}
    arrived: dict[str, set[str]] = defaultdict(set)
    for arrival in evidence.arrivals:
        arrived[owners[arrival.text]].add(f"{arrival.msgid} {arrival.text}")
    for name, contents in arrived.items():
        if len(contents) > 1:
            yield f"{name} reached WeChat as more than one message: {sorted(contents)}"
    carried_out = Counter(
        (recorded.stream, recorded.event.operation)
        for recorded in evidence.log
        if getattr(recorded.event, "operation", 0)
    )
    for (stream, position), times in carried_out.items():
        if times > 1:
            yield f"{stream}: operation {position} was carried out {times} times"


TABLES = {"bot": bot.TABLE, "message": message.TABLE, "delivery": delivery.TABLE}


def check_invariant_3(evidence: Evidence) -> Iterator[str]:
    """Check that versions run 1..n without a gap and that only legal transitions are recorded."""
    for stream, history in evidence.streams.items():
        if [recorded.version for recorded in history] != list(range(1, len(history) + 1)):
            yield f"{stream} has versions {[recorded.version for recorded in history]}"
        kind = stream.partition("/")[0]
        if kind not in TABLES or isinstance(history[0].event, operation.OperationAccepted):
            if len(history) > 1 and kind != "channel":
                yield f"{stream} has more than its one event"
            continue
        state = "new"
        for recorded in history:
            after = TABLES[kind].next.get(type(recorded.event), {}).get(state)
            if after is None:
                yield f"{stream}: {type(recorded.event).__name__} in state '{state}'"
                break
            state = after


def check_invariant_4(evidence: Evidence) -> Iterator[str]:
    """Check that positions run 1..n without a gap."""
    if [recorded.position for recorded in evidence.log] != list(range(1, len(evidence.log) + 1)):
        yield "positions have a gap"


def check_invariant_5(evidence: Evidence) -> Iterator[str]:
    """Check that every real send has an `attempted` of its own, durable before it, with the same number."""
    attempts = {
        (history[0].position, recorded.event.attempt): recorded.position
        for _, history in evidence.messages()
        for recorded in history
        if isinstance(recorded.event, message.MessageAttempted)
    }
    for hand_over in evidence.handed:
        position = attempts.get((hand_over.msgid, hand_over.attempt))
        if position is None or position > hand_over.position:
            yield f"message {hand_over.msgid} was handed over before its attempt {hand_over.attempt} was durable"
    counted = Counter((hand_over.msgid, hand_over.attempt) for hand_over in evidence.handed)
    for (msgid, attempt), times in counted.items():
        if times > 1:
            yield f"attempt {attempt} of message {msgid} was handed over {times} times"


def check_invariant_6(evidence: Evidence) -> Iterator[str]:
    """Check that a further attempt follows only a definite failure, an explicit resend, or a policy that allows it."""
    arrivals = Counter(arrival.msgid for arrival in evidence.arrivals)
    handed = {(hand_over.msgid, hand_over.attempt) for hand_over in evidence.handed}
    for stream, history in evidence.messages():
        msgid, queued = history[0].position, history[0].event
        deduplicates = evidence.world.bots[queued.botcode].state.added.deduplicates
        attempt = 0
        for before, recorded in pairwise(history):
            event = recorded.event
            if isinstance(event, message.MessageAttempted):
                attempt = event.attempt
            if not isinstance(event, message.MessageRequeued):
                continue
            if isinstance(before.event, message.MessageInDoubt):
                if not (deduplicates or evidence.may_repeat(stream, queued)):
                    yield f"message {msgid} was sent again out of doubt, and nobody had allowed it"
            elif (msgid, attempt) in handed and not isinstance(evidence.said.get((msgid, attempt)), NotSent):
                yield f"message {msgid} was sent again although attempt {attempt} had not failed for certain"
        if arrivals[msgid] > 1 and not evidence.may_repeat(stream, queued):
            yield f"message {msgid} arrived {arrivals[msgid]} times"


def check_invariant_7(evidence: Evidence) -> Iterator[str]:
    """Check that `sent` is only said of what WeChat gave a receipt for, that this has arrived, and what is said not to be sent has not."""
    arrived = {arrival.msgid for arrival in evidence.arrivals}
    for _, history in evidence.messages():
        msgid = history[0].position
        state, _ = aggregate.fold(history)
        if msgid in arrived and state.state in message.FINAL and state.state is not message.MessageState.SENT:
            yield f"message {msgid} is called {state.state} and has arrived"
        for recorded in history:
            event = recorded.event
            if isinstance(event, message.MessageSent):
                if evidence.receipts.get(event.receipt) != msgid:
                    yield f"message {msgid} is called sent on '{event.receipt}', which is no receipt for it"
                elif msgid not in arrived:
                    yield f"message {msgid} is called sent and never arrived"


def check_invariant_9(evidence: Evidence) -> Iterator[str]:
    """Check that final states stay final, and that `room_not_found` was decided on a complete list without that room."""
    for _, history in evidence.messages():
        msgid, queued = history[0].position, history[0].event
        state: message.Message | None = None
        for recorded in history:
            if state is not None and state.state in message.FINAL:
                yield f"message {msgid}: {type(recorded.event).__name__} after its end as {state.state}"
            state = message.evolve(state, recorded.event)
            if isinstance(recorded.event, message.MessageRoomNotFound):
                client = evidence.bot_as_known(queued.botcode, recorded).client
                if not client.rooms_complete:
                    yield f"message {msgid}: room_not_found while the room list was not complete"
                elif queued.room_id in client.rooms or queued.room_topic in client.rooms.values():
                    yield f"message {msgid}: room_not_found although the list has the room"


DECIDED_BEFORE_MS = 100
"""A send is right at the moment it is decided; until it is durable and handed over, this much passes at most (ms)."""


def check_invariant_10(evidence: Evidence) -> Iterator[str]:
    """Check that per room first attempts start in accept order, from a bot that can send, and before the message's time is over."""
    latest: dict[tuple[str, str], int] = {}
    for recorded in evidence.log:
        if isinstance(recorded.event, message.MessageAttempted):
            first = evidence.streams[recorded.stream][0]
            if not evidence.bot_as_known(first.event.botcode, recorded).ready:
                yield f"message {first.position} was attempted although its bot was known not to be able to send"
            if recorded.event.attempt > 1:
                continue
            room = first.event.botcode, recorded.event.room_id
            if first.position < latest.get(room, 0):
                yield f"message {first.position} was attempted after message {latest[room]}, which was accepted later"
            latest[room] = first.position
    for hand_over in evidence.handed:
        expires_at = evidence.log[hand_over.msgid - 1].event.expires_at
        if expires_at is not None and hand_over.at > expires_at + DECIDED_BEFORE_MS:
            yield f"message {hand_over.msgid} was handed over when its time was over"


def check_invariant_11(evidence: Evidence) -> Iterator[str]:
    """Check that no window of time has more sends than the bot's pace allows, crashes or not."""
    sends: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for hand_over in evidence.handed:
        sends[hand_over.botcode].append((hand_over.at, hand_over.room_id))
    for botcode, made in sends.items():
        limits = pace.PACES[evidence.world.bots[botcode].state.added.pace]
        if limits is None:
            continue
        for number, (at, room_id) in enumerate(made):
            if at + DECIDED_BEFORE_MS < pace.earliest(limits, made[:number], room_id):
                yield f"bot {botcode}: the send at {at} came too early"


def check_invariant_12(evidence: Evidence) -> Iterator[str]:
    """Check that every callback that is due has ended, under one id and body, and that every channel learned its messages' end."""
    bodies: dict[str, str] = {}
    for received in evidence.received:
        if bodies.setdefault(received.webhook_id, received.body) != received.body:
            yield f"callback {received.webhook_id} changed its body"
    for stream, history in evidence.streams.items():
        if isinstance(history[0].event, delivery.DeliveryDue):
            last = history[-1].event
            if not isinstance(last, delivery.DeliveryDelivered | delivery.DeliveryExpired | delivery.DeliveryGivenUp):
                yield f"{stream} has not ended"
            if isinstance(last, delivery.DeliveryDelivered) and delivery.webhook_id(stream) not in bodies:
                yield f"{stream} is called delivered and never reached its receiver"
    learned = {(answer.msgid, answer.status, answer.reason) for answer in evidence.arrived if answer.code == "0"}
    for stream, history in evidence.messages():
        state, _ = aggregate.fold(history)
        chid = state.queued.chid
        if state.state in (message.MessageState.QUEUED, message.MessageState.ATTEMPTED):
            continue
        if not evidence.world.channels[chid].state.settings.callback_url:
            continue
        if delivery.stream_name(history[-1].position, chid) in evidence.streams:
            continue
        if (history[0].position, *message.send_status(state)) not in learned:
            yield f"channel {chid} never learned that {stream} ended as {state.state}"
    for recorded in evidence.log:
        if isinstance(recorded.event, bot.LoggedIn | bot.LoggedOut | bot.LoginFailed | bot.SignedOut | bot.Stopped):
            botcode = recorded.stream.partition("/")[2]
            for chid, held in evidence.world.channels.items():
                wanted = held.state.settings.callback_url and botcode in held.state.grants
                if wanted and delivery.stream_name(recorded.position, chid) not in evidence.streams:
                    yield f"channel {chid} was never told of event {recorded.position} of bot {botcode}"


def check_invariant_13(evidence: Evidence) -> Iterator[str]:
    """Check that the log, written as bytes and read back into a new world, gives what the running process holds."""
    again = World()
    for recorded in evidence.log:
        again.fold(recorded._replace(event=codec.decode(*codec.encode(recorded.event))))
    for what in ("bots", "channels", "messages", "deliveries"):
        if getattr(again, what) != getattr(evidence.world, what):
            yield f"the fold of the log and the running process differ in {what}"


def check_invariant_14(evidence: Evidence) -> Iterator[str]:
    """Check that what somebody wrote is recorded once, and all of it where the bot came back."""
    for botcode, inbox in evidence.inboxes.items():
        addressed = {written.message_id for written in inbox if written.mentioned or not written.room_id}
        recorded = [
            entry.event.message_id
            for entry in evidence.log
            if isinstance(entry.event, inbound.MessageReceived) and entry.event.botcode == botcode
        ]
        if len(recorded) != len(set(recorded)):
            yield f"bot {botcode}: an inbound message is recorded twice"
        if evidence.world.bots[botcode].state.ready and not addressed <= set(recorded):
            yield f"bot {botcode}: inbound messages are missing: {sorted(addressed - set(recorded))}"


def check_invariant_15(evidence: Evidence) -> Iterator[str]:
    """Check that nothing is left half done once faults are over."""
    if not evidence.at_rest:
        yield "it never came to rest"
        return
    for stream, held in evidence.world.messages.items():
        the_bot: bot.Bot = evidence.world.bots[held.state.queued.botcode].state
        if held.state.state is message.MessageState.ATTEMPTED:
            yield f"{stream} is still attempted"
        elif held.state.state is message.MessageState.QUEUED and the_bot.ready:
            yield f"{stream} is still queued although its bot can send"
        elif held.state.state is message.MessageState.QUEUED and evidence.ended_at > (
            held.state.queued.expires_at or evidence.ended_at
        ):
            yield f"{stream} is still queued although its time is over"
    for stream, held in evidence.world.deliveries.items():
        yield f"{stream} is still {held.state.state}"
    for botcode, held in evidence.world.bots.items():
        if held.state.ending:
            yield f"bot {botcode} is still ending: {held.state.ending}"
        if held.state.running and not held.state.client.link:
            yield f"bot {botcode} is meant to run, and is not connected"
    carried_out = {getattr(recorded.event, "operation", 0) for recorded in evidence.log}
    for recorded in evidence.log:
        if isinstance(recorded.event, operation.OperationAccepted) and recorded.position not in carried_out:
            yield f"operation {recorded.position} ({recorded.event.kind}) was never carried out"


Check = Callable[[Evidence], Iterator[str]]
CHECKS: dict[int, Check] = {
    1: check_invariant_1,
    2: check_invariant_2,
    3: check_invariant_3,
    4: check_invariant_4,
    5: check_invariant_5,
    6: check_invariant_6,
    7: check_invariant_7,
    9: check_invariant_9,
    10: check_invariant_10,
    11: check_invariant_11,
    12: check_invariant_12,
    13: check_invariant_13,
    14: check_invariant_14,
    15: check_invariant_15,
}
"""Every check, by the number of its invariant. 8 and 16 need more than one process and real logs; 17 compares whole runs."""


def broken(evidence: Evidence) -> list[tuple[int, str]]:
    """Return what does not hold: (number, sentence)."""
    return [(number, sentence) for number, check in CHECKS.items() for sentence in check(evidence)]
