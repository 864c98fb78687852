"""`verify` reads a log as a whole and names the first wrong event; `prune` moves what has ended into an archive and changes
nothing else.
"""

import gzip
import json
from pathlib import Path

import anyio
import apsw
import msgspec
import pytest

from tests.scripted_bots import kinds, until, up
from wxrc_core import bot, message, snapshot
from wxrc_core.errors import Refusal
from wxrc_core.log import Entry
from wxrc_core.puppet import Unconfirmed
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_gateway import Gateway, maintenance
from wxrc_simulation.fixture import START, Virtual
from wxrc_store.sqlite import SqliteStore

DAY_MS = 86_400_000


async def a_life(gateway: Gateway, client: ScriptedClient) -> None:
    """Let a bot, a channel and some messages live: sent ones, one in doubt, one that waits for ever."""
    await gateway.add_channel("crm", callback_url="http://127.0.0.1:1/", allow_private=True)
    await up(gateway)
    await gateway.grant_bot("crm", "demo")
    for number in range(20):
        await gateway.send_text("demo", f"{number}", room="一群", wait_s=5)
    client.answers(Unconfirmed("?"))
    await gateway.send_text("demo", "悬", room="一群", wait_s=5)
    await gateway.login("demo")
    await anyio.sleep(5)
    await until(lambda: not gateway.world.messages and not gateway.world.deliveries)


