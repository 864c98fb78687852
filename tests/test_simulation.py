"""The production gateway in virtual time: seeds that everything is judged by, what must have happened, replays, shrinking, the
loop itself.
"""

import asyncio
import os
from random import Random

import pytest

from wxrc_simulation.__main__ import failure, summaries
from wxrc_simulation.loop import Deadlock, Livelock, Process, VirtualLoop
from wxrc_simulation.plants import PLANTS, hunt
from wxrc_simulation.run import play, simulate
from wxrc_simulation.schedule import decode, draw, shrink
from wxrc_simulation.sometimes import Coverage

SEEDS = int(os.environ.get("WXRC_SEEDS", "2000"))
START = int(os.environ.get("WXRC_START", "0"))
ALL_PLANTS = bool(os.environ.get("WXRC_PLANTS"))

QUICK_PLANTS = (
    "an outcome is recorded once or never",
    "the wrong attempt is recorded",
    "an unknown claim is forgotten",
    "a failing puppet counts as not sent",
)
"""Plants that few seeds find; `make soak` hunts all."""


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_all_promises_hold_over_many_seeds() -> None:
    """No seed breaks a promise, and over all of them every transition, code, reason and fault has occurred."""
    coverage = Coverage()
    failed = []
    for found in summaries(range(START, START + SEEDS), jobs=2):
        coverage.merge(found.coverage)
        if found.broken:
            failed.append(failure(found))

    assert "" == "\n".join(failed)
    if SEEDS >= 2_000:
        assert [] == coverage.missing()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_planted_faults_are_found() -> None:
    """A fault that is planted into the code that runs is found by some seed."""
    names = None if ALL_PLANTS else QUICK_PLANTS

    missed = [found.name for found in hunt(names, 2_000, jobs=2) if found.seed is None]

    assert [] == missed
    assert len(PLANTS) >= 40


@pytest.mark.parametrize("seed", [3, 17, 29])
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    """Played twice, a seed gives the same log, calls and callbacks, byte for byte (promise 17)."""
    first, second = simulate(seed), simulate(seed)

    assert repr(first.log) == repr(second.log)
    assert repr(first.calls) == repr(second.calls)
    assert repr(first.received) == repr(second.received)
    assert repr(first.handed) == repr(second.handed)


def test_a_schedule_that_was_written_down_replays() -> None:
    """A schedule survives being written as one line, and gives the same run."""
    schedule = draw(5)

    assert schedule == decode(schedule.encode())
    assert repr(play(schedule).log) == repr(play(decode(schedule.encode())).log)
    with pytest.raises(ValueError, match="no schedule"):
        decode("nonsense")


def test_shrinking_leaves_out_what_does_not_matter() -> None:
    """Whatever the run is still broken without is left out."""
    schedule = draw(7)
    wanted = schedule.items[len(schedule.items) // 2]

    smallest = shrink(schedule, lambda smaller: wanted in smaller.items)

    assert (wanted,) == smallest.items
    assert {} == smallest.rates


# -- the loop -------------------------------------------------------------------------------------------------------------------


def test_time_is_virtual() -> None:
    """A day passes at once, in the order of the timers."""
    loop = VirtualLoop(Random(0))
    woke: list[str] = []

    async def sleep(name: str, hours: float) -> None:
        await asyncio.sleep(hours * 3600)
        woke.append(name)

    async def main() -> float:
        await asyncio.gather(sleep("late", 24), sleep("early", 1))
        return loop.time()

    assert 86_400 == loop.run_until_complete(main())
    assert ["early", "late"] == woke
    loop.close()


def test_a_killed_process_does_nothing_more() -> None:
    """After a kill no callback of a process runs, `finally` blocks included; others go on."""
    loop = VirtualLoop(Random(0))
    process = Process("victim")
    did: list[str] = []

    async def victim() -> None:
        try:
            did.append("began")
            await asyncio.sleep(1)
            did.append("went on")
        finally:
            did.append("cleaned up")

    async def main() -> None:
        loop.spawn(victim(), process)
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.sleep(5)
        assert ["began"] == did

    loop.run_until_complete(main())
    loop.forget_tasks()
    loop.close()


def test_a_stopped_process_goes_on_where_it_was() -> None:
    """What fell due while a process was stopped happens when it goes on."""
    loop = VirtualLoop(Random(0))
    process = Process("stopped")
    woke: list[float] = []

    async def sleeper() -> None:
        await asyncio.sleep(1)
        woke.append(loop.time())

    async def main() -> None:
        loop.spawn(sleeper(), process)
        await asyncio.sleep(0.5)
        process.paused = True
        await asyncio.sleep(10)
        loop.go_on(process)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    loop.close()

    assert [10.5] == woke


def test_a_deadlock_and_a_livelock_are_said() -> None:
    """A loop in which nothing can happen any more, or in which time stands still, says so."""
    loop = VirtualLoop(Random(0))
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.close()
    loop = VirtualLoop(Random(0))

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        loop.run_until_complete(spin())
    loop.forget_tasks()
    loop.close()


def test_the_order_between_processes_depends_on_the_seed() -> None:
    """Within a process order is kept; between processes the seed decides."""

    def order(seed: int) -> list[str]:
        loop = VirtualLoop(Random(seed))
        seen: list[str] = []

        async def main() -> None:
            for name in "ab":
                process = Process(name)
                for number in range(3):
                    loop.spawn(note(f"{name}{number}"), process)
            await asyncio.sleep(1)

        async def note(what: str) -> None:
            seen.append(what)

        loop.run_until_complete(main())
        loop.close()
        return seen

    orders = {tuple(order(seed)) for seed in range(20)}

    assert len(orders) > 3
    for each in orders:
        assert sorted(each[:]) == sorted(["a0", "a1", "a2", "b0", "b1", "b2"])
        assert [name for name in each if name[0] == "a"] == ["a0", "a1", "a2"]
