"""The SQLite store knows how far its log had come: one that went back while nobody looked is refused at the start."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wxrc_core.log import Entry
from wxrc_core.testing.store_contract import attempted, queued, whole_log
from wxrc_store import StoreError
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

KEY = bytes(32)

KILLED = """
import os, signal, sys
import anyio
from wxrc_core.log import Entry
from wxrc_core.testing.store_contract import queued
from wxrc_store.sqlite import SqliteStore

async def main():
    async with SqliteStore(sys.argv[1]) as store:
        for number in range(3):
            await store.append([Entry(f"s{number}", 0, [queued()])])
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of a store."""
    return tmp_path / "events.db"


async def fill(path: Path, **how: bytes) -> None:
    """Append two events, one after the other was copied to `older`."""
    async with SqliteStore(path, **how) as store:  # type: ignore[arg-type]
        await store.append([Entry("s", 0, [queued()])])
    shutil.copy(path, path.with_name("older"))
    async with SqliteStore(path, **how) as store:  # type: ignore[arg-type]
        await store.append([Entry("s", 1, [attempted(1)])])


async def opens(path: Path, **how: bytes) -> int:
    """Open the store; return how many events it has."""
    async with SqliteStore(path, **how) as store:  # type: ignore[arg-type]
        return len(await whole_log(store))


async def test_an_older_copy_is_refused(path: Path) -> None:
    """An older copy in the log's place is refused with both positions; it is taken once the operator has said so, and so is the newer."""
    await fill(path)
    newer = path.with_name("newer")
    shutil.copy(path, newer)
    shutil.copy(path.with_name("older"), path)
    with pytest.raises(
        StoreError, match=r"went back: it ends at position 1 and had reached 2.*remove events\.db\.head"
    ):
        await opens(path)
    shutil.copy(newer, path)
    whole = await opens(path)
    shutil.copy(path.with_name("older"), path)
    path.with_name("events.db.head").unlink()

    assert 2 == whole
    assert 1 == await opens(path)


@pytest.mark.slow
async def test_a_write_ahead_log_that_went_with_a_crash(path: Path) -> None:
    """Killed, and its write-ahead log removed before the next start: what was acknowledged is missing, and that is said."""
    subprocess.run([sys.executable, "-c", KILLED, os.fspath(path)], check=False)
    kept = path.with_name("kept-wal")
    path.with_name("events.db-wal").rename(kept)
    with pytest.raises(StoreError, match=r"went back|missing or empty"):
        await opens(path)
    path.with_name("events.db-shm").unlink(missing_ok=True)
    kept.rename(path.with_name("events.db-wal"))

    assert 3 == await opens(path)


async def test_an_empty_log_with_a_key_from_elsewhere(path: Path) -> None:
    """Where the key is given and no `vault.key` tells of an earlier log, an empty file in its place is refused all the same."""
    await fill(path, vault_key=KEY)
    path.unlink()
    with pytest.raises(StoreError, match="had reached 2"):
        await opens(path, vault_key=KEY)


async def test_a_new_beginning(path: Path) -> None:
    """Where file and key were moved away a new log begins, and grows from nothing."""
    await fill(path)
    path.unlink()
    path.with_name("vault.key").unlink()
    begun = await opens(path)

    assert 0 == begun
    assert 0 == await opens(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 20])
async def test_an_unreadable_note_stops_nobody(path: Path, content: bytes) -> None:
    """What the file cannot tell is not held against the log."""
    await fill(path)
    path.with_name("events.db.head").write_bytes(content)

    assert 2 == await opens(path)
