"""Virtual time: pauses, signals, and tasks whose life ends."""

from random import Random

from wxrc_simulation.scheduler import FOREVER, Life, Scheduler, Signal, Steps

START = 1_000


def _scheduler(seed: int = 0) -> Scheduler:
    return Scheduler(Random(seed), START)


def test_time_passes_only_by_pausing() -> None:
    """Tasks run in the order in which they are due, and time is then exactly that."""
    scheduler, seen = _scheduler(), []

    def task(name: str, pause: int) -> Steps[None]:
        yield pause
        seen.append((name, scheduler.now))

    scheduler.spawn(task("late", 30))
    scheduler.spawn(task("early", 10), after=5)
    came_to_rest = scheduler.run()

    assert came_to_rest
    assert [("early", START + 15), ("late", START + 30)] == seen


def test_what_is_due_at_once_runs_in_an_order_drawn_from_the_seed() -> None:
    """Another seed may give another order, the same seed the same one."""

    def order(seed: int) -> str:
        scheduler, seen = _scheduler(seed), []

        def task(name: str) -> Steps[None]:
            yield 10
            seen.append(name)

        for name in "abcdef":
            scheduler.spawn(task(name))
        scheduler.run()
        return "".join(seen)

    assert order(1) == order(1)
    assert 1 < len({order(seed) for seed in range(10)})


def test_a_signal_wakes_before_the_limit_and_only_once() -> None:
    """A task that waits for a signal goes on when it is set, or when the limit is over, whichever comes first."""
    scheduler, seen = _scheduler(), []
    signal = scheduler.signal()

    def wait(signal: Signal, limit: int | None) -> Steps[None]:
        yield signal, limit
        seen.append((limit, scheduler.now - START, signal.is_set))
        yield 1_000

    def set_it() -> Steps[None]:
        yield 50
        signal.set()

    for limit in (20, 100, None):
        scheduler.spawn(wait(signal, limit))
    scheduler.spawn(set_it())
    scheduler.run()

    assert {(20, 20, False), (100, 50, True), (None, 50, True)} == set(seen)
    assert 3 == len(seen)


def test_a_task_ends_with_its_life() -> None:
    """Once a life has ended, nothing that lived by it, or by a part of it, takes another step."""
    scheduler, seen = _scheduler(), []
    process = Life()
    client = Life(process)

    def tick(name: str) -> Steps[None]:
        while len(seen) < 20:
            yield 10
            seen.append((name, scheduler.now - START))

    def crash() -> Steps[None]:
        yield 25
        process.end()

    scheduler.spawn(tick("process"), process)
    scheduler.spawn(tick("client"), client)
    scheduler.spawn(tick("world"), FOREVER)
    scheduler.spawn(crash())
    scheduler.run()

    assert not client.alive
    assert {"process": 20, "client": 20} == {name: at for name, at in seen if name != "world"}
    assert 20 == len(seen)


def test_a_run_stops_at_its_time_and_at_its_limit() -> None:
    """What is due later stays for the next run; a task that never rests is found out."""
    scheduler, seen = _scheduler(), []

    def for_ever() -> Steps[None]:
        while True:
            yield 10
            seen.append(scheduler.now)

    scheduler.spawn(for_ever())

    assert scheduler.run(until=START + 35)
    assert START + 35 == scheduler.now
    assert 3 == len(seen)
    assert not scheduler.run(limit=100)
