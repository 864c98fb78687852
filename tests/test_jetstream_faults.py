"""The JetStream store under fire: leaders killed, stopped and voted out, a majority lost, answers lost, events that are large."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
import nats
import pytest

from tests.nats import NatsCluster
from tests.store_worker import KEY, acknowledged, check_acknowledged, follow, opened, worker
from wxrc_core.log import Appended, Conflict, Entry, Fenced, Recorded
from wxrc_core.testing.store_contract import LIMIT, OwnershipContract, Store, attempted, check_log, queued, whole_log
from wxrc_store import StoreError
from wxrc_store._jetstream_answers import NoAnswer
from wxrc_store.jetstream import JetStreamStore

pytestmark = pytest.mark.anyio

SOAK = "WXRC_KILLS" in os.environ

ELECTIONS = 100 if SOAK else 4
"""So many leaders are voted out."""


@pytest.fixture
def anyio_backend() -> str:
    """The connection has a loop of its own; that calls behave the same under trio is shown by the contract (`make soak`)."""
    return "asyncio"


@pytest.fixture(scope="module")
def struck() -> Iterator[NatsCluster]:
    """A cluster that tests may do harm to, if they make it whole again."""
    with NatsCluster() as cluster:
        yield cluster


def handle(url: str, **settings: float) -> JetStreamStore:
    """Return a handle on the log."""
    return JetStreamStore(url, vault_key=KEY, **settings)  # type: ignore[arg-type]


# -- servers that fail ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"] if SOAK else ["killed"])
async def test_a_leader_that_fails_under_load(struck: NatsCluster, how: str) -> None:
    """The leader of the log is killed, or hangs, while two processes append: all that was acknowledged is there, once, and a reader that
    follows sees all of it.
    """
    url = struck.url(log := struck.fresh())
    acks: list[tuple[int, str, int]] = []
    seen: list[Recorded] = []

    async def run(name: str, store: Store) -> None:
        async with worker(url, name, 100_000, "asyncio") as process, anyio.create_task_group() as tasks:
            tasks.start_soon(kill_later, process)
            acks.extend(await acknowledged(process))
            tasks.cancel_scope.cancel()

    async def kill_later(process: anyio.abc.Process) -> None:
        await ended.wait()
        process.kill()

    async def more(count: int) -> None:
        before = len(seen)
        while len(seen) < before + count:
            await anyio.sleep(0.02)

    ended = anyio.Event()
    async with opened(url) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(follow, store, seen)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as others:
                others.start_soon(run, "one", store)
                others.start_soon(run, "two", store)
                await more(100)
                leader = await anyio.to_thread.run_sync(struck.leader, log)
                if how == "killed":
                    struck.kill(leader)
                    await more(100)
                    struck.start(leader)
                else:
                    with struck.suspended(leader):
                        await more(100)
                await more(100)
                ended.set()
            log_ = await whole_log(store)
            while len(seen) < len(log_):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(struck.ready)

    check_acknowledged(log_, acks)
    assert log_ == seen[: len(log_)]


@pytest.mark.slow
async def test_a_majority_is_lost_and_comes_back(struck: NatsCluster) -> None:
    """While two of three servers are down every call ends with an error within its time limit, and afterwards everything goes on."""
    async with handle(struck.url(), limit=0.5) as store:
        await store.append([Entry("s", 0, [queued()])])
        member = await store.join("one")
        leases = await store.acquire(member, [1], 1)
        for number in (0, 1):
            struck.kill(number)
        uses: list[Callable[[], Awaitable[object]]] = [
            lambda: store.append([Entry("s", 1, [queued()])]),
            store.probe,
            lambda: store.renew(member),
            lambda: store.acquire(member, [2], 1),
            lambda: store.set_told_to(5),
            lambda: store.save(1, "a", b"x"),
        ]
        async with anyio.create_task_group() as tasks:
            for use in uses:
                tasks.start_soon(fails_in_time, use)
        for number in (0, 1):
            struck.start(number)
        await anyio.to_thread.run_sync(struck.ready)
        with anyio.fail_after(LIMIT):
            while not await appended(store, Entry("after", 0, [attempted(1)], leases[1].fence)):
                await anyio.sleep(0.05)
        await store.probe()


async def fails_in_time(use: Callable[[], Awaitable[object]]) -> None:
    """See that a call ends with an error, and within its time limit."""
    with anyio.fail_after(LIMIT / 2), pytest.raises(StoreError):
        await use()


async def appended(store: Store, entry: Entry) -> bool:
    """Return whether an entry is in the log, after another try to append it."""
    with suppress(StoreError):
        (outcome,) = await store.append([entry])
        return isinstance(outcome, Appended) or outcome == Conflict(1)
    return False


@pytest.mark.slow
async def test_fences_hold_through_elections(struck: NatsCluster) -> None:
    """While a shard changes hands under load, leaders are voted out: nothing of an epoch stands behind the next one's beginning."""
    log = struck.fresh()
    client = await nats.connect(f"nats://127.0.0.1:{struck.ports[0]}")
    elections = 0

    async def vote_out() -> None:
        nonlocal elections
        while elections < ELECTIONS:
            with suppress(TimeoutError, nats.errors.Error):
                answer = await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{log}_events", b"", 2)
                elections += "error" not in json.loads(answer.data)
            await anyio.sleep(0.1)

    async with handle(struck.url(log)), anyio.create_task_group() as tasks:
        tasks.start_soon(vote_out)
        await OwnershipContract().test_a_fence_holds_under_load(lambda _: handle(struck.url(log)))
        tasks.cancel_scope.cancel()
    await client.close()

    assert elections


