"""The store as one replica sees it: the shared one, with everything that can go wrong between them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import anyio

from wxrc_core.log import Appended, Entry, Lease, Member, Outcome, Owner, Recorded
from wxrc_core.message import MessageAttempted
from wxrc_simulation.chance import Chance
from wxrc_simulation.loop import VirtualLoop
from wxrc_store import MemoryMedia, MemoryStore, MemoryVault, StoreError

T = TypeVar("T")

TICK_S = 0.2
"""How often what is on its way looks whether faults are over, and then arrives (seconds)."""


class FaultyVault:
    """The vault as one replica sees it."""

    def __init__(self, inner: MemoryVault, chance: Chance) -> None:
        self._inner, self._chance = inner, chance

    async def put(self, name: str, secret: bytes) -> None:
        """See `Vault.put`."""
        self._fail()
        await self._inner.put(name, secret)

    async def get(self, name: str) -> bytes | None:
        """See `Vault.get`."""
        self._fail()
        return await self._inner.get(name)

    async def delete(self, name: str) -> None:
        """See `Vault.delete`."""
        self._fail()
        await self._inner.delete(name)

    async def names(self) -> Sequence[str]:
        """See `Vault.names`."""
        self._fail()
        return await self._inner.names()

    def _fail(self) -> None:
        if self._chance.strikes("vault fails"):
            raise StoreError("the vault is unavailable")


class FaultyMedia:
    """The media as one replica sees it."""

    def __init__(self, inner: MemoryMedia, chance: Chance) -> None:
        self._inner, self._chance = inner, chance

    async def put(self, data: bytes) -> str:
        """See `Media.put`."""
        self._fail()
        return await self._inner.put(data)

    async def get(self, digest: str) -> bytes | None:
        """See `Media.get`."""
        self._fail()
        return await self._inner.get(digest)

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        return await self._inner.forget(before, keep)

    def _fail(self) -> None:
        if self._chance.strikes("media fail"):
            raise StoreError("the media are unavailable")


class FaultyStore:
    """One replica's way to the shared store.

    What is on its way when its sender is stopped, killed or cut off still arrives.

    Args:
        inner: The replica's own handle.
        shared: The handle by which things arrive that are on their way.
        loop: The event loop.
        chance: What decides.
        appended: Told of what was appended: position, count, up to where its writer had read, and since when it was on its way (seconds).
        joined: Told when the replica was told that it is a member; and until when (seconds).

    Attributes:
        cut_off: Nothing gets through.
        deaf: Heartbeats do not get through.
        folded: Up to where its user has folded the log: it asks for what follows.
        stall: (seconds, kind): the next fenced append, or claim, takes so long, and its sender is cut off meanwhile; None = nothing.
        freeze: Called with a pause (seconds) that lasts over the end of the membership, when a claim has been written shortly before it;
            None = nothing.
        vault: The vault.
    """

    def __init__(
        self,
        inner: MemoryStore,
        shared: MemoryStore,
        loop: VirtualLoop,
        chance: Chance,
        appended: Callable[[int, int, int, float], None],
        joined: Callable[[float], None],
    ) -> None:
        self._joined = joined
        self.cut_off = False
        self.deaf = False
        self.stall: tuple[float, str] | None = None
        self.freeze: Callable[[float], None] | None = None
        self._until = 0.0
        self._read_to = 0
        self.folded = 0
        self._next: int | None = None
        self.vault = FaultyVault(inner.vault, chance)
        self._inner, self._shared, self._loop, self._chance, self._appended = inner, shared, loop, chance, appended

    @property
    def shards(self) -> int:
        """See `Store.shards`."""
        return self._inner.shards

    @property
    def lifetime(self) -> float:
        """See `Store.lifetime`."""
        return self._inner.lifetime

    def monotonic(self) -> float:
        """See `Store.monotonic`."""
        return self._inner.monotonic()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """Append; or refuse; or append and not say so; sooner or later."""
        chance, known = self._chance, self._read_to
        await anyio.sleep(chance.seconds(0.0, 0.004))
        self._check()
        if chance.strikes("append refused"):
            raise StoreError("the disk is full")
        delay = chance.seconds(0.5, 9.0) if chance.strikes("append slow") else self._stalled(batch)
        if delay:
            landed: asyncio.Future[Sequence[Outcome]] = self._loop.create_future()
            self._loop.spawn(self._arrive(batch, delay, landed, known))
            outcomes = await landed
        else:
            outcomes = await self._append(self._inner, batch, self._loop.time(), known)
        left = self._until - self._loop.time()
        if self.freeze and 0 < left < 4 and any(isinstance(entry.events[0], MessageAttempted) for entry in batch):
            self.freeze(left + 0.1)
            self.freeze = None
        await anyio.sleep(chance.seconds(0.0, 0.002))
        self._check()
        if chance.strikes("append unknown"):
            raise StoreError("no answer")
        return outcomes

    def _stalled(self, batch: Sequence[Entry]) -> float:
        """Return how long this append is held up by a network that breaks right behind it (seconds)."""
        if self.stall is None:
            return 0.0
        seconds, kind = self.stall
        # A claim is known by its event: one that was written without a fence must not escape.
        if not any(isinstance(entry.events[0], MessageAttempted) or (kind == "any" and entry.fence) for entry in batch):
            return 0.0
        self.stall, self.cut_off = None, True
        self._loop.outside(seconds + 1, self._back)
        return seconds

    def _back(self) -> None:
        self.cut_off = False

    async def _arrive(
        self, batch: Sequence[Entry], delay: float, landed: "asyncio.Future[Sequence[Outcome]]", known: int
    ) -> None:
        """Append what was on its way, whatever has become of its sender meanwhile."""
        begun = self._loop.time()
        while self._chance.on and self._loop.time() < begun + delay:  # noqa: ASYNC110 - it is on its way, nothing else
            await asyncio.sleep(min(TICK_S, delay))
        outcomes = await self._append(self._shared, batch, begun, known)
        if not landed.done():
            landed.set_result(outcomes)

    async def _append(self, store: MemoryStore, batch: Sequence[Entry], begun: float, known: int) -> Sequence[Outcome]:
        outcomes = await store.append(batch)
        for entry, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Appended):
                self._appended(outcome.position, len(entry.events), known, begun)
        return outcomes

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        return await self._reading(lambda: self._inner.read(stream, after))

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`; it may be late."""
        # Whoever follows the log asks for what comes after its last page; an operator's search starts elsewhere, and folds nothing.
        follows = self._next in (None, after)
        if follows:
            self.folded = max(self.folded, after)
        if self._chance.strikes("follower lags"):
            await anyio.sleep(self._chance.seconds(0.1, 5.0))
        page = await self._reading(lambda: self._inner.read_all(after, limit))
        if follows:
            self._next = page[-1].position if page else after
            self._read_to = max(self._read_to, self._next)
        return page

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        return await self._reading(lambda: self._inner.at(position))

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        self._check()
        with anyio.move_on_after(30):
            await self._inner.changed(after)
        self._check()

    async def probe(self) -> None:
        """See `Store.probe`; it may be refused as an append may."""
        self._check()
        if self._chance.strikes("append refused"):
            raise StoreError("the disk is full")
        await self._inner.probe()

    async def join(self, name: str) -> Member:
        """See `Store.join`."""
        self._check()
        return await self._asked(self._inner.join(name))

    async def _asked(self, answer: Awaitable[Member]) -> Member:
        asked = self._loop.time()
        member = await answer
        self._until = asked + self.lifetime
        self._joined(self._until)
        return member

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`; it may fail, before or after."""
        self._check()
        if self.deaf or self._chance.strikes("heartbeat fails"):
            raise StoreError("no answer to the heartbeat")
        return await self._asked(self._inner.renew(member))

    async def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        self._check()
        await self._inner.leave(member)

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """See `Store.acquire`; the answer may be lost."""
        self._check()
        taken = await self._inner.acquire(member, shards, at)
        for lease in taken.values():
            self._appended(lease.position, 1, self._read_to, self._loop.time())
        if self._chance.strikes("append unknown"):
            raise StoreError("no answer")
        return taken

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """See `Store.release`."""
        self._check()
        before = len(self._inner._data.log)
        await self._inner.release(leases, at)
        self._appended(before + 1, len(self._inner._data.log) - before, self._read_to, self._loop.time())

    async def members(self) -> Sequence[str]:
        """See `Store.members`."""
        self._check()
        return await self._inner.members()

    async def owners(self) -> Mapping[int, Owner]:
        """See `Store.owners`."""
        self._check()
        return await self._inner.owners()

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        self._check()
        await self._inner.save(position, schema, blob)

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        return await self._inner.newest(schemas)

    async def forget(self, streams: Mapping[str, int]) -> int:
        """See `Store.forget`."""
        self._check()
        return await self._inner.forget(streams)

    async def restore(self, records: Sequence[Recorded]) -> None:
        """See `Store.restore`."""
        self._check()
        await self._inner.restore(records)

    async def told_to(self) -> int:
        """See `Store.told_to`."""
        return await self._inner.told_to()

    async def set_told_to(self, position: int) -> None:
        """See `Store.set_told_to`."""
        self._check()
        await self._inner.set_told_to(position)

    async def gaps_to(self) -> int:
        """See `Store.gaps_to`."""
        return await self._inner.gaps_to()

    async def set_gaps_to(self, position: int) -> None:
        """See `Store.set_gaps_to`."""
        self._check()
        await self._inner.set_gaps_to(position)

    async def _reading(self, read: Callable[[], Awaitable[T]]) -> T:
        self._check()
        if self._chance.strikes("read slow"):
            await anyio.sleep(self._chance.seconds(0.1, 4.0))
            self._check()
        if self._chance.strikes("read fails"):
            raise StoreError("the database does not answer")
        return await read()

    def _check(self) -> None:
        if self.cut_off:
            raise StoreError("the database cannot be reached")
