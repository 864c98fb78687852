"""When a callback that was not acknowledged is tried again (wire.md, section 3)."""

SCHEDULE_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long to wait after the 1st, 2nd, ... failed attempt (seconds; wire.md, section 3)."""

JITTER = 0.1
"""A wait is made longer by up to this share, so that a receiver that comes back is not met by everything at once."""

LONGEST_RETRY_AFTER_S = 86_400
"""The most of a receiver's `Retry-After` that is honoured (seconds)."""


def wait_ms(failures: int, retry_after_s: int | None, jitter: float) -> int:
    """Return how long to wait after so many failures (ms): what the schedule says, or what the receiver asked for if that is longer."""
    scheduled = SCHEDULE_S[min(failures, len(SCHEDULE_S)) - 1] * (1 + JITTER * jitter)
    return int(max(scheduled, min(retry_after_s or 0, LONGEST_RETRY_AFTER_S)) * 1000)
