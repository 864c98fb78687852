"""Bots spread over gateways on one store: who comes gets its part, one session at a time; who goes is replaced. In virtual time."""

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio
import pytest

from tests.scripted_bots import kinds, until
from wxrc_core.log import Lease, Member, Recorded
from wxrc_core.shard import ShardFreed, ShardTaken, shard_of
from wxrc_core.testing.scripted import HANG, ScriptedClient
from wxrc_gateway import Gateway
from wxrc_simulation.fixture import Virtual
from wxrc_store import Store, StoreError

SHARDS = 4
BOTS = [next(f"bot{n}" for n in range(100) if shard_of(f"bot{n}", SHARDS) == shard) for shard in range(SHARDS)]
"""One bot in each shard."""


def owned(gateway: Gateway) -> list[str]:
    """Return the bots that a gateway runs."""
    return [botcode for botcode in BOTS if gateway.owns(botcode)]


async def all_up(gateway: Gateway) -> None:
    """Have all bots made and logged in."""
    for botcode in BOTS:
        await gateway.add_bot(botcode, "scripted")
        await gateway.login(botcode)
    await all_ready(gateway)


async def all_ready(gateway: Gateway) -> None:
    """Wait until every bot can send."""
    await until(lambda: all((found := gateway.bot(each)) is not None and found.ready for each in BOTS))


def test_who_comes_gets_its_part(virtual: Virtual, client: ScriptedClient) -> None:
    """A second gateway gets half of the bots, each of which is started once more and no other; messages go on."""

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        await all_up(first)
        assert 4 == client.runs
        second = await virtual.start(kinds(client))
        await until(lambda: 2 == len(owned(first)) == len(owned(second)))
        await all_ready(first)
        for botcode in BOTS:
            record = await first.send_text(botcode, botcode, room="一群", wait_s=30)
            assert "sent" == record.message.state
        await anyio.sleep(600)
        assert 2 == len(owned(first)) == len(owned(second))

    virtual.run(flow)

    assert 6 == client.runs
    assert {1} == set(Counter(each.outgoing.text for each in client.handed).values())


def test_one_session_moves_at_a_time(virtual: Virtual, client: ScriptedClient) -> None:
    """While bots move, never more than one of their shards is free."""

    async def flow() -> list[Recorded]:
        first = await virtual.start(kinds(client))
        await all_up(first)
        before = first.world.position
        second = await virtual.start(kinds(client))
        await until(lambda: 2 == len(owned(second)))
        return list(await first.store.read_all(before, 1_000))

    free, most = 0, 0
    for recorded in virtual.run(flow):
        free += isinstance(recorded.event, ShardFreed) - isinstance(recorded.event, ShardTaken)
        most = max(most, free)

    assert 1 == most


def test_shards_that_a_living_member_does_not_take(virtual: Virtual, client: ScriptedClient) -> None:
    """A member that lives and takes nothing keeps no bot from running: after a lifetime the others take its part, and keep it for long."""

    async def flow() -> None:
        async with virtual.store.replica() as store:
            await beside(store)

    async def beside(store: Store) -> None:
        stuck = await store.join("stuck")
        first = await virtual.start(kinds(client))
        for botcode in BOTS:
            await first.add_bot(botcode, "scripted")

        async def renewed(found: int) -> None:
            nonlocal stuck
            while len(owned(first)) != found:
                stuck = await store.renew(stuck)
                await anyio.sleep(1)

        with anyio.fail_after(10 * store.lifetime):
            await renewed(4)
        took_at = anyio.current_time()
        with anyio.move_on_after(5 * store.lifetime):
            await renewed(2)
        assert 4 == len(owned(first))
        assert took_at < 3 * store.lifetime

    virtual.run(flow)


def test_a_send_is_finished_before_its_bot_moves(virtual: Virtual, client: ScriptedClient) -> None:
    """How a hand-over ended is recorded by the gateway that began it; it is not given up when the bot moves."""

    async def flow() -> None:
        first = await virtual.start(kinds(client), send_limit_s=5)
        await all_up(first)
        client.answers(HANG)
        record = await first.send_text(BOTS[0], "早", room="一群")  # its shard is the first that moves
        await client.until_handed(1)
        second = await virtual.start(kinds(client))
        await until(lambda: second.owns(BOTS[0]))
        found = await second.message(record.msgid)
        assert found is not None
        assert "no answer from the bot's client in 5 s" == found.message.detail

    virtual.run(flow)


