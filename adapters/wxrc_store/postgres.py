"""The durable store for several machines: a PostgreSQL database, with group commit and an encrypted vault.

    PostgresStore("postgresql://wxrc@db.example/wxrc", vault_key=Path("vault.key"))

What is appended goes through one thread (`_writer`), in one call of one function for all who wait; the rest goes past it, on connections of
its own, so that a heartbeat never waits for a page. A member lives by the server's clock; what it may begin, it looks up on its own clock.
All that is kept in a session is a time limit on direct connections: a pooler in transaction mode may stand in between.
"""

import os
import re
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from wxrc_core.codec import known
from wxrc_core.errors import Refusal
from wxrc_core.log import Entry, Lease, Member, Outcome, Owner, Recorded
from wxrc_core.shard import SHARDS
from wxrc_store._clock import since_boot
from wxrc_store._postgres_log import PostgresLog
from wxrc_store._postgres_news import News
from wxrc_store._postgres_schema import Names, migrate
from wxrc_store._postgres_server import Connection, Pool, Server, Session
from wxrc_store._postgres_works import Works
from wxrc_store._rows import (
    FORGET_STREAMS,
    SNAPSHOT_CHUNK,
    TAIL,
    Append,
    Tail,
    check_forgettable,
    check_shards,
    encode_batch,
    encode_records,
    entries_to_release,
    newer_events,
)
from wxrc_store._seal import KEY_CHECK, SealedVault, Sealer, unlock
from wxrc_store._seen import Seen
from wxrc_store._writer import GroupWriter
from wxrc_store.media import ServerMedia, wall_clock
from wxrc_store.port import StoreError

SIDE_CALLS = 4
"""So many calls run at once beside appending and the heartbeat."""

MARGIN = 0.1
"""A member stops by this part of its lifetime before the server takes it for dead: so far may the rates of two clocks differ."""

T = TypeVar("T")


