"""The gateway as an application embeds it: a real store, the simulator as WeChat, a real HTTP receiver; on both event loops."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.receiver import Answer, Receiver
from wxrc_core import bot, inbound, message
from wxrc_core.errors import Refusal, TxcodeReused, Unavailable
from wxrc_core.message import MessageState
from wxrc_core.puppet import ReportMessage
from wxrc_gateway import Gateway, PuppetKind, add_bot, add_channel, grant_bot
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_service.puppets import simulator_kind
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

ROOM = "客服一群"


def kinds(world: SimulatedWeChat) -> dict[str, PuppetKind]:
    """Return the simulator as a kind of puppet."""
    return {"simulator": simulator_kind(world)}


@asynccontextmanager
async def running(folder: Path, **settings: object) -> AsyncIterator[tuple[Gateway, SimulatedWeChat]]:
    """Run a gateway on this folder, with bot `demo` there."""
    with SimulatedWeChat(folder / "simulator.db") as world:
        async with Gateway(store=SqliteStore(folder / "wxrc.db"), puppets=kinds(world), **settings) as gateway:  # type: ignore[arg-type]
            if gateway.bot("demo") is None:
                await gateway.add_bot("demo", "simulator", options={"startup_ms": "0"})
            yield gateway, world


async def until(gateway: Gateway, there: Callable[[], bool]) -> None:
    """Wait until the gateway has folded what makes this true."""
    with anyio.fail_after(20):
        async for _ in gateway.events(after=0):
            if there():
                return


async def log_in(gateway: Gateway, world: SimulatedWeChat) -> None:
    """Log `demo` in, by scanning the code as a person would."""
    await gateway.login("demo")
    await until(gateway, lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
    code = world.logins.open_code("demo")
    assert code is not None
    world.logins.scan(code.token)
    world.logins.confirm(code.token)
    await until(gateway, lambda: gateway.bot("demo").rooms_complete)  # type: ignore[union-attr]


def record(world: SimulatedWeChat) -> list[str]:
    """Return the texts that reached WeChat, in order."""
    return [entry.text for entry in world.messages.record("demo")]


async def test_the_sequence_of_the_main_job(tmp_path: Path) -> None:
    """Login by code, a text to a room by its name, and the receipt."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        sent = await gateway.send_text("demo", "你好", room=ROOM, wait_s=10)
        missing = await gateway.send_text("demo", "你好", room="没有这个群", wait_s=10)
        reached = record(world)

    assert ("1", "") == message.send_status(sent.message)
    assert ("2", "") == message.send_status(missing.message)
    assert ["你好"] == reached


async def test_a_held_queue_goes_out_after_login_in_order(tmp_path: Path) -> None:
    """A logged-out bot's queue is held, not failed, and keeps its order."""
    async with running(tmp_path) as (gateway, world):
        texts = [f"第 {number} 条" for number in range(5)]
        held = [await gateway.send_text("demo", text, room=ROOM) for text in texts]
        await log_in(gateway, world)
        await until(gateway, lambda: not gateway.world.messages)
        reached = record(world)

    assert [MessageState.QUEUED] * 5 == [each.message.state for each in held]
    assert texts == reached


async def test_a_restart_logs_in_again_without_a_scan(tmp_path: Path) -> None:
    """After the gateway went and came back the bot is logged in from its stored session, and never seems so in between."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
    async with running(tmp_path) as (gateway, world):
        first = gateway.bot("demo")
        await until(gateway, lambda: gateway.bot("demo").ready)  # type: ignore[union-attr]
        codes = [
            each.event
            for each in await gateway.store.read_all(0, 10_000)
            if each.stream == "bot/demo" and isinstance(each.event, bot.QrCodeIssued)
        ]

    assert first is not None
    assert not first.ready
    assert 1 == len(codes)


async def test_stop_keeps_the_session_and_logout_does_not(tmp_path: Path) -> None:
    """After `stop` a login needs no scan, after `logout` it does."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        await gateway.stop("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        await gateway.login("demo")
        await until(gateway, lambda: gateway.bot("demo").ready)  # type: ignore[union-attr]
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        await gateway.login("demo")
        await until(gateway, lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]


