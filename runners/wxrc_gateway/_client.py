"""The client loop of one bot: run its puppet while the bot is meant to run, start it again when it fails, have it leave when that
is asked for.

Every run of a client has a number (`Bot.run`), and each of its reports carries it: what an earlier client still says changes nothing.
"""

import logging

import anyio
import msgspec

from wxrc_core import bot, inbound, message
from wxrc_core.bot import Bot
from wxrc_core.bot_world import BotWorld
from wxrc_core.boundary import checked_report
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.log import Fence
from wxrc_core.operation import digits_name
from wxrc_core.puppet import (
    Capabilities,
    Report,
    ReportLinkLost,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
)
from wxrc_gateway._append import ShardLost
from wxrc_gateway._qr_codes import BotCodes
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_gateway.admin import options_name, session_name
from wxrc_gateway.retry import error_location, retry_until_available
from wxrc_puppet.port import Puppet, PuppetContext, PuppetError
from wxrc_store.port import Vault

log = logging.getLogger("wxrc.gateway")

DIGITS_LIMIT_S = 10.0
"""How long a client may take over the digits of a login (seconds)."""

LEAVE_LIMIT_S = 15.0
"""How long a client may take to sign out or to be released (seconds); then it is let go of all the same."""


class StoredSession:
    """A bot's place in the vault for its session credentials. It waits for an unavailable store, so that no scan is lost."""

    def __init__(self, vault: Vault, botcode: str) -> None:
        self._vault, self._name = vault, session_name(botcode)

    async def load(self) -> bytes | None:
        """Return what was saved last, or None."""
        return await retry_until_available(lambda: self._vault.get(self._name))

    async def save(self, credentials: bytes) -> None:
        """Keep the credentials."""
        await retry_until_available(lambda: self._vault.put(self._name, credentials))

    async def clear(self) -> None:
        """Forget them."""
        await retry_until_available(lambda: self._vault.delete(self._name))


