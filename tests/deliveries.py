"""A desk that delivers callbacks in virtual time: the queues of some bots, the channels' endpoints, a log, and no gateway."""

from attrs import define, field

from wxrc_core import delivery
from wxrc_core.delivery import Create, Delivery, DeliveryDue
from wxrc_core.delivery_queue import DeliveriesSnapshot, DeliveryQueues
from wxrc_core.effects import Moment, Post, Wait
from wxrc_core.endpoint import Endpoint
from wxrc_core.log import Recorded

WALL = 1_795_431_600_000


@define
class Desk:
    """Queues of deliveries, driven by hand.

    Attributes:
        bots: Each bot's queues.
        endpoints: Each channel's endpoint.
        log: What was recorded. Every notice takes a position too, for the event that causes it.
        states: Each delivery's state and version by stream.
        mono: The clock that is never set (ms).
        wall: The clock that may be set (ms).
    """

    bots: dict[str, DeliveryQueues] = field(factory=dict)
    endpoints: dict[str, Endpoint] = field(factory=dict)
    log: list[Recorded | None] = field(factory=list)
    states: dict[str, tuple[Delivery | None, int]] = field(factory=dict)
    notices: list[tuple[int, str, DeliveryDue]] = field(factory=list)
    mono: int = 0
    wall: int = WALL

    @property
    def now(self) -> Moment:
        """The time."""
        return Moment(self.wall, self.mono)

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.mono += ms
        self.wall += ms

    def bot(self, botcode: str = "b") -> DeliveryQueues:
        """Return a bot's queues."""
        return self.bots.setdefault(botcode, DeliveryQueues(botcode))

    def endpoint(self, chid: str = "ch") -> Endpoint:
        """Return a channel's endpoint."""
        return self.endpoints.setdefault(chid, Endpoint())

    # -- what is to be told -----------------------------------------------------------------------------------------------------

    def notice(
        self, kind: str = "userMsg", *, chid: str = "ch", botcode: str = "b", hold_ms: int = 0, lasts_ms: int = 0
    ) -> str:
        """Have something happen that a channel is to be told of; return the delivery's stream."""
        self.log.append(None)
        position = len(self.log)
        expires_at = self.wall + lasts_ms if lasts_ms else None
        due = DeliveryDue(
            at=self.wall, chid=chid, botcode=botcode, kind=kind, body=f'"{position}"', expires_at=expires_at
        )
        stream = delivery.stream_name(position, chid)
        self.notices.append((position, stream, due))
        self.bot(botcode).expect(stream, Create(due), position, self.mono + hold_ms)
        return stream

    def due(self, count: int = 1, kind: str = "userMsg", *, chid: str = "ch", botcode: str = "b") -> list[str]:
        """Have that many notices recorded as due; return their streams."""
        streams = [self.notice(kind, chid=chid, botcode=botcode) for _ in range(count)]
        self.settle()
        return streams

    # -- recording --------------------------------------------------------------------------------------------------------------

    def state(self, stream: str) -> str:
        """Return where a delivery stands."""
        known, _ = self.states.get(stream, (None, 0))
        return known.state if known else "new"

    def do(self, stream: str, command: delivery.Command, botcode: str) -> int:
        """Decide, record and fold; return how many events there were."""
        state, version = self.states.get(stream, (None, 0))
        events = delivery.decide(state, command)
        for event in events:
            version += 1
            state = delivery.evolve(state, event)
            self.states[stream] = (state, version)
            recorded = Recorded(len(self.log) + 1, stream, version, event)
            self.log.append(recorded)
            self.bot(botcode).fold(recorded, self.mono)
        return len(events)

    def to_record(self, botcode: str = "b") -> list[tuple[str, delivery.Command]]:
        """Return what is to be recorded now."""
        queues = self.bot(botcode)
        steps = queues.next_records(self.now)
        found = [(step.stream, step.command) for step in steps] if isinstance(steps, list) else []
        taken = {stream for stream, _ in found}
        for chid, endpoint in self.endpoints.items():
            for control in (True, False):
                hopeless = queues.hopeless(chid, control, self.now, endpoint)
                found += [(step.stream, step.command) for step in hopeless if step.stream not in taken]
        return found

    def settle(self) -> None:
        """Record what is to be recorded, until there is nothing left."""
        for botcode in list(self.bots):
            while steps := self.to_record(botcode):
                assert len(steps) == len({stream for stream, _ in steps}), "two steps for one stream"
                for stream, command in steps:
                    assert self.do(stream, command, botcode), f"{command} for {stream} changes nothing"

    # -- posting ----------------------------------------------------------------------------------------------------------------

    def next(self, chid: str = "ch", *, control: bool = False, botcode: str = "b") -> Post | Wait | None:
        """Return what is next in a queue."""
        return self.bot(botcode).next_post(chid, control, self.now, self.endpoint(chid))

    def begin(self, chid: str = "ch", *, control: bool = False, botcode: str = "b") -> Post:
        """Begin to post what is next in a queue."""
        post = self.next(chid, control=control, botcode=botcode)
        assert isinstance(post, Post), f"nothing can be posted: {post}"
        self.began(post)
        return post

    def began(self, post: Post) -> None:
        """Take note that a callback is on its way."""
        self.bot(post.botcode).begin(post.stream)
        self.endpoint(post.chid).begin(post.stream, self.mono)

    def acknowledge(self, post: Post, *, record: bool = True) -> None:
        """Have the receiver acknowledge a callback."""
        self.endpoint(post.chid).succeeded(post.stream)
        self.bot(post.botcode).acknowledged(post.stream)
        if record:
            self.do(post.stream, delivery.RecordSuccess(at=self.wall, attempt=post.attempt), post.botcode)
            self.bot(post.botcode).end(post.stream)

    def refuse(
        self, post: Post, reason: str = "HTTP 500", *, retry_after_s: int | None = None, gone: bool = False
    ) -> None:
        """Have the receiver not acknowledge a callback."""
        endpoint = self.endpoint(post.chid)
        closed = gone and endpoint.closed(post.stream, reason)
        if not closed:
            endpoint.failed(post.stream, self.mono, reason, retry_after_s, 0.0)
        failure = delivery.RecordFailure(
            at=self.wall, attempt=post.attempt, reason=reason, retry_after_s=retry_after_s, gone=closed
        )
        self.do(post.stream, failure, post.botcode)
        self.bot(post.botcode).end(post.stream)

    def post_all(self, chid: str = "ch", *, control: bool = False, botcode: str = "b") -> list[str]:
        """Post and acknowledge what may be posted now; return the streams."""
        posted = []
        while isinstance(post := self.next(chid, control=control, botcode=botcode), Post):
            self.began(post)
            self.acknowledge(post)
            posted.append(post.stream)
        return posted

    # -- crashes ----------------------------------------------------------------------------------------------------------------

    def snapshots(self) -> dict[str, DeliveriesSnapshot]:
        """Return what is open."""
        return {botcode: queues.to_snapshot() for botcode, queues in self.bots.items()}

    def restart(self, snapshots: dict[str, DeliveriesSnapshot] | None = None) -> None:
        """Forget everything but the log, or a snapshot; a new owner goes on."""
        botcodes = list(self.bots)
        self.bots, self.endpoints = {}, {}
        if snapshots is not None:
            for botcode, snapshot in snapshots.items():
                self.bot(botcode).restore(snapshot, self.mono)
        else:
            causes = {position: (stream, due) for position, stream, due in self.notices}
            for position, recorded in enumerate(self.log, 1):
                if position in causes:
                    stream, due = causes[position]
                    self.bot(due.botcode).expect(stream, Create(due), position, self.mono)
                if recorded is not None:
                    state, _ = self.states[recorded.stream]
                    assert state is not None
                    self.bot(state.botcode).fold(recorded, self.mono)
        for botcode in botcodes:
            self.bot(botcode).resume(self.mono)
