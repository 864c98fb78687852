"""The command: `python -m wxrc_simulation`."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from wxrc_simulation.records import Run
from wxrc_simulation.run import play, simulate
from wxrc_simulation.schedule import Schedule, decode, shrink
from wxrc_simulation.sometimes import Coverage
from wxrc_simulation.summary import Summary, summary

CHUNK = 25
"""Seeds that one process runs at a time."""


def main() -> int:
    """Run what the command line says; return 1 if a promise is broken, or if something never happened."""
    parser = argparse.ArgumentParser(prog="python -m wxrc_simulation", description="The gateway in virtual time.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (default 2000)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--replay", metavar="SCHEDULE", help="this schedule, or the file that has it")
    parser.add_argument("--trace", action="store_true", help="print the log, the calls and the callbacks")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--plants", action="store_true", help="plant each known fault in turn: it must be found")
    parser.add_argument("--plant", metavar="NAME", help="plant this fault")
    options = parser.parse_args()
    if options.plants or options.plant:
        from wxrc_simulation.plants import report

        return report([options.plant] if options.plant else None, options.seeds, options.jobs, _print)
    if options.replay is not None:
        path = Path(options.replay)
        line = path.read_text() if len(options.replay) < 200 and path.exists() else options.replay
        return _one(play(decode(line)), trace=options.trace)
    if options.seed is not None:
        return _one(simulate(options.seed), trace=options.trace)
    return _many(range(options.start, options.start + options.seeds), options.jobs)


def _one(run: Run, *, trace: bool) -> int:
    if trace:
        for line in lines_of(run):
            _print(line)
    for number, sentence in run.broken:
        _print(f"promise {number}: {sentence}")
    return 1 if run.broken else 0


def _many(seeds: range, jobs: int) -> int:
    coverage, began = Coverage(), time.perf_counter()
    failed: list[Summary] = []
    total = Summary.nothing()
    for found in summaries(seeds, jobs):
        coverage.merge(found.coverage)
        total = total.plus(found)
        if found.broken:
            failed.append(found)
            _print(failure(found))
            if len(failed) == 5:
                _print("5 seeds failed; the rest is not run")
                break
    took = time.perf_counter() - began
    count = max(1, total.runs)
    _print(
        f"{total.runs} seeds in {took:.0f} s ({count / took:.0f} a second, {1000 * total.cpu_s / count:.0f} ms of CPU each, "
        f"{total.cpu_s / 3600:.2f} CPU-hours): {total.calls} requests, {total.events} events, {total.arrivals} messages in WeChat, "
        f"{total.received} callbacks, {total.faults} faults; {len(failed)} seeds failed"
    )
    missing = coverage.missing() if total.runs >= 2000 else []
    for name in missing:
        _print(f"never happened: {name}")
    return 1 if failed or missing else 0


def summaries(seeds: Sequence[int], jobs: int) -> Iterator[Summary]:
    """Run seeds, in several processes, and give out what is worth knowing of each."""
    if jobs < 2:
        for seed in seeds:
            yield summary(seed)
        return
    with ProcessPoolExecutor(jobs, max_tasks_per_child=40) as pool:
        try:
            yield from pool.map(summary, seeds, chunksize=CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def failure(found: Summary) -> str:
    """Tell what a seed broke, and how to see it again in as small a run as was found."""
    numbers = {number for number, _ in found.broken}

    def still_broken(smaller: Schedule) -> bool:
        return bool(numbers & {number for number, _ in play(smaller).broken})

    smallest = shrink(decode(found.schedule), still_broken)
    lines = [f"seed {found.seed}:"]
    lines += [f"  promise {number}: {sentence}" for number, sentence in found.broken[:5]]
    lines.append(f"  shrunk to {len(smallest.items)} items: {', '.join(_item(item) for item in smallest.items)}")
    lines.append(f"  with faults: {', '.join(smallest.rates) or 'none'}")
    lines.append(f"  again: python -m wxrc_simulation --trace --replay {smallest.encode()}")
    return "\n".join(lines)


def _item(item: object) -> str:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}  # type: ignore[attr-defined]
    return f"{type(item).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items() if value not in ('', 0, ()))})"


def lines_of(run: Run) -> Iterator[str]:
    """Give out what happened, for people: the log, then what clients and receivers and WeChat saw, by true time."""
    for recorded in run.log:
        at = run.appended.get(recorded.position, 0)
        yield f"{at:>8} {recorded.position:>5} {recorded.stream} v{recorded.version} {recorded.event}"
    seen: list[tuple[int, str]] = [(call.invoked, str(call)) for call in run.calls]
    for records in (run.handed, run.said, run.arrivals, run.rooms, run.logins, run.spoken, run.received, run.faults):
        seen += [(record.at, str(record)) for record in records]
    for at, text in sorted(seen, key=lambda pair: pair[0]):
        yield f"{at:>8} {text}"
    yield from run.trace


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
