"""The two clocks: the one that is never set, and the one on the wall."""

import time

import anyio


def wall_clock() -> int:
    """Return now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def mono() -> int:
    """Return milliseconds on the event loop's own clock (`Moment.mono`)."""
    return int(anyio.current_time() * 1000)
