"""Queues of deliveries to receivers that fail: probes, retries, poison, other places, clocks that are set."""

import pytest

from tests.deliveries import Desk
from wxrc_core import delivery
from wxrc_core.delivery_queue import LIFETIME_MS, LONG_DOWN_MS, LOOK_AGAIN_MS
from wxrc_core.delivery_schedule import LONGEST_RETRY_AFTER_S, SCHEDULE_S, wait_ms
from wxrc_core.effects import Post, Wait
from wxrc_core.endpoint import PROBE_SHARE, UNTRIED_PROBE_MS

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


def test_a_receiver_that_was_away_for_an_hour_gets_everything_at_once_and_in_order(desk: Desk) -> None:
    """While it is away one callback at a time probes, ever more seldom; when it is back nothing waits for its own time."""
    streams = desk.due(20)
    probes = 0
    while desk.mono < HOUR:
        step = desk.next()
        if isinstance(step, Post):
            probes += 1
            desk.began(step)
            desk.wait(5_000)
            desk.refuse(step, "no answer in 5 s")
        else:
            assert isinstance(step, Wait)
            desk.wait(step.ms)
    back_at = desk.mono
    while not isinstance(step := desk.next(), Post):
        assert isinstance(step, Wait)
        desk.wait(step.ms)
    assert desk.mono - back_at <= HOUR // PROBE_SHARE

    posted = desk.post_all()
    assert sorted(streams) == sorted(posted)
    back = posted[1:]
    assert sorted(back, key=delivery.cause) == back, "after the probe, in order"
    assert probes <= 110


def test_one_probe_for_all_queues_of_a_channel(desk: Desk) -> None:
    """While a receiver is away, one callback at a time goes there, whatever bot it is about; other receivers are not concerned."""
    desk.due(5)
    desk.due(5, botcode="c")
    desk.due(1, "botStatus")
    desk.due(1, chid="healthy")
    take_down(desk)

    assert Wait(5_000) == desk.next()
    assert [Wait(5_000)] * 2 == [desk.next(botcode="c"), desk.next(control=True)]
    assert isinstance(desk.next("healthy"), Post)
    desk.wait(5_000)
    probe = desk.begin(botcode="c")
    assert [Wait(LOOK_AGAIN_MS)] * 2 == [desk.next(), desk.next(control=True)]
    desk.acknowledge(probe)
    assert [True] * 3 == [
        isinstance(step, Post) for step in (desk.next(), desk.next(botcode="c"), desk.next(control=True))
    ]


def test_retry_after_is_kept_by_all_queues(desk: Desk) -> None:
    """What the receiver asks for holds for everything that would go there, and is over when it is over."""
    desk.due(2)
    desk.due(1, botcode="c")
    desk.refuse(desk.begin(), "HTTP 429", retry_after_s=20)

    assert [Wait(20_000)] * 2 == [desk.next(), desk.next(botcode="c")]
    desk.wait(20_000)
    assert isinstance(desk.next(botcode="c"), Post)


def test_retry_after_for_a_day_at_most(desk: Desk) -> None:
    """Nobody can make a channel's callbacks wait for a year."""
    desk.due()
    desk.refuse(desk.begin(), "HTTP 429", retry_after_s=10**9)
    desk.wait(LONGEST_RETRY_AFTER_S * 1000)

    assert isinstance(desk.next(), Post)


def test_a_poison_callback_holds_up_nobody(desk: Desk) -> None:
    """A callback that a healthy receiver refuses keeps its own schedule; those behind it go on."""
    poison, *others = desk.due(10)
    desk.refuse(desk.begin())

    posted = desk.post_all()
    assert others == [stream for stream in posted if stream != poison]


