"""The JetStream store between two looks: what arrives late, and what is deleted at the last moment, at every moment where it can."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.nats import NatsCluster
from tests.store_worker import KEY
from wxrc_core.log import Appended, Conflict, Entry, Fence, Fenced
from wxrc_core.testing.store_contract import LIMIT, attempted, check_log, queued, whole_log
from wxrc_store._jetstream_answers import NoAnswer
from wxrc_store.jetstream import JetStreamStore

pytestmark = pytest.mark.anyio

UNDER_WAY = {"error": {"code": 503, "err_code": 10077, "description": "maximum messages per subject exceeded"}}
"""What a server says of a message while an earlier one on its subject is not yet written everywhere."""


@pytest.fixture
def anyio_backend() -> str:
    """The connection has a loop of its own; that calls behave the same under trio is shown by the contract (`make soak`)."""
    return "asyncio"


@pytest.fixture
def url(nats_cluster: NatsCluster) -> str:
    """Name a new log."""
    return nats_cluster.url()


def handle(url: str) -> JetStreamStore:
    """Return a handle on the log."""
    return JetStreamStore(url, vault_key=KEY)


async def lease(store: JetStreamStore) -> Fence:
    """Take shard 1."""
    return (await store.acquire(await store.join("one"), [1], 1))[1].fence


async def end_epoch(publish: Any, store: JetStreamStore) -> None:
    """Write what ends the first epoch of shard 1."""
    await publish(store._names.event("shard/1", 2), b'0 shard.freed 1\n{"at":1,"member":"one"}', None)


@asynccontextmanager
async def arriving_late(store: JetStreamStore, look: int, ends: bool) -> AsyncIterator[list[str]]:
    """Hold up the next publication in the log until just before a look at the log, and end the epoch after it; give its subject."""
    link, held, arrived, looks = store._link, [], [], 0
    publish, get, together = link.publish, link.get, link.together

    async def late(subject: str, data: bytes, headers: dict[str, str] | None = None) -> object:
        if ".e." not in subject or arrived:
            return await publish(subject, data, headers)
        if held:
            return UNDER_WAY
        held.append((subject, data, headers))
        raise NoAnswer("under way")

    async def looked() -> None:
        nonlocal looks
        looks += bool(held)
        if held and not arrived and looks >= look:
            assert "error" not in await publish(*held[0])
            arrived.append(held[0][0])
            if ends:
                await end_epoch(publish, store)

    def after(function: Any) -> Any:
        async def looking(*args: Any, **names: Any) -> Any:
            await looked()
            return await function(*args, **names)

        return looking

    link.publish, link.get, link.together = late, after(get), after(together)  # type: ignore[assignment,method-assign]
    yield arrived
    link.publish, link.get, link.together = publish, get, together  # type: ignore[method-assign]


@pytest.mark.parametrize("ends", [False, True], ids=["", "epoch ends"])
@pytest.mark.parametrize("look", range(1, 5))
async def test_what_arrives_between_two_looks(url: str, look: int, ends: bool) -> None:
    """An entry that is still under way when its answer is given up, and arrives before any look at the log, was appended: never a conflict
    with itself, nor fenced by an epoch that ended behind it.
    """
    async with handle(url) as store:
        fence = await lease(store)
        async with arriving_late(store, look, ends) as arrived:
            (outcome,) = await store.append([Entry("s", 0, [queued(), attempted(1), attempted(2)], fence)])
        later = await store.append([Entry("t", 0, [queued()], fence)])
        log = await whole_log(store)

    assert 1 == len(arrived)
    assert Appended(2) == outcome
    assert [Fenced() if ends else Appended(5)] == later
    check_log(log)


@pytest.mark.parametrize("known", [True, False], ids=["known", "looked up"])
async def test_a_deletion_at_the_last_moment(url: str, known: bool) -> None:
    """A fenced entry for a stream that is deleted when everything was looked at and nothing yet written leaves no event behind."""
    async with handle(url) as one, handle(url) as two:
        fence = await lease(one)
        await one.append([Entry("old", 0, [queued(), attempted(1)]), Entry("fine", 0, [queued()])])
        if not known:
            await two.append([Entry("other", 0, [queued()])])
        await one.append([Entry("last", 0, [queued()])])
        publish, deleted = one._link.publish, []

        async def late(subject: str, data: bytes, headers: dict[str, str] | None = None) -> object:
            if not deleted:
                deleted.append(await asyncio.to_thread(two._link.wait, two._works.forget({"old": 2})))
            return await publish(subject, data, headers)

        one._link.publish = late  # type: ignore[assignment,method-assign]
        outcomes = await one.append([Entry("old", 2, [attempted(2)], fence), Entry("fine", 1, [attempted(1)], fence)])
        streams = [await two.read(stream) for stream in ("old", "fine")]
        log = await two.read_all()

    assert [1] == deleted
    assert Conflict(0) == outcomes[0]
    assert isinstance(outcomes[1], Appended)
    assert [0, 2] == [len(stream) for stream in streams]
    assert "old" not in [each.stream for each in log]


async def test_a_deletion_long_ago(url: str) -> None:
    """What was known of a stream before it was deleted leads to no event behind its end, however it is appended to."""
    async with handle(url) as one, handle(url) as two:
        fence = await lease(one)
        for name in ("fenced", "alone", "free"):
            await one.append([Entry(name, 0, [queued(), attempted(1)])])
        await one.append([Entry("last", 0, [queued()])])
        await two.forget({"fenced": 2, "alone": 2, "free": 2})
        outcomes = [
            *await one.append([Entry("alone", 2, [attempted(2)], fence)]),
            *await one.append(
                [Entry("fenced", 2, [attempted(2), attempted(3)], fence), Entry("free", 2, [attempted(2)])]
            ),
        ]
        log = await two.read_all()

    assert [Conflict(0)] * 3 == outcomes
    assert ["shard/1", "last"] == [each.stream for each in log]


async def test_claims_beside_other_writers(url: str) -> None:
    """Fenced entries of one event, which are taken only if nothing was written meanwhile, all get their turn beside each other."""
    async with handle(url) as one, handle(url) as two:
        fence = await lease(one)
        names = [f"{store}/{number}" for store in (1, 2) for number in range(8)]
        await one.append([Entry(name, 0, [queued()]) for name in names])

        async def claim(store: JetStreamStore, name: str) -> None:
            for number in range(1, 11):
                outcomes = await store.append([Entry(name, number, [attempted(number)], fence)])
                assert [Appended] == [type(each) for each in outcomes]

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(claim, one if name[0] == "1" else two, name)
        log = await whole_log(one)

    assert 1 + 11 * len(names) == len(log)
    check_log(log)
