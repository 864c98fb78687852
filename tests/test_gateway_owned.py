"""One gateway, owned: several gateways on one store, takeover, and the defects that came of a gateway that believed to be the only one.

In virtual time, with scripted clients. Where a test needs to kill or stop a gateway it runs on asyncio.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from wxrc_core import bot, message
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.message import MessageState
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    ReportLinkLost,
    ReportLoggedIn,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    Room,
    RoomMissing,
    Unconfirmed,
)
from wxrc_core.testing.scripted import HANG, Nonsense, ScriptedClient
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.doubts import resolve
from wxrc_simulation.fixture import Virtual
from wxrc_store.sqlite import SqliteStore
from wxrc_webhook import Failed


def kinds(client: ScriptedClient) -> dict[str, PuppetKind]:
    """Return the scripted client as a kind of puppet."""
    return {"scripted": PuppetKind(client.create, client.capabilities)}


async def until(there: Any) -> None:
    """Wait until something is so, at most for an hour of virtual time."""
    with anyio.fail_after(300):
        while not there():
            await anyio.sleep(0.1)


async def up(gateway: Gateway) -> None:
    """Have bot `demo` made and logged in, with its rooms."""
    if gateway.bot("demo") is None:
        await gateway.add_bot("demo", "scripted")
    await gateway.login("demo")
    await ready(gateway)


async def ready(gateway: Gateway) -> None:
    """Wait until bot `demo` can send."""
    await until(lambda: (found := gateway.bot("demo")) is not None and found.ready and found.rooms_complete)


def texts(client: ScriptedClient) -> list[str]:
    """Return what was handed over, in order."""
    return [handed.outgoing.text for handed in client.handed]


# -- several gateways on one store ----------------------------------------------------------------------------------------------


def test_two_gateways_hand_over_once(virtual: Virtual, client: ScriptedClient) -> None:
    """Of two gateways on one store one runs the bots; the other follows, and takes requests for them."""

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        second = await virtual.start(kinds(client))
        await up(first)
        await ready(second)
        for number in range(5):
            await first.send_text("demo", f"一-{number}", room="一群")
            record = await second.send_text("demo", f"二-{number}", room="一群", wait_s=5)
            assert record.message.state is MessageState.SENT
        await until(lambda: not first.world.messages)
        assert (True, False) == (first.owns("demo"), second.owns("demo"))

    virtual.run(flow)

    assert {1} == set(Counter(texts(client)).values())
    assert 10 == len(client.handed)
    assert 1 == client.runs


def test_two_gateways_on_one_file_hand_over_once(tmp_path: Path, client: ScriptedClient) -> None:
    """Two gateways on one SQLite file, each with a store of its own: one hands over, the other follows and says who owns the shards."""

    async def flow() -> None:
        path = tmp_path / "wxrc.db"
        async with (
            Gateway(store=SqliteStore(path), puppets=kinds(client), name="one") as first,
            Gateway(store=SqliteStore(path), puppets=kinds(client), name="two") as second,
        ):
            await up(first)
            for number in range(5):
                await first.send_text("demo", f"一-{number}", room="一群")
                await second.send_text("demo", f"二-{number}", room="一群")
            await until(lambda: not first.world.messages and len(client.handed) >= 10)
            owners = await second.store.owners()
            assert not second.owns("demo")
            assert all(owner.alive and owner.member.startswith("one") for owner in owners.values())

    anyio.run(flow)

    assert {1} == set(Counter(texts(client)).values())
    assert 10 == len(client.handed)


def test_takeover_after_a_crash(client: ScriptedClient) -> None:
    """When the owner is killed another gateway runs its bots within the lifetime; what it was handing over is in doubt and not
    sent again.
    """
    virtual = Virtual("asyncio")
    client.answers(HANG)

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        second = await virtual.start(kinds(client))
        await up(first)
        hanging = await first.send_text("demo", "悬", room="一群")
        waiting = await second.send_text("demo", "等", room="一群")
        await client.until_handed(1)
        killed_at = anyio.current_time()
        virtual.crash(first)
        await until(lambda: second.owns("demo"))
        assert anyio.current_time() - killed_at <= virtual.store.lifetime * 1.5
        await until(lambda: not second.world.messages)
        ends = [await second.message(each.msgid) for each in (hanging, waiting)]
        assert [MessageState.IN_DOUBT, MessageState.SENT] == [end.message.state for end in ends if end]

    virtual.run(flow)

    assert ["悬", "等"] == texts(client)


def test_takeover_at_once_when_a_gateway_leaves(client: ScriptedClient) -> None:
    """A gateway that leaves lets go of its shards: another one has them at once."""
    virtual = Virtual("asyncio")

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        second = await virtual.start(kinds(client))
        await up(first)
        left_at = anyio.current_time()
        await virtual.leave(first)
        await until(lambda: second.owns("demo"))
        assert anyio.current_time() - left_at < 1
        await ready(second)
        record = await second.send_text("demo", "接", room="一群", wait_s=5)
        assert record.message.state is MessageState.SENT

    virtual.run(flow)


def test_a_gateway_that_was_stopped_gives_up_its_bots(client: ScriptedClient) -> None:
    """A gateway that was stopped for longer than its membership lasts sends nothing any more; the other one does, once."""
    virtual = Virtual("asyncio")

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        second = await virtual.start(kinds(client))
        await up(first)
        virtual.pause(first, 60)
        for number in range(5):
            await second.send_text("demo", f"{number}", room="一群")
        await until(lambda: second.owns("demo"))
        await until(lambda: not second.world.messages)
        await anyio.sleep(120)
        assert not first.owns("demo")
        assert first.bot("demo") == second.bot("demo")

    virtual.run(flow)

    assert [str(number) for number in range(5)] == texts(client)


# -- what comes from outside ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_back_is_not_written(virtual: Virtual, client: ScriptedClient) -> None:
    """A float for a time, a receipt that is a number, a lone surrogate, a megabyte: refused by name, and everything else goes on."""
    client.answers(Nonsense(Accepted(17)), Nonsense("sent"), Unconfirmed("\ud800"))  # type: ignore[arg-type]

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        with pytest.raises(InvalidValue, match="expires_at"):
            await gateway.send_text("demo", "x", room="一群", expires_at=1.5)  # type: ignore[arg-type]
        for name, value in (
            ("text", 17),
            ("text", ""),
            ("room", 5),
            ("mention", (1,)),
            ("txcode", "a b"),
            ("wait_s", -1),
        ):
            with pytest.raises(InvalidValue, match=name):
                await gateway.send_text(**({"botcode": "demo", "text": "x", "room": "一群"} | {name: value}))  # type: ignore[arg-type]
        doubtful = [await gateway.send_text("demo", f"{number}", room="一群", wait_s=5) for number in range(3)]
        assert [MessageState.IN_DOUBT] * 3 == [each.message.state for each in doubtful]
        await client.report(
            ReportLinkLost(at=0, reason="\ud800"),
            ReportLinkLost(at=0, reason="x" * 2_000_000),
            ReportLoggedIn(at=1.5, wxid="w", name="n"),  # type: ignore[arg-type]
            ReportReceipt(at=0, msgid=doubtful[0].msgid, receipt=5),  # type: ignore[arg-type]
            "nonsense",  # type: ignore[arg-type]
        )
        sent = await gateway.send_text("demo", "好", room="一群", wait_s=5)
        assert sent.message.state is MessageState.SENT
        again = await virtual.start(kinds(client))  # what was written can be read back
        assert again.world.position > 0

    virtual.run(flow)


def test_options_and_clocks_that_cannot_be_used() -> None:
    """A gateway refuses an option or a clock that it cannot use, and says which one and why."""
    virtual = Virtual()
    for name, value in (
        ("send_limit_s", 0), ("send_limit_s", "soon"), ("drain_limit_s", -1), ("public_url", "wxrc.example"), ("passive", "no"),
        ("name", ""),
    ):  # fmt: skip
        with pytest.raises(InvalidValue, match=name):
            Gateway(store=virtual.store, puppets={}, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="clock"):
        Gateway(store=virtual.store, puppets={}, clock=lambda: 1.5)  # type: ignore[arg-type, return-value]


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


# -- bots -----------------------------------------------------------------------------------------------------------------------


def test_a_login_of_another_kind_replaces_the_client(virtual: Virtual) -> None:
    """`macLogin` while a web code waits starts a Mac client, whose code is shown."""
    client = ScriptedClient()
    client.capabilities = type(client.capabilities)(login_kinds=("web", "mac"), pace="none")

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await gateway.add_bot("demo", "scripted")
        await gateway.login("demo")
        await client.report(ReportQrCode(at=0, text="web code", expires_at=10**13))
        await until(lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
        from wxrc_core import operation

        asked = operation.OperationAccepted(
            at=gateway.clock(),
            chid="-",
            botcode="demo",
            txcode="t",
            interface="macLogin",
            digest="d",
            kind="login",
            login_kind="mac",
        )
        await gateway.operate(message.stream_name("-", "20261124", "t"), asked)
        await until(lambda: client.runs == 2)
        await client.report(ReportQrCode(at=0, text="mac code", expires_at=10**13))
        await until(lambda: (code := gateway.bot("demo").qr) is not None and code.text == "mac code")  # type: ignore[union-attr]

    virtual.run(flow)


def test_two_that_add_a_bot_at_once_do_not_mix_their_options(virtual: Virtual, client: ScriptedClient) -> None:
    """Of two that make the same bot at once one is refused, and the bot has the options of the other."""
    options: list[dict[str, str]] = []

    def create(context: Any) -> Any:
        options.append(dict(context.options))
        return client.create(context)

    async def flow() -> None:
        gateway = await virtual.start({"scripted": PuppetKind(create, client.capabilities)})
        made: list[str] = []

        async def add(name: str) -> None:
            try:
                await gateway.add_bot("demo", "scripted", options={"by": name})
                made.append(name)
            except Refusal:
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add, "a")
            tasks.start_soon(add, "b")
        await up(gateway)
        assert [{"by": made[0]}] == options

    virtual.run(flow)


def test_terms_hold_when_the_grant_returns(virtual: Virtual, client: ScriptedClient) -> None:
    """A grant that replaces an earlier one is known to the gateway when the call returns."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await gateway.add_bot("demo", "scripted")
        await gateway.add_channel("crm")
        for on_doubt in ("leave", "resend", "leave"):
            await gateway.grant_bot("crm", "demo", on_doubt=on_doubt)
            assert on_doubt == gateway.channel("crm").grants["demo"].on_doubt  # type: ignore[union-attr]

    virtual.run(flow)


def test_past_deliveries_leave_nothing_behind(virtual: Virtual, client: ScriptedClient) -> None:
    """Deliveries that have ended leave nothing in a gateway's memory, in one that only follows neither."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        passive = await virtual.start({}, passive=True)
        await gateway.add_channel("crm", callback_url="http://127.0.0.1:1/", allow_private=True)
        await up(gateway)
        await gateway.grant_bot("crm", "demo", inbound="all")
        for _ in range(300):
            await gateway.login("demo")
        await until(lambda: len(virtual.callbacks) > 5 and not gateway.world.deliveries)
        await until(lambda: passive.world.position == gateway.world.position)
        for each in (gateway, passive):
            assert 0 == each.world.deliveries
            assert {} == each.world.delivery_bots
            assert [] == each.world.bots["demo"].deliveries.channels()

    virtual.run(flow)
