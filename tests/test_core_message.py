"""A message, rule by rule: given what happened, when something is asked, then this is recorded; and the same again records nothing."""

from typing import Any, get_args

import pytest
from hypothesis import given as examples
from transitions import Machine

from wxrc_core import message
from wxrc_core.effects import Notify
from wxrc_core.message import (
    MessageAttempted,
    MessageCancelled,
    MessageExpired,
    MessageFailed,
    MessageInDoubt,
    MessageQueued,
    MessageRejected,
    MessageRequeued,
    MessageRoomNotFound,
    MessageSent,
    MessageState,
)
from wxrc_core.puppet import Accepted, NotConnected, NotSent, Rejected, RoomMissing, SendOutcome, Unconfirmed
from wxrc_core.testing.scenario import Scenario, given
from wxrc_core.testing.strategies import histories


def queued(**fields: Any) -> MessageQueued:
    """Return an accepted request."""
    asked = {"chid": "ch", "botcode": "b", "txcode": "t", "interface": "roomSendText", "digest": "d", "text": "x"}
    return MessageQueued(**({"at": 0} | asked | fields))


def claim(number: int = 1, **fields: Any) -> MessageAttempted:
    """Return a claim."""
    return MessageAttempted(**({"at": number, "attempt": number, "room_id": "r", "epoch": 1} | fields))


def outcome(answer: SendOutcome, number: int = 1, **fields: Any) -> message.RecordOutcome:
    """Return the command that records how a hand-over ended."""
    return message.RecordOutcome(**({"at": 10, "attempt": number, "outcome": answer} | fields))


CLAIMED = given(queued(), claim())
DOUBT = MessageInDoubt(at=10, attempt=1, detail="?")


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (Accepted("wx1"), MessageSent(at=10, attempt=1, receipt="wx1")),
        (Accepted("wx1", "unknown"), MessageSent(at=10, attempt=1, receipt="wx1", mention="unknown")),
        (Accepted(""), MessageInDoubt(at=10, attempt=1, detail="accepted without a receipt")),
        (Unconfirmed("?"), DOUBT),
        (Rejected("no"), MessageRejected(at=10, attempt=1, detail="no")),
        (NotSent("no"), MessageFailed(at=10, reason="failed", detail="no")),
        (NotSent("later", retry=True), MessageRequeued(at=10, detail="later", not_before=1_010)),
        (NotConnected("gone"), MessageRequeued(at=10, detail="gone", not_before=1_010, held=True)),
        (RoomMissing("gone"), MessageRoomNotFound(at=10)),
    ],
)
def test_how_a_hand_over_ends(answer: SendOutcome, event: message.MessageEvent) -> None:
    """Each outcome leads to one event; the same outcome again leads to none."""
    CLAIMED.when(outcome(answer)).then(event).when(outcome(answer)).nothing()


def test_a_room_that_is_missing_is_decided_with_the_whole_list() -> None:
    """While the room list is not complete a missing room holds the message (invariant 9)."""
    CLAIMED.when(outcome(RoomMissing("gone"), rooms_complete=False)).then_kinds(MessageRequeued).has(tries=0)


def test_not_being_connected_uses_nothing_up() -> None:
    """However often the client is not connected, the message is held; definite failures end it after three."""
    story: Scenario = given(queued())
    for number in range(1, 8):
        story = story.when(message.ClaimAttempt(at=number, attempt=number, room_id="r", epoch=1)).then_kinds(
            MessageAttempted
        )
        story = story.when(outcome(NotConnected("no"), number)).then_kinds(MessageRequeued).has(tries=0)
    for number in range(8, 11):
        story = story.when(message.ClaimAttempt(at=number, attempt=number, room_id="r", epoch=1)).then_kinds(
            MessageAttempted
        )
        expected = MessageFailed if number == 10 else MessageRequeued
        story = story.when(outcome(NotSent("no", retry=True), number)).then_kinds(expected)
    story.has(state=MessageState.FAILED)


def test_a_claim_is_made_once() -> None:
    """A claim of a number that was made before records nothing: a lost answer of the store must not make two of one."""
    CLAIMED.when(message.ClaimAttempt(at=5, attempt=1, room_id="r", epoch=1)).nothing()
    CLAIMED.when(message.ClaimAttempt(at=5, attempt=2, room_id="r", epoch=1)).refused("cannot take 'attempted'")


def test_a_claim_that_was_not_handed_over_is_put_back() -> None:
    """A message that is put back waits for nothing and has used nothing up; put back twice is put back once."""
    back = message.PutBack(at=7, attempt=1, detail="too late")
    CLAIMED.when(back).then(MessageRequeued(at=7, detail="too late", not_before=7, held=True)).has(tries=0).when(
        back
    ).nothing()


