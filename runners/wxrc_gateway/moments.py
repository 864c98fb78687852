"""Times as people and programs outside read them: with their zone."""

from datetime import datetime

LATEST = 253_402_000_000_000
"""Later times (epoch ms) cannot be written: the year would have five digits."""


def moment(at: int) -> datetime:
    """Return a time (epoch ms) in the zone of this machine; written as JSON it is ISO 8601 with that zone.

    Total: a time that no calendar has, which a clock may once have said, becomes the nearest one that it has.
    """
    return datetime.fromtimestamp(min(max(at, 0), LATEST) / 1000).astimezone()


def moment_or_none(at: int | None) -> datetime | None:
    """Return a time, or None where there is none."""
    return None if at is None else moment(at)
