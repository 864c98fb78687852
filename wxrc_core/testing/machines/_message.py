"""Messages of one bot in every order of requests, claims, outcomes and crashes, up to a WeChat that knows what arrived."""

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from wxrc_core import bot, delivery, message
from wxrc_core.content import Card, Image
from wxrc_core.effects import Claim, Wait
from wxrc_core.errors import Refusal
from wxrc_core.message import Message, MessageState
from wxrc_core.pace import MINUTE_MS, PACES
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    NotSent,
    Rejected,
    ReportContacts,
    ReportLinkLost,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportReceipt,
    ReportRooms,
    Room,
    RoomMissing,
    SendOutcome,
    Unconfirmed,
    UserMissing,
    conversation,
)
from wxrc_core.testing.machines._story import StoryMachine
from wxrc_core.testing.story import BOTCODE, CHID, CONTACTS, ROOMS, Story, stream

TARGETS: list[dict[str, str]] = [
    {"room_id": "r1"}, {"room_id": "r2"}, {"room_topic": "一群"}, {"room_topic": "二群"}, {"room_topic": "同名"}, {"room_id": "nowhere"},
    {"user_id": "u1"}, {"user_name": "小王"}, {"user_name": "王总"}, {"user_name": "同名"}, {"user_id": "nobody"},
]  # fmt: skip
"""Where what is asked for goes: a room or a person, by id or by name."""

CONTENTS: list[dict[str, Any]] = [
    {}, {}, {}, {"card": Card(title="订单", page_path="pages/order", appid="wx1")}, {"image": Image(source="https://img.example/1.png")},
]  # fmt: skip
"""What is asked for: a text, a card, an image."""

LISTS = [ROOMS, (Room("r1", "二群"), Room("r2", "一群")), (Room("r2", "二群"),), ()]
"""Room lists that the client may report: as it was, names exchanged, a room dissolved, none."""

ROUNDS = 500


