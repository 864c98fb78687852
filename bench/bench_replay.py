"""How fast a gateway comes up: a log in SQLite is read, decoded and folded into the world, for three sizes of log.

The log has whole lives of messages (queued, attempted, sent). Beside it, in the same run: the same rows read as they are, without decoding.

    python bench/bench_replay.py [--events N] [--passes N] [--dir DIR]
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import anyio
import apsw

from wxrc_core import bot, message
from wxrc_core.log import Entry
from wxrc_core.world import World
from wxrc_store.sqlite import SqliteStore

PAGE = 1_000


def life(number: int) -> Entry:
    """Return the whole life of a message."""
    at = 1_795_431_600_000 + number
    return Entry(
        f"message/crm/20261124/{number:020}",
        0,
        [
            message.MessageQueued(
                at=at,
                chid="crm",
                botcode="zhao",
                txcode=f"{number:020}",
                interface="roomSendText",
                digest=f"{number:064x}",
                room_topic=f"客服{number % 40}群",
                text=f"工单 #{number} 已处理 ✅",
            ),
            message.MessageAttempted(at=at + 5, attempt=1, room_id=f"{number % 40}@chatroom"),
            message.MessageSent(at=at + 9, attempt=1, receipt=f"{number:019}", answered=True),
        ],
    )


async def fill(path: Path, events: int) -> None:
    """Write a log of so many events."""
    async with SqliteStore(path) as store:
        await store.append([Entry("bot/zhao", 0, [bot.BotAdded(at=1, botcode="zhao", puppet="simulator")])])
        for first in range(0, events // 3 + 1, 2_000):
            await store.append([life(number) for number in range(first, first + 2_000)])


async def replay(path: Path, events: int) -> float:
    """Come up on the first so many events; return events a second."""
    async with SqliteStore(path) as store:
        world = World()
        begun = time.perf_counter()
        while world.position < events:
            world.replay(await store.read_all(world.position, min(PAGE, events - world.position)))
        return events / (time.perf_counter() - begun)


def rows(path: Path, events: int) -> float:
    """Read the same rows without decoding; return rows a second."""
    connection = apsw.Connection(str(path))
    begun = time.perf_counter()
    for _ in connection.execute("SELECT * FROM event ORDER BY position LIMIT ?", (events,)):
        pass
    return events / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--dir", default=None)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="wxrc-bench-") as folder:
        path = Path(folder) / "wxrc.db"
        anyio.run(fill, path, arguments.events)
        for size in sorted({1_000, 100_000, arguments.events}):
            bare, whole = [], []
            for _ in range(arguments.passes):
                bare.append(rows(path, size))
                whole.append(anyio.run(replay, path, size))
            ratio = statistics.median(ours / theirs for ours, theirs in zip(whole, bare, strict=True))
            print(
                f"replay of {size:>9,} events   median {statistics.median(whole):>9,.0f}/s"
                f"   rows alone {statistics.median(bare):>9,.0f}/s   ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
