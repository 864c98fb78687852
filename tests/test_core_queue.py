"""A bot's queue: which message is next, when, and when it is too late."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import BOT, ROOMS, attempt, examples, follow, log_in, send, settle, story, stream
from wxrc_core import bot, message, pace
from wxrc_core.effects import Decide, Dispatch, Send, Wait
from wxrc_core.puppet import Accepted, NotSent, ReportLinkLost, ReportLoggedIn, ReportRooms, Room

# -- the queue --------------------------------------------------------------------------------------------------------------------


def test_a_queue_waits_for_its_bot() -> None:
    """A bot that is not logged in has its queue held, not failed; once its rooms are known the first goes."""
    told = story()

    assert [Dispatch("b")] == send(told, "1")
    assert None is told.world.next_message("b", 10)

    log_in(told)

    assert attempt("1", at=10) == told.world.next_message("b", 10)


@pytest.mark.parametrize(
    "gone",
    [
        ReportLinkLost(at=5, reason="broke"),
        bot.RequestLogout(at=5, operation=99),
        bot.RequestStop(at=5, operation=99),
        bot.RestartClient(at=5, starts=1),
    ],
)
def test_a_queue_is_held_while_the_bot_cannot_send(gone: Any) -> None:
    """Lost link, logout, stop, restart: nothing is attempted until the bot can send again."""
    told = log_in(story())
    send(told, "1")
    told.do(BOT, gone)

    assert None is told.world.next_message("b", 10)


def test_one_at_a_time_in_accept_order() -> None:
    """While one is being sent no other is; then the next goes, oldest first (invariant 10)."""
    told = log_in(story())
    for txcode in ("1", "2", "3"):
        send(told, txcode)
    [sending] = follow(told, told.world.next_message("b", 0))

    assert isinstance(sending, Send)
    assert ("b", stream("1"), "text 1") == (sending.botcode, sending.stream, sending.outgoing.text)
    assert None is told.world.next_message("b", 0)

    settle(told, "1", Accepted("wx1"))

    assert attempt("2") == told.world.next_message("b", 0)
    assert None is told.world.held(stream("1"))  # what has ended is dropped


def test_one_that_comes_back_keeps_its_place_and_blocks_its_room_only() -> None:
    """After a definite failure it waits a while; what is behind it in its room waits too, other rooms go on."""
    told = log_in(story())
    send(told, "1", room_id="", room_topic="一群")
    send(told, "2", room_id="r1")
    send(told, "3", room_id="r2")
    follow(told, told.world.next_message("b", 0))
    settle(told, "1", NotSent("not connected", retry=True), at=0)

    assert attempt("3", room_id="r2") == told.world.next_message("b", 0)

    follow(told, told.world.next_message("b", 0))
    settle(told, "3", Accepted("wx3"))

    assert Wait(1_000) == told.world.next_message("b", 0)
    assert attempt("1", 2, at=1_000) == told.world.next_message("b", 1_000)


def test_room_not_found_is_said_of_a_complete_list_only() -> None:
    """While rooms are still being synced nobody knows; then it is decided once (invariant 9)."""
    told = log_in(story(), rooms=(), complete=False)
    send(told, "id", room_id="r1")
    send(told, "topic", room_id="", room_topic="二群")

    assert None is told.world.next_message("b", 5)

    told.do(BOT, ReportRooms(at=6, rooms=(Room("r1", "一群"),), complete=False))

    assert attempt("id", at=7) == told.world.next_message("b", 7)

    follow(told, told.world.next_message("b", 7))
    settle(told, "id", Accepted("wx1"))

    assert None is told.world.next_message("b", 8)

    told.do(BOT, ReportRooms(at=9, rooms=(Room("r1", "一群"),), complete=True))

    assert Decide(stream("topic"), message.NoRoom(at=10)) == told.world.next_message("b", 10)


def test_two_rooms_of_one_name() -> None:
    """A name that two rooms have is not sent to either; the detail says what to do."""
    told = log_in(story())
    send(told, "1", room_id="", room_topic="同名")
    step = told.world.next_message("b", 0)

    assert isinstance(step, Decide)
    assert message.Fail(at=0, reason="failed", detail="2 rooms have this name; name the room by roomId") == step.command


def test_a_renamed_room_is_found_by_its_new_name() -> None:
    """The index of names follows the room list."""
    told = log_in(story())
    told.do(BOT, ReportRooms(at=1, rooms=(Room("r1", "新名"), *ROOMS[1:]), complete=True))
    the_bot = told.world.bots["b"].state

    assert ["r1"] == told.world.rooms_named(the_bot, "新名")
    assert [] == told.world.rooms_named(the_bot, "一群")
    assert ["r3", "r4"] == told.world.rooms_named(the_bot, "同名")


def test_a_message_expires_while_it_waits() -> None:
    """Its time runs although its bot is logged out; the world says until when to wait."""
    told = story()
    send(told, "1", expires_at=500)

    assert Wait(500) == told.world.next_message("b", 10)
    assert Decide(stream("1"), message.Expire(at=500)) == told.world.next_message("b", 500)

    follow(told, told.world.next_message("b", 500))

    assert None is told.world.next_message("b", 501)


def test_a_message_that_comes_back_too_late_expires() -> None:
    """Nothing can be done while it is being sent; but it is not sent again when its time is over."""
    told = log_in(story())
    send(told, "1", expires_at=500)
    follow(told, told.world.next_message("b", 0))

    assert None is told.world.next_message("b", 600)

    settle(told, "1", NotSent("not connected", retry=True), at=700)

    assert Decide(stream("1"), message.Expire(at=9_000)) == told.world.next_message("b", 9_000)


def test_nothing_is_next_where_nothing_is() -> None:
    """Unknown bots and channels have no queue and no callbacks."""
    told = story()

    assert None is told.world.next_message("nobody", 0)
    assert None is told.world.next_message("b", 0)
    assert None is told.world.next_delivery("ch", "b", 0)


# -- the pace -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "room_id", "when"),
    [
        ([], "r1", 0),
        ([(10_000, "r1")], "r1", 13_000),  # the same room: 3 s
        ([(10_000, "r1")], "r2", 14_000),  # another room: 4 s
        ([(10_000, "r1"), (11_000, "r2")], "r1", 15_000),  # back again: 4 s after the switch
        ([(number * 1_000, "r1") for number in range(20)], "r1", 60_000),  # 20 in the last minute
        ([(number * 1_000, "r1") for number in range(19)], "r1", 21_000),
        ([(number * 1_000, "r1") for number in range(40)], "r2", 80_000),
    ],
)
def test_earliest(attempts: list[tuple[int, str]], room_id: str, when: int) -> None:
    """The gaps for the room, for switching rooms and for the minute; the longest counts."""
    assert when == pace.earliest(pace.CUSTOMARY, attempts, room_id)


@examples
@given(
    limits=st.builds(
        pace.Pace,
        per_minute=st.integers(1, 30),
        room_gap_ms=st.integers(0, 10_000),
        switch_gap_ms=st.integers(0, 10_000),
    ),
    wishes=st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from(["r1", "r2", "r3"])), max_size=80),
)
def test_no_window_has_more_than_the_pace_allows(limits: pace.Pace, wishes: list[tuple[int, str]]) -> None:
    """However sends are wished for: never more than `per_minute` in any 60 s, and no gap too short (invariant 11)."""
    now, made = 0, list[tuple[int, str]]()
    for passed, room_id in wishes:
        now = max(now + passed, pace.earliest(limits, made, room_id))
        made.append((now, room_id))
    times = [at for at, _ in made]

    assert all(sum(at <= other < at + 60_000 for other in times) <= limits.per_minute for at in times)
    for (at, room), (then, other) in pairwise(made):
        assert then - at >= (limits.room_gap_ms if room == other else limits.switch_gap_ms)


def test_the_pace_holds_across_a_restart() -> None:
    """The times of earlier attempts come from the log."""
    told = log_in(story(pace="customary"))
    for txcode in ("1", "2"):
        send(told, txcode)
    follow(told, told.world.next_message("b", 10_000))
    settle(told, "1", Accepted("wx1"), at=10_100)

    assert Wait(13_000) == told.world.next_message("b", 10_100)

    again = told.restarted()
    again.carry_out(again.world.resume(11_000))
    again.do(BOT, ReportLoggedIn(at=12_000, wxid="wxid_b", name="Bot"))

    assert Wait(13_000) == again.world.next_message("b", 12_000)
    assert attempt("2", at=13_000) == again.world.next_message("b", 13_000)
