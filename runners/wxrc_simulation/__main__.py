"""The command: `python -m wxrc_simulation`."""

import argparse
import sys
import time

from wxrc_simulation.rules import Rule
from wxrc_simulation.run import Run, simulate


def main() -> int:
    """Run what the command line says; return 1 if an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m wxrc_simulation", description="Simulate seeds; check invariants.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (default 2000)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    parser.add_argument("--without", type=Rule, choices=list(Rule), help="switch a rule off: an invariant must break")
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.seeds) if options.seed is None else [options.seed]
    began = time.perf_counter()
    runs = events = messages = crashes = failed = 0
    for seed in seeds:
        run = simulate(seed, options.without)
        if options.trace:
            for note in run.trace:
                _print(str(note))
        runs, events, messages, crashes = runs + 1, events + run.events, messages + run.messages, crashes + run.crashes
        if run.broken:
            failed += 1
            _print(failure(run, options.without))
            if failed == 10:
                _print("10 seeds failed; the rest is not run")
                break
    took = time.perf_counter() - began
    _print(
        f"{runs} seeds in {took:.1f} s ({1000 * took / runs:.1f} ms each): {messages} requests, {events} events, "
        f"{crashes} crashes; {failed} seeds failed"
    )
    return 1 if failed else 0


def failure(run: Run, off: Rule | None = None) -> str:
    """Tell what broke in a run, and how to see it again."""
    without = f" --without {off}" if off else ""
    lines = [f"seed {run.seed}:"]
    for number, sentence in run.broken[:5]:
        lines.append(f"  invariant {number}: {sentence}" if number else f"  an exception escaped:\n{sentence}")
    lines.append(f"  again: python -m wxrc_simulation --seed {run.seed} --trace{without}")
    return "\n".join(lines)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
