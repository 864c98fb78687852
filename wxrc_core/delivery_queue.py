"""The deliveries about one bot: for each channel two queues, control notices (`qrCode`, `botStatus`) and data (`userMsg`, `sendStatus`).

Each queue is in the order of the events that caused its notices. A notice that follows from an event but is not recorded yet has its place
in it too, and nothing behind it goes before it. A queue holds a few texts; of the others the log has the text, and the queue the position.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from wxrc_core import delivery
from wxrc_core.delivery import (
    CONTROL,
    Create,
    Delivery,
    DeliveryAnswered,
    DeliveryDue,
    DeliveryEvent,
    DeliveryPostponed,
    DeliveryReplayed,
)
from wxrc_core.delivery_order import DeliveryQueue, Expected, Item
from wxrc_core.delivery_schedule import JITTER, SCHEDULE_S
from wxrc_core.effects import Decide, Moment, Post, Wait, WakeDeliveries
from wxrc_core.endpoint import Endpoint
from wxrc_core.log import Recorded
from wxrc_core.timers import Timers

TEXTS = 32
"""How many texts a queue holds."""

AT_ONCE = 256
"""How many notices are recorded in one go."""

LOOK_AGAIN_MS = 30_000
"""How long an expiry is waited for at once (ms): wall clocks are set, and nothing is to wait for the jump."""

EXPIRY_MS = 1_000
"""How long one whose time is over waits for that to be recorded (ms)."""

LIFETIME_MS = int(sum(SCHEDULE_S) * (1 + JITTER) * 1000) + 3_600_000
"""The whole schedule, with jitter and an hour for the probes in between (ms, wall clock).

