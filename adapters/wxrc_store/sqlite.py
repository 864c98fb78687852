"""The durable store of one machine: SQLite in WAL mode with `synchronous=FULL`, group commit, and an encrypted vault.

What is written goes through one thread (`_writer`), in one transaction for all who wait. What is read goes past it, on
connections of its own: a few rows straight from the event loop, which is quicker than any hop; a page in a worker thread.
Several processes may use one file: SQLite's locks keep them apart, and each notices within 50 ms what the others append.
One process at a time owns shards, all that it wants: whoever holds the lock in `_owner_lock`.
"""

import json
import math
import os
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
import anyio.to_thread
import apsw
from anyio.lowlevel import checkpoint

from wxrc_core.errors import Refusal
from wxrc_core.log import Entry, Lease, Member, Outcome, Owner, Recorded
from wxrc_core.shard import SHARDS, stream_name
from wxrc_store._owner_lock import OwnerLock, holder
from wxrc_store._rows import (
    CHUNK,
    FORGET_STREAMS,
    SNAPSHOT_CHUNK,
    TAIL,
    Tail,
    check_forgettable,
    check_shards,
    decode_rows,
    encode_batch,
    encode_records,
    owner_of,
)
from wxrc_store._seal import KEY_CHECK, SealedVault, Sealer
from wxrc_store._sqlite_file import SETTING, SqliteFile, close, store_error
from wxrc_store._sqlite_log import SqliteLog
from wxrc_store._sqlite_works import (
    Append,
    Forget,
    Free,
    Keep,
    KeepChunk,
    KeepSnapshot,
    Probe,
    RaiseSetting,
    Restore,
    Take,
    Work,
    latest,
)
from wxrc_store._writer import GroupWriter
from wxrc_store.media import DirectoryMedia
from wxrc_store.port import Lapsed, StoreError

FEW = 64
"""So many rows are read straight from the event loop (about 0.2 ms); more are worth a thread."""

PROBES = (0.0, 0.002, 0.005)
"""Pauses before the owner's lock is tried (seconds): another process that looks who holds it may hold it for a moment itself."""

STREAM = "SELECT * FROM event WHERE stream = ? AND version > ? ORDER BY version LIMIT ?"
PAGE = "SELECT * FROM event WHERE position > ? ORDER BY position LIMIT ?"
SEALED = "SELECT sealed FROM vault WHERE name = ?"
NAMES = "SELECT name FROM vault WHERE name != ? ORDER BY name"
SAVED = """
SELECT id, position, schema, chunks, crc FROM snapshot WHERE schema IN (SELECT value FROM json_each(?)) ORDER BY position DESC
"""
CHUNKS = "SELECT data FROM snapshot_chunk WHERE snapshot = ? ORDER BY number"

T = TypeVar("T")


