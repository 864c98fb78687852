"""The health of one channel's callback URL, as one process sees it.

What stalls is the endpoint, not the delivery: after a failure nothing is posted to it but one probe at a time, until one is acknowledged.
Then everything that is due goes out at once, in order. Nothing of this is recorded: a new owner finds out by probing.

One callback that a healthy receiver refuses must not look like an outage: the probe after a failure is another callback where there is one,
and what failed keeps its own schedule unless the endpoint failed at least twice in a row. Callbacks that fail together, because they were
on their way when it went down, count as one failure: many at once say no more about the endpoint than one.

Each callback keeps its own schedule. Between two probes, whatever callbacks they are, lies a gap that grows with the outage: where many
wait, a receiver that comes back is found soon, and is not met by all of them one after the other before.
"""

from wxrc_core.delivery_schedule import LONGEST_RETRY_AFTER_S, wait_ms

UNTRIED_PROBE_MS = 30_000
"""A callback that was never tried may probe so long after the last probe (ms)."""

PROBE_SHARE = 60
"""One that was tried may probe after this part of the time for which the endpoint has been down, and after half a minute at least."""


class Endpoint:
    """The health of a callback URL.

    Attributes:
        failures: Probes that failed since the last acknowledgement, the failure that made it down included; 0 = it is up.
        reason: Why the latest of them failed.
        outage: How often it came up again after an outage.
        place: How often it moved.
        gone: It is disabled, or is to be: it answered 410, or failed for days. Nothing is posted to it until it is set anew.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.reason = ""
        self.outage = 0
        self.place = 0
        self.gone = False
        self._probe_at = 0
        self._asked_until = 0  # what the receiver's `Retry-After` says
        self._last_at = 0
        self._down_since = 0
        self._round = 0  # raised by each failure that counts, and each time it comes up or moves
        self._moved_at = 0  # the round in which it moved
        self._in_flight: dict[str, int] = {}  # the round in which each callback was posted
        self._several = False  # more than one callback failed since it was up
        self._latest = ""

    @property
    def up(self) -> bool:
        """Nothing has failed since the last acknowledgement."""
        return not self.failures

    def down_ms(self, now: int) -> int:
        """Return for how long it has been down (ms); 0 = it is up."""
        return now - self._down_since if self.failures else 0

    def wait_ms(self, stream: str, attempts: int, now: int) -> int | None:
        """Return how long until this callback may be posted (ms); 0 = now, None = not before the one that is on its way has ended.

        Args:
            stream: The delivery.
            attempts: How often it failed.
            now: Now (mono, ms).
        """
        if not self.failures:
            return 0
        if self._in_flight:
            return None
        at = self._probe_at
        if not attempts:
            at = min(at, self._last_at + UNTRIED_PROBE_MS)
            if self.failures == 1 and stream != self._latest:
                at = now  # one failure says little: another callback shows at once whether the endpoint is down
        return max(0, at - now, self._asked_until - now)

    def begin(self, stream: str, now: int) -> None:
        """Take note that a callback is on its way."""
        self._in_flight[stream] = self._round
        self._last_at = now

    def abandon(self, stream: str) -> None:
        """Take note that a callback's attempt was broken off by us."""
        self._in_flight.pop(stream, None)

    def succeeded(self, stream: str) -> bool:
        """Take in an acknowledgement; return whether the endpoint came up again."""
        begun = self._in_flight.pop(stream, self._round)
        if not self.failures or begun < self._moved_at:
            return False
        self._reset(outage=self._several or self.failures > 1)
        return True

    def failed(self, stream: str, now: int, reason: str, retry_after_s: int | None, jitter: float) -> bool:
        """Take in a failure; return whether other callbacks may have to wait for a different time now."""
        begun = self._in_flight.pop(stream, self._round)
        if begun < self._moved_at:
            return False  # it says nothing about the new place
        if retry_after_s is not None:
            self._asked_until = max(self._asked_until, now + min(retry_after_s, LONGEST_RETRY_AFTER_S) * 1000)
        self._several = self._several or (self.failures > 0 and stream != self._latest)
        if self.failures and begun < self._round:
            return not self._in_flight  # it was on its way already when the endpoint went down
        if not self.failures:
            self._down_since = now
        self.failures += 1
        self._round += 1
        self.reason = reason
        self._latest = stream
        self._last_at = now
        gap = max(UNTRIED_PROBE_MS, self.down_ms(now) // PROBE_SHARE)
        self._probe_at = now + min(wait_ms(self.failures, None, jitter), gap)
        return True

    def closed(self, stream: str, reason: str) -> bool:
        """Take in a 410: the receiver says that it is gone. Return whether that is the place where callbacks still go."""
        if self._in_flight.pop(stream, self._round) < self._moved_at:
            return False
        self.disable(reason)
        return True

    def disable(self, reason: str) -> None:
        """Take note that nothing is to be posted to it any more, and why."""
        self.gone = True
        self.reason = reason

    def moved(self) -> None:
        """Take note that callbacks go elsewhere from now on: nothing is known of that place, and everything may be tried."""
        self.gone = False
        self.place += 1
        self._reset(outage=False)
        self._moved_at = self._round

    def _reset(self, *, outage: bool) -> None:
        self.failures = 0
        self._round += 1
        self.reason = ""
        self._several = False
        self._asked_until = 0
        self._latest = ""
        if outage:
            self.outage += 1
