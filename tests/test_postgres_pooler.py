"""The PostgreSQL store behind pgbouncer in transaction mode, where a session belongs to nobody: the contract, and several handles."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import anyio
import psycopg
import pytest

from tests.live import free_port
from tests.postgres import PostgresServer
from tests.store_worker import follow
from wxrc_core.log import Appended, Entry, Recorded
from wxrc_core.testing.store_contract import (
    LIMIT,
    OpenStore,
    OwnershipContract,
    SnapshotContract,
    queued,
    whole_log,
)
from wxrc_store.postgres import PostgresStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = b"k" * 32
_schemas = count()


@pytest.fixture
def anyio_backend() -> str:
    """What is kept in a session does not depend on the event loop; the contract runs under both without a pooler."""
    return "asyncio"


@pytest.fixture(scope="session")
def pooled(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database behind pgbouncer, with fewer sessions than the store has connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    assert program, "pgbouncer is missing; `make tools` brings it, and so does: apt-get install pgbouncer"
    port, database, home = free_port(), postgres.database(), Path(tempfile.mkdtemp(prefix="wxrc-pgbouncer-"))
    home.chmod(0o755)  # pytest's own folders are closed to the user that it runs as
    (home / "pgbouncer.ini").write_text(
        f"[databases]\n{database} = host=127.0.0.1 port={postgres.port} user=postgres\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        "default_pool_size = 4\nmax_client_conn = 500\n"
    )
    user = "nobody" if os.geteuid() == 0 else None  # as root it does not start
    process = subprocess.Popen([program, "-q", str(home / "pgbouncer.ini")], user=user, cwd="/")
    url = f"postgresql://postgres@127.0.0.1:{port}/{database}"
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            psycopg.connect(url).close()
            break
        except psycopg.Error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(LIMIT)
    shutil.rmtree(home)


@pytest.fixture
def opened(pooled: str) -> Callable[[str], PostgresStore]:
    """Return what makes a handle on the log of a name: each test has schemas of its own."""
    prefix = f"p{next(_schemas)}"
    return lambda name: PostgresStore(pooled, vault_key=KEY, lifetime=1.0, schema=f"{prefix}_{name}")


class TestBehindAPooler(OwnershipContract, SnapshotContract):
    """The parts of the contract that a session's state could break."""

    @pytest.fixture
    def open_store(self, opened: Callable[[str], PostgresStore]) -> OpenStore:
        """Keep each log in a schema of its own."""
        return opened


async def test_followers_hear_by_polling(opened: Callable[[str], PostgresStore]) -> None:
    """Three handles append and a fourth follows: nothing is missed, though no hint comes through a pooler."""
    seen: list[Recorded] = []

    async def write(name: str) -> None:
        async with opened("log") as store:
            for number in range(20):
                (outcome,) = await store.append([Entry(f"{name}/{number}", 0, [queued(), queued()])])
                assert isinstance(outcome, Appended)

    async with opened("log") as store:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, store, seen)
                async with anyio.create_task_group() as writers:
                    for name in ("a", "b", "c"):
                        writers.start_soon(write, name)
                while len(seen) < 120:
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        log = await whole_log(store)

    assert log == seen


async def test_nothing_stays_in_a_session(
    pooled: str, opened: Callable[[str], PostgresStore], postgres: PostgresServer
) -> None:
    """What a store does leaves no setting, lock, listener or prepared statement for the next client of a pooled session."""
    async with opened("log") as store:
        await store.append([Entry("s", 0, [queued()])])
        await store.save(1, "a", b"snapshot")
        assert [Appended(2)] == await store.append([Entry("s", 1, [queued()])])
        left = []
        with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as client:
            for query in (
                "SELECT name FROM pg_settings WHERE source = 'session' AND name = 'statement_timeout'",
                "SELECT objid FROM pg_locks WHERE locktype = 'advisory'",
                "SELECT pg_listening_channels()",
                "SELECT name FROM pg_prepared_statements",
            ):
                left += client.execute(query).fetchall()

    assert [] == left
