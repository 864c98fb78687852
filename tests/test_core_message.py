"""A message: given what happened, when something is asked or reported, then this is recorded and that must be done."""

from typing import Any

import pytest

from tests.core import fold
from wxrc_core import message
from wxrc_core.effects import Dispatch, Notify, Send
from wxrc_core.errors import IllegalTransition, Refusal, TxcodeReused
from wxrc_core.puppet import Accepted, NotSent, Outgoing, Rejected, Unconfirmed

STREAM = message.stream_name("ch", "20261124", "tx1")


def queued(**fields: Any) -> message.MessageQueued:
    """Return a `queued` event with some fields of one's own."""
    known = {"chid": "ch", "botcode": "b", "txcode": "tx1", "interface": "roomSendText", "digest": "d", "text": "你好"}
    return message.MessageQueued(at=1, **known | fields)


QUEUED = (queued(room_topic="一群"),)
RESENDING = (queued(on_doubt="resend"),)
ATTEMPT = message.MessageAttempted(at=2, attempt=1, room_id="r1")
SECOND = message.MessageAttempted(at=5_000, attempt=2, room_id="r1")
THIRD = message.MessageAttempted(at=9_000, attempt=3, room_id="r1")
REQUEUED = message.MessageRequeued(at=3, detail="not connected", not_before=1_003)
IN_DOUBT = message.MessageInDoubt(at=3, attempt=1, detail="no answer")
DOUBTED = message.MessageInDoubt(at=3, attempt=1, detail="no answer", resend=True)
SENT = message.MessageSent(at=3, attempt=1, receipt="wx1")

OPEN = (*QUEUED, ATTEMPT)
RETRIED = (*OPEN, REQUEUED)
LAST = (*OPEN, REQUEUED, SECOND, REQUEUED, THIRD)
UNSURE = (*OPEN, IN_DOUBT)
AGAIN = (*RESENDING, ATTEMPT, DOUBTED, REQUEUED)  # resent by policy out of doubt
AGAIN_OPEN = (*AGAIN, SECOND)


def _settle(outcome: Any, attempt: int = 1, **fields: Any) -> message.Settle:
    return message.Settle(at=10, attempt=attempt, outcome=outcome, **fields)


def _doubt(detail: str, attempt: int = 1, **fields: Any) -> message.MessageInDoubt:
    return message.MessageInDoubt(at=10, attempt=attempt, detail=detail, **fields)


def _resent(not_before: int) -> message.MessageRequeued:
    return message.MessageRequeued(at=10, detail="resent by policy", not_before=not_before)


MAY_HAVE_ARRIVED = "an earlier attempt may have arrived, and it will not be sent again: "
STOPPED = "the gateway stopped while the message was being sent"

