"""The given/when/then helper says what happens, and fails where something else does."""

import pytest

from wxrc_core import bot, message
from wxrc_core.puppet import Accepted, ReportQrCode
from wxrc_core.testing.scenario import given

ADDED = bot.BotAdded(at=1, botcode="b", puppet="scripted")
REQUESTED = bot.LoginRequested(at=2, operation=5)
CODE = bot.TakeReport(run=1, report=ReportQrCode(at=3, text="code", expires_at=9), code_id="c1")
ISSUED = bot.QrCodeIssued(at=3, expires_at=9, code_id="c1")
QUEUED = message.MessageQueued(
    at=1, chid="ch", botcode="b", txcode="1", interface="roomSendText", digest="d", text="hi"
)
CLAIMED = message.MessageAttempted(at=2, attempt=1, room_id="r1", epoch=1)
SENT = message.MessageSent(at=3, attempt=1, receipt="wx1")
ENDED = message.RecordOutcome(at=3, attempt=1, outcome=Accepted("wx1"))


def test_a_sentence_goes_on() -> None:
    """What was checked is part of the history: the same command again does nothing."""
    given(ADDED, REQUESTED).when(CODE).then(ISSUED).has(phase="code_shown", running=True).when(CODE).nothing()
    given(QUEUED, CLAIMED).when(ENDED).then_kinds(message.MessageSent).when(ENDED).nothing()


def test_a_refusal() -> None:
    """A refusal is matched by its sentence; the history stays as it was."""
    after = given(QUEUED, CLAIMED).when(message.Cancel(at=3)).refused("only a queued message can be cancelled")

    assert (QUEUED, CLAIMED) == after.history


def test_nothing_has_happened_yet() -> None:
    """Without a history the aggregate is not there: most commands are refused."""
    given().when(bot.Add(ADDED)).then(ADDED).has(state=bot.BotState.LOGOUT)
    given().when(message.Resolve(at=1, verdict="resend", by="ops")).refused("no such message")

    assert given().state is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: given(QUEUED, CLAIMED).when(ENDED).nothing(),
        lambda: given(QUEUED, CLAIMED).when(ENDED).refused(),
        lambda: given(QUEUED, CLAIMED).when(ENDED).then(SENT, SENT),
        lambda: given(QUEUED, CLAIMED).when(ENDED).then_kinds(message.MessageRejected),
        lambda: given(QUEUED, CLAIMED).when(message.Cancel(at=3)).then(SENT),
        lambda: given(QUEUED, CLAIMED).when(message.Cancel(at=3)).refused("something else"),
        lambda: given(QUEUED, CLAIMED).has(attempt=2),
    ],
)
def test_it_fails_where_something_else_happens(wrong: object) -> None:
    """A wrong expectation is an AssertionError."""
    assert callable(wrong)
    with pytest.raises(AssertionError):
        wrong()
