"""The queues of deliveries: what is posted when, in which order, and that nothing is lost, stuck or kept."""

from time import process_time

import pytest

from tests.deliveries import Desk
from wxrc_core import delivery
from wxrc_core.delivery import DeliveryAnswered
from wxrc_core.delivery_queue import AT_ONCE, EXPIRY_MS, LOOK_AGAIN_MS, TEXTS, DeliveryQueues
from wxrc_core.effects import Post, Wait

HOUR = 3_600_000


@pytest.fixture
def desk() -> Desk:
    """A desk without anything on it."""
    return Desk()


def take_down(desk: Desk, *, chid: str = "ch", botcode: str = "b") -> list[str]:
    """Have two callbacks in a row fail; return them."""
    posts = [desk.begin(chid, botcode=botcode)]
    desk.refuse(posts[0])
    posts.append(desk.begin(chid, botcode=botcode))
    desk.refuse(posts[1])
    return [post.stream for post in posts]


# -- order ----------------------------------------------------------------------------------------------------------------------


def test_in_the_order_of_their_causes(desk: Desk) -> None:
    """Callbacks go in the order of the events that caused them, control notices apart from data."""
    first, status, second = desk.notice(), desk.notice("botStatus"), desk.notice("sendStatus")
    desk.settle()

    assert [first, second] == desk.post_all()
    assert [status] == desk.post_all(control=True)
    assert desk.next() is None


def test_whatever_is_recorded_first(desk: Desk) -> None:
    """Where another owner recorded a later one first, the earlier one still goes first."""
    first, second = desk.notice(), desk.notice()
    [one, two] = desk.to_record()
    desk.do(two[0], two[1], "b")

    assert Wait(LOOK_AGAIN_MS) == desk.next()
    desk.do(one[0], one[1], "b")
    assert [first, second] == desk.post_all()


def test_one_at_a_time_in_each_queue(desk: Desk) -> None:
    """The next one goes when the receiver has acknowledged the one before, even before that is recorded."""
    _, second = desk.due(2)
    post = desk.begin()

    assert Wait(LOOK_AGAIN_MS) == desk.next()
    desk.acknowledge(post, record=False)
    assert second == desk.begin().stream


def test_what_was_acknowledged_and_could_not_be_recorded_goes_again(desk: Desk) -> None:
    """At least once: where the end of an attempt was not recorded the callback is posted again, under the same number."""
    desk.due()
    post = desk.begin()
    desk.acknowledge(post, record=False)

    assert Wait(LOOK_AGAIN_MS) == desk.next()
    desk.bot().end(post.stream)
    assert post == desk.begin()


# -- notices that are not recorded yet ------------------------------------------------------------------------------------------


def test_one_that_is_held_back_holds_up_its_own_queue_only(desk: Desk) -> None:
    """While a request may still tell the end in its answer, nothing that came later overtakes it, and everything else goes on."""
    before = desk.notice()
    held = desk.notice("sendStatus", hold_ms=300)
    after, status = desk.notice(), desk.notice("botStatus")
    other = desk.notice(chid="other")
    desk.settle()

    assert ["due", "new", "new", "due", "due"] == [desk.state(each) for each in (before, held, after, status, other)]
    assert Wait(300) == desk.bot().next_records(desk.now)
    assert [before] == desk.post_all()
    desk.wait(300)
    desk.settle()
    assert [held, after] == desk.post_all()


def test_one_that_is_answered_no_longer_holds_up_anything(desk: Desk) -> None:
    """The request told the end in its answer: no callback is due, and those behind it go at once."""
    held, after = desk.notice("sendStatus", hold_ms=300), desk.notice()
    answered = DeliveryAnswered(at=desk.wall, chid="ch", botcode="b", msgid=1)
    desk.do(held, delivery.Answer(answered), "b")
    desk.settle()

    assert "answered" == desk.state(held)
    assert [after] == desk.post_all()


def test_many_are_recorded_in_one_go(desk: Desk) -> None:
    """What is to be recorded comes in groups, in order."""
    streams = [desk.notice() for _ in range(AT_ONCE + 1)]
    steps = desk.bot().next_records(desk.now)

    assert isinstance(steps, list)
    assert streams[:AT_ONCE] == [step.stream for step in steps]


# -- expired, superseded --------------------------------------------------------------------------------------------------------


def test_one_whose_time_is_over_is_not_posted(desk: Desk) -> None:
    """It expires, and those behind it go on."""
    brief, after = desk.notice(lasts_ms=5_000), desk.notice()
    desk.settle()

    assert Wait(5_000) == desk.bot().next_records(desk.now)
    desk.wait(5_000)
    assert Wait(EXPIRY_MS) == desk.next()
    desk.settle()
    assert "expired" == desk.state(brief)
    assert [after] == desk.post_all()


def test_one_that_is_on_its_way_does_not_expire(desk: Desk) -> None:
    """What the receiver may be acknowledging at this moment is not recorded as expired."""
    brief = desk.notice(lasts_ms=5_000)
    desk.settle()
    post = desk.begin()
    desk.wait(6_000)
    desk.settle()

    assert "due" == desk.state(brief)
    desk.acknowledge(post)
    assert "delivered" == desk.state(brief)


