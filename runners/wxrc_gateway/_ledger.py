"""The log as the gateway uses it: followed and folded here, appended to by way of `_append`.

Whatever happens takes the same way: a command meets the state (`decide`), its events are appended, the follower reads them back in position
order and folds them. So it makes no difference who appended: this process, another replica, or this process before it was killed.
"""

import logging
from collections.abc import Callable, Sequence

import anyio
import anyio.lowlevel

from wxrc_core import aggregate, message
from wxrc_core.aggregate import Command
from wxrc_core.effects import Decide, Wake
from wxrc_core.errors import Unavailable
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Event, Fence, Recorded
from wxrc_core.message import Message, MessageState
from wxrc_core.world import World
from wxrc_gateway._append import Found, append, append_all
from wxrc_gateway._clock import mono
from wxrc_gateway._newest import newest_world
from wxrc_store.port import NewerEvents, Store

log = logging.getLogger("wxrc.gateway")

PAGE = 1_000
"""Events that are read from the log at once."""


class Ending:
    """The end of a message, for the request that waits for it.

    Attributes:
        position: That of the event that ended it; 0 = it has not ended.
    """

    def __init__(self) -> None:
        self.position = 0
        self.event = anyio.Event()
        self.users = 0


class Ledger:
    """Follows a log, folds it into a `World`, and appends to it.

    Attributes:
        world: The fold, up to `world.position`.
        read_error: Why the log cannot be read just now; empty = it can.
        closed: Nothing is folded any more.
    """

    def __init__(self, store: Store, wake: Callable[[Recorded, Sequence[Wake]], None]) -> None:
        self.world = World()
        self.read_error = ""
        self.closed = False
        self._store, self._wake = store, wake
        self._progress = anyio.Event()
        self._endings: dict[str, Ending] = {}

    # -- reading ----------------------------------------------------------------------------------------------------------------

    async def replay(self) -> None:
        """Fold what is in the log now, from the newest snapshot on; no loop is woken."""
        now = mono()
        world = await newest_world(self._store)
        if world is not None:
            self.world = world
        self.world.told_to = await self._store.told_to()
        while page := await self._store.read_all(self.world.position, PAGE):
            for recorded in page:
                if recorded.stream in self.world.doubts:
                    self.world.recall(recorded.stream, await self._store.read(recorded.stream))
                self.world.fold(recorded, now)
            await anyio.lowlevel.checkpoint()

    async def follow(self) -> None:
        """Fold every event in position order, whoever appended it, and wake the loops that it concerns.

        Events of a newer release end the gateway: it must not go on acting on a log that it cannot read.
        """
        while True:
            try:
                page = await self._store.read_all(self.world.position, PAGE)
                self.read_error = ""
                if not page:
                    await self._store.changed(self.world.position)
                    continue
                now = mono()
                for recorded in page:
                    if recorded.stream in self.world.doubts:
                        self.world.recall(recorded.stream, await self._store.read(recorded.stream))
                        now = mono()
                    self._fold(recorded, now)
            except NewerEvents:
                raise
            except Unavailable as error:
                if not self.read_error:
                    log.info("the log cannot be read: %s", error)
                self.read_error = str(error)
                await anyio.sleep(1)
                continue
            finally:
                self._progress.set()
                self._progress = anyio.Event()
            await anyio.lowlevel.checkpoint()

    def _fold(self, recorded: Recorded, now: int) -> None:
        log.debug("%d %s %s", recorded.position, recorded.stream, type(recorded.event).__name__)
        self._wake(recorded, self.world.fold(recorded, now))
        if self._endings and recorded.stream in self._endings:
            self._check_ending(recorded.stream, recorded.position)

    async def progressed(self) -> None:
        """Wait until something more has been folded."""
        await self._progress.wait()

    async def reached(self, position: int) -> None:
        """Wait until the log is folded up to this position."""
        while self.world.position < position:
            if self.closed:
                raise Unavailable(
                    LocalizedText(
                        "网关已退出；写入的内容都在日志中",
                        "the gateway was left meanwhile; what was written stands in the log",
                    )
                )
            await self._progress.wait()

    def close(self) -> None:
        """Wake everybody who waits for something more: nothing comes any more."""
        self.closed = True
        self._progress.set()

    # -- waiting for a message's end --------------------------------------------------------------------------------------------

    async def ended(self, stream: str, msgid: int, limit_ms: int) -> int:
        """Wait for the end of a message; return the position of the event that ended it, or 0 when the limit (ms) is over."""
        ending = self._endings.setdefault(stream, Ending())
        ending.users += 1
        try:
            if self.world.position >= msgid and stream not in self.world.messages:
                history = await self._store.read(stream)  # it has ended already
                state, _ = aggregate.fold(history)
                if isinstance(state, Message) and state.state in message.ENDED:
                    return history[-1].position
            with anyio.move_on_after(limit_ms / 1000):
                await ending.event.wait()
            return ending.position
        finally:
            ending.users -= 1
            if not ending.users:
                del self._endings[stream]

    def _check_ending(self, stream: str, position: int) -> None:
        open_message = self.world.messages.get(stream)
        if open_message is None:
            self._endings[stream].position = position
            self._endings[stream].event.set()

    def give_up_endings(self) -> None:
        """Wake every request that waits for the end of a message that is not being sent: the gateway is going down."""
        for stream, ending in self._endings.items():
            open_message = self.world.messages.get(stream)
            if open_message is not None and open_message.state.state is MessageState.QUEUED:
                ending.event.set()

    # -- appending --------------------------------------------------------------------------------------------------------------

    def known(self, stream: str) -> Found | None:
        """Return the open aggregate that has this stream, and its version; None where it is closed, or not there."""
        kind, _, name = stream.partition("/")
        if kind == "message":
            found = self.world.messages.get(stream)
            return (found.state, found.version) if found else None
        if kind == "delivery":
            botcode = self.world.delivery_bots.get(stream)
            return self.world.bots[botcode].deliveries.known(stream) if botcode else None
        if kind == "bot":
            the_bot = self.world.view.bots.get(name)
            return (the_bot.state, the_bot.version) if the_bot else None
        if kind == "channel":
            the_channel = self.world.view.channels.get(name)
            return (the_channel.state, the_channel.version) if the_channel else None
        return None

    async def execute(self, stream: str, command: Command, fence: Fence | None = None) -> Sequence[Event]:
        """Hand a command to the aggregate that has this stream; return the events that it led to, durable and folded.

        Raises:
            Refusal: It cannot be done; nothing was recorded.
            ShardLost: The fence no longer holds; nothing was recorded.
            Unavailable: The store failed; read back before assuming anything.
        """
        written = await append(self._store, stream, command, found=self.known(stream), fence=fence)
        await self.reached(written.last)
        return written.events

    async def execute_all(self, steps: Sequence[Decide], fence: Fence) -> bool:
        """Hand commands to different aggregates in one append (see `append_all`); return whether anything was recorded."""
        last = await append_all(self._store, steps, self.known, fence)
        await self.reached(last)
        return last > 0
