"""A WeChat of our own, that remembers what really reached it, and the client of one of its accounts.

WeChat outlives the gateway; a client (the puppet) lives in the gateway's process and dies with it. What was handed over may still arrive
when the one who handed it over is gone.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import define, field, frozen

from wxrc_core.puppet import (
    Accepted,
    NotSent,
    Outgoing,
    Rejected,
    Report,
    ReportDigitsWanted,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    ReportScanned,
    Room,
    SendOutcome,
    Unconfirmed,
)
from wxrc_simulation.scheduler import Life, Signal, Steps
from wxrc_simulation.stage import Stage

ReportTo: TypeAlias = Callable[[Report], Steps[None]]

QR_LIFETIME_MS = 20_000
QR_CODES = 3
"""How many codes are shown before the client gives up."""


class ClientFailed(Exception):
    """The client cannot be reached; the text says why."""


@frozen
class Arrival:
    """A message that really reached a room."""

    at: int
    msgid: int
    attempt: int
    room_id: str
    text: str


@frozen
class HandOver:
    """The gateway called a puppet's `send`, when the log ended at this position."""

    at: int
    botcode: str
    room_id: str
    msgid: int
    attempt: int
    position: int


@define
class Account:
    """One WeChat account.

    Attributes:
        botcode: The bot it belongs to.
        deduplicates: The same message handed over twice arrives once.
        rooms: Topics by room id: the truth, of which the gateway learns by reports.
        session: A stored session holds, so that a client logs in without a scan.
        inbox: What people wrote where the bot can read it.
        told: How much of the inbox the gateway has confirmed.
        client: The client that is logged in, if one is.
    """

    botcode: str
    deduplicates: bool
    rooms: dict[str, str]
    session: bool = False
    inbox: list[ReportMessage] = field(factory=list)
    told: int = 0
    client: "SimulatedPuppet | None" = None

    def sign_out(self) -> None:
        """Sign the account out; its session is gone."""
        self.session = False
        self.client = None

    def release(self) -> None:
        """Let go of the client; the session is kept."""
        self.client = None

    def tell_client(self, what: str, value: Any = None) -> None:
        """Tell the client that something happened; nobody is told where none is logged in."""
        if self.client is not None and self.client.life.alive:
            self.client.happened(what, value)


