"""One gateway, owned: several gateways on one store, takeover, and the defects that came of a gateway that believed to be the only one.

In virtual time, with scripted clients. Where a test needs to kill or stop a gateway it runs on asyncio.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.scripted_bots import kinds, ready, texts, until, up
from wxrc_core import message
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.message import MessageState
from wxrc_core.puppet import (
    Accepted,
    ReportLinkLost,
    ReportLoggedIn,
    ReportQrCode,
    ReportReceipt,
    Unconfirmed,
)
from wxrc_core.testing.scripted import HANG, Nonsense, ScriptedClient
from wxrc_gateway import Gateway, PuppetKind
from wxrc_simulation.fixture import Virtual
from wxrc_store.sqlite import SqliteStore

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
        await until(lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
        code = await gateway.qr_code("demo")

        assert code is not None
        assert "mac code" == code.text

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
