"""A gateway whose store fails when a test wants it to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio

from tests.test_gateway import kinds
from wxrc_core import aggregate
from wxrc_core.log import Entry, Outcome, Recorded
from wxrc_gateway import Gateway
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_store.port import StoreError
from wxrc_store.sqlite import SqliteStore

AWAY = "the disk is full"


async def at_once() -> None:
    """Hold nothing up."""


class FaultyStore(SqliteStore):
    """The store with faults that a test switches on.

    Attributes:
        away: What fails now: `append`, `read`, `vault`.
        times: How often it still fails; less than 0 = until it is switched off.
        before: Awaited before each append, with its entries.
        after: Awaited after each read of a stream, before its answer is given.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.away: set[str] = set()
        self.times = -1
        self.before: Callable[[Sequence[Entry]], Any] = lambda batch: at_once()
        self.after: Callable[[str], Any] = lambda stream: at_once()

    def _fail(self, what: str) -> None:
        if what in self.away and self.times:
            self.times -= 1
            raise StoreError(AWAY)

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """Append, or fail."""
        await self.before(batch)
        self._fail("append")
        return await super().append(batch)

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """Read a stream, or fail; answer late."""
        self._fail("read")
        found = await super().read(stream, after)
        await self.after(stream)
        return found

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """Read the log, or fail."""
        self._fail("read")
        return await super().read_all(after, limit)

    async def _keep(self, name: str, secret: bytes | None) -> None:
        self._fail("vault")
        await super()._keep(name, secret)

    async def _kept(self, name: str) -> bytes | None:
        self._fail("vault")
        return await super()._kept(name)


class Faulty:
    """A gateway on a `FaultyStore` with bot `demo`, as `running` gives one on a sound store."""

    def __init__(self, folder: Path, options: dict[str, str] | None = None, **settings: Any) -> None:
        self._world = SimulatedWeChat(folder / "simulator.db")
        self.store = FaultyStore(folder / "wxrc.db")
        self._options = {"startup_ms": "0"} | (options or {})
        settings = {"puppets": kinds(self._world)} | settings
        self.gateway = Gateway(store=self.store, **settings)

    async def __aenter__(self) -> tuple[Gateway, SimulatedWeChat, FaultyStore]:
        await self.gateway.__aenter__()
        if self.gateway.bot("demo") is None:
            await self.gateway.add_bot("demo", "simulator", options=self._options)
        return self.gateway, self._world, self.store

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self.gateway.__aexit__(*error)
        finally:
            self._world.close()


async def events_of(gateway: Gateway, *types: type) -> list[Any]:
    """Return the events of these types in the log."""
    return [each.event for each in await gateway.store.read_all(0, 10_000) if isinstance(each.event, types)]


async def login_events(gateway: Gateway, end: type) -> list[type]:
    """Ask for login, wait for this end, and return what happened to the bot."""
    await gateway.login("demo")
    with anyio.fail_after(20):
        async for recorded in gateway.events(after=0):
            if isinstance(recorded.event, end):
                break
    return [type(event) for event in await events_of(gateway, *aggregate.EVENTS["bot"])]
