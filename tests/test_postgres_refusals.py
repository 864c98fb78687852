"""What the PostgreSQL store refuses, each with a sentence: servers that break a promise, logs that went back, keys, newer releases."""

from pathlib import Path

import anyio
import psycopg
import pytest

from tests.postgres import PostgresServer
from wxrc_core.log import Entry
from wxrc_core.testing.store_contract import LIMIT, queued
from wxrc_store import NewerEvents, StoreError, _postgres_server
from wxrc_store._seen import Seen
from wxrc_store.postgres import PostgresStore

pytestmark = pytest.mark.anyio

KEY = b"k" * 32


@pytest.fixture
def anyio_backend() -> str:
    """What a server says does not depend on the event loop; the contract runs under both."""
    return "asyncio"


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """Name a new database."""
    return postgres.database()


async def refused(store: PostgresStore, sentence: str) -> str:
    """Check that a store does not open, and says so in a sentence like this; return all of it."""
    with pytest.raises(StoreError, match=sentence) as raised:
        await store.__aenter__()
    return str(raised.value)


async def failure(store: PostgresStore) -> str:
    """Return why nothing can be appended; empty = it can."""
    try:
        await store.append([Entry("probe", 7, [queued()])])  # of no effect: a conflict
    except StoreError as error:
        return str(error)
    return ""


# -- the server -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("default_transaction_isolation = 'repeatable read'", "has repeatable read as its default; set default_trans"),
        ("default_transaction_isolation = 'serializable'", "has serializable as its default; set default_transaction"),
        ("default_transaction_read_only = on", "only reads; set default_transaction_read_only = off"),
        ("synchronous_commit = off", "acknowledges before anything is on disk; set synchronous_commit = on"),
    ],
)
async def test_settings(postgres: PostgresServer, database: str, setting: str, sentence: str) -> None:
    """A setting that breaks a promise keeps the store shut, the sentence says which and what is right, and nothing was made."""
    postgres.execute(f"ALTER DATABASE {database} SET {setting}")
    await refused(PostgresStore(postgres.url(database), vault_key=KEY), sentence)
    with psycopg.connect(postgres.url(database)) as connection:
        made = connection.execute("SELECT to_regclass('wxrc.event')").fetchone()

    assert (None,) == made


async def test_a_setting_that_changes_while_the_store_is_open(postgres: PostgresServer, database: str) -> None:
    """When the default isolation is changed under a running store, what it appends on a new connection is refused, not broken."""
    async with PostgresStore(postgres.url(database), vault_key=KEY) as store:
        await store.append([Entry("s", 0, [queued()])])
        postgres.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'")
        postgres.disconnect(database)
        with anyio.fail_after(LIMIT):
            while "has repeatable read as its default" not in await failure(store):
                await anyio.sleep(0.01)


async def test_an_encoding(postgres: PostgresServer) -> None:
    """A database that is not in UTF-8 is refused."""
    other = postgres.database("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    await refused(
        PostgresStore(postgres.url(other), vault_key=KEY), "has the encoding SQL_ASCII; make the database anew"
    )


