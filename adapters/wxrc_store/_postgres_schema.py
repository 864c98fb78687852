"""What stands in the database: tables and functions, and how a database of an earlier release is brought forward.

Every change of the log is one call of one function, sent as one statement that commits by itself. A client that is stopped or cut off can
therefore never hold the log's lock: the server finishes the call without it. The functions take the lock first; what they read after it is
fresh, since each statement in a `VOLATILE` function has a snapshot of its own (READ COMMITTED only, which is checked). Names are qualified
and nothing is kept in the session, so that a pooler may stand in between.
"""

import secrets
import zlib
from collections.abc import Callable

from wxrc_store._postgres_server import Connection
from wxrc_store.port import StoreError

FORMAT = 1
"""The format of the tables and functions. The events in them have versions of their own."""

LOG_LOCK = 0x57585243
"""The first half of the key of the log's lock: `WXRC` in ASCII. The second half follows from the schema's name."""

SIDE_LOCK = LOG_LOCK + 1
"""The same for what stands beside the log: migrations and snapshots."""

TABLES = """
CREATE TABLE {schema}.event (
    position bigint PRIMARY KEY,
    stream   text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    type     text NOT NULL,
    schema   integer NOT NULL,
    data     bytea NOT NULL,
    UNIQUE (stream, version)
);
-- What kinds of event the log has, and the release that wrote the first of each: a look at it replaces a scan of the log.
CREATE TABLE {schema}.event_type (
    type    text NOT NULL,
    schema  integer NOT NULL,
    release text NOT NULL,
    PRIMARY KEY (type, schema)
);
-- Who runs. `until` is on this server's clock; a member whose time is over never comes back.
CREATE TABLE {schema}.member (
    id    text PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE TABLE {schema}.vault (
    name   text COLLATE "C" PRIMARY KEY,
    sealed bytea NOT NULL
);
-- A snapshot is whole once its row is here; its chunks come before it, each in a transaction of its own.
CREATE TABLE {schema}.snapshot (
    id       bigint PRIMARY KEY,
    position bigint NOT NULL,
    schema   text NOT NULL,
    chunks   integer NOT NULL,
    crc      bigint NOT NULL
);
CREATE TABLE {schema}.snapshot_chunk (
    snapshot bigint NOT NULL,
    number   integer NOT NULL,
    position bigint NOT NULL,
    data     bytea NOT NULL,
    PRIMARY KEY (snapshot, number)
);
ALTER TABLE {schema}.snapshot_chunk ALTER COLUMN data SET STORAGE EXTERNAL;
-- Files that are too large for the log, and when each was last put (epoch ms).
CREATE TABLE {schema}.media (
    digest text COLLATE "C" PRIMARY KEY,
    at     bigint NOT NULL,
    data   bytea NOT NULL
);
ALTER TABLE {schema}.media ALTER COLUMN data SET STORAGE EXTERNAL;
"""

APPEND = """
-- Entries that must see each other go in rounds, one after the other; all others at once.
CREATE FUNCTION {schema}.append_1(
    p_stream text[], p_expected bigint[], p_count integer[], p_fence text[], p_epoch bigint[], p_round integer[],
    e_entry bigint[], e_number bigint[], e_type text[], e_schema integer[], e_data bytea[]
) RETURNS TABLE (entry bigint, fenced boolean, actual bigint, first bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM {schema}.lock_1();
    FOR this_round IN 0..(SELECT max(number) FROM unnest(p_round) AS rounds(number)) LOOP
        RETURN QUERY
        WITH wanted AS MATERIALIZED (
            SELECT w.*,
                w.fence IS NOT NULL AND w.epoch IS DISTINCT FROM
                    (SELECT e.version FROM {schema}.event e WHERE e.stream = w.fence ORDER BY e.version DESC LIMIT 1) AS fenced,
                coalesce(
                    (SELECT e.version FROM {schema}.event e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1), 0
                ) AS actual
            FROM unnest(p_stream, p_expected, p_count, p_fence, p_epoch, p_round)
                WITH ORDINALITY AS w(stream, expected, count, fence, epoch, round, entry)
            WHERE w.round = this_round
        ), head AS MATERIALIZED (
            SELECT coalesce((SELECT position FROM {schema}.event ORDER BY position DESC LIMIT 1), 0) AS position
        ), taken AS MATERIALIZED (
            SELECT w.*, head.position + (sum(w.count) OVER (ORDER BY w.entry))::bigint - w.count AS before
            FROM wanted w, head WHERE NOT w.fenced AND w.actual = w.expected
        ), written AS (
            INSERT INTO {schema}.event
            SELECT t.before + e.number, t.stream, t.expected + e.number, e.type, e.schema, e.data
            FROM unnest(e_entry, e_number, e_type, e_schema, e_data) AS e(entry, number, type, schema, data)
            JOIN taken t ON t.entry = e.entry
        )
        SELECT w.entry, w.fenced, w.actual, t.before + 1 FROM wanted w LEFT JOIN taken t ON t.entry = w.entry;
    END LOOP;
END $$;
-- Without it the planner joins many events with many entries row by row: groups of 256 take twice as long.
ALTER FUNCTION {schema}.append_1 SET enable_nestloop = off;
"""

