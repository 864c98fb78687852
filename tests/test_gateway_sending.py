"""Defects of sending that a first version had: order, pace, doubts, rooms that change. In virtual time, with scripted clients."""

from typing import Any

import anyio
import pytest

from tests.images import png
from tests.scripted_bots import kinds, ready, texts, until, up
from wxrc_core import bot, message
from wxrc_core.message import MessageState
from wxrc_core.puppet import (
    Capabilities,
    NotConnected,
    ReportLinkLost,
    ReportLoggedIn,
    ReportReceipt,
    ReportRooms,
    Room,
    RoomMissing,
    Unconfirmed,
)
from wxrc_core.testing.scripted import HANG, ScriptedClient
from wxrc_gateway.doubts import resolve
from wxrc_simulation.fixture import Virtual
from wxrc_webhook import Failed

# -- sending --------------------------------------------------------------------------------------------------------------------


def test_a_late_receipt_does_not_let_a_second_hand_over_start(virtual: Virtual, client: ScriptedClient) -> None:
    """While a hand-over runs its message may end by a late receipt: the next one still waits for the call to return."""
    client.answers(Unconfirmed("?"), *[HANG] * 3)

    async def flow() -> None:
        gateway = await virtual.start(kinds(client), send_limit_s=5)
        await up(gateway)
        for number in range(4):
            record = await gateway.send_text("demo", f"{number}", room="一群")
            await client.until_handed(number + 1)
            await client.report(ReportReceipt(at=0, msgid=record.msgid, receipt=f"r{number}"))
        await until(lambda: not gateway.world.messages)

    virtual.run(flow)

    assert 1 == client.most_sending


def test_a_flapping_client_does_no_harm(virtual: Virtual, client: ScriptedClient) -> None:
    """A client that comes up and drops again and again is started ever more seldom, channels are not flooded, and messages are held."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await gateway.add_channel("crm", callback_url="http://127.0.0.1:1/", allow_private=True)
        await gateway.add_bot("demo", "scripted")
        await gateway.grant_bot("crm", "demo")
        client.default = NotConnected("not connected")
        await gateway.login("demo")
        await ready(gateway)
        held = [await gateway.send_text("demo", f"{number}", room="一群") for number in range(4)]
        with anyio.move_on_after(60):
            while True:
                await client.drop(OSError("it broke"))
                await anyio.sleep(0.5)
        assert client.runs <= 10
        told = [each for each in virtual.callbacks if each["type"] == "botStatus"]
        assert 1 == len(told)
        ends = [await gateway.message(each.msgid) for each in held]
        assert [MessageState.QUEUED] * 4 == [end.message.state for end in ends if end]

    virtual.run(flow)


def test_a_clock_that_is_set_back_delays_nothing(virtual: Virtual, client: ScriptedClient) -> None:
    """With the wall clock set back by an hour a paced bot and every retry go on at their pace."""
    client.capabilities = type(client.capabilities)(pace="customary")

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await gateway.add_channel("crm", callback_url="http://127.0.0.1:1/", allow_private=True)
        await up(gateway)
        await gateway.grant_bot("crm", "demo")
        await gateway.send_text("demo", "前", room="一群", wait_s=20)
        virtual.step_clock(-3_600_000)
        began = anyio.current_time()
        sent = await gateway.send_text("demo", "后", room="一群", wait_s=60)
        assert sent.message.state is MessageState.SENT
        assert 2.9 <= anyio.current_time() - began <= 10
        failures = 2

        def fails(request: Any) -> Any:
            nonlocal failures
            failures -= 1
            return Failed("HTTP 500") if failures >= 0 else virtual_ok

        from wxrc_webhook import Acknowledged

        virtual_ok = Acknowledged()
        virtual.receiver = fails
        virtual.callbacks.clear()
        began = anyio.current_time()
        await gateway.stop("demo")
        await anyio.sleep(1)
        virtual.step_clock(-3_600_000)
        await until(lambda: virtual.callbacks)
        assert anyio.current_time() - began < 60

    virtual.run(flow)


def test_order_holds_across_naming_and_a_rename(virtual: Virtual, client: ScriptedClient) -> None:
    """A message to a room's new name and a later one to the same room by id: in the order in which they were accepted."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        client.at_start(
            ReportLoggedIn(at=0, wxid="w", name="n"), ReportRooms(at=0, rooms=(Room("1@c", "旧名"),), complete=False)
        )
        await gateway.add_bot("demo", "scripted")
        await gateway.login("demo")
        await until(lambda: gateway.bot("demo").ready)  # type: ignore[union-attr]
        await gateway.send_text("demo", "先", room="新名")
        await gateway.send_text("demo", "后", room_id="1@c")
        await anyio.sleep(5)
        await client.report(ReportRooms(at=0, rooms=(Room("1@c", "新名"),), complete=True))
        await until(lambda: not gateway.world.messages)

    virtual.run(flow)

    assert ["先", "后"] == texts(client)


