"""The blocking half of the SQLite store: the file's format, its refusals, and the transaction of one group.

Everything here runs in one thread at a time, and never in the event loop's. Positions are the last one plus 1, taken inside
`BEGIN IMMEDIATE`, that is under the file's write lock: so they are gapless and become visible in order, whoever writes.
"""

import json
import os
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import apsw

from wxrc_core.codec import known
from wxrc_core.log import Appended, Conflict, Entry, Outcome
from wxrc_store._rows import EncodedEntry, Row, newer_events
from wxrc_store._seal import Sealer, create_key, read_key
from wxrc_store.port import StoreError

APPLICATION_ID = 0x57585243
"""`WXRC` in ASCII: PRAGMA application_id of our files."""

FORMAT = 1
"""PRAGMA user_version: the format of the file. The events in it have versions of their own."""

SCHEMA = f"""
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    stream   TEXT NOT NULL,
    version  INTEGER NOT NULL,
    type     TEXT NOT NULL,
    schema   INTEGER NOT NULL,
    data     BLOB NOT NULL,
    UNIQUE (stream, version)
) STRICT;
-- What kinds of event the log has, and the release that wrote the first of each: a look at it replaces a scan of the log.
CREATE TABLE event_type (
    type    TEXT NOT NULL,
    schema  INTEGER NOT NULL,
    release TEXT NOT NULL,
    PRIMARY KEY (type, schema)
) STRICT, WITHOUT ROWID;
CREATE TABLE vault (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""

HEAD = "SELECT max(position) FROM event"
VERSIONS = "SELECT stream, max(version) FROM event WHERE stream IN (SELECT value FROM json_each(?)) GROUP BY stream"
INSERTS = {size: "INSERT INTO event VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * size) for size in (128, 32, 8, 2, 1)}  # noqa: S608
"""Statements that insert so many rows at once. Each statement run lets go of the interpreter's lock and waits to get it back, behind an
event loop that is busy: a group must cost a few runs and not a few for each row."""

KEY_CHECK = ""
"""The name of the vault's first row. It is sealed with the key when the vault is made, and tells a wrong key at opening."""

try:
    RELEASE = version("wxrc")
except PackageNotFoundError:  # the package is used from a source tree
    RELEASE = "unknown"


class Append(NamedTuple):
    """A work of the writer: the entries of one `Store.append`, ready to be written, and as they were given."""

    entries: Sequence[EncodedEntry]
    batch: Sequence[Entry] = ()


class Keep(NamedTuple):
    """A work of the writer: put a sealed secret into the vault, or (None) take it out."""

    name: str
    sealed: bytes | None


Work: TypeAlias = Append | Keep
Result: TypeAlias = Sequence[Outcome]