def test_a_bot_that_is_added_while_its_shard_moves(virtual: Virtual, client: ScriptedClient) -> None:
    """It ends where its shard leaves, and begins where it goes: its account never has two clients."""
    late = next(f"late{n}" for n in range(100) if shard_of(f"late{n}", SHARDS) == 0)

    async def flow() -> None:
        first = await virtual.start(kinds(client), send_limit_s=60)
        await all_up(first)
        client.answers(HANG)
        await first.send_text(BOTS[0], "早", room="一群")
        await client.until_handed(1)
        second = await virtual.start(kinds(client))
        await anyio.sleep(second.store.lifetime)  # the shard waits for the send that hangs
        await first.add_bot(late, "scripted")
        assert first.owns(late)
        await until(lambda: second.owns(late))
        assert not first.owns(late)

    virtual.run(flow)


def test_a_slow_store_while_a_shard_moves(
    virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard whose letting go takes long to be written is not taken back by the one that lets go of it."""

    async def flow() -> None:
        first = await virtual.start(kinds(client))
        await all_up(first)
        release, releasing = first.store.release, anyio.Event()

        async def slow_release(leases: Sequence[Lease], at: int) -> None:
            releasing.set()
            await anyio.sleep(first.store.lifetime)
            await release(leases, at)

        monkeypatch.setattr(first.store, "release", slow_release)
        await virtual.start(kinds(client))
        await releasing.wait()
        [moving] = [botcode for botcode in BOTS if not first.owns(botcode)]
        await anyio.sleep(first.store.lifetime * 0.9)  # several looks at the shards
        assert not first.owns(moving)
        monkeypatch.setattr(first.store, "release", release)

    virtual.run(flow)


def test_a_store_that_was_away_for_long(
    virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that nobody could take since the store failed are shared as ever once it is back."""

    async def flow() -> None:
        first = await virtual.start(kinds(client), store=(store := virtual.store.replica()))
        await all_up(first)
        acquire = store.acquire

        async def away(member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
            raise StoreError("the disk is full")

        monkeypatch.setattr(store, "acquire", away)
        ownership = first._ownership
        assert ownership is not None
        await store.release([ownership.leases.pop(0)], 0)  # its answer was lost, say
        await anyio.sleep(3 * store.lifetime)
        monkeypatch.setattr(store, "acquire", acquire)
        await until(lambda: 4 == len(ownership.leases))
        began = anyio.current_time()
        second = await virtual.start(kinds(client))
        await until(lambda: 2 == len(owned(second)))
        assert anyio.current_time() - began < 5 * store.lifetime

    virtual.run(flow)


def test_who_goes_is_replaced_by_all_others(client: ScriptedClient) -> None:
    """When one of three crashes the two others share what it had."""
    virtual = Virtual("asyncio")

    async def flow() -> None:
        gateways = [await virtual.start(kinds(client)) for _ in range(3)]
        await all_up(gateways[0])
        await until(lambda: [1, 1, 2] == sorted(len(owned(each)) for each in gateways))
        gone = next(each for each in gateways if len(owned(each)) == 2)
        virtual.crash(gone)
        others = [each for each in gateways if each is not gone]
        await until(lambda: [2, 2] == [len(owned(each)) for each in others])
        await all_ready(others[0])

    virtual.run(flow)


def test_going_down_while_shards_are_looked_at(
    virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at the shards that is answered while the gateway lets go of them takes nothing, and breaks nothing."""

    async def flow() -> None:
        store = virtual.store.replica()
        going = anyio.Event()
        members, release = store.members, store.release

        async def late_members() -> Sequence[str]:
            await going.wait()
            return await members()

        async def slow_release(leases: Sequence[Lease], at: int) -> None:
            await release(leases, at)
            going.set()
            await anyio.sleep(1)

        gateway = Gateway(store=store, puppets=kinds(client), clock=virtual.clock)
        async with gateway:
            await gateway.add_bot("demo", "scripted")
            monkeypatch.setattr(store, "members", late_members)
            monkeypatch.setattr(store, "release", slow_release)
            await anyio.sleep(store.lifetime)  # the next look has begun
        async with virtual.store.replica() as after:
            assert {""} == {owner.member for owner in (await after.owners()).values()}

    virtual.run(flow)
