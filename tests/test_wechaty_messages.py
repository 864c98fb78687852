"""The Wechaty puppet over the real gateway: rooms, sending, and what people write. asyncio only, as the puppet is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from tests.wechaty import TOKEN, GatewayProcess, own_gateway, shared_gateway
from tests.wechaty_life import DUTY, ORDERS, living, online, text
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    NotSent,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    Room,
    RoomMissing,
    Unconfirmed,
)
from wxrc_core.testing.puppet_driver import LIMIT

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The puppet runs under asyncio only."""
    return "asyncio"


@pytest.fixture
def gateway() -> Iterator[GatewayProcess]:
    """A fresh gateway: logged out, nothing recorded."""
    gateway = shared_gateway()
    gateway.open()
    yield gateway
    gateway.do("close")


# -- rooms -----------------------------------------------------------------------------------------


async def test_rooms_are_complete_only_when_ready(gateway: GatewayProcess) -> None:
    """Until the gateway says that it is ready, the list does not count as whole, and a send to a strange room is tried."""
    gateway.do("ready_by_itself", on=False)
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
        gateway.do("confirm")
        rooms = await life.until(ReportRooms)

        assert (rooms.rooms, rooms.complete) == ((ORDERS, DUTY), False)
        outcome = await life.puppet.send(text("where?", room_id="9@chatroom"))
        assert isinstance(outcome, Unconfirmed)
        assert "could not do MessageSendText (UNKNOWN)" in outcome.reason

        gateway.do("ready")
        await life.until(ReportRooms, lambda rooms: rooms.complete)
        gateway.do("ready")
        assert isinstance(await life.puppet.send(text("where?", room_id="9@chatroom")), RoomMissing)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")
        assert 2 == len(life.all(ReportRooms))


async def rename(gateway: GatewayProcess) -> None:
    """A member renames the room."""
    gateway.do("rename", room=DUTY.id, topic="夜班群")


async def rename_in_silence(gateway: GatewayProcess) -> None:
    """The topic changes, and the gateway only says that something has."""
    gateway.do("topic", room=DUTY.id, topic="夜班群")
    gateway.do("dirty", type=3, id=DUTY.id)


async def enter(gateway: GatewayProcess) -> None:
    """The account is taken into a new room."""
    gateway.do("create_room", room="1003@chatroom", topic="新群", members=["wxid_bob"])


async def leave(gateway: GatewayProcess) -> None:
    """The account is removed from a room."""
    gateway.do("leave", room=DUTY.id, who="wxid_bot")


async def leave_and_stay_listed(gateway: GatewayProcess) -> None:
    """The account is removed from a room that the gateway goes on listing."""
    gateway.do("event", name="room-leave", payload={"roomId": DUTY.id, "removeeIdList": ["wxid_bot"], "removerId": "x"})


@pytest.mark.parametrize(
    ("change", "rooms"),
    [
        (rename, (ORDERS, Room(DUTY.id, "夜班群"))),
        (rename_in_silence, (ORDERS, Room(DUTY.id, "夜班群"))),
        (enter, (ORDERS, DUTY, Room("1003@chatroom", "新群"))),
        (leave, (ORDERS,)),
        (leave_and_stay_listed, (ORDERS,)),
    ],
)
async def test_the_room_list_follows(
    gateway: GatewayProcess, change: Callable[[GatewayProcess], Awaitable[None]], rooms: tuple[Room, ...]
) -> None:
    """What changes in a room changes the list, which stays whole."""
    async with online(gateway) as life:
        await change(gateway)
        report = await life.until(ReportRooms, lambda report: report.rooms != (ORDERS, DUTY))

        assert (rooms, True) == (report.rooms, report.complete)


