"""Times as people and programs outside read them: with their zone."""

from datetime import datetime


def moment(at: int) -> datetime:
    """Return a time (epoch ms) in the zone of this machine; written as JSON it is ISO 8601 with that zone."""
    return datetime.fromtimestamp(at / 1000).astimezone()


def moment_or_none(at: int | None) -> datetime | None:
    """Return a time, or None where there is none."""
    return None if at is None else moment(at)
