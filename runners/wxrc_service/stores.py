"""Where the log is: in a database server that a URL names, or else in a file. The one place where a runner opens a durable store."""

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from wxrc_core.errors import WxrcError
from wxrc_store.port import Store, Vault
from wxrc_store.sqlite import SqliteStore


class DurableStore(Store, Protocol):
    """A store with its vault."""

    @property
    def vault(self) -> Vault:
        """The vault beside the log; usable while the store is open."""


def open_store(where: str | Path, vault_key: bytes | Path, seen: Path | None = None) -> DurableStore:
    """Return the store at a place, to be entered.

    Args:
        where: `postgresql://user@host/database`, or the path of an SQLite file.
        vault_key: 32 bytes that seal the vault, or the file that has them.
        seen: Where a store on a server notes how far the log reached, to notice a server that has lost some of it.

    Raises:
        WxrcError: There is no such kind of store, or what it needs is not installed.
    """
    if isinstance(where, Path):
        return SqliteStore(where, vault_key=vault_key)
    raise WxrcError(f"there is no store of the kind {urlsplit(where).scheme!r}")


def shown(url: str) -> str:
    """Return a store's URL without anything that may be secret: no password, no user, no parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def has_password(url: str) -> bool:
    """Return whether a password stands in a store's URL."""
    parts = urlsplit(url)
    return bool(parts.password) or "password=" in parts.query
