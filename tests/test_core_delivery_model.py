"""Deliveries against receivers that fail in every way, with crashes and clocks that are set: everything ends, and rightly."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.deliveries import Desk
from wxrc_core import delivery
from wxrc_core.delivery import CONTROL, DeliveryAnswered, DeliveryDue, DeliveryState
from wxrc_core.delivery_schedule import SCHEDULE_S
from wxrc_core.effects import Post, Wait

CHIDS, BOTS = ("ch1", "ch2"), ("b1", "b2")
KINDS = ("userMsg", "sendStatus", "qrCode", "botStatus")
MOODS = ("up", "up", "down", "busy", "gone")
MOST_ATTEMPTS = len(SCHEDULE_S) + 1

chids, botcodes = st.sampled_from(CHIDS), st.sampled_from(BOTS)


class Deliveries(RuleBasedStateMachine):
    """Two bots, two channels, and receivers which know what reached them."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        for botcode in BOTS:
            self.desk.bot(botcode)
        self.moods = dict.fromkeys(CHIDS, "up")
        self.poison: set[str] = set()
        self.flying: dict[tuple[str, str, bool], Post] = {}
        self.posted: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.notices: list[str] = []
        self.crashes = 0

    # -- what happens -----------------------------------------------------------------------------------------------------------

    @rule(
        chid=chids,
        botcode=botcodes,
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
        hold_ms=st.sampled_from([0, 0, 300]),
        lasts_ms=st.sampled_from([0, 0, 1_000, 300_000]),
        poison=st.booleans(),
    )
    def happen(self, chid: str, botcode: str, kinds: list[str], hold_ms: int, lasts_ms: int, poison: bool) -> None:
        """Have something happen that a channel is to be told of."""
        for kind in kinds:
            stream = self.desk.notice(kind, chid=chid, botcode=botcode, hold_ms=hold_ms, lasts_ms=lasts_ms)
            self.notices.append(stream)
            if poison and kind not in CONTROL:
                self.poison.add(stream)
                poison = False  # one of them

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Have a request tell the end of its message in its answer."""
        waiting = [
            (stream, due)
            for _, stream, due in self.desk.notices
            if due.kind == "sendStatus" and self.desk.state(stream) == "new"
        ]
        if waiting:
            stream, due = data.draw(st.sampled_from(waiting))
            answered = DeliveryAnswered(at=self.desk.wall, chid=due.chid, botcode=due.botcode, msgid=1)
            self.desk.do(stream, delivery.Answer(answered), due.botcode)

    @rule(chid=chids, mood=st.sampled_from(MOODS))
    def change(self, chid: str, mood: str) -> None:
        """Have a receiver fail, or be healthy again."""
        self.moods[chid] = mood

    @rule(chid=chids)
    def move(self, chid: str) -> None:
        """Have a channel's callbacks go elsewhere, where the receiver is healthy."""
        self.moods[chid] = "up"
        self.desk.endpoint(chid).moved()

    @rule(ms=st.sampled_from([1, 300, 5_000, 60_000, 3_600_000]))
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.desk.wait(ms)

    @rule(ms=st.sampled_from([-3_600_000, 3_600_000, 400_000_000]))
    def set_the_clock(self, ms: int) -> None:
        """Set the wall clock."""
        self.desk.wall += ms

    # -- what the owner does ----------------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """Record what is to be recorded."""
        self.desk.settle()

    @rule(chid=chids, botcode=botcodes, control=st.booleans(), count=st.integers(1, 5))
    def post(self, chid: str, botcode: str, control: bool, count: int) -> None:
        """Post what is next in a queue; the receiver answers at once."""
        self.desk.settle()
        for _ in range(count):
            if self._begin(chid, botcode, control):
                self._end((chid, botcode, control))

    @rule(chid=chids)
    def begin(self, chid: str) -> None:
        """Post what is next in each of a channel's queues; the receiver takes its time."""
        for botcode in BOTS:
            for control in (True, False):
                self._begin(chid, botcode, control)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Have a receiver answer."""
        self._end(data.draw(st.sampled_from(sorted(self.flying))))

    @rule(from_log=st.booleans())
    def crash(self, from_log: bool) -> None:
        """Have the owner crash, and another one go on from the log or from what is open now."""
        self.crashes += 1
        self.flying.clear()
        self.desk.restart(None if from_log else self.desk.snapshots())

    # -- steps ------------------------------------------------------------------------------------------------------------------

    def _begin(self, chid: str, botcode: str, control: bool) -> bool:
        key = (chid, botcode, control)
        post = self.desk.next(chid, control=control, botcode=botcode)
        if not isinstance(post, Post):
            return False
        assert key not in self.flying, "two of one queue at the same time"
        due = self._due(post)
        assert "due" == self.desk.state(post.stream)
        assert (chid, botcode, control) == (due.chid, due.botcode, due.kind in CONTROL)
        assert post.body in (None, due.body)
        assert post.attempt <= MOST_ATTEMPTS
        assert due.expires_at is None or self.desk.wall < due.expires_at
        endpoint = self.desk.endpoint(chid)
        assert endpoint.up or chid not in {other[0] for other in self.flying}, "two probes at the same time"
        self._check_order(key, post)
        self.posted[post.stream] += 1
        self.desk.began(post)
        self.flying[key] = post
        return True

    def _due(self, post: Post) -> DeliveryDue:
        recorded = self.desk.log[post.position - 1]
        assert recorded is not None
        assert recorded.stream == post.stream
        assert isinstance(recorded.event, DeliveryDue)
        return recorded.event

    def _check_order(self, key: tuple[str, str, bool], post: Post) -> None:
        """Check that everything before it in its queue was tried, or has ended."""
        cause = delivery.cause(post.stream)
        for position, stream, due in self.desk.notices:
            same = key == (due.chid, due.botcode, due.kind in CONTROL)
            if same and position < cause and self.desk.state(stream) in ("new", "due"):
                assert self.posted[stream], f"{post.stream} overtook {stream}"

    def _end(self, key: tuple[str, str, bool]) -> None:
        post = self.flying.pop(key)
        mood = self.moods[post.chid]
        if mood == "up" and post.stream in self.poison:
            mood = "down"
        if mood == "up":
            self.acknowledged.add(post.stream)
            self.desk.acknowledge(post)
        elif mood == "gone":
            self.desk.refuse(post, "HTTP 410", gone=True)
        else:
            self.desk.refuse(post, retry_after_s=600 if mood == "busy" else None)

    # -- the end ----------------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let all receivers be healthy: everything ends, within the schedule of what is refused, and ends rightly."""
        desk = self.desk
        self.moods = dict.fromkeys(CHIDS, "up")
        for key in list(self.flying):
            self._end(key)
        began, idle = desk.mono, 0
        while any(len(queues) for queues in desk.bots.values()):
            assert desk.mono - began < 10 * 86_400_000, f"stuck: {self._open()}"
            desk.settle()
            before, waits = len(desk.log), []
            for botcode in BOTS:
                found = desk.bot(botcode).next_records(desk.now)
                if isinstance(found, Wait):
                    waits.append(found.ms)
                for chid in CHIDS:
                    for control in (True, False):
                        while self._begin(chid, botcode, control):
                            self._end((chid, botcode, control))
                        desk.settle()
                        step = desk.next(chid, control=control, botcode=botcode)
                        if isinstance(step, Wait):
                            waits.append(step.ms)
            # A queue asks to be looked at again long before something in it is due.
            idle = idle + 1 if len(desk.log) == before else 0
            desk.wait(min(waits, default=0) << min(idle, 8))
        self._check_ends()

    def _open(self) -> list[str]:
        return [stream for stream in self.notices if self.desk.state(stream) in ("new", "due")]

    def _check_ends(self) -> None:
        for stream in self.notices:
            state = self.desk.state(stream)
            assert state in delivery.FINAL, f"{stream} is {state}"
            assert (state == DeliveryState.DELIVERED) == (stream in self.acknowledged) or self.crashes, stream
            assert self.posted[stream] <= MOST_ATTEMPTS + self.crashes
        for queues in self.desk.bots.values():
            kept = {name: value for name, value in vars(queues).items() if hasattr(value, "__len__") and len(value)}
            assert {"botcode": queues.botcode} == kept


@pytest.mark.slow
def test_everything_ends() -> None:
    """Whatever receivers, owners and clocks do: when the receivers are healthy every callback ends, in order, and none is kept."""
    run_state_machine_as_test(
        Deliveries,
        settings=settings(
            deadline=None, max_examples=200, stateful_step_count=40, suppress_health_check=list(HealthCheck)
        ),
    )
