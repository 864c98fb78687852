"""One bot's puppet: run it, start it again when it fails, and turn its reports into commands."""

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec

from wxrc_core import bot, inbound
from wxrc_core.puppet import Report as AnyReport
from wxrc_core.puppet import (
    ReportLinkLost,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
)
from wxrc_core.world import World
from wxrc_gateway.admin import PuppetKind, options_name, session_name
from wxrc_gateway.outside import insist, where
from wxrc_puppet.port import Puppet, PuppetContext, PuppetError
from wxrc_store.port import Vault

log = logging.getLogger("wxrc.gateway")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""How long to wait before a puppet that failed is started again: doubled each time up to the longest (seconds)."""


class StoredSession:
    """A bot's place in the vault for its session credentials. It waits for a store that is away: a scan must not be for nothing."""

    def __init__(self, vault: Vault, botcode: str) -> None:
        self._vault, self._name = vault, session_name(botcode)

    async def load(self) -> bytes | None:
        """Return what was saved last, or None."""
        return await insist(lambda: self._vault.get(self._name))

    async def save(self, credentials: bytes) -> None:
        """Keep the credentials."""
        await insist(lambda: self._vault.put(self._name, credentials))

    async def clear(self) -> None:
        """Forget them."""
        await insist(lambda: self._vault.delete(self._name))


class BotClient:
    """Runs the puppet of one bot for as long as the bot is meant to run."""

    def __init__(
        self,
        botcode: str,
        kind: PuppetKind,
        vault: Vault,
        world: World,
        *,
        clock: Callable[[], int],
        public_url: str,
        record: Callable[[str, Any], Awaitable[None]],
        confirm: Callable[[ReportReceipt], Awaitable[None]],
    ) -> None:
        self.botcode = botcode
        self.puppet: Puppet | None = None
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.session = StoredSession(vault, botcode)
        self._kind, self._vault, self._world = kind, vault, world
        self._clock, self._public_url = clock, public_url
        self._record, self._confirm = record, confirm

    async def run(self) -> None:
        """Run puppets, one after the other, until the bot is no longer meant to run or `scope` is cancelled."""
        wait_s = FIRST_WAIT_S
        try:
            with self.scope:
                while self._meant_to_run():
                    reason = await self._run_once()
                    if not self._meant_to_run():
                        return
                    if self._world.bots[self.botcode].state.client.link:
                        wait_s = FIRST_WAIT_S  # it had worked in between
                    await self._record(bot.stream_name(self.botcode), ReportLinkLost(at=self._clock(), reason=reason))
                    await anyio.sleep(wait_s)
                    wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        finally:
            self.puppet = None
            self.ended.set()

    def _meant_to_run(self) -> bool:
        the_bot = self._world.bots[self.botcode].state
        return bool(the_bot.running and not the_bot.ending)

    async def _run_once(self) -> str:
        """Run one puppet to its end; return why it ended, for the case that it did not report an end itself."""
        try:
            self.puppet = await self._new_puppet()
            await self.puppet.run(self._report)
        except PuppetError as error:
            return str(error)
        except Exception as error:
            # A puppet's own fault must not take the other bots with it. Its text may hold anything, so only its kind is told.
            log.error("the puppet of bot %s failed: %s", self.botcode, where(error))
            return f"the puppet failed ({type(error).__name__})"
        finally:
            self.puppet = None
        return "the client ended without saying why"

    async def sign_out_alone(self) -> None:
        """Sign the account out where no client runs (released, or of a process that was killed): one is run for just that.

        A client that asks for a scan, or says that nobody is logged in, shows that there is nothing to sign out.

        Raises:
            Exception: Whatever the puppet raises.
        """
        puppet = await self._new_puppet()
        told = anyio.Event()
        logged_in = False

        async def listen(report: AnyReport) -> None:
            nonlocal logged_in
            logged_in = logged_in or isinstance(report, ReportLoggedIn)
            if isinstance(report, ReportLoggedIn | ReportQrCode | ReportLoginFailed | ReportLoggedOut):
                told.set()
            if isinstance(report, ReportMessage):
                await self._report(report)  # written while nobody was here; the puppet will not tell it again

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(puppet.run, listen)
            await told.wait()
            if logged_in:
                await puppet.sign_out()
            tasks.cancel_scope.cancel()

    async def _new_puppet(self) -> Puppet:
        context = PuppetContext(
            botcode=self.botcode,
            options=await self._options(),
            session=self.session,
            clock=self._clock,
            login_kind=self._world.bots[self.botcode].state.client.kind or self._kind.capabilities.login_kinds[0],
            public_url=self._public_url,
        )
        return self._kind.create(context)

    async def _options(self) -> dict[str, str]:
        raw = await insist(lambda: self._vault.get(options_name(self.botcode)))
        return msgspec.json.decode(raw, type=dict[str, str]) if raw else {}

    async def _report(self, report: AnyReport) -> None:
        """Take a report; return when it is durable."""
        match report:
            case ReportMessage():
                addressed = report.mentioned or not report.room_id
                if addressed or self._world.wants_everything(self.botcode):
                    stream = inbound.stream_name(self.botcode, report.message_id)
                    await self._record(stream, inbound.Receive(self.botcode, report))
            case ReportReceipt():
                await self._confirm(report)
            case ReportQrCode():
                image_url = f"{self._public_url}/qr/{secrets.token_urlsafe(24)}.png"
                await self._record(bot.stream_name(self.botcode), bot.ShowQrCode(report=report, image_url=image_url))
            case _:
                await self._record(bot.stream_name(self.botcode), report)
