"""Figures of the durable stores: `python bench/bench_store.py [--engine NAME] [--events N] [--backend asyncio|trio] [--dir DIR]`.

Durable appends (to the disk; one event each, as an accepted request makes them) with 1, 64 and 256 waiters, and batches of 64 and 256
events from 4 tasks; the rate at which a log is replayed: `read_all` pages, decoded; an append to a stream of 300,000 events beside one to a
new stream; a snapshot of 64 MiB written and read. Medians of several passes; the folder should lie on a real disk.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw

from bench.engines import ENGINES, engine
from wxrc_core.log import Appended, Entry
from wxrc_core.message import MessageAttempted, MessageQueued
from wxrc_service.stores import DurableStore

PASSES = 5
APPENDS = {1: 500, 64: 10_000, 256: 20_000}
BATCHES = {64: 30_000, 256: 60_000}
"""Size of a batch -> how many events are appended in all."""

BATCH_TASKS = 4
PAGE = 5_000
LONG = 300_000
"""How many events the long stream has."""

SNAPSHOT = 64 << 20


def event(number: int) -> MessageQueued:
    """Return an event of a usual size."""
    return MessageQueued(
        at=1_790_000_000_000 + number,
        chid="shop",
        botcode="bot1",
        txcode=f"tx{number:012d}",
        interface="roomSendText",
        digest="0123456789abcdef" * 4,
        room_topic="客服一群",
        text=f"您好，您的订单 {number} 已经发货，预计明天送达。",
    )


def entry(number: int) -> Entry:
    """Return what an accepted request appends."""
    return Entry(f"message/shop/20261124/tx{number:012d}", 0, (event(number),))


async def appends(store: DurableStore, waiters: int, events: int, first: int) -> float:
    """Append one event at a time from so many tasks; return seconds per event."""
    numbers = iter(range(first, first + events))

    async def waiter() -> None:
        for number in numbers:
            (outcome,) = await store.append([entry(number)])
            assert isinstance(outcome, Appended)

    start = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(waiters):
            tasks.start_soon(waiter)
    return (time.perf_counter() - start) / events


async def batches(store: DurableStore, size: int, events: int, first: int) -> float:
    """Append batches from a few tasks; return seconds per event."""
    starts = iter(range(first, first + events, size))

    async def task() -> None:
        for start in starts:
            outcomes = await store.append([entry(number) for number in range(start, min(start + size, first + events))])
            assert all(isinstance(outcome, Appended) for outcome in outcomes)

    start = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(BATCH_TASKS):
            tasks.start_soon(task)
    return (time.perf_counter() - start) / events


async def replay(store: DurableStore, events: int) -> float:
    """Read a log of so many events from its beginning; return seconds per event."""
    position = 0
    start = time.perf_counter()
    while position < events:
        page = await store.read_all(position, min(PAGE, events - position))
        position = page[-1].position
    return (time.perf_counter() - start) / events


async def long_stream(store: DurableStore, appends: int = 300) -> None:
    """Compare one append to a long stream with one to a new stream, in turns."""
    attempted = MessageAttempted(at=1_790_000_000_000, attempt=1, room_id="r@chatroom")
    for first in range(0, LONG, 5_000):
        await store.append([Entry("long", at, [attempted] * 1_000) for at in range(first, first + 5_000, 1_000)])
    times: dict[str, list[float]] = {"long": [], "new": []}
    for number in range(appends):
        for kind, stream, version in (("long", "long", LONG + number), ("new", f"new/{number}", 0)):
            start = time.perf_counter()
            (outcome,) = await store.append([Entry(stream, version, [attempted])])
            times[kind].append(time.perf_counter() - start)
            assert isinstance(outcome, Appended)
    show("append to a new stream", times["new"])
    show(f"append to one of {LONG:,}", times["long"])
    print(
        f"{'':32} {statistics.median(times['long']) / statistics.median(times['new']):8.2f} times as long", flush=True
    )


async def snapshots(store: DurableStore) -> None:
    """Write and read a big snapshot."""
    blob = os.urandom(SNAPSHOT)
    written, read = [], []
    for position in range(1, PASSES + 1):
        start = time.perf_counter()
        await store.save(position, "bench", blob)
        middle = time.perf_counter()
        found = await store.newest(["bench"])
        read.append(time.perf_counter() - middle)
        written.append(middle - start)
        assert found is not None
    print(
        f"snapshot of {SNAPSHOT >> 20} MiB: written in {statistics.median(written):.2f} s, read in {statistics.median(read):.2f} s"
    )


async def main(events: int, opened: Callable[[str], DurableStore]) -> None:
    """Measure one engine and print."""
    async with opened("long") as store:
        await long_stream(store)
        await snapshots(store)
    async with opened("many") as store:
        written = 0
        for waiters, number in APPENDS.items():
            passes = []
            for _ in range(PASSES):
                passes.append(await appends(store, waiters, number, written))
                written += number
            show(f"durable append, {waiters} waiter{'s' * (waiters > 1)}", passes)
        for size, number in BATCHES.items():
            passes = []
            for _ in range(PASSES):
                passes.append(await batches(store, size, number, written))
                written += number
            show(f"durable append, batches of {size}", passes)
        while written < events:
            await store.append([entry(number) for number in range(written, min(written + 2000, events))])
            written += 2000
    for size in sorted({1_000, 100_000, events}):
        passes = []
        for _ in range(PASSES):
            async with opened("many") as store:
                passes.append(await replay(store, size))
        show(f"replay of {size:,} events", passes)


def show(what: str, passes: list[float]) -> None:
    """Print the median of some passes (seconds per event)."""
    median = statistics.median(passes)
    print(f"{what:32} {median * 1e6:8.2f} µs an event  {1 / median:10,.0f} events/s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Figures of the durable stores.")
    parser.add_argument("--events", type=int, default=1_000_000, help="size of the biggest log that is replayed")
    parser.add_argument("--engine", choices=ENGINES, help="only this one")
    parser.add_argument("--backend", default="asyncio", choices=["asyncio", "trio"])
    parser.add_argument("--dir", default=".", help="where to put the log; not a RAM disk")
    arguments = parser.parse_args()
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()},"
        f" {arguments.backend}, {sys.platform}; medians of {PASSES} passes"
    )
    for name in [arguments.engine] if arguments.engine else ENGINES:
        print(f"-- {name}", flush=True)
        with (
            tempfile.TemporaryDirectory(dir=arguments.dir, prefix="wxrc-bench-") as home,
            engine(name, Path(home)) as opened,
        ):
            anyio.run(main, arguments.events, opened, backend=arguments.backend)
