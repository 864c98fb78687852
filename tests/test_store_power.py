"""Power cuts: the SQLite store on a disk that forgets what was not synced, cut off at random writes while it is busy.

`WXRC_CUTS` says how often, in all.
"""

import contextlib
import os
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import apsw
import pytest

from tests.power import Disk
from wxrc_core.log import Appended, Entry, Recorded
from wxrc_core.testing.store_contract import attempted, queued
from wxrc_store import StoreError
from wxrc_store.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CUTS = int(os.environ.get("WXRC_CUTS", "60"))
ROUNDS = 12
"""So many cuts are survived by one store before the next one begins with an empty folder."""


class Promises:
    """What the store has acknowledged."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[str, int]] = {}  # position -> stream and number of events
        self.secret = 0
        self.offered = 0  # what was put last, acknowledged or not
        self.told_to = 0
        self.snapshot = 0
        self.epoch = 0
        self.forgotten: set[str] = set()

    async def check(self, store: SqliteStore) -> list[Recorded]:
        """Check that a store has kept all of it; return its log."""
        log = await whole_log_of(store)
        by_position = {each.position: each for each in log}
        for position, (stream, number) in self.entries.items():
            if stream not in self.forgotten:
                for offset in range(number):
                    assert stream == by_position[position + offset].stream
        check_versions(log)
        secret = await store.vault.get("name")
        found = await store.newest(["a"])
        owner = (await store.owners())[0]

        assert self.secret <= int(secret or b"0") <= self.offered
        assert self.told_to <= await store.told_to()
        assert self.snapshot <= (found[0] if found else 0)
        assert found is None or found[2] == bytes([found[0] % 256]) * 1_200_000
        assert self.epoch <= owner.epoch
        return log


def check_versions(log: list[Recorded]) -> None:
    """Check that positions rise and that streams are whole."""
    versions: dict[str, int] = {}
    before = 0
    for each in log:
        assert before < each.position
        assert each.version == versions.get(each.stream, 0) + 1

        before = each.position
        versions[each.stream] = each.version


async def whole_log_of(store: SqliteStore) -> list[Recorded]:
    """Read a log that may have gaps."""
    log: list[Recorded] = []
    while page := await store.read_all(log[-1].position if log else 0):
        log += page
    return log


async def load(store: SqliteStore, promises: Promises, chance: random.Random) -> None:
    """Do everything that a store can do, until its power is cut."""

    async def append(writer: int) -> None:
        for _ in range(10_000):
            number = chance.randrange(1, 4)
            stream = f"{writer}/{secrets.token_hex(6)}"
            events = [queued("x" * chance.choice((10, 500, 9_000))), attempted(1), attempted(2)][:number]
            (outcome,) = await store.append([Entry(stream, 0, events)])
            assert isinstance(outcome, Appended)
            promises.entries[outcome.position] = stream, number

    async def put() -> None:
        while True:
            promises.offered += 1
            await store.vault.put("name", b"%d" % promises.offered)
            promises.secret = promises.offered
            await store.set_told_to(promises.offered)
            promises.told_to = promises.offered

    async def snapshot() -> None:
        position = promises.snapshot
        while True:
            position += 1
            await store.save(position, "a", bytes([position % 256]) * 1_200_000)
            promises.snapshot = position

    async def own() -> None:
        member = await store.join("one")
        while True:
            leases = await store.acquire(member, [0], 1)
            promises.epoch = leases[0].fence.epoch
            await store.release(list(leases.values()), 1)
            promises.epoch += 1

    async def forget() -> None:
        while True:
            await anyio.sleep(0.005)
            for position, (stream, number) in list(promises.entries.items())[:3]:
                promises.forgotten.add(stream)  # it may be gone from now on
                await store.forget({stream: number})
                del promises.entries[position]

    async with anyio.create_task_group() as tasks:
        for writer in range(6):
            tasks.start_soon(append, writer)
        for job in (put, snapshot, own, forget):
            tasks.start_soon(job)


@asynccontextmanager
async def powered(path: Path, disk: Disk, steps: int) -> AsyncIterator[SqliteStore | None]:
    """Open a store on the disk, whose power is cut after so many steps; None = that was while it was opened."""
    disk.cut_after(steps)
    store = SqliteStore(path, vfs="power")
    try:
        await store.__aenter__()
    except (StoreError, apsw.Error):
        assert disk.off
        yield None
    else:
        try:
            yield store
        finally:
            await store.__aexit__(None, None, None)


def is_power(error: BaseException) -> bool:
    """Return whether an error is what a store says whose disk is gone."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_power, error.exceptions))
    return isinstance(error, StoreError)


def test_the_disk_forgets(tmp_path: Path) -> None:
    """The disk is a judge: what is committed without being synced is lost on it, in some of twenty power cuts."""
    lost = 0
    disk = Disk("forgetful", random.Random(1))
    for number in range(20):
        path = os.fspath(tmp_path / f"{number}.db")
        for synchronous in ("FULL", "NORMAL"):
            connection = apsw.Connection(path, vfs="forgetful")
            connection.execute("PRAGMA journal_mode = wal").fetchall()
            connection.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER)")
            connection.pragma("synchronous", synchronous)
            for value in range(10):
                connection.execute("INSERT INTO number VALUES (?)", (value,))
            disk.cut()
            with contextlib.suppress(apsw.Error):
                connection.close(force=True)
            disk.restore()
            reader = apsw.Connection(path)
            found = reader.execute("SELECT count(*) FROM number").get
            reader.close()
            if synchronous == "FULL":
                assert 10 == found
        lost += 20 - found

    assert lost > 0


@pytest.mark.timeout(3600)
async def test_power_cuts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After every cut the store opens, and everything that it acknowledged is there."""
    seed = int(os.environ.get("WXRC_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    disk = Disk("power", chance)
    kept = opening = 0
    promises, path = Promises(), tmp_path
    for number in range(CUTS // 2):
        if number % ROUNDS == 0:
            kept += len(promises.entries)
            promises, path = Promises(), tmp_path / f"{number}" / "events.db"
            path.parent.mkdir()
        steps = int(2 ** chance.uniform(0, 13))
        async with powered(path, disk, steps) as store:
            if store is None:
                opening += 1
            else:
                with pytest.raises((StoreError, BaseExceptionGroup)) as raised:
                    await load(store, promises, chance)

                assert is_power(raised.value)
                assert disk.off, (seed, number, raised.value)
        disk.restore()
        try:
            async with SqliteStore(path) as after:
                await promises.check(after)
        except BaseException as error:
            error.add_note(f"seed {seed}, cut {number} after {steps} steps")
            raise
    kept += len(promises.entries)
    with capsys.disabled():
        print(
            f"\n{CUTS // 2} power cuts, {opening} of them while opening; {kept} acknowledged entries, lost 0 ", end=""
        )
