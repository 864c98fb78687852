"""What the writer's thread does for a store, one class for each kind of work, and the transaction that they share.

Works that wait together are done in one transaction, in order: each sees what those before it did.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol, TypeVar

import apsw
from attrs import frozen

from wxrc_core.codec import encode
from wxrc_core.log import Appended, Conflict, Entry, Fence, Fenced, Lease, Outcome, Recorded
from wxrc_core.shard import ShardFreed, ShardTaken, stream_name
from wxrc_store._rows import SNAPSHOTS, EncodedEntry, Row, decode_rows, not_restorable, owner_of
from wxrc_store._sqlite_file import HEAD

VERSIONS = """
SELECT value, (SELECT version FROM event WHERE stream = value ORDER BY version DESC LIMIT 1) FROM json_each(?)
"""
"""The version of each stream. It costs the same for a long stream as for a short one, as `max(version)` with GROUP BY does not."""

LATEST = """
SELECT event.* FROM json_each(?) JOIN event
ON position = (SELECT position FROM event WHERE stream = value ORDER BY version DESC LIMIT 1)
"""
"""The last event of each stream."""

INSERTS = {size: "INSERT INTO event VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * size) for size in (128, 32, 8, 2, 1)}  # noqa: S608
"""Statements that insert so many rows at once. Each statement run lets go of the interpreter's lock and waits to get it back, behind an
event loop that is busy: a group must cost a few runs and not a few for each row."""

T_co = TypeVar("T_co", covariant=True)


class Transaction:
    """One group's transaction on the writer's connection.

    Attributes:
        connection: The connection, inside `BEGIN IMMEDIATE`.
        head: The log's last position, what is still to be inserted included.
        versions: Of every stream that a work of the group named.
        rows: Events to insert.
        kinds: The kinds of the events that were appended.
    """

    def __init__(self, connection: apsw.Connection, streams: Iterable[str]) -> None:
        self.connection = connection
        self.head: int = connection.execute(HEAD).get or 0
        self.rows: list[Row] = []
        self.kinds: set[tuple[str, int]] = set()
        names = list(streams)
        self.versions: dict[str, int] = {}
        if names:
            self.versions = {stream: found or 0 for stream, found in connection.execute(VERSIONS, (json.dumps(names),))}

    def append(self, entry: EncodedEntry) -> Outcome:
        """Append an entry, or not."""
        stream, expected, events, fence = entry
        versions = self.versions
        if fence is not None and versions[stream_name(fence.shard)] != fence.epoch:
            return Fenced()
        actual = versions[stream]
        if actual != expected:
            return Conflict(actual)
        head = self.head
        for kind, schema, data in events:
            head += 1
            actual += 1
            self.rows.append((head, stream, actual, kind, schema, data))
            self.kinds.add((kind, schema))
        appended = Appended(self.head + 1)
        self.head = head
        versions[stream] = actual
        return appended

    def flush(self) -> None:
        """Insert the rows that wait: before anything reads or deletes events, and before the commit."""
        rows, at = self.rows, 0
        for size, statement in INSERTS.items():
            while len(rows) - at >= size:
                self.connection.execute(statement, tuple(chain.from_iterable(rows[at : at + size])))
                at += size
        self.rows = []

    def latest(self, streams: Iterable[str]) -> dict[str, Recorded]:
        """Return the last event of each of these streams that has any."""
        self.flush()
        return latest(self.connection, streams)


def latest(connection: apsw.Connection, streams: Iterable[str]) -> dict[str, Recorded]:
    """Return the last event of each of these streams that has any."""
    rows = list(connection.execute(LATEST, (json.dumps(list(streams)),)))
    return {recorded.stream: recorded for recorded in decode_rows(rows)}


class Work(Protocol[T_co]):
    """Something that the writer does."""

    def streams(self) -> Iterable[str]:
        """Name the streams whose versions it needs."""

    def run(self, transaction: Transaction) -> T_co:
        """Do it, and return its result. An exception fails the whole group."""


class Append(NamedTuple):
    """Append entries: those of one `Store.append`, ready to be written, and as they were given."""

    entries: Sequence[EncodedEntry]
    batch: Sequence[Entry] = ()

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        for stream, _, _, fence in self.entries:
            yield stream
            if fence is not None:
                yield stream_name(fence.shard)

    def run(self, transaction: Transaction) -> Sequence[Outcome]:
        """See `Work.run`."""
        return [transaction.append(entry) for entry in self.entries]


@frozen
class Take:
    """Take shards for a member who holds the owner's lock: nobody else who is alive owns any."""

    member: str
    shards: Sequence[int]
    at: int

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return map(stream_name, self.shards)

    def run(self, transaction: Transaction) -> Mapping[int, Lease]:
        """See `Work.run`."""
        found = transaction.latest(self.streams())
        event = encode(ShardTaken(at=self.at, member=self.member))
        leases = {}
        for shard in self.shards:
            stream = stream_name(shard)
            last = found.get(stream)
            if last is not None and owner_of(last) == self.member:
                leases[shard] = Lease(Fence(shard, last.version), last.position)
                continue
            epoch = transaction.versions[stream]
            taken = transaction.append(EncodedEntry(stream, epoch, [event]))
            assert isinstance(taken, Appended), "its version was read in this transaction"
            leases[shard] = Lease(Fence(shard, epoch + 1), taken.position)
        return leases