class SqliteLog:
    """The writer's connection to one file: a `Backend` of the group writer.

    After any error the connection is dropped and the next group opens a new one, so nothing has to be known of its state.
    """

    def __init__(self, path: Path, vault_key: bytes | None, busy_timeout: float) -> None:
        self.path = path
        self._given = None if vault_key is None else Sealer(vault_key)
        self._busy_timeout = busy_timeout
        self._connection: apsw.Connection | None = None
        self._kinds: set[tuple[str, int]] = set()  # what stands in `event_type`, as far as this process knows

    def open(self) -> Sealer:
        """Open the file, or make it; refuse what is not ours or newer than we are. Return what seals its vault.

        Raises:
            StoreError: A sentence that says why the file cannot be used.
        """
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                connection = self._connected(create=True)
                self._check_kinds(connection)
                return self._sealer(connection)
            except apsw.BusyError as error:
                # Another process makes the file or turns on WAL just now; SQLite does not wait for that by itself.
                self._drop()
                if time.monotonic() >= deadline:
                    raise self._said(error) from error
                time.sleep(0.01)
            except apsw.Error as error:
                self._drop()
                raise self._said(error) from error
            except StoreError:
                self._drop()
                raise

    def reader(self) -> apsw.Connection:
        """Return a further connection, to read with. In WAL mode it never waits for the writer."""
        try:
            connection = apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            connection.set_busy_timeout(int(self._busy_timeout * 1000))
            connection.pragma("query_only", True)
        except apsw.Error as error:
            raise self._said(error) from error
        return connection

    def commit(self, group: Sequence[Work]) -> tuple[Sequence[Result], int]:
        """See `Backend.commit`."""
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            results, head, kinds = self._write(connection, group)
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._drop()
            raise self._said(error) from error
        except BaseException:
            self._drop()
            raise
        self._kinds |= kinds
        return results, head

    def head(self) -> int:
        """See `Backend.head`."""
        try:
            return self._connected().execute(HEAD).get or 0
        except apsw.Error as error:
            self._drop()
            raise self._said(error) from error

    def close(self) -> None:
        """See `Backend.close`. The last connection to close moves the write-ahead log into the file."""
        self._drop()

    def _write(
        self, connection: apsw.Connection, group: Sequence[Work]
    ) -> tuple[list[Result], int, set[tuple[str, int]]]:
        head: int = connection.execute(HEAD).get or 0
        results: list[Result] = []
        streams = {stream for work in group if isinstance(work, Append) for stream, _, _ in work.entries}
        # The versions of the streams that this group touches; those that are not there yet are not in it.
        versions: dict[Any, Any] = {}
        if streams:
            versions.update(connection.execute(VERSIONS, (json.dumps(list(streams)),)))
        rows: list[Row] = []
        kinds: set[tuple[str, int]] = set()
        for work in group:
            outcomes: list[Outcome] = []
            results.append(outcomes)
            if isinstance(work, Keep):
                self._keep(connection, work)
                continue
            for stream, expected, events in work.entries:
                actual = versions.get(stream, 0)
                if actual != expected:
                    outcomes.append(Conflict(actual))
                    continue
                outcomes.append(Appended(head + 1))
                for kind, schema, data in events:
                    head += 1
                    actual += 1
                    rows.append((head, stream, actual, kind, schema, data))
                    kinds.add((kind, schema))
                versions[stream] = actual
        at = 0
        for size, statement in INSERTS.items():
            while len(rows) - at >= size:
                connection.execute(statement, tuple(chain.from_iterable(rows[at : at + size])))
                at += size
        kinds -= self._kinds
        for kind, schema in kinds:
            connection.execute("INSERT OR IGNORE INTO event_type VALUES (?, ?, ?)", (kind, schema, RELEASE))
        return results, head, kinds

    def _keep(self, connection: apsw.Connection, work: Keep) -> None:
        if work.sealed is None:
            connection.execute("DELETE FROM vault WHERE name = ?", (work.name,))
        else:
            connection.execute("INSERT OR REPLACE INTO vault VALUES (?, ?)", (work.name, work.sealed))

    # -- opening ----------------------------------------------------------------------------------------------------------------

    def _connected(self, create: bool = False) -> apsw.Connection:
        """Return the connection, opened anew after an error; a file that has vanished meanwhile is not made again."""
        if self._connection is not None:
            return self._connection
        if create and not self.path.exists():
            # Messages stand in it, so it is its owner's alone. SQLite gives its side files the same mode.
            try:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(f"The store {self.path} cannot be made: {error.strerror}.") from error
        connection = apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(int(self._busy_timeout * 1000))
            self._check_format(connection)
            if connection.pragma("journal_mode", "wal") != "wal":
                raise StoreError(
                    f"The store {self.path} lies on a file system without shared memory; use a local disk."
                )
            connection.pragma("synchronous", "FULL")  # an acknowledged commit outlives a power cut
            if create and connection.pragma("user_version") == 0:
                self._create(connection)
        except BaseException:
            connection.close(force=True)
            raise
        self._connection = connection
        return connection

    def _check_format(self, connection: apsw.Connection) -> None:
        """Refuse a file that is not ours before anything is changed in it."""
        connection.execute("BEGIN")  # one look at all of it, while another process may be making the file
        application, found = connection.pragma("application_id"), connection.pragma("user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        connection.execute("ROLLBACK")
        if application == APPLICATION_ID:
            if found > FORMAT:
                raise StoreError(
                    f"The store {self.path} has file format {found}; this release reads up to {FORMAT}. Use a newer release."
                )
        elif application or found or tables:
            raise StoreError(f"{self.path} is a database of another program; name another file for the store.")

    def _create(self, connection: apsw.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if connection.pragma("user_version") == 0:  # nobody was faster
            connection.execute(SCHEMA)
        connection.execute("COMMIT")

    def _check_kinds(self, connection: apsw.Connection) -> None:
        for kind, schema, release in connection.execute("SELECT type, schema, release FROM event_type"):
            if schema > known.get(kind, 0):
                raise newer_events(kind, schema, release)
            self._kinds.add((kind, schema))

    def _sealer(self, connection: apsw.Connection) -> Sealer:
        """Return what seals the vault, with the given key, the key file's, or a new one for a vault that is still empty."""
        key_file = self.path.with_name("vault.key")
        sealer = self._given or _file_sealer(key_file)
        sealed = "SELECT sealed FROM vault WHERE name = ?"
        check = connection.execute(sealed, (KEY_CHECK,)).get
        if sealer is None or check is None:
            connection.execute("BEGIN IMMEDIATE")  # of several processes that come here at once, one makes the key
            check = connection.execute(sealed, (KEY_CHECK,)).get
            sealer = sealer or _file_sealer(key_file)
            if sealer is None:
                if check is not None:
                    raise StoreError(f"The vault key {key_file} is missing; put back the one of {self.path.name}.")
                sealer = Sealer(create_key(key_file))
            if check is None:
                check = sealer.seal(KEY_CHECK, b"")
                self._keep(connection, Keep(KEY_CHECK, check))
            connection.execute("COMMIT")
        sealer.open(KEY_CHECK, check)
        return sealer

    def _drop(self) -> None:
        """Let go of the connection, whatever state it is in; an open transaction is rolled back."""
        connection, self._connection = self._connection, None
        self._kinds = set()
        if connection is not None:
            connection.close(force=True)

    def _said(self, error: apsw.Error) -> StoreError:
        return said(error, self.path)


def _file_sealer(key_file: Path) -> Sealer | None:
    key = read_key(key_file)
    return None if key is None else Sealer(key)


def said(error: apsw.Error, path: Path) -> StoreError:
    """Say what SQLite reported in a sentence for people."""
    match error:
        case apsw.FullError():
            reason = "the disk is full. Make room; nothing else is to be done"
        case apsw.BusyError() | apsw.LockedError():
            reason = "another process holds it for too long"
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            reason = "it may not be written to. Give this user the right to write the file and its folder"
        case apsw.CantOpenError():
            reason = "it cannot be opened. Check that the folder exists and may be written to"
        case apsw.NotADBError():
            reason = "it is not an SQLite database. Name another file for the store"
        case apsw.CorruptError():
            reason = "it is damaged. Restore it from a backup"
        case apsw.IOError():
            reason = f"the disk refused to read or write ({error}). Check the disk and its limits"
        case _:
            reason = f"SQLite reports: {error}"
    return StoreError(f"The store {path} cannot be used now: {reason}.")
