"""What a PostgreSQL store does beside appending: members and shards, snapshots, the vault, pruning. One blocking function for each, given a
connection. Every one of them may be repeated: what was done already is not done twice.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence

from wxrc_core.codec import encode
from wxrc_core.log import Fence, Lease, Member, Owner, Recorded
from wxrc_core.shard import ShardTaken, stream_name
from wxrc_store._postgres_schema import Names
from wxrc_store._postgres_server import Connection
from wxrc_store._rows import CHUNK, RELEASE, SNAPSHOTS, Row, decode_rows, not_restorable, owner_of
from wxrc_store._seal import KEY_CHECK
from wxrc_store.port import Lapsed, StoreError

STREAM = "SELECT * FROM {schema}.event WHERE stream = %s AND version > %s ORDER BY version"
PAGE = "SELECT * FROM {schema}.event WHERE position > %s ORDER BY position LIMIT %s"
LATEST = """
SELECT e.* FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL
    (SELECT * FROM {schema}.event WHERE stream = wanted.stream ORDER BY version DESC LIMIT 1) AS e
"""
JOIN = """
WITH old AS (DELETE FROM {schema}.member WHERE until < clock_timestamp() - interval '1 day')
INSERT INTO {schema}.member VALUES (%s, clock_timestamp() + %s * interval '1 second')
"""
RENEW = """
UPDATE {schema}.member SET until = greatest(until, clock_timestamp() + %s * interval '1 second')
WHERE id = %s AND until > clock_timestamp()
"""
TAKE = """
SELECT stream, first FROM {schema}.take_1(%s, %s::text[], %s::bigint[], %s::text[], %s, %s, %s)
"""
CHUNK_IN = """
INSERT INTO {schema}.snapshot_chunk VALUES (%s, %s, %s, %b) ON CONFLICT (snapshot, number) DO UPDATE SET data = excluded.data
"""
SAVED = """
SELECT id, position, schema, chunks, crc FROM {schema}.snapshot WHERE schema = ANY (%s) ORDER BY position DESC
"""
KEEP = """
INSERT INTO {schema}.vault VALUES (%s, %b) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed
"""
HEAD = "SELECT coalesce((SELECT position FROM {schema}.event ORDER BY position DESC LIMIT 1), 0)"
RESTORE = """
SELECT {schema}.restore_1(
    %b, %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::integer[], %b::bytea[])
