"""Where the log is: in a database server that a URL names, or else in a file. The one place where a runner opens a durable store."""

from pathlib import Path
from typing import Protocol

from wxrc_core.errors import WxrcError
from wxrc_store.port import Media, Store, Vault
from wxrc_store.sqlite import SqliteStore


class DurableStore(Store, Protocol):
    """A store with its vault and its media."""

    @property
    def vault(self) -> Vault:
        """The vault beside the log; usable while the store is open."""

    @property
    def media(self) -> Media:
        """Files that are too large for the log."""


def open_store(where: str | Path, vault_key: bytes | Path, seen: Path | None = None) -> DurableStore:
    """Return the store at a place, to be entered.

    Args:
        where: `postgresql://user@host/database`, `nats://host,host,host/name`, or the path of an SQLite file.
        vault_key: 32 bytes that seal the vault, or the file that has them.
        seen: Where a store on a server notes how far the log reached, to notice a server that has lost some of it.

    Raises:
        WxrcError: There is no such kind of store, or what it needs is not installed.
    """
    if isinstance(where, Path):
        return SqliteStore(where, vault_key=vault_key)
    match where.partition("://")[0]:
        case "postgresql" | "postgres":
            try:
                from wxrc_store.postgres import PostgresStore
            except ModuleNotFoundError as error:
                raise WxrcError(
                    f"a PostgreSQL store needs {error.name}, which is not installed: pip install 'wxrc[postgres]'"
                ) from error
            return PostgresStore(where, vault_key=vault_key, seen=seen)
        case "nats" | "tls":
            try:
                from wxrc_store.jetstream import JetStreamStore
            except ModuleNotFoundError as error:
                raise WxrcError(
                    f"a JetStream store needs {error.name}, which is not installed: pip install 'wxrc[jetstream]'"
                ) from error
            return JetStreamStore(where, vault_key=vault_key, seen=seen)
    raise WxrcError("the store must be a URL as in postgresql://user@host/database or nats://host,host,host/name")


def shown(url: str) -> str:
    """Return a store's URL without anything that may be secret: no user, no password, no parameters."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def has_password(url: str) -> bool:
    """Return whether a password stands in a store's URL."""
    scheme, _, rest = url.partition("://")
    before, _, parameters = rest.partition("?")
    login = before.rpartition("@")[0]
    # What stands alone before the hosts of a NATS cluster is a token, and as secret as a password.
    return ":" in login or (scheme in ("nats", "tls") and bool(login)) or "password=" in parameters