CASES: list[tuple[str, tuple[Any, ...], Any, tuple[Any, ...]]] = [
    ("accepted", (), message.Queue(QUEUED[0]), QUEUED),
    ("the same request again", QUEUED, message.Queue(queued(room_topic="一群")), ()),
    ("the same request again, long after its end", (*OPEN, SENT), message.Queue(queued(room_topic="一群")), ()),
    ("claimed", QUEUED, message.Attempt(at=2, attempt=1, room_id="r1"), (ATTEMPT,)),
    ("the same claim again", OPEN, message.Attempt(at=2, attempt=1, room_id="r1"), ()),
    ("the same claim again, after it failed", RETRIED, message.Attempt(at=2, attempt=1, room_id="r1"), ()),
    ("the next claim", RETRIED, message.Attempt(at=5_000, attempt=2, room_id="r1"), (SECOND,)),
    ("a receipt", OPEN, _settle(Accepted("wx1")), (message.MessageSent(at=10, attempt=1, receipt="wx1"),)),
    (
        "a receipt for whom the channel waits",
        OPEN,
        _settle(Accepted("wx1", "not_in_room"), answered=True),
        (message.MessageSent(at=10, attempt=1, receipt="wx1", mention="not_in_room", answered=True),),
    ),
    ("a receipt, told again", (*OPEN, SENT), _settle(Accepted("wx1")), ()),
    (
        "a late receipt out of doubt",
        UNSURE,
        _settle(Accepted("wx1")),
        (message.MessageSent(at=10, attempt=1, receipt="wx1"),),
    ),
    (
        "a late receipt for an earlier attempt",
        AGAIN_OPEN,
        _settle(Accepted("wx1"), attempt=1),
        (message.MessageSent(at=10, attempt=1, receipt="wx1"),),
    ),
    ("no receipt", OPEN, _settle(Accepted("")), (_doubt("accepted without a receipt"),)),
    ("no answer", OPEN, _settle(Unconfirmed("no answer")), (_doubt("no answer"),)),
    (
        "no answer, and the channel waits",
        OPEN,
        _settle(Unconfirmed("no answer"), answered=True),
        (_doubt("no answer", answered=True),),
    ),
    (
        "no answer, and the puppet deduplicates",
        OPEN,
        _settle(Unconfirmed("no answer"), resend=True, answered=True),
        (_doubt("no answer", resend=True), _resent(1_010)),
    ),
    (
        "no answer, and the grant says resend",
        (*RESENDING, ATTEMPT),
        _settle(Unconfirmed("no answer")),
        (_doubt("no answer", resend=True), _resent(1_010)),
    ),
    (
        "no answer for the second time",
        AGAIN_OPEN,
        _settle(Unconfirmed("no answer"), attempt=2),
        (_doubt("no answer", attempt=2, resend=True), _resent(5_010)),
    ),
    (
        "no answer for the last time",
        LAST,
        _settle(Unconfirmed("no answer"), attempt=3, resend=True),
        (_doubt("no answer", attempt=3),),
    ),
    ("no answer, told again", UNSURE, _settle(Unconfirmed("no answer")), ()),
    ("no answer to an earlier attempt", AGAIN_OPEN, _settle(Unconfirmed("no answer"), attempt=1), ()),
    (
        "certainly not sent",
        OPEN,
        _settle(NotSent("not connected", retry=True)),
        (message.MessageRequeued(at=10, detail="not connected", not_before=1_010),),
    ),
    ("certainly not sent, told again", RETRIED, _settle(NotSent("not connected", retry=True)), ()),
    (
        "certainly not sent for the last time",
        LAST,
        _settle(NotSent("not connected", retry=True), attempt=3),
        (message.MessageFailed(at=10, reason="failed", detail="not connected"),),
    ),
    (
        "certainly not sent, and no use in trying",
        OPEN,
        _settle(NotSent("no such room"), answered=True),
        (message.MessageFailed(at=10, reason="failed", detail="no such room", answered=True),),
    ),
    (
        "content refused",
        OPEN,
        _settle(Rejected("a bad card")),
        (message.MessageRejected(at=10, attempt=1, detail="a bad card"),),
    ),
    ("its sender is gone", OPEN, message.Lose(at=10, attempt=1), (_doubt(STOPPED),)),
    ("its sender is gone, told again", UNSURE, message.Lose(at=10, attempt=1), ()),
    ("its sender is gone, but that was an earlier one", AGAIN_OPEN, message.Lose(at=10, attempt=1), ()),
    (
        "its sender is gone, and the puppet deduplicates",
        OPEN,
        message.Lose(at=10, attempt=1, resend=True),
        (_doubt(STOPPED, resend=True), _resent(1_010)),
    ),
    ("no such room", QUEUED, message.NoRoom(at=10), (message.MessageRoomNotFound(at=10),)),
    (
        "unsupported",
        QUEUED,
        message.Fail(at=10, reason="unsupported", detail="no rooms"),
        (message.MessageFailed(at=10, reason="unsupported", detail="no rooms"),),
    ),
    (
        "an operator calls it failed",
        UNSURE,
        message.Fail(at=10, reason="failed", detail="looked it up"),
        (message.MessageFailed(at=10, reason="failed", detail="looked it up"),),
    ),
    ("its time is over", (queued(expires_at=10),), message.Expire(at=10), (message.MessageExpired(at=10),)),
    ("its time is not over", (queued(expires_at=11),), message.Expire(at=10), ()),
    ("it has no time", QUEUED, message.Expire(at=10), ()),
    ("its time is over while it is sent", (queued(expires_at=10), ATTEMPT), message.Expire(at=10), ()),
    ("cancelled", QUEUED, message.Cancel(at=10), (message.MessageCancelled(at=10),)),
    ("cancelled, asked again", (*QUEUED, message.MessageCancelled(at=9)), message.Cancel(at=10), ()),
    (
        "turned up",
        UNSURE,
        message.Confirm(at=10, receipt="wx1"),
        (message.MessageSent(at=10, attempt=1, receipt="wx1"),),
    ),
    (
        "turned up before its answer",
        OPEN,
        message.Confirm(at=10, receipt="wx1"),
        (message.MessageSent(at=10, attempt=1, receipt="wx1"),),
    ),
    ("turned up, told again", (*OPEN, SENT), message.Confirm(at=10, receipt="wx1"), ()),
    (
        "resent by an operator",
        UNSURE,
        message.Resend(at=10),
        (message.MessageRequeued(at=10, detail="resent by an operator", not_before=10),),
    ),
    # sent again out of doubt, and not to be sent after all: nobody can say that it has not arrived
    ("doubted, then refused", AGAIN_OPEN, _settle(Rejected("bad"), 2), (_doubt(f"{MAY_HAVE_ARRIVED}bad", 2),)),
    ("doubted, then failed", AGAIN_OPEN, _settle(NotSent("gone"), 2), (_doubt(f"{MAY_HAVE_ARRIVED}gone", 2),)),
    ("doubted, then no room", AGAIN, message.NoRoom(at=10), (_doubt(f"{MAY_HAVE_ARRIVED}there is no such room"),)),
    ("doubted, then cancelled", AGAIN, message.Cancel(at=10), (_doubt(f"{MAY_HAVE_ARRIVED}it was cancelled"),)),
    (
        "doubted, then its time over",
        (queued(on_doubt="resend", expires_at=9), *AGAIN[1:]),
        message.Expire(at=10, answered=True),
        (_doubt(f"{MAY_HAVE_ARRIVED}its time is over", answered=True),),
    ),
]


