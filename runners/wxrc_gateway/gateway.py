"""The gateway: what applications embed and what the HTTP service calls (it is the `wxrc_http.port.Backend`)."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import attrs

from wxrc_core import bot, channel, message, operation
from wxrc_core.aggregate import Command
from wxrc_core.boundary import checked_clock
from wxrc_core.content import Image, check_image
from wxrc_core.effects import Wake
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Event, Recorded
from wxrc_core.puppet import Capabilities
from wxrc_core.qr_code import QrCode
from wxrc_core.view import View
from wxrc_core.world import World
from wxrc_gateway import _requests
from wxrc_gateway._administration import Administration
from wxrc_gateway._clock import wall_clock as wall_clock
from wxrc_gateway._event_stream import EventStream
from wxrc_gateway._health import UNAVAILABLE, Health, Lifecycle, NotEntered, StoreWatch
from wxrc_gateway._ledger import Ledger
from wxrc_gateway._media_folder import MediaFolder
from wxrc_gateway._options import Options, checked
from wxrc_gateway._ownership import Ownership
from wxrc_gateway._qr_codes import forget_stale_codes, named_code, shown_code
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._secrets import Secrets, refuse_weak_secrets
from wxrc_gateway._snapshots import WORTHWHILE, Snapshots
from wxrc_gateway.admin import SYSTEM_CHANCE, PuppetKind, token_hex
from wxrc_gateway.admin_views import usable_bot
from wxrc_gateway.callbacks import CallbackDesk
from wxrc_gateway.message_calls import MessageCalls
from wxrc_http.port import MessageRecord
from wxrc_store.media import MemoryMedia
from wxrc_store.memory import MemoryVault
from wxrc_store.port import Media, Store, Vault
from wxrc_webhook import FileFetcher, WebhookSender

_UNREADABLE = LocalizedText("日志暂时无法读取，请稍后重试", "the log cannot be read just now; try again shortly")


class Gateway(MessageCalls, Administration):
    """Runs bots on a store. An async context manager: inside it bots log in, messages go out, callbacks are posted.

    Several gateways may share a store. Each follows the log and takes requests; the bots of a shard are run by the one that owns it.

    Attributes:
        callbacks: How callbacks stand, and what an operator does about them; there inside the context.
    """

    def __init__(
        self,
        *,
        store: Store,
        puppets: Mapping[str, PuppetKind],
        vault: Vault | None = None,
        public_url: str = "http://127.0.0.1:8080",
        name: str = "gateway",
        clock: Callable[[], int] = wall_clock,
        chance: random.Random = SYSTEM_CHANCE,
        send_limit_s: float = 30.0,
        drain_limit_s: float = 10.0,
        sender: WebhookSender | None = None,
        media: Media | None = None,
        media_folder: Path | str | None = None,
        fetcher: FileFetcher | None = None,
        passive: bool = False,
        probe_every_s: float = 1.0,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            store: The log; the gateway opens and closes it.
            puppets: The kinds of puppet that its bots may have, by name.
            vault: Where secrets are; by default the store's own vault, or else memory.
            public_url: How browsers reach the pages of this service.
            name: What other members of the store and operators see of this gateway.
            clock: Now (epoch ms).
            chance: The source of tokens, ids and jitter.
            send_limit_s: How long a puppet may take for one send; then the message is in doubt (seconds).
            drain_limit_s: How long leaving waits for sends and callbacks that are under way (seconds).
            sender: What posts callbacks.
            media: Where images are kept; by default the store's own media, or else memory.
            media_folder: The folder whose files channels may name as images; by default none.
            fetcher: What fetches images by URL.
            passive: Follow the log and write to it, but leave all bots and callbacks to gateways that run elsewhere.
            probe_every_s: How often the store has to prove that it can be written to, for `health` (seconds).

        Raises:
            InvalidValue: An option cannot be used; the sentence says which and why.
        """
        options = checked(
            Options,
            "Gateway",
            name=name,
            public_url=public_url,
            send_limit_s=send_limit_s,
            drain_limit_s=drain_limit_s,
            passive=passive,
            probe_every_s=probe_every_s,
        )
        self.store = store
        self.vault: Vault = vault or getattr(store, "vault", None) or MemoryVault()
        self.media: Media = media or getattr(store, "media", None) or MemoryMedia()
        self.clock = checked_clock(clock)
        self._options = options
        self._sender = sender or WebhookSender()
        self._fetcher = fetcher or FileFetcher()
        self._media_folder = MediaFolder(Path(media_folder) if media_folder is not None else None)
        self._life = Lifecycle(self.clock)
        self._inside: Runtime | None = None
        self._chance = chance
        self._puppets = puppets
        self._ownership: Ownership | None = None

    async def __aenter__(self) -> Self:
        """Open the store, fold the log, take the bots that no other gateway runs, and begin.

        Raises:
            StoreError: The store cannot be opened, or has events of a newer release.
            NotEntered: It is entered already.
            WxrcError: A channel has a KEY or webhook secret that everybody knows; the sentence says what to do.
        """
        self._life.begin()
        try:
            await self._come_up()
        except BaseException:
            self._life.move("left")
            raise
        self._life.move("up")
        return self

    async def _come_up(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.store)
            await stack.enter_async_context(self._sender)
            self._inside = Runtime(
                store=self.store,
                vault=self.vault,
                ledger=Ledger(self.store, self._wake),
                puppets=self._puppets,
                sender=self._sender,
                secrets=Secrets(self.vault),
                clock=self.clock,
                chance=self._chance,
                public_url=self.public_url,
                send_limit_s=self._options.send_limit_s,
                media=self.media,
                media_folder=self._media_folder,
                fetcher=self._fetcher,
            )
            self.callbacks = CallbackDesk(self._runtime, self._options.passive)
            await self._runtime.ledger.replay()
            if not self._options.passive:
                await refuse_weak_secrets(self.view, self._runtime.secrets)
            # Only now: what a task group is left with comes out of it in an exception group.
            tasks = self._tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(self._runtime.ledger.follow)
            self._watch = StoreWatch(self.store, self.clock, lambda: self._runtime.ledger.read_error)
            tasks.start_soon(self._watch.run, self._options.probe_every_s)
            self._snapshots = Snapshots(self.store, self._runtime.ledger)
            if not self._options.passive:
                self._ownership = Ownership(self._runtime, self._options.name, tasks)
                self._runtime.wake_channel = self._ownership.wake_channel
                await self._ownership.start()
                tasks.start_soon(self._ownership.run)
                tasks.start_soon(self._snapshots.run)
                tasks.start_soon(forget_stale_codes, self.vault, self.clock())
                await self._ownership.settled()
            self._stack = stack.pop_all()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Accept nothing more, let what is under way end, let go of the clients (accounts stay logged in) and of the shards, close."""
        self._life.move("draining")
        self._runtime.draining = True
        with anyio.move_on_after(self._options.drain_limit_s, shield=True):
            self._runtime.ledger.give_up_endings()
            await self._runtime.idle()
        if self._ownership is not None:
            with anyio.move_on_after(self._options.drain_limit_s, shield=True):
                await self._ownership.end_bots()
                await self._ownership.leave()
                await self._snapshots.save(WORTHWHILE)
        self._tasks.cancel_scope.cancel()
        try:
            # The caller's own error goes its own way, unwrapped: none of our tasks has to do with it.
            await self._stack.__aexit__(None, None, None)
        finally:
            self._life.move("left")
            self._runtime.ledger.close()

    def _wake(self, recorded: Recorded, wakes: Sequence[Wake]) -> None:
        if self._ownership is not None:
            self._ownership.wake(recorded, wakes)

    @property
    def public_url(self) -> str:
        """How browsers reach the pages of this service, without a slash at the end."""
        return self._options.public_url.rstrip("/")

    @property
    def _runtime(self) -> Runtime:
        if self._inside is None:
            raise NotEntered(UNAVAILABLE["new" if self._life.phase == "left" else self._life.phase] or "")
        return self._inside

    @property
    def world(self) -> World:
        """Everything that is open, folded up to `world.position`. To look at, not to change."""
        return self._runtime.ledger.world

    @property
    def view(self) -> View:
        """Channels, grants, bots and shards as this gateway knows them. To look at, not to change."""
        return self._runtime.ledger.world.view

    def owns(self, botcode: str) -> bool:
        """Return whether this gateway runs the bot."""
        return self._ownership is not None and botcode in self._ownership.bots

    # -- for applications that embed it -----------------------------------------------------------------------------------------

    async def login(self, botcode: str) -> None:
        """Ask for login; what comes of it shows in `bot` and `events`.

        Raises:
            Refusal: There is no such bot.
        """
        await self._ask(botcode, "login")

    async def logout(self, botcode: str) -> None:
        """Ask to sign the account out; its stored session goes too. Raises as `login`."""
        await self._ask(botcode, "logout")

    async def stop(self, botcode: str) -> None:
        """Ask to release the client; the session is kept. Raises as `login`."""
        await self._ask(botcode, "stop")

    def events(self, after: int | None = None) -> EventStream:
        """Iterate over the log from a position on, and wait for what comes: `async for recorded in gateway.events(): ...`.

        Each event is folded (shows in `bot`) by the time that it is given out.

        Args:
            after: The position of the last event known; by default the log's end as it is folded now.
        """
        return EventStream(self.store, self._runtime.ledger, self.world.position if after is None else after)

    async def execute(self, stream: str, command: Command) -> Sequence[Event]:
        """Hand a command to the aggregate that has this stream; return what happened, durable and folded.

        Raises:
            Refusal: It cannot be done; nothing was recorded.
            Unavailable: The store failed; read back before assuming anything.
        """
        self._life.check()
        return await self._runtime.ledger.execute(stream, command)

    async def _ask(self, botcode: str, kind: operation.Kind) -> None:
        self._existing(botcode)
        stream, txcode = self._own_stream(None)
        accepted = operation.OperationAccepted(
            at=self.clock(),
            chid=message.OPERATOR,
            botcode=botcode,
            txcode=txcode,
            interface=kind,
            digest=message.digest(kind, botcode, {}),
            kind=kind,
        )
        await self.operate(stream, accepted)

    def _own_stream(self, txcode: str | None) -> tuple[str, str]:
        txcode = txcode or token_hex(self._chance, 10)
        day = datetime.fromtimestamp(self.clock() / 1000, UTC).strftime("%Y%m%d")
        return message.stream_name(message.OPERATOR, day, txcode), txcode

    def _existing(self, botcode: str) -> None:
        self._life.check()
        usable_bot(self.view, botcode)

    # -- what the request side asks for (wxrc_http.port.Backend) ----------------------------------------------------------------

    def unavailable(self) -> LocalizedText | None:
        """Return why nothing can be accepted now, in a sentence; None = all is well."""
        return UNAVAILABLE[self._life.phase] or (_UNREADABLE if self._runtime.ledger.read_error else None)

    def health(self) -> Health:
        """Return whether it can do its work, and if not, why and since when: as of 2 s ago at most, with or without traffic."""
        return (self._watch.failure if self._life.phase == "up" else None) or self._life.health()

    def channel(self, chid: str) -> channel.Channel | None:
        """Return a channel, or None; one that was removed is none."""
        found = self.view.channels.get(chid)
        return found.state if found and not found.state.removed else None

    async def keys(self, chid: str) -> Sequence[str]:
        """Return the KEYs that a channel may sign with now."""
        found = self.view.channels.get(chid)
        return await self._runtime.secrets.keys(found.state) if found else ()

    def bot(self, botcode: str) -> bot.Bot | None:
        """Return a bot, or None; one that was removed is none."""
        found = self.view.bots.get(botcode)
        return found.state if found and not found.state.removed else None

    async def qr_code(self, botcode: str) -> QrCode | None:
        """Return the QR code of a bot that waits to be scanned, or None. It logs an account in, so no event has it.

        Raises:
            Unavailable: The vault cannot be read just now.
        """
        self._life.check()
        return await shown_code(self._runtime, botcode)

    async def qr_code_named(self, name: str) -> QrCode | None:
        """Return the QR code that waits to be scanned and whose image's URL ends in this name, or None. Raises as `qr_code`."""
        self._life.check()
        return await named_code(self._runtime, name)

    def capabilities(self, botcode: str) -> Capabilities:
        """Return what the bot's puppet can do: nothing, where this gateway does not know its kind."""
        found = self.view.bots.get(botcode)
        kind = self._puppets.get(found.state.added.puppet) if found else None
        return kind.capabilities if kind else Capabilities(login_kinds=(), content=frozenset(), rooms=False)

    def knows_puppet(self, botcode: str) -> bool:
        """Return whether this gateway knows the bot's kind of puppet, and so what it can do; one that only follows the log need not."""
        found = self.view.bots.get(botcode)
        return found is not None and found.state.added.puppet in self._puppets

    async def queue(self, stream: str, queued: message.MessageQueued, wait_ms: int) -> tuple[int, message.Message]:
        """Accept a message durably, then wait a while for its end (see `wxrc_http.port.Backend.queue`)."""
        self._life.check()
        self._runtime.begin()
        try:
            return await _requests.queue(self._runtime, stream, queued, wait_ms)
        finally:
            self._runtime.end()

    async def operate(self, stream: str, accepted: operation.OperationAccepted) -> None:
        """Accept an operation durably (see `wxrc_http.port.Backend.operate`)."""
        self._life.check()
        await _requests.operate(self._runtime, stream, accepted)

    async def submit_digits(self, stream: str, accepted: operation.OperationAccepted, digits: str) -> None:
        """Accept the digits of a login (see `wxrc_http.port.Backend.submit_digits`)."""
        self._life.check()
        secret_id = token_hex(self._chance, 8)
        await _requests.submit_digits(self._runtime, stream, attrs.evolve(accepted, secret_id=secret_id), digits)

    async def store_image(self, data: bytes) -> Image:
        """Check an image by its content and keep it (see `wxrc_http.port.Backend.store_image`)."""
        self._life.check()
        shape = check_image(data)
        return Image(source="", digest=await self.media.put(data), media_type=shape.media_type, size=len(data))

    def allowance(self, botcode: str, chid: str = "") -> tuple[int | None, int]:
        """Return how many sends the bot's pace leaves within a minute, and when the next may go (see `wxrc_http.port.Backend`)."""
        found, now = self.view.bots.get(botcode), self.clock()
        return self.world.bot_world(botcode).queue.allowance(found.state, now, chid) if found else (0, now)

    async def message(self, msgid: int) -> MessageRecord | None:
        """Return the message with this number, or None."""
        return await _requests.message_at(self._runtime, msgid)

    async def message_in(self, stream: str) -> MessageRecord | None:
        """Return the message that has this stream, or None."""
        return await _requests.message_in(self._runtime, stream)
