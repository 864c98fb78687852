"""The gateway: what applications embed and what the HTTP service calls (it is the `wxrc_http.port.Backend`)."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import anyio

from wxrc_core import aggregate, bot, channel, message, operation
from wxrc_core.errors import Refusal, TxcodeReused, Unavailable
from wxrc_core.log import Appended, Entry, Event, Recorded
from wxrc_core.puppet import Capabilities
from wxrc_core.world import World
from wxrc_gateway import admin
from wxrc_gateway._runner import Runner
from wxrc_gateway.admin import ChannelSecrets, PuppetKind
from wxrc_http.port import MessageRecord
from wxrc_store.memory import MemoryVault
from wxrc_store.port import Store, Vault
from wxrc_webhook import WebhookSender

OPERATOR = "-"
"""The channel of what an operator or the embedding application asks for; it has no callback."""


def wall_clock() -> int:
    """Return now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class EventStream:
    """The log as an async iterator. Not a generator: it may be left at any time, and needs no closing."""

    def __init__(self, store: Store, runner: Runner, position: int) -> None:
        self._store, self._runner, self._position = store, runner, position
        self._page: deque[Recorded] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Recorded:
        while not self._page:
            while (behind := self._runner.world.position - self._position) <= 0:
                await self._runner.progressed()
            self._page.extend(await self._store.read_all(self._position, min(1_000, behind)))
        recorded = self._page.popleft()
        self._position = recorded.position
        return recorded


