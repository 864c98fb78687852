"""The connections of the HTTP server: how many there may be, and for how long each may keep us waiting.

When there are as many as there may be, a new one takes the place of the one that has waited longest without a complete request: so silent
connections, however many, keep no client out that has something to say. Times are kept by a sweep twice a second instead of by timers: a
timer for each request would cost more than all checks of its head.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from attrs import evolve, frozen

SWEEP_S: Final = 0.5
"""How often times are checked (seconds); a limit may be overrun by as much."""

_LOG: Final = logging.getLogger("wxrc.http")
_KEPT_FILES: Final = (
    256  # for the store, callbacks, clients of bots, and connections that are accepted but not yet counted
)


@frozen(kw_only=True)
class Limits:
    """What the HTTP server bears.

    Attributes:
        head_bytes: Size of request line and headers; also of what may stand between two bytes of a body.
        header_count: Number of headers.
        pipelined: How many requests may wait behind the one that is being answered; further ones stay unread.
        connections: How many connections there may be.
        per_address: How many from one address; behind a trusted proxy, how many requests at once of one client.
        head_s: How long a connection may take for a whole head, from its beginning or from the head's first byte (seconds).
        request_s: How long for the whole request (seconds). The API gives up earlier by itself.
        idle_s: How long a connection may be silent between two requests (seconds).
        answer_s: How long the client may take no byte of an answer (seconds).
        close_s: How long it may take to close (seconds).
    """

    head_bytes: int = 65_536
    header_count: int = 100
    pipelined: int = 8
    connections: int = 2_048
    per_address: int = 1_024
    head_s: float = 10.0
    request_s: float = 30.0
    idle_s: float = 60.0
    answer_s: float = 30.0
    close_s: float = 2.0

    def within(self, files: int) -> "Limits":
        """Return limits that leave descriptors for others, of the number of open files that this process may have; -1 = any."""
        if files < 0:
            return self
        left = files - _KEPT_FILES if files >= 4 * _KEPT_FILES else files // 2
        most = max(1, min(self.connections, left))
        return evolve(self, connections=most, per_address=min(self.per_address, most))


class Connection(Protocol):
    """A connection, as far as it is counted here.

    Attributes:
        address: Whose it is; empty = unknown, as behind a proxy between two requests: those are counted for nobody.
        deadline: When it is too late (on the clock of `Connections.now`).
        stuck_until: When it is too late because the client takes nothing of its answers, on the same clock.
        counted: It is among those that are counted.
    """

    address: str
    deadline: float
    stuck_until: float
    counted: bool

    def expire(self) -> None:
        """End it: it took too long."""

    def evict(self) -> None:
        """End it: it waits, and its place is needed."""


class Connections:
    """All connections of a server.

    Args:
        limits: What it bears.
        clock: A monotonic clock (seconds).

    Attributes:
        limits: What it bears.
        now: The time of the last sweep.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.now = clock()
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}  # those without a complete request, the longest waiting first
        self._by_address: dict[str, int] = {}
        self._count = 0
        self._full = False

    def __len__(self) -> int:
        """Return how many are counted."""
        return self._count

    def admit(self, new: Connection) -> bool:
        """Take a new connection, and make room for it where there is none. False: no room can be made."""
        self._open[new] = None
        new.counted = True
        self._count += 1
        over_all = self._count > self.limits.connections
        if self._count_address(new) or over_all:
            self._say_full()
            victim = next((each for each in self._waiting if over_all or each.address == new.address), None)
            self._discount(victim or new)
            if victim is None:
                return False
            victim.evict()
        self._waiting[new] = None
        return True

    def rename(self, connection: Connection, address: str) -> bool:
        """Take note of whose a connection is now. False: that one has as many as may be."""
        if address == connection.address or not connection.counted:
            connection.address = address
            return True
        self._discount_address(connection)
        connection.address = address
        if self._count_address(connection):
            self._say_full()
            return False
        return True

    def _count_address(self, connection: Connection) -> bool:
        """Count a connection for its address; return whether there are too many."""
        if not connection.address:
            return False
        count = self._by_address[connection.address] = self._by_address.get(connection.address, 0) + 1
        return count > self.limits.per_address

    def _discount_address(self, connection: Connection) -> None:
        if connection.address:
            left = self._by_address[connection.address] - 1
            if left:
                self._by_address[connection.address] = left
            else:
                del self._by_address[connection.address]

    def waits(self, connection: Connection) -> None:
        """Take note that a connection waits for the rest of a request, or for another one."""
        if connection.counted:
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """Take note that a connection has a complete request."""
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        self._open.pop(connection, None)
        self._discount(connection)

    def _discount(self, connection: Connection) -> None:
        """Count a connection no more; its time runs until it is gone."""
        if not connection.counted:
            return
        connection.counted = False
        self._count -= 1
        self._waiting.pop(connection, None)
        self._discount_address(connection)

    def sweep(self) -> None:
        """End all connections that took too long."""
        now = self.now = self._clock()
        for connection in [each for each in self._open if min(each.deadline, each.stuck_until) < now]:
            connection.expire()
        if self._full and self._count < 0.9 * self.limits.connections:
            busiest = max(self._by_address.values(), default=0)
            if busiest < 0.9 * self.limits.per_address:
                self._full = False
                _LOG.warning("there is room for new connections again")

    def _say_full(self) -> None:
        if not self._full:
            self._full = True
            _LOG.warning(
                "as many connections are open as may be (%d, or %d from one address); those that waited longest are closed for new ones",
                self.limits.connections,
                self.limits.per_address,
            )
