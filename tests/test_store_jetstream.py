"""The JetStream store: the contract of every store and of every vault, on a real cluster of three servers."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.nats import NatsCluster
from wxrc_core.testing.store_contract import OpenStore, OpenVault, StoreContract, VaultContract
from wxrc_store import Vault
from wxrc_store.jetstream import JetStreamStore

KEY = b"k" * 32


@pytest.fixture
def opened(nats_cluster: NatsCluster, request: pytest.FixtureRequest) -> Iterator[Callable[[str], JetStreamStore]]:
    """Give what makes a handle on the log of a name: each test has logs of its own."""
    prefix = nats_cluster.fresh()

    def handle(name: str) -> JetStreamStore:
        # The properties make a log for each example: on one server each, which is quicker. So is what the other classes ask.
        replicas = 1 if name.startswith(("model", "whole")) or request.cls is not TestJetStreamStore else 3
        return JetStreamStore(nats_cluster.url(f"{prefix}_{name}", replicas=replicas), vault_key=KEY, lifetime=1.0)

    yield handle
    nats_cluster.delete(f"{prefix}_")


SOAK = "WXRC_KILLS" in os.environ

BACKENDS = ["asyncio", "trio"] if SOAK else ["asyncio"]


class JetStream:
    """Opens the logs, under asyncio; `make soak` runs everything under trio too."""

    @pytest.fixture(params=BACKENDS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Name the event loop."""
        return str(request.param)

    @pytest.fixture
    def open_store(self, opened: Callable[[str], JetStreamStore]) -> OpenStore:
        """Keep each log in streams of its own."""
        return opened

    @pytest.fixture
    def open_vault(self, opened: Callable[[str], JetStreamStore]) -> OpenVault:
        """Open the vault of a store."""

        @asynccontextmanager
        async def vault(name: str) -> AsyncIterator[Vault]:
            async with opened(name) as store:
                yield store.vault

        return vault


class TestJetStreamStore(JetStream, StoreContract):
    """The contract of every store. The properties, which make a log for each example, belong to `make soak`."""

    if not SOAK:
        test_it_is_a_list = test_events_survive_whole = None


class TestJetStreamVault(JetStream, VaultContract):
    """The contract of every vault."""
