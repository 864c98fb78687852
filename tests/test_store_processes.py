"""The SQLite store and processes: killed under load, several on one file, news from one to another.

Run as a program, this file is the other process: it appends and says on its standard output what was acknowledged.
"""

import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from wxrc_core.log import Appended, Conflict, Entry, Recorded
from wxrc_core.testing.store_contract import LIMIT, attempted, check_log, whole_log
from wxrc_store.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WRITERS = 16


# -- the other process ------------------------------------------------------------------------------------------------------------


async def append(store: SqliteStore, stream: str) -> None:
    """Append two events to a stream, whoever else does, and say where they are."""
    version = len(await store.read(stream))
    while True:
        (outcome,) = await store.append([Entry(stream, version, [attempted(version + 1), attempted(version + 2)])])
        match outcome:
            case Appended(position):
                os.write(1, f"{position} {stream} {version + 1}\n".encode())
                return
            case Conflict(actual):
                version = actual


async def work(path: str, name: str, rounds: str) -> None:
    """Append from many tasks at once, each to a stream of its own and to one that all processes share."""

    async def writer(number: int) -> None:
        for _ in range(int(rounds)):
            await append(store, f"{name}/{number}")
            if number == 0:
                await append(store, "shared")

    async with SqliteStore(path) as store, anyio.create_task_group() as tasks:
        for number in range(WRITERS):
            tasks.start_soon(writer, number)


# -- the tests --------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def worker(path: Path, name: str, rounds: int, backend: str) -> AsyncIterator[Process]:
    """Start the other process."""
    command = [sys.executable, __file__, backend, os.fspath(path), name, str(rounds)]
    async with await anyio.open_process(command, stderr=None) as process:
        yield process


async def acknowledged(process: Process, kill_after: int | None = None) -> list[tuple[int, str, int]]:
    """Read what the other process says until it ends; kill it once it has said so much."""
    said = ""
    async for text in TextReceiveStream(process.stdout):
        said += text
        if kill_after is not None and said.count("\n") >= kill_after and process.returncode is None:
            await anyio.sleep(random.random() / 50)
            process.kill()
            kill_after = None
    lines = [line.split(" ") for line in said.split("\n")[:-1]]
    return [(int(position), stream, int(version)) for position, stream, version in lines]


def check_acknowledged(log: list[Recorded], acks: list[tuple[int, str, int]]) -> None:
    """Check that the log is whole, that entries are, and that it has all that was acknowledged, where it was said to be."""
    check_log(log)
    for position, stream, version in acks:
        for offset in (0, 1):
            expected = Recorded(position + offset, stream, version + offset, attempted(version + offset))
            assert expected == log[position + offset - 1]
    lengths: dict[str, int] = {}
    for each in log:
        lengths[each.stream] = each.version
    assert {0} == {length % 2 for length in lengths.values()}


async def follow(store: SqliteStore, seen: list[Recorded]) -> None:
    """Read the log as it grows, for ever, going by the hints alone."""
    while True:
        await store.changed(len(seen))
        seen += await store.read_all(len(seen))


async def test_killed_at_any_moment(tmp_path: Path, anyio_backend_name: str) -> None:
    """Killed with -9 under load, ten times over, a process leaves every append that it acknowledged, whole and gapless."""
    path, acks = tmp_path / "events.db", []
    for _ in range(10):
        async with worker(path, "w", 100_000, anyio_backend_name) as process:
            acks += await acknowledged(process, kill_after=random.randrange(1, 500))
            assert -9 == await process.wait()
        async with SqliteStore(path) as store:
            log = await whole_log(store)
        check_acknowledged(log, acks)


async def test_the_others_go_on_when_one_is_killed(tmp_path: Path, anyio_backend_name: str) -> None:
    """A process that appends and follows on the same file notices nothing of another one's death."""
    path, acks = tmp_path / "events.db", []
    own: list[int] = []
    seen: list[Recorded] = []

    async def append_too(store: SqliteStore) -> None:
        while True:
            (outcome,) = await store.append([Entry(f"own/{len(own)}", 0, [attempted(1), attempted(2)])])
            own.append(outcome.position)

    async with SqliteStore(path) as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, store, seen)
            tasks.start_soon(append_too, store)
            for _ in range(3):
                async with worker(path, "w", 100_000, anyio_backend_name) as process:
                    acks += await acknowledged(process, kill_after=random.randrange(1, 200))
            tasks.cancel_scope.cancel()
        log = await whole_log(store)

    check_acknowledged(log, acks + [(position, f"own/{number}", 1) for number, position in enumerate(own)])
    assert seen == log[: len(seen)]
    assert len(own) > 0


async def test_processes_append_at_once(tmp_path: Path, anyio_backend_name: str) -> None:
    """Three processes append to one file and to one stream; a fourth sees all of it in order, told by nothing but the file."""
    path, rounds = tmp_path / "events.db", 10
    acks: list[tuple[int, str, int]] = []
    seen: list[Recorded] = []

    async def run(name: str) -> None:
        async with worker(path, name, rounds, anyio_backend_name) as process:
            acks.extend(await acknowledged(process))
            assert 0 == await process.wait()

    async with SqliteStore(path) as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, store, seen)
                async with anyio.create_task_group() as others:
                    for name in ("a", "b", "c"):
                        others.start_soon(run, name)
                while len(seen) < 2 * len(acks):
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        log = await whole_log(store)

    total = 3 * rounds * (WRITERS + 1)
    check_acknowledged(log, acks)
    assert total == len(acks)
    assert 2 * total == len(log)
    assert log == seen


async def test_news_from_another_process(tmp_path: Path, anyio_backend_name: str) -> None:
    """Who waits for news is woken by an append of another process."""
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.changed, 0)
                tasks.start_soon(store.changed, 1)
                async with worker(path, "w", 1, anyio_backend_name) as process:
                    await acknowledged(process)
        found = await store.at(2)

    assert attempted(2) == found.event


if __name__ == "__main__":
    anyio.run(work, *sys.argv[2:], backend=sys.argv[1])
