"""The durable store for several machines without a database: a NATS JetStream cluster, with group commit and an encrypted vault.

    JetStreamStore("nats://a,b,c/wxrc", vault_key=Path("vault.key"))

An event is one message on a subject of its own, so that the servers themselves refuse a second event n of a stream; a group of entries is
one atomic batch, with the fences as its conditions (`_jetstream_log`). nats-py needs asyncio, so the connection lives in a thread with a
loop of its own (`_jetstream_link`), and everything here runs the same under trio. Appending goes through the writer's thread (`_writer`).
A member lives by the clocks of those who watch it, and by no server's (`_jetstream_members`).

What the cluster must be: NATS 2.12 or later, three servers, `sync_interval: always`. What it costs: every event is a subject that stays for
ever, about 0.4 KB of memory on each server.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from wxrc_core.errors import Refusal
from wxrc_core.log import Entry, Lease, Member, Outcome, Owner, Recorded
from wxrc_core.shard import SHARDS
from wxrc_store._clock import since_boot
from wxrc_store._jetstream_answers import SUBJECT_LIMIT, token
from wxrc_store._jetstream_files import Files
from wxrc_store._jetstream_link import Link
from wxrc_store._jetstream_log import JetStreamLog
from wxrc_store._jetstream_members import Members
from wxrc_store._jetstream_messages import BATCH, Names
from wxrc_store._jetstream_read import Reader
from wxrc_store._jetstream_settings import GAPS_TO, Settings
from wxrc_store._jetstream_setup import check_servers, check_version, make_streams, open_vault, settle
from wxrc_store._jetstream_url import parse
from wxrc_store._jetstream_works import Works
from wxrc_store._rows import (
    TAIL,
    Append,
    Tail,
    check_forgettable,
    check_shards,
    encode_batch,
    encode_records,
    entries_to_release,
)
from wxrc_store._seal import SealedVault, Sealer
from wxrc_store._seen import Seen
from wxrc_store._writer import GroupWriter
from wxrc_store.media import ServerMedia

T = TypeVar("T")


class JetStreamStore:
    """An event log in a NATS JetStream cluster, and a vault beside it.

    Args:
        url: As `nats://user:password@a:4222,b:4222,c:4222/name`; what may stand behind it is in docs/en/stores.md.
        vault_key: 32 bytes that seal the vault, or the file that has them, made where the vault is new. It is never in the cluster.
        seen: A file that remembers how far the log reached, to notice at the next start that the cluster has lost some of it.
        lifetime: How long a member lives without renewing (seconds). It must outlast the election of a new leader, which takes 4 to 7 s.
        limit: How long a call may take, with all its tries (seconds); for the same reason not less than that.
        shards: Into how many shards a new log is divided; a log that is there keeps its number.

    Attributes:
        vault: The vault; usable while the store is open.
        media: Files that are too large for the log, in the same cluster; likewise.

    Raises:
        StoreError: The URL cannot be understood.
        ValueError: The key cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        vault_key: bytes | Path,
        seen: Path | None = None,
        lifetime: float = 20.0,
        limit: float = 15.0,
        shards: int = SHARDS,
    ) -> None:
        if isinstance(vault_key, bytes):
            Sealer(vault_key)  # refuses a key of the wrong length before anything is made
        self._place = parse(url)
        self._names = Names(self._place.name)
        self._seen = Seen(seen, self._place.shown, "Was a backup restored, or were the streams deleted?")
        self._vault_key = vault_key
        self._lifetime, self._limit, self._shards = lifetime, limit, shards
        self.vault = SealedVault(
            lambda: self._sealer,
            lambda name, sealed: self._run(lambda: self._works.keep(name, sealed)),
            lambda name: self._run(lambda: self._works.kept(name)),
            lambda: self._run(self._works.vault_names),
        )
        self.media = ServerMedia(
            lambda digest, data: self._run(lambda: self._files.keep(digest, data)),
            lambda digest: self._run(lambda: self._files.media(digest)),
            lambda before, keep: self._run(lambda: self._files.forget_media(before, keep)),
        )

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
        """Connect, check the servers, make the streams, and start the threads.

        Raises:
            NewerEvents: The log has events of a newer release.
            StoreError: The cluster cannot be used; the sentence says why.
        """
        self._tail = Tail(TAIL)
        self._link = Link(self._place, self._limit)
        self._files = Files(self._link, self._names, self._place.replicas)
        self._settings = Settings(self._link, self._names)
        self._reader = Reader(self._link, self._names, self._files, self._settings)
        self._members = Members(self._link, self._names, self._lifetime, self.monotonic)
        self._log = JetStreamLog(self._link, self._names, self._reader, self._files, self._seen)
        self._works = Works(self._link, self._names, self._reader, self._log, self._files, self._members)
        try:
            version = await self._link.run(self._link.connect())
            check_version(self._place, self._link.server, version)
            await anyio.to_thread.run_sync(check_servers, self._place)
            self._sealer, head = await self._link.run(self._open())
        except BaseException:
            self._link.close()
            raise
        self._writer: GroupWriter[Append, Sequence[Outcome]] = GroupWriter(
            self._log, head, f"wxrc-store {self._link.name}", self._committed
        )
        await self._link.run(self._link.hear(self._names.news, lambda _: self._writer.look()))
        return self

    async def _open(self) -> tuple[Sealer, int]:
        await make_streams(self._link, self._names, self._place.replicas, self._seen)
        self._shards, log = await settle(self._works, self._settings, self._shards, self._seen)
        sealer = await open_vault(self._link, self._names, self._works, self._vault_key)
        return sealer, await self._log.begin(log)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what waits, and close."""
        with anyio.CancelScope(shield=True):
            await self._writer.close()

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`. Cancelled, it may still become durable: read back by identity.

        Raises:
            StoreError: The outcome of the batch is unknown: read back by identity.
            ValueError: An entry has more than 1,000 events, or its stream a name that no subject can hold.
        """
        _check_names(entry.stream for entry in batch)
        for entry in batch:
            if len(entry.events) > BATCH:
                raise ValueError(f"An entry has up to {BATCH:,} events on JetStream, not {len(entry.events):,}.")
        if not batch:
            return []
        return await self._writer.submit(Append(encode_batch(batch), batch))

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        return await self._run(lambda: self._reader.stream(stream, after))

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`. What another process deletes may still come from memory."""
        await self._turn()
        if own := self._tail.after(after, limit):
            return own
        return await self._run(lambda: self._reader.page(after, limit))

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        return await self._run(lambda: self._reader.at(position))

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._writer.changed(after)

    async def probe(self) -> None:
        """See `Store.probe`. A majority of the servers writes down that nothing is deleted, which takes no position."""
        await self._writer.submit(Append((), ()))

    # -- ownership --------------------------------------------------------------------------------------------------------------

    async def join(self, name: str) -> Member:
        """See `Store.join`. The id has the number of the process in it."""
        return await self._run(lambda: self._members.join(name))

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`."""
        return await self._run(lambda: self._members.renew(member))

    async def leave(self, member: Member) -> None:
        """See `Store.leave`."""
        await self._run(lambda: self._members.leave(member.id))

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """See `Store.acquire`."""
        check_shards(shards, self._shards)
        leases = await self._run(lambda: self._works.take(member, shards, at))
        self._writer.look()
        return leases

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """See `Store.release`."""
        entries = await entries_to_release(self.read, leases, at)
        await self.append(entries)  # where the epoch is over in the meantime it is a conflict, and nothing to do

    async def members(self) -> Sequence[str]:
        """See `Store.members`."""
        return await self._run(self._works.members)

    async def owners(self) -> Mapping[int, Owner]:
        """See `Store.owners`."""
        return await self._run(lambda: self._works.owners(self._shards))

    # -- beside the log ---------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        await self._run(lambda: self._files.save(position, schema, blob))

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        return await self._run(lambda: self._files.newest(schemas))

    async def forget(self, streams: Mapping[str, int]) -> int:
        """See `Store.forget`. It takes one position for each stream, which stays empty."""
        check_forgettable(streams)
        try:
            return await self._run(lambda: self._works.forget(streams))
        finally:
            self._tail.clear()

    async def restore(self, records: Sequence[Recorded]) -> None:
        """See `Store.restore`. Where it fails or is interrupted, a beginning of the records may be there."""
        _check_names(each.stream for each in records)
        rows = encode_records(records)
        await self._turn()
        if rows and (problem := await self._run(lambda: self._works.restore(rows))):
            raise Refusal(problem)
        self._writer.look()

    async def told_to(self) -> int:
        """See `Store.told_to`."""
        return await self._run(lambda: self._settings.get("told_to"))

    async def set_told_to(self, position: int) -> None:
        """See `Store.set_told_to`."""
        await self._run(lambda: self._settings.raise_to("told_to", position))

    async def gaps_to(self) -> int:
        """See `Store.gaps_to`."""
        return await self._run(lambda: self._settings.get(GAPS_TO))

    async def set_gaps_to(self, position: int) -> None:
        """See `Store.set_gaps_to`."""
        await self._run(lambda: self._settings.raise_to(GAPS_TO, position))

    # -- inside -----------------------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Let others run, and see that the store is open and the log still the same."""
        await checkpoint()
        self._writer.check_open()
        self._log.check()

    async def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._turn()
        return await self._link.run(work())

    def _committed(self, works: Sequence[Append], results: Sequence[Sequence[Outcome]]) -> None:
        """Keep a group for those who follow, in the order of positions."""
        self._tail.add_group(works, results)


def _check_names(streams: Iterable[str]) -> None:
    for stream in streams:
        if len(token(stream).encode()) > SUBJECT_LIMIT:
            raise ValueError(
                f"The name of a stream has up to {SUBJECT_LIMIT:,} bytes on JetStream; {stream[:40]!r}… is longer."
            )
