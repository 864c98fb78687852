"""A grant's own pace: no minute has more of the channel's messages, on top of the bot's pace, whoever else sends, whatever crashes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrc_core import channel, message, snapshot
from wxrc_core.effects import Claim, Wait
from wxrc_core.pace import HIGHEST_PER_MINUTE, own_pace
from wxrc_core.puppet import Accepted, NotConnected, Room
from wxrc_core.testing.story import BOTCODE, Story

MINUTE = 60_000
OTHER = "other"


def two_channels(pace: int, *, bot_pace: str = "none", rooms: int = 3) -> Story:
    """Return a bot that is logged in, with a channel whose grant has this pace and another one without any."""
    story = Story.with_bot(pace=bot_pace)
    story.grant(pace=pace)
    story.add_channel(OTHER)
    story.grant(OTHER)
    return story.log_in(rooms=[Room(f"r{number}", f"room {number}") for number in range(rooms)])


def come_up(story: Story, rooms: int = 3) -> None:
    """Have the new owner's client say that the account is logged in, with its rooms."""
    story.settle()
    story.log_in(rooms=[Room(f"r{number}", f"room {number}") for number in range(rooms)])


def drain(story: Story, until: int) -> list[tuple[int, str]]:
    """Send whatever may be sent, without waiting longer than asked to, until this time; return (time, txcode)."""
    sent: list[tuple[int, str]] = []
    while story.mono < until:
        step = story.next_claim()
        if isinstance(step, Claim):
            sent.append((story.mono, step.stream.rpartition("/")[2]))
            story.send(Accepted(f"r{len(story.log)}"))
        elif isinstance(step, Wait):
            story.wait(min(step.ms, until - story.mono))
        else:
            break
    return sent


def test_no_minute_has_more_than_the_grant_allows() -> None:
    """Of ten messages two go in any minute, at once when they may, in their order."""
    story = two_channels(2)
    for number in range(6):
        story.queue(f"t{number}", room_id=f"r{number % 3}")

    assert [(0, "t0"), (0, "t1"), (MINUTE, "t2"), (MINUTE, "t3"), (2 * MINUTE, "t4"), (2 * MINUTE, "t5")] == drain(
        story, 10 * MINUTE
    )


def test_other_channels_do_not_wait() -> None:
    """Messages of another channel to other conversations go at once; to the same room they keep their place behind."""
    story = two_channels(1)
    for number in range(3):
        story.queue(f"t{number}", room_id="r0")
    story.queue("behind", chid=OTHER, room_id="r0")
    for number in range(100):
        story.queue(f"free{number}", chid=OTHER, room_id="r1")
    sent = drain(story, 10 * MINUTE)

    assert [0] * 100 == [at for at, txcode in sent if txcode.startswith("free")]
    assert [(0, "t0"), (MINUTE, "t1"), (2 * MINUTE, "t2"), (2 * MINUTE, "behind")] == [
        each for each in sent if not each[1].startswith("free")
    ]


def test_what_others_send_does_not_hide_what_the_channel_sent() -> None:
    """A hundred sends of others in between do not make the gateway forget those that the grant counts."""
    story = two_channels(2)
    for number in range(3):
        story.queue(f"t{number}", room_id="r0")
    for number in range(100):
        story.queue(f"free{number}", chid=OTHER, room_id="r1")

    assert [0, 0, MINUTE] == [at for at, txcode in drain(story, 10 * MINUTE) if txcode.startswith("t")]


def test_it_is_never_faster_than_the_bot() -> None:
    """A grant that allows 60 a minute does not make a bot of the customary pace faster."""
    story = two_channels(60, bot_pace="customary")
    for number in range(30):
        story.queue(f"t{number}", room_id="r0")
    times = [at for at, _ in drain(story, 10 * MINUTE)]

    assert 30 == len(times)
    assert all(later - earlier >= 3_000 for earlier, later in pairwise(times))
    assert all(later - earlier >= MINUTE for earlier, later in zip(times, times[20:], strict=False))


@pytest.mark.parametrize("how", ["folded again", "from a snapshot", "by another owner"])
def test_it_holds_across_restarts(how: str) -> None:
    """Whoever goes on, from the log or from a snapshot, counts what the channel has sent; the latest send as one of just now."""
    story = two_channels(2)
    for number in range(3):
        story.queue(f"t{number}", room_id="r0")
    drain(story, 1)
    kept = snapshot.encode(story.world)
    if how == "by another owner":
        story.take_over()
    else:
        story = story.restarted(snapshot=kept if how == "from a snapshot" else None)
    come_up(story)

    assert "" == snapshot.difference(story.world, snapshot.encode(story.world))
    assert [(MINUTE + 1, "t2")] == drain(story, 10 * MINUTE)


