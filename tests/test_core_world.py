"""The world: operations in order, callbacks, and what must be taken up after a crash."""

import json
from typing import Any

import pytest

from tests.core import BOT, Story, follow, log_in, operate, send, settle, story, stream
from wxrc_core import bot, channel, delivery, inbound, message
from wxrc_core.effects import Decide, Flush, Post, ReleasePuppet, SignOut, StartPuppet, StopPuppet, Wait
from wxrc_core.puppet import Accepted, ReportLoggedIn, ReportMessage
from wxrc_core.world import USER_MESSAGE_LIFETIME_MS, World
from wxrc_simulation.run import Play

# -- operations -----------------------------------------------------------------------------------------------------------------------


def test_operations_come_one_after_the_other() -> None:
    """A login that is asked for during a logout comes after it."""
    told = log_in(story())
    logout = operate(told, "logout", "op1")
    position = told.log[-1].position

    assert [Decide(BOT, bot.RequestLogout(at=0, operation=position))] == logout
    assert [SignOut("b", position)] == told.carry_out(logout)
    assert [] == operate(told, "login", "op2")  # it has to wait

    finished = told.do(BOT, bot.FinishLogout(at=5, operation=position))
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
