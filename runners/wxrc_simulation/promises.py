"""What the gateway promises (design.md, 1 to 20, and 22: what channels may do), as checks of one finished run.

Each check goes by what others know: WeChat's rooms and arrivals, the calls of puppets, the receivers' diaries, the clients'
histories, true time. The log of the shared store is read raw, for what happened in which order. No check asks a gateway what it
thinks; where two readers of the log are to agree (13, 19), a new reader is made.

17, the same seed gives the same trace, needs two runs: `python -m wxrc_simulation` and the tests play seeds twice.
"""

from collections.abc import Callable, Iterator

from wxrc_simulation.promises_callbacks import check_12
from wxrc_simulation.promises_channels import check_22
from wxrc_simulation.promises_facts import Facts
from wxrc_simulation.promises_log import check_3, check_4, check_8, check_13, check_18, check_19
from wxrc_simulation.promises_requests import check_1, check_2, check_20
from wxrc_simulation.promises_rest import check_14, check_15, check_16
from wxrc_simulation.promises_sending import check_5, check_6, check_7, check_9, check_10, check_11
from wxrc_simulation.records import Run

CHECKS: dict[int, Callable[[Facts], Iterator[str]]] = {
    1: check_1,
    2: check_2,
    3: check_3,
    4: check_4,
    5: check_5,
    6: check_6,
    7: check_7,
    8: check_8,
    9: check_9,
    10: check_10,
    11: check_11,
    12: check_12,
    13: check_13,
    14: check_14,
    15: check_15,
    16: check_16,
    18: check_18,
    19: check_19,
    20: check_20,
    22: check_22,
}
"""The checks by the numbers of the promises."""

JUDGED_FIRST = (4, 3)
"""Where the log itself is broken, the others have nothing to stand on."""


def broken(run: Run) -> list[tuple[int, str]]:
    """Return what does not hold: (number, sentence)."""
    facts = Facts(run)
    found = [(number, sentence) for number in JUDGED_FIRST for sentence in CHECKS[number](facts)]
    if found:
        return found
    for number, check in CHECKS.items():
        if number not in JUDGED_FIRST:
            found += [(number, sentence) for sentence in check(facts)]
    return found
