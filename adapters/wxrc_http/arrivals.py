"""At which interface a signed request arrived first (wire.md, section 1, "Signatures").

All signature types but the newest leave the interface's name uncovered, so a captured request could be sent to another interface while its
txtime lies within the window. Two requests that change something exclude each other in the log, for the day and on every replica: they
share a stream. What is kept here is for queries, whose txcode is not in the log. It is kept for twice the window, in this process only,
and up to a bound for each channel, beyond which the oldest is forgotten.
"""

from typing import Final, NamedTuple

MAX_ARRIVALS: Final = 100_000
"""How many of a channel's requests are kept at least (twice as many at most, in about 20 MB)."""

_Seen = dict[int, str]


class _Generations(NamedTuple):
    since: int
    newer: _Seen
    older: _Seen


class Arrivals:
    """The interfaces of requests whose signature held.

    Args:
        most: How many of a channel's requests are kept at least.
    """

    def __init__(self, most: int = MAX_ARRIVALS) -> None:
        self._most = most
        self._channels: dict[str, _Generations] = {}

    def first(self, chid: str, txcode: str, interface: str, now: int, window_s: int) -> str:
        """Return the interface at which this channel's txcode arrived first: this one, if it is new.

        Args:
            chid: A channel that exists; so their number is bounded.
            txcode: The request's.
            interface: Where it arrives now.
            now: Epoch ms.
            window_s: How far txtime may be from now, either way (seconds).
        """
        found = self._channels.get(chid)
        # A txtime of the future is good for nearly two windows, so nothing younger than that is forgotten.
        kept_ms = 2_000 * window_s
        if found is None or len(found.newer) >= self._most or not 0 <= now - found.since < kept_ms:
            recent = found is not None and (len(found.newer) >= self._most or now - found.since < 2 * kept_ms)
            found = _Generations(now, {}, found.newer if found is not None and recent else {})
            self._channels[chid] = found
        # Python's hash of a string is keyed anew in each process: nobody can make two txcodes meet.
        key = hash(txcode)
        return found.newer.get(key) or found.older.get(key) or found.newer.setdefault(key, interface)
