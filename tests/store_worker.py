"""A process that appends to a store which others use too, and what a test needs to judge the log afterwards.

Run as a program (`python -m tests.store_worker BACKEND WHERE NAME ROUNDS`) it appends, and says on its standard output what was
acknowledged.
"""

import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from wxrc_core.log import Appended, Conflict, Entry, Recorded
from wxrc_core.testing.store_contract import Store, attempted, check_log
from wxrc_service.stores import DurableStore, open_store
from wxrc_store import StoreError

WRITERS = 16
KEY = b"k" * 32


def opened(where: str) -> DurableStore:
    """Return a handle on the log in a file, or at a URL."""
    return open_store(where if "://" in where else Path(where), KEY)


# -- the other process ------------------------------------------------------------------------------------------------------------


async def append(store: Store, stream: str) -> None:
    """Append two events to a stream, whoever else does, and say where they are. What became of it may stay unknown."""
    try:
        version = len(await store.read(stream))
        while True:
            (outcome,) = await store.append([Entry(stream, version, [attempted(version + 1), attempted(version + 2)])])
            match outcome:
                case Appended(position):
                    os.write(1, f"{position} {stream} {version + 1}\n".encode())
                    return
                case Conflict(actual):
                    version = actual
    except StoreError:
        await anyio.sleep(0.02)


async def work(where: str, name: str, rounds: str) -> None:
    """Append from many tasks at once, each to a stream of its own and to one that all processes share."""

    async def writer(number: int) -> None:
        for _ in range(int(rounds)):
            await append(store, f"{name}/{number}")
            if number == 0:
                await append(store, "shared")

    while True:
        try:
            async with opened(where) as store, anyio.create_task_group() as tasks:
                for number in range(WRITERS):
                    tasks.start_soon(writer, number)
            return
        except StoreError:  # it was away when it was to be opened
            await anyio.sleep(0.05)


# -- its parent -----------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def worker(where: str | Path, name: str, rounds: int, backend: str) -> AsyncIterator[Process]:
    """Start the other process."""
    command = [sys.executable, "-m", "tests.store_worker", backend, str(where), name, str(rounds)]
    async with await anyio.open_process(command, stderr=None, cwd=Path(__file__).parent.parent) as process:
        yield process


async def acknowledged(process: Process, kill_after: int | None = None) -> list[tuple[int, str, int]]:
    """Read what the other process says until it ends; kill it once it has said so much."""
    assert process.stdout is not None
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


async def follow(store: Store, seen: list[Recorded]) -> None:
    """Read the log as it grows, for ever, going by the hints alone; a store that is away is waited for."""
    while True:
        try:
            await store.changed(len(seen))
            seen += await store.read_all(len(seen))
        except StoreError:
            await anyio.sleep(0.02)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[2:], backend=sys.argv[1])