class MessageMachine(StoryMachine):
    """Messages of one bot, and a WeChat which knows what arrived.

    Attributes:
        asked: The txcodes of all requests.
        arrived: How often each message reached WeChat, by msgid.
        resent: The txcodes that an operator had sent again.
        written_off: The txcodes that an operator called failed.
        vouched: The txcodes that an operator called sent.
        claimed: The claim that is being carried out; None = none is.
        outcome: What WeChat's client has answered to it; None = it was not handed over yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.arrived: Counter[int] = Counter()
        self.resent: set[str] = set()
        self.written_off: set[str] = set()
        self.vouched: set[str] = set()
        self.claimed: Claim | None = None
        self.outcome: SendOutcome | None = None
        self._claimed_at = 0
        self._handed: list[tuple[int, str]] = []
        self._accounts: dict[str, str] = {}

    # -- hooks ------------------------------------------------------------------------------------------------------------------

    def outcomes(self) -> st.SearchStrategy[tuple[SendOutcome, bool]]:
        """Return what WeChat's client may answer, each time with whether the message arrived."""
        return st.sampled_from(
            [
                (Accepted("receipt"), True),
                (Accepted("receipt", "not_in_room"), True),
                (Accepted(""), True),
                (Unconfirmed("no answer"), True),
                (Unconfirmed("no answer"), False),
                (NotSent("busy", retry=True), False),
                (NotSent("refused"), False),
                (NotConnected("the connection broke"), False),
                (RoomMissing("no such room"), False),
                (UserMissing("no such person"), False),
                (Rejected("content refused"), False),
            ]
        )

    @initialize(pace=st.sampled_from(["none", "customary"]), deduplicates=st.booleans())
    def _begin_anew(self, pace: str, deduplicates: bool) -> None:
        if type(self).begin is StoryMachine.begin:
            self.story = Story.with_bot(pace=pace, deduplicates=deduplicates).log_in()

    # -- rules: what is asked ---------------------------------------------------------------------------------------------------

    @rule(
        requests=st.lists(st.tuples(st.sampled_from(TARGETS), st.sampled_from(CONTENTS)), min_size=1, max_size=4),
        lifetime=st.sampled_from([None, None, None, 500, 60_000]),
        on_doubt=st.sampled_from(["leave", "leave", "resend"]),
        answer_ms=st.sampled_from([0, 5_000]),
    )
    def ask(
        self, requests: list[tuple[dict[str, str], dict[str, Any]]], lifetime: int | None, on_doubt: str, answer_ms: int
    ) -> None:
        """Ask for a text, a card or an image to each of these rooms and people."""
        now, account = self.story.wall, self.story.bot().wxid
        for target, content in requests:
            txcode = f"{len(self.asked) + 1}"
            self.asked.append(txcode)
            self._accounts[stream(txcode)] = account
            self.story.queue(
                txcode,
                expires_at=None if lifetime is None else now + lifetime,
                on_doubt=on_doubt,
                answer_by=now + answer_ms if answer_ms else 0,
                **target,
                **content,
            )

    @rule(there=st.booleans())
    def fetch(self, there: bool) -> None:
        """Fetch the images that are still to be fetched, or find that they are not there."""
        if there:
            self.story.store_images()
            return
        for each in self.story.own().queue.next_fetches():
            self.story.do(each.stream, message.Fail(at=self.story.wall, reason="no_file", detail="not there"))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        """Repeat a request: nothing is recorded."""
        length = len(self.story.log)
        queued = self.story.message(self._any(data)).queued
        self.story.do(stream(queued.txcode), message.Queue(queued))

        assert length == len(self.story.log)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), what=st.sampled_from(["cancel", "resend", "fail", "confirm"]))
    def operate(self, data: st.DataObject, what: str) -> None:
        """Have an operator cancel a message, send it again, or call it failed or sent; it may be too late for that."""
        txcode = self._any(data)
        now = self.story.wall
        commands: dict[str, message.Command] = {
            "cancel": message.Cancel(at=now),
            "resend": message.Resolve(at=now, verdict="resend", by="ops"),
            "fail": message.Resolve(at=now, verdict="failed", by="ops"),
            "confirm": message.Resolve(at=now, verdict="sent", by="ops"),
        }
        was = self.story.message(txcode).state
        try:
            self.story.do(stream(txcode), commands[what])
        except Refusal:
            return
        if what == "resend":
            self.resent.add(txcode)
        if what == "fail" and was is MessageState.IN_DOUBT:
            self.written_off.add(txcode)
        if what == "confirm" and was is MessageState.IN_DOUBT:
            self.vouched.add(txcode)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Have the request that made a message claim its end as its answer (promise 20)."""
        txcode = self._any(data)
        state = self.story.message(txcode)
        if state.state in message.ENDED and state.queued.answer_by:
            history = self.story.history(stream(txcode))
            answered = delivery.DeliveryAnswered(
                at=self.story.wall, chid=CHID, botcode=BOTCODE, msgid=history[0].position
            )
            self.story.do(delivery.stream_name(history[-1].position, CHID), delivery.Answer(answered))

    # -- rules: what the owner does ---------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """Have the owner record what is to be recorded, to the end."""
        self.story.settle()

    @precondition(lambda self: self.claimed is None)
    @rule(data=st.data(), count=st.integers(1, 4))
    def send(self, data: st.DataObject, count: int) -> None:
        """Send the messages that are next, from the claim to the outcome; wait where there is one that has to wait."""
        for _ in range(count):
            self.story.settle()
            step = self.story.next_claim()
            if isinstance(step, Wait):
                self.story.wait(step.ms)
            self.claim()
            if self.claimed is not None:
                self.hand_over(data)
            if self.outcome is not None:
                self._meanwhile(data.draw(st.sampled_from(["", "", "", "receipt", "crash"]), label="meanwhile"))
            if self.outcome is not None:
                self.record_outcome()

    @precondition(lambda self: self.claimed is None)
    @rule()
    def claim(self) -> None:
        """Claim the message that is next, if there is one."""
        if isinstance(self.story.next_claim(), Claim):
            assert self.story.bot().ready, "a claim for a bot that cannot send (promise 10)"
            self.claimed, self._claimed_at = self.story.claim(), self.story.mono

    @precondition(lambda self: self.claimed is not None and self.outcome is None)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        """Look once more at what was claimed, and hand it to WeChat's client."""
        outcome, arrives = data.draw(self.outcomes(), label="outcome")
        self._hand_over(outcome, arrives)

    @precondition(lambda self: self.outcome is not None)
    @rule()
    def record_outcome(self) -> None:
        """Record what WeChat's client answered."""
        assert self.claimed is not None
        assert self.outcome is not None
        self.story.end(self.claimed, self.outcome)
        self.claimed = self.outcome = None

    # -- rules: what happens to the bot -----------------------------------------------------------------------------------------

    @rule()
    def lose_link(self) -> None:
        """Have the client lose its link."""
        self.story.report(ReportLinkLost(at=self.story.wall, reason="the connection broke"))

    @rule(rooms=st.sampled_from(LISTS), complete=st.booleans())
    def report_rooms(self, rooms: tuple[Room, ...], complete: bool) -> None:
        """Have the client say again that it is logged in, and list its rooms."""
        self._log_in("wxid_b", rooms, complete=complete)

    @rule(wxid=st.sampled_from(["wxid_b", "wxid_b", "wxid_other"]))
    def scan_again(self, wxid: str) -> None:
        """Kick the account; then an account scans, perhaps another one."""
        self.story.report(ReportLoggedOut(at=self.story.wall, reason="kicked"))
        self._log_in(wxid, ROOMS, complete=True)

    @precondition(lambda self: self.arrived)
    @rule(data=st.data())
    def report_receipt(self, data: st.DataObject) -> None:
        """Have a message turn up in WeChat late."""
        msgid = data.draw(st.sampled_from(sorted(self.arrived)), label="msgid")
        self.story.report(ReportReceipt(at=self.story.wall, msgid=msgid, receipt="late receipt"))

    # -- checks -----------------------------------------------------------------------------------------------------------------

    def abandoned(self) -> None:
        """Forget the claim that was being carried out: its owner is gone."""
        self.claimed = self.outcome = None

    def check(self) -> None:
        """Check what is said of each message against what arrived (promises 6 and 7)."""
        for txcode in self.asked:
            state = self.story.message(txcode)
            arrived = self.arrived[self.story.history(stream(txcode))[0].position]
            if state.state is MessageState.SENT:
                assert arrived or txcode in self.vouched, (
                    f"message {txcode} is called sent and did not arrive (promise 7)"
                )
            elif state.state in message.FINAL and txcode not in self.written_off:
                assert not arrived, f"message {txcode} is called {state.state} and arrived (promise 7)"
            if arrived > 1:
                deduplicates = self.story.bot().added.deduplicates
                allowed = deduplicates or state.queued.on_doubt == "resend" or txcode in self.resent
                assert allowed, f"message {txcode} arrived {arrived} times (promise 6)"

    def finish(self) -> None:
        """Let the bot send until nothing is left (promise 15); every channel learns every end (promise 12)."""
        if self.claimed is not None:
            if self.outcome is None:
                self._hand_over(Accepted("receipt"), True)
            if self.outcome is not None:
                self.record_outcome()
        self._log_in("wxid_b", ROOMS, complete=True)
        self.story.store_images()
        for _ in range(ROUNDS):
            self.story.settle()
            step = self.story.next_claim()
            if isinstance(step, Claim):
                self.claim()
                self._hand_over(Accepted("receipt"), True)
                if self.outcome is not None:
                    self.record_outcome()
            elif isinstance(step, Wait):
                self.story.wait(step.ms)
            else:
                break
        self.story.wait(10_000)  # longer than a request waits for its answer
        self.story.settle()
        for txcode in self.asked:
            name, state = stream(txcode), self.story.message(txcode)

            assert state.state in message.ENDED, f"message {txcode} is still {state.state} (promise 15)"
            end = self.story.history(name)[-1].position
            assert self.story.history(delivery.stream_name(end, CHID)), (
                f"nobody was told of the end of {txcode} (promise 12)"
            )

    # -- steps ------------------------------------------------------------------------------------------------------------------

    def _meanwhile(self, what: str) -> None:
        """Have something happen between a hand-over and its outcome: the message turns up in WeChat, or the process crashes."""
        assert self.claimed is not None
        if what == "crash":
            self.crash()
        elif what and self.arrived[self.claimed.msgid]:
            self.story.report(ReportReceipt(at=self.story.wall, msgid=self.claimed.msgid, receipt="early receipt"))

    def _any(self, data: st.DataObject) -> str:
        txcode: str = data.draw(st.sampled_from(self.asked), label="txcode")
        return txcode

    def _hand_over(self, outcome: SendOutcome, arrives: bool) -> None:
        assert self.claimed is not None
        claimed = self.story.state(self.claimed.stream)
        assert isinstance(claimed, Message)
        if claimed.state is not MessageState.ATTEMPTED:
            self.claimed = None  # a late receipt of an earlier attempt has ended it
            return
        if self.story.hand_over(self.claimed, self._claimed_at):
            self.claimed = None
            return
        expires_at = claimed.queued.expires_at
        assert expires_at is None or self.story.wall < expires_at, "handed over when its time was over"
        if not isinstance(outcome, NotConnected) and claimed.queued.txcode not in self.resent:
            meant = self._accounts[self.claimed.stream]
            assert meant == self.story.bot().wxid, "handed over from another account than the one it was accepted for"
        assert not message.awaits_image(claimed), "an image was claimed before it was stored"
        if not isinstance(outcome, NotConnected | RoomMissing | UserMissing):
            self._check_pace(conversation(self.claimed.room_id, self.claimed.user_id))
        if arrives:
            self.arrived[self.claimed.msgid] += 1
        self.outcome = outcome

    def _check_pace(self, name: str) -> None:
        """Check the send that has just begun against all before it (promise 11)."""
        limits, now = PACES[self.story.bot().added.pace], self.story.mono
        if limits is not None:
            for number, (at, room) in enumerate(reversed(self._handed), 1):
                gap = limits.room_gap_ms if room == name else limits.switch_gap_ms if number == 1 else 0
                assert now - at >= gap, f"handed over {now - at} ms after the one before (promise 11)"
                if number == limits.per_minute:
                    assert now - at >= MINUTE_MS, f"{number + 1} hand-overs in {now - at} ms (promise 11)"
        self._handed.append((self.story.mono, name))

    def _log_in(self, wxid: str, rooms: tuple[Room, ...], *, complete: bool) -> None:
        self.story.settle()
        the_bot = self.story.bot()
        if not the_bot.running:
            self.story.operate("login", f"login-{len(self.story.log)}")
            self.story.settle()
        now = self.story.wall
        if not self.story.bot().link:
            self.story.report(ReportLoggedIn(at=now, wxid=wxid, name="Bot"))
        self.story.report(ReportRooms(at=now, rooms=rooms, complete=complete))
        self.story.report(ReportContacts(at=now, contacts=CONTACTS[: len(rooms) + 1], complete=complete))
        assert self.story.bot().state is bot.BotState.LOGIN
