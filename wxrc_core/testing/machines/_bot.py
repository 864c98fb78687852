"""A bot in every order of operations, reports and crashes."""

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from wxrc_core import bot
from wxrc_core.errors import Refusal
from wxrc_core.operation import Kind
from wxrc_core.puppet import (
    BotReport,
    ReportDigitsWanted,
    ReportLinkLost,
    ReportLoggedIn,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
)
from wxrc_core.testing.machines._story import StoryMachine
from wxrc_core.testing.story import ROOMS
from wxrc_core.testing.strategies import bot_reports

KINDS: list[Kind] = ["login", "logout", "stop"]
USUAL: list[BotReport] = [
    ReportQrCode(at=0, text="code-1", expires_at=1),
    ReportQrCode(at=0, text="code-2", expires_at=1),
    ReportScanned(at=0),
    ReportDigitsWanted(at=0),
    ReportLoggedIn(at=0, wxid="wxid_b", name="Bot"),
    ReportLoggedIn(at=0, wxid="wxid_other", name="Bot"),
    ReportLinkLost(at=0, reason="the connection broke"),
    ReportRooms(at=0, rooms=ROOMS, complete=True),
    ReportRooms(at=0, rooms=ROOMS[:2], complete=False),
]
REPORTS_WITHIN_MS = 1_000
"""How old a report may be when it is taken (ms)."""


class BotMachine(StoryMachine):
    """One bot (`story.bot()`): operations are asked for, its client reports anything at any time, its owner crashes and is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0

    # -- hooks ------------------------------------------------------------------------------------------------------------------

    def reports(self) -> st.SearchStrategy[BotReport]:
        """Return what the client may report, one time in two what clients usually do; override it for a client that says less."""
        return st.one_of(st.sampled_from(USUAL), bot_reports())

    # -- rules ------------------------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), login_kind=st.sampled_from(["", "mac"]), at_once=st.booleans())
    def ask(self, kind: Kind, login_kind: str, at_once: bool) -> None:
        """Ask for an operation; it is carried out at once, or waits."""
        self._asked += 1
        self.story.operate(kind, f"op-{self._asked}", login_kind=login_kind if kind == "login" else "")
        if at_once:
            self.story.settle()

    @precondition(lambda self: self._asked > 6)
    @rule()
    def remove(self) -> None:
        """Have an operator remove the bot for ever; again, it changes nothing."""
        self.story.remove_bot()
        length = len(self.story.log)
        self.story.remove_bot()

        assert length == len(self.story.log)

    @precondition(lambda self: not self.story.bot().running and not self.story.bot().removed)
    @rule(scanned=st.booleans())
    def log_in(self, scanned: bool) -> None:
        """Finish what was begun; then begin to log the bot in, to the end where the code is `scanned`."""
        self.finish()
        self.ask("login", "", at_once=True)
        if scanned:
            self.story.log_in()

    @rule()
    def settle(self) -> None:
        """Have the owner record what is to be recorded, to the end."""
        self.story.settle()

    @precondition(lambda self: self.story.bot().running)
    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        """Have the client that runs report something; the same report again changes nothing."""
        report = self._draw(data)
        try:
            self.story.report(report)
        except Refusal:
            return
        length = len(self.story.log)
        self.story.report(report)

        again = [recorded.event for recorded in self.story.log[length:]]
        assert all(isinstance(event, bot.DigitsWanted) and event.wrong for event in again), f"recorded again: {again}"

    @precondition(lambda self: self.story.bot().run > 0)
    @rule(data=st.data())
    def report_of_an_earlier_client(self, data: st.DataObject) -> None:
        """Have a client report that is gone: it changes nothing."""
        length = len(self.story.log)
        run = data.draw(st.integers(0, self.story.bot().run - 1), label="run")
        self.story.report_of(run, self._draw(data))

        assert length == len(self.story.log), "a client that is gone was listened to"

    @precondition(lambda self: self.story.own().wanted_client() is not None and self.story.bot().pending_exit)
    @rule()
    def leave(self) -> None:
        """Have the client leave, as it was asked to."""
        self.story.leave()

        assert not self.story.bot().running
        assert not self.story.bot().pending_exit

    def _draw(self, data: st.DataObject) -> BotReport:
        report: BotReport = data.draw(self.reports(), label="report")
        return attrs.evolve(
            report, at=max(0, self.story.wall - data.draw(st.integers(0, REPORTS_WITHIN_MS), label="age"))
        )

    # -- checks -----------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that the bot's state says nothing that cannot be at the same time."""
        the_bot = self.story.bot()

        assert the_bot.running == (the_bot.state in (bot.BotState.AWAITING_QR, bot.BotState.LOGIN))
        assert not the_bot.ready or (the_bot.link and the_bot.wxid is not None and not the_bot.pending_exit)
        assert (the_bot.phase == "code_shown") <= (the_bot.qr is not None)

    def finish(self) -> None:
        """Carry out what was asked for, to the last operation."""
        for _ in range(self._asked + 1):
            self.story.settle()
            if not self.story.bot().pending_exit:
                break
            self.leave()

        assert not self.story.own().operations, "an operation was never carried out"
        assert not self.story.bot().pending_exit
