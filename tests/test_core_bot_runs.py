"""A bot's clients, one after the other: which of them counts, how often one is started, and what a snapshot holds of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from tests.test_core_bot import (
    ADDED,
    AWAITING,
    LEAVING,
    LOGIN,
    LOST,
    QUEUE,
    READY,
    RECORDS,
    SAME_ACCOUNT,
    SHOWN,
    STOPPING,
    UNLINKED,
    notify,
    report_code,
)
from wxrc_core import bot
from wxrc_core.effects import Notify
from wxrc_core.puppet import ReportLinkLost, ReportLoggedIn, ReportLoggedOut
from wxrc_core.testing.strategies import folded as fold
from wxrc_core.testing.strategies import histories

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


# -- runs of the client ---------------------------------------------------------------------------------------------------------


def test_another_kind_replaces_the_client() -> None:
    """A login of another kind while a code waits starts that kind's client; the old code is gone, and the old client is ignored."""
    before = fold(bot, SHOWN)
    after = fold(bot, (*SHOWN, bot.LoginRequested(at=9, operation=6, kind="web")))

    assert ("web", "starting", None) == (after.kind, after.phase, after.qr)
    assert after.run > before.run
    assert () == bot.decide(after, bot.TakeReport(run=before.run, report=report_code("qr-old")))


def test_the_same_kind_keeps_the_code() -> None:
    """A login of the same kind while a code waits starts nothing."""
    before = fold(bot, SHOWN)
    after = fold(bot, (*SHOWN, bot.LoginRequested(at=9, operation=6, kind="mac")))

    assert (before.run, before.phase, before.qr) == (after.run, after.phase, after.qr)
    assert 6 == after.operation


ENDS_A_RUN = [
    (SHOWN, bot.LoginFailed(at=9, reason="refused")),
    (LOGIN, bot.LoggedOut(at=9, reason="kicked")),
    (LOGIN, bot.ClientRestarted(at=9)),
    (SHOWN, bot.ClientRestarted(at=9)),
    (LEAVING, bot.SignedOut(at=9)),
    (STOPPING, bot.Stopped(at=9)),
    ((ADDED,), bot.LoginRequested(at=9, operation=6)),
]


@pytest.mark.parametrize(("before", "event"), ENDS_A_RUN, ids=lambda value: type(value).__name__)
def test_what_starts_replaces_or_ends_a_client_raises_the_run(before: tuple[Any, ...], event: Any) -> None:
    """A report of a client that is gone changes nothing."""
    old, new = fold(bot, before), fold(bot, (*before, event))

    assert new.run > old.run
    for report in (SAME_ACCOUNT, ReportLoggedOut(at=9, reason="late"), ReportLinkLost(at=9, reason="late")):
        assert () == bot.decide(new, bot.TakeReport(run=old.run, report=report))


def test_a_link_that_came_back_before_the_restart_was_recorded() -> None:
    """The restart wins over the old client, and the new client's report over the restart: no bot stays logged in without a link."""
    before = fold(bot, UNLINKED)
    [restarted] = bot.decide(before, bot.RestartClient(at=9, run=before.run))
    after = bot.evolve(before, restarted)
    stale = bot.decide(after, bot.TakeReport(run=before.run, report=SAME_ACCOUNT))
    [restored] = bot.decide(after, bot.TakeReport(run=after.run, report=SAME_ACCOUNT))

    assert () == stale
    assert bot.evolve(after, restored).ready


# -- flapping -------------------------------------------------------------------------------------------------------------------


def _flap(the_bot: bot.Bot, at: int, lasted: int) -> bot.Bot:
    """Return the bot after its link was restored and lost again."""
    for report in (ReportLoggedIn(at=at, wxid="wxid_b", name="Bot"), ReportLinkLost(at=at + lasted, reason="broke")):
        for event in bot.decide(the_bot, bot.TakeReport(run=the_bot.run, report=report)):
            assert all(not isinstance(effect, Notify) for effect in bot.react(bot.evolve(the_bot, event), event))
            the_bot = bot.evolve(the_bot, event)
    return the_bot