class PostgresStore:
    """An event log in a PostgreSQL database, and a vault in the same database.

    Args:
        url: As `postgresql://user@host:port/database`; what libpq understands, `sslmode`, `passfile` and several hosts included.
        vault_key: 32 bytes that seal the vault, or the file that has them, made where the vault is new. It is never in the database.
        seen: A file that remembers how far the log reached, to notice at the next start that the server has lost some of it.
        lifetime: How long a member lives without renewing (seconds).
        limit: How long a call may take (seconds).
        shards: Into how many shards a new log is divided; a log that is there keeps its number.
        schema: The database schema with all tables.

    Attributes:
        vault: The vault; usable while the store is open.
        media: Files that are too large for the log, in the same database; likewise.

    Raises:
        StoreError: The URL cannot be understood.
        ValueError: The key or the schema's name cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        vault_key: bytes | Path,
        seen: Path | None = None,
        lifetime: float = 10.0,
        limit: float = 10.0,
        shards: int = SHARDS,
        schema: str = "wxrc",
    ) -> None:
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", schema):
            raise ValueError(f"A schema is named by up to 41 small letters, digits and underlines, not {schema!r}.")
        if isinstance(vault_key, bytes):
            Sealer(vault_key)  # refuses a key of the wrong length before anything is made
        self._server = Server(url, limit)
        self._names = Names(schema)
        self._works = Works(self._names)
        works = self._works
        self.vault = SealedVault(
            lambda: self._sealer,
            lambda name, sealed: self._beside(lambda c: works.keep(c, name, sealed)),
            lambda name: self._beside(lambda c: works.kept(c, name)),
            lambda: self._beside(works.names),
        )
        self.media = ServerMedia(
            lambda digest, data: self._beside(lambda c: works.put_file(c, digest, wall_clock(), data)),
            lambda digest: self._beside(lambda c: works.file(c, digest)),
            lambda before, keep: self._beside(lambda c: works.forget_files(c, before, keep)),
        )
        self._seen = Seen(seen, self._server.name, "Was a standby promoted that was behind, or a backup restored?")
        self._vault_key = vault_key
        self._lifetime = lifetime
        self._shards = shards

    @property
    def shards(self) -> int:
        """See `Store.shards`."""
        return self._shards

    @property
    def lifetime(self) -> float:
        """See `Store.lifetime`."""
        return self._lifetime

    def monotonic(self) -> float:
        """See `Store.monotonic`."""
        return since_boot()

    async def __aenter__(self) -> Self:
        """Connect, make or migrate the tables, and start the threads.

        Raises:
            NewerEvents: The log has events of a newer release.
            StoreError: The database cannot be used; the sentence says why.
        """
        self._heart, self._side = Pool(self._server), Pool(self._server)
        self._heart_use, self._side_use = anyio.CapacityLimiter(2), anyio.CapacityLimiter(SIDE_CALLS)
        self._tail = Tail(TAIL)
        self._log = PostgresLog(Session(self._server), self._names, self._seen, self._committed_up_to)
        self._server.watch()
        try:
            self._sealer, head = await anyio.to_thread.run_sync(self._once, self._settle)
        except BaseException:
            self._server.close()
            self._log.abandon()
            raise
        self._writer: GroupWriter[Append, Sequence[Outcome]] = GroupWriter(
            self._log, head, f"wxrc-store {self._server.name}", self._committed
        )
        self._news = News(self._server, f"{self._names.schema}_news", self._writer.look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what waits, and close."""
        with anyio.CancelScope(shield=True):
            await self._writer.close()
            for pool in (self._heart, self._side):
                pool.close()
            self._server.close()
            await anyio.to_thread.run_sync(self._news.close)

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`. Cancelled, it may still become durable: read back by identity."""
        _check_names(entry.stream for entry in batch)
        if not batch:
            return []
        return await self._writer.submit(Append(encode_batch(batch), batch))

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        return () if "\0" in stream else await self._beside(lambda c: self._works.stream(c, stream, after))

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`. What another process deletes may still come from memory."""
        await self._turn()
        if own := self._tail.after(after, limit):
            return own
        return await self._beside(lambda c: self._works.page(c, after, limit))

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        if not 0 < position < 1 << 63:
            return None
        found = await self._beside(lambda c: self._works.page(c, position - 1, 1))
        return found[0] if found and found[0].position == position else None

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._writer.changed(after)

    async def probe(self) -> None:
        """See `Store.probe`. It commits one row, and sees that the newest event is still there."""
        await self._writer.submit(Append((), ()))

    # -- ownership --------------------------------------------------------------------------------------------------------------

    async def join(self, name: str) -> Member:
        """See `Store.join`. The id has the number of the process in it."""
        asked, member = self.monotonic(), f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        await self._heartbeat(lambda c: self._works.join(c, member, self._lifetime))
        return Member(member, self._until(asked))

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`."""
        asked = self.monotonic()
        await self._heartbeat(lambda c: self._works.renew(c, member.id, self._lifetime))
        return Member(member.id, max(member.until, self._until(asked)))

    async def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        await self._heartbeat(lambda c: self._works.leave(c, member.id))

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """See `Store.acquire`."""
        check_shards(shards, self._shards)
        leases = await self._heartbeat(lambda c: self._works.take(c, member, shards, at))
        self._committed_up_to(max((lease.position for lease in leases.values()), default=0))
        self._writer.look()
        return leases

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """See `Store.release`."""
        entries = await entries_to_release(self.read, leases, at)
        await self.append(entries)  # where the epoch is over in the meantime it is a conflict, and nothing to do

    async def members(self) -> Sequence[str]:
        """See `Store.members`."""
        return await self._heartbeat(self._works.members)

    async def owners(self) -> Mapping[int, Owner]:
        """See `Store.owners`."""
        return await self._heartbeat(lambda c: self._works.owners(c, self._shards))

    def _until(self, asked: float) -> float:
        """Return until when a member may begin effects whose renewal was sent after this moment."""
        return asked + (1 - MARGIN) * self._lifetime

    # -- beside the log ---------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        snapshot = secrets.randbits(62)
        crc = await anyio.to_thread.run_sync(zlib.crc32, blob)
        starts = range(0, len(blob), SNAPSHOT_CHUNK)
        for number, start in enumerate(starts):
            data = blob[start : start + SNAPSHOT_CHUNK]
            await self._beside(lambda c, n=number, d=data: self._works.save_chunk(c, snapshot, n, position, d))  # type: ignore[misc]
        await self._beside(lambda c: self._works.save(c, snapshot, position, schema, len(starts), crc))

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        return await self._beside(lambda c: self._works.newest(c, schemas))

    async def forget(self, streams: Mapping[str, int]) -> int:
        """See `Store.forget`."""
        check_forgettable(streams)
        versions, deleted = list(streams.items()), 0
        for start in range(0, len(versions), FORGET_STREAMS):
            part = dict(versions[start : start + FORGET_STREAMS])
            deleted += await self._beside(lambda c, p=part: self._works.forget(c, p))  # type: ignore[misc]
            self._tail.clear()
        return deleted

    async def restore(self, records: Sequence[Recorded]) -> None:
        """See `Store.restore`."""
        _check_names(each.stream for each in records)
        rows = encode_records(records)
        await self._turn()
        if not rows:
            return
        if problem := await anyio.to_thread.run_sync(self._once, lambda c: self._works.restore(c, rows)):
            raise Refusal(problem)
        self._committed_up_to(rows[-1][0])
        self._writer.look()

    async def told_to(self) -> int:
        """See `Store.told_to`."""
        return await self._beside(lambda c: self._works.setting(c, "told_to"))

    async def set_told_to(self, position: int) -> None:
        """See `Store.set_told_to`."""
        await self._beside(lambda c: self._works.raise_setting(c, "told_to", position))

    async def gaps_to(self) -> int:
        """See `Store.gaps_to`."""
        return await self._beside(lambda c: self._works.setting(c, "gaps_to"))

    async def set_gaps_to(self, position: int) -> None:
        """See `Store.set_gaps_to`."""
        await self._beside(lambda c: self._works.raise_setting(c, "gaps_to", position))

    # -- inside -----------------------------------------------------------------------------------------------------------------

    def _once(self, function: Callable[[Connection], T]) -> T:
        """Return what a function does with a connection of its own; it is not called again, whatever happens."""
        session = Session(self._server)
        try:
            return session.call(function)
        finally:
            session.close()

    def _settle(self, connection: Connection) -> tuple[Sealer, int]:
        """Make or migrate the tables, see that the log is the one that was there before, and unlock the vault."""
        seen = self._seen.read()

        def new() -> None:
            if seen is not None:
                raise self._seen.lost("is gone")

        settings = migrate(connection, self._names, self._shards, new)
        if seen is not None and seen[0] != settings["log"]:
            raise self._seen.lost("is not the one that was there before")
        kinds = connection.execute(self._names.sql("SELECT type, schema, release FROM {schema}.event_type")).fetchall()
        for kind, schema, release in kinds:
            if schema > known.get(kind, 0):
                raise newer_events(kind, schema, release)
        self._shards = settings["shards"]
        with connection.transaction():  # of several processes that come here at once, one makes the key
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'")
            connection.execute(self._names.sql("SELECT pg_advisory_xact_lock({side_lock}, {lock_key})"))
            check = self._works.kept(connection, KEY_CHECK)
            sealer, settled = unlock(self._vault_key, check, self._server.name)
            if check is None:
                self._works.keep(connection, KEY_CHECK, settled)
        return sealer, self._log.begin(settings["log"])

    async def _turn(self) -> None:
        """Let others run, and see that the store is open and the log still the same."""
        await checkpoint()
        self._writer.check_open()
        if self._log.lost is not None:
            raise StoreError(*self._log.lost.args)

    async def _heartbeat(self, function: Callable[[Connection], T]) -> T:
        return await self._call(self._heart, self._heart_use, function)

    async def _beside(self, function: Callable[[Connection], T]) -> T:
        return await self._call(self._side, self._side_use, function)

    async def _call(self, pool: Pool, use: anyio.CapacityLimiter, function: Callable[[Connection], T]) -> T:
        await self._turn()
        # A caller that gives up does not wait for a server that hangs; its call ends by itself, by the time limit at the latest.
        return await anyio.to_thread.run_sync(pool.call, function, limiter=use, abandon_on_cancel=True)

    def _committed_up_to(self, position: int) -> None:
        if position:
            self._news.tell(position)

    def _committed(self, works: Sequence[Append], results: Sequence[Sequence[Outcome]]) -> None:
        """Keep a group for those who follow, in the order of positions: entries of one stream stand behind all others."""
        self._tail.add_group(works, results)


def _check_names(streams: Iterable[str]) -> None:
    for stream in streams:
        if "\0" in stream:
            raise ValueError(f"The stream's name {stream!r} has a NUL in it, which PostgreSQL does not keep.")
