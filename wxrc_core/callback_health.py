"""Whether a channel's receiver fails, as the log has it: since when, why, and when that is too long.

`endpoint` has what one process sees and forgets; this is the fold of what was recorded, the same on every replica and after a restart.
"""

from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.delivery import DeliveryDelivered, DeliveryEvent, DeliveryGivenUp, DeliveryPostponed

DISABLED_AFTER_MS = 5 * 86_400_000
"""A callback URL that failed for so long is disabled (ms, wall clock)."""

SEEN_DOWN_MS = 3_600_000
"""The process that disables it must have seen it down for so long itself: a clock that is set disables nothing (ms)."""


class Failing(Struct, frozen=True):
    """A receiver that has acknowledged nothing since an attempt failed.

    Attributes:
        since: When the first attempt failed after the last acknowledgement (epoch ms).
        last_at: When the latest did (epoch ms).
        reason: Why the latest did.
        failures: How many did.
    """

    since: int
    last_at: int
    reason: str
    failures: int = 1


def after_event(failing: Failing | None, event: DeliveryEvent) -> Failing | None:
    """Return how a receiver stands after an event of one of its callbacks; None = it does not fail."""
    match event:
        case DeliveryDelivered():
            return None
        case DeliveryPostponed(at=at, reason=reason) | DeliveryGivenUp(at=at, reason=reason):
            if failing is None:
                return Failing(at, at, reason)
            return replace(failing, last_at=at, reason=reason, failures=failing.failures + 1)
        case _:
            return failing


def too_long(failing: Failing | None, wall: int, down_ms: int) -> bool:
    """Return whether a receiver has failed for so long that its URL is to be disabled.

    Args:
        failing: How it stands by the log.
        wall: Now (epoch ms).
        down_ms: For how long this process has seen it down (ms, on a clock that is never set).
    """
    return failing is not None and wall - failing.since >= DISABLED_AFTER_MS and down_ms >= SEEN_DOWN_MS
