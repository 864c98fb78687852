"""The deterministic simulation: the invariants hold over many seeds, and break when a rule of the core is switched off."""

import os
import subprocess
import sys

import pytest

from wxrc_core import bot, channel, delivery, inbound, message, operation
from wxrc_simulation import BREAKS, Rule, simulate
from wxrc_simulation.__main__ import failure
from wxrc_simulation.stage import WORST

SEEDS = int(os.environ.get("WXRC_SEEDS", "2000"))
CHUNKS = 8


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_invariants_hold(chunk: int) -> None:
    """Whatever goes wrong while it runs, every invariant holds once it has come to rest."""
    for seed in range(chunk, SEEDS, CHUNKS):
        run = simulate(seed)

        assert () == run.broken, failure(run)


@pytest.mark.slow
@pytest.mark.parametrize("rule", list(Rule))
def test_a_rule_switched_off_breaks_its_invariant(rule: Rule) -> None:
    """Without the rule the invariant that rests on it is the first to be reported broken."""
    found = next(run for seed in range(200) if (run := simulate(seed, rule)).broken)

    assert BREAKS[rule] == found.broken[0][0]


@pytest.mark.slow
def test_everything_happens() -> None:
    """The simulation reaches every event and every kind of fault; an invariant that nothing can break would prove little."""
    runs = [simulate(seed) for seed in range(150)]
    seen = {type(note.values[2]) for run in runs for note in run.trace if note.what == "recorded"}
    expected = {
        event
        for aggregate in (bot, delivery, inbound, message, operation)
        for event in aggregate.TRIGGERS  # type: ignore[attr-defined]
    }

    assert expected - {bot.BotAdded} <= seen  # bots and channels are there before it begins
    assert not seen & set(channel.TRIGGERS)
    assert set(WORST) == set().union(*(run.faults for run in runs))
    assert any(run.crashes > 10 for run in runs)
    assert any(run.crashes == 0 for run in runs)


def test_the_same_seed_gives_the_same_trace() -> None:
    """Invariant 17: a seed determines everything that happens."""
    first, second, other = simulate(11), simulate(11), simulate(12)

    assert [str(note) for note in first.trace] == [str(note) for note in second.trace]
    assert first.digest() != other.digest()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    """Invariant 17 does not rest on the order in which one process happens to keep its sets."""
    script = "from wxrc_simulation import simulate; print(*(simulate(seed).digest() for seed in range(20)))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("0", "1", "4242")
    }

    assert 1 == len(digests)


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wxrc_simulation", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_the_command_says_that_all_is_well() -> None:
    """The command prints a summary and returns 0 where nothing is broken."""
    done = _command("--seeds", "5", "--start", "100")

    assert 0 == done.returncode
    assert done.stdout.startswith("5 seeds in ")
    assert done.stdout.endswith("0 seeds failed\n")


@pytest.mark.slow
def test_the_command_says_how_to_see_a_failure_again() -> None:
    """A failure names the seed, the invariant, and the command that repeats it with its trace."""
    done = _command("--seeds", "5", "--without", "complete_rooms")
    again = next(line for line in done.stdout.splitlines() if "again:" in line)
    repeated = _command(*again.partition("-m wxrc_simulation ")[2].split())

    assert 1 == done.returncode
    assert "invariant 9: message" in done.stdout
    assert 1 == repeated.returncode
    assert "MessageRoomNotFound" in repeated.stdout
    assert "invariant 9: message" in repeated.stdout
