"""The SQLite store: the contract, its file, its refusals, and what happens when the disk or another process is in the way."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw
import pytest
from anyio.lowlevel import checkpoint

from wxrc_core.log import Appended, Entry, Member
from wxrc_core.testing.store_contract import OpenStore, StoreContract, attempted, check_log, queued, whole_log
from wxrc_store import MemoryStore, NewerEvents, StoreError
from wxrc_store._rows import EncodedEntry
from wxrc_store._sqlite_file import SqliteFile
from wxrc_store._sqlite_log import SqliteLog
from wxrc_store._sqlite_works import Append
from wxrc_store.sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    """The contract of every store."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        """Keep each log in a file of its own, in a folder with its vault's key."""

        def opened(name: str) -> SqliteStore:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            return SqliteStore(folder / "events.db", lifetime=0.3)

        return opened

    async def lapse(self, store: SqliteStore, member: Member) -> None:
        """Close the file with the lock, as the system does with those of a killed process."""
        store._locks.pop(member.id).free()


pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of a store."""
    return tmp_path / "events.db"


def bare_log(path: Path) -> SqliteLog:
    """Return the blocking half of a store, not opened yet."""
    return SqliteLog(SqliteFile(path, None, 1.0, 64, None))


# -- closed ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_closed_store_says_so(kind: str, path: Path) -> None:
    """Whoever uses a store after it was closed gets a StoreError; who waited for news is woken with one."""
    store = MemoryStore() if kind == "memory" else SqliteStore(path)
    woken = []

    async def wait() -> None:
        with pytest.raises(StoreError, match="closed"):
            await store.changed(0)
        woken.append(True)

    async with anyio.create_task_group() as tasks, store:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()

    assert [True] == woken
    for use in (
        store.append([Entry("s", 0, [queued()])]),
        store.read("s"),
        store.read_all(),
        store.at(1),
        store.changed(0),
    ):
        with pytest.raises(StoreError, match="closed"):
            await use


async def test_closing_commits_what_waits(path: Path) -> None:
    """Appends that wait when the store is closed are still committed and answered."""
    outcomes, begun = [], []

    async def append(store: SqliteStore, number: int) -> None:
        begun.append(number)
        outcomes.extend(await store.append([Entry(f"s{number}", 0, [queued()])]))

    async with anyio.create_task_group() as tasks, SqliteStore(path) as store:
        for number in range(50):
            tasks.start_soon(append, store, number)
        while len(begun) < 50:
            await checkpoint()
    async with SqliteStore(path) as store:
        log = await whole_log(store)

    assert 50 == len(outcomes) == len(log)


# -- the file -------------------------------------------------------------------------------------------------------------------


async def test_the_file(path: Path) -> None:
    """The file is in WAL mode, carries our numbers, and is its owner's alone, side files too."""
    async with SqliteStore(path) as store:
        await store.append([Entry("s", 0, [queued()])])
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    with apsw.Connection(os.fspath(path)) as reader:
        numbers = reader.pragma("journal_mode"), reader.pragma("application_id"), reader.pragma("user_version")
    reader.close()

    assert dict.fromkeys(["events.db", "events.db-wal", "events.db-shm", "events.db.head", "vault.key"], 0o600) == modes
    assert ("wal", 0x57585243, 2) == numbers
    assert not path.with_name("events.db-wal").exists()  # what was in it is in the file


def test_every_commit_is_synchronous(path: Path) -> None:
    """The writer asks for FULL: NORMAL can lose acknowledged commits when power fails."""
    log = bare_log(path)
    log.open()
    synchronous = log.connected().pragma("synchronous")
    log.close()

    assert 2 == synchronous


def other_program(path: Path) -> None:
    """Make a database that is not ours."""
    connection = apsw.Connection(os.fspath(path))
    connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()


def other_format(path: Path) -> None:
    """Make a store of a later release."""
    connection = apsw.Connection(os.fspath(path))
    connection.execute(f"PRAGMA application_id = {0x57585243}; PRAGMA user_version = 3")
    connection.close()


def no_database(path: Path) -> None:
    """Make a text file."""
    path.write_text("Dear diary, " * 1000)


