"""The runner: follows the log, folds it into a `World` and carries out the effects.

Whatever happens takes the same way: a command meets the state (`decide`), its events are appended, the follower reads them back from the
log in position order, folds them and carries out what follows. So it makes no difference who appended: this process, a `wxrc` command
beside it, or this process before it was killed.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import anyio
import anyio.abc
import anyio.lowlevel
import attrs
import msgspec

from wxrc_core import aggregate, bot, channel, delivery, effects, message
from wxrc_core.errors import Refusal, Unavailable
from wxrc_core.log import Appended, Entry
from wxrc_core.puppet import NotSent, ReportLinkLost, ReportReceipt, SendOutcome, Unconfirmed
from wxrc_core.world import World
from wxrc_gateway._client import BotClient, StoredSession
from wxrc_gateway.admin import PuppetKind
from wxrc_gateway.outside import insist, where
from wxrc_store.port import NewerEvents, Store, Vault
from wxrc_webhook import Acknowledged, Attempt, Failed, WebhookSender

log = logging.getLogger("wxrc.gateway")

PAGE = 1_000
"""Events that are read from the log at once."""

LEAVE_LIMIT_S = 15.0
"""How long a client may take to sign out or to be released (seconds); then it is let go of all the same."""


class Waiter:
    """Somebody who waits for a message's end, to answer a request with it."""

    def __init__(self) -> None:
        self.users = 0
        self.claims = 0  # outcomes being recorded as "answered": until they are durable there must be no other answer
        self.ended = anyio.Event()
        self.unclaimed = anyio.Event()