LOCK = """
CREATE FUNCTION {schema}.lock_1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A transaction with one snapshot for all would not see what was written while it waited for the lock.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'WXRC needs READ COMMITTED' USING ERRCODE = 'WX002';
    END IF;
    PERFORM pg_advisory_xact_lock({log_lock}, {lock_key});
END $$;
"""

TAKE = """
-- Takes those shards whose stream still has the version that the caller saw, and whose owner then is not alive now.
CREATE FUNCTION {schema}.take_1(
    p_member text, p_stream text[], p_version bigint[], p_owner text[], e_type text, e_schema integer, e_data bytea
) RETURNS TABLE (stream text, first bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM {schema}.lock_1();
    IF NOT EXISTS (SELECT FROM {schema}.member m WHERE m.id = p_member AND m.until > clock_timestamp()) THEN
        RAISE EXCEPTION 'the member is dead' USING ERRCODE = 'WX001';
    END IF;
    RETURN QUERY
    WITH free AS MATERIALIZED (
        SELECT w.stream, w.version, w.owner, row_number() OVER (ORDER BY w.entry) AS number
        FROM unnest(p_stream, p_version, p_owner) WITH ORDINALITY AS w(stream, version, owner, entry)
        WHERE w.version = coalesce(
            (SELECT e.version FROM {schema}.event e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1), 0
        ) AND NOT EXISTS (SELECT FROM {schema}.member m WHERE m.id = w.owner AND m.until > clock_timestamp())
    ), dead AS (
        DELETE FROM {schema}.member m WHERE m.id IN (SELECT owner FROM free) -- for good, whatever the clock does
    )
    INSERT INTO {schema}.event
    SELECT coalesce((SELECT position FROM {schema}.event ORDER BY position DESC LIMIT 1), 0) + f.number,
        f.stream, f.version + 1, e_type, e_schema, e_data
    FROM free f
    RETURNING stream, position;
END $$;
"""

FORGET = """
CREATE FUNCTION {schema}.forget_1(p_stream text[], p_version bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone text[];
BEGIN
    PERFORM {schema}.lock_1();
    SELECT array_agg(w.stream) INTO gone FROM unnest(p_stream, p_version) AS w(stream, version)
    WHERE w.version = (SELECT e.version FROM {schema}.event e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1)
        AND w.stream <> (SELECT e.stream FROM {schema}.event e ORDER BY e.position DESC LIMIT 1);
    DELETE FROM {schema}.event e WHERE e.stream = ANY (gone);
    RETURN coalesce(cardinality(gone), 0);
END $$;
"""

RESTORE = """
-- Inserts events where they stood in another log, unless this log has changed since the caller looked at it.
CREATE FUNCTION {schema}.restore_1(
    p_head bigint, p_stream text[], p_version bigint[],
    e_position bigint[], e_stream text[], e_version bigint[], e_type text[], e_schema integer[], e_data bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {schema}.lock_1();
    IF p_head <> coalesce((SELECT e.position FROM {schema}.event e ORDER BY e.position DESC LIMIT 1), 0) OR EXISTS (
        SELECT FROM unnest(p_stream, p_version) AS w(stream, version) WHERE w.version <> coalesce(
            (SELECT e.version FROM {schema}.event e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1), 0
        )
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO {schema}.event SELECT * FROM unnest(e_position, e_stream, e_version, e_type, e_schema, e_data);
    RETURN true;
END $$;
"""