async def test_logout_of_a_stopped_bot_signs_the_account_out(tmp_path: Path) -> None:
    """A released client leaves the account logged in; `logout` then signs it out in WeChat, and does not only forget it here."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        await gateway.stop("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        stopped = world.account("demo")
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").reason == "")  # type: ignore[union-attr]
        signed_out = world.account("demo")

    assert stopped is not None
    assert signed_out is not None
    assert (True, False) == (stopped.logged_in, signed_out.logged_in)


async def test_login_asked_for_during_logout_comes_after_it(tmp_path: Path) -> None:
    """Operations on a bot are carried out one after the other."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        await gateway.logout("demo")
        await gateway.login("demo")
        await until(gateway, lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
        kinds_of_events = [
            type(each.event) for each in await gateway.store.read_all(0, 10_000) if each.stream == "bot/demo"
        ]

    assert kinds_of_events.index(bot.SignedOut) < len(kinds_of_events) - 1 - kinds_of_events[::-1].index(
        bot.LoginRequested
    )


async def test_the_same_txcode_is_the_same_message(tmp_path: Path) -> None:
    """Asked again, the same; with other content, refused; sent once."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        first = await gateway.send_text("demo", "一次", room=ROOM, txcode="t1", wait_s=10)
        again = await gateway.send_text("demo", "一次", room=ROOM, txcode="t1", wait_s=10)
        with pytest.raises(TxcodeReused):
            await gateway.send_text("demo", "两次", room=ROOM, txcode="t1")
        reached = record(world)

    assert first.msgid == again.msgid
    assert MessageState.SENT == again.message.state
    assert ["一次"] == reached


async def test_two_at_once_with_the_same_txcode(tmp_path: Path) -> None:
    """Of two simultaneous requests both get the one message's number."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        numbers: list[int] = []

        async def ask() -> None:
            numbers.append((await gateway.send_text("demo", "一次", room=ROOM, txcode="t1", wait_s=10)).msgid)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask)
        reached = record(world)

    assert 1 == len(set(numbers))
    assert ["一次"] == reached


async def test_callbacks(tmp_path: Path) -> None:
    """A channel is told of the QR code, the login, what somebody says to the bot, and the end of what was answered with 0."""
    with Receiver() as receiver:
        async with running(tmp_path) as (gateway, world):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            queued = message.MessageQueued(
                at=gateway.clock(),
                chid="crm",
                botcode="demo",
                txcode="t1",
                interface="roomSendText",
                digest="d",
                room_topic=ROOM,
                text="早",
            )
            msgid, held = await gateway.queue(message.stream_name("crm", "20261124", "t1"), queued, 10)
            await log_in(gateway, world)
            world.messages.say("demo", "@demo 你好", room=ROOM, sender="赵立伟")
            world.messages.say("demo", "大家好", room=ROOM, sender="赵立伟")
            await until(
                gateway,
                lambda: not gateway.world.deliveries and not gateway.world.messages and gateway.world.position > 12,
            )
            with anyio.fail_after(20):
                while len(receiver.received) < 4:
                    await anyio.sleep(0.02)
        told = {each.req_body["type"]: each.req_body for each in receiver.received}

    assert MessageState.QUEUED == held.state
    assert {"qrCode", "botStatus", "userMsg", "sendStatus"} == set(told)
    assert 4 == len(receiver.received)
    assert "login" == told["botStatus"]["botStatus"]
    assert (msgid, "1", "t1") == tuple(told["sendStatus"][name] for name in ("msgid", "sendStatus", "txcode"))
    assert "@demo 你好" == told["userMsg"]["msgData"]["text"]


async def test_no_callback_for_what_was_answered_with_its_end(tmp_path: Path) -> None:
    """A message that ended while its channel waited for the answer is not told again by callback."""
    with Receiver() as receiver:
        async with running(tmp_path) as (gateway, world):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            await log_in(gateway, world)
            queued = message.MessageQueued(
                at=1, chid="crm", botcode="demo", txcode="t", interface="x", digest="d", room_topic=ROOM, text="早"
            )
            _, ended = await gateway.queue("message/crm/20261124/t", queued, 10_000)
            await gateway.stop("demo")
            await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
            await until(gateway, lambda: not gateway.world.deliveries)
            with anyio.fail_after(20):
                while "off" not in [each.req_body.get("botStatus") for each in receiver.received]:
                    await anyio.sleep(0.02)

    assert MessageState.SENT == ended.state
    assert "sendStatus" not in [each.req_body["type"] for each in receiver.received]


