"""The promises to whoever asks: 1 (accepted once, durable before the answer), 2 (a txcode stands for one thing) and 20 (who is
told of the end).
"""

from collections import defaultdict
from collections.abc import Iterator

from wxrc_core import bot, delivery, message
from wxrc_core.delivery import DeliveryAnswered, DeliveryDue
from wxrc_core.log import event_as
from wxrc_core.operation import OperationAccepted
from wxrc_simulation.contents import SENDING
from wxrc_simulation.histories import Asked, violations
from wxrc_simulation.promises_facts import Facts, is_end, label, wire_status
from wxrc_simulation.records import Call
from wxrc_simulation.schedule import ODD

ACCEPTED, REUSED, UNAVAILABLE = "0", "12", "22"


REFUSED = frozenset(ODD)
"""What makes a request one that must be refused."""


NOTICED_MS = 30
"""How long a closed connection may go unnoticed (ms)."""


def check_1(facts: Facts) -> Iterator[str]:
    """Check that every accepted request is one event, which was durable before the answer, and that nothing is there that nobody
    asked for.
    """
    for stream, calls in facts.calls.items():
        history = facts.streams.get(stream, [])
        for call in calls:
            if call.rtcode != ACCEPTED:
                continue
            if not history or history[0].position > call.log_end:
                yield f"{stream} was answered 0 before it was in the log"
            elif call.interface in SENDING and call.msgid != history[0].position:
                yield f"{stream} was answered msgid {call.msgid} and has {history[0].position}"
    for call in facts.run.calls:
        if call.rtcode == ACCEPTED and call.odd in REFUSED:
            yield f"call {call.number}: a request that must be refused ({call.odd}) was answered 0"
        if call.rtcode == ACCEPTED and call.interface == "msgCancel" and not _cancelled(facts, call):
            yield f"call {call.number}: a cancelled message was answered with {call.send_status} {call.send_reason}"
    chids = {call.chid for call in facts.run.calls}
    for stream, history in facts.streams.items():
        first = history[0].event
        if not isinstance(first, message.MessageQueued | OperationAccepted):
            continue
        again = sum(isinstance(recorded.event, message.MessageQueued | OperationAccepted) for recorded in history)
        if again != 1:
            yield f"{stream} was accepted {again} times"
        if stream not in facts.calls and first.chid in chids:
            yield f"{stream} is in the log and nobody asked for it"
            continue
        asked = [call for call in facts.calls.get(stream, ()) if call.invoked <= facts.durable_at(history[0].position)]
        if not isinstance(first, message.MessageQueued) or first.chid not in chids:
            continue
        if not any(call.text == label(first) and call.botcode == first.botcode for call in asked):
            yield f"{stream}: what is in the log is not what was asked for"


def _answer(call: Call) -> int | str:
    if call.returned is None:
        return "unknown"
    if call.rtcode == ACCEPTED:
        return (call.msgid or 0) if call.interface in SENDING else 0
    return "reused" if call.rtcode == REUSED else "unknown"


def _cancelled(facts: Facts, call: Call) -> bool:
    """Return whether this is how a message stands that was cancelled: one that may have arrived before is in doubt.

    A claim is enough for a doubt: whoever made it may have been stopped before or after it called the puppet.
    """
    before = any(msgid == call.msgid for msgid, _ in facts.attempts)
    return call.send_reason == "cancelled" or (call.send_reason == "unconfirmed" and before)


def check_2(facts: Facts) -> Iterator[str]:
    """Check that the answers are those of one map from txcode to message, that only one content reached WeChat, and operations ran once."""
    history = [
        Asked(f"call {call.number}", stream, call.content, call.invoked, call.returned, _answer(call))  # type: ignore[arg-type]
        for stream, calls in facts.calls.items()
        for call in calls
    ]
    yield from violations(history)
    yield from check_digits(facts)
    owners = {call.text: stream for stream, calls in facts.calls.items() for call in calls if call.text}
    arrived: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for arrival in facts.run.arrivals:
        if arrival.text in owners:
            arrived[owners[arrival.text]].add((arrival.msgid, arrival.text))
    for stream, contents in arrived.items():
        if len(contents) > 1:
            yield f"{stream} reached WeChat as {len(contents)} messages: {sorted(contents)}"
    for position, times in facts.operations.items():
        if times > 1:
            yield f"operation {position} was carried out {times} times"


def check_digits(facts: Facts) -> Iterator[str]:
    """Check that clients are handed only digits that were asked for, and each request's once (part of promise 2)."""
    asked = {(call.botcode, call.content.split("|")[-2]) for call in facts.run.calls if call.interface == "loginCode"}
    handed = [(each.botcode, each.digits) for each in facts.run.digits]
    for botcode, digits in handed:
        if (botcode, digits) not in asked:
            yield f"the client of {botcode} was handed digits that nobody had asked to hand over"
    for botcode, history in facts.bots.items():
        submitted = sum(isinstance(recorded.event, bot.DigitsSubmitted) for recorded in history)
        count = sum(each == botcode for each, _ in handed)
        if count > submitted:
            yield f"digits were handed to the client of {botcode} {count} times and submitted {submitted} times"


def check_20(facts: Facts) -> Iterator[str]:
    """Check that an end that counts as answered was in the answer of a request that may have made the message, and of no second place."""
    for stream, history in facts.streams.items():
        first = history[0].event
        if not isinstance(first, DeliveryAnswered):
            continue
        cause = facts.log[delivery.cause(stream) - 1]
        if not is_end(cause.event) or not cause.stream.startswith("message/"):
            yield f"{stream} is called answered, and {cause.position} is no message's end"
            continue
        made = facts.streams[cause.stream][0]
        told = made.position, *wire_status(cause.event, event_as(message.MessageQueued, made))
        calls = [call for call in facts.calls.get(cause.stream, ()) if call.interface in SENDING]
        if not any(_told(facts, call, told, history[0].position) for call in calls):
            yield f"{stream} is called answered, and no request got {told} as its answer"
        if any(isinstance(recorded.event, DeliveryDue) for recorded in history):
            yield f"{stream} is called answered and is due as well"


def _told(facts: Facts, call: Call, told: tuple[int, str, str], answered: int) -> bool:
    """Return whether a call got this end as its answer, or would have, had it or its process lived."""
    if call.rtcode == ACCEPTED:
        return (call.msgid, call.send_status, call.send_reason) == told
    if call.invoked > facts.durable_at(answered):
        return False
    if call.gone and call.gone_at + NOTICED_MS < facts.run.begun.get(answered, 0):
        return False  # it had gone before its answer was claimed, and its connection was closed
    # It went away, or the process that was about to answer did: nobody can know better than the process did.
    return call.returned is None
