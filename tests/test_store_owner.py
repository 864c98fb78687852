"""Who owns an SQLite store: real processes that are killed, stopped, and robbed of the lock's file.

Run as a program, this file is the other process: it tries to own the store, appends under its fence while it does, and says so.
"""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from wxrc_core.log import Appended, Entry, Fence, Fenced, Recorded
from wxrc_core.shard import ShardTaken
from wxrc_core.testing.store_contract import LIMIT, attempted, check_log, queued, whole_log
from wxrc_store import Lapsed
from wxrc_store._owner_lock import OwnerLock, holder
from wxrc_store.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SHARDS = range(64)


# -- the other process ------------------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """Say a line, at once."""
    os.write(1, f"{line}\n".encode())


async def own(path: str) -> None:
    """Own the store whenever nobody else does, and append under the fence of shard 0."""
    async with SqliteStore(path, lifetime=0.3) as store:
        say("open")
        while True:
            member = await store.join("other")
            with contextlib.suppress(Lapsed):
                while not (leases := await store.acquire(member, SHARDS, 1)):
                    await anyio.sleep(0.01)
                fence = leases[0].fence
                say(f"took {fence.epoch}")
                await append(store, fence)
                say("fenced")
                await store.renew(member)
                raise AssertionError("a member whose lock was taken away renews")
            say("lapsed")


async def append(store: SqliteStore, fence: Fence) -> None:
    """Append until the fence no longer holds."""
    number = 0
    while True:
        entry = Entry(f"{os.getpid()}/{fence.epoch}/{number}", 0, [attempted(fence.epoch)], fence)
        (outcome,) = await store.append([entry])
        if isinstance(outcome, Fenced):
            return
        say(f"wrote {outcome.position}")
        number += 1
        await anyio.sleep(0.001)


# -- the tests --------------------------------------------------------------------------------------------------------------------


class Other:
    """The other process, and what it has said."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.written: list[int] = []
        self._out = BufferedByteReceiveStream(process.stdout)

    async def until(self, word: str) -> str:
        """Wait for a line that begins with a word; return the rest of it."""
        with anyio.fail_after(LIMIT):
            while True:
                line = (await self._out.receive_until(b"\n", 1000)).decode()
                first, _, rest = line.partition(" ")
                if first == "wrote":
                    self.written.append(int(rest))
                if first == word:
                    return rest

    async def kill(self) -> None:
        """Kill it, and hear what it had said."""
        self.process.kill()
        with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead):
            await self.until("nothing")
        await self.process.wait()


@asynccontextmanager
async def other(path: Path, backend: str) -> AsyncIterator[Other]:
    """Start the other process and wait until it has the store open; kill it in the end."""
    command = [sys.executable, __file__, backend, os.fspath(path)]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            started = Other(process)
            await started.until("open")
            yield started
        finally:
            if process.returncode is None:
                process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of a store."""
    return tmp_path / "events.db"


def check_epochs(log: list[Recorded], written: list[int]) -> None:
    """Check that nothing of an epoch stands behind the beginning of the next, and that all is there that was acknowledged."""
    check_log(log)
    epoch = 0
    for each in log:
        if each.stream == "shard/0":
            epoch = each.version
        elif not each.stream.startswith("shard/"):
            assert epoch == each.event.attempt
    assert all(isinstance(log[position - 1].event, type(attempted(1))) for position in written)


async def test_killed(path: Path, anyio_backend_name: str) -> None:
    """While its process lives the owner is named, with its number, and followed by nobody; killed with -9, at once."""
    async with SqliteStore(path) as store, other(path, anyio_backend_name) as process:
        await process.until("took")
        await process.until("wrote")
        member = await store.join("one")
        before = await store.acquire(member, SHARDS, 1)
        owner = (await store.owners())[5]
        await process.kill()
        after = (await store.owners())[5]
        leases = await store.acquire(member, SHARDS, 1)
        await store.append([Entry("s", 0, [attempted(2)], leases[0].fence)])
        log = await whole_log(store)

    assert {} == before
    assert (1, True) == (owner.epoch, owner.alive)
    assert owner.member.startswith(f"other-{process.process.pid}-")
    assert (1, owner.member, False) == after
    assert list(SHARDS) == list(leases)
    assert {2} == {lease.fence.epoch for lease in leases.values()}
    check_epochs(log, process.written)


