"""How fast a gateway comes up on a log: with a snapshot and a tail after it, and by folding the whole log; on each engine.

The log has whole lives of messages (queued, attempted, sent), and 1,000 messages that are still queued. Beside it, in the same run: the
same rows of SQLite read as they are, without decoding.

    python bench/bench_replay.py [--engine NAME] [--events N] [--tail N] [--passes N] [--dir DIR]
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw

from bench.engines import ENGINES, engine
from wxrc_core import bot, message, snapshot
from wxrc_core.log import Entry
from wxrc_core.world import World
from wxrc_service.stores import DurableStore

PAGE = 1_000
WAITING = 1_000
LOG = "many"
MONO = 1_000_000

Opened = Callable[[str], DurableStore]


def queued(number: int) -> message.MessageQueued:
    """Return the first event of a message."""
    return message.MessageQueued(
        at=1_795_431_600_000 + number,
        chid="crm",
        botcode="zhao",
        txcode=f"{number:020}",
        interface="roomSendText",
        digest=f"{number:064x}",
        room_topic=f"客服{number % 40}群",
        text=f"工单 #{number} 已处理 ✅",
    )


def life(number: int) -> Entry:
    """Return the whole life of a message."""
    first = queued(number)
    return Entry(
        f"message/crm/20261124/{number:020}",
        0,
        [
            first,
            message.MessageAttempted(at=first.at + 5, attempt=1, room_id=f"{number % 40}@chatroom"),
            message.MessageSent(at=first.at + 9, attempt=1, receipt=f"{number:019}", answered=True),
        ],
    )


async def fill(opened: Opened, events: int, tail: int) -> None:
    """Write a log of so many events, with a snapshot before the last of them."""
    async with opened(LOG) as store:
        await store.append([Entry("bot/zhao", 0, [bot.BotAdded(at=1, botcode="zhao", puppet="simulator")])])
        waiting = range(10**9, 10**9 + WAITING)
        await store.append([Entry(f"message/crm/20261123/{number:020}", 0, [queued(number)]) for number in waiting])
        lives = (events - WAITING) // 3
        for first in range(0, lives, 2_000):
            await store.append([life(number) for number in range(first, min(first + 2_000, lives))])
        world = World()
        await fold(store, world, events - tail)
        await store.save(world.position, snapshot.SCHEMA, snapshot.encode(world))


async def fold(store: DurableStore, world: World, to: int) -> None:
    """Fold the log up to a position, or its end."""
    while world.position < to and (page := await store.read_all(world.position, min(PAGE, to - world.position))):
        for recorded in page:
            world.fold(recorded, MONO)


async def replay(opened: Opened, events: int) -> float:
    """Come up on the first so many events, without a snapshot; return seconds."""
    begun = time.perf_counter()
    async with opened(LOG) as store:
        await fold(store, World(), events)
        return time.perf_counter() - begun


async def start(opened: Opened) -> tuple[float, int, int]:
    """Come up with the snapshot and what follows it; return seconds, the snapshot's size and the events after it."""
    begun = time.perf_counter()
    async with opened(LOG) as store:
        found = await store.newest([snapshot.SCHEMA])
        assert found is not None
        position, _, blob = found
        world = snapshot.decode(blob, MONO)
        await fold(store, world, 10**12)
        return time.perf_counter() - begun, len(blob), world.position - position


def rows(path: Path, events: int) -> float:
    """Read the same rows without decoding; return seconds."""
    connection = apsw.Connection(str(path))
    begun = time.perf_counter()
    for _ in connection.execute("SELECT * FROM event ORDER BY position LIMIT ?", (events,)):
        pass
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, help="only this one")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--tail", type=int, default=50_000, help="how many events follow the snapshot")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--dir", default=None)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    for name in [arguments.engine] if arguments.engine else ENGINES:
        print(f"-- {name}", flush=True)
        with (
            tempfile.TemporaryDirectory(dir=arguments.dir, prefix="wxrc-bench-") as folder,
            engine(name, Path(folder)) as opened,
        ):
            measure(opened, Path(folder) / f"{LOG}.db", arguments)


def measure(opened: Opened, path: Path, arguments: argparse.Namespace) -> None:
    """Measure one engine and print."""
    anyio.run(fill, opened, arguments.events, arguments.tail)
    starts = [anyio.run(start, opened) for _ in range(arguments.passes)]
    took, size, tail = statistics.median(each[0] for each in starts), starts[0][1], starts[0][2]
    print(
        f"start with {arguments.events:,} events: {took:.2f} s (snapshot of {size:,} bytes, {tail:,} events after it)"
    )
    for number in sorted({1_000, 100_000, arguments.events}):
        whole = statistics.median(anyio.run(replay, opened, number) for _ in range(arguments.passes))
        line = f"replay of {number:>9,} events   {number / whole:>9,.0f}/s"
        if path.exists():
            bare = statistics.median(rows(path, number) for _ in range(arguments.passes))
            line += f"   rows alone {number / bare:>9,.0f}/s"
        print(line)


if __name__ == "__main__":
    main()