class Runner:
    """Runs the bots, queues and callbacks of one log, in one task group."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        puppets: Mapping[str, PuppetKind],
        sender: WebhookSender,
        clock: Callable[[], int],
        public_url: str,
        send_limit_s: float,
        passive: bool,
    ) -> None:
        self.world = World()
        self.waiters: dict[str, Waiter] = {}
        self.draining = False
        self.trouble = ""  # why the log cannot be read just now
        self._busy = 0  # what is under way
        self._idle = anyio.Event()
        self._store, self._vault, self._puppets, self._sender = store, vault, puppets, sender
        self._clock, self._public_url, self._send_limit_s, self._passive = clock, public_url, send_limit_s, passive
        self._clients: dict[str, BotClient] = {}
        self._wakes: dict[tuple[str, ...], anyio.Event] = {}
        self._secrets: dict[str, str] = {}
        self._keys: dict[tuple[str, tuple[str, ...]], Sequence[str]] = {}
        self._jitter = random.Random()  # noqa: S311 - spreads retries, protects nothing
        self._progress = anyio.Event()

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Replay the log, take up what a crash left undone, and begin to follow."""
        self._tasks = tasks
        while page := await self._store.read_all(self.world.position, PAGE):
            self.world.replay(page)
        tasks.start_soon(self._follow)
        if self._passive:
            return
        todo = self.world.resume(self._clock())
        async with anyio.create_task_group() as first:
            # What is no longer so (a client that ran, a send under way) is recorded before anybody can look or act on it.
            for effect in todo:
                if isinstance(effect, effects.Decide):
                    first.start_soon(self._record, effect.stream, effect.command)
        for effect in todo:
            if not isinstance(effect, effects.Decide):
                self._carry_out(effect)

    # -- the log: follow it, append to it ---------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Fold every event in position order, whoever appended it, and carry out what follows from it.

        Events of a newer release end the gateway: whoever cannot read the log must not go on acting on what is in it.
        """
        while True:
            try:
                page = await self._store.read_all(self.world.position, PAGE)
                self.trouble = ""
                if not page:
                    await self._store.changed(self.world.position)
                    continue
            except NewerEvents:
                raise
            except Unavailable as error:
                log.warning("the log cannot be read: %s", error)
                self.trouble = str(error)
                await anyio.sleep(1)
                continue
            for recorded in page:
                for effect in self.world.fold(recorded):
                    self._carry_out(effect)
                if self.waiters and recorded.stream in self.waiters:
                    self._tell_waiter(recorded.stream)
            self._progress.set()
            self._progress = anyio.Event()
            await anyio.lowlevel.checkpoint()

    async def progressed(self) -> None:
        """Wait until the follower has folded something more."""
        await self._progress.wait()

    async def _reached(self, position: int) -> None:
        while self.world.position < position:
            await self._progress.wait()

    async def execute(self, stream: str, command: Any) -> Sequence[Any]:
        """Hand a command to the aggregate that has this stream; return the events it led to, durable and folded.

        Raises:
            Refusal: It cannot be done; nothing was recorded.
            Unavailable: The store failed; read back before assuming anything.
        """
        held = self.world.held(stream)
        if held is not None:
            state, version = held.state, held.version
        elif isinstance(command, aggregate.CREATING):
            state, version = None, 0
        else:
            state, version = aggregate.fold(await self._store.read(stream))
        while True:
            events = aggregate.decide(state, command)
            if not events:
                return ()
            [outcome] = await self._store.append([Entry(stream, version, events)])
            if isinstance(outcome, Appended):
                await self._reached(outcome.position + len(events) - 1)
                return events
            # Somebody was quicker: decide again, on what they did.
            state, version = aggregate.fold(await self._store.read(stream))

    async def _record(self, stream: str, command: Any) -> None:
        """Execute a command that must not be lost, as often as the store needs."""

        async def once() -> None:
            with self._claim(stream, command) as claimed:
                await self.execute(stream, claimed)

        try:
            await insist(once)
        except Refusal as refusal:
            log.info("%s: %s", stream, refusal)  # it came too late: what it was about has changed since

    async def _take(self, step: effects.Decide) -> None:
        """Execute a step of a pump once. Where the store fails, the next step is asked for anew: what was right then may be late now."""
        try:
            with self._claim(step.stream, step.command) as claimed:
                await self.execute(step.stream, claimed)
        except Refusal as refusal:
            log.info("%s: %s", step.stream, refusal)
        except Unavailable as error:
            log.warning("the store is not to be had, trying again: %s", error)
            await anyio.sleep(0.5)

    @contextmanager
    def _claim(self, stream: str, command: Any) -> Iterator[Any]:
        """Where somebody waits to answer with a message's end, have the end recorded as answered, and make them wait until it is."""
        waiter = self.waiters.get(stream)
        if waiter is None or not hasattr(command, "answered"):
            yield command
            return
        waiter.claims += 1
        try:
            yield attrs.evolve(command, answered=True)
        finally:
            waiter.claims -= 1
            waiter.unclaimed.set()
            waiter.unclaimed = anyio.Event()

    @contextmanager
    def waiting(self, stream: str, msgid: int) -> Iterator[Waiter]:
        """Wait for the end of a message that was accepted, to answer with it; ends that come after this was left are told by callback."""
        waiter = self.waiters.setdefault(stream, Waiter())
        waiter.users += 1
        try:
            if self.draining or self.world.position >= msgid:
                self._tell_waiter(stream)  # it may have ended already
            yield waiter
        finally:
            waiter.users -= 1
            if not waiter.users:
                del self.waiters[stream]

    def _tell_waiter(self, stream: str) -> None:
        """Wake who waits for this message's end, if it has come, or will not come any more before the gateway goes down."""
        held = self.world.messages.get(stream)
        state = held.state.state if held else None
        resent = state is message.MessageState.IN_DOUBT and held is not None and held.state.last.resend
        if (
            state is None
            or (state is message.MessageState.IN_DOUBT and not resent)
            or (state is message.MessageState.QUEUED and self.draining)
        ):
            self.waiters[stream].ended.set()

    # -- effects ----------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effect: effects.Effect) -> None:
        if self._passive:
            return
        match effect:
            case effects.Decide(stream, command):
                self._tasks.start_soon(self._record, stream, command)
            case effects.Dispatch(botcode):
                self._wake(("queue", botcode))
            case effects.Flush(chid, botcode):
                self._wake(("lane", chid, botcode))
            case effects.Send():
                self.begin()
                self._tasks.start_soon(self._send, effect)
            case effects.Post():
                self.begin()
                self._tasks.start_soon(self._post, effect)
            case effects.StartPuppet(botcode):
                self._start_puppet(botcode)
            case effects.StopPuppet(botcode):
                self._stop_puppet(botcode)
            case effects.SignOut():
                self.begin()
                self._tasks.start_soon(self._sign_out, effect)
            case effects.ReleasePuppet():
                self.begin()
                self._tasks.start_soon(self._release, effect)

    def _wake(self, key: tuple[str, ...]) -> None:
        """Wake the pump that has this key; the first call starts it."""
        wake = self._wakes.get(key)
        if wake is None:
            self._wakes[key] = anyio.Event()
            self._tasks.start_soon(self._pump, key)
        else:
            wake.set()

    async def _pump(self, key: tuple[str, ...]) -> None:
        """Do what the world says is next for a bot's queue or a channel's callbacks, then wait until something may be next again."""
        ask = self.world.next_message if key[0] == "queue" else self.world.next_delivery
        while True:
            self._wakes[key] = wake = anyio.Event()
            step = None if self.draining else ask(*key[1:], self._clock())  # type: ignore[arg-type,call-arg]
            if isinstance(step, effects.Decide):
                # An attempt on its way into the log is under way already: going down must wait for the send that it leads to.
                self.begin()
                try:
                    await self._take(step)
                finally:
                    self.end()
                continue
            # Woken at least once a minute: a clock that was set back must not make anybody wait for ever.
            with anyio.move_on_after(min(60.0, max(0.0, (step.until - self._clock()) / 1000)) if step else None):
                await wake.wait()

    def begin(self) -> None:
        """Count something that is to end before the gateway goes down: a send, a post, an answer that is waited for."""
        self._busy += 1

    def end(self) -> None:
        """Count its end."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()
            self._idle = anyio.Event()

    async def drain(self) -> None:
        """Begin nothing new, and wait until what is under way has ended and is recorded."""
        self.draining = True
        for stream in self.waiters:
            self._tell_waiter(stream)
        while self._busy:
            await self._idle.wait()

    # -- sending ----------------------------------------------------------------------------------------------------------------

    async def _send(self, effect: effects.Send) -> None:
        """Hand a message to the puppet, once; whatever happens, record how it ended."""
        try:
            outcome = await self._hand_over(effect)
            settle = message.Settle(
                at=self._clock(),
                attempt=effect.outgoing.attempt,
                outcome=outcome,
                resend=self.world.bots[effect.botcode].state.added.deduplicates,
            )
            await self._record(effect.stream, settle)
        finally:
            self.end()

    async def _hand_over(self, effect: effects.Send) -> SendOutcome:
        client = self._clients.get(effect.botcode)
        if client is None or client.puppet is None:
            return NotSent("the bot's client is not running", retry=True)
        try:
            with anyio.fail_after(self._send_limit_s):
                outcome = await client.puppet.send(effect.outgoing)
        except TimeoutError:
            return Unconfirmed(f"no answer from the bot's client in {self._send_limit_s:g} s")
        except Exception as error:
            log.error(
                "the puppet of bot %s failed while sending message %s: %s",
                effect.botcode,
                effect.outgoing.msgid,
                where(error),
            )
            return Unconfirmed(f"the bot's client failed while sending ({type(error).__name__})")
        return outcome

    async def _confirm(self, report: ReportReceipt) -> None:
        """Take a late receipt for the message with this number."""
        recorded = await insist(lambda: self._store.at(report.msgid))
        if recorded is not None and isinstance(recorded.event, message.MessageQueued):
            await self._record(recorded.stream, message.Confirm(at=report.at, receipt=report.receipt))

    # -- callbacks --------------------------------------------------------------------------------------------------------------

    async def _post(self, effect: effects.Post) -> None:
        """Post a callback, once; whatever happens, record how it ended."""
        try:
            try:
                outcome = await self._posted(effect)
            except Unavailable as error:
                outcome = Failed(str(error))  # its secrets cannot be read: as good as a receiver that is away
            except Exception as error:
                log.error("callback %s could not be made: %s", delivery.webhook_id(effect.stream), where(error))
                outcome = Failed(f"the callback could not be made ({type(error).__name__})")
            if isinstance(outcome, Acknowledged):
                await self._record(effect.stream, delivery.Succeed(at=self._clock(), attempt=effect.attempt))
                return
            log.info("callback %s, attempt %d: %s", delivery.webhook_id(effect.stream), effect.attempt, outcome.reason)
            miss = delivery.Miss(
                at=self._clock(),
                attempt=effect.attempt,
                reason=outcome.reason,
                retry_after_s=outcome.retry_after_s,
                gone=outcome.gone,
                jitter=self._jitter.random(),
            )
            await self._record(effect.stream, miss)
        finally:
            self.end()

    async def _posted(self, effect: effects.Post) -> Acknowledged | Failed:
        settings = self.world.channels[effect.chid].state.settings
        attempt = Attempt(
            url=settings.callback_url,
            webhook_id=delivery.webhook_id(effect.stream),
            body=msgspec.json.decode(effect.body),
            format=settings.callback_format,
            channel_key=(await self.keys(effect.chid))[0],
            webhook_secrets=tuple(await self._webhook_secrets(effect.chid)),
            timestamp=self._clock() // 1000,
            allow_private=settings.allow_private,
        )
        return await self._sender.post(attempt)

    # -- clients ----------------------------------------------------------------------------------------------------------------

    def _start_puppet(self, botcode: str) -> None:
        running = self._clients.get(botcode)
        if running is not None and not running.scope.cancel_called and not running.ended.is_set():
            return
        client = self._new_client(botcode)
        if client is None:
            puppet = self.world.bots[botcode].state.added.puppet
            log.error("bot %s has a puppet of kind %s, which this gateway does not know", botcode, puppet)
            reason = f"this gateway has no puppet of kind '{puppet}'; there are: {', '.join(self._puppets)}"
            report = ReportLinkLost(at=self._clock(), reason=reason)
            self._tasks.start_soon(self._record, bot.stream_name(botcode), report)
            return
        self._clients[botcode] = client
        self._tasks.start_soon(self._run_client, client, running)

    def _new_client(self, botcode: str) -> BotClient | None:
        kind = self._puppets.get(self.world.bots[botcode].state.added.puppet)
        if kind is None:
            return None
        return BotClient(
            botcode,
            kind,
            self._vault,
            self.world,
            clock=self._clock,
            public_url=self._public_url,
            record=self._record,
            confirm=self._confirm,
        )

    async def _run_client(self, client: BotClient, before: BotClient | None) -> None:
        if before is not None:
            await before.ended.wait()  # two clients of one account would throw each other out
        await client.run()

    def _stop_puppet(self, botcode: str) -> None:
        client = self._clients.get(botcode)
        if client is not None:
            client.scope.cancel()

    async def _sign_out(self, effect: effects.SignOut) -> None:
        try:
            await self._end_client(effect.botcode, "sign_out")
            await StoredSession(self._vault, effect.botcode).clear()
            finish = bot.FinishLogout(at=self._clock(), operation=effect.operation)
            await self._record(bot.stream_name(effect.botcode), finish)
        finally:
            self.end()

    async def _release(self, effect: effects.ReleasePuppet) -> None:
        try:
            await self._end_client(effect.botcode, "release")
            finish = bot.FinishStop(at=self._clock(), operation=effect.operation)
            await self._record(bot.stream_name(effect.botcode), finish)
        finally:
            self.end()

    async def _end_client(self, botcode: str, how: Literal["sign_out", "release"]) -> None:
        """Have the bot's client leave, and let go of it."""
        client = self._clients.get(botcode)
        leave: Callable[[], Awaitable[None]] | None = None
        known = self.world.bots[botcode].state.client
        # One that is still coming up, perhaps with a stored session, has nobody to sign out yet.
        coming_up = how == "sign_out" and bool(known.wxid) and not known.link
        if client is not None and client.puppet is not None and not coming_up:
            leave = getattr(client.puppet, how)
        else:
            await self._let_go(client)
            alone = self._new_client(botcode)
            if how == "sign_out" and alone is not None and known.wxid:
                leave = alone.sign_out_alone
        if leave is not None:
            try:
                with anyio.fail_after(LEAVE_LIMIT_S):
                    await leave()
            except Exception as error:
                # The client is let go of all the same: that is what was asked for.
                did = how.replace("_", " ")
                log.warning("bot %s: its client did not %s in good order (%s)", botcode, did, type(error).__name__)
        await self._let_go(client)

    async def _let_go(self, client: BotClient | None) -> None:
        if client is not None:
            client.scope.cancel()
            await client.ended.wait()

    # -- secrets ----------------------------------------------------------------------------------------------------------------

    async def keys(self, chid: str) -> Sequence[str]:
        """Return the KEYs that a channel may sign with now, the newest first."""
        held = self.world.channels.get(chid)
        if held is None:
            return ()
        known = self._keys.get((chid, held.state.key_ids))
        if known is None:
            known = [await self._secret(channel.key_name(chid, key_id)) for key_id in held.state.key_ids]
            self._keys[chid, held.state.key_ids] = known
        return known

    async def _webhook_secrets(self, chid: str) -> Sequence[str]:
        ids = self.world.channels[chid].state.webhook_secret_ids
        return [await self._secret(channel.webhook_secret_name(chid, secret_id)) for secret_id in ids]

    async def _secret(self, name: str) -> str:
        """Return a secret; its name says which version it is, so it may be kept."""
        known = self._secrets.get(name)
        if known is None:
            found = await self._vault.get(name)
            if found is None:
                raise Unavailable(
                    "a channel's secret is missing in the vault; restore the vault that belongs to this log"
                )
            known = self._secrets[name] = found.decode()
        return known
