"""The PostgreSQL store: the contract of every store and of every vault, on a real server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from tests.postgres import PostgresServer
from wxrc_core.testing.store_contract import OpenStore, OpenVault, StoreContract, VaultContract
from wxrc_store import Vault
from wxrc_store.postgres import PostgresStore

KEY = b"k" * 32
_schemas = count()


@pytest.fixture(scope="session")
def database(postgres: PostgresServer) -> str:
    """The URL of a database that the tests of this file share."""
    return postgres.url(postgres.database())


@pytest.fixture
def opened(database: str) -> Callable[[str], PostgresStore]:
    """Return what makes a handle on the log of a name: each test has schemas of its own."""
    prefix = f"t{next(_schemas)}"
    return lambda name: PostgresStore(database, vault_key=KEY, lifetime=1.5, schema=f"{prefix}_{name}")


class TestPostgresStore(StoreContract):
    """The contract of every store."""

    @pytest.fixture
    def open_store(self, opened: Callable[[str], PostgresStore]) -> OpenStore:
        """Keep each log in a schema of its own."""
        return opened


class TestPostgresVault(VaultContract):
    """The contract of every vault."""

    @pytest.fixture
    def open_vault(self, opened: Callable[[str], PostgresStore]) -> OpenVault:
        """Open the vault of a store."""

        @asynccontextmanager
        async def vault(name: str) -> AsyncIterator[Vault]:
            async with opened(name) as store:
                yield store.vault

        return vault