async def test_a_room_that_cannot_be_read(gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with a room that cannot be read is not whole, so that no room is called missing; it is read again later."""
    monkeypatch.setattr("wxrc_puppet.wechaty._rooms.FIRST_AGAIN_S", 0.05)
    gateway.do("break_room", room=DUTY.id)
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
        gateway.do("confirm")
        await life.until(ReportRooms, lambda rooms: rooms.rooms == (ORDERS,))
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert not any(rooms.complete for rooms in life.all(ReportRooms))

        gateway.do("mend_room", room=DUTY.id)
        rooms = await life.until(ReportRooms, lambda rooms: rooms.complete)
        assert (ORDERS, DUTY) == rooms.rooms


# -- sending ---------------------------------------------------------------------------------------


async def test_mentions(gateway: GatewayProcess) -> None:
    """Names in the room are mentioned for real and shown; the worst of what was not found is told."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="仓库")
    cases = [
        ({"mention_names": ("仓库",)}, "@仓库\u2005hello", ["wxid_bob"], "ok"),
        ({"mention_names": ("老王", "Alice")}, "@老王\u2005@Alice\u2005hello", ["wxid_bob", "wxid_alice"], "ok"),
        ({"mention_names": ("Alice", "Carol")}, "@Alice\u2005@Carol\u2005hello", ["wxid_alice"], "not_in_room"),
        ({"mention_names": ("Carol", "谁")}, "@Carol\u2005@谁\u2005hello", [], "unknown"),
        ({"mention_id": "wxid_bob"}, "@仓库\u2005hello", ["wxid_bob"], "ok"),
        ({"mention_id": "wxid_carol"}, "hello", [], "not_in_room"),
        ({"mention_id": "wxid_nobody"}, "hello", [], "unknown"),
        ({"mention_names": ("Alice",), "mention_id": "wxid_alice"}, "@Alice\u2005hello", ["wxid_alice"], "ok"),
    ]
    async with online(gateway) as life:
        for number, (fields, shown, ids, found) in enumerate(cases, start=1):
            outcome = await life.puppet.send(text("hello", msgid=number, **fields))
            sent = gateway.record()[-1]

            assert Accepted(f"msg-{number}", found) == outcome
            assert (shown, ids) == (sent["text"], sent["mentions"])


async def test_two_of_the_same_name(gateway: GatewayProcess) -> None:
    """Where two in the room have the name, neither is mentioned for real; a change of names is noticed."""
    async with online(gateway) as life:
        await life.puppet.send(text("one", mention_names=("Alice",)))
        gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="Alice")
        gateway.do("dirty", type=4, id=ORDERS.id)
        gateway.do("say", room=ORDERS.id, text="names have changed")
        await life.until_message("names have changed")
        outcome = await life.puppet.send(text("two", mention_names=("Alice",)))

        assert isinstance(outcome, Accepted)
        assert "ok" == outcome.mention
        assert [["wxid_alice"], []] == [sent["mentions"] for sent in gateway.record()]


async def test_an_empty_id_is_no_receipt(gateway: GatewayProcess) -> None:
    """A send without an id is unconfirmed; the account's own message, seen later, is its receipt, once."""
    async with online(gateway) as life:
        gateway.do("sending", receipt=False)
        outcome = await life.puppet.send(text("hello", msgid=7))
        gateway.do("echo")
        gateway.do("echo")
        receipt = await life.until(ReportReceipt)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert Unconfirmed("the Wechaty gateway gave no message id") == outcome
        assert 7 == receipt.msgid
        assert receipt.receipt
        assert [receipt] == life.all(ReportReceipt)
        assert 1 == len(life.all(ReportMessage))


async def test_an_echo_that_could_be_another(gateway: GatewayProcess) -> None:
    """Where two messages have the same text, where it went elsewhere, or was confirmed: no echo proves anything."""
    async with online(gateway) as life:
        await life.puppet.send(text("confirmed", msgid=1))
        gateway.do("sending", receipt=False)
        await life.puppet.send(text("twice", msgid=2))
        await life.puppet.send(text("twice", msgid=3))
        await life.puppet.send(text("confirmed", msgid=4))
        await life.puppet.send(text("elsewhere", msgid=5))
        gateway.do("echo", text="twice", conversation=ORDERS.id)
        gateway.do("echo", text="confirmed", conversation=ORDERS.id)
        gateway.do("echo", text="elsewhere", conversation=DUTY.id)
        gateway.do("echo", text="from the phone", conversation=ORDERS.id)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert life.all(ReportReceipt) == []


async def test_cut_off_with_the_echo_seen(gateway: GatewayProcess) -> None:
    """A send that the runner gives up, after its echo had come, gets its receipt late."""
    gateway.do("sending", hang=True, echo=True)
    async with online(gateway) as life:
        with anyio.move_on_after(0.5) as limit:
            await life.puppet.send(text("hello", msgid=8))
        receipt = await life.until(ReportReceipt)

        assert limit.cancelled_caught
        assert 8 == receipt.msgid


@pytest.mark.slow
async def test_killed_while_sending() -> None:
    """A gateway that dies with a message in hand leaves it in doubt; what was not handed over yet is not sent."""
    with own_gateway() as gateway:
        gateway.do("sending", hang=True)
        outcomes = []
        async with online(gateway) as life, anyio.create_task_group() as tasks:

            async def send() -> None:
                outcomes.append(await life.puppet.send(text("hello")))

            tasks.start_soon(send)
            while not gateway.record():
                await anyio.sleep(0.01)
            gateway.process.kill()
            await life.failed()
        outcomes.append(await life.puppet.send(text("again")))

    assert [Unconfirmed, NotConnected] == [type(outcome) for outcome in outcomes]


