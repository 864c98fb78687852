"""The deterministic runner: the same core under virtual time and one seed, with everything going wrong that can.

    python -m wxrc_simulation --seeds 2000          many seeds; tells which invariant broke, and the command to see it again
    python -m wxrc_simulation --seed 42 --trace     one seed, with all that happened

A *run* sets a *stage* (chance, time, faults, the log), lets business systems, operators and people act on a gateway that
crashes between any two steps, stops the faults, waits until all is quiet, and checks the invariants of the design against
what WeChat and the receivers saw.

- `run`: one seed. `stage`, `scheduler`: what everybody shares; virtual time.
- `gateway`: the process under test. `rules`: the core as it calls it, and the same core with one rule switched off.
- `wechat`, `clients`, `receiver`: everybody around it. `invariants`: what must hold, by number.
"""

from wxrc_simulation.rules import BREAKS, Rule
from wxrc_simulation.run import Run, simulate

__all__ = ["BREAKS", "Rule", "Run", "simulate"]
