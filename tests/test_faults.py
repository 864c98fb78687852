"""The gateway while its store is away or slow, and while it goes down at the worst moment. On both event loops."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from tests.faulty import AWAY, Faulty, at_once, events_of
from tests.receiver import Receiver
from tests.test_gateway import ROOM, log_in, record, running, until
from tests.test_store_sqlite import write_foreign_event
from wxrc_core import bot, delivery, inbound, message, operation
from wxrc_core.errors import Unavailable
from wxrc_core.log import Entry
from wxrc_core.message import MessageState
from wxrc_gateway import Gateway
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_store.port import NewerEvents
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


# -- the store ---------------------------------------------------------------------------------------------------------------------


async def test_a_store_that_cannot_be_written_takes_nothing_in_and_sends_nothing(tmp_path: Path) -> None:
    """While appends fail a request is refused and what waits is not sent; then everything goes on by itself."""
    async with Faulty(tmp_path) as (gateway, world, store):
        waiting = await gateway.send_text("demo", "一", room=ROOM)
        await log_in(gateway, world)
        await until(gateway, lambda: not gateway.world.messages)
        store.away = {"append"}
        with pytest.raises(Unavailable, match=AWAY):
            await gateway.send_text("demo", "二", room=ROOM, txcode="t2")
        world.messages.say("demo", "@demo 在吗", room=ROOM, sender="赵立伟")
        await anyio.sleep(0.2)
        before = record(world)
        store.away = set()
        sent = await gateway.send_text("demo", "二", room=ROOM, txcode="t2", wait_s=10)
        await until(gateway, lambda: True)
        after = record(world)

    assert MessageState.QUEUED == waiting.message.state
    assert ["一"] == before
    assert MessageState.SENT == sent.message.state
    assert ["一", "二"] == after


async def test_an_outcome_outlives_a_store_that_is_away(tmp_path: Path) -> None:
    """What the puppet answered is recorded once the store is back: sent stays sent, and nothing goes out twice."""
    async with Faulty(tmp_path, {"send_ms": "100"}) as (gateway, world, store):
        await log_in(gateway, world)
        held = await gateway.send_text("demo", "一次", room=ROOM)
        await until(gateway, lambda: any(each.state.attempt for each in gateway.world.messages.values()))
        store.away, store.times = {"append"}, 3
        await until(gateway, lambda: not gateway.world.messages)
        ended = await gateway.message(held.msgid)
        reached = record(world)

    assert ended is not None
    assert (MessageState.SENT, 1) == (ended.message.state, ended.message.attempt)
    assert ["一次"] == reached


async def test_a_log_that_cannot_be_read_makes_the_gateway_unavailable(tmp_path: Path) -> None:
    """Whoever cannot read the log says so and takes nothing in, until it can."""
    async with Faulty(tmp_path) as (gateway, _, store), SqliteStore(tmp_path / "wxrc.db") as other:
        store.away = {"read"}
        await other.append([Entry("inbound/demo/1", 0, [_heard()])])  # wakes the follower
        with anyio.fail_after(20):
            while not gateway.unavailable():
                await anyio.sleep(0.01)
        reason = gateway.unavailable()
        assert reason is not None
        store.away = set()
        with anyio.fail_after(20):
            while gateway.unavailable():
                await anyio.sleep(0.01)
        taken = await gateway.send_text("demo", "一", room=ROOM)

    assert "the log cannot be read just now; try again shortly" == reason.en
    assert AWAY not in "".join(reason)  # it may name files of this machine
    assert MessageState.QUEUED == taken.message.state


def _heard() -> inbound.MessageReceived:
    return inbound.MessageReceived(at=1, botcode="demo", message_id="1", kind="text", text="hi", from_id="wxid_1")


async def test_events_of_a_newer_release_end_the_gateway(tmp_path: Path) -> None:
    """A gateway that meets what it cannot understand stops and says so, rather than go on half blind."""
    with pytest.raises(BaseExceptionGroup) as ended:  # noqa: PT012
        async with running(tmp_path, drain_limit_s=0.1):
            await anyio.to_thread.run_sync(write_foreign_event, tmp_path / "wxrc.db", "message.teleported", 1, "9.9.9")
            with anyio.fail_after(20):
                await anyio.sleep_forever()
    newer = ended.value.subgroup(NewerEvents)

    assert newer is not None
    assert "message.teleported" in str(newer.exceptions[0])


async def test_secrets_that_cannot_be_read_do_not_end_the_gateway(tmp_path: Path) -> None:
    """A callback whose secrets cannot be read counts as missed, and is posted when they can be."""

    async def about_to_post(batch: Sequence[Entry]) -> None:
        if any(isinstance(event, delivery.DeliveryDue) for entry in batch for event in entry.events):
            store.before = lambda batch: at_once()
            store.away, store.times = {"vault"}, 1

    with Receiver() as receiver:
        async with Faulty(tmp_path) as (gateway, _, store):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            store.before = about_to_post
            await gateway.login("demo")
            await receiver.arrived(1)
            missed = await events_of(gateway, delivery.DeliveryPostponed)

    assert [AWAY] == [each.reason for each in missed]


async def test_a_logout_outlives_a_store_that_is_away(tmp_path: Path) -> None:
    """The stored session is forgotten once the store is back, and only then is the account logged out."""
    async with Faulty(tmp_path) as (gateway, world, store):
        await log_in(gateway, world)
        store.away, store.times = {"vault"}, 3
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        session = await store.vault.get("bot/demo/session")

    assert session is None


# -- who waits for an end, and going down ------------------------------------------------------------------------------------------


async def _told(gateway: Gateway) -> list[str]:
    """Return how channels were told of messages' ends: `due` or `answered`."""
    told = await events_of(gateway, delivery.DeliveryDue, delivery.DeliveryAnswered)
    return ["answered" if isinstance(each, delivery.DeliveryAnswered) else each.kind for each in told]


