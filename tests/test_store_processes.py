"""The SQLite store and processes: killed under load, several on one file, news from one to another."""

import random
from pathlib import Path

import anyio
import pytest

from tests.store_worker import WRITERS, acknowledged, check_acknowledged, follow, opened, worker
from wxrc_core.log import Entry, Recorded
from wxrc_core.testing.store_contract import LIMIT, Store, attempted, whole_log

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_killed_at_any_moment(tmp_path: Path, anyio_backend_name: str) -> None:
    """Killed with -9 under load, ten times over, a process leaves every append that it acknowledged, whole and gapless."""
    path, acks = tmp_path / "events.db", []
    for _ in range(10):
        async with worker(path, "w", 100_000, anyio_backend_name) as process:
            acks += await acknowledged(process, kill_after=random.randrange(1, 500))
            assert -9 == await process.wait()
        async with opened(str(path)) as store:
            log = await whole_log(store)
        check_acknowledged(log, acks)


async def test_the_others_go_on_when_one_is_killed(tmp_path: Path, anyio_backend_name: str) -> None:
    """A process that appends and follows on the same file notices nothing of another one's death."""
    path, acks = tmp_path / "events.db", []
    own: list[int] = []
    seen: list[Recorded] = []

    async def append_too(store: Store) -> None:
        while True:
            (outcome,) = await store.append([Entry(f"own/{len(own)}", 0, [attempted(1), attempted(2)])])
            own.append(outcome.position)

    async with opened(str(path)) as store:
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

    async with opened(str(path)) as store:
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
    async with opened(str(path)) as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.changed, 0)
                tasks.start_soon(store.changed, 1)
                async with worker(path, "w", 1, anyio_backend_name) as process:
                    await acknowledged(process)
        found = await store.at(2)

    assert attempted(2) == found.event
