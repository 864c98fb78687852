"""A store in memory: for tests, simulations and trying out. It passes the contract suite of the durable stores.

`MemoryStore()` makes the data and the first handle; `replica()` makes a further handle on the same data, as another process would open one.
All handles belong to one event loop at a time. Nothing here depends on chance or on the order of a set.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import anyio
from anyio.lowlevel import EventLoopToken, checkpoint, current_token

from wxrc_core.errors import Refusal
from wxrc_core.log import Appended, Conflict, Entry, Event, Fence, Fenced, Lease, Member, Outcome, Owner, Recorded
from wxrc_core.shard import SHARDS, ShardFreed, ShardTaken, stream_name
from wxrc_store._rows import (
    SNAPSHOTS,
    check_forgettable,
    check_shards,
    encode_batch,
    encode_records,
    not_restorable,
    owner_of,
)
from wxrc_store.media import MemoryMedia
from wxrc_store.port import Lapsed, StoreError

MARGIN = 0.1
"""A member stops by this part of its lifetime before the store declares it dead: so far may the two clocks drift apart."""

Clock = Callable[[], float]


class MemoryVault:
    """A vault in memory; nothing is at rest, so nothing is encrypted."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    async def put(self, name: str, secret: bytes) -> None:
        """See `Vault.put`."""
        await checkpoint()
        self._secrets[name] = secret

    async def get(self, name: str) -> bytes | None:
        """See `Vault.get`."""
        await checkpoint()
        return self._secrets.get(name)

    async def delete(self, name: str) -> None:
        """See `Vault.delete`."""
        await checkpoint()
        self._secrets.pop(name, None)

    async def names(self) -> Sequence[str]:
        """See `Vault.names`."""
        await checkpoint()
        return sorted(self._secrets)


class _Data:
    """What all handles share: what a database server would hold."""

    def __init__(self, shards: int, lifetime: float, clock: Clock) -> None:
        self.shards = shards
        self.lifetime = lifetime
        self.clock = clock
        self.vault = MemoryVault()
        self.media = MemoryMedia()
        self.log: list[Recorded | None] = []  # None = forgotten
        self.streams: dict[str, list[Recorded]] = {}
        self.snapshots: dict[str, list[tuple[int, bytes]]] = {}  # by schema, the newest last
        self.told_to = self.gaps_to = 0
        self.expiries: dict[str, float] = {}  # of the living members
        self.joined = 0
        self.watching: dict[MemoryStore, None] = {}  # the handles that wait for news, in the order in which they began
        self.loop: EventLoopToken | None = None

    def append(self, stream: str, expected: int, events: Sequence[Event], fence: Fence | None = None) -> Outcome:
        """Append to one stream, or not."""
        if fence is not None and len(self.streams.get(stream_name(fence.shard), ())) != fence.epoch:
            return Fenced()
        recorded = self.streams.get(stream, [])
        if len(recorded) != expected:
            return Conflict(len(recorded))
        first = len(self.log) + 1
        for position, event in enumerate(events, first):
            one = Recorded(position, stream, len(recorded) + 1, event)
            self.log.append(one)
            recorded.append(one)
        self.streams[stream] = recorded
        return Appended(first)

    def alive(self, member: str) -> bool:
        """Return whether a member lives. It is asked on the store's clock."""
        if self.expiries.get(member, float("-inf")) > self.clock():
            return True
        self.expiries.pop(member, None)
        return False

    def owner(self, shard: int) -> tuple[str, Lease]:
        """Return the member that owns a shard (empty = free), alive or not, and its lease."""
        recorded = self.streams.get(stream_name(shard))
        if not recorded:
            return "", Lease(Fence(shard, 0), 0)
        last = recorded[-1]
        return owner_of(last), Lease(Fence(shard, last.version), last.position)


