"""The simulator's puppet: a client of the simulated WeChat, as the gateway drives it. It runs under asyncio and trio."""

import json
import math
from typing import ClassVar

import anyio
from attrs import evolve

from wxrc_core.puppet import (
    Accepted,
    Capabilities,
    Contact,
    NotConnected,
    NotSent,
    Outgoing,
    Rejected,
    ReportContacts,
    ReportDigitsWanted,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
    Room,
    RoomMissing,
    SendOutcome,
    Unconfirmed,
    UserMissing,
)
from wxrc_puppet.port import PuppetContext, PuppetError, PuppetFactory, ReportTo
from wxrc_puppet.simulator.model import (
    OPEN,
    ChatMessage,
    Code,
    CodeState,
    Login,
    NoSuchPerson,
    NoSuchRoom,
    NotLoggedIn,
    Person,
    RoomView,
    SimulatorError,
)
from wxrc_puppet.simulator.options import read_options
from wxrc_puppet.simulator.wechat import SimulatedWeChat

LOGGED_OUT = {
    "kicked": "WeChat ended this login because the account logged in on another device. Log in again.",
    "phone": "The account was signed out on its phone. Log in again.",
    "client": "The account was signed out at the gateway's wish.",
    "superseded": "A newer client of this bot has logged in, so this one had to go.",
}


CALLED_OFF: dict[CodeState, str] = {
    "refused": "The login was refused on the phone. Start the login again and confirm it there.",
    "withdrawn": "The QR code was taken back: the login was called off, or another one of this bot was started.",
}


def simulator(wechat: SimulatedWeChat) -> PuppetFactory:
    """Return what makes a simulated puppet in this WeChat for whatever bot."""
    return lambda context: SimulatedPuppet(context, wechat)


