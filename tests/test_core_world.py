"""The world: what is open, what is next, and what must be taken up after a crash."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import Story, examples
from wxrc_core import bot, channel, delivery, inbound, message, operation, pace
from wxrc_core.effects import (
    Decide,
    Dispatch,
    Flush,
    Post,
    ReleasePuppet,
    Send,
    SignOut,
    StartPuppet,
    StopPuppet,
    Wait,
)
from wxrc_core.puppet import Accepted, NotSent, ReportLinkLost, ReportLoggedIn, ReportMessage, ReportRooms, Room
from wxrc_core.world import USER_MESSAGE_LIFETIME_MS, World
from wxrc_simulation.run import Play

BOT = bot.stream_name("b")
ROOMS = (Room("r1", "一群"), Room("r2", "二群"), Room("r3", "同名"), Room("r4", "同名"))


def stream(txcode: str) -> str:
    """Return the stream of a request."""
    return message.stream_name("ch", "20261124", txcode)


def story(*, callback: str = "https://ch.example/", pace: str = "none", deduplicates: bool = False) -> Story:
    """Return the beginning: a bot, and a channel that may use it."""
    told = Story()
    added = bot.BotAdded(at=0, botcode="b", puppet="simulator", pace=pace, deduplicates=deduplicates)  # type: ignore[arg-type]
    told.do(BOT, bot.Add(added))
    settings = channel.ChannelAdded(at=0, chid="ch", key_id="k", webhook_secret_id="w", callback_url=callback)
    told.do("channel/ch", channel.Add(settings))
    told.do("channel/ch", channel.Grant(channel.BotGranted(at=0, botcode="b")))
    return told


def operate(told: Story, kind: Any, txcode: str, at: int = 0) -> list[Any]:
    """Accept an operation; return what must be done."""
    accepted = operation.OperationAccepted(
        at=at, chid="ch", botcode="b", txcode=txcode, interface=kind, digest=f"{kind} {txcode}", kind=kind
    )
    return told.do(stream(txcode), operation.Accept(accepted))


def log_in(told: Story, *, rooms: tuple[Room, ...] = ROOMS, complete: bool = True) -> Story:
    """Log the bot in, up to its room list; its callbacks are created and left alone."""
    told.carry_out(operate(told, "login", "login"))
    told.carry_out(told.do(BOT, ReportLoggedIn(at=0, wxid="wxid_b", name="Bot")))
    told.do(BOT, ReportRooms(at=0, rooms=rooms, complete=complete))
    return told


def send(told: Story, txcode: str, **fields: Any) -> list[Any]:
    """Accept a text; return what must be done."""
    known = {"room_id": "r1", "text": f"text {txcode}"} | fields
    queued = message.MessageQueued(
        at=0, chid="ch", botcode="b", txcode=txcode, interface="roomSendText", digest=repr(known), **known
    )
    return told.do(stream(txcode), message.Queue(queued))


def attempt(txcode: str, number: int = 1, room_id: str = "r1", at: int = 0) -> Decide:
    """Return what the world says when a message is next."""
    return Decide(stream(txcode), message.Attempt(at=at, attempt=number, room_id=room_id))


def follow(told: Story, step: Any) -> list[Any]:
    """Carry out what the world says is next; return what must be done."""
    assert isinstance(step, Decide)
    return told.do(step.stream, step.command)


def settle(told: Story, txcode: str, outcome: Any, number: int = 1, at: int = 0, **fields: Any) -> list[Any]:
    """Tell how a hand-over ended; return what must be done."""
    return told.do(stream(txcode), message.Settle(at=at, attempt=number, outcome=outcome, **fields))


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


# -- operations -----------------------------------------------------------------------------------------------------------------------


def test_operations_come_one_after_the_other() -> None:
    """A login that is asked for during a logout comes after it."""
    told = log_in(story())
    logout = operate(told, "logout", "op1")
    position = told.log[-1].position

    assert [Decide(BOT, bot.RequestLogout(at=0, operation=position))] == logout
    assert [SignOut("b", position)] == told.carry_out(logout)
    assert [] == operate(told, "login", "op2")  # it has to wait

    finished = told.do(BOT, bot.FinishLogout(at=5))
    [*told_so, login] = finished

    assert Decide(BOT, bot.RequestLogin(at=0, operation=position + 2)) == login
    assert StartPuppet("b") in told.carry_out([login])
    assert all(isinstance(effect.command, delivery.Create) for effect in told_so)


def test_two_operations_at_once_are_carried_out_once_each() -> None:
    """The second waits for the first; handed over twice, each happens once."""
    told = story()
    first, second = operate(told, "login", "op1"), operate(told, "stop", "op2")
    position = told.log[-1].position

    assert [] == second
    assert [StartPuppet("b"), ReleasePuppet("b", position)] == told.carry_out(first)
    assert [] == told.carry_out(first)


# -- callbacks ------------------------------------------------------------------------------------------------------------------------


def _bodies(told: Story) -> list[dict[str, Any]]:
    return [json.loads(entry.event.body) for entry in told.log if isinstance(entry.event, delivery.DeliveryDue)]


def test_who_is_told_of_a_bot() -> None:
    """Every channel with a grant for the bot and a callback URL; each notice has a name of its own, and says what it is about."""
    told = story()
    for chid, url, granted in (
        ("silent", "", True),
        ("stranger", "https://s.example/", False),
        ("two", "https://t/", True),
    ):
        settings = channel.ChannelAdded(at=0, chid=chid, key_id="k", webhook_secret_id="w", callback_url=url)
        told.do(f"channel/{chid}", channel.Add(settings))
        if granted:
            told.do(f"channel/{chid}", channel.Grant(channel.BotGranted(at=0, botcode="b")))
    told.carry_out(operate(told, "login", "op1"))
    told.do(BOT, ReportLoggedIn(at=7, wxid="wxid_b", name="Bot"))
    cause = told.log[-1].position
    told.carry_out(told.world.resume(8))
    due = [entry for entry in told.log if isinstance(entry.event, delivery.DeliveryDue)]

    assert [f"delivery/evt_{cause}_ch", f"delivery/evt_{cause}_two"] == [entry.stream for entry in due]
    assert ["ch", "two"] == [entry.event.chid for entry in due]
    assert {
        "botcode": "b",
        "type": "botStatus",
        "botStatus": "login",
        "reason": "",
        "wxid": "wxid_b",
        "name": "Bot",
        "seq": cause,
        "time": 7,
    } == _bodies(told)[0]


def test_a_message_tells_its_own_channel_unless_it_was_answered() -> None:
    """An end that was the answer to the request needs no callback."""
    told = log_in(story())
    for txcode, answered in (("1", False), ("2", True)):
        told.carry_out(send(told, txcode))
        follow(told, told.world.next_message("b", 0))
        told.carry_out(settle(told, txcode, Accepted(f"wx{txcode}"), answered=answered))
    notices = [body for body in _bodies(told) if body["type"] == "sendStatus"]

    assert ["1"] == [body["txcode"] for body in notices]
    assert ("1", "") == (notices[0]["sendStatus"], notices[0]["sendReason"])


@pytest.mark.parametrize(
    ("wanted", "mentioned", "room_id", "told_so"),
    [
        ("addressed", True, "r1", True),
        ("addressed", False, "", True),
        ("addressed", False, "r1", False),
        ("all", False, "r1", True),
    ],
)
def test_who_is_told_what_people_say(wanted: Any, mentioned: bool, room_id: str, told_so: bool) -> None:
    """By default mentions and direct messages; a grant can ask for everything. It is worth telling for five minutes."""
    told = story()
    told.do("channel/ch", channel.Grant(channel.BotGranted(at=0, botcode="b", inbound=wanted)))
    report = ReportMessage(
        at=7, message_id="m1", kind="text", text="你好", from_id="w1", room_id=room_id, mentioned=mentioned
    )
    told.carry_out(told.do(inbound.stream_name("b", "m1"), inbound.Receive("b", report)))
    due = [entry.event for entry in told.log if isinstance(entry.event, delivery.DeliveryDue)]

    assert told_so == bool(due)
    assert (wanted == "all") == told.world.wants_everything("b")
    for event in due:
        body = json.loads(event.body)

        assert ("userMsg", "text", "你好") == (body["type"], body["msgType"], body["msgData"]["text"])
        assert 7 + USER_MESSAGE_LIFETIME_MS == event.expires_at


def _two_callbacks() -> tuple[Story, list[str]]:
    """Return a story with two callbacks due, and their streams."""
    told = story()
    for number in (1, 2):
        report = ReportMessage(at=number, message_id=f"m{number}", kind="text", text="hi", from_id="w1")
        told.carry_out(told.do(inbound.stream_name("b", f"m{number}"), inbound.Receive("b", report)))
    return told, list(told.world.deliveries)


def test_callbacks_go_one_at_a_time_in_order() -> None:
    """The next goes when the first has ended; one that was not acknowledged does not hold up those behind it."""
    told, (first, second) = _two_callbacks()
    step = told.world.next_delivery("ch", "b", 10)

    assert Decide(first, delivery.Attempt(at=10, attempt=1)) == step
    assert [Post(first, "ch", 1, told.history(first)[0].event.body)] == follow(told, step)
    assert None is told.world.next_delivery("ch", "b", 10)

    told.do(first, delivery.Miss(at=20, attempt=1, reason="HTTP 500"))
    told.do(first, delivery.Attempt(at=20, attempt=2))

    assert [Flush("ch", "b")] == told.do(first, delivery.Miss(at=30, attempt=2, reason="HTTP 500"))
    assert Decide(second, delivery.Attempt(at=30, attempt=1)) == told.world.next_delivery("ch", "b", 30)

    follow(told, told.world.next_delivery("ch", "b", 30))
    told.do(second, delivery.Succeed(at=40, attempt=1))

    assert Wait(5_030) == told.world.next_delivery("ch", "b", 40)
    assert Decide(first, delivery.Attempt(at=5_030, attempt=3)) == told.world.next_delivery("ch", "b", 5_030)


# -- after a crash --------------------------------------------------------------------------------------------------------------------


def _taken_up(told: Story, now: int = 100) -> list[Any]:
    return told.restarted().world.resume(now)


def test_nothing_is_taken_up_where_nothing_was_open() -> None:
    """A log without bots that run or things that wait asks for nothing."""
    assert [] == _taken_up(story())


def test_a_client_is_started_again() -> None:
    """What was awaiting or logged in runs again; nobody is told "login" before the puppet says so."""
    again = log_in(story()).restarted()
    [restart, *others] = again.world.resume(100)

    assert Decide(BOT, bot.RestartClient(at=100, starts=1)) == restart
    assert all(isinstance(effect, Decide | Flush) for effect in others)
    assert [StartPuppet("b")] == again.carry_out([restart])
    assert not again.world.bots["b"].state.ready
    assert [] == again.do(BOT, restart.command)  # told again, it is not started again


@pytest.mark.parametrize(("kind", "effect"), [("logout", SignOut), ("stop", ReleasePuppet)])
def test_what_was_asked_for_is_finished(kind: str, effect: Any) -> None:
    """A logout or stop that had begun goes on; one that was only accepted begins."""
    begun = log_in(story())
    begun.carry_out(operate(begun, kind, "op1"))
    position = begun.world.bots["b"].state.operation

    assert effect("b", position) in _taken_up(begun)

    accepted = story()
    operate(accepted, kind, "op1")
    again = accepted.restarted()

    assert [effect("b", accepted.log[-1].position)] == again.carry_out(again.world.resume(100))


def test_an_operation_waits_for_the_client_to_be_started_again() -> None:
    """A login that was accepted before the crash is answered by the new client, not from what the old one had said."""
    told = log_in(story())
    operate(told, "login", "op1")
    again = told.restarted()
    effects = [effect for effect in again.world.resume(100) if isinstance(effect, Decide) and effect.stream == BOT]

    assert [Decide(BOT, bot.RestartClient(at=100, starts=1))] == effects
    assert [StartPuppet("b"), StartPuppet("b")] == again.carry_out(effects)
    assert not [body for body in _bodies(again)[1:] if body["type"] == "botStatus"]


@pytest.mark.parametrize("deduplicates", [False, True])
def test_an_open_attempt_is_in_doubt(deduplicates: bool) -> None:
    """Nobody can say whether it arrived. Only where the puppet deduplicates is it sent again (invariant 6)."""
    told = log_in(story(deduplicates=deduplicates))
    send(told, "1")
    follow(told, told.world.next_message("b", 0))
    again = told.restarted()
    [lose] = [
        effect for effect in again.world.resume(100) if isinstance(effect, Decide) and effect.stream == stream("1")
    ]

    assert message.Lose(at=100, attempt=1, resend=deduplicates) == lose.command

    again.carry_out([lose])
    state = again.world.messages[stream("1")].state

    assert (message.MessageState.QUEUED if deduplicates else message.MessageState.IN_DOUBT) is state.state
    assert [] == again.do(stream("1"), lose.command)


def test_a_callback_that_was_not_created_is() -> None:
    """Killed between the event and the callback that it causes: the callback is created, under the same name, once."""
    told = story()
    report = ReportMessage(at=7, message_id="m1", kind="text", text="hi", from_id="w1")
    [create] = told.do(inbound.stream_name("b", "m1"), inbound.Receive("b", report))
    again = told.restarted()

    assert [create] == again.world.resume(100)

    again.carry_out([create])
    again.carry_out([create])

    assert 1 == len(again.history(create.stream))
    assert [Flush("ch", "b")] == again.restarted().world.resume(100)


def test_a_callback_that_was_being_posted_is_posted_again() -> None:
    """At least once: under the same webhook-id, as its next attempt."""
    told, (first, _) = _two_callbacks()
    follow(told, told.world.next_delivery("ch", "b", 10))
    again = told.restarted()

    assert [Flush("ch", "b")] == again.world.resume(100)
    assert Decide(first, delivery.Attempt(at=100, attempt=2)) == again.world.next_delivery("ch", "b", 100)


def test_a_client_that_ended_is_let_go_of() -> None:
    """Kicked: the puppet is let go of, the queue is held, a person has to log in again."""
    told = log_in(story())
    effects = told.record(BOT, bot.LoggedOut(at=9, reason="kicked"))

    assert StopPuppet("b") in effects
    assert "relogin" == bot.user_action(told.world.bots["b"].state)


# -- live or replayed -----------------------------------------------------------------------------------------------------------------


def _open(world: World) -> tuple[Any, ...]:
    return (world.position, world.bots, world.channels, world.messages, world.deliveries)


@pytest.mark.parametrize("seed", range(12))
def test_a_replay_gives_what_living_through_it_gave(seed: int) -> None:
    """At any point of any log: the same is open, the same is next, the same is taken up (invariant 13)."""
    play = Play(seed, None)
    play.perform()
    log = play.stage.log.events
    live, now = World(), 0
    for cut, recorded in enumerate(log, 1):
        live.fold(recorded)
        now = max(now, recorded.event.at)
        if cut % 7 and cut != len(log):
            continue
        replayed = World()
        replayed.replay(log[:cut])

        assert _open(live) == _open(replayed)
        assert [live.next_message(botcode, now) for botcode in live.bots] == [
            replayed.next_message(botcode, now) for botcode in live.bots
        ]
        assert _resumed(log[:cut], now) == replayed.resume(now)


def _resumed(log: Any, now: int) -> list[Any]:
    """Return what a world takes up that has lived through the log up to here; asking changes it, so it is a new one."""
    world = World()
    for recorded in log:
        world.fold(recorded)
    return world.resume(now)