# -- answers that are lost ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def losing_answers(store: JetStreamStore, times: int) -> AsyncIterator[list[str]]:
    """Lose the answers to so many publications in the log: what was asked is done all the same. Give the subjects."""
    link, lost = store._link, []
    publish = link.publish

    async def losing(subject: str, data: bytes, headers: dict[str, str] | None = None) -> object:
        answer = await publish(subject, data, headers)
        if ".e." in subject and len(lost) < times:
            lost.append(subject)
            raise NoAnswer("lost by the test")
        return answer

    link.publish = losing  # type: ignore[assignment,method-assign]
    yield lost
    link.publish = publish  # type: ignore[method-assign]


BATCHES: dict[str, Callable[[int], list[Entry]]] = {
    "one event": lambda n: [Entry(f"{n}", 0, [queued()])],
    "an entry of three": lambda n: [Entry(f"{n}", 0, [queued(), attempted(1), attempted(2)])],
    "a batch": lambda n: [Entry(f"{n}/{each}", 0, [queued(), attempted(1)]) for each in range(9)],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_that_is_lost(
    nats_cluster: NatsCluster, batch: Callable[[int], list[Entry]], times: int
) -> None:
    """An append whose answer is lost, also that of the second try, is found again by its id: it is there once, where it was said to be."""
    async with handle(nats_cluster.url()) as store:
        await store.append([Entry("before", 0, [queued()])])
        async with losing_answers(store, times) as lost:
            outcomes = await store.append(batch(0))
        log = await whole_log(store)

    assert times == len(lost)
    check_log(log)
    position = 2
    for entry, outcome in zip(batch(0), outcomes, strict=True):
        assert Appended(position) == outcome
        position += len(entry.events)
    assert position - 1 == len(log)


async def test_what_stays_unknown(nats_cluster: NatsCluster) -> None:
    """Where no answer comes within the limit that is an error; the event is there, and who repeats the append is told so."""
    async with handle(nats_cluster.url(), limit=1) as store:
        await store.append([Entry("s", 0, [queued()])])
        async with losing_answers(store, 10**9):
            with pytest.raises(StoreError, match="does not answer"):
                await store.append([Entry("s", 1, [attempted(1)])])
        again = await store.append([Entry("s", 1, [attempted(1)])])
        found = await store.read("s")

    assert [Conflict(2)] == again
    assert [queued(), attempted(1)] == [each.event for each in found]


async def test_a_fence_that_ended_while_the_answer_was_lost(nats_cluster: NatsCluster) -> None:
    """An entry that was taken before its epoch ended, and whose answer came to nobody, is not called fenced."""
    async with handle(nats_cluster.url()) as store:
        member = await store.join("one")
        lease = (await store.acquire(member, [1], 1))[1]
        publish = store._link.publish

        async def ends(subject: str, data: bytes, headers: dict[str, str] | None = None) -> object:
            answer = await publish(subject, data, headers)
            if ".e." not in subject:
                return answer
            store._link.publish = publish  # type: ignore[method-assign]
            await publish(store._names.event("shard/1", 2), store_body(store), None)
            raise NoAnswer("lost by the test")

        store._link.publish = ends  # type: ignore[assignment,method-assign]
        taken = await store.append([Entry("s", 0, [queued()], lease.fence)])
        later = await store.append([Entry("t", 0, [queued()], lease.fence)])

    assert [Appended(2)] == taken
    assert [Fenced()] == later


def store_body(store: JetStreamStore) -> bytes:
    """Return a message as an event of a shard has it."""
    return b'0 shard.freed 1\n{"at":1,"member":"one"}'


async def test_stale_knowledge_of_a_stream(nats_cluster: NatsCluster) -> None:
    """A handle that believes in a version which others have changed meanwhile finds out: by appends, by deletion, by both."""
    url = nats_cluster.url()
    async with handle(url) as one, handle(url) as two:
        for stream in ("grown", "gone", "anew"):
            await one.append([Entry(stream, 0, [queued(), attempted(1)])])
        await two.append([Entry("grown", 2, [attempted(2)]), Entry("last", 0, [queued()])])
        await two.forget({"gone": 2, "anew": 2})
        await two.append([Entry("anew", 0, [queued("new")])])
        outcomes = await one.append(
            [
                Entry("grown", 2, [attempted(3)]),
                Entry("gone", 2, [attempted(3)]),
                Entry("anew", 2, [attempted(3)]),
                Entry("fine", 0, [queued()]),
            ]
        )
        streams = [[each.event for each in await two.read(name)] for name in ("gone", "anew")]

    assert [Conflict(3), Conflict(0), Conflict(1)] == list(outcomes[:3])
    assert isinstance(outcomes[3], Appended)
    assert [[], [queued("new")]] == streams


async def test_a_deletion_that_was_interrupted(nats_cluster: NatsCluster) -> None:
    """A stream that was closed and not yet deleted reads as gone, is finished by whoever comes upon it, and begins anew."""
    url = nats_cluster.url()
    async with handle(url) as one, handle(url) as two:
        await one.append([Entry("old", 0, [queued(), attempted(1)]), Entry("last", 0, [queued()])])

        async def interrupted(stream: str, closed_at: int) -> None:
            raise StoreError("interrupted by the test")

        finish, one._reader.finish_forgetting = one._reader.finish_forgetting, interrupted  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="interrupted by the test"):
            await one.forget({"old": 2})
        one._reader.finish_forgetting = finish  # type: ignore[method-assign]
        late = await two.append([Entry("old", 2, [attempted(2)])])
        fresh = await two.append([Entry("old", 0, [queued("new")])])
        stream = await one.read("old")
        log = await one.read_all()

    assert [Conflict(0)] == late
    assert isinstance(fresh[0], Appended)
    assert [queued("new")] == [each.event for each in stream]
    assert ["last", "old"] == [each.stream for each in log]


