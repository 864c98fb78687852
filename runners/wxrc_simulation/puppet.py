"""The client of one simulated account: a puppet that logs in, reports, sends, and fails in every way that puppets fail."""

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, cast

import anyio

from wxrc_core.puppet import (
    Accepted,
    Capabilities,
    NotConnected,
    NotSent,
    Outgoing,
    Rejected,
    Report,
    ReportContacts,
    ReportDigitsWanted,
    ReportLinkLost,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    ReportScanned,
    RoomMissing,
    SendOutcome,
    Unconfirmed,
    UserMissing,
)
from wxrc_puppet.port import PuppetContext, PuppetError, ReportTo
from wxrc_simulation.chance import Chance
from wxrc_simulation.loop import PROCESS, VirtualLoop
from wxrc_simulation.records import CodeFact, DigitsFact, HandOver, Heard, Run, Said
from wxrc_simulation.wechat import Account, Phone, WeChat, label

QR_LIFETIME_S = 20.0
QR_CODES = 3


class SimulatedClient:
    """One client. It lives in the process of the gateway that runs it, and dies with it; what it handed to WeChat does not."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        login_kinds=("web", "mac"), content=frozenset({"text", "app", "image"}), contacts=True, pace="none"
    )

    def __init__(
        self,
        context: PuppetContext,
        wechat: WeChat,
        loop: VirtualLoop,
        run: Run,
        chance: Chance,
        log_end: Callable[[], int],
    ) -> None:
        self._log_end = log_end
        self._context, self._wechat, self._loop, self._run, self._chance = context, wechat, loop, run, chance
        self._phone: Phone = wechat.phones[context.botcode]
        self._account: Account | None = None
        self._news: deque[str] = deque()
        self._wake = anyio.Event()
        self._failed = False
        self._submitted = anyio.Event()
        self._entered = ""
        self._echoes: deque[ReportReceipt] = deque()
        process = PROCESS.get()
        self._replica = process.name if process is not None else ""

    # -- logging in, reporting --------------------------------------------------------------------------------------------------

    async def run(self, report: ReportTo) -> None:
        """See `Puppet.run`."""
        chance = self._chance
        await anyio.sleep(chance.seconds(0.01, 0.4))
        if chance.strikes("client cannot start"):
            raise PuppetError("the client cannot be reached")
        account = await self._log_in(report)
        if account is None:
            return
        self._account = account
        # One client of an account at a time: a newer one throws an older one out.
        if self._phone.client is not None:
            self._phone.client("replaced")
        self._phone.client = self._happened
        try:
            await self._serve(account, report)
        finally:
            self._account = None
            if self._phone.client == self._happened:
                self._phone.client = None

    async def _serve(self, account: Account, report: ReportTo) -> None:
        chance, now = self._chance, self._context.clock
        await report(ReportLoggedIn(at=now(), wxid=account.wxid, name=f"名 {account.wxid}"))
        await anyio.sleep(
            chance.seconds(5.0, 20.0) if chance.strikes("rooms come late") else chance.seconds(0.005, 0.3)
        )
        if chance.strikes("rooms incomplete"):
            some = self._wechat.room_list(account)[:1]
            await report(ReportRooms(at=now(), rooms=some, complete=False))
            few = self._wechat.contact_list(account)[:1]
            await report(ReportContacts(at=now(), contacts=few, complete=False))
            await anyio.sleep(chance.seconds(0.1, 3.0))
        await report(ReportRooms(at=now(), rooms=self._wechat.room_list(account), complete=True))
        await report(ReportContacts(at=now(), contacts=self._wechat.contact_list(account), complete=True))
        await self._tell_inbox(account, report)
        drops_after = chance.seconds(0.05, 12.0) if chance.strikes("link drops") else None
        with anyio.move_on_after(drops_after):
            await self._listen(account, report)
            return
        raise PuppetError("the connection broke")

    async def _listen(self, account: Account, report: ReportTo) -> None:
        chance, now = self._chance, self._context.clock
        while True:
            while self._news or self._echoes:
                if self._echoes:
                    await report(self._echoes.popleft())
                    continue
                what = self._news.popleft()
                if what in ("kick", "sign out", "replaced"):
                    self._account = None
                    if what == "replaced":
                        raise PuppetError("another client of this account has connected")
                    await report(ReportLoggedOut(at=now(), reason=what))
                    return
                if what == "drop":
                    raise PuppetError("the connection broke")
                if what == "rooms":
                    await report(ReportRooms(at=now(), rooms=self._wechat.room_list(account), complete=True))
                if what == "contacts":
                    await report(ReportContacts(at=now(), contacts=self._wechat.contact_list(account), complete=True))
                if chance.strikes("nonsense report"):
                    await report(self._nonsense())
                if chance.strikes("client raises"):
                    raise RuntimeError("私密 a fault of the client's own")
                await self._tell_inbox(account, report)
            self._wake = anyio.Event()
            await self._wake.wait()

    def _nonsense(self) -> Report:
        values: list[Any] = [
            ReportLoggedIn(at=cast(int, 1.5), wxid="w", name="n"),
            ReportLinkLost(at=0, reason="\ud800"),
            ReportLinkLost(at=0, reason="x" * 2_000_000),
            ReportReceipt(at=0, msgid=1, receipt=cast(str, 17)),
            "a report",
            None,
            ReportRooms(at=0, rooms=cast(Any, None), complete=True),
        ]
        return cast(Report, self._chance.pick(values))

    async def _log_in(self, report: ReportTo) -> Account | None:
        chance, now, phone = self._chance, self._context.clock, self._phone
        stored = await self._context.session.load()
        if phone.session is not None and stored is not None and stored.decode() == phone.session[0]:
            return phone.session[1]
        for number in range(QR_CODES):
            text = f"qr-{self._context.botcode}-{self._wechat.now}-{number}"
            code = ReportQrCode(at=now(), text=text, expires_at=now() + int(QR_LIFETIME_S * 1000))
            self._run.codes.append(CodeFact(self._context.botcode, text, code.expires_at))
            await report(code)
            if chance.strikes("not scanned"):
                await anyio.sleep(QR_LIFETIME_S)
                continue
            await anyio.sleep(chance.seconds(0.2, 3.0))
            await report(ReportScanned(at=now()))
            if chance.strikes("digits wanted") and not await self._digits(report):
                continue
            await anyio.sleep(chance.seconds(0.1, 1.0))
            if chance.strikes("login refused"):
                break
            account = phone.other if chance.strikes("another account") else phone.own
            token = self._wechat.log_in(phone, account)
            await self._context.session.save(token.encode())
            return account
        await report(ReportLoginFailed(at=now(), reason="nobody confirmed"))
        return None

    async def _digits(self, report: ReportTo) -> bool:
        """Show digits on the phone, and wait until they are handed over; return whether they were right, after three tries."""
        chance, now, phone = self._chance, self._context.clock, self._phone
        right = f"{chance.random.randrange(1_000_000):06}"
        try:
            for number in range(3):
                self._submitted = anyio.Event()
                await report(ReportDigitsWanted(at=now(), wrong=number > 0))
                self._wechat.show_digits(phone, right)
                with anyio.move_on_after(12.0):
                    await self._submitted.wait()
                if self._entered == right:
                    return True
        finally:
            self._wechat.show_digits(phone, "")
        return False

    async def _tell_inbox(self, account: Account, report: ReportTo) -> None:
        """Report what people wrote; the cursor moves only when that is durable (invariant 14)."""
        told = self._phone.told
        while told.get(account.wxid, 0) < len(account.inbox):
            number = told.get(account.wxid, 0)
            message = account.inbox[number]
            await report(message)
            if self._chance.strikes("told twice"):
                await report(message)
            told[account.wxid] = max(number + 1, told.get(account.wxid, 0))
            self._run.heard.append(Heard(self._wechat.now, message.message_id))

    def _happened(self, what: str) -> None:
        self._news.append(what)
        self._wake.set()

    # -- sending ----------------------------------------------------------------------------------------------------------------

    async def send(self, message: Outgoing) -> SendOutcome:
        """See `Puppet.send`."""
        account = self._account
        self._run.handed.append(
            HandOver(
                self._wechat.now,
                self._replica,
                self._context.botcode,
                account.wxid if account is not None else "",
                message.room_id,
                message.msgid,
                message.attempt,
                label(message),
                process=self._replica,
                log_end=self._log_end(),
                wall=self._context.clock(),
                user_id=message.user_id,
            )
        )
        outcome = await self._send(message)
        self._run.said.append(Said(self._wechat.now, message.msgid, message.attempt, outcome))
        return outcome

    async def _send(self, message: Outgoing) -> SendOutcome:
        chance = self._chance
        await anyio.sleep(chance.seconds(0.001, 0.03))
        account = self._account
        if account is None or chance.strikes("not connected"):
            return NotConnected("the client is not connected")
        if chance.strikes("refused for now"):
            await anyio.sleep(chance.seconds(0.0, 8.0))
            return NotSent("WeChat could not be reached", retry=True)
        if message.room_id and message.room_id not in account.rooms:
            return RoomMissing("the bot is not in this room")
        if message.user_id and message.user_id not in account.people:
            return UserMissing("the account knows no such person")
        if chance.strikes("refused"):
            return NotSent("refused before sending")
        if chance.strikes("rejected"):
            return Rejected("WeChat refused this content")
        if chance.strikes("lost on the way"):
            return Unconfirmed("no answer from WeChat")
        if chance.strikes("no answer"):
            self._later(account, message, 5.0)
            return Unconfirmed("no answer from WeChat")
        if chance.strikes("hangs"):
            if chance.happens(0.7):
                self._later(account, message, 40.0)
            await anyio.sleep_forever()
        if chance.strikes("raises"):
            if chance.happens(0.5):
                self._later(account, message, 1.0)
            raise ValueError("私密 a fault while sending")
        receipt = self._wechat.arrive(self._phone, account, message)
        if chance.strikes("no receipt"):
            return Accepted("")
        if chance.strikes("nonsense outcome"):
            nonsense: list[Any] = [
                Accepted(cast(str, 17)),
                "sent",
                None,
                Unconfirmed("\ud800"),
                Accepted("x" * 1_000_000),
            ]
            return cast(SendOutcome, chance.pick(nonsense))
        await anyio.sleep(chance.seconds(0.001, 0.1))
        return Accepted(receipt)

    def _later(self, account: Account, message: Outgoing, longest: float) -> None:
        """Let a message arrive that is on its way, whatever becomes of this client; the account's client may see its echo."""
        chance, phone = self._chance, self._phone

        def arrive() -> None:
            receipt = self._wechat.arrive(phone, account, message)
            if chance.strikes("late receipt") and phone.client is not None:
                client = phone.client
                self._loop.outside(chance.seconds(0.01, 10.0), lambda: _echo(client, message.msgid, receipt))

        self._loop.outside(chance.seconds(0.0, longest), arrive)

    async def submit_digits(self, digits: str) -> None:
        """See `Puppet.submit_digits`."""
        self._run.digits.append(
            DigitsFact(self._wechat.now, self._replica, self._context.botcode, digits, self._phone.digits)
        )
        self._entered = digits
        self._submitted.set()

    async def sign_out(self) -> None:
        """See `Puppet.sign_out`."""
        await anyio.sleep(self._chance.seconds(0.001, 0.05))
        self._account = None
        self._wechat.sign_out(self._phone)
        self._news.append("sign out")
        self._wake.set()

    async def release(self) -> None:
        """See `Puppet.release`."""
        await anyio.sleep(self._chance.seconds(0.001, 0.05))

    def echo(self, receipt: ReportReceipt) -> None:
        """Let the account's own stream show a message."""
        self._echoes.append(receipt)
        self._wake.set()


def _echo(happened: Any, msgid: int, receipt: str) -> None:
    client = happened.__self__
    client.echo(ReportReceipt(at=client._context.clock(), msgid=msgid, receipt=receipt))
