"""The stores that are measured, each with what it needs: `engine("postgres", folder)` starts a server and gives what opens its logs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.nats import NatsCluster
from tests.postgres import PostgresServer
from wxrc_service.stores import DurableStore
from wxrc_store.jetstream import JetStreamStore
from wxrc_store.postgres import PostgresStore
from wxrc_store.sqlite import SqliteStore

ENGINES = ("sqlite", "postgres", "jetstream")


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Callable[[str], DurableStore]]:
    """Give what returns a new handle on the log of a name.

    Args:
        name: One of `ENGINES`.
        folder: Where an SQLite file goes. A server has a folder of its own below the system's for temporary files.
    """
    if name == "sqlite":
        yield lambda log: SqliteStore(folder / f"{log}.db", vault_key=bytes(32))  # several logs in one folder
    elif name == "postgres":
        with PostgresServer() as server:
            yield lambda log: PostgresStore(server.url(), vault_key=bytes(32), schema=log, limit=600)
    else:
        with NatsCluster() as cluster:
            yield lambda log: JetStreamStore(cluster.url(log), vault_key=bytes(32), limit=600)
