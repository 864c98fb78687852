"""The stores that are measured, each with what it needs: `engine("postgres", folder)` starts a server and gives what opens its logs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import PostgresServer
from wxrc_service.stores import DurableStore
from wxrc_store.postgres import PostgresStore
from wxrc_store.sqlite import SqliteStore

ENGINES = ("sqlite", "postgres")


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Callable[[str], DurableStore]]:
    """Give what returns a new handle on the log of a name.

    Args:
        name: One of `ENGINES`.
        folder: Where an SQLite file goes. A server has a folder of its own below the system's for temporary files.
    """
    if name == "sqlite":
        yield lambda log: SqliteStore(folder / f"{log}.db", vault_key=bytes(32))  # several logs in one folder
    else:
        with PostgresServer() as server:
            yield lambda log: PostgresStore(server.url(), vault_key=bytes(32), schema=log, limit=600)
