"""The blocking half of the PostgreSQL store's log: one call of one function for a group, and the watch over a log that went back.

A server that was replaced by a standby that was behind, or restored from a backup, lacks events that were acknowledged. The log looks at
each poll and after each reconnection whether the newest event that this process has seen still stands where it stood; between two runs of
the process a small file remembers it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wxrc_core.log import Appended, Conflict, Fenced, Outcome
from wxrc_core.shard import stream_name
from wxrc_store._postgres_schema import Names
from wxrc_store._postgres_server import Connection, Session
from wxrc_store._rows import RELEASE, Append, EncodedEntry
from wxrc_store._seen import Mark, Seen, digest
from wxrc_store.port import StoreError

APPEND = """
SELECT entry, fenced, actual, first FROM {schema}.append_1(
    %b::text[], %b::bigint[], %b::integer[], %b::text[], %b::bigint[], %b::integer[],
    %b::bigint[], %b::bigint[], %b::text[], %b::integer[], %b::bytea[])
"""

DIGEST = "md5(convert_to(stream || ' ' || version || ' ', 'UTF8') || data)"

HEAD = f"""
SELECT position, {DIGEST} FROM {{schema}}.event
WHERE position = %s OR position = (SELECT position FROM {{schema}}.event ORDER BY position DESC LIMIT 1)
ORDER BY position DESC
"""  # noqa: S608

KIND = "INSERT INTO {schema}.event_type VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"

PROBE = """
INSERT INTO {schema}.setting VALUES ('probed', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""

UNREACHABLE = -1
"""A version that no stream has, for expectations beyond what a database column holds."""


class PostgresLog:
    """The writer's connection: a `Backend` of the group writer.

    Attributes:
        lost: Why the log can no longer be used; None = it can. It stays so until the store is opened again.
    """

    def __init__(self, session: Session, names: Names, seen: Seen, committed: Callable[[int], None]) -> None:
        """Make it.

        Args:
            session: Its connection; nobody else uses it.
            names: The names in the database.
            seen: What remembers the mark over restarts.
            committed: Called in the writer's thread with the last position of each group that was committed.
        """
        self.lost: StoreError | None = None
        self._session = session
        self._append, self._head, self._kind = names.sql(APPEND), names.sql(HEAD), names.sql(KIND)
        self._probe = names.sql(PROBE)
        self._seen = seen
        self._committed = committed
        self._log = 0
        self._mark = Mark(0, "")
        self._kinds: set[tuple[str, int]] = set()  # what stands in `event_type`, as far as this process knows

    def begin(self, log: int) -> int:
        """Begin to use a log of this identity; return its last position.

        Raises:
            StoreError: It went back since it was used here last.
        """
        self._log = log
        found = self._seen.read()
        self._mark = found[1] if found is not None and found[0] == log else Mark(0, "")
        return self.head()

    def commit(self, group: Sequence[Append]) -> tuple[Sequence[Sequence[Outcome]], int]:
        """See `Backend.commit`."""
        if not self._session.connected:
            self.head()  # another server may answer now
        self._check()
        entries = [entry for work in group for entry in work.entries]
        outcomes: list[Outcome] = []
        if entries:
            self._remember_kinds((kind, schema) for entry in entries for kind, schema, _ in entry.events)
            arguments = _arguments(group)
            rows = self._session.call(lambda connection: _rows(connection, self._append, arguments))
            outcomes = _outcomes(rows)
            self._advance(entries, outcomes)
        if not all(work.entries for work in group):
            position = self.head()
            self._session.call(lambda connection: connection.execute(self._probe, (position,)))
        results, start = [], 0
        for work in group:
            results.append(outcomes[start : start + len(work.entries)])
            start += len(work.entries)
        return results, self._mark.position

    def head(self) -> int:
        """See `Backend.head`. It also sees that the newest event that was seen is still there."""
        self._check()
        rows = self._session.call(lambda connection: _rows(connection, self._head, (self._mark.position,)))
        newest = Mark(*rows[0]) if rows else Mark(0, "")
        if newest.position < self._mark.position:
            self.lost = self._seen.lost(f"has gone back from position {self._mark.position} to {newest.position}")
        elif any(Mark(*row).position == self._mark.position and Mark(*row) != self._mark for row in rows):
            self.lost = self._seen.lost(f"has another event at position {self._mark.position} than it had")
        self._check()
        self._mark = newest
        self._seen.write(self._log, newest)
        return newest.position

    def abandon(self) -> None:
        """Close the connection of a log that could not be begun."""
        self._session.close()

    def close(self) -> None:
        """See `Backend.close`."""
        self._seen.write(self._log, self._mark, now=True)
        self._session.close()

    def _check(self) -> None:
        if self.lost is not None:
            raise StoreError(*self.lost.args)

    def _advance(self, entries: Sequence[EncodedEntry], outcomes: Sequence[Outcome]) -> None:
        last, mark = self._mark.position, self._mark
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Appended):
                if outcome.position <= last:  # a pooler may have changed the server without a word
                    self.lost = self._seen.lost(f"has gone back from position {last} to {outcome.position}")
                    self._check()
                position = outcome.position + len(entry.events) - 1
                if position > mark.position:
                    number = entry.expected + len(entry.events)
                    mark = Mark(position, digest(entry.stream, number, entry.events[-1][2]))
        if mark != self._mark:
            self._mark = mark
            self._seen.write(self._log, mark)
            self._committed(mark.position)

    def _remember_kinds(self, kinds: Iterable[tuple[str, int]]) -> None:
        """Note new kinds of event before the first one of them is written: an older release must not read past them."""
        new = set(kinds) - self._kinds
        for kind, schema in new:
            row = (kind, schema, RELEASE)
            self._session.call(lambda connection, row=row: connection.execute(self._kind, row))  # type: ignore[misc]
        self._kinds |= new