@pytest.mark.parametrize("poisons", [1, 2, 5])
@pytest.mark.parametrize("gap_ms", [1_000, 60_000])
def test_poison_callbacks_are_not_hammered(desk: Desk, poisons: int, gap_ms: int) -> None:
    """Callbacks that a healthy receiver refuses while others succeed use up a few attempts in an hour, and delay the others by seconds."""
    bad = set(desk.due(poisons))
    attempts, latest = dict.fromkeys(bad, 0), 0
    begun = dict[str, int]()
    while desk.mono < HOUR:
        begun.update(dict.fromkeys(desk.due(1), desk.mono))
        deadline = desk.mono + gap_ms
        while desk.mono < deadline:
            step = desk.next()
            if isinstance(step, Post):
                desk.began(step)
                if step.stream in bad:
                    attempts[step.stream] += 1
                    desk.refuse(step)
                else:
                    latest = max(latest, desk.mono - begun[step.stream])
                    desk.acknowledge(step)
            else:
                desk.wait(min(step.ms, deadline - desk.mono) if isinstance(step, Wait) else deadline - desk.mono)

    assert max(attempts.values()) <= 8, "a few in an hour"
    assert {"due"} == {desk.state(stream) for stream in bad}
    assert latest <= UNTRIED_PROBE_MS * poisons, "a few in a row look like an outage"


def test_a_moved_callback_url_gets_everything_at_once(desk: Desk) -> None:
    """Nothing waits for the old place's schedule; what is on its way there says nothing about the new one."""
    streams = desk.due(5)
    take_down(desk)
    desk.wait(5_000)
    on_its_way = desk.begin()
    desk.endpoint().moved()
    desk.refuse(on_its_way)

    assert desk.endpoint().up
    assert streams == desk.post_all()


def test_nothing_goes_where_the_receiver_said_that_it_is_gone(desk: Desk) -> None:
    """After a 410 everything that waits is a dead letter; what comes after the URL was set anew goes there."""
    streams = desk.due(3)
    desk.refuse(desk.begin(), "HTTP 410", gone=True)
    desk.due(1)
    desk.settle()

    assert {"dead"} == {desk.state(stream) for stream in streams}
    assert desk.next() is None
    desk.endpoint().moved()
    after = desk.due(1)
    assert after == desk.post_all()


def test_old_ones_are_given_up_where_the_receiver_stays_away(desk: Desk) -> None:
    """A callback that has been due for longer than the whole schedule is a dead letter while its receiver is away."""
    [old, other] = desk.due(2)
    take_down(desk)
    desk.wait(LIFETIME_MS + 1)
    [young] = desk.due(1)

    assert ["dead", "dead", "due"] == [desk.state(stream) for stream in (old, other, young)]


def test_the_whole_schedule_is_used() -> None:
    """However large the jitter, no callback is given up by its age before its last attempt."""
    waits = [wait_ms(failures, None, 1.0) for failures in range(1, len(SCHEDULE_S) + 1)]

    assert sum(waits) + len(waits) * 2 * UNTRIED_PROBE_MS < LIFETIME_MS


def test_a_clock_that_is_set_gives_up_nothing(desk: Desk) -> None:
    """Neither the wall clock nor a short failure makes dead letters of what was due for a minute."""
    streams = desk.due(3)
    take_down(desk)
    desk.wait(60_000)
    desk.wall += 100 * HOUR
    desk.settle()

    assert {"due"} == {desk.state(stream) for stream in streams}
    assert LONG_DOWN_MS > 60_000
    assert sorted(streams) == sorted(desk.post_all())


@pytest.mark.parametrize("jump", [-100 * HOUR, 100 * HOUR])
def test_retries_do_not_wait_for_the_wall_clock(desk: Desk, jump: int) -> None:
    """A retry comes when its time has passed, however the clock is set meanwhile."""
    [stream] = desk.due()
    waits = []
    for planned in SCHEDULE_S[:4]:
        desk.refuse(desk.begin())
        desk.wall += jump
        began = desk.mono
        while not isinstance(step := desk.next(), Post):
            assert isinstance(step, Wait)
            assert 0 < step.ms <= LOOK_AGAIN_MS
            desk.wait(step.ms)
        waits.append((planned * 1000, desk.mono - began))

    assert [planned for planned, _ in waits] == [waited for _, waited in waits]
    assert [stream] == desk.post_all()