@pytest.mark.parametrize(
    ("given", "when", "then"), [case[1:] for case in CASES], ids=[case[0].replace(" ", "_") for case in CASES]
)
def test_decide(given: tuple[Any, ...], when: Any, then: tuple[Any, ...]) -> None:
    """Each command leads to its events, or to none where it has happened or no longer matters."""
    assert then == message.decide(fold(message, given), when)


@pytest.mark.parametrize(
    ("given", "when", "error", "sentence"),
    [
        (QUEUED, message.Queue(queued(digest="other")), TxcodeReused, "take a new txcode"),
        ((*OPEN, SENT), message.Cancel(at=10), Refusal, "only a queued message can be cancelled; this one is 'sent'"),
        (OPEN, message.Cancel(at=10), Refusal, "this one is 'attempted'"),
        (OPEN, message.NoRoom(at=10), IllegalTransition, "cannot take 'room_not_found'"),
        (QUEUED, message.Resend(at=10), Refusal, "only a message in doubt can be resent; this one is 'queued'"),
        (
            (*QUEUED, message.MessageCancelled(at=9)),
            message.Attempt(at=10, attempt=1, room_id="r1"),
            IllegalTransition,
            "a message in state 'cancelled' cannot take 'attempted'",
        ),
        ((), message.Cancel(at=10), Refusal, "no such message"),
    ],
)
def test_refusals(given: tuple[Any, ...], when: Any, error: type[Refusal], sentence: str) -> None:
    """What cannot be done is refused, in a sentence that says why."""
    with pytest.raises(error, match=sentence):
        message.decide(fold(message, given), when)


