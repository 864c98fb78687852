"""The clock by which a member of a store on a server knows how long it lives."""

import time


def since_boot() -> float:
    """Return seconds on a clock that is never set, and goes on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
