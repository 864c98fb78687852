"""The store and the vault in memory."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from wxrc_core.log import Entry, Member, Owner
from wxrc_core.testing.store_contract import OpenStore, OpenVault, StoreContract, VaultContract, queued
from wxrc_store import Lapsed, MemoryStore, MemoryVault, StoreError


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class TestMemoryStore(StoreContract):
    """The contract of every store."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Keep the data of a test by name, and make a handle on it for each call."""
        self.clock = Clock()
        stores: defaultdict[str, MemoryStore] = defaultdict(lambda: MemoryStore(clock=self.clock))
        return lambda name: stores[name].replica()

    async def wait(self, store: MemoryStore, seconds: float) -> None:
        """Let time pass on the test's clock."""
        self.clock.now += seconds


class TestMemoryVault(VaultContract):
    """The contract of every vault."""

    @pytest.fixture
    def open_vault(self) -> OpenVault:
        """Open the vault of one memory store."""
        store = MemoryStore()

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[MemoryVault]:
            async with store:
                yield store.vault

        return opened


# -- several handles on the same data ---------------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


async def test_two_clocks() -> None:
    """A member stops by its own clock before the store declares it dead by its own, even where that runs a little faster."""
    stores, members = Clock(), Clock()
    members.now = 5.0
    one = MemoryStore(lifetime=10.0, clock=stores)
    async with one, one.replica(members) as two:
        member = await two.join("two")
        await two.acquire(member, [1], 1)
        stores.now += 9.9
        members.now += 9.0
        late = members.now >= member.until
        alive = (await one.owners())[1].alive
        member = await two.renew(member)
        stores.now += 10.0
        dead = not (await one.owners())[1].alive
        with pytest.raises(Lapsed, match="has lapsed; join anew"):
            await two.renew(member)

    assert 5.0 + 9.0 + 9.0 == member.until
    assert (True, True, True) == (late, alive, dead)


async def test_a_replica_opens_and_closes_by_itself() -> None:
    """Closing one handle wakes those who wait on it and nobody else; the other goes on, and wakes by what a third one appends."""
    first = MemoryStore()
    woken: list[str] = []

    async def wait(store: MemoryStore, name: str) -> None:
        try:
            await store.changed(0)
        except StoreError:
            name += " closed"
        woken.append(name)

    async with anyio.create_task_group() as tasks, first.replica() as one, first.replica() as two:
        async with first:
            tasks.start_soon(wait, first, "first")
            tasks.start_soon(wait, one, "one")
            await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        after_closing = list(woken)
        await two.append([Entry("s", 0, [queued()])])
        await anyio.wait_all_tasks_blocked()

    assert ["first closed"] == after_closing
    assert ["first closed", "one"] == woken


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_another_loop(backend: str) -> None:
    """Data that outlives its event loop keeps everything but the members, whose clock has ended."""
    store = MemoryStore(lifetime=1e9)

    async def take() -> Member:
        async with store:
            member = await store.join("one")
            await store.acquire(member, [1], 1)
            return member

    async def look() -> Owner:
        async with store:
            return (await store.owners())[1]

    member = anyio.run(take, backend=backend)

    assert Owner(1, member.id, False) == anyio.run(look, backend=backend)
