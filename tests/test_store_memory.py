"""The store and the vault in memory."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from wxrc_core.testing.store_contract import OpenStore, OpenVault, StoreContract, VaultContract
from wxrc_store import MemoryStore, MemoryVault


class TestMemoryStore(StoreContract):
    """The contract of every store."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Keep the stores of a test by name, so that they can be opened again."""
        stores: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)
        return stores.__getitem__


class TestMemoryVault(VaultContract):
    """The contract of every vault."""

    @pytest.fixture
    def open_vault(self) -> OpenVault:
        """Open the vault of one memory store."""
        store = MemoryStore()

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[MemoryVault]:
            async with store:
                yield store.vault

        return opened
