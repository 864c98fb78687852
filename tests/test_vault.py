"""The vault of the SQLite store: the contract, what lies on the disk, and the key."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import apsw
import pytest

from wxrc_core.testing.store_contract import OpenVault, VaultContract
from wxrc_store import StoreError
from wxrc_store._seal import SealedVault
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class TestSqliteVault(VaultContract):
    """The contract of every vault."""

    @pytest.fixture
    def open_vault(self, tmp_path: Path) -> OpenVault:
        """Open the vault in a store's file."""

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[SealedVault]:
            async with SqliteStore(tmp_path / "events.db") as store:
                yield store.vault

        return opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of a store."""
    return tmp_path / "events.db"


async def test_no_secret_at_rest(path: Path) -> None:
    """The bytes of a secret stand in no file of the folder: not while it is kept, nor replaced, deleted, or closed over."""
    secrets = [f"whsec_{number:04d}_not for the disk".encode() for number in range(200)]

    def leaks() -> list[str]:
        return [file.name for file in path.parent.iterdir() if b"not for the disk" in file.read_bytes()]

    async with SqliteStore(path) as store:
        async with anyio.create_task_group() as tasks:
            for number, secret in enumerate(secrets):
                tasks.start_soon(store.vault.put, f"channel/{number % 50}", secret)
        kept = [await store.vault.get(f"channel/{number}") for number in range(50)]
        await store.vault.delete("channel/0")
        open_leaks = leaks()

    assert [] == open_leaks + leaks()
    assert set(kept) <= set(secrets)


async def test_a_secret_opens_under_its_own_name_only(path: Path) -> None:
    """A row that was moved to another name does not open: the name is sealed in."""
    async with SqliteStore(path) as store:
        await store.vault.put("channel/a", b"secret of a")
        connection = apsw.Connection(str(path))
        connection.execute("UPDATE vault SET name = 'channel/b' WHERE name = 'channel/a'")
        connection.close()
        with pytest.raises(StoreError, match="does not open with this key"):
            await store.vault.get("channel/b")


async def test_the_same_secret_is_never_sealed_alike(path: Path) -> None:
    """Two seals of one secret differ, so that the file does not tell who shares one."""
    async with SqliteStore(path) as store:
        await store.vault.put("a", b"secret")
        await store.vault.put("b", b"secret")
    connection = apsw.Connection(str(path))
    sealed = [row[0] for row in connection.execute("SELECT sealed FROM vault WHERE name IN ('a', 'b')")]
    connection.close()

    assert 2 == len(set(sealed))


# -- the key ----------------------------------------------------------------------------------------------------------------------


async def test_the_key_file(path: Path) -> None:
    """The key is made once, as 64 hexadecimal digits that only the owner can read, and nothing is left beside it."""
    key_file = path.with_name("vault.key")
    async with SqliteStore(path):
        first = key_file.read_text()
    async with SqliteStore(path):
        second = key_file.read_text()

    assert first == second
    assert 32 == len(bytes.fromhex(first))
    assert 0o600 == key_file.stat().st_mode & 0o777
    assert ["events.db", "vault.key"] == sorted(file.name for file in path.parent.iterdir())


async def test_a_given_key(path: Path) -> None:
    """With a key given no key file is made, and the same key opens the vault again."""
    async with SqliteStore(path, vault_key=b"k" * 32) as store:
        await store.vault.put("name", b"secret")
    async with SqliteStore(path, vault_key=b"k" * 32) as store:
        secret = await store.vault.get("name")

    assert b"secret" == secret
    assert [path] == list(path.parent.iterdir())


async def test_a_wrong_key_keeps_the_store_shut(path: Path) -> None:
    """Another key than the vault was made with is refused at opening, before anything is sealed with it."""
    async with SqliteStore(path):
        pass

    with pytest.raises(StoreError, match=r"The vault does not open with this key. Put back the key"):
        await SqliteStore(path, vault_key=b"k" * 32).__aenter__()


async def test_a_missing_key_is_not_made_anew(path: Path) -> None:
    """A vault whose key file is gone is refused: a new key could never open what is in it."""
    key_file = path.with_name("vault.key")
    async with SqliteStore(path):
        pass
    key_file.unlink()

    with pytest.raises(StoreError, match=r"The vault key .*vault\.key is missing; put back the one of"):
        await SqliteStore(path).__aenter__()

    assert not key_file.exists()


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "ab" * 31, "ab" * 33, "é" * 64])
async def test_a_damaged_key(path: Path, content: str) -> None:
    """A key file that is empty, too short, too long or no number is refused, and its content is not shown."""
    async with SqliteStore(path):
        pass
    path.with_name("vault.key").write_text(content)

    with pytest.raises(StoreError, match=r"vault\.key is damaged: it should be 64 hexadecimal digits") as raised:
        await SqliteStore(path).__aenter__()

    assert not content or content not in str(raised.value).removeprefix(f"The vault key {path.parent}")


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 33])
def test_a_given_key_of_the_wrong_length(path: Path, key: bytes) -> None:
    """A given key must have 32 bytes; an empty one is no request for the file's."""
    with pytest.raises(ValueError, match="A vault key has 32 bytes"):
        SqliteStore(path, vault_key=key)


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["missing", "empty"])
async def test_a_key_without_its_store(path: Path, make: Callable[[Path], None]) -> None:
    """Where the store of a key is missing or empty, no second log is begun under that key: a file was lost, or the folder is wrong."""
    make(path)
    path.with_name("vault.key").write_text("ab" * 32 + "\n")
    before = sorted(path.parent.iterdir())

    with pytest.raises(
        StoreError, match=r"missing or empty, but the key .*vault\.key of an earlier one is there\. Put the store"
    ):
        await SqliteStore(path).__aenter__()

    assert before == sorted(path.parent.iterdir())
    assert not path.exists() or b"" == path.read_bytes()


async def test_a_key_of_ones_own(path: Path) -> None:
    """An operator who brings a key gives it; in the key file's place it opens the same vault later."""
    async with SqliteStore(path, vault_key=bytes.fromhex("ab" * 32)) as store:
        await store.vault.put("name", b"secret")
    path.with_name("vault.key").write_text("ab" * 32 + "\n")
    async with SqliteStore(path) as store:
        assert b"secret" == await store.vault.get("name")


async def test_killed_while_the_key_was_made(path: Path) -> None:
    """A start that was killed between making the key and sealing anything with it is made up for by the next one."""
    async with SqliteStore(path):
        pass
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM vault")
    connection.close()
    async with SqliteStore(path) as store:
        await store.vault.put("name", b"secret")