async def test_cancelled_while_sending(gateway: GatewayProcess) -> None:
    """When `run` is cancelled, a send that is under way ends in doubt and not as if its own task had been cancelled."""
    gateway.do("sending", hang=True)
    outcomes = []
    async with online(gateway) as life:
        sending = asyncio.create_task(life.puppet.send(text("hello")))
        while not gateway.record():
            await anyio.sleep(0.01)
    with anyio.fail_after(LIMIT):
        outcomes.append(await sending)

    assert [Unconfirmed("The connection to the Wechaty gateway was closed.")] == outcomes


async def test_errors_of_the_gateway_are_not_forwarded(
    gateway: GatewayProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """An application error is in doubt, in a sentence of ours: none of its text, and no message text, goes anywhere."""
    caplog.set_level(logging.DEBUG)
    gateway.do("sending", error="boom at secret.js")
    async with online(gateway) as life:
        outcome = await life.puppet.send(text("confidential", mention_names=("Alice",)))
        gateway.do("event", name="message", payload={"messageId": "msg-unreadable"})
        gateway.do("say", room=ORDERS.id, text="confidential too")
        await life.until_message("confidential too")

    assert isinstance(outcome, Unconfirmed)
    assert "(UNKNOWN)" in outcome.reason
    assert "msg-unreadable" in caplog.text
    for secret in ("boom", "secret.js", "confidential", TOKEN):
        assert secret not in outcome.reason + caplog.text


async def test_half_a_character(gateway: GatewayProcess) -> None:
    """A text that cannot be encoded certainly did not go."""
    async with online(gateway) as life:
        assert isinstance(await life.puppet.send(text("\ud83d")), NotSent)
        assert isinstance(await life.puppet.send(text("hello", mention_names=("\ud83d",))), NotSent)
        assert [] == gateway.record()


# -- what people write -----------------------------------------------------------------------------


async def test_mentioned(gateway: GatewayProcess) -> None:
    """A mention counts by its ids; where there are none, by the account's name or room alias in the text."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bot", alias="订单助手")
    cases = [
        ("请看 1", ["wxid_bot"], True),
        ("@demo\u2005请看 2", ["wxid_alice"], False),
        ("@demo\u2005请看 3", [], True),
        ("@demo 请看 4", [], True),
        ("请看 5 @demo", [], True),
        ("@demo2 @订单助手\u2005请看 6", [], True),
        ("@demo2\u2005请看 7", [], False),
        ("demo\u2005请看 8", [], False),
        ("a@demo.example 请看 9", [], False),
    ]
    async with online(gateway) as life:
        for words, mention, _ in cases:
            gateway.do("say", room=ORDERS.id, text=words, mention=mention)
        await life.until_message(cases[-1][0])

        assert [expected for *_, expected in cases] == [message.mentioned for message in life.all(ReportMessage)]


async def test_who_wrote_what_where(gateway: GatewayProcess) -> None:
    """The names are those that the room shows; a direct message has no room; kinds follow the puppets' own numbers."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="仓库")
    async with online(gateway) as life:
        gateway.do("say", room=ORDERS.id, text="one", **{"from": "wxid_bob"})
        gateway.do("say", text="two")
        for number, kind in enumerate((6, 1, 9, 13, 99, -1)):
            payload = {"id": f"kind-{number}", "type": kind, "talkerId": "wxid_alice", "roomId": DUTY.id}
            gateway.do("message", payload=payload)
        await life.until(ReportMessage, lambda message: message.message_id == "kind-5")
        one, two, *rest = life.all(ReportMessage)

        assert ("wxid_bob", "仓库", ORDERS) == (one.from_id, one.from_name, Room(one.room_id, one.room_topic))
        assert ("wxid_alice", "Alice", "", "") == (two.from_id, two.from_name, two.room_id, two.room_topic)
        assert ["image", "file", "app", "recalled", "other", "other"] == [message.kind for message in rest]


async def test_odd_events(gateway: GatewayProcess) -> None:
    """Events whose payload is not what it should be do no harm."""
    odd: tuple[Any, ...] = (7, [], "x", {}, {"roomId": 7, "inviteeIdList": 7, "removeeIdList": None})
    async with online(gateway) as life:
        for payload in (*odd, {"messageId": ["x"], "contactId": {}, "status": {}, "payloadType": "3", "payloadId": 3}):
            for name in ("scan", "login", "message", "room-join", "room-leave", "room-topic", "ready", "dong", "post"):
                gateway.do("event", name=name, payload=payload)
        gateway.do("say", room=ORDERS.id, text="last")
        message = await life.until_message("last")

        assert [message] == life.all(ReportMessage)
        assert life.failure is None