def test_a_resent_message_keeps_its_place(virtual: Virtual, client: ScriptedClient) -> None:
    """A message in doubt that an operator has sent again goes before those to its room that were accepted after it."""
    client.answers(Unconfirmed("?"), NotConnected("no"))

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        doubtful = await gateway.send_text("demo", "一", room="一群", wait_s=5)
        later = [await gateway.send_text("demo", text, room="一群") for text in ("二", "三")]
        await resolve(gateway, doubtful.msgid, "resend", by="ops")
        await until(lambda: not gateway.world.messages)
        assert len(later) == 2
        assert doubtful.message.state is MessageState.IN_DOUBT

    virtual.run(flow)

    assert ["一", "二", "一", "二", "三"] == texts(client) or ["一", "一", "一", "二", "三"] == texts(client)


def test_another_account_does_not_get_the_queue(virtual: Virtual, client: ScriptedClient) -> None:
    """When another account logs in, the first one's rooms are forgotten and what was accepted for it is not sent from the other."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        await gateway.stop("demo")
        await until(lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        held = await gateway.send_text("demo", "给一群", room="一群")
        client.logs_in("一群", wxid="wxid_other")
        await gateway.login("demo")
        await ready(gateway)
        await until(lambda: not gateway.world.messages)
        end = await gateway.message(held.msgid)
        assert end is not None
        assert ("-1", "failed") == message.send_status(end.message)
        assert "account" in end.message.detail
        assert {"room-1": "一群"} == dict(gateway.bot("demo").rooms)  # type: ignore[union-attr]

    virtual.run(flow)

    assert [] == texts(client)


def test_a_dissolved_room_ends_with_2(virtual: Virtual, client: ScriptedClient) -> None:
    """A message by id to a room that turns out to be dissolved ends with sendStatus 2, not as failed."""
    client.answers(RoomMissing("the room is dissolved"))

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        record = await gateway.send_text("demo", "x", room_id="room-2", wait_s=5)
        assert ("2", "") == message.send_status(record.message)

    virtual.run(flow)


def test_a_bot_that_goes_out_while_an_image_is_read(
    virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was the next message before its image was read is not claimed when its bot can no longer send afterwards."""
    client.capabilities = Capabilities(pace="none", content=frozenset({"text", "image"}))

    async def flow() -> list[type]:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        reading, go_on, read = anyio.Event(), anyio.Event(), gateway.store.media.get

        async def slow_read(digest: str) -> bytes | None:
            reading.set()
            await go_on.wait()
            return await read(digest)

        monkeypatch.setattr(gateway.store.media, "get", slow_read)
        record = await gateway.send_image("demo", png(), room="一群")
        await reading.wait()
        await client.report(ReportLinkLost(at=0, reason="gone"))
        go_on.set()
        await anyio.sleep(1)
        found = await gateway.message(record.msgid)
        assert found is not None
        return [type(each.event) for each in found.history]

    assert message.MessageAttempted not in virtual.run(flow)
    assert [] == client.handed