async def test_callbacks_move_with_their_channel(tmp_path: Path) -> None:
    """What is under way goes to the new URL, with the same webhook-id."""
    with Receiver() as old, Receiver() as new:
        old.default = Answer(status=500)
        async with running(tmp_path) as (gateway, _):
            await gateway.add_channel("crm", callback_url=old.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            await gateway.login("demo")
            with anyio.fail_after(20):
                while len(old.received) < 2:  # the first attempt, and the retry that follows at once
                    await anyio.sleep(0.02)
            await gateway.move_callback("crm", new.url, allow_private=True)
            with anyio.fail_after(20):
                while not new.received:
                    await anyio.sleep(0.02)

    assert old.received[0].webhook_id == new.received[0].webhook_id


async def test_kicked(tmp_path: Path) -> None:
    """A bot kicked by another device is logged out with the reason, its queue is held, and a person has to log in again."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        world.logins.kick("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        held = await gateway.send_text("demo", "还在", room=ROOM, wait_s=0.1)
        kicked = gateway.bot("demo")

    assert kicked is not None
    assert "relogin" == bot.user_action(kicked)
    assert kicked.reason
    assert MessageState.QUEUED == held.message.state


async def test_a_hanging_send_is_in_doubt_and_stays_there(tmp_path: Path) -> None:
    """What nobody can say to have arrived is `unconfirmed`, and is not sent again after a restart either."""
    async with running(tmp_path, send_limit_s=0.2) as (gateway, world):
        await gateway.add_bot("slow", "simulator", options={"startup_ms": "0", "faults": f"{ROOM}:hang"})
        await gateway.login("slow")
        await until(gateway, lambda: gateway.bot("slow").qr is not None)  # type: ignore[union-attr]
        code = world.logins.open_code("slow")
        assert code is not None
        world.logins.scan(code.token)
        world.logins.confirm(code.token)
        doubtful = await gateway.send_text("slow", "在吗", room=ROOM, wait_s=10)
    async with running(tmp_path) as (gateway, world):
        await until(gateway, lambda: gateway.bot("slow").ready)  # type: ignore[union-attr]
        after = await gateway.message(doubtful.msgid)

    assert ("-1", "unconfirmed") == message.send_status(doubtful.message)
    assert after is not None
    assert 1 == after.message.attempt
    assert MessageState.IN_DOUBT == after.message.state


async def test_the_same_inbound_message_three_times(tmp_path: Path) -> None:
    """However often a puppet repeats a message, it is recorded once (invariant 14)."""
    async with running(tmp_path) as (gateway, _):
        report = ReportMessage(at=1, message_id="m1", kind="text", text="hi", from_id="wxid_1")
        results = [await gateway.execute("inbound/demo/m1", inbound.Receive("demo", report)) for _ in range(3)]

    assert [1, 0, 0] == [len(events) for events in results]


async def test_an_expired_message(tmp_path: Path) -> None:
    """A message whose time is over while its bot is logged out expires, and is not sent later."""
    async with running(tmp_path) as (gateway, world):
        expired = await gateway.send_text("demo", "早", room=ROOM, expires_at=gateway.clock() + 50, wait_s=10)
        await log_in(gateway, world)
        reached = record(world)

    assert ("-1", "expired") == message.send_status(expired.message)
    assert [] == reached


async def test_refusals_say_what_would_be_right(tmp_path: Path) -> None:
    """Wrong calls are refused with a sentence, and nothing is recorded."""
    async with running(tmp_path) as (gateway, _):
        before = gateway.world.position
        for refused, word in (
            (gateway.login("nobody"), "nobody"),
            (gateway.send_text("demo", "", room=ROOM), "text"),
            (gateway.send_text("demo", "x"), "room"),
            (gateway.add_bot("demo", "simulator"), "demo"),
            (gateway.add_bot("x", "wechat9"), "simulator"),
            (gateway.add_bot("a b", "simulator"), "botcode"),
            (gateway.add_bot("x", "simulator", options={"nonsense": "1"}), "nonsense"),
            (gateway.add_channel("crm", callback_url="ftp://example.com"), "http"),
            (gateway.grant_bot("crm", "demo"), "crm"),
        ):
            with pytest.raises(Refusal) as refusal:
                await refused
            assert word in str(refusal.value)
        after = gateway.world.position

    assert before == after


async def test_a_gateway_that_is_down_promises_nothing(tmp_path: Path) -> None:
    """Outside its `async with` a gateway takes nothing in."""
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        gateway = Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=kinds(world))
        queued = message.MessageQueued(at=1, chid="-", botcode="demo", txcode="t", interface="x", digest="d", text="x")
        with pytest.raises(Unavailable):
            await gateway.queue("message/-/20261124/t", queued, 0)


async def test_what_another_process_writes_is_taken_in(tmp_path: Path) -> None:
    """A bot added and a login asked for through another connection to the same file reach the running gateway."""
    async with running(tmp_path) as (gateway, world), SqliteStore(tmp_path / "wxrc.db") as other:
        await add_bot(other, other.vault, "second", "simulator", kinds(world)["simulator"], at=1)
        await add_channel(other, other.vault, "crm", at=1)
        await grant_bot(other, "crm", "second", at=1)
        await until(gateway, lambda: gateway.channel("crm") is not None and bool(gateway.channel("crm").grants))  # type: ignore[union-attr]
        keys = await gateway.keys("crm")

    assert 1 == len(keys)