"""
TOUCH_FILE = """
UPDATE {schema}.media SET at = greatest(at, %s) WHERE digest = %s AND encode(sha256(data), 'hex') = digest
"""
PUT_FILE = """
INSERT INTO {schema}.media VALUES (%s, %s, %b) ON CONFLICT (digest) DO UPDATE SET at = excluded.at, data = excluded.data
"""
RAISE = (
    "INSERT INTO {schema}.setting AS old VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE old.value < excluded.value"
)

LOOKS = 3
"""How often something is tried while others change what it needs at that moment: reading the newest snapshot, restoring."""


class Works:
    """The functions, for the tables of one schema."""

    def __init__(self, names: Names) -> None:
        self._sql = names.sql

    # -- reading ----------------------------------------------------------------------------------------------------------------

    def stream(self, connection: Connection, stream: str, after: int) -> list[Recorded]:
        """Return the events of a stream above a version."""
        return self._events(connection, STREAM, (stream, after))

    def page(self, connection: Connection, after: int, limit: int) -> list[Recorded]:
        """Return up to `limit` events above a position."""
        return self._events(connection, PAGE, (after, limit))

    def _events(self, connection: Connection, sql: str, arguments: Sequence[object]) -> list[Recorded]:
        found: list[Recorded] = []
        with connection.execute(self._sql(sql), arguments, binary=True) as cursor:
            while rows := cursor.fetchmany(CHUNK):
                found += decode_rows(rows)
        return found

    def _latest(self, connection: Connection, shards: Sequence[int]) -> dict[int, tuple[str, Recorded]]:
        """Return the owner (empty = free) and the last event of each of these shards that was ever taken."""
        streams = {stream_name(shard): shard for shard in shards}
        rows = self._events(connection, LATEST, (list(streams),))
        return {streams[last.stream]: (owner_of(last), last) for last in rows}

    # -- members and shards -----------------------------------------------------------------------------------------------------

    def join(self, connection: Connection, member: str, lifetime: float) -> None:
        """Have a new member live for so long."""
        connection.execute(self._sql(JOIN), (member, lifetime))

    def renew(self, connection: Connection, member: str, lifetime: float) -> None:
        """Have a living member live for so long from now on."""
        if not connection.execute(self._sql(RENEW), (lifetime, member)).rowcount:
            raise Lapsed(f"The member {member} is dead; join anew.")

    def leave(self, connection: Connection, member: str) -> None:
        """End a member."""
        connection.execute(self._sql("DELETE FROM {schema}.member WHERE id = %s"), (member,))

    def take(self, connection: Connection, member: Member, shards: Sequence[int], at: int) -> dict[int, Lease]:
        """Take what is free. Whose a shard is is read here, and the function checks that nothing has changed since."""
        latest = self._latest(connection, shards)
        leases: dict[int, Lease] = {}
        wanted: dict[str, tuple[int, int, str]] = {}  # stream -> shard, epoch, owner
        for shard in shards:
            owner, last = latest.get(shard, ("", None))
            if last is not None and owner == member.id:
                leases[shard] = Lease(Fence(shard, last.version), last.position)
            else:
                wanted[stream_name(shard)] = (shard, last.version if last else 0, owner)
        kind, schema, data = encode(ShardTaken(at=at, member=member.id))
        self.note_kind(connection, kind, schema)
        epochs, owners = [epoch for _, epoch, _ in wanted.values()], [owner for *_, owner in wanted.values()]
        arguments = (member.id, list(wanted), epochs, owners, kind, schema, data)
        for stream, position in connection.execute(self._sql(TAKE), arguments).fetchall():
            shard, epoch, _ = wanted[stream]
            leases[shard] = Lease(Fence(shard, epoch + 1), position)
        return leases

    def members(self, connection: Connection) -> list[str]:
        """Return the members that live."""
        rows = connection.execute(self._sql("SELECT id FROM {schema}.member WHERE until > clock_timestamp()"))
        return [row[0] for row in rows]

    def owners(self, connection: Connection, shards: int) -> dict[int, Owner]:
        """Return who owns each shard."""
        latest = self._latest(connection, range(shards))
        alive = self.members(connection)
        found = dict.fromkeys(range(shards), Owner(0, "", False))
        for shard, (owner, last) in latest.items():
            found[shard] = Owner(last.version, owner, owner in alive)
        return found

    def note_kind(self, connection: Connection, kind: str, schema: int) -> None:
        """Note a kind of event before the first one of it is written: an older release must not read past it."""
        row = (kind, schema, RELEASE)
        connection.execute(self._sql("INSERT INTO {schema}.event_type VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"), row)

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    def save_chunk(self, connection: Connection, snapshot: int, number: int, position: int, data: bytes) -> None:
        """Write one chunk of a snapshot that is not there yet."""
        connection.execute(self._sql(CHUNK_IN), (snapshot, number, position, data))

    def save(self, connection: Connection, snapshot: int, position: int, schema: str, chunks: int, crc: int) -> None:
        """Make a snapshot of its chunks, and delete what is too old."""
        arguments = (snapshot, position, schema, chunks, crc, SNAPSHOTS)
        connection.execute(self._sql("SELECT {schema}.keep_snapshot_1(%s, %s, %s, %s, %s, %s)"), arguments)

    def newest(self, connection: Connection, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """Return the newest snapshot that is whole."""
        chunks_of = self._sql("SELECT data FROM {schema}.snapshot_chunk WHERE snapshot = %s ORDER BY number")
        for _ in range(LOOKS):
            saved = connection.execute(self._sql(SAVED), (list(schemas),)).fetchall()
            for snapshot, position, schema, chunks, crc in saved:
                rows = connection.execute(chunks_of, (snapshot,), binary=True).fetchall()
                blob = b"".join(row[0] for row in rows)
                if len(rows) == chunks and zlib.crc32(blob) == crc:
                    return position, schema, blob
            if not saved:
                break
        return None

    # -- the rest ---------------------------------------------------------------------------------------------------------------

    def forget(self, connection: Connection, versions: Mapping[str, int]) -> int:
        """Delete whole streams that still have these versions; return how many."""
        arguments = (list(versions), list(versions.values()))
        row = connection.execute(self._sql("SELECT {schema}.forget_1(%s::text[], %s::bigint[])"), arguments).fetchone()
        return int(row[0]) if row else 0

    def restore(self, connection: Connection, rows: Sequence[Row]) -> str:
        """Insert rows at the positions that they have, or return why not. This alone may not be repeated: the rows would be in the way."""
        for _ in range(LOOKS):
            (head,) = connection.execute(self._sql(HEAD)).fetchall()[0]
            versions = {stream: 0 for _, stream, *_ in rows}
            versions |= {last.stream: last.version for last in self._events(connection, LATEST, (list(versions),))}
            if problem := not_restorable(rows, head, versions):
                return problem
            for kind, schema in {(kind, schema) for *_, kind, schema, _ in rows}:
                self.note_kind(connection, kind, schema)
            columns = [list(column) for column in zip(*rows, strict=True)]
            arguments = (head, list(versions), list(versions.values()), *columns)
            if connection.execute(self._sql(RESTORE), arguments).fetchall() == [(True,)]:
                return ""
        raise StoreError("The log cannot be restored while others write to it: stop every service that uses it.")

    def keep(self, connection: Connection, name: str, sealed: bytes | None) -> None:
        """Put a sealed secret into the vault, or (None) take it out."""
        if sealed is None:
            connection.execute(self._sql("DELETE FROM {schema}.vault WHERE name = %s"), (name,))
        else:
            connection.execute(self._sql(KEEP), (name, sealed))

    def kept(self, connection: Connection, name: str) -> bytes | None:
        """Return a sealed secret, or None."""
        row = connection.execute(
            self._sql("SELECT sealed FROM {schema}.vault WHERE name = %s"), (name,), binary=True
        ).fetchone()
        return None if row is None else row[0]

    def names(self, connection: Connection) -> list[str]:
        """Return the names of all secrets, sorted."""
        found = connection.execute(
            self._sql("SELECT name FROM {schema}.vault WHERE name <> %s ORDER BY name"), (KEY_CHECK,)
        )
        return [name for (name,) in found]

    # -- media ------------------------------------------------------------------------------------------------------------------

    def put_file(self, connection: Connection, digest: str, at: int, data: bytes) -> None:
        """Keep a file; one that is there and whole is only noted as put at this time (epoch ms)."""
        if not connection.execute(self._sql(TOUCH_FILE), (at, digest)).rowcount:
            connection.execute(self._sql(PUT_FILE), (digest, at, data))

    def file(self, connection: Connection, digest: str) -> bytes | None:
        """Return a file's bytes as they are there, or None."""
        query = self._sql("SELECT data FROM {schema}.media WHERE digest = %s")
        row = connection.execute(query, (digest,), binary=True).fetchone()
        return None if row is None else row[0]

    def forget_files(self, connection: Connection, before: int, keep: Collection[str]) -> int:
        """Delete what was last put before this time and is not to be kept; return how many."""
        query = self._sql("DELETE FROM {schema}.media WHERE at < %s AND NOT digest = ANY (%s::text[])")
        return connection.execute(query, (before, list(keep))).rowcount

    # -- settings ---------------------------------------------------------------------------------------------------------------

    def setting(self, connection: Connection, name: str) -> int:
        """Return a number that belongs to the log."""
        row = connection.execute(self._sql("SELECT value FROM {schema}.setting WHERE name = %s"), (name,)).fetchone()
        return int(row[0]) if row else 0

    def raise_setting(self, connection: Connection, name: str, value: int) -> None:
        """Raise a number that belongs to the log."""
        connection.execute(self._sql(RAISE), (name, value))