def test_a_claim_that_was_put_back_does_not_count() -> None:
    """What was not handed over uses nothing up of the grant's pace."""
    story = two_channels(1)
    story.queue("t0", room_id="r0")
    for _ in range(3):
        story.send(NotConnected("gone"))
        story.wait(1_000)

    assert [(3_000, "t0")] == drain(story, MINUTE)


def test_the_last_look_asks_for_it() -> None:
    """A claim that the store confirmed late is not handed over where the grant's pace has been lowered meanwhile."""
    story = two_channels(0)
    for number in range(2):
        story.queue(f"t{number}", room_id="r0")
    story.send(Accepted("r"))
    claim = story.claim()
    story.grant(pace=1)

    assert "the pace of the channel's grant does not allow it yet" == story.hand_over(claim)


def test_terms_that_change_hold_at_once() -> None:
    """A lower pace, a higher one and none: each counts from now on, for what waits too; so does the end of the grant."""
    story = two_channels(1)
    for number in range(8):
        story.queue(f"t{number}", room_id="r0")
    first = drain(story, 1_000)
    story.grant(pace=3)
    second = drain(story, story.mono + 1)
    story.grant(pace=0)
    third = drain(story, story.mono + 1)

    assert [1, 2, 5] == [len(first), len(second), len(third)]


def test_a_revoked_channel_has_no_pace_of_its_own() -> None:
    """What it has accepted goes on by the bot's pace."""
    story = two_channels(1)
    for number in range(3):
        story.queue(f"t{number}", room_id="r0")
    story.alter(channel.BotRevoked(at=story.wall, botcode=BOTCODE))

    assert [0, 0, 0] == [at for at, _ in drain(story, 1)]


def test_the_allowance_tells_it() -> None:
    """What a channel is told it may still send takes its grant into account; others are told what the bot's pace leaves."""
    story = two_channels(2, bot_pace="customary")
    story.queue("t0", room_id="r0")
    drain(story, 1)
    the_bot, queue = story.bot(), story.own().queue

    assert (1, story.wall + 2_999) == queue.allowance(the_bot, story.wall, "ch")
    assert (19, story.wall + 2_999) == queue.allowance(the_bot, story.wall, OTHER)
    free = two_channels(1)
    free.queue("t0", room_id="r0")
    drain(free, 1)
    assert (0, free.wall + MINUTE - 1) == free.own().queue.allowance(free.bot(), free.wall, "ch")
    assert (None, free.wall) == free.own().queue.allowance(free.bot(), free.wall, OTHER)


def test_old_grants_have_none() -> None:
    """A grant in the log of an earlier release has no pace of its own; what no release writes is bounded."""
    assert 0 == channel.BotGranted(at=1, botcode="b").pace
    assert own_pace(0) is None
    assert own_pace(-1) is None
    assert HIGHEST_PER_MINUTE == own_pace(1_000).per_minute  # type: ignore[union-attr]


@given(
    pace=st.integers(1, 5),
    asked=st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 20_000)), max_size=30),
    restarts=st.sets(st.integers(0, 29), max_size=3),
)
def test_any_order_of_requests(pace: int, asked: list[tuple[bool, int, int]], restarts: set[int]) -> None:
    """Whatever is asked when: rooms keep their order, no minute has more than allowed, and all go in the end."""
    story = two_channels(pace)
    sent: list[tuple[int, str]] = []
    for number, (own, room, wait) in enumerate(asked):
        story.queue(f"{'t' if own else 'o'}{number}", chid="ch" if own else OTHER, room_id=f"r{room}")
        sent += drain(story, story.mono + wait)
        if number in restarts:
            story.take_over()
            come_up(story)
    sent += drain(story, story.mono + 60 * MINUTE)
    times = [at for at, txcode in sent if txcode.startswith("t")]

    assert len(asked) == len(sent)
    assert all(later - earlier >= MINUTE for earlier, later in zip(times, times[pace:], strict=False))
    for room in range(3):
        order = [int(code[1:]) for _, code in sent if asked[int(code[1:])][1] == room]
        assert sorted(order) == order
    assert all(
        message.MessageState.SENT is story.message(code, "ch" if code.startswith("t") else OTHER).state
        for _, code in sent
    )


def test_a_claim_that_is_put_back_after_a_snapshot() -> None:
    """A snapshot between a claim and its being put back, and the tail, are the fold of the whole log: other channels' sends included."""
    story = two_channels(2)
    story.queue("o0", chid=OTHER, room_id="r1")
    drain(story, 1)
    story.wait(MINUTE + 5)
    story.queue("t0", room_id="r0")
    claim = story.claim()
    kept = snapshot.encode(story.world)
    story.hand_over(claim)
    story.end(claim, NotConnected("gone"))
    again = story.restarted(snapshot=kept)

    assert "" == snapshot.difference(story.restarted().world, snapshot.encode(again.world))
