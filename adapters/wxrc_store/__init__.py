"""Event stores. This page shows what every store has; the durable one is `wxrc_store.sqlite.SqliteStore`."""

from wxrc_store.media import DirectoryMedia, MemoryMedia
from wxrc_store.memory import MemoryStore, MemoryVault
from wxrc_store.port import Lapsed, Media, NewerEvents, Store, StoreError, StoreInUse, Vault

__all__ = [
    "DirectoryMedia",
    "Lapsed",
    "Media",
    "MemoryMedia",
    "MemoryStore",
    "MemoryVault",
    "NewerEvents",
    "Store",
    "StoreError",
    "StoreInUse",
    "Vault",
]