def test_a_flapping_client_is_started_less_and_less_often_and_no_channel_is_told() -> None:
    """Each short link doubles the wait up to a minute; one long link and the next wait is short again."""
    the_bot, waits = fold(bot, UNLINKED), []
    for number in range(10):
        waits.append(bot.restart_wait_ms(the_bot))
        the_bot = _flap(the_bot, 1_000_000 * (number + 1), 59_999)
    steady = _flap(the_bot, 20_000_000, 60_000)

    assert [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000] == waits
    assert 500 == bot.restart_wait_ms(steady)


def test_starts_that_fail_count_as_flaps() -> None:
    """Where no link comes up at all the wait grows too, and the log does not."""
    the_bot, recorded = fold(bot, READY), 0
    for at in range(100_000, 100_020):
        events = bot.decide(the_bot, bot.TakeReport(run=the_bot.run, report=ReportLinkLost(at=at, reason="refused")))
        the_bot, recorded = _fold_on(the_bot, events), recorded + len(events)

    assert 60_000 == bot.restart_wait_ms(the_bot)
    assert recorded <= bot.MAX_FLAPS + 1


def _fold_on(the_bot: bot.Bot, events: tuple[bot.BotEvent, ...]) -> bot.Bot:
    """Return the bot after more events."""
    for event in events:
        the_bot = bot.evolve(the_bot, event)
    return the_bot


def test_a_clock_set_back_makes_a_link_short() -> None:
    """A link that seems to have lasted less than no time counts as short: the wait grows, at most to a minute."""
    the_bot = _flap(fold(bot, UNLINKED), 1_000_000, -500_000)

    assert 2 == the_bot.flaps


def test_a_login_that_is_asked_for_ends_the_wait() -> None:
    """A channel that asks for login while the link is down need not wait out the back-off, and is told when the link is back."""
    flapping = fold(bot, (*UNLINKED, *[LOST] * 5))
    asked = bot.evolve(flapping, bot.LoginRepeated(at=9, operation=6))
    [restored] = bot.decide(asked, bot.TakeReport(run=asked.run, report=SAME_ACCOUNT))

    assert 500 == bot.restart_wait_ms(asked)
    assert (notify("login"), QUEUE, RECORDS) == bot.react(bot.evolve(asked, restored), restored)


# -- snapshots and old logs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [(ADDED,), AWAITING, SHOWN, READY, UNLINKED, LEAVING])
def test_a_bot_in_a_snapshot(history: tuple[Any, ...]) -> None:
    """A bot comes back from the bytes of a snapshot as it was."""
    the_bot = fold(bot, history)

    assert the_bot == msgspec.msgpack.decode(msgspec.msgpack.encode(the_bot), type=bot.Bot)


@examples
@given(history=histories(bot, max_size=20))
def test_every_bot_in_a_snapshot(history: list[bot.BotEvent]) -> None:
    """Whatever happened to a bot, a snapshot holds it."""
    the_bot = fold(bot, history)

    assert the_bot == msgspec.msgpack.decode(msgspec.msgpack.encode(the_bot), type=bot.Bot)


@examples
@given(history=histories(bot, max_size=20))
def test_a_state_holds_only_what_is_valid_in_it(history: list[bot.BotEvent]) -> None:
    """A phase and a code belong to a bot that awaits, a link and a complete room list to one that is logged in."""
    the_bot = fold(bot, history)

    assert (the_bot.phase != "") == (the_bot.state is bot.BotState.AWAITING_QR)
    assert the_bot.qr is None or the_bot.phase in ("code_shown", "scanned", "digits_wanted")
    assert not the_bot.ready or (the_bot.link and the_bot.state is bot.BotState.LOGIN)
    assert not the_bot.rooms_complete or the_bot.link
    assert 0 <= the_bot.flaps <= bot.MAX_FLAPS
