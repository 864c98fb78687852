"""The SQLite store's file: taken away, replaced or emptied while it is in use; an older format; what an append costs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw
import pytest

from wxrc_core.codec import encode
from wxrc_core.log import Appended, Entry, Recorded
from wxrc_core.testing.store_contract import attempted, queued, whole_log
from wxrc_store import StoreError
from wxrc_store._sqlite_works import VERSIONS
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of a store."""
    return tmp_path / "events.db"


# -- taken away -------------------------------------------------------------------------------------------------------------------


def wal(path: Path) -> Path:
    """Name the write-ahead log of a store."""
    return path.with_name(f"{path.name}-wal")


def remove_file(path: Path) -> None:
    """Remove the database."""
    path.unlink()


def remove_wal(path: Path) -> None:
    """Remove the write-ahead log."""
    wal(path).unlink()


def replace_file(path: Path) -> None:
    """Put a copy in the place of the database, as restoring a backup does."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def replace_wal(path: Path) -> None:
    """Put an empty file in the place of the write-ahead log."""
    path.with_name("empty").touch()
    path.with_name("empty").replace(wal(path))


def empty_file(path: Path) -> None:
    """Empty the database."""
    os.truncate(path, 0)


def empty_wal(path: Path) -> None:
    """Empty the write-ahead log."""
    os.truncate(wal(path), 0)


def cut_file(path: Path) -> None:
    """Cut the database short, in the middle."""
    os.truncate(path, path.stat().st_size // 2)


def remove_folder(path: Path) -> None:
    """Remove the folder with everything in it."""
    shutil.rmtree(path.parent)


TAKEN = pytest.mark.parametrize(
    ("take", "sentence"),
    [
        (remove_file, "was removed while it was in use"),
        (remove_wal, "was removed while it was in use"),
        (replace_file, "was replaced while it was in use"),
        (replace_wal, "was replaced while it was in use"),
        (empty_file, "was emptied while it was in use"),
        (empty_wal, "was emptied while it was in use"),
        (cut_file, "was cut short while it was in use"),
        (remove_folder, "was removed while it was in use"),
    ],
)


@TAKEN
async def test_an_append_notices(path: Path, take: Callable[[Path], None], sentence: str) -> None:
    """The next append after it fails, and so does all that follows: nothing is acknowledged that nobody could read again."""
    async with SqliteStore(path) as store:
        await store.append([Entry("s", 0, [queued()])])
        take(path)
        for use in (
            store.append([Entry("s", 1, [attempted(1)])]),
            store.append([Entry("t", 0, [queued()])]),
            store.read("s"),
            store.vault.put("name", b"secret"),
            store.probe(),
            store.changed(1),
        ):
            with pytest.raises(StoreError, match=sentence):
                await use


@TAKEN
@pytest.mark.slow
async def test_it_is_noticed_while_nothing_is_written(path: Path, take: Callable[[Path], None], sentence: str) -> None:
    """Who waits for news is told within seconds, and who reads."""
    async with SqliteStore(path) as store:
        await store.append([Entry("s", 0, [queued()])])
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:

                async def follow() -> None:
                    with pytest.raises(StoreError, match=sentence):
                        await store.changed(1)

                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                take(path)
        with pytest.raises(StoreError, match=sentence):
            await store.read_all()


async def test_put_back(path: Path) -> None:
    """Opened again after the files were put back, the store goes on with all that it acknowledged."""
    away = path.with_name("away")
    async with SqliteStore(path) as store:
        await store.append([Entry("s", 0, [queued()])])
        path.rename(away)
        with pytest.raises(StoreError, match="put the files back, and start it again"):
            await store.append([Entry("s", 1, [attempted(1)])])
        away.rename(path)
    async with SqliteStore(path) as store:
        (outcome,) = await store.append([Entry("s", 1, [attempted(1)])])
        log = await whole_log(store)

    assert Appended(2) == outcome
    assert [queued(), attempted(1)] == [each.event for each in log]


async def test_a_checkpoint_is_no_loss(path: Path) -> None:
    """Another program that checkpoints and truncates the write-ahead log, as a backup does, disturbs nothing."""
    async with SqliteStore(path) as store:
        for number in range(30):
            await store.append([Entry(f"s{number}", 0, [queued("x" * 500)])])
            if number % 3 == 0:
                connection = apsw.Connection(os.fspath(path))
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                connection.close()
        await store.changed(0)
        log = await whole_log(store)

    assert 30 == len(log)


# -- an older format --------------------------------------------------------------------------------------------------------------

FORMAT_1 = f"""
PRAGMA journal_mode = wal;
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    stream   TEXT NOT NULL,
    version  INTEGER NOT NULL,
    type     TEXT NOT NULL,
    schema   INTEGER NOT NULL,
    data     BLOB NOT NULL,
    UNIQUE (stream, version)
) STRICT;
CREATE TABLE event_type (
    type    TEXT NOT NULL,
    schema  INTEGER NOT NULL,
    release TEXT NOT NULL,
    PRIMARY KEY (type, schema)
) STRICT, WITHOUT ROWID;
CREATE TABLE vault (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {0x57585243};
PRAGMA user_version = 1;
"""


def make_format_1(path: Path) -> None:
    """Write a store as the first release did."""
    connection = apsw.Connection(os.fspath(path))
    connection.execute(FORMAT_1).fetchall()
    connection.execute("INSERT INTO event VALUES (1, 's', 1, ?, ?, ?)", encode(queued()))
    connection.execute("INSERT INTO event VALUES (2, 's', 2, ?, ?, ?)", encode(attempted(1)))
    connection.execute(
        "INSERT INTO event_type VALUES ('message.queued', 1, '0.1.0'), ('message.attempted', 1, '0.1.0')"
    )
    connection.close()


async def test_a_store_of_the_first_release(path: Path) -> None:
    """It opens, with its events, and has from then on what stores have now; several that open it at once agree."""
    make_format_1(path)

    async def use(number: int) -> None:
        async with SqliteStore(path) as store:
            await store.save(number, "a", b"blob")

    async with anyio.create_task_group() as tasks:
        for number in range(1, 5):
            tasks.start_soon(use, number)
    async with SqliteStore(path, shards=8) as store:
        log = await store.read_all()
        found = await store.newest(["a"])
        leases = await store.acquire(await store.join("one"), [63], 1)
        (outcome,) = await store.append([Entry("s", 2, [attempted(2)], leases[63].fence)])

    assert [Recorded(1, "s", 1, queued()), Recorded(2, "s", 2, attempted(1))] == log
    assert (4, "a", b"blob") == found
    assert 64 == store.shards
    assert Appended(4) == outcome


async def test_the_number_of_shards_is_the_files(path: Path) -> None:
    """It is set when the store is made; who asks for another number later gets the one that it has."""
    async with SqliteStore(path, shards=8) as store:
        first = store.shards
    async with SqliteStore(path) as store:
        assert (8, 8) == (first, store.shards)


async def test_a_damaged_snapshot_is_passed_over(path: Path) -> None:
    """Where the newest snapshot has lost bytes or a chunk, the one before it is found."""
    async with SqliteStore(path) as store:
        for position in (1, 2):
            await store.save(position, "a", bytes([position]) * 2_500_000)
        for damage in ("UPDATE snapshot_chunk SET data = x'00' WHERE", "DELETE FROM snapshot_chunk WHERE"):
            connection = apsw.Connection(os.fspath(path))
            connection.execute(f"{damage} position = 2 AND number = 1")
            connection.close()
            found = await store.newest(["a"])

            assert (1, "a", b"\x01" * 2_500_000) == found


async def test_a_save_that_is_overtaken(path: Path) -> None:
    """A save whose chunks were deleted meanwhile, since a newer snapshot came, ends without making one."""
    async with SqliteStore(path) as store:

        async def overtake() -> None:
            for position in (8, 9):
                await store.save(position, "a", b"newer")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.save, 1, "a", bytes(8_000_000))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(overtake)
        found = await store.newest(["a"])
    connection = apsw.Connection(os.fspath(path))
    snapshots = connection.execute("SELECT position FROM snapshot ORDER BY 1").fetchall()
    connection.close()

    assert (9, "a", b"newer") == found
    assert [(8,), (9,)] == snapshots


async def test_no_chunks_are_left_over(path: Path) -> None:
    """What interrupted saves have written is gone after two whole ones; of those two, all is there."""
    async with SqliteStore(path) as store:
        for position in range(1, 6):
            with anyio.move_on_after(0.004):
                await store.save(position, "a", bytes(5_000_000))
        for position in (6, 7, 8):
            await store.save(position, "a", bytes(1_500_000))
    connection = apsw.Connection(os.fspath(path))
    chunks = connection.execute("SELECT position, number FROM snapshot_chunk ORDER BY 1, 2").get
    connection.close()

    assert [(7, 0), (7, 1), (8, 0), (8, 1)] == chunks


# -- what an append costs ---------------------------------------------------------------------------------------------------------


async def test_an_append_looks_at_one_row_of_its_stream(path: Path) -> None:
    """The version of a stream is found by one step in an index, however long the stream is: counted in steps of SQLite's machine."""
    async with SqliteStore(path) as store:
        for first in range(0, 20_000, 2_000):
            await store.append([Entry("long", first, [attempted(first + n + 1) for n in range(2_000)])])
        await store.append([Entry("short", 0, [queued()])])
    connection = apsw.Connection(os.fspath(path))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {VERSIONS}", ('["long"]',))]
    steps = {stream: count_steps(connection, stream) for stream in ("long", "short")}
    connection.close()

    assert any("USING COVERING INDEX" in line and "(stream=?)" in line for line in plan)
    assert 0 < steps["long"] <= steps["short"] + 5


def count_steps(connection: apsw.Connection, stream: str) -> int:
    """Count the steps of the look-up of a stream's version."""
    steps = []
    connection.set_progress_handler(lambda: bool(steps.append(1)), 1)
    connection.execute(VERSIONS, (f'["{stream}"]',)).fetchall()
    connection.set_progress_handler(None)
    return len(steps)
