"""Events to rows and back: what every durable store does in the same way.

Encoding happens in the caller, before anything waits in a group, so that a bad event fails only the one who brought it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib import metadata
from itertools import chain
from typing import NamedTuple, TypeAlias

import msgspec

from wxrc_core.codec import UnknownEvent, decode, encode
from wxrc_core.log import Appended, Entry, Fence, Lease, Outcome, Recorded
from wxrc_core.shard import ShardFreed, ShardTaken, stream_name
from wxrc_store.port import NewerEvents, StoreError

Row: TypeAlias = tuple[int, str, int, str, int, bytes]
"""position, stream, version, type, schema, data: the columns of the table `event`, in this order."""

SNAPSHOTS = 2
"""So many snapshots of each schema are kept: where the newest turns out to be damaged, the one before it serves."""

CHUNK = 1000
"""So many rows are fetched and then decoded. Rows of a whole big page at once cost a replay up to half its speed."""

SNAPSHOT_CHUNK = 1 << 20
"""So many bytes of a snapshot are written in one transaction: appends wait for one chunk and not for the whole."""

FORGET_STREAMS = 200
"""So many streams are deleted in one transaction, for the same reason."""

TAIL = 5_000
"""So many of the newest events are kept in memory, for those who follow the log."""

try:
    RELEASE = metadata.version("wxrc")
except metadata.PackageNotFoundError:  # the package is used from a source tree
    RELEASE = "unknown"


class EncodedEntry(NamedTuple):
    """An `Entry` whose events are ready to be written: (type, schema, data) each."""

    stream: str
    expected: int
    events: Sequence[tuple[str, int, bytes]]
    fence: Fence | None = None


class Append(NamedTuple):
    """The entries of one `Store.append`, ready to be written, and as they were given. Without any it is a probe."""

    entries: Sequence[EncodedEntry]
    batch: Sequence[Entry]


class Tail:
    """The newest events of the log as far as this process wrote them itself: its own follower need not read them back.

    It is without a gap: when another process has written in between, what came before is forgotten.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._events: list[Recorded] = []

    def add(self, batch: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Take in a batch that was committed; batches come in the order of their positions."""
        events = self._events
        for entry, outcome in zip(batch, outcomes, strict=True):
            if type(outcome) is not Appended:
                continue
            if events and events[-1].position != outcome.position - 1:
                events.clear()
            for number, event in enumerate(entry.events):
                events.append(Recorded(outcome.position + number, entry.stream, entry.expected + 1 + number, event))
        if len(events) > 2 * self._length:
            del events[: -self._length]

    def add_group(self, works: Sequence[Append], results: Sequence[Sequence[Outcome]]) -> None:
        """Take in a group that was committed, whatever the order of its positions is."""
        batch = chain.from_iterable(work.batch for work in works)
        written = [
            (entry, outcome)
            for entry, outcome in zip(batch, chain.from_iterable(results), strict=True)
            if isinstance(outcome, Appended)
        ]
        written.sort(key=lambda each: each[1].position)
        self.add([entry for entry, _ in written], [outcome for _, outcome in written])

    def clear(self) -> None:
        """Forget all of it: what was deleted from the log must not come from here."""
        self._events.clear()

    def after(self, position: int, limit: int) -> Sequence[Recorded]:
        """Return up to `limit` events above a position; none where it cannot tell."""
        offset = position + 1 - self._events[0].position if self._events else -1
        return self._events[offset : offset + limit] if offset >= 0 else ()


def encode_batch(batch: Sequence[Entry]) -> list[EncodedEntry]:
    """Encode the events of a batch.

    Raises:
        ValueError: An entry has no events, or its stream's name is not UTF-8 text.
        KeyError: What it has is no event.
        InvalidValue: An event could not be read back.
    """
    encoded = []
    for entry in batch:
        if not entry.events:
            raise ValueError(f"The entry for stream {entry.stream!r} has no events; it needs one or more.")
        entry.stream.encode()  # a lone surrogate must fail here, not in the middle of a group
        encoded.append(
            EncodedEntry(entry.stream, entry.expected, [encode(event) for event in entry.events], entry.fence)
        )
    return encoded


def encode_records(records: Sequence[Recorded]) -> list[Row]:
    """Turn recorded events into rows.

    Raises:
        InvalidValue: An event could not be read back.
    """
    return [(each.position, each.stream, each.version, *encode(each.event)) for each in records]


def not_restorable(rows: Iterable[Row], head: int, versions: Mapping[str, int]) -> str:
    """Return why these rows cannot follow in a log (see `Store.restore`), in a sentence; empty = they can.

    Args:
        rows: What is to be written.
        head: The position of the log's newest event.
        versions: That of every stream in them.
    """
    found = dict(versions)
    for position, stream, version, *_ in rows:
        if position <= head:
            return f"the event at position {position} cannot be restored: the log reaches to position {head} already"
        if version != found.get(stream, 0) + 1:
            return (
                f"the event at position {position} cannot be restored: it has version {version} of {stream},"
                f" which has version {found.get(stream, 0)} so far"
            )
        head, found[stream] = position, version
    return ""


def check_shards(numbers: Iterable[int], shards: int) -> None:
    """Refuse numbers that are no shards of this store.

    Raises:
        ValueError: One is out of range.
    """
    for number in numbers:
        if not 0 <= number < shards:
            raise ValueError(f"There is no shard {number}; this store has {shards}.")


def check_forgettable(streams: Iterable[str]) -> None:
    """Refuse to delete a stream whose versions are epochs.

    Raises:
        ValueError: One is the stream of a shard.
    """
    prefix = stream_name(0)[:-1]
    for stream in streams:
        if stream.startswith(prefix):
            raise ValueError(f"The stream {stream} cannot be deleted: its version is the epoch of the shard.")


async def entries_to_release(
    read: Callable[[str, int], Awaitable[Sequence[Recorded]]], leases: Sequence[Lease], at: int
) -> list[Entry]:
    """Return the entries that let go of shards; those whose epoch is over are left out.

    Args:
        read: Reads a stream above a version.
        leases: The shards.
        at: Now (epoch ms).
    """
    entries = []
    for (shard, epoch), _ in leases:
        last = (await read(stream_name(shard), epoch - 1))[-1:]
        if last and last[0].version == epoch and isinstance(last[0].event, ShardTaken):
            freed = ShardFreed(at=at, member=last[0].event.member)
            entries.append(Entry(stream_name(shard), epoch, [freed]))
    return entries


def owner_of(last: Recorded) -> str:
    """Return the member that owns a shard by the last event of its stream; empty = free."""
    return last.event.member if isinstance(last.event, ShardTaken) else ""


def decode_rows(rows: Sequence[Row]) -> list[Recorded]:
    """Turn rows into recorded events. Replays spend their time here: one comprehension, and no call but the decoder's.

    Raises:
        NewerEvents: A row has an event type or a schema version that this release does not know.
        StoreError: The bytes of a row are damaged.
    """
    new = tuple.__new__  # Recorded(...) does the same by way of a Python function, which costs a tenth of the replay
    try:
        return [
            new(Recorded, (position, stream, version, decode(kind, schema, data)))
            for position, stream, version, kind, schema, data in rows
        ]
    except UnknownEvent as unknown:
        raise newer_events(unknown.type, unknown.schema, release=None) from unknown
    except msgspec.DecodeError as error:
        span = f"between positions {rows[0][0]} and {rows[-1][0]}"
        raise StoreError(f"The log is damaged: an event {span} cannot be read. Restore it from a backup.") from error


def newer_events(kind: str, schema: int, release: str | None) -> NewerEvents:
    """Say which event this release does not know, and what to do.

    Args:
        kind: The event's type.
        schema: Its schema version.
        release: The release that wrote it, where that is known.
    """
    wanted = f"Use release {release} or a later one" if release else "Use the release that wrote them, or a later one"
    return NewerEvents(
        f"The log has events that this release does not know: {kind} in version {schema}. {wanted}; nothing was changed."
    )
