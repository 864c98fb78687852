"""One queue of deliveries, control or data, to one channel: what it holds, and which is next.

Everything is found in O(log n), however many wait: those that may be posted are in the order of the events that caused them, those that
failed in the order of their own time.
"""

from attrs import define, field

from wxrc_core.delivery import Create, Delivery
from wxrc_core.timers import Timers

RELEASE_GAP_MS = 30_000
"""One that went early `n` times because an outage was over goes early again only if it failed this long ago, times `4 ** n` (ms)."""


@define
class Expected:
    """A notice that follows from an event and is not recorded yet; it is held back until `hold_until` (mono, ms)."""

    stream: str
    create: Create
    hold_until: int


@define
class Item:
    """A delivery that is due.

    Attributes:
        stream: Its stream.
        state: Its state.
        version: Its stream's version.
        position: That of its `due` event.
        ready_at: From when on it may be posted by its own schedule (mono, ms).
        body: Its text, or None = the log has it.
        busy: It is being posted, or was and the outcome is not recorded yet.
        failed_at: When its latest failure was folded (mono, ms).
        releases: How often it went before its own time because an outage was over.
    """

    stream: str
    state: Delivery
    version: int
    position: int
    ready_at: int
    body: str | None
    busy: bool = False
    failed_at: int = 0
    releases: int = 0


@define
class DeliveryQueue:
    """The deliveries of one kind, control or data, to one channel, by the position of the event that caused them.

    Attributes:
        expected: Notices that are not recorded yet, the oldest first.
        items: Deliveries that are due.
        untried: Those of them that were never posted.
        again: Those that failed and whose own time has come again.
        waiting: Those that failed and wait for their own time (mono).
        in_flight: Those that are being posted, or failed and that is not recorded yet.
        newest: The newest control notice of each kind.
        texts: How many items hold their text.
        outage: The endpoint's latest outage that this queue has seen.
        place: The endpoint's latest place that this queue has seen.
    """

    expected: dict[int, Expected] = field(factory=dict)
    items: dict[int, Item] = field(factory=dict)
    untried: Timers[int] = field(factory=Timers)
    again: Timers[int] = field(factory=Timers)
    waiting: Timers[int] = field(factory=Timers)
    in_flight: set[int] = field(factory=set)
    newest: dict[str, int] = field(factory=dict)
    texts: int = 0
    outage: int = 0
    place: int = 0

    def __len__(self) -> int:
        return len(self.expected) + len(self.items)

    def expect(self, cause: int, expected: Expected) -> None:
        """Give a notice its place, nearly always the last."""
        in_order = not self.expected or cause > next(reversed(self.expected))
        self.expected[cause] = expected
        if not in_order:
            self.expected = dict(sorted(self.expected.items()))

    def put(self, cause: int, item: Item) -> None:
        """Let a delivery be posted when its time comes."""
        item.busy = False
        self.in_flight.discard(cause)
        if item.state.attempts:
            self.again.cancel(cause)
            self.waiting.set(cause, item.ready_at)
        else:
            self.untried.set(cause, cause)

    def take(self, cause: int) -> None:
        """Let a delivery not be posted."""
        self.in_flight.discard(cause)
        self.untried.cancel(cause)
        self.again.cancel(cause)
        self.waiting.cancel(cause)

    def next(self, *, up: bool) -> Item | None:
        """Return the oldest that may be posted; where the endpoint is down, one that was never tried goes before."""
        limit = next(iter(self.expected), None)
        found = [first[1] for first in (self.untried.next(), self.again.next()) if first is not None]
        allowed = [cause for cause in found if limit is None or cause < limit]
        if not allowed:
            return None
        return self.items[min(allowed) if up else allowed[0]]

    def all_due(self, mono: int) -> None:
        """Let everything be posted at once, in order: nothing is known of the place where it goes."""
        for item in self.items.values():
            item.ready_at = min(item.ready_at, mono)
            item.releases = 0
        while (first := self.waiting.next()) is not None:
            self.waiting.cancel(first[1])
            self.again.set(first[1], first[1])

    def release(self, mono: int) -> None:
        """Let everything be posted at once, in order, now that an outage is over.

        Callbacks that the receiver refuses look like an outage where several of them meet. So that each end of such an outage does not
        use up one attempt more, one that fails again and again goes early ever more seldom. Its own time comes in any case.
        """
        for cause, item in self.items.items():
            gap = RELEASE_GAP_MS << 2 * item.releases if item.releases else 0
            if cause in self.waiting and mono - item.failed_at >= gap:
                item.ready_at = mono
                item.releases += 1
                self.waiting.cancel(cause)
                self.again.set(cause, cause)