async def test_stopped(path: Path, anyio_backend_name: str) -> None:
    """A stopped process keeps what it owns, however long, and goes on as if nothing had been."""
    async with SqliteStore(path, lifetime=0.3) as store, other(path, anyio_backend_name) as process:
        await process.until("took")
        await process.until("wrote")
        process.process.send_signal(signal.SIGSTOP)
        member = await store.join("one")
        await anyio.sleep(1)
        taken = await store.acquire(member, SHARDS, 1)
        owner = (await store.owners())[0]
        process.process.send_signal(signal.SIGCONT)
        for _ in range(20):
            await process.until("wrote")
        log = await whole_log(store)

    assert {} == taken
    assert owner.alive
    assert 64 == sum(isinstance(each.event, ShardTaken) for each in log)
    check_epochs(log, process.written)


async def test_the_lock_is_removed(path: Path, anyio_backend_name: str) -> None:
    """Whoever removes the lock's file lets a second one in; but the first can write nothing more, and hears that it has lapsed."""
    async with SqliteStore(path) as store, other(path, anyio_backend_name) as process:
        await process.until("took")
        await process.until("wrote")
        path.with_name("events.db.owner").unlink()
        member = await store.join("one")
        leases = await store.acquire(member, SHARDS, 1)
        await process.until("fenced")
        await process.until("lapsed")
        owner = (await store.owners())[0]
        (outcome,) = await store.append([Entry("s", 0, [attempted(2)], leases[0].fence)])
        await store.renew(member)
        await process.kill()
        log = await whole_log(store)

    assert list(SHARDS) == list(leases)
    assert (2, member.id, True) == owner
    assert isinstance(outcome, Appended)
    check_epochs(log, process.written)


async def test_two_stores_in_one_process(path: Path) -> None:
    """Two stores in one process exclude each other as two processes do; closing one frees what it owned."""
    async with SqliteStore(path) as two:
        second = await two.join("two")
        async with SqliteStore(path) as one:
            await one.acquire(await one.join("one"), [1], 1)
            before = await two.acquire(second, SHARDS, 1)
        leases = await two.acquire(second, SHARDS, 1)

    assert {} == before
    assert list(SHARDS) == list(leases)
    assert Fence(1, 2) == leases[1].fence


async def test_killed_one_after_the_other(path: Path, anyio_backend_name: str) -> None:
    """Of three processes one owns the store; killed, it is followed by another, until none is left. Nothing acknowledged is lost."""
    written: list[int] = []
    async with SqliteStore(path) as store, contextlib.AsyncExitStack() as stack:
        processes = {
            each.process.pid: each
            for each in [await stack.enter_async_context(other(path, anyio_backend_name)) for _ in range(3)]
        }
        for epoch in (1, 2, 3):
            with anyio.fail_after(LIMIT):
                while (owner := (await store.owners())[0]).epoch < epoch:
                    await anyio.sleep(0.005)
            process = processes.pop(int(owner.member.split("-")[1]))
            assert str(epoch) == await process.until("took")
            await process.until("wrote")
            await process.kill()
            written += process.written
        leases = await store.acquire(await store.join("one"), SHARDS, 1)
        log = await whole_log(store)

    assert Fence(0, 4) == leases[0].fence
    check_epochs(log, written)


def test_the_lock_is_removed_while_it_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that was removed between opening and locking it does not count: the next one would not see it."""
    lock_path = path.with_name("events.db.owner")
    locked = []

    def remove_first(file: int, operation: int, flock: Callable[[int, int], None] = fcntl.flock) -> None:
        if not locked:
            lock_path.unlink()
        locked.append(file)
        flock(file, operation)

    one, two = OwnerLock(lock_path, "one"), OwnerLock(lock_path, "two")
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", remove_first)
        taken = one.take()
    results = taken, one.lost(), two.take(), holder(lock_path)
    one.free()
    after = holder(lock_path), two.take()
    two.free()

    assert 2 == len(locked)
    assert (True, False, False, "one") == results
    assert ("", True) == after


async def test_a_cancelled_or_failed_taking_is_repeated(path: Path) -> None:
    """When the store fails in the middle of taking shards the same member asks again, and has them once."""
    async with SqliteStore(path) as store:
        member = await store.join("one")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.acquire(member, SHARDS, 1)
        await store.append([Entry("s", 0, [queued()])])
        leases = await store.acquire(member, SHARDS, 1)
        log = await whole_log(store)

    assert {1} == {lease.fence.epoch for lease in leases.values()}
    assert 65 == len(log)


if __name__ == "__main__":
    anyio.run(own, *sys.argv[2:], backend=sys.argv[1])