def test_definite_failures_are_retried_so_often_and_no_more() -> None:
    """Three hand-overs, each after a longer wait, then it has failed (invariant 6)."""
    state, waits = fold(message, QUEUED), []
    for attempt in range(1, message.MAX_ATTEMPTS + 1):
        [claimed] = message.decide(state, message.Attempt(at=0, attempt=attempt, room_id="r1"))
        [ended] = message.decide(
            message.evolve(state, claimed),
            message.Settle(at=0, attempt=attempt, outcome=NotSent("not connected", retry=True)),
        )
        state = message.evolve(message.evolve(state, claimed), ended)
        waits.append(getattr(ended, "not_before", None))

    assert [1_000, 5_000, None] == waits
    assert message.MessageState.FAILED is state.state


def _told(status: str, reason: str) -> tuple[Any, ...]:
    body = {"msgid": 7, "sendStatus": status, "sendReason": reason, "txcode": "tx1"}
    return (Dispatch("b"), Notify("b", "sendStatus", body, chid="ch"))


@pytest.mark.parametrize(
    ("history", "effects"),
    [
        (QUEUED, (Dispatch("b"),)),
        (OPEN, (Send("b", STREAM, Outgoing(msgid=7, attempt=1, room_id="r1", text="你好")),)),
        (RETRIED, (Dispatch("b"),)),
        ((*OPEN, SENT), _told("1", "")),
        ((*OPEN, message.MessageSent(at=3, attempt=1, receipt="w", mention="not_in_room")), _told("3", "")),
        ((*OPEN, message.MessageSent(at=3, attempt=1, receipt="w", mention="unknown")), _told("4", "")),
        ((*OPEN, message.MessageSent(at=3, attempt=1, receipt="w", answered=True)), (Dispatch("b"),)),
        ((*QUEUED, message.MessageRoomNotFound(at=3)), _told("2", "")),
        ((*QUEUED, message.MessageRoomNotFound(at=3, answered=True)), (Dispatch("b"),)),
        ((*OPEN, message.MessageRejected(at=3, attempt=1, detail="bad")), _told("3", "")),
        ((*OPEN, message.MessageFailed(at=3, reason="window_closed", detail="x")), _told("-1", "window_closed")),
        ((*QUEUED, message.MessageExpired(at=3)), _told("-1", "expired")),
        ((*QUEUED, message.MessageCancelled(at=3)), _told("-1", "cancelled")),
        (UNSURE, _told("-1", "unconfirmed")),
        ((*OPEN, DOUBTED), (Dispatch("b"),)),
        ((*UNSURE, SENT), _told("1", "")),
    ],
)
def test_react(history: tuple[Any, ...], effects: tuple[Any, ...]) -> None:
    """After each event it is clear what a runner must do, and whether the channel is told or was answered."""
    assert effects == message.react(fold(message, history), history[-1], STREAM, 7)


def test_what_a_queued_message_is_called() -> None:
    """While it is under way its sendStatus is 0."""
    assert ("0", "") == message.send_status(fold(message, QUEUED))
    assert ("0", "") == message.send_status(fold(message, OPEN))


def test_digest_tells_requests_apart_however_they_are_spelled() -> None:
    """The order of the fields makes no difference; any content does."""
    one = message.digest("roomSendText", "b", {"text": "hi", "roomId": "r"})

    assert one == message.digest("roomSendText", "b", {"roomId": "r", "text": "hi"})
    assert one != message.digest("roomSendText", "b", {"roomId": "r", "text": "ho"})
    assert one != message.digest("roomSendText", "c", {"roomId": "r", "text": "hi"})
    assert one != message.digest("roomSendApp", "b", {"roomId": "r", "text": "hi"})