class SimulatedPuppet:
    """One client of a simulated WeChat account.

    Args:
        context: What the runner gives; the options are those of `options.SimulatorOptions`.
        wechat: The WeChat.

    Raises:
        BadOption: An option is unknown or its value is not right.
        PuppetError: There is no such kind of client.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        login_kinds=("web", "mac"),
        content=frozenset({"text", "app", "image"}),
        rooms=True,
        contacts=True,
        mentions=True,
        receipts=True,
        inbound=True,
        pace="none",
    )

    def __init__(self, context: PuppetContext, wechat: SimulatedWeChat) -> None:
        if context.login_kind not in self.capabilities.login_kinds:
            kinds = ", ".join(self.capabilities.login_kinds)
            raise PuppetError(f"The simulator has no client of kind {context.login_kind!r}; it has {kinds}.")
        self._context = context
        self._wechat = wechat
        self._bot = context.botcode
        self._news = wechat.news.of(self._bot)
        self._options = read_options(context.options)
        self._code: Code | None = None
        self._login: Login | None = None
        self._released = False
        self._account = wechat.ensure_account(self._bot, context.options)
        if (
            self._options.deduplicates
        ):  # the only capability that an option changes: this one object has others than its class
            self.capabilities = evolve(self.capabilities, deduplicates=True)  # type: ignore[misc]

    async def run(self, report: ReportTo) -> None:
        """Log in, report until the account is logged out, and leave it logged in when cancelled; see `port.Puppet`."""
        with self._wechat.connection(self._bot):
            await anyio.sleep(self._options.startup_ms / 1000)
            self._login = await self._resume() or await self._log_in_by_code(report)
            if self._login is not None:
                await self._stay(self._login, report)

    # -- login ---------------------------------------------------------------------------------------------------------

    async def _resume(self) -> Login | None:
        """Log in from the stored session; forget one that holds no more."""
        credentials = await self._context.session.load()
        if credentials is None:
            return None
        login = self._wechat.logins.resume(self._bot, _session(credentials), self._context.login_kind)
        if login is None:
            await self._context.session.clear()
        return login

    async def _log_in_by_code(self, report: ReportTo) -> Login | None:
        """Show one code after the other until the phone confirms or refuses one, or they are used up."""
        for _ in range(self._options.qr_codes):
            end, code = await self._show_code(report)
            if self._released:
                return None
            if end == "confirmed":
                login = self._wechat.logins.log_in(code, self._context.login_kind)
                if login is not None:
                    await self._context.session.save(json.dumps({"session": login.session}).encode())
                    return login
                end = "withdrawn"
            if end in CALLED_OFF:
                await self._fail(report, CALLED_OFF[end])
                return None
        codes = self._options.qr_codes
        await self._fail(report, f"Nobody confirmed any of the {codes} QR codes. Start the login again.")
        return None

    async def _show_code(self, report: ReportTo) -> tuple[CodeState, Code]:
        """Show one code and return what became of it; whoever leaves an open code behind takes it back."""
        options = self._options
        code = self._wechat.logins.issue(self._bot, lifetime_ms=options.qr_lifetime_ms, digits=options.digits)
        self._code = code
        end: CodeState = "shown"
        try:
            url = f"{self._context.public_url}/sim/qr/{code.token}"
            now = self._context.clock()
            await report(ReportQrCode(at=now, text=url, expires_at=now + options.qr_lifetime_ms))
            end = await self._watch(code, report)
        finally:
            if end != "confirmed":
                self._wechat.logins.withdraw(code.token)
        return end, code

    async def _watch(self, code: Code, report: ReportTo) -> CodeState:
        """Report what happens to a code until it is open no more."""
        scanned, digits, wrong = False, False, 0
        while True:
            seen = self._news.number
            now = self._wechat.logins.code(code.token)
            state: CodeState = now.state if now is not None else "withdrawn"
            if state in ("scanned", "digits", "confirmed", "refused") and not scanned:
                scanned = True
                await report(ReportScanned(at=self._context.clock()))
            if state == "digits" and now is not None and (not digits or now.wrong > wrong):
                await report(ReportDigitsWanted(at=self._context.clock(), wrong=digits))
                digits, wrong = True, now.wrong
            if state not in OPEN or self._released:
                return state
            await self._news.after(seen, self._wechat.logins.seconds_left(code))

    async def _fail(self, report: ReportTo, reason: str) -> None:
        """Report that this login came to nothing."""
        await report(ReportLoginFailed(at=self._context.clock(), reason=reason))

    async def submit_digits(self, digits: str) -> None:
        """Hand over the digits that the phone shows; nothing happens while it shows none."""
        self._wechat.logins.enter_digits(self._bot, digits)

    # -- logged in -----------------------------------------------------------------------------------------------------

    async def _stay(self, login: Login, report: ReportTo) -> None:
        """Report rooms and messages until this client is logged in no more."""
        me = self._account
        await report(ReportLoggedIn(at=self._context.clock(), wxid=me.wxid, name=me.name))
        whole_at = anyio.current_time() + self._options.sync_ms / 1000
        told: tuple[list[RoomView], bool] | None = None
        told_people: tuple[list[Person], bool] | None = None
        while True:
            seen = self._news.number
            if self._released:
                return
            if reason := await self._logged_out(login):
                await report(ReportLoggedOut(at=self._context.clock(), reason=reason))
                return
            wait = whole_at - anyio.current_time()
            rooms = self._wechat.directory.rooms(self._bot)
            if told != (rooms, wait <= 0):
                await self._report_rooms(rooms, wait <= 0, report)
                told = (rooms, wait <= 0)
            people = self._wechat.directory.people(self._bot)  # before messages: the writer of one may be new
            if told_people != (people, wait <= 0):
                await self._report_contacts(people, wait <= 0, report)
                told_people = (people, wait <= 0)
            for message in self._wechat.messages.waiting(self._bot, limit=20):
                await report(self._as_report(message))
                self._wechat.messages.taken(self._bot, message.seq)
                seen = -1  # there may be more: look again at once
            await self._news.after(seen, wait if wait > 0 else math.inf)

    async def _logged_out(self, login: Login) -> str:
        """Return why this client is out, and forget the session if the account is; empty = it is logged in."""
        account = self._wechat.account(self._bot)
        if account is not None and account.client != login.client:
            return LOGGED_OUT["superseded"]  # the stored session is the newer client's now
        if account is not None and account.logged_in:
            return ""
        await self._context.session.clear()
        return LOGGED_OUT[account.ended if account is not None and account.ended else "kicked"]

    async def _report_rooms(self, rooms: list[RoomView], whole: bool, report: ReportTo) -> None:
        known = rooms if whole else rooms[: len(rooms) // 2]
        listed = tuple(Room(room.id, room.topic) for room in known)
        await report(ReportRooms(at=self._context.clock(), rooms=listed, complete=whole))

    async def _report_contacts(self, people: list[Person], whole: bool, report: ReportTo) -> None:
        known = people if whole else people[: len(people) // 2]
        listed = tuple(Contact(person.id, person.name, person.remark) for person in known)
        await report(ReportContacts(at=self._context.clock(), contacts=listed, complete=whole))

    def _as_report(self, message: ChatMessage) -> ReportMessage:
        return ReportMessage(
            at=self._context.clock(),
            message_id=message.id,
            kind="text",
            text=message.text,
            from_id=message.from_id,
            from_name=message.from_name,
            room_id=message.room_id,
            room_topic=message.place if message.room_id else "",
            mentioned=self._account.wxid in message.mentions,
        )

    async def send(self, message: Outgoing) -> SendOutcome:
        """Hand one message to the simulated WeChat. It is on record before this goes on in any way; see `port.Puppet`."""
        if self._login is None:
            return NotConnected("The simulator's client is not logged in yet.")
        try:
            fault = self._wechat.directory.room(self._bot, message.room_id).fault if message.room_id else ""
            if fault == "rejected":
                return Rejected("WeChat refused the message: this room of the simulator is set to refuse.")
            if fault == "lost":
                await anyio.sleep_forever()
            await anyio.sleep(self._options.send_ms / 2000)
            delivered = self._wechat.messages.deliver(self._bot, self._login.client, message)
        except NotLoggedIn as error:
            return NotConnected(str(error))
        except NoSuchRoom:
            return RoomMissing("The account is not in this room: it was dissolved, or it never was.")
        except NoSuchPerson:
            return UserMissing("The account knows no such person.")
        except SimulatorError as error:
            return NotSent(str(error))
        if fault == "hang":
            await anyio.sleep_forever()
        await anyio.sleep(self._options.send_ms / 2000)
        if fault == "no_receipt":
            return Unconfirmed("WeChat took the message and gave no id for it: this room of the simulator is set so.")
        return Accepted(delivered.id, delivered.mention)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def sign_out(self) -> None:
        """Sign the account out in the simulated WeChat and forget the session; before the login is through, call it off."""
        if self._login is not None:
            self._wechat.logins.sign_out(self._bot, self._login.client)
        elif self._code is not None:
            self._wechat.logins.withdraw(self._code.token)

    async def release(self) -> None:
        """Stop the client and keep the session: `run` returns without a further report."""
        self._released = True
        self._wechat.news.tell(self._bot)


def _session(credentials: bytes) -> str:
    """Return the session in stored credentials; empty where they are not ours."""
    try:
        session = json.loads(credentials)["session"]
    except (ValueError, TypeError, KeyError):
        return ""
    return session if isinstance(session, str) else ""