@frozen
class Free:
    """Let go of shards."""

    fences: Sequence[Fence]
    at: int

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return [stream_name(fence.shard) for fence in self.fences]

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        found = transaction.latest(self.streams())
        for shard, epoch in self.fences:
            last = found.get(stream_name(shard))
            if last is not None and isinstance(last.event, ShardTaken):
                event = encode(ShardFreed(at=self.at, member=last.event.member))
                transaction.append(EncodedEntry(last.stream, epoch, [event]))


@frozen
class Keep:
    """Put a sealed secret into the vault, or (None) take it out."""

    name: str
    sealed: bytes | None

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return ()

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        if self.sealed is None:
            transaction.connection.execute("DELETE FROM vault WHERE name = ?", (self.name,))
        else:
            transaction.connection.execute("INSERT OR REPLACE INTO vault VALUES (?, ?)", (self.name, self.sealed))


@frozen
class KeepChunk:
    """Write one chunk of a snapshot that is not there yet."""

    snapshot: int
    number: int
    position: int
    data: bytes

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return ()

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        row = (self.snapshot, self.number, self.position, self.data)
        transaction.connection.execute("INSERT INTO snapshot_chunk VALUES (?, ?, ?, ?)", row)


@frozen
class KeepSnapshot:
    """Make a snapshot of its chunks, and delete what is too old."""

    snapshot: int
    position: int
    schema: str
    chunks: int
    crc: int

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return ()

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        execute = transaction.connection.execute
        if self.chunks != execute("SELECT count(*) FROM snapshot_chunk WHERE snapshot = ?", (self.snapshot,)).get:
            return  # newer ones came while this one was written
        execute("DELETE FROM snapshot WHERE position = ? AND schema = ?", (self.position, self.schema))
        row = (self.snapshot, self.position, self.schema, self.chunks, self.crc)
        execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?)", row)
        execute(
            "DELETE FROM snapshot WHERE schema = ?1 AND id NOT IN"
            " (SELECT id FROM snapshot WHERE schema = ?1 ORDER BY position DESC LIMIT ?2)",
            (self.schema, SNAPSHOTS),
        )
        # Chunks without a snapshot: of those just deleted, or of attempts that a crash ended. One that is being written is newer.
        execute(
            "DELETE FROM snapshot_chunk WHERE snapshot NOT IN (SELECT id FROM snapshot)"
            " AND position < (SELECT min(position) FROM snapshot WHERE schema = ?)",
            (self.schema,),
        )


@frozen
class Forget:
    """Delete whole streams that still have these versions."""

    versions: Sequence[tuple[str, int]]

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return [stream for stream, _ in self.versions]

    def run(self, transaction: Transaction) -> int:
        """See `Work.run`."""
        transaction.flush()
        newest = transaction.connection.execute("SELECT stream FROM event WHERE position = ?", (transaction.head,)).get
        gone = [
            stream
            for stream, version in self.versions
            if transaction.versions[stream] == version > 0 and stream != newest
        ]
        transaction.connection.execute(
            "DELETE FROM event WHERE stream IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
        )
        transaction.versions.update(dict.fromkeys(gone, 0))
        return len(gone)


@frozen
class Probe:
    """Write something that nobody reads, to prove that it can be done."""

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return ()

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        transaction.connection.execute("INSERT OR REPLACE INTO setting VALUES ('probed', ?)", (transaction.head,))


@frozen
class Restore:
    """Insert rows at the positions that they have."""

    rows: Sequence[Row]

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return {stream for _, stream, *_ in self.rows}

    def run(self, transaction: Transaction) -> str:
        """Do it, or return why not; see `Work.run`."""
        if problem := not_restorable(self.rows, transaction.head, transaction.versions):
            return problem
        for row in self.rows:
            position, stream, version, kind, schema, _ = row
            transaction.head, transaction.versions[stream] = position, version
            transaction.kinds.add((kind, schema))
            transaction.rows.append(row)
        return ""


@frozen
class RaiseSetting:
    """Raise a number that belongs to the log."""

    name: str
    value: int

    def streams(self) -> Iterable[str]:
        """See `Work.streams`."""
        return ()

    def run(self, transaction: Transaction) -> None:
        """See `Work.run`."""
        transaction.connection.execute(
            "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = max(value, ?2)",
            (self.name, self.value),
        )