A callback that has been due for longer is given up while its endpoint is down.
"""

LONG_DOWN_MS = 3_600_000
"""The endpoint must have been down for so long for that: neither one failure nor a clock that is set gives up anything (ms)."""


class DueDelivery(Struct, frozen=True):
    """What a snapshot keeps of a delivery that is due."""

    stream: str
    state: Delivery
    version: int
    position: int


class ExpectedDelivery(Struct, frozen=True):
    """What a snapshot keeps of a notice that is not recorded yet."""

    stream: str
    due: DeliveryDue


class DeliveriesSnapshot(Struct, frozen=True):
    """What a snapshot keeps of the deliveries about a bot; `newest` has the newest control notice by channel and kind."""

    due: list[DueDelivery]
    expected: list[ExpectedDelivery]
    newest: list[tuple[str, str, int]]


class DeliveryQueues:
    """The open deliveries about one bot.

    Args:
        botcode: The bot.
        removed: Tells whether a channel was removed: what is due to it is cancelled, and never posted.
    """

    def __init__(self, botcode: str, removed: Callable[[str], bool] = lambda chid: False) -> None:
        self.botcode = botcode
        self._removed = removed
        self._queues: dict[tuple[str, bool], DeliveryQueue] = {}
        self._places: dict[str, tuple[str, bool]] = {}  # the queue of each delivery that is due
        self._unrecorded: dict[tuple[str, bool], DeliveryQueue] = {}  # those that expect something
        self._overtaken: dict[str, None] = {}  # control notices with a newer one of their kind
        self._cancelled: dict[str, None] = {}  # those whose channel was removed
        self._expiries: Timers[str] = Timers()  # wall clock; of those that are not busy
        self._code_id = ""  # the QR code that may be scanned now

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def _queue(self, place: tuple[str, bool]) -> DeliveryQueue:
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = DeliveryQueue()
        return queue

    # -- folding ----------------------------------------------------------------------------------------------------------------

    def expect(self, stream: str, create: Create, cause: int, hold_until: int) -> None:
        """Take in that a channel is to be told of the event at `cause`; not recorded before `hold_until` (mono, ms)."""
        due = create.due
        if stream in self._places:
            return
        place = (due.chid, due.kind in CONTROL)
        queue = self._queue(place)
        queue.expect(cause, Expected(stream, create, hold_until))
        self._unrecorded[place] = queue
        self._note_kind(queue, due.kind, cause)

    def fold(self, recorded: Recorded, mono: int) -> Sequence[WakeDeliveries]:
        """Take in an event of a delivery about this bot."""
        event: DeliveryEvent = recorded.event  # type: ignore[assignment]  # a delivery's stream has no others
        stream, cause = recorded.stream, delivery.cause(recorded.stream)
        place = self._places.get(stream)
        if place is None:
            return self._fold_first(recorded, event, cause, mono)
        queue = self._queues[place]
        item = queue.items[cause]
        item.state = delivery.evolve(item.state, event)
        item.version = recorded.version
        if item.state.state in delivery.FINAL:
            # Where it was acknowledged here, those behind it have gone on already.
            awaited = not item.busy or cause in queue.in_flight
            self._forget(place, queue, cause, item)
            return (WakeDeliveries(place[0], self.botcode),) if awaited and queue else ()
        if isinstance(event, DeliveryPostponed):
            item.ready_at = mono + item.state.wait_ms
            item.failed_at = mono
            queue.take(cause)
            self._put(queue, cause, item)
        return (WakeDeliveries(place[0], self.botcode),)

    def _fold_first(self, recorded: Recorded, event: DeliveryEvent, cause: int, mono: int) -> Sequence[WakeDeliveries]:
        if not isinstance(event, DeliveryDue | DeliveryAnswered | DeliveryReplayed):
            return ()  # it has ended
        place = (event.chid, not isinstance(event, DeliveryAnswered) and event.kind in CONTROL)
        queue = self._queue(place)
        if queue.expected.pop(cause, None) is not None and not queue.expected:
            del self._unrecorded[place]
        if isinstance(event, DeliveryDue):
            body = event.body if queue.texts < TEXTS else None
            state = delivery.evolve(None, event)
            item = Item(recorded.stream, state, recorded.version, recorded.position, mono, body)
            self._add(place, queue, cause, item)
        elif isinstance(event, DeliveryReplayed):
            state = delivery.evolve(None, event)
            self._add(place, queue, cause, Item(recorded.stream, state, recorded.version, event.position, mono, None))
        self._drop_empty(place)
        return (WakeDeliveries(event.chid, self.botcode),)

    def _add(self, place: tuple[str, bool], queue: DeliveryQueue, cause: int, item: Item) -> None:
        queue.items[cause] = item
        queue.texts += item.body is not None
        self._places[item.stream] = place
        self._put(queue, cause, item)
        if self._removed(item.state.chid):
            self._cancelled[item.stream] = None
        self._note_kind(queue, item.state.kind, cause)
        if cause < queue.newest.get(item.state.kind, 0) or self._code_over(item):
            self._overtaken[item.stream] = None

    def _put(self, queue: DeliveryQueue, cause: int, item: Item) -> None:
        queue.put(cause, item)
        if item.state.expires_at is not None:
            self._expiries.set(item.stream, item.state.expires_at)

    def _note_kind(self, queue: DeliveryQueue, kind: str, cause: int) -> None:
        if kind in CONTROL and cause > queue.newest.get(kind, 0):
            before = queue.items.get(queue.newest.get(kind, 0))
            queue.newest[kind] = cause
            if before is not None:
                self._overtaken[before.stream] = None  # those before it are marked already

    def show_code(self, code_id: str) -> None:
        """Take in which QR code may be scanned now (empty = none): what tells another one is overtaken."""
        if code_id != self._code_id:
            self._code_id = code_id
            for (_, control), queue in self._queues.items():
                if control:
                    self._overtaken.update(
                        (item.stream, None) for item in queue.items.values() if self._code_over(item)
                    )

    def _code_over(self, item: Item) -> bool:
        return bool(item.state.code_id) and item.state.code_id != self._code_id

    def _forget(self, place: tuple[str, bool], queue: DeliveryQueue, cause: int, item: Item) -> None:
        del queue.items[cause]
        del self._places[item.stream]
        self._overtaken.pop(item.stream, None)
        self._cancelled.pop(item.stream, None)
        self._expiries.cancel(item.stream)
        queue.take(cause)
        queue.texts -= item.body is not None
        self._drop_empty(place)

    def _drop_empty(self, place: tuple[str, bool]) -> None:
        if not self._queues[place]:
            del self._queues[place]

    def cancel(self, chid: str) -> None:
        """Take in that a channel was removed: what is due to it, now or later, is to be recorded as cancelled."""
        for control in (True, False):
            queue = self._queues.get((chid, control))
            if queue is not None:
                self._cancelled.update((item.stream, None) for item in queue.items.values())

    # -- looking ----------------------------------------------------------------------------------------------------------------

    def known(self, stream: str) -> tuple[Delivery, int] | None:
        """Return the state and version of a delivery that is due, or None."""
        if stream not in self._places:
            return None
        item = self._item(stream)
        return item.state, item.version

    def _item(self, stream: str) -> Item:
        return self._queues[self._places[stream]].items[delivery.cause(stream)]

    def waiting(self, chid: str) -> tuple[int, int | None]:
        """Return how many callbacks wait for this channel, and when the first of them may go by its own schedule (epoch ms).

        None = none is recorded as due. Costs as much as there are.
        """
        queues = [queue for place, queue in self._queues.items() if place[0] == chid]
        times = (item.state.failed_at + item.state.wait_ms for queue in queues for item in queue.items.values())
        return sum(map(len, queues)), min(times, default=None)

    def due(self) -> Iterator[DueDelivery]:
        """Give out every delivery that is due."""
        for queue in self._queues.values():
            for item in queue.items.values():
                yield DueDelivery(item.stream, item.state, item.version, item.position)

    def is_open(self, stream: str) -> bool:
        """Return whether the delivery is due."""
        return stream in self._places

    def channels(self) -> list[str]:
        """Return the channels that are to be told something."""
        return list(dict.fromkeys(chid for chid, _ in self._queues))

    def has(self, chid: str, control: bool) -> bool:
        """Return whether there is anything in this queue."""
        return (chid, control) in self._queues

    def first_unrecorded(self) -> int | None:
        """Return the lowest position of an event that channels are to be told of and that is not recorded as due, or None."""
        return min((next(iter(queue.expected)) for queue in self._unrecorded.values()), default=None)

    # -- what is to be recorded -------------------------------------------------------------------------------------------------

    def next_records(self, now: Moment) -> list[Decide] | Wait | None:
        """Return what is to be recorded now, a time to wait for, or None = wait for news. The steps are for different streams."""
        steps: list[Decide] = []
        waits: list[int] = []
        for queue in self._unrecorded.values():
            for expected in queue.expected.values():
                if expected.hold_until > now.mono:
                    waits.append(expected.hold_until - now.mono)
                    break  # and nothing behind it before it
                if len(steps) >= AT_ONCE:
                    return steps
                steps.append(Decide(expected.stream, expected.create))
        for stream in self._cancelled:
            if len(steps) >= AT_ONCE:
                return steps
            if not self._item(stream).busy:
                steps.append(Decide(stream, delivery.Cancel(at=now.wall)))
        expired = self._expired(now, AT_ONCE - len(steps))
        steps += [Decide(stream, delivery.Expire(at=now.wall)) for stream in expired if stream not in self._cancelled]
        for stream in self._overtaken:
            if len(steps) >= AT_ONCE:
                break
            if stream not in expired and stream not in self._cancelled and not self._item(stream).busy:
                steps.append(Decide(stream, delivery.Supersede(at=now.wall)))
        if (expiry := self._expiries.next()) is not None:
            waits.append(max(1, min(expiry[0] - now.wall, LOOK_AGAIN_MS)))
        return steps or (Wait(min(waits)) if waits else None)

    def _expired(self, now: Moment, limit: int) -> dict[str, int]:
        """Return deliveries whose time is over, with their deadlines."""
        found: dict[str, int] = {}
        while len(found) < limit and (expiry := self._expiries.next()) is not None and expiry[0] <= now.wall:
            found[expiry[1]] = expiry[0]
            self._expiries.cancel(expiry[1])
        for stream, at in found.items():
            self._expiries.set(stream, at)  # until it is recorded
        return found

    def hopeless(self, chid: str, control: bool, now: Moment, endpoint: Endpoint) -> list[Decide]:
        """Return what gives up callbacks: all where the endpoint is gone; where it is down, those due for longer than any schedule."""
        queue = self._queues.get((chid, control))
        steps: list[Decide] = []
        if queue is None or not (endpoint.gone or endpoint.down_ms(now.mono) >= LONG_DOWN_MS):
            return steps
        for item in queue.items.values():
            if len(steps) >= AT_ONCE or not (endpoint.gone or now.wall - item.state.at > LIFETIME_MS):
                break  # those behind it are younger
            if not item.busy:
                steps.append(Decide(item.stream, delivery.GiveUp(at=now.wall, reason=endpoint.reason)))
        return steps

    # -- what may be posted -----------------------------------------------------------------------------------------------------

    def next_post(self, chid: str, control: bool, now: Moment, endpoint: Endpoint) -> Post | Wait | None:
        """Return the next callback of a queue, a time to wait for, or None = nothing is left in the queue.

        One at a time in each queue, in order. One that the receiver refused waits for its own time, and those behind it go on.
        """
        queue = self._queues.get((chid, control))
        if queue is None:
            return None
        if endpoint.gone or queue.in_flight or self._removed(chid):
            return Wait(LOOK_AGAIN_MS)
        if queue.place != endpoint.place:
            queue.all_due(now.mono)
        elif queue.outage != endpoint.outage:
            queue.release(now.mono)
        queue.place, queue.outage = endpoint.place, endpoint.outage
        while (cause := queue.waiting.pop_due(now.mono)) is not None:
            queue.again.set(cause, cause)
        item = queue.next(up=endpoint.up)
        if item is None:
            soonest = queue.waiting.next()
            return Wait(min(soonest[0] - now.mono, LOOK_AGAIN_MS) if soonest is not None else LOOK_AGAIN_MS)
        state = item.state
        if (state.expires_at is not None and now.wall >= state.expires_at) or self._code_over(item):
            return Wait(EXPIRY_MS)  # its end is about to be recorded
        allowed = endpoint.wait_ms(item.stream, state.attempts, now.mono)
        if allowed != 0:
            return Wait(LOOK_AGAIN_MS if allowed is None else min(allowed, LOOK_AGAIN_MS))
        return Post(item.stream, chid, self.botcode, state.attempts + 1, item.position, item.body, state.code_id)

    def begin(self, stream: str) -> None:
        """Take note that a callback is being posted, or given up."""
        queue, cause = self._queues[self._places[stream]], delivery.cause(stream)
        queue.items[cause].busy = True
        queue.take(cause)
        queue.in_flight.add(cause)
        self._expiries.cancel(stream)

    def acknowledged(self, stream: str) -> None:
        """Take note that a callback was acknowledged, which is not recorded yet: those behind it may go."""
        if stream in self._places:
            self._queues[self._places[stream]].in_flight.discard(delivery.cause(stream))

    def end(self, stream: str) -> None:
        """Take note that nothing more will be recorded of an attempt: a callback that is still due then is posted again."""
        if stream in self._places:
            item = self._item(stream)
            if item.busy:
                self._put(self._queues[self._places[stream]], delivery.cause(stream), item)

    def resume(self, mono: int) -> None:
        """Begin as the bot's owner: everything is due at once, for nothing is known of the endpoints, nor of what was on its way."""
        for queue in self._queues.values():
            for cause, item in queue.items.items():
                if item.busy:
                    self._put(queue, cause, item)
            queue.all_due(mono)

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    def to_snapshot(self) -> DeliveriesSnapshot:
        """Return what is open."""
        due, expected, newest = [], [], []
        for (chid, _), queue in sorted(self._queues.items(), key=lambda pair: pair[0]):
            # In the order in which they became due, which is not that of their causes where one was replayed.
            due += [DueDelivery(each.stream, each.state, each.version, each.position) for each in queue.items.values()]
            expected += [ExpectedDelivery(found.stream, found.create.due) for found in queue.expected.values()]
            newest += [(chid, kind, cause) for kind, cause in sorted(queue.newest.items())]
        return DeliveriesSnapshot(due, expected, newest)

    def restore(self, snapshot: DeliveriesSnapshot, mono: int) -> None:
        """Take in a snapshot."""
        for found in snapshot.due:
            state, cause = found.state, delivery.cause(found.stream)
            place = (state.chid, state.kind in CONTROL)
            queue = self._queue(place)
            item = Item(found.stream, state, found.version, found.position, mono + state.wait_ms, None)
            self._add(place, queue, cause, item)
        for notice in snapshot.expected:
            self.expect(notice.stream, Create(notice.due), delivery.cause(notice.stream), mono)
        for chid, kind, cause in snapshot.newest:
            self._note_kind(self._queues[chid, True], kind, cause)