def _rows(connection: Connection, sql: str, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
    return connection.execute(sql, arguments, binary=True).fetchall()


def _arguments(group: Sequence[Append]) -> tuple[list[object], ...]:
    """Return the arguments of the function: one list for each column of the entries, then of their events.

    In one round of the function no entry sees another. So an entry goes into a later round than those of its stream, and than a change of
    owner that its fence has to see; and never into an earlier one than those before it in its batch, whose positions come first.
    """
    written: dict[str | None, int] = {}  # stream -> the last round that may have written to it
    columns: tuple[list[object], ...] = tuple([] for _ in range(11))
    streams, expected, counts, fences, epochs, rounds, owners, numbers, types, schemas, data = columns
    index = 0
    for work in group:
        turn = 0
        for entry in work.entries:
            index += 1
            fence = None if entry.fence is None else stream_name(entry.fence.shard)
            turn = max([turn, *(1 + written[each] for each in (entry.stream, fence) if each in written)])
            written[entry.stream] = turn
            streams.append(entry.stream)
            expected.append(entry.expected if entry.expected < 2**62 else UNREACHABLE)
            counts.append(len(entry.events))
            fences.append(fence)
            epochs.append(None if entry.fence is None else entry.fence.epoch)
            rounds.append(turn)
            for number, (kind, schema, content) in enumerate(entry.events, 1):
                owners.append(index)
                numbers.append(number)
                types.append(kind)
                schemas.append(schema)
                data.append(content)
    return columns


def _outcomes(rows: Iterable[tuple[Any, ...]]) -> list[Outcome]:
    outcomes: dict[object, Outcome] = {}
    for entry, fenced, actual, first in rows:
        if fenced:
            outcomes[entry] = Fenced()
        elif first is None:
            outcomes[entry] = Conflict(actual)
        else:
            outcomes[entry] = Appended(first)
    return [outcomes[entry] for entry in range(1, len(outcomes) + 1)]