class BotClient:
    """Runs the clients of one bot, one after the other.

    Attributes:
        puppet: The one that runs; None = none does.
        signal: Wakes the loop.
    """

    def __init__(self, runtime: Runtime, world: BotWorld, fence: Fence) -> None:
        self.puppet: Puppet | None = None
        self.signal = Signal()
        self._runtime, self._world, self._fence = runtime, world, fence
        self._stream = bot.stream_name(world.botcode)
        self._codes = BotCodes(runtime, world)
        self._session = StoredSession(runtime.vault, world.botcode)
        self._reason = ""  # why the last client failed

    def capabilities(self) -> Capabilities | None:
        """Return what the bot's kind of puppet can do; None where this gateway does not have that kind."""
        the_bot = self._world.bot
        kind = self._runtime.puppets.get(the_bot.added.puppet) if the_bot is not None else None
        return kind.capabilities if kind else None

    async def run(self) -> None:
        """Do what is wanted of the client, until cancelled."""
        while True:
            self.signal.clear()
            wanted = self._world.wanted_client()
            if wanted is None or (self._runtime.draining and not wanted.pending_exit):
                await self.signal.wait(await self._codes.forget_over())
            elif wanted.pending_exit:
                await self._leave(wanted, signed_out=False)
            else:
                await self._run_client(wanted)

    # -- one run ----------------------------------------------------------------------------------------------------------------

    async def _run_client(self, wanted: Bot) -> None:
        """Run one puppet to its end, or until something else is wanted; where it failed, wait before the next."""
        run = wanted.run
        self._reason = "the client ended without saying why"
        leaving: Bot | None = None
        signed_out = False
        puppet = await self._new_puppet(wanted)
        if puppet is not None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run_puppet, puppet, run, tasks.cancel_scope)
                leaving = await self._until_unwanted(run, puppet)
                if leaving is not None:
                    signed_out = await self._ask_to_leave(puppet, leaving)
                tasks.cancel_scope.cancel()
        if leaving is not None:
            await self._leave(leaving, signed_out=signed_out)
            return
        now = self._world.wanted_client()
        if now is None or now.run != run or now.pending_exit:
            return
        await self._record_report(run, ReportLinkLost(at=self._runtime.clock(), reason=self._reason))
        after = self._world.wanted_client()
        if after is not None and not after.pending_exit:
            await self._wait_before_restart(after)

    async def _run_puppet(self, puppet: Puppet, run: int, scope: anyio.CancelScope) -> None:
        self.puppet = puppet
        try:
            await puppet.run(lambda report: self._report(run, report))
        except ShardLost:
            raise
        except Exception as error:
            self._note_failure(error)
        finally:
            self.puppet = None
        scope.cancel()  # its end was reported, or the caller finds that it was not

    def _note_failure(self, error: Exception) -> None:
        """Remember why a client failed. An error of its own must not take other bots with it, and its text may hold anything."""
        if isinstance(error, PuppetError):
            self._reason = _plain(str(error))
        else:
            log.error("the puppet of bot %s failed: %s", self._world.botcode, error_location(error))
            self._reason = f"the puppet failed ({type(error).__name__})"

    async def _until_unwanted(self, run: int, puppet: Puppet) -> Bot | None:
        """Wait until this run is no longer wanted; return the bot where its client is to leave. Hand over digits meanwhile."""
        submitted = 0
        while True:
            self.signal.clear()
            wanted = self._world.wanted_client()
            if wanted is None:
                return None
            if wanted.pending_exit:
                return wanted
            if wanted.run != run:
                return None
            if wanted.digits is not None and wanted.digits.operation > submitted:
                submitted = wanted.digits.operation
                await self._submit_digits(puppet, wanted.digits)
                continue
            await self.signal.wait(await self._codes.forget_over())

    async def _submit_digits(self, puppet: Puppet, digits: bot.DigitsSubmitted) -> None:
        """Hand the digits of a login to the client, once: then the vault forgets them."""
        vault, name = self._runtime.vault, digits_name(self._world.botcode, digits.secret_id)
        found = await retry_until_available(lambda: vault.get(name))
        if found is None:
            return  # handed over before
        await retry_until_available(lambda: vault.delete(name))
        try:
            with anyio.fail_after(DIGITS_LIMIT_S):
                await puppet.submit_digits(found.decode())
        except Exception as error:
            log.warning("bot %s: its client did not take the digits (%s)", self._world.botcode, type(error).__name__)

    async def _wait_before_restart(self, after: Bot) -> None:
        deadline = anyio.current_time() + bot.restart_wait_ms(after) / 1000
        while (left := deadline - anyio.current_time()) > 0:
            self.signal.clear()
            wanted = self._world.wanted_client()
            if wanted is None or wanted.pending_exit or wanted.operation != after.operation:
                return  # something else is wanted now; a login that was asked for does not wait
            await self.signal.wait(max(1, int(left * 1000)))

    async def _new_puppet(self, wanted: Bot) -> Puppet | None:
        """Return a puppet for the bot, or None where there can be none; `_reason` says why."""
        kind = self._runtime.puppets.get(wanted.added.puppet)
        if kind is None:
            kinds = ", ".join(self._runtime.puppets)
            self._reason = f"this gateway has no puppet of kind '{wanted.added.puppet}'; there are: {kinds}"
            return None
        raw = await retry_until_available(
            lambda: self._runtime.vault.get(options_name(self._world.botcode, wanted.added.options_id))
        )
        try:
            context = PuppetContext(
                botcode=self._world.botcode,
                options=msgspec.json.decode(raw, type=dict[str, str]) if raw else {},
                session=self._session,
                clock=self._runtime.clock,
                login_kind=wanted.kind or kind.capabilities.login_kinds[0],
                public_url=self._runtime.public_url,
                chance=self._runtime.chance,
            )
            return kind.create(context)
        except Exception as error:
            self._note_failure(error)
            return None

    # -- leaving ----------------------------------------------------------------------------------------------------------------

    async def _ask_to_leave(self, puppet: Puppet, leaving: Bot) -> bool:
        """Have a running client sign out or be released; return whether it did."""
        where = leaving.where
        reached = where.link if isinstance(where, bot.RemovedState) else leaving.link
        if leaving.pending_exit != "stop" and leaving.wxid and not reached:
            return False  # still coming up, perhaps with a stored session: it has nobody to sign out yet
        self._runtime.begin()
        try:
            with anyio.fail_after(LEAVE_LIMIT_S):
                await (puppet.release() if leaving.pending_exit == "stop" else puppet.sign_out())
            return True
        except Exception as error:
            log.warning(
                "bot %s: its client did not leave in good order (%s)", self._world.botcode, type(error).__name__
            )
            return True  # it is let go of all the same: that is what was asked for
        finally:
            self._runtime.end()

    async def _leave(self, leaving: Bot, *, signed_out: bool) -> None:
        """Finish a logout, a stop or a removal: no client runs any more."""
        runtime = self._runtime
        runtime.begin()
        try:
            if leaving.pending_exit != "stop":
                if not signed_out and leaving.wxid:
                    await self._sign_out_alone(leaving)
                await self._session.clear()
            if leaving.pending_exit == "remove":
                await self._forget_secrets()
            finished = bot.FinishExit(at=runtime.clock(), operation=leaving.operation, exit=leaving.pending_exit)
            await self._record(finished)
        finally:
            runtime.end()

    async def _forget_secrets(self) -> None:
        """Have the vault forget all that it has of a bot that was removed: the session, the options, digits."""
        vault, own = self._runtime.vault, f"bot/{self._world.botcode}/"
        for name in await retry_until_available(vault.names):
            if name.startswith(own):
                await retry_until_available(lambda name=name: vault.delete(name))  # type: ignore[misc]

    async def _sign_out_alone(self, leaving: Bot) -> None:
        """Sign the account out where no client runs (released, or gone with its process): one is run for just that.

        A client that asks for a scan, or says that nobody is logged in, shows that there is nothing to sign out.
        """
        told = anyio.Event()
        logged_in = False

        async def listen(report: Report) -> None:
            nonlocal logged_in
            logged_in = logged_in or isinstance(report, ReportLoggedIn)
            if isinstance(report, ReportLoggedIn | ReportQrCode | ReportLoginFailed | ReportLoggedOut):
                told.set()
            if isinstance(report, ReportMessage):
                await self._report(leaving.run, report)  # the puppet will not report it again

        try:
            puppet = await self._new_puppet(leaving)
            if puppet is None:
                return
            with anyio.fail_after(LEAVE_LIMIT_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(puppet.run, listen)
                    await told.wait()
                    if logged_in:
                        await puppet.sign_out()
                    tasks.cancel_scope.cancel()
        except Exception as error:
            log.warning("bot %s: its account could not be signed out (%s)", self._world.botcode, type(error).__name__)

    # -- reports ----------------------------------------------------------------------------------------------------------------

    async def _report(self, run: int, report: Report) -> None:
        """Take a report; return when it is durable. One that is invalid is refused by name, and nothing else happens."""
        try:
            report = checked_report(report)
        except InvalidValue as error:
            log.error("the puppet of bot %s made an invalid report, which is ignored: %s", self._world.botcode, error)
            return
        botcode = self._world.botcode
        match report:
            case ReportMessage():
                addressed = report.mentioned or not report.room_id
                if addressed or self._runtime.ledger.world.view.wants_everything(botcode):
                    stream = inbound.stream_name(botcode, report.message_id)
                    await self._record(inbound.Receive(botcode, report), stream)
            case ReportReceipt():
                await self._confirm(report)
            case ReportQrCode():
                code_id = await self._codes.keep(run, report)  # first: whoever reads the event must find it
                try:
                    await self._record_report(run, report, code_id)
                finally:
                    self._codes.recorded(code_id)
            case _:
                await self._record_report(run, report)

    async def _record_report(self, run: int, report: bot.BotReport, code_id: str = "") -> None:
        await self._record(bot.TakeReport(run=run, report=report, code_id=code_id))
        self.signal.set()  # a QR code may be over

    async def _record(self, command: bot.Command | inbound.Command, stream: str = "") -> None:
        """Execute a command that must not be lost, as often as the store needs."""
        stream = stream or self._stream
        try:
            await retry_until_available(lambda: self._runtime.ledger.execute(stream, command, self._fence))
        except Refusal as refusal:
            log.info("%s: %s", stream, refusal)  # too late: what it was about has changed

    async def _confirm(self, report: ReportReceipt) -> None:
        """Take a late receipt for the message with this number. Without a fence: a fact, whoever owns the bot."""
        runtime = self._runtime
        recorded = await retry_until_available(lambda: runtime.store.at(report.msgid))
        if recorded is None or not isinstance(recorded.event, message.MessageQueued):
            return
        confirm = message.Confirm(at=report.at, receipt=report.receipt)
        try:
            await retry_until_available(lambda: runtime.ledger.execute(recorded.stream, confirm))
        except Refusal as refusal:
            log.info("%s: %s", recorded.stream, refusal)


def _plain(text: str) -> str:
    """Return a sentence as the log can hold it."""
    return text.encode("utf-8", "replace").decode()[:500]
