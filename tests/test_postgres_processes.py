"""The PostgreSQL store under fire: writers killed and stopped; the server crashed, hanging, full; connections cut off."""

import os
import random
import signal
import time

import anyio
import psycopg
import pytest

from tests.postgres import PostgresServer
from tests.store_worker import KEY, WRITERS, acknowledged, check_acknowledged, follow, opened, worker
from wxrc_core.log import Appended, Conflict, Entry, Recorded
from wxrc_core.testing.store_contract import LIMIT, Store, attempted, check_log, queued, whole_log
from wxrc_store import StoreError, _writer
from wxrc_store.postgres import PostgresStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KILLS = int(os.environ.get("WXRC_KILLS", "2"))
"""`make soak` raises it, and then everything here runs under trio too."""


@pytest.fixture(params=["asyncio", "trio"] if "WXRC_KILLS" in os.environ else ["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each test starts processes or servers, and takes seconds; that calls behave the same under both is shown by the contract."""
    return str(request.param)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """The URL of a new database."""
    return postgres.url(postgres.database())


# -- other processes ------------------------------------------------------------------------------------------------------------


async def test_writers_killed_at_any_moment(url: str, anyio_backend_name: str) -> None:
    """Writers that are killed with -9 under load, one after the other beside one that goes on, leave all that they acknowledged."""
    acks: list[tuple[int, str, int]] = []
    seen: list[Recorded] = []

    async def go_on() -> None:
        async with worker(url, "steady", 60, anyio_backend_name) as process:
            acks.extend(await acknowledged(process))
            assert 0 == await process.wait()

    async with opened(url) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(follow, store, seen)
        async with anyio.create_task_group() as others:
            others.start_soon(go_on)
            for number in range(KILLS):
                async with worker(url, f"w{number}", 100_000, anyio_backend_name) as process:
                    acks += await acknowledged(process, kill_after=random.randrange(1, 300))
                    assert -9 == await process.wait()
        log = await whole_log(store)
        with anyio.fail_after(LIMIT):
            while len(seen) < len(log):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()

    check_acknowledged(log, acks)
    assert log == seen[: len(log)]


async def test_stopped_writers_hold_up_nobody(url: str, anyio_backend_name: str) -> None:
    """Writers that are stopped (SIGSTOP) at any moment under load never hold the log's lock: others append on at once."""
    stalls: list[float] = []
    async with opened(url) as store:
        for number in range(KILLS):
            async with worker(url, f"w{number}", 100_000, anyio_backend_name) as process:
                await anyio.sleep(0.5 + random.random() / 2)
                process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                with anyio.fail_after(5):
                    for turn in range(3):
                        await store.append([Entry(f"own/{number}/{turn}", 0, [queued()])])
                stalls.append(time.monotonic() - began)
                process.kill()
        log = await whole_log(store)

    check_log(log)
    assert KILLS == len(stalls)


async def test_processes_append_at_once(url: str, anyio_backend_name: str) -> None:
    """Three processes append to one log and to one stream; a fourth sees all of it in order, once."""
    rounds, acks, seen = 10, [], []

    async def run(name: str) -> None:
        async with worker(url, name, rounds, anyio_backend_name) as process:
            acks.extend(await acknowledged(process))
            assert 0 == await process.wait()

    async with opened(url) as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, store, seen)
                async with anyio.create_task_group() as others:
                    for name in ("a", "b", "c"):
                        others.start_soon(run, name)
                while len(seen) < 2 * len(acks):
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        log = await whole_log(store)

    check_acknowledged(log, acks)
    assert 3 * rounds * (WRITERS + 1) == len(acks)
    assert log == seen


# -- the server -----------------------------------------------------------------------------------------------------------------


async def test_the_server_crashes_under_load(anyio_backend_name: str) -> None:
    """A server that is shut down at once and started again, under load, has lost nothing that was acknowledged and doubled
    nothing; writers and followers go on by themselves.
    """
    acks: list[tuple[int, str, int]] = []
    seen: list[Recorded] = []

    async def run(name: str) -> None:
        async with worker(server.url(), name, 100_000, anyio_backend_name) as process:
            running.append(process)
            acks.extend(await acknowledged(process))

    running: list[anyio.abc.Process] = []
    with PostgresServer() as server:
        async with opened(server.url()) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(follow, store, seen)
            async with anyio.create_task_group() as others:
                for name in ("a", "b"):
                    others.start_soon(run, name)
                for _ in range(max(1, KILLS // 10)):
                    before = len(seen)
                    with anyio.fail_after(LIMIT):
                        while len(seen) < before + 500:
                            await anyio.sleep(0.01)
                    await anyio.to_thread.run_sync(server.stop, signal.SIGQUIT)
                    await anyio.to_thread.run_sync(server.start)
                before = len(seen)
                with anyio.fail_after(LIMIT):
                    while len(seen) < before + 500:
                        await anyio.sleep(0.01)
                for process in running:
                    process.kill()
            log = await whole_log(store)
            with anyio.fail_after(LIMIT):
                while len(seen) < len(log):
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    check_acknowledged(log, acks)
    assert log == seen[: len(log)]


async def test_a_server_that_hangs() -> None:
    """While the server hangs (SIGSTOP) every call ends with an error within its time limit, and afterwards everything goes on."""
    with PostgresServer() as server:
        async with PostgresStore(server.url(), vault_key=KEY, limit=1) as store:
            await store.append([Entry("s", 0, [queued()])])
            member = await store.join("one")
            with server.suspended(), anyio.fail_after(LIMIT / 2):
                for use in (
                    lambda: store.append([Entry("s", 1, [queued()])]),
                    lambda: store.read("s"),
                    lambda: store.renew(member),
                ):
                    with pytest.raises(StoreError):
                        await use()
            version = await until_it_works(store, "s")
            outcomes = await store.append([Entry("s", version, [attempted(1)])])

    assert isinstance(outcomes[0], Appended)


async def until_it_works(store: Store, stream: str) -> int:
    """Wait until a stream can be read; return its version."""
    with anyio.fail_after(LIMIT):
        while True:
            try:
                return len(await store.read(stream))
            except StoreError:
                await anyio.sleep(0.05)


async def test_a_full_server(postgres: PostgresServer, url: str) -> None:
    """A server without a connection left is named, and taken again as soon as it has one."""
    name = url.rpartition("/")[2]
    async with PostgresStore(url, vault_key=KEY):
        pass  # the tables are there
    postgres.execute("CREATE ROLE few LOGIN")
    postgres.execute(
        "GRANT ALL ON SCHEMA wxrc TO few; GRANT ALL ON ALL TABLES IN SCHEMA wxrc TO few; ALTER ROLE few CONNECTION LIMIT 0",
        name,
    )
    few = url.replace("postgres@", "few@")
    with pytest.raises(StoreError, match="too many connections for role"):
        await PostgresStore(few, vault_key=KEY).__aenter__()
    postgres.execute("ALTER ROLE few CONNECTION LIMIT 9")
    async with PostgresStore(few, vault_key=KEY) as store:
        outcomes = await store.append([Entry("s", 0, [queued()])])

    assert [Appended(1)] == outcomes


# -- an outcome that is unknown -------------------------------------------------------------------------------------------------


async def test_an_unknown_outcome_is_read_back(url: str) -> None:
    """An append whose answer is lost with the connection is an error; the event may be there, and the version says so to who repeats it."""
    async with PostgresStore(url, vault_key=KEY) as store, PostgresStore(url, vault_key=KEY) as other:
        await store.append([Entry("s", 0, [queued()])])
        with psycopg.connect(url, autocommit=True) as blocker:
            blocker.execute("BEGIN")
            blocker.execute(store._names.sql("SELECT pg_advisory_xact_lock({log_lock}, {lock_key})"))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cut_off, store, url)
                with pytest.raises(StoreError, match="connection was lost"):
                    await store.append([Entry("s", 1, [attempted(1)])])
            blocker.execute("COMMIT")  # the server finishes what it was asked to do
        with anyio.fail_after(LIMIT):
            while len(found := await other.read("s")) < 2:
                await anyio.sleep(0.01)
        again = await store.append([Entry("s", 1, [attempted(1)])])

    assert attempted(1) == found[1].event
    assert [Conflict(2)] == again


async def cut_off(store: PostgresStore, url: str) -> None:
    """Cut off the connection on which an append waits for the log's lock."""
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(url, autocommit=True) as looker:
        with anyio.fail_after(LIMIT):
            while not looker.execute(waiting).fetchall():
                await anyio.sleep(0.01)
    store._server._end_calls(float("inf"))


async def test_a_call_that_is_blocked_ends_by_its_limit(url: str) -> None:
    """An append that waits for a lock longer than the limit is ended by the server, in a sentence, and was not done."""
    async with PostgresStore(url, vault_key=KEY, limit=0.5) as store:
        await store.append([Entry("s", 0, [queued()])])
        with psycopg.connect(url) as blocker:
            blocker.execute(store._names.sql("SELECT pg_advisory_xact_lock({log_lock}, {lock_key})"))
            with pytest.raises(StoreError, match=r"a call took too long\. Look for what blocks it in pg_stat_activity"):
                await store.append([Entry("s", 1, [queued()])])
        outcomes = await store.append([Entry("s", 1, [queued()])])

    assert [Appended(2)] == outcomes


async def test_news_from_another_process(url: str, anyio_backend_name: str) -> None:
    """Who waits for news is woken by an append of another process, by the hint and also without it."""
    async with opened(url) as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.changed, 0)
                tasks.start_soon(store.changed, 1)
                async with worker(url, "w", 1, anyio_backend_name) as process:
                    await acknowledged(process)
        found = await store.at(2)

    assert found is not None
    assert attempted(2) == found.event


async def test_the_hint_comes_before_the_poll(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With polling as good as switched off, a commit of another handle still wakes who waits: by NOTIFY."""
    monkeypatch.setattr(_writer, "POLL", 600)
    monkeypatch.setattr(_writer, "IDLE_POLL", 600)
    async with opened(url) as one, opened(url) as two:
        for number in range(20):
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(two.changed, number)
                    await anyio.wait_all_tasks_blocked()
                    await one.append([Entry(f"s{number}", 0, [queued()])])
        log = await whole_log(two)

    assert 20 == len(log)
