"""How much a bot may send. It limits volume; it does not disguise anything (design.md, Sending).

The times of earlier attempts come from the log, so that the limits hold across restarts.
"""

from collections.abc import Sequence

from attrs import frozen


@frozen
class Pace:
    """Limits on the sends of one bot.

    Attributes:
        per_minute: Sends in any 60 seconds.
        room_gap_ms: Least time between two sends to the same room (ms).
        switch_gap_ms: Least time between two sends to different rooms (ms).
    """

    per_minute: int
    room_gap_ms: int
    switch_gap_ms: int


CUSTOMARY = Pace(per_minute=20, room_gap_ms=3_000, switch_gap_ms=4_000)
PACES: dict[str, Pace | None] = {"customary": CUSTOMARY, "none": None}


def earliest(pace: Pace, attempts: Sequence[tuple[int, str]], room_id: str) -> int:
    """Return the earliest time (epoch ms) at which a send to this room keeps the pace.

    Args:
        pace: The limits.
        attempts: (time in epoch ms, room id) of the latest attempts of this bot, oldest first; at least the last `per_minute` of them.
        room_id: Where the next one goes.
    """
    if not attempts:
        return 0
    at, last_room = attempts[-1]
    when = at + (pace.room_gap_ms if last_room == room_id else pace.switch_gap_ms)
    for at, room in reversed(attempts):
        if room == room_id:
            when = max(when, at + pace.room_gap_ms)
            break
    if len(attempts) >= pace.per_minute:
        when = max(when, attempts[-pace.per_minute][0] + 60_000)
    return when