def _queued(gateway: Gateway) -> message.MessageQueued:
    return message.MessageQueued(
        at=gateway.clock(),
        chid="crm",
        botcode="demo",
        txcode="t",
        interface="x",
        digest="d",
        room_topic=ROOM,
        text="早",
    )


async def test_an_end_is_told_once_by_answer_or_by_callback(tmp_path: Path) -> None:
    """An end that came in time is the answer and no callback; one whose request has gone, or was answered before, is a callback."""
    stream = message.stream_name("crm", "20261124", "t")
    told: dict[str, list[str]] = {}
    answers: dict[str, MessageState] = {}
    for how in ("in time", "gone", "repeated"):
        (tmp_path / how).mkdir()
        with Receiver() as receiver:
            async with Faulty(tmp_path / how, {"send_ms": "200"}) as (gateway, world, _):
                await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
                await log_in(gateway, world)
                await gateway.grant_bot("crm", "demo")
                if how == "in time":
                    _, answered = await gateway.queue(stream, _queued(gateway), 10_000)
                    answers[how] = answered.state
                elif how == "gone":
                    with anyio.move_on_after(0.1):
                        await gateway.queue(stream, _queued(gateway), 1_000)
                else:
                    _, answered = await gateway.queue(stream, _queued(gateway), 0)
                    answers[how] = answered.state
                    with anyio.move_on_after(0.1):  # asked again by a client that goes while it waits
                        await gateway.queue(stream, _queued(gateway), 10_000)
                await until(gateway, lambda: not gateway.world.messages and not gateway.world.deliveries)
                told[how] = await _told(gateway)

    assert {"in time": ["answered"], "gone": ["sendStatus"], "repeated": ["sendStatus"]} == told
    assert {"in time": MessageState.SENT, "repeated": MessageState.QUEUED} == answers


async def test_going_down_while_an_attempt_is_being_recorded(tmp_path: Path) -> None:
    """An attempt on its way into the log when the gateway goes down is sent; it is not left in doubt."""
    recording = anyio.Event()

    async def watch(batch: Sequence[Entry]) -> None:
        if any(isinstance(event, message.MessageAttempted) for entry in batch for event in entry.events):
            recording.set()

    async with Faulty(tmp_path) as (gateway, world, store):
        await log_in(gateway, world)
        store.before = watch
        held = [await gateway.send_text("demo", text, room=ROOM) for text in ("一", "二", "三")]
        await recording.wait()
    async with running(tmp_path) as (gateway, world):
        await until(gateway, lambda: not gateway.world.messages)
        ended = [await gateway.message(each.msgid) for each in held]
        reached = record(world)

    assert [(MessageState.SENT, 1)] * 3 == [(each.message.state, each.message.attempt) for each in ended if each]
    assert ["一", "二", "三"] == reached


async def test_going_down_answers_who_waits(tmp_path: Path) -> None:
    """Who waits for the end of a message that cannot be sent is answered at once when the gateway goes down."""
    answers: list[MessageState] = []

    async def ask(gateway: Gateway) -> None:
        answers.append((await gateway.send_text("demo", "一", room=ROOM, wait_s=600)).message.state)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, running(tmp_path, drain_limit_s=600) as (gateway, _):
            tasks.start_soon(ask, gateway)
            await until(gateway, lambda: bool(gateway.world.messages))

    assert [MessageState.QUEUED] == answers


async def test_going_down_finishes_a_logout(tmp_path: Path) -> None:
    """A logout that has begun is finished on the way down: the account is signed out in WeChat too."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").pending_exit == "logout")  # type: ignore[union-attr]
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        account = world.account("demo")

    assert account is not None
    assert not account.logged_in


async def test_a_logout_while_the_client_is_coming_up(tmp_path: Path) -> None:
    """A logout that meets a client that is still coming up signs the account out, and loses nothing that somebody wrote meanwhile."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        world.messages.say("demo", "@demo 还在吗", room=ROOM, sender="赵立伟")
    asked = operation.OperationAccepted(
        at=1, chid="-", botcode="demo", txcode="t", interface="logout", digest="d", kind="logout"
    )
    async with SqliteStore(tmp_path / "wxrc.db") as store:
        await store.append([Entry(message.stream_name("-", "20261124", "t"), 0, [asked])])
    async with running(tmp_path) as (gateway, world):
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        heard = await events_of(gateway, inbound.MessageReceived)
        waiting = world.messages.waiting("demo", limit=20)  # for the next login
        account = world.account("demo")

    assert {"@demo 还在吗"} == {each.text for each in (*heard, *waiting)}
    assert account is not None
    assert not account.logged_in