# -- what is large ------------------------------------------------------------------------------------------------------------------


async def test_large_events(nats_cluster: NatsCluster) -> None:
    """An event of more than a message can hold comes back whole, by every way, on another handle too; deleted, it leaves nothing."""
    url, large = nats_cluster.url(), queued("长" * 1_500_000)
    async with handle(url) as one, handle(url) as two:
        outcomes = await one.append([Entry("s", 0, [queued(), large]), Entry("last", 0, [queued()])])
        found = await two.read("s"), await two.read_all(), await two.at(2)
        before = await one._link.run(one._link.subjects(one._names.files, one._names.file("piece") + ".>"))
        await two.forget({"s": 2})
        after = await one._link.run(one._link.subjects(one._names.files, one._names.file("piece") + ".>"))

    assert [Appended(1), Appended(3)] == outcomes
    assert (large, large, large) == (found[0][1].event, found[1][1].event, found[2].event if found[2] else None)
    assert (True, []) == (bool(before), after)


async def test_many_events_in_an_entry(nats_cluster: NatsCluster) -> None:
    """A thousand are taken as one batch; more are refused with a sentence, and nothing of them is written."""
    async with handle(nats_cluster.url()) as store:
        events = [attempted(number) for number in range(1, 1_002)]
        with pytest.raises(ValueError, match=r"up to 1,000 events on JetStream, not 1,001"):
            await store.append([Entry("s", 0, events)])
        with pytest.raises(ValueError, match="name of a stream"):
            await store.append([Entry("s" * 3_001, 0, events[:1])])
        outcomes = await store.append([Entry("s", 0, events[:1_000]), Entry("t", 0, events[:1_000])])

    assert [Appended(1), Appended(1_001)] == outcomes


async def test_restoring_wide_gaps(nats_cluster: NatsCluster) -> None:
    """Gaps of thousands of positions, at the beginning and inside, are kept; what filled them for a moment is gone."""
    records = [
        Recorded(5_000, "a", 1, queued()),
        Recorded(5_001, "a", 2, attempted(1)),
        Recorded(8_500, "b", 1, queued()),
    ]
    async with handle(nats_cluster.url()) as store:
        await store.restore(records)
        with anyio.fail_after(LIMIT):
            await store.changed(8_499)
        log = await store.read_all()
        outcomes = await store.append([Entry("c", 0, [queued()])])
        info = await store._link.run(store._link.call(f"STREAM.INFO.{store._names.events}"))

    assert records == log
    assert [Appended(8_501)] == outcomes
    assert 4 == info["state"]["messages"]