def test_a_sound_log_is_in_order(virtual: Virtual, client: ScriptedClient) -> None:
    """A log with a snapshot is in order, and the snapshot is its fold."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await a_life(gateway, client)
        world = gateway.world
        store = gateway.store
        await store.save(world.position, snapshot.SCHEMA, snapshot.encode(world))
        verdict = await maintenance.verify(store)
        assert () == verdict.wrong
        assert world.position == verdict.position == verdict.snapshot == verdict.events

    virtual.run(flow)


def test_the_first_wrong_event_is_named(virtual: Virtual, client: ScriptedClient) -> None:
    """An event that is not possible where it stands, and a snapshot that is not the fold, are named."""

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await a_life(gateway, client)
        store, world = gateway.store, gateway.world
        other = msgspec.structs.replace(snapshot.take(world), doubts=[])
        await store.save(world.position, snapshot.SCHEMA, msgspec.msgpack.encode(other))
        verdict = await maintenance.verify(store)
        assert any("doubts" in sentence for sentence in verdict.wrong)
        version = world.view.bots["demo"].version
        await store.append([Entry("bot/demo", version, [bot.QrCodeScanned(at=0)])])
        [sentence] = [each for each in (await maintenance.verify(store)).wrong if "QrCode" in each or "scanned" in each]
        assert f"event {world.position + 1}" in sentence or f"event {world.position}" in sentence
        assert "not possible in state 'login'" in sentence

    virtual.run(flow)


def test_a_damaged_event_is_named(tmp_path: Path, client: ScriptedClient) -> None:
    """Bytes that cannot be read are refused with a sentence, and nothing is guessed."""

    async def flow() -> None:
        path = tmp_path / "wxrc.db"
        async with Gateway(store=SqliteStore(path), puppets=kinds(client)) as gateway:
            await up(gateway)
        damage = apsw.Connection(str(path))
        damage.execute("UPDATE event SET data = x'7b' WHERE position = 67")
        damage.close()
        async with SqliteStore(path) as store:
            with pytest.raises(Exception, match="damaged"):
                await maintenance.verify(store)

    anyio.run(flow)


def test_prune_moves_what_has_ended_and_nothing_else(tmp_path: Path, client: ScriptedClient) -> None:
    """What ended long ago is in the archive and no longer in the log; bots, grants, doubts and the next start are as before; it
    can be repeated.
    """
    virtual = Virtual("asyncio")
    archive = tmp_path / "old.jsonl.gz"
    now = START + 5 * DAY_MS

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await a_life(gateway, client)
        doubts, bots, told = dict(gateway.world.doubts), list(gateway.view.bots), len(virtual.callbacks)
        await virtual.leave(gateway)
        async with virtual.store.replica() as store:
            before = len(await store.read_all(0, 10_000))
            with pytest.raises(Refusal, match="2 days"):
                await maintenance.prune(store, now, archive, now)
            pruned = await maintenance.prune(store, START + DAY_MS, archive, now)
            left = await store.read_all(0, 10_000)
            assert before == len(left) + pruned.events
            assert pruned.streams >= 20
            again = await maintenance.prune(store, START + DAY_MS, archive, now)
            assert 0 == again.events
            assert () == (await maintenance.verify(store)).wrong
        # A gateway that starts on what is left knows the same, and tells nothing a second time but that its bot is back.
        fresh = await virtual.start(kinds(client))
        assert doubts == fresh.world.doubts
        assert bots == list(fresh.view.bots)
        await anyio.sleep(60)
        assert told == len(virtual.callbacks)
        sent = await fresh.send_text("demo", "新", room="一群", wait_s=5)
        assert "1" == message.send_status(sent.message)[0]

    virtual.run(flow)

    lines = [json.loads(line) for line in gzip.decompress(archive.read_bytes()).splitlines()]
    assert {"position", "stream", "version", "type", "schema", "data"} == set(lines[0])
    assert all(line["stream"].startswith(("message/", "delivery/", "inbound/")) for line in lines)


def test_a_pruned_log_is_in_order(tmp_path: Path, client: ScriptedClient) -> None:
    """Where nothing came after what was pruned, the snapshot that knows of it is not called wrong; a snapshot that is wrong is."""
    virtual = Virtual("asyncio")
    now = START + 5 * DAY_MS

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        for number in range(70):
            await gateway.send_text("demo", f"{number}", room="一群", wait_s=5)
        await virtual.leave(gateway)
        async with virtual.store.replica() as store:
            pruned = await maintenance.prune(store, START + DAY_MS, tmp_path / "old.jsonl.gz", now)
            verdict = await maintenance.verify(store)
            assert pruned.streams >= 70
            assert () == verdict.wrong
            assert verdict.snapshot
            [(position, schema, blob)] = [await store.newest([snapshot.SCHEMA]) or (0, "", b"")]
            kept = msgspec.msgpack.decode(blob, type=snapshot.Snapshot)
            [world] = kept.worlds
            queue = msgspec.structs.replace(world.queue, accounts={"message/x": "wxid"})
            other = msgspec.structs.replace(kept, worlds=[msgspec.structs.replace(world, queue=queue)])
            await store.save(position, schema, msgspec.msgpack.encode(other))
            assert any("worlds" in sentence for sentence in (await maintenance.verify(store)).wrong)

    virtual.run(flow)


def test_prune_that_is_killed_loses_nothing(tmp_path: Path, client: ScriptedClient) -> None:
    """Interrupted between writing the archive and deleting, every event is in the archive or in the log; repeated, it finishes."""
    virtual = Virtual("asyncio")
    archive = tmp_path / "old.jsonl.gz"
    now = START + 5 * DAY_MS

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await a_life(gateway, client)
        await virtual.leave(gateway)
        async with virtual.store.replica() as store:
            everything = {each.position for each in await store.read_all(0, 10_000)}
            forget = store.forget

            async def dies(streams: dict[str, int]) -> int:
                raise RuntimeError("killed")

            store.forget = dies  # type: ignore[method-assign, assignment]
            with pytest.raises(RuntimeError):
                await maintenance.prune(store, START + DAY_MS, archive, now)
            store.forget = forget  # type: ignore[method-assign]
            await maintenance.prune(store, START + DAY_MS, archive, now)
            left = {each.position for each in await store.read_all(0, 10_000)}
        archived = {json.loads(line)["position"] for line in gzip.decompress(archive.read_bytes()).splitlines()}
        assert everything <= left | archived
        assert not left & archived

    virtual.run(flow)