KEEP = """
CREATE FUNCTION {schema}.keep_snapshot_1(
    p_id bigint, p_position bigint, p_schema text, p_chunks integer, p_crc bigint, p_keep integer
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({side_lock}, {lock_key});
    IF p_chunks <> (SELECT count(*) FROM {schema}.snapshot_chunk c WHERE c.snapshot = p_id) THEN
        RETURN; -- newer ones came while this one was written
    END IF;
    DELETE FROM {schema}.snapshot s WHERE s.id <> p_id AND s.position = p_position AND s.schema = p_schema;
    INSERT INTO {schema}.snapshot VALUES (p_id, p_position, p_schema, p_chunks, p_crc) ON CONFLICT DO NOTHING;
    DELETE FROM {schema}.snapshot s WHERE s.schema = p_schema AND s.id NOT IN
        (SELECT k.id FROM {schema}.snapshot k WHERE k.schema = p_schema ORDER BY k.position DESC LIMIT p_keep);
    -- Chunks without a snapshot: of those just deleted, or of attempts that a crash ended. One that is being written is newer.
    DELETE FROM {schema}.snapshot_chunk c WHERE c.snapshot NOT IN (SELECT s.id FROM {schema}.snapshot s)
        AND c.position < (SELECT min(s.position) FROM {schema}.snapshot s WHERE s.schema = p_schema);
END $$;
"""

MIGRATIONS = {0: TABLES + LOCK + APPEND + TAKE + FORGET + RESTORE + KEEP}
"""What turns a database of each format into one of the next. A function whose arguments or meaning change gets a new number in its name, so
that replicas of two releases can run side by side."""

SETTINGS = """
CREATE SCHEMA IF NOT EXISTS {schema};
-- Numbers that belong to the log: its format, its identity, its number of shards, up to where everything due was recorded.
CREATE TABLE IF NOT EXISTS {schema}.setting (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);
"""


class Names:
    """Fills the name of the database schema into statements."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        key = zlib.crc32(schema.encode())
        self._key = key - (1 << 32) if key >= 1 << 31 else key  # the server takes a signed number

    def sql(self, template: str) -> str:
        """Return a statement with the names in it."""
        for name, value in (
            ("{schema}", self.schema),
            ("{log_lock}", str(LOG_LOCK)),
            ("{side_lock}", str(SIDE_LOCK)),
            ("{lock_key}", str(self._key)),
        ):
            template = template.replace(name, value)
        return template


def migrate(connection: Connection, names: Names, shards: int, new: Callable[[], None]) -> dict[str, int]:
    """Bring the database to our format, in one transaction that runs alone; a new database goes the same way as an old one.

    Args:
        connection: A connection that commits by itself.
        names: The names.
        shards: Into how many shards a new log is divided.
        new: Called before anything is made in a database without a log; it may refuse.

    Returns:
        The log's settings.

    Raises:
        StoreError: A newer release has made it.
        psycopg.Error: It failed; nothing was changed.
    """
    found = _settings(connection, names)
    if found.get("format", 0) < FORMAT:
        with connection.transaction():
            # A process that is stopped right here would keep all others out.
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'")
            connection.execute(names.sql("SELECT pg_advisory_xact_lock({side_lock}, {lock_key})"))
            found = _settings(connection, names)  # asked again: another process may have been faster
            if not found:
                new()
                connection.execute(names.sql(SETTINGS))
            for number in range(found.get("format", 0), FORMAT):
                connection.execute(names.sql(MIGRATIONS[number]))
            for name, value in (("shards", shards), ("log", secrets.randbits(62)), ("told_to", 0)):
                connection.execute(
                    names.sql("INSERT INTO {schema}.setting VALUES (%s, %s) ON CONFLICT DO NOTHING"), (name, value)
                )
            connection.execute(
                names.sql(
                    "INSERT INTO {schema}.setting VALUES ('format', %s)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                ),
                (FORMAT,),
            )
            found = _settings(connection, names)
    if found["format"] > FORMAT:
        raise StoreError(
            f"The log in schema {names.schema} has format {found['format']}; this release reads up to {FORMAT}."
            " Use a newer release."
        )
    return found


def _settings(connection: Connection, names: Names) -> dict[str, int]:
    # From the catalog, and not by `to_regclass`: its cache may still say no after another process has made the table.
    there = connection.execute(
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = 'setting'",
        (names.schema,),
    ).fetchone()
    if there is None:
        return {}
    return dict(connection.execute(names.sql("SELECT name, value FROM {schema}.setting")).fetchall())