@pytest.mark.parametrize(("on_doubt", "resend"), [("leave", False), ("resend", False), ("leave", True)])
def test_an_abandoned_attempt_is_in_doubt(on_doubt: str, resend: bool) -> None:
    """When the owner of an attempt is gone the message is in doubt; it is resent only where the grant or the puppet allows it."""
    found = given(queued(on_doubt=on_doubt), claim()).when(message.AbandonAttempt(at=9, attempt=1, resend=resend))
    if on_doubt == "resend" or resend:
        found.then_kinds(MessageInDoubt, MessageRequeued).has(state=MessageState.QUEUED, doubted=True)
    else:
        found.then_kinds(MessageInDoubt).has(state=MessageState.IN_DOUBT)


def test_what_may_have_arrived_is_never_called_not_sent() -> None:
    """After an attempt that ended in doubt no later end says that it was not sent."""
    resent = given(
        queued(expires_at=100), claim(), DOUBT, MessageRequeued(at=11, detail="resent by an operator", not_before=11)
    )
    for command in (message.Expire(at=100), message.NoRoom(at=12), message.Cancel(at=12)):
        resent.when(command).then_kinds(MessageInDoubt)
    given(*resent.history, claim(2)).when(outcome(Rejected("no"), 2)).then_kinds(MessageInDoubt)


def test_expiry() -> None:
    """A queued message expires when its time is over, not before; one that is being sent does not."""
    asked = queued(expires_at=100)
    given(asked).when(message.Expire(at=99)).nothing()
    given(asked).when(message.Expire(at=100)).then(MessageExpired(at=100)).when(message.Expire(at=101)).nothing()
    given(asked, claim()).when(message.Expire(at=100)).nothing()


def test_cancel() -> None:
    """Only what is queued can be cancelled."""
    given(queued()).when(message.Cancel(at=1)).then(MessageCancelled(at=1)).when(message.Cancel(at=2)).nothing()
    CLAIMED.when(message.Cancel(at=1)).refused("only a queued message")


def test_an_operator_resolves_a_doubt() -> None:
    """Who says that it arrived, failed or is to be resent stands in the log; of nothing but a message in doubt."""
    sent, failed, resend = (message.Resolve(at=11, verdict=verdict, by="王") for verdict in get_args(message.Verdict))
    doubtful = given(queued(), claim(), DOUBT)
    found = doubtful.when(sent).then(MessageSent(at=11, attempt=1, receipt="", by="王"))
    assert "operator" == message.evidence(found.state)
    found.when(sent).nothing().when(failed).refused("only a message in doubt")
    failed_ = MessageFailed(at=11, reason="failed", detail="an operator says that it did not arrive", by="王")
    doubtful.when(failed).then(failed_).when(failed).nothing().when(resend).refused("this one is 'failed'")
    doubtful.when(resend).then_kinds(MessageRequeued).has(doubted=True).when(resend).refused("this one is 'queued'")
    for state in (given(queued()), CLAIMED):
        for command in (sent, failed, resend):
            state.when(command).refused("only a message in doubt")


def test_a_late_receipt_ends_the_doubt() -> None:
    """A receipt that comes late makes it sent, also while it waits to be resent; what has ended stays."""
    confirm = message.Confirm(at=20, receipt="wx9")
    sent = MessageSent(at=20, attempt=1, receipt="wx9")
    given(queued(), claim(), DOUBT).when(confirm).then(sent).when(confirm).nothing()
    given(queued(), claim(), DOUBT, MessageRequeued(at=11, detail="", not_before=11)).when(confirm).then(sent)
    given(queued()).when(confirm).nothing()


def test_the_same_request_is_one_message() -> None:
    """The same request again records nothing, another one with its txcode is refused."""
    given().when(message.Queue(queued())).then(queued()).when(message.Queue(queued(at=9))).nothing()
    given(queued()).when(message.Queue(queued(digest="other"))).refused("txcode")


@examples(histories(message))
def test_evolve_goes_where_the_declared_machine_goes(events: list[message.MessageEvent]) -> None:
    """A real machine that is driven by the same events ends in the same state."""
    machine: Machine = message.TABLE.machine

    class Model:
        state = "new"

    model = Model()
    machine.add_model(model, initial="new")
    state = None
    for event in events:
        model.trigger(message.TABLE.triggers[type(event)])  # type: ignore[attr-defined]
        state = message.evolve(state, event)
    machine.remove_model(model)

    assert state is not None
    assert model.state == str(state.state)


def test_who_is_told_and_how_long_the_answer_may_still_come() -> None:
    """An end is told to the channel that asked; as long as its request may still answer, the callback is held back, but not for ever."""
    for answer_by, expected in ((0, 0), (310, 500), (5, 0), (10**9, 60_200)):
        asked = queued(answer_by=answer_by)
        state = message.evolve(message.evolve(None, asked), claim())
        sent = MessageSent(at=10, attempt=1, receipt="wx1")
        [notify] = [
            each for each in message.react(message.evolve(state, sent), sent, "s", 7) if isinstance(each, Notify)
        ]
        assert (expected, "ch", "1") == (notify.answer_ms, notify.chid, notify.body["sendStatus"])