class MemoryStore:
    """An event log in memory. What it holds outlives closing and opening it again, as a database would.

    Args:
        shards: Into how many shards bots are spread.
        lifetime: How long a member lives without renewing (seconds).
        clock: The store's own monotonic clock, by which members die (seconds); the event loop's if there is none.

    Attributes:
        vault: The vault beside it.
        media: Files that are too large for the log.
    """

    def __init__(self, *, shards: int = SHARDS, lifetime: float = 10.0, clock: Clock = anyio.current_time) -> None:
        self._use(_Data(shards, lifetime, clock), clock)

    def replica(self, clock: Clock | None = None) -> Self:
        """Return a further handle on the same data.

        Args:
            clock: The monotonic clock of the process that it stands for; the store's own if there is none.
        """
        other = self.__class__.__new__(self.__class__)
        other._use(self._data, clock or self._data.clock)
        return other

    def _use(self, data: _Data, clock: Clock) -> None:
        self._data = data
        self._clock = clock
        self._open = False
        self.vault = data.vault
        self.media = data.media

    @property
    def shards(self) -> int:
        """See `Store.shards`."""
        return self._data.shards

    @property
    def lifetime(self) -> float:
        """See `Store.lifetime`."""
        return self._data.lifetime

    def monotonic(self) -> float:
        """See `Store.monotonic`."""
        return self._clock()

    async def __aenter__(self) -> Self:
        """Open it."""
        await checkpoint()
        if self._data.loop != (loop := current_token()):
            self._data.loop = loop  # another loop has another clock, and nobody from the last one is alive
            self._data.expiries.clear()
            self._data.watching.clear()
        self._news = anyio.Event()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._open = False
        self._wake()

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`."""
        encode_batch(batch)  # refuses what a durable store would refuse
        await self._turn()
        before = len(self._data.log)
        outcomes = [self._data.append(entry.stream, entry.expected, entry.events, entry.fence) for entry in batch]
        self._tell_news(before)
        return outcomes

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        await self._turn()
        return self._data.streams.get(stream, [])[after:]

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`."""
        await self._turn()
        log = self._data.log
        found: list[Recorded] = []
        while after < len(log) and len(found) < limit:
            page = log[after : after + limit - len(found)]
            after += len(page)
            found += [recorded for recorded in page if recorded is not None]
        return found

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        await self._turn()
        return self._data.log[position - 1] if 1 <= position <= len(self._data.log) else None

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._turn()
        while len(self._data.log) <= after:
            self._data.watching[self] = None
            await self._news.wait()
            self._check_open()

    async def probe(self) -> None:
        """See `Store.probe`."""
        await self._turn()

    # -- ownership --------------------------------------------------------------------------------------------------------------

    async def join(self, name: str) -> Member:
        """See `Store.join`."""
        asked = self._clock()
        await self._turn()
        self._data.joined += 1
        return self._living(f"{name}-{self._data.joined}", asked)

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`."""
        asked = self._clock()
        await self._turn()
        self._check_alive(member)
        return self._living(member.id, asked)

    async def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        await self._turn()
        self._data.expiries.pop(member.id, None)

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """See `Store.acquire`."""
        check_shards(shards, self.shards)
        await self._turn()
        self._check_alive(member)
        data, before, leases = self._data, len(self._data.log), {}
        for shard in shards:
            owner, lease = data.owner(shard)
            if owner == member.id:
                leases[shard] = lease
            elif not data.alive(owner):
                taken = data.append(stream_name(shard), lease.fence.epoch, [ShardTaken(at=at, member=member.id)])
                assert isinstance(taken, Appended)
                leases[shard] = Lease(Fence(shard, lease.fence.epoch + 1), taken.position)
        self._tell_news(before)
        return leases

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """See `Store.release`."""
        await self._turn()
        before = len(self._data.log)
        for fence, _ in leases:
            owner, _ = self._data.owner(fence.shard)
            if owner:
                self._data.append(stream_name(fence.shard), fence.epoch, [ShardFreed(at=at, member=owner)])
        self._tell_news(before)

    async def members(self) -> Sequence[str]:
        """See `Store.members`."""
        await self._turn()
        return [member for member in list(self._data.expiries) if self._data.alive(member)]

    async def owners(self) -> Mapping[int, Owner]:
        """See `Store.owners`."""
        await self._turn()
        found = {}
        for shard in range(self.shards):
            owner, lease = self._data.owner(shard)
            found[shard] = Owner(lease.fence.epoch, owner, self._data.alive(owner))
        return found

    # -- beside the log ---------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        await self._turn()
        kept = [each for each in self._data.snapshots.get(schema, ()) if each[0] != position] + [(position, blob)]
        self._data.snapshots[schema] = sorted(kept, key=lambda each: each[0])[-SNAPSHOTS:]

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        await self._turn()
        found = [(schema, self._data.snapshots[schema][-1]) for schema in schemas if schema in self._data.snapshots]
        if not found:
            return None
        schema, (position, blob) = max(found, key=lambda each: each[1][0])
        return position, schema, blob

    async def forget(self, streams: Mapping[str, int]) -> int:
        """See `Store.forget`."""
        check_forgettable(streams)
        await self._turn()
        data, deleted = self._data, 0
        for stream, version in streams.items():
            recorded = data.streams.get(stream, ())
            if not recorded or len(recorded) != version or recorded[-1].position == len(data.log):
                continue
            for one in data.streams.pop(stream):
                data.log[one.position - 1] = None
            deleted += 1
        return deleted

    async def restore(self, records: Sequence[Recorded]) -> None:
        """See `Store.restore`."""
        rows = encode_records(records)
        await self._turn()
        data, before = self._data, len(self._data.log)
        versions = {each.stream: len(data.streams.get(each.stream, ())) for each in records}
        if problem := not_restorable(rows, before, versions):
            raise Refusal(problem)
        for each in records:
            data.log += [None] * (each.position - 1 - len(data.log))
            data.log.append(each)
            data.streams.setdefault(each.stream, []).append(each)
        self._tell_news(before)

    async def told_to(self) -> int:
        """See `Store.told_to`."""
        await self._turn()
        return self._data.told_to

    async def set_told_to(self, position: int) -> None:
        """See `Store.set_told_to`."""
        await self._turn()
        self._data.told_to = max(self._data.told_to, position)

    async def gaps_to(self) -> int:
        """See `Store.gaps_to`."""
        await self._turn()
        return self._data.gaps_to

    async def set_gaps_to(self, position: int) -> None:
        """See `Store.set_gaps_to`."""
        await self._turn()
        self._data.gaps_to = max(self._data.gaps_to, position)

    # -- inside -----------------------------------------------------------------------------------------------------------------

    def _living(self, member: str, asked: float) -> Member:
        self._data.expiries[member] = self._data.clock() + self.lifetime
        return Member(member, asked + (1 - MARGIN) * self.lifetime)

    def _check_alive(self, member: Member) -> None:
        if not self._data.alive(member.id):
            raise Lapsed(f"The member {member.id} has lapsed; join anew.")

    async def _turn(self) -> None:
        """Let others run, as a real store would, and see that this one is open."""
        await checkpoint()
        self._check_open()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("The store is closed; open it again before using it.")

    def _tell_news(self, before: int) -> None:
        if len(self._data.log) == before:
            return
        watching, self._data.watching = self._data.watching, {}
        for handle in watching:
            handle._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()