class WeChat:
    """The accounts, and the record of what really happened.

    Attributes:
        arrivals: What reached the rooms, in order.
        handed: Every call of a puppet's `send`, in order.
        said: What the puppet answered to a hand-over, by (msgid, attempt).
        receipts: The message that each receipt was given for.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.accounts: dict[str, Account] = {}
        self.arrivals: list[Arrival] = []
        self.handed: list[HandOver] = []
        self.said: dict[tuple[int, int], SendOutcome] = {}
        self.receipts: dict[str, int] = {}

    def arrive(self, account: Account, outgoing: Outgoing) -> str:
        """Let a message reach its room; return its receipt."""
        receipt = f"wx{outgoing.msgid}" if account.deduplicates else f"wx{outgoing.msgid}-{len(self.arrivals)}"
        if not (account.deduplicates and receipt in self.receipts):
            self.arrivals.append(
                Arrival(self.stage.now, outgoing.msgid, outgoing.attempt, outgoing.room_id, outgoing.text)
            )
            self.stage.note("arrived", outgoing.room_id, outgoing.msgid, outgoing.attempt)
        self.receipts[receipt] = outgoing.msgid
        return receipt

    def arrive_later(self, account: Account, outgoing: Outgoing, after: int) -> Steps[None]:
        """Let a message arrive that is on its way, whatever became of the gateway; the client may see its echo."""
        yield after
        receipt = self.arrive(account, outgoing)
        if self.stage.random.random() < 0.3:
            yield self.stage.delay(10, 20_000)
            account.tell_client("echo", ReportReceipt(at=self.stage.now, msgid=outgoing.msgid, receipt=receipt))


class SimulatedPuppet:
    """One client of one account."""

    def __init__(self, wechat: WeChat, account: Account, life: Life) -> None:
        self.life = life
        self._wechat, self._account, self._stage = wechat, account, wechat.stage
        self._news: list[tuple[str, Any]] = []
        self._wake: Signal = self._stage.scheduler.signal()

    def happened(self, what: str, value: Any) -> None:
        """Take notice of something on the WeChat side."""
        self._news.append((what, value))
        self._wake.set()

    def run(self, report: ReportTo) -> Steps[None]:
        """Log in, then report until the client has ended.

        Raises:
            ClientFailed: It cannot be reached.
        """
        stage, account = self._stage, self._account
        yield stage.delay(10, 500)
        if stage.faults.strike("client cannot start"):
            raise ClientFailed("it does not start")
        if not account.session:
            logged_in = yield from self._await_scan(report)
            if not logged_in:
                return
        account.session = True
        account.client = self
        yield from report(ReportLoggedIn(at=stage.now, wxid=f"wxid_{account.botcode}", name=account.botcode))
        yield from self._sync_rooms(report)
        yield from self._tell_inbox(report)
        while True:
            while self._news:
                what, value = self._news.pop(0)
                if what == "link":
                    raise ClientFailed("the connection broke")
                if what == "kicked":
                    account.client = None
                    yield from report(ReportLoggedOut(at=stage.now, reason="kicked"))
                    return
                if what == "rooms":
                    yield from report(self._rooms(complete=True))
                elif what == "echo":
                    yield from report(value)
                else:
                    yield from self._tell_inbox(report)
            self._wake = stage.scheduler.signal()
            yield self._wake, None

    def _await_scan(self, report: ReportTo) -> Steps[bool]:
        stage = self._stage
        for number in range(QR_CODES):
            text = f"qr-{self._account.botcode}-{stage.now}-{number}"
            expires_at = stage.now + QR_LIFETIME_MS
            yield from report(ReportQrCode(at=stage.now, text=text, expires_at=expires_at))
            if stage.faults.strike("nobody scans"):
                yield QR_LIFETIME_MS
                continue
            yield stage.delay(200, 5_000)
            yield from report(ReportScanned(at=stage.now))
            if stage.faults.strike("digits wanted"):
                yield from report(ReportDigitsWanted(at=stage.now))
                yield stage.delay(200, 3_000)
            yield stage.delay(100, 1_000)
            if stage.faults.strike("login refused"):
                break
            return True
        yield from report(ReportLoginFailed(at=stage.now, reason="nobody confirmed"))
        return False

    def _rooms(self, *, complete: bool) -> ReportRooms:
        rooms = [Room(room_id, topic) for room_id, topic in self._account.rooms.items()]
        if not complete:
            rooms = rooms[: int(self._stage.random.random() * len(rooms))]
        return ReportRooms(at=self._stage.now, rooms=tuple(rooms), complete=complete)

    def _sync_rooms(self, report: ReportTo) -> Steps[None]:
        stage = self._stage
        yield stage.delay(5, 200)
        yield from report(self._rooms(complete=False))
        yield stage.delay(5_000, 20_000) if stage.faults.strike("rooms come late") else stage.delay(5, 300)
        yield from report(self._rooms(complete=True))

    def _tell_inbox(self, report: ReportTo) -> Steps[None]:
        """Report what people wrote; the cursor moves only when the report is durable (invariant 14)."""
        account = self._account
        while account.told < len(account.inbox):
            message = account.inbox[account.told]
            yield from report(message)
            if self._stage.faults.strike("told twice"):
                yield from report(message)
            account.told += 1

    def send(self, outgoing: Outgoing, position: int) -> Steps[SendOutcome]:
        """Hand a message to WeChat, once; the log ends at this position now."""
        now, botcode = self._stage.now, self._account.botcode
        hand_over = HandOver(now, botcode, outgoing.room_id, outgoing.msgid, outgoing.attempt, position)
        self._wechat.handed.append(hand_over)
        self._stage.note("handed over", outgoing.msgid, outgoing.attempt)
        outcome = yield from self._send(outgoing)
        self._wechat.said[outgoing.msgid, outgoing.attempt] = outcome
        self._stage.note("answered", outgoing.msgid, outgoing.attempt, outcome)
        yield self._stage.delay(1, 50)
        return outcome

    def _send(self, outgoing: Outgoing) -> Steps[SendOutcome]:
        stage, account, strike = self._stage, self._account, self._stage.faults.strike
        yield stage.delay(1, 30)
        if account.client is not self:
            return NotSent("not connected", retry=True)
        if strike("refused for now"):
            yield stage.delay(0, 8_000)
            return NotSent("WeChat could not be reached", retry=True)
        if outgoing.room_id not in account.rooms:
            return NotSent("the bot is no longer in this room")
        if strike("refused"):
            return NotSent("refused before sending")
        if strike("content rejected"):
            return Rejected("this content is not liked")
        if strike("lost on the way"):
            return Unconfirmed("no answer from WeChat")
        if strike("no answer"):
            self._on_its_way(outgoing, 5_000)
            return Unconfirmed("no answer from WeChat")
        if strike("hangs"):
            if stage.random.random() < 0.7:
                self._on_its_way(outgoing, 60_000)
            yield stage.scheduler.signal(), None
        if strike("no receipt"):
            if stage.random.random() < 0.7:
                self._on_its_way(outgoing, 2_000)
            return Accepted("")
        receipt = self._wechat.arrive(account, outgoing)
        yield stage.delay(1, 100)
        return Accepted(receipt)

    def _on_its_way(self, outgoing: Outgoing, longest: int) -> None:
        steps = self._wechat.arrive_later(self._account, outgoing, self._stage.delay(0, longest))
        self._stage.scheduler.spawn(steps)