class Gateway:
    """Runs bots on a store. An async context manager: inside it bots log in, messages go out, callbacks are posted."""

    def __init__(
        self,
        *,
        store: Store,
        puppets: Mapping[str, PuppetKind],
        vault: Vault | None = None,
        public_url: str = "http://127.0.0.1:8080",
        clock: Callable[[], int] = wall_clock,
        send_limit_s: float = 30.0,
        drain_limit_s: float = 10.0,
        sender: WebhookSender | None = None,
        passive: bool = False,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            store: The log; the gateway opens and closes it.
            puppets: The kinds of puppet that its bots may have, by name.
            vault: Where secrets are; by default the store's own vault, or else memory.
            public_url: How browsers reach the pages of this service.
            clock: Now (epoch ms).
            send_limit_s: How long a puppet may take for one send; then the message is in doubt (seconds).
            drain_limit_s: How long leaving waits for sends and callbacks that are under way (seconds).
            sender: What posts callbacks.
            passive: Follow the log and write to it, but leave bots and callbacks to a gateway that runs elsewhere.
        """
        self.store = store
        self.vault: Vault = vault or getattr(store, "vault", None) or MemoryVault()
        self.clock = clock
        self._puppets = puppets
        self._drain_limit_s = drain_limit_s
        self._sender = sender or WebhookSender()
        self._unavailable = "the gateway is starting; try again shortly"
        self._runner = Runner(
            store=store,
            vault=self.vault,
            puppets=puppets,
            sender=self._sender,
            clock=clock,
            public_url=public_url.rstrip("/"),
            send_limit_s=send_limit_s,
            passive=passive,
        )

    async def __aenter__(self) -> Self:
        """Open the store, replay the log, take up what a crash left undone, and begin.

        Raises:
            StoreError: The store cannot be opened, or has events of a newer release.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.store)
            await stack.enter_async_context(self._sender)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            await self._runner.start(self._tasks)
            self._unavailable = ""
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Accept nothing more, let what is under way end, let go of the clients (accounts stay logged in), close."""
        self._unavailable = "the gateway is shutting down; try again shortly"
        with anyio.move_on_after(self._drain_limit_s, shield=True):
            await self._runner.drain()
        self._tasks.cancel_scope.cancel()
        # The caller's own error goes its own way, unwrapped: none of our tasks has to do with it.
        await self._stack.__aexit__(None, None, None)

    @property
    def world(self) -> World:
        """Everything that is open, folded up to `world.position`. To look at, not to change."""
        return self._runner.world

    # -- for applications that embed it -----------------------------------------------------------------------------------------

    async def add_bot(self, botcode: str, puppet: str, *, options: Mapping[str, str] | None = None) -> None:
        """Make a bot with a puppet of this kind (see `admin.add_bot`).

        Raises:
            Refusal: It cannot be made; the sentence says why.
        """
        kind = self._puppets.get(puppet)
        if kind is None:
            raise Refusal(f"there is no kind of puppet '{puppet}'; there are: {', '.join(self._puppets)}")
        await admin.add_bot(self.store, self.vault, botcode, puppet, kind, at=self.clock(), options=options)
        await self._seen(lambda: botcode in self.world.bots)

    async def add_channel(self, chid: str, **settings: Any) -> ChannelSecrets:
        """Make a channel (see `admin.add_channel` for the settings).

        Raises:
            Refusal: It cannot be made; the sentence says why.
        """
        made = await admin.add_channel(self.store, self.vault, chid, at=self.clock(), **settings)
        await self._seen(lambda: chid in self.world.channels)
        return made

    async def grant_bot(self, chid: str, botcode: str, **terms: Any) -> None:
        """Let a channel use a bot (see `wxrc_core.channel.BotGranted` for the terms).

        Raises:
            Refusal: There is no such channel or bot.
        """
        await admin.grant_bot(self.store, chid, channel.BotGranted(at=self.clock(), botcode=botcode, **terms))
        await self._seen(lambda: chid in self.world.channels and botcode in self.world.channels[chid].state.grants)

    async def move_callback(self, chid: str, callback_url: str, **terms: Any) -> None:
        """Have a channel's callbacks go elsewhere (see `wxrc_core.channel.CallbackMoved` for the terms).

        Raises:
            Refusal: There is no such channel, or the URL cannot be used.
        """
        moved = channel.CallbackMoved(at=self.clock(), callback_url=callback_url, **terms)
        await admin.move_callback(self.store, chid, moved)
        # Not until it shows: somebody else may have moved them again by then.
        held = await self.store.read(channel.stream_name(chid))
        await self._seen(lambda: self.world.position >= held[-1].position)

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

    async def send_text(
        self,
        botcode: str,
        text: str,
        *,
        room: str = "",
        room_id: str = "",
        mention: Sequence[str] = (),
        txcode: str | None = None,
        expires_at: int | None = None,
        wait_s: float = 0.0,
    ) -> MessageRecord:
        """Send a text to a room, once.

        Args:
            botcode: The bot.
            text: 1 to 4,000 characters.
            room: The room's topic; or
            room_id: its id.
            mention: Display names to mention.
            txcode: What makes it once: the same txcode again today is the same message. By default a new one.
            expires_at: When it is no longer worth sending (epoch ms).
            wait_s: How long to wait for its end (seconds).

        Returns:
            The message as it is then.

        Raises:
            Refusal: It cannot be sent; the sentence says why.
            Unavailable: Nothing was promised; try again with the same txcode.
        """
        if bool(room) == bool(room_id):
            raise Refusal("name the room by `room` or by `room_id`, one of the two")
        if not 1 <= len(text) <= 4_000:
            raise Refusal(f"text must have 1 to 4,000 characters; it has {len(text)}")
        for field, value in (
            ("text", text),
            ("room", room),
            ("room_id", room_id),
            *(("mention", name) for name in mention),
        ):
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise Refusal(f"{field} must be proper text: without NUL, and without bytes that are no characters")
        self._existing(botcode)
        stream, txcode = self._own_stream(txcode)
        body = {"text": text, "roomTopic": room, "roomId": room_id, "atList": list(mention)}
        queued = message.MessageQueued(
            at=self.clock(),
            chid=OPERATOR,
            botcode=botcode,
            txcode=txcode,
            interface="roomSendText",
            digest=message.digest("roomSendText", botcode, body),
            room_id=room_id,
            room_topic=room,
            text=text,
            mention_names=tuple(mention),
            expires_at=expires_at,
        )
        await self.queue(stream, queued, int(wait_s * 1000))
        record = await self.message_in(stream)
        assert record is not None, "it was accepted just now"
        return record

    def events(self, after: int | None = None) -> "EventStream":
        """Iterate over the log from a position on, and wait for what comes: `async for recorded in gateway.events(): ...`.

        Each event is folded (shows in `bot`) by the time that it is given out.

        Args:
            after: The position of the last event known; by default the log's end as it is folded now.
        """
        return EventStream(self.store, self._runner, self.world.position if after is None else after)

    async def execute(self, stream: str, command: Any) -> Sequence[Event]:
        """Hand a command to the aggregate that has this stream; return what happened, durable and folded.

        Raises:
            Refusal: It cannot be done; nothing was recorded.
            Unavailable: The store failed; read back before assuming anything.
        """
        return await self._runner.execute(stream, command)

    async def _ask(self, botcode: str, kind: operation.Kind) -> None:
        self._existing(botcode)
        stream, txcode = self._own_stream(None)
        accepted = operation.OperationAccepted(
            at=self.clock(),
            chid=OPERATOR,
            botcode=botcode,
            txcode=txcode,
            interface=kind,
            digest=message.digest(kind, botcode, {}),
            kind=kind,
        )
        await self.operate(stream, accepted)

    def _own_stream(self, txcode: str | None) -> tuple[str, str]:
        txcode = txcode or secrets.token_hex(10)
        day = datetime.fromtimestamp(self.clock() / 1000, UTC).strftime("%Y%m%d")
        return message.stream_name(OPERATOR, day, txcode), txcode

    def _existing(self, botcode: str) -> None:
        if botcode not in self.world.bots:
            raise Refusal(f"there is no bot '{botcode}'; there are: {', '.join(self.world.bots) or 'none'}")

    async def _seen(self, there: Callable[[], bool]) -> None:
        """Wait until the follower has taken in what was just written."""
        while not there():
            await self._runner.progressed()

    # -- what the request side asks for (wxrc_http.port.Backend) ----------------------------------------------------------------

    def unavailable(self) -> str:
        """Return why nothing can be accepted now, in a sentence; empty = all is well."""
        return self._unavailable or (
            "the log cannot be read just now; try again shortly" if self._runner.trouble else ""
        )

    def channel(self, chid: str) -> channel.Channel | None:
        """Return a channel, or None."""
        held = self.world.channels.get(chid)
        return held.state if held else None

    async def keys(self, chid: str) -> Sequence[str]:
        """Return the KEYs that a channel may sign with now."""
        return await self._runner.keys(chid)

    def bot(self, botcode: str) -> bot.Bot | None:
        """Return a bot, or None."""
        held = self.world.bots.get(botcode)
        return held.state if held else None

    def capabilities(self, botcode: str) -> Capabilities:
        """Return what the bot's puppet can do: nothing, where this gateway does not know its kind."""
        held = self.world.bots.get(botcode)
        kind = self._puppets.get(held.state.added.puppet) if held else None
        return kind.capabilities if kind else Capabilities(login_kinds=(), content=frozenset(), rooms=False)

    async def queue(self, stream: str, queued: message.MessageQueued, wait_ms: int) -> tuple[int, message.Message]:
        """Accept a message durably, then wait a while for its end (see `wxrc_http.port.Backend.queue`)."""
        self._check_available()
        self._runner.begin()
        try:
            msgid, accepted = await self._accept(stream, queued)
            if not wait_ms or accepted.state in message.ENDED:
                return msgid, accepted
            return msgid, await self._wait_for_end(stream, msgid, wait_ms)
        finally:
            self._runner.end()

    async def _wait_for_end(self, stream: str, msgid: int, wait_ms: int) -> message.Message:
        # Only somebody whose request was accepted may wait: an end that is recorded as "answered" must really be answered.
        with self._runner.waiting(stream, msgid) as waiter, anyio.move_on_after(wait_ms / 1000):
            await waiter.ended.wait()
        # From here on no end is recorded as "answered" on our account. One that is on its way must be the answer, or there must be none.
        with anyio.move_on_after(5):
            while waiter.claims:
                await waiter.unclaimed.wait()
        if waiter.claims:
            raise Unavailable("the store does not answer; ask again with the same txcode")
        found, _ = aggregate.fold(await self.store.read(stream))
        assert isinstance(found, message.Message)
        return found

    async def _accept(self, stream: str, queued: message.MessageQueued) -> tuple[int, message.Message]:
        [outcome] = await self.store.append([Entry(stream, 0, [queued])])
        if isinstance(outcome, Appended):
            return outcome.position, message.evolve(None, queued)
        record = await self.message_in(stream)
        if record is None:
            raise TxcodeReused("txcode was used today for a different request; take a new txcode for each new request")
        message.decide(record.message, message.Queue(queued))  # refuses other content
        return record.msgid, record.message

    async def operate(self, stream: str, accepted: operation.OperationAccepted) -> None:
        """Accept an operation durably (see `wxrc_http.port.Backend.operate`)."""
        self._check_available()
        [outcome] = await self.store.append([Entry(stream, 0, [accepted])])
        if isinstance(outcome, Appended):
            return
        found, _ = aggregate.fold(await self.store.read(stream))
        if not isinstance(found, operation.Operation):
            raise TxcodeReused("txcode was used today for a different request; take a new txcode for each new request")
        operation.decide(found, operation.Accept(accepted))  # refuses other content

    def _check_available(self) -> None:
        if self._unavailable:
            raise Unavailable(self._unavailable)

    async def message(self, msgid: int) -> MessageRecord | None:
        """Return the message with this number, or None."""
        recorded = await self.store.at(msgid) if msgid > 0 else None
        if recorded is None or not isinstance(recorded.event, message.MessageQueued):
            return None
        return await self.message_in(recorded.stream)

    async def message_in(self, stream: str) -> MessageRecord | None:
        """Return the message that has this stream, or None."""
        history = await self.store.read(stream)
        found, _ = aggregate.fold(history)
        return MessageRecord(history[0].position, found, history) if isinstance(found, message.Message) else None
