"""The durable store of one machine: SQLite in WAL mode with `synchronous=FULL`, group commit, and an encrypted vault.

What is written goes through one thread (`_writer`), in one transaction for all who wait. What is read goes past it, on
connections of its own: a few rows straight from the event loop, which is quicker than any hop; a page in a worker thread.
Several processes may use one file: SQLite's locks keep them apart, and each notices within 50 ms what the others append.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import apsw
from anyio.lowlevel import checkpoint

from wxrc_core.log import Entry, Outcome, Recorded
from wxrc_store._rows import Tail, decode_rows, encode_batch
from wxrc_store._seal import Sealer
from wxrc_store._sqlite_log import Append, Keep, Result, SqliteLog, Work, said
from wxrc_store._writer import GroupWriter
from wxrc_store.port import StoreError

FEW = 64
"""So many rows are read straight from the event loop (about 0.2 ms); more are worth a thread."""

TAIL = 5_000
"""So many of the newest events are kept in memory, for those who follow the log."""

CHUNK = 1000
"""So many rows are fetched and then decoded. Rows of a whole big page at once cost a replay up to half its speed."""

STREAM = "SELECT * FROM event WHERE stream = ? AND version > ? ORDER BY version LIMIT ?"
PAGE = "SELECT * FROM event WHERE position > ? ORDER BY position LIMIT ?"
SEALED = "SELECT sealed FROM vault WHERE name = ?"


class SqliteStore:
    """An event log in an SQLite file, and a vault in the same file.

    Args:
        path: The file; made where there is none. Its folder must exist, on a local disk.
        vault_key: 32 bytes that seal the vault. Without it they stand in `vault.key` beside the file, made at first use.
        busy_timeout: How long to wait for another process that writes (seconds).

    Attributes:
        vault: The vault; usable while the store is open.
    """

    def __init__(self, path: str | Path, *, vault_key: bytes | None = None, busy_timeout: float = 5.0) -> None:
        self.vault = SqliteVault(self)
        self._path = Path(path)
        self._log = SqliteLog(self._path, vault_key, busy_timeout)

    async def __aenter__(self) -> Self:
        """Open the file and start the writer's thread.

        Raises:
            NewerEvents: The log has events of a newer release.
            StoreError: The file cannot be used; the sentence says why.
        """
        self._sealer, self._near, self._far, head = await anyio.to_thread.run_sync(self._open)
        self._far_use = anyio.CapacityLimiter(1)
        self._tail = Tail(TAIL)
        self._writer: GroupWriter[Work, Result] = GroupWriter(
            self._log, head, f"wxrc-store {self._path.name}", self._committed
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what waits, and close."""
        with anyio.CancelScope(shield=True):
            await self._writer.close()
            async with self._far_use:  # a page that is being read comes to its end
                self._near.close(force=True)
                self._far.close(force=True)

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`. Cancelled, it may still become durable: read back by identity."""
        return await self._writer.submit(Append(encode_batch(batch), batch))

    def _committed(self, works: Sequence[Work], results: Sequence[Result]) -> None:
        for work, outcomes in zip(works, results, strict=True):
            if isinstance(work, Append):
                self._tail.add(work.batch, outcomes)

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        await self._turn()
        found = self._select(self._near, STREAM, (stream, after, FEW))
        if len(found) == FEW:
            found += await self._select_far(STREAM, (stream, found[-1].version, -1))
        return found

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`."""
        await self._turn()
        if own := self._tail.after(after, limit):
            return own
        found = self._select(self._near, PAGE, (after, min(limit, FEW)))
        if len(found) == FEW < limit:
            found += await self._select_far(PAGE, (found[-1].position, limit - FEW))
        return found

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        await self._turn()
        found = self._select(self._near, PAGE, (position - 1, 1))
        return found[0] if found and position > 0 else None

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._writer.changed(after)

    async def _keep(self, name: str, secret: bytes | None) -> None:
        await self._writer.submit(Keep(name, None if secret is None else self._sealer.seal(name, secret)))

    async def _kept(self, name: str) -> bytes | None:
        await self._turn()
        try:
            sealed = self._near.execute(SEALED, (name,)).get
        except apsw.Error as error:
            raise said(error, self._path) from error
        return None if sealed is None else self._sealer.open(name, sealed)

    def _open(self) -> tuple[Sealer, apsw.Connection, apsw.Connection, int]:
        sealer = self._log.open()
        try:
            return sealer, self._log.reader(), self._log.reader(), self._log.head()
        except StoreError:
            self._log.close()
            raise

    async def _turn(self) -> None:
        """Let others run, since a read of a few rows never waits, and see that the store is open."""
        await checkpoint()
        self._writer.check_open()

    async def _select_far(self, sql: str, bindings: tuple[str | int, ...]) -> list[Recorded]:
        return await anyio.to_thread.run_sync(self._select, self._far, sql, bindings, limiter=self._far_use)

    def _select(self, connection: apsw.Connection, sql: str, bindings: tuple[str | int, ...]) -> list[Recorded]:
        found: list[Recorded] = []
        try:
            cursor: Any = connection.execute(sql, bindings)
            try:
                while rows := list(islice(cursor, CHUNK)):
                    found += decode_rows(rows)
            finally:
                cursor.close()  # also after an event that cannot be decoded: an open cursor would hold the snapshot
        except apsw.Error as error:
            raise said(error, self._path) from error
        return found


class SqliteVault:
    """The vault in a store's file, sealed with AES-256-GCM. Get it from `SqliteStore.vault`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def put(self, name: str, secret: bytes) -> None:
        """See `Vault.put`."""
        await self._store._keep(name, secret)

    async def get(self, name: str) -> bytes | None:
        """See `Vault.get`."""
        return await self._store._kept(name)

    async def delete(self, name: str) -> None:
        """See `Vault.delete`."""
        await self._store._keep(name, None)
