"""A log in JetStream after a deletion: what is left is in order, and can be taken into another store and back."""

from pathlib import Path

import pytest

from tests.nats import NatsCluster
from tests.store_worker import KEY
from wxrc_core.log import Appended, Entry
from wxrc_core.testing.store_contract import attempted, queued
from wxrc_gateway.export import export_log
from wxrc_gateway.maintenance import verify
from wxrc_gateway.restore import import_log
from wxrc_service.stores import DurableStore
from wxrc_store.jetstream import JetStreamStore
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Nothing here depends on the loop."""
    return "asyncio"


async def copy(source: DurableStore, target: DurableStore) -> None:
    """Export a log, and import it elsewhere."""
    chunks = [chunk async for chunk in export_log(source, source.vault, time="now", release="1")]

    async def read() -> bytes:
        return chunks.pop(0) if chunks else b""

    await import_log(target, target.vault, read)


async def test_an_export_just_after_a_deletion(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """The positions that a deletion took, above all that was told, are no damage: not to `verify`, nor to an import, here and elsewhere."""
    names = [f"message/shop/20260921/{number}" for number in range(4)]
    source, middle, target = (
        JetStreamStore(nats_cluster.url(), vault_key=KEY),
        SqliteStore(tmp_path / "other.db"),
        JetStreamStore(nats_cluster.url(), vault_key=KEY),
    )
    async with source, middle, target:
        for name in names:
            await source.append([Entry(name, 0, [queued()])])
        await source.set_told_to(3)
        deleted = await source.forget(dict.fromkeys(names[:2], 1))
        await source.append([Entry(names[3], 1, [attempted(1)])])
        await copy(source, middle)
        await copy(middle, target)
        verdicts = [await verify(store) for store in (source, middle, target)]
        logs = [await store.read_all() for store in (source, middle, target)]
        (outcome,) = await target.append([Entry("next", 0, [queued()])])

    assert 2 == deleted
    assert [(), (), ()] == [verdict.wrong for verdict in verdicts]
    assert [3, 4, 7] == [each.position for each in logs[0]]
    assert logs[0] == logs[1] == logs[2]
    assert Appended(8) == outcome