def test_the_wall_clock_is_looked_at_again(desk: Desk) -> None:
    """An expiry far away is not waited for in one go, since the clock may be set meanwhile."""
    desk.notice(lasts_ms=HOUR)
    desk.settle()

    assert Wait(LOOK_AGAIN_MS) == desk.bot().next_records(desk.now)
    desk.wall += HOUR
    desk.settle()
    assert desk.next(control=False) is None


@pytest.mark.parametrize("kind", ["botStatus", "qrCode"])
def test_a_newer_control_notice_supersedes_an_older_one(desk: Desk, kind: str) -> None:
    """Only the newest of its kind is told, to each channel; other kinds and data are not concerned."""
    other_kind = "qrCode" if kind == "botStatus" else "botStatus"
    old, other, data, elsewhere = (
        desk.notice(kind),
        desk.notice(other_kind),
        desk.notice(),
        desk.notice(kind, chid="elsewhere"),
    )
    older_still = desk.notice(kind)
    new = desk.notice(kind)
    desk.settle()

    assert ["superseded", "superseded", "due"] == [desk.state(each) for each in (old, older_still, new)]
    assert [other, new] == desk.post_all(control=True)
    assert [data] == desk.post_all()
    assert [elsewhere] == desk.post_all("elsewhere", control=True)


def test_one_that_is_on_its_way_is_not_superseded(desk: Desk) -> None:
    """It ends as the receiver says; only where it fails a newer one takes its place."""
    [old] = desk.due(kind="botStatus")
    post = desk.begin(control=True)
    desk.due(kind="botStatus")

    assert "due" == desk.state(old)
    desk.refuse(post)
    desk.settle()
    assert "superseded" == desk.state(old)


# -- bounded --------------------------------------------------------------------------------------------------------------------


def test_a_queue_holds_a_few_texts(desk: Desk) -> None:
    """Of those that wait far behind, the log has the text; the post says where."""
    streams = desk.due(TEXTS + 5)
    posts = []
    while isinstance(post := desk.next(), Post):
        desk.began(post)
        desk.acknowledge(post)
        posts.append(post)

    assert [True] * TEXTS + [False] * 5 == [post.body is not None for post in posts]
    for post, stream in zip(posts, streams, strict=True):
        recorded = desk.log[post.position - 1]
        assert recorded is not None
        assert (stream, post.body or recorded.event.body) == (recorded.stream, recorded.event.body)


def is_empty(queues: DeliveryQueues) -> bool:
    """Say whether nothing is kept, in heaps either."""
    containers = [value for name, value in vars(queues).items() if name not in ("botcode", "_removed")]
    return not any(len(each) for each in [*containers, queues._expiries._heap])


@pytest.mark.slow
def test_two_hundred_thousand_come_and_go(desk: Desk) -> None:
    """Nothing is kept of what has ended, neither by the owner nor by a gateway that only follows."""
    owner, follower = desk.bot(), DeliveryQueues("b")
    for _ in range(200):
        begun = len(desk.log)
        for number in range(1_000):
            desk.notice(
                ("userMsg", "sendStatus", "qrCode", "botStatus")[number % 4], lasts_ms=60_000, chid=f"c{number % 7}"
            )
        desk.settle()
        for number in range(7):
            desk.post_all(f"c{number}")
            desk.post_all(f"c{number}", control=True)
        for recorded in desk.log[begun:]:
            if recorded is not None:
                follower.fold(recorded, desk.mono)

        assert is_empty(owner)
    assert is_empty(follower)


@pytest.mark.slow
def test_finding_the_next_costs_the_same_however_many_wait() -> None:
    """The next callback is found in microseconds, with 20,000 waiting, failed ones among them."""
    desk = Desk()
    desk.due(20_000)
    take_down(desk)
    desk.wait(5_000)

    def cost(rounds: int = 2_000) -> float:
        begun = process_time()
        for _ in range(rounds):
            desk.next()
        return (process_time() - begun) / rounds

    desk.next()
    assert min(cost() for _ in range(3)) < 50e-6


# -- crashes --------------------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_everything_that_is_open(desk: Desk) -> None:
    """Restored, it gives the same steps and posts as the log."""
    desk.due(3)
    desk.notice("qrCode", lasts_ms=60_000)
    desk.settle()
    desk.notice("qrCode", lasts_ms=60_000)
    desk.notice(hold_ms=300)
    take_down(desk)
    snapshots = desk.snapshots()
    desk.restart()
    steps = desk.to_record()
    desk.restart(snapshots)

    assert snapshots == desk.snapshots()
    assert 3 == len(steps)
    assert sorted(steps, key=lambda step: step[0]) == sorted(desk.to_record(), key=lambda step: step[0])
    desk.settle()
    assert [1, 2, 3] == [delivery.cause(stream) for stream in desk.post_all()[:3]]


def test_a_new_owner_posts_again_what_was_on_its_way(desk: Desk) -> None:
    """Whether it arrived is not known: it goes again, at once, and so does what waited for its own time."""
    streams = desk.due(3)
    take_down(desk)
    desk.wait(5_000)
    desk.begin()
    desk.restart()

    assert streams == desk.post_all()