async def test_an_old_server(postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is too old is refused."""
    monkeypatch.setattr(_postgres_server, "OLDEST", 99)
    await refused(
        PostgresStore(postgres.url(database), vault_key=KEY), r"is version 1\d; WXRC needs PostgreSQL 99 or later"
    )


async def test_no_database(postgres: PostgresServer) -> None:
    """A database that does not exist is named, with the server's own words."""
    await refused(
        PostgresStore(postgres.url("nowhere"), vault_key=KEY), 'cannot be reached: .*"nowhere" does not exist'
    )


async def test_no_server() -> None:
    """A server that cannot be reached is named; no user and no password is."""
    store = PostgresStore("postgresql://wxrc:hunter2@127.0.0.1:1/db", vault_key=KEY)
    sentence = await refused(store, r"The PostgreSQL store 127\.0\.0\.1:1/db cannot be reached: .*refused")

    assert "hunter2" not in sentence


@pytest.mark.parametrize(
    "url", ["postgresql://wxrc:hunter2@h/db?nonsense=1", "postgresql://wxrc:hunter2@[h/db", "hunter2"]
)
def test_a_url_that_is_none(url: str) -> None:
    """A URL that PostgreSQL does not understand is refused without being shown: it has a password in it."""
    with pytest.raises(StoreError, match="must be written postgresql://user@host:port/database") as raised:
        PostgresStore(url, vault_key=KEY)

    assert "hunter2" not in str(raised.value)


@pytest.mark.slow
async def test_a_server_without_fsync() -> None:
    """A server that does not wait for its disk is refused."""
    with PostgresServer("fsync=off") as server:
        await refused(PostgresStore(server.url(), vault_key=KEY), "does not wait for its disk; set fsync = on")


@pytest.mark.slow
async def test_a_standby() -> None:
    """A standby is refused, also one that a running store finds where its server was; the server itself is taken again."""
    with PostgresServer() as server:
        store = PostgresStore(server.url(), vault_key=KEY)
        async with store:
            await store.append([Entry("s", 0, [queued()])])
            server.stop()
            standby = server.copy()
            (standby.folder / "standby.signal").touch()
            with standby:
                await refused(
                    PostgresStore(server.url(), vault_key=KEY), "is a standby and only reads; name the primary"
                )
                with pytest.raises(StoreError):
                    await store.append([Entry("s", 1, [queued()])])
            server.start()


# -- a log that went back -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("regrown", [0, 2, 9])
async def test_a_log_that_went_back(tmp_path: Path, regrown: int) -> None:
    """A server that has lost acknowledged events is noticed, by a store that runs and by one that is started, also when new ones
    were written in their place.
    """
    seen = tmp_path / "seen"
    with PostgresServer() as server:
        url = server.url()
        async with PostgresStore(url, vault_key=KEY) as store:
            await store.append([Entry("before", 0, [queued()])])
        server.stop()
        older = server.copy()
        server.start()
        async with PostgresStore(url, vault_key=KEY, seen=seen) as store:
            for number in range(3):
                await store.append([Entry(f"lost/{number}", 0, [queued()])])
            server.stop()
            with older:
                if regrown:
                    async with PostgresStore(url, vault_key=KEY) as other:
                        await other.append([Entry(f"new/{number}", 0, [queued()]) for number in range(regrown)])
                sentence = (
                    "has gone back from position 4" if regrown < 3 else "has another event at position 4 than it had"
                )
                with anyio.fail_after(LIMIT):
                    while sentence not in await failure(store):
                        await anyio.sleep(0.01)
                for use in (store.append([Entry("s", 0, [queued()])]), store.read("before"), store.join("one")):
                    with pytest.raises(StoreError, match=sentence):
                        await use
        with older:
            await refused(PostgresStore(url, vault_key=KEY, seen=seen), sentence)
            seen.unlink()
            async with PostgresStore(url, vault_key=KEY, seen=seen) as store:  # it is meant
                await store.append([Entry("s", 0, [queued()])])


async def test_another_log_in_its_place(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """A database that was emptied, or filled with another log, is refused where the earlier one was seen; no tables are made in it."""
    seen = tmp_path / "seen"
    url = postgres.url(database)
    async with PostgresStore(url, vault_key=KEY, seen=seen) as store:
        await store.append([Entry("s", 0, [queued()])])
    postgres.execute("DROP SCHEMA wxrc CASCADE", database)
    await refused(PostgresStore(url, vault_key=KEY, seen=seen), f"is gone: .* remove {seen} and start again")
    async with PostgresStore(url, vault_key=KEY) as store:
        await store.append([Entry("s", 0, [queued()])])
    await refused(PostgresStore(url, vault_key=KEY, seen=seen), "is not the one that was there before")


# -- the vault, and newer releases ----------------------------------------------------------------------------------------------


async def test_the_key_is_not_in_the_database(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """The key file is made with the vault; without it, or with another key, the store stays shut; secrets are sealed."""
    url, key = postgres.url(database), tmp_path / "vault.key"
    async with PostgresStore(url, vault_key=key) as store:
        await store.vault.put("name", b"a secret of ours")
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT * FROM wxrc.vault").fetchall()
    key.rename(tmp_path / "away")
    await refused(
        PostgresStore(url, vault_key=key), r"The vault key .*vault\.key is missing; put back the one of 127\.0\.0\.1"
    )
    await refused(PostgresStore(url, vault_key=KEY), "does not open with this key")

    assert b"a secret of ours" not in b"".join(sealed for _, sealed in rows)
    assert not key.exists()


async def test_a_newer_format(postgres: PostgresServer, database: str) -> None:
    """Tables of a newer release are refused."""
    async with PostgresStore(postgres.url(database), vault_key=KEY):
        pass
    postgres.execute("UPDATE wxrc.setting SET value = 9 WHERE name = 'format'", database)
    await refused(
        PostgresStore(postgres.url(database), vault_key=KEY), "has format 9; this release reads up to 1. Use a newer"
    )


async def test_events_of_a_newer_release(postgres: PostgresServer, database: str) -> None:
    """Events of a newer release keep the store shut, and are refused where they come while it is open."""
    url = postgres.url(database)
    async with PostgresStore(url, vault_key=KEY) as store:
        await store.append([Entry("s", 0, [queued()])])
        postgres.execute("INSERT INTO wxrc.event VALUES (2, 'newer', 1, 'message.folded', 1, '{}')", database)
        with pytest.raises(NewerEvents, match=r"message\.folded in version 1"):
            await store.read_all(1)
    postgres.execute("INSERT INTO wxrc.event_type VALUES ('message.folded', 1, '9.8.7')", database)
    with pytest.raises(NewerEvents, match=r"message\.folded in version 1\. Use release 9\.8\.7 or a later one"):
        await PostgresStore(url, vault_key=KEY).__aenter__()


async def test_opened_by_many_at_the_same_moment(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """Stores that make the same database at once agree on the tables, the key and the log."""
    key, outcomes = tmp_path / "vault.key", []

    async def use(number: int) -> None:
        async with PostgresStore(postgres.url(database), vault_key=key) as store:
            outcomes.extend(await store.append([Entry(f"s{number}", 0, [queued()])]))
            await store.vault.put(f"name{number}", b"secret")

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(use, number)

    assert list(range(1, 7)) == sorted(outcome.position for outcome in outcomes)


async def test_what_was_seen_is_not_forgotten(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """A handle that has seen less does not lower what the file beside the service says."""
    seen, url = tmp_path / "seen", postgres.url(database)
    async with PostgresStore(url, vault_key=KEY, seen=seen) as service:
        await service.append([Entry("s", 0, [queued(), queued()])])
    remembered = seen.read_text()
    lower = Seen(seen, service._server.name, "Why?")
    log, mark = lower.read()  # type: ignore[misc]
    lower.write(log, mark._replace(position=mark.position - 1), now=True)

    assert 2 == mark.position
    assert remembered == seen.read_text()