class SqliteStore:
    """An event log in an SQLite file, and a vault in the same file.

    Args:
        path: The file; made where there is none. Its folder must exist, on a local disk.
        vault_key: 32 bytes that seal the vault, or the file that has them, made at first use; by default `vault.key` beside the log.
        busy_timeout: How long to wait for another process that writes (seconds).
        shards: Into how many shards a new log is divided; a log that is there keeps its number.
        lifetime: How often a member should look whether it still owns what it owns (seconds): three times in so long.
        vfs: The name of the SQLite VFS to use; empty = the system's.

    Attributes:
        vault: The vault; usable while the store is open.
        media: Files that are too large for the log, in the directory `<file>-media` beside it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        vault_key: bytes | Path | None = None,
        busy_timeout: float = 5.0,
        shards: int = SHARDS,
        lifetime: float = 5.0,
        vfs: str = "",
    ) -> None:
        self.vault = SealedVault(lambda: self._sealer, self._keep, self._kept, self._names)
        self.media = DirectoryMedia(Path(path).with_name(f"{Path(path).name}-media"))
        self._path = Path(path)
        self._lock_path = self._path.with_name(f"{self._path.name}.owner")
        self._file = SqliteFile(self._path, vault_key, busy_timeout, shards, vfs or None)
        self._log = SqliteLog(self._file)
        self._lifetime = lifetime
        self._locks: dict[str, OwnerLock] = {}  # of the members that joined here, by id
        self._taking = 0  # calls of `acquire` that run

    @property
    def shards(self) -> int:
        """See `Store.shards`."""
        return self._file.shards

    @property
    def lifetime(self) -> float:
        """See `Store.lifetime`. Nothing expires here: a dead process lets go of its lock at once."""
        return self._lifetime

    def monotonic(self) -> float:
        """See `Store.monotonic`."""
        return time.monotonic()

    async def __aenter__(self) -> Self:
        """Open the file and start the writer's thread.

        Raises:
            NewerEvents: The log has events of a newer release.
            StoreError: The file cannot be used; the sentence says why.
        """
        self._sealer, self._near, self._far, head = await anyio.to_thread.run_sync(self._open)
        self._far_use = anyio.CapacityLimiter(1)
        self._tail = Tail(TAIL)
        self._writer: GroupWriter[Work[object], object] = GroupWriter(
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
                close(self._near)
                close(self._far)
        for lock in self._locks.values():
            lock.free()
        self._locks.clear()

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`. Cancelled, it may still become durable: read back by identity."""
        return await self._submit(Append(encode_batch(batch), batch))

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        await self._turn()
        found = self._select(self._near, STREAM, (stream, after, FEW))
        if len(found) == FEW:
            found += await self._select_far(STREAM, (stream, found[-1].version, -1))
        return found

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`. What another process deletes may still come from memory."""
        await self._turn()
        if own := self._tail.after(after, limit):
            return own
        found = self._select(self._near, PAGE, (after, min(limit, FEW)))
        if len(found) == FEW < limit:
            found += await self._select_far(PAGE, (found[-1].position, limit - FEW))
        return found

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`. As in `read_all`, what another process deletes may still come from memory."""
        await self._turn()
        found = self._tail.after(position - 1, 1) or self._select(self._near, PAGE, (position - 1, 1))
        return found[0] if found and found[0].position == position else None

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._writer.changed(after)

    async def probe(self) -> None:
        """See `Store.probe`. It writes one page, in the same way as an append, and looks at the files before and after it."""
        await self._submit(Probe())

    # -- ownership --------------------------------------------------------------------------------------------------------------

    async def join(self, name: str) -> Member:
        """See `Store.join`. The id has the number of the process in it."""
        await self._turn()
        member = f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        self._locks[member] = OwnerLock(self._lock_path, member)
        return Member(member, math.inf)

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`. A member lives as long as its process, unless the lock's file is removed."""
        await self._turn()
        self._living(member)
        return member

    async def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        await self._turn()
        lock = self._locks.pop(member.id, None)
        if lock is not None:
            lock.free()

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """See `Store.acquire`. While another member owns any shard it gives none."""
        check_shards(shards, self.shards)
        await self._turn()
        lock = self._living(member)
        self._taking += 1
        try:
            for pause in PROBES:
                if pause:
                    await anyio.sleep(pause)
                if lock.take():
                    return await self._submit(Take(member.id, shards, at))
        finally:
            self._taking -= 1
        return {}

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """See `Store.release`. With the last shard the lock is free for others."""
        await self._submit(Free([lease.fence for lease in leases], at))
        if any(lock.held for lock in self._locks.values()):
            owning = {owner.member for owner in (await self.owners()).values()}
            for member, lock in self._locks.items():
                if member not in owning and not self._taking:
                    lock.free()

    async def members(self) -> Sequence[str]:
        """See `Store.members`. There is one at most, who owns all shards: the others wait for its end."""
        await self._turn()
        alive = self._alive()
        return [alive] if alive else []

    def _alive(self) -> str:
        held = [member for member, lock in self._locks.items() if lock.held and not lock.lost()]
        return held[0] if held else holder(self._lock_path)

    async def owners(self) -> Mapping[int, Owner]:
        """See `Store.owners`."""
        await self._turn()
        alive = self._alive()
        streams = [stream_name(shard) for shard in range(self.shards)]
        try:
            found = latest(self._near, streams)
        except apsw.Error as error:
            raise store_error(error, self._path) from error
        owners = {}
        for shard, stream in enumerate(streams):
            last = found.get(stream)
            member = owner_of(last) if last else ""
            owners[shard] = Owner(last.version if last else 0, member, bool(member) and member == alive)
        return owners

    def _living(self, member: Member) -> OwnerLock:
        lock = self._locks.get(member.id)
        if lock is not None and not lock.lost():
            return lock
        if lock is not None:
            self._locks.pop(member.id).free()
            raise Lapsed(f"The file {self._lock_path} was removed while {member.id} owned the store; join anew.")
        raise Lapsed(f"The member {member.id} is dead; join anew.")

    # -- beside the log ---------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        snapshot = secrets.randbits(62)
        crc = await anyio.to_thread.run_sync(zlib.crc32, blob)
        starts = range(0, len(blob), SNAPSHOT_CHUNK)
        for number, start in enumerate(starts):
            await self._submit(KeepChunk(snapshot, number, position, blob[start : start + SNAPSHOT_CHUNK]))
        await self._submit(KeepSnapshot(snapshot, position, schema, len(starts), crc))

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        await self._turn()
        return await anyio.to_thread.run_sync(self._newest, schemas, limiter=self._far_use)

    def _newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        try:
            with self._far:  # one view of all the chunks
                for snapshot, position, schema, chunks, crc in list(self._far.execute(SAVED, (json.dumps(schemas),))):
                    rows = [row[0] for row in self._far.execute(CHUNKS, (snapshot,))]
                    blob = b"".join(rows)
                    if len(rows) == chunks and zlib.crc32(blob) == crc:
                        return position, schema, blob
        except apsw.Error as error:
            raise store_error(error, self._path) from error
        return None

    async def forget(self, streams: Mapping[str, int]) -> int:
        """See `Store.forget`."""
        check_forgettable(streams)
        versions, deleted = list(streams.items()), 0
        for start in range(0, len(versions), FORGET_STREAMS):
            deleted += await self._submit(Forget(versions[start : start + FORGET_STREAMS]))
        return deleted

    async def restore(self, records: Sequence[Recorded]) -> None:
        """See `Store.restore`."""
        if problem := await self._submit(Restore(encode_records(records))):
            raise Refusal(problem)

    async def told_to(self) -> int:
        """See `Store.told_to`."""
        return int(next(iter(await self._values(SETTING, "told_to")), 0))

    async def set_told_to(self, position: int) -> None:
        """See `Store.set_told_to`."""
        await self._submit(RaiseSetting("told_to", position))

    async def gaps_to(self) -> int:
        """See `Store.gaps_to`."""
        return int(next(iter(await self._values(SETTING, "gaps_to")), 0))

    async def set_gaps_to(self, position: int) -> None:
        """See `Store.set_gaps_to`."""
        await self._submit(RaiseSetting("gaps_to", position))

    # -- inside -----------------------------------------------------------------------------------------------------------------

    async def _submit(self, work: Work[T]) -> T:
        return cast("T", await self._writer.submit(work))

    def _committed(self, works: Sequence[Work[object]], results: Sequence[object]) -> None:
        for work, outcomes in zip(works, results, strict=True):
            if isinstance(work, Append):
                self._tail.add(work.batch, cast("Sequence[Outcome]", outcomes))
            elif isinstance(work, Forget | Restore):
                self._tail.clear()

    async def _keep(self, name: str, sealed: bytes | None) -> None:
        await self._submit(Keep(name, sealed))

    async def _kept(self, name: str) -> bytes | None:
        return next(iter(await self._values(SEALED, name)), None)

    async def _names(self) -> Sequence[str]:
        return await self._values(NAMES, KEY_CHECK)

    async def _values(self, sql: str, binding: str) -> list[Any]:
        """Return what a query for one column finds: little enough to be read from the event loop."""
        await self._turn()
        try:
            return [value for (value,) in self._near.execute(sql, (binding,))]
        except apsw.Error as error:
            raise store_error(error, self._path) from error

    def _open(self) -> tuple[Sealer, apsw.Connection, apsw.Connection, int]:
        sealer = self._log.open()
        try:
            return sealer, self._file.reader(), self._file.reader(), self._log.head()
        except StoreError:
            self._log.close()
            raise

    async def _turn(self) -> None:
        """Let others run, since a read of a few rows never waits, and see that the store is open and in place."""
        await checkpoint()
        self._writer.check_open()
        if self._file.lost is not None:
            raise StoreError(*self._file.lost.args)

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
            raise store_error(error, self._path) from error
        return found
