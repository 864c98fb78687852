"""The contract that holds for every event store and every vault (design.md, Stores).

Subclass it and say how your store is opened. Each call makes a new handle, as another process would; the same name means the same data,
another name an empty one:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda name: MyStore(tmp_path / name, lifetime=0.5)

Give members a lifetime of a second or two: some tests wait until one has passed, and none waits for anything else (`LIMIT` only ends a
test that hangs). Override `wait` where time is a test's own, and `lapse` where a member does not die of not renewing. Every test runs
under asyncio and under trio.
"""

from wxrc_core.testing.store_contract._words import (
    LIMIT,
    Model,
    OpenStore,
    OpenVault,
    Store,
    Vault,
    attempted,
    check_log,
    queued,
    whole_log,
)
from wxrc_core.testing.store_contract.log import LogContract
from wxrc_core.testing.store_contract.news import NewsContract
from wxrc_core.testing.store_contract.ownership import OwnershipContract
from wxrc_core.testing.store_contract.restore import RestoreContract
from wxrc_core.testing.store_contract.snapshots import SnapshotContract
from wxrc_core.testing.store_contract.vault import VaultContract


class StoreContract(LogContract, NewsContract, OwnershipContract, RestoreContract, SnapshotContract):
    """What every store does. Override the fixture `open_store`; `wait` and `lapse` where time does not pass as usual."""


__all__ = [
    "LIMIT",
    "LogContract",
    "Model",
    "NewsContract",
    "OpenStore",
    "OpenVault",
    "OwnershipContract",
    "RestoreContract",
    "SnapshotContract",
    "Store",
    "StoreContract",
    "Vault",
    "VaultContract",
    "attempted",
    "check_log",
    "queued",
    "whole_log",
]