def a_folder(path: Path) -> None:
    """Make a folder."""
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (other_program, "a database of another program; name another file"),
        (other_format, "has file format 3; this release reads up to 2. Use a newer release"),
        (no_database, "is not an SQLite database. Name another file"),
        (a_folder, "cannot be opened"),
    ],
)
async def test_a_file_that_is_not_ours_is_refused_untouched(
    path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    """Another program's file, and one of a newer format, is refused in a sentence, and stays as it was."""
    make(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(StoreError, match=sentence):
        await SqliteStore(path).__aenter__()

    assert before == (path.read_bytes() if path.is_file() else None)
    assert [path] == list(path.parent.iterdir())


async def test_a_folder_that_is_not_there(path: Path) -> None:
    """A store in a missing folder is refused in a sentence that names it."""
    with pytest.raises(StoreError, match=r"missing/events.db cannot be made: No such file"):
        await SqliteStore(path.parent / "missing" / "events.db").__aenter__()


# -- events of a newer release --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "schema"), [("message.folded", 1), ("message.queued", 99)])
async def test_events_of_a_newer_release_are_refused_at_opening(path: Path, kind: str, schema: int) -> None:
    """An unknown type, or a known one in a newer version, keeps the store shut and names the release that wrote it."""
    write_foreign_event(path, kind, schema, release="9.8.7")

    with pytest.raises(NewerEvents, match=rf"{kind} in version {schema}. Use release 9.8.7 or a later one"):
        await SqliteStore(path).__aenter__()


async def test_events_of_a_newer_release_are_refused_while_open(path: Path) -> None:
    """A newer release that appends to an open log is noticed when its events are read, and what came before is not lost."""
    async with SqliteStore(path) as store:
        await store.append([Entry("s", 0, [queued()])])
        write_foreign_event(path, "message.folded", 1, release="9.8.7")
        for use in (store.read_all(1), store.read("newer"), store.at(2)):
            with pytest.raises(NewerEvents, match=r"message\.folded in version 1"):
                await use

        assert queued() == (await store.at(1)).event
        assert [Appended(3)] == await store.append([Entry("s", 1, [attempted(1)])])


async def test_a_damaged_event_is_an_error(path: Path) -> None:
    """Bytes that are no event are an error that says where, and does not show them."""
    write_foreign_event(path, "message.queued", 1, release="0.1.0", data=b'{"text": 5}')
    async with SqliteStore(path) as store:
        with pytest.raises(StoreError, match="an event between positions 1 and 1 cannot be read"):
            await store.read_all()


def write_foreign_event(path: Path, kind: str, schema: int, release: str, data: bytes = b"{}") -> None:
    """Append an event past the codec, as another release would."""
    log = bare_log(path)
    log.open()
    connection = log.connected()
    head = connection.execute("SELECT coalesce(max(position), 0) FROM event").get
    with connection:
        connection.execute("INSERT INTO event VALUES (?, 'newer', 1, ?, ?, ?)", (head + 1, kind, schema, data))
        connection.execute("INSERT OR REPLACE INTO event_type VALUES (?, ?, ?)", (kind, schema, release))
    log.close()


# -- another process holds it; the disk is full -----------------------------------------------------------------------------------


async def test_locked_for_too_long(path: Path) -> None:
    """While another process holds the write lock appends fail in a sentence, reads go on, and later appends work."""
    async with SqliteStore(path, busy_timeout=0.05) as store:
        await store.append([Entry("s", 0, [queued()])])
        other = apsw.Connection(os.fspath(path))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds it for too long"):
            await store.append([Entry("s", 1, [attempted(1)])])
        read = await store.read("s")
        other.execute("ROLLBACK")
        other.close()
        after = await store.append([Entry("s", 1, [attempted(1)])])

    assert 1 == len(read)
    assert [Appended(2)] == after


def test_a_full_disk_is_named(path: Path) -> None:
    """SQLite's own word for a full disk becomes a sentence, nothing of the group is there, and the next group goes on."""
    log = bare_log(path)
    log.open()
    small, big = ([("message.queued", 1, b"x" * size)] for size in (10, 200_000))
    reader = (
        log.file.reader()
    )  # as a store has; it keeps the write-ahead log in place when the writer's connection is dropped
    log.commit([Append([EncodedEntry("a", 0, small)])])
    log.connected().pragma("max_page_count", 20)
    with pytest.raises(StoreError, match="the disk is full"):
        log.commit([Append([EncodedEntry("b", 0, small)]), Append([EncodedEntry("c", 0, big)])])
    # On a new connection, which knows no such limit:
    results, head = log.commit([Append([EncodedEntry("d", 0, small)])])
    log.close()
    reader.close()

    assert ([[Appended(2)]], 2) == (results, head)


DISK = """
    import resource, signal, sys
    import anyio
    from wxrc_store import StoreError
    from wxrc_store.sqlite import SqliteStore
    from wxrc_core.log import Appended, Entry, Member
    from wxrc_core.testing.store_contract import check_log, queued, whole_log

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def fill(store, writer, acknowledged, errors):
        number = 0
        while not errors:
            stream = f"{writer}/{number}"
            try:
                (outcome,) = await store.append([Entry(stream, 0, [queued("x" * 2000)])])
            except StoreError as error:
                errors.append(str(error))
            else:
                assert isinstance(outcome, Appended)
                acknowledged[stream] = outcome.position
            number += 1

    async def main():
        acknowledged, errors = {}, []
        async with SqliteStore(sys.argv[1]) as store:
            limit(400_000)
            async with anyio.create_task_group() as tasks:
                for writer in range(8):
                    tasks.start_soon(fill, store, writer, acknowledged, errors)
            try:
                await store.vault.put("name", b"s" * 500_000)
            except StoreError as error:
                errors.append(str(error))
            full = await whole_log(store)
            limit(resource.RLIM_INFINITY)
            (outcome,) = await store.append([Entry("after", 0, [queued()])])
            await store.vault.put("name", b"secret")
            log = await whole_log(store)
        async with SqliteStore(sys.argv[1]) as store:
            assert log == await whole_log(store)
            assert b"secret" == await store.vault.get("name")
        check_log(log)
        assert len(acknowledged) > 20
        assert full == log[:-1] and outcome == Appended(len(log))
        for stream, position in acknowledged.items():
            assert log[position - 1].stream == stream
        assert all("the disk" in error for error in errors), errors

    anyio.run(main, backend=sys.argv[2])
"""


async def test_disk_full(path: Path, anyio_backend_name: str) -> None:
    """Under a file size limit appends fail in a sentence, reads go on, all that was acknowledged stays, and it recovers alone."""
    done = await anyio.run_process(
        [sys.executable, "-c", textwrap.dedent(DISK), os.fspath(path), anyio_backend_name],
        stderr=subprocess.PIPE,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr.decode())


async def test_a_vanished_file_is_not_made_again(path: Path) -> None:
    """When the file is taken away under a running store, no second log begins in its place."""
    async with SqliteStore(path, busy_timeout=0.05) as store:
        await store.append([Entry("s", 0, [queued()])])
        other = apsw.Connection(os.fspath(path))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            await store.append([Entry("s", 1, [queued()])])  # the connection is dropped
        other.close()
        path.rename(path.with_name("away.db"))
        with pytest.raises(StoreError, match="was removed while it was in use"):
            await store.append([Entry("s", 0, [queued()])])

    assert not path.exists()


async def test_opened_by_many_at_the_same_moment(path: Path) -> None:
    """Stores that make the same file at once agree on one file, one key and one log."""
    outcomes = []

    async def use(number: int) -> None:
        async with SqliteStore(path) as store:
            outcomes.extend(await store.append([Entry(f"s{number}", 0, [queued()])]))
            await store.vault.put(f"name{number}", b"secret")

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(use, number)
    async with SqliteStore(path) as store:
        log = await whole_log(store)
        secrets = [await store.vault.get(f"name{number}") for number in range(8)]

    check_log(log)
    assert 8 == len(log) == len(outcomes)
    assert [b"secret"] * 8 == secrets
