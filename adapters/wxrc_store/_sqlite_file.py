"""The SQLite file: its format and its migrations, what is refused at opening, and how it is noticed that the file was taken away.

Everything here blocks, and runs in one thread at a time.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from wxrc_core.codec import known
from wxrc_store._head_file import HeadFile
from wxrc_store._rows import newer_events
from wxrc_store._seal import KEY_CHECK, Sealer, unlock
from wxrc_store.port import StoreError

APPLICATION_ID = 0x57585243
"""`WXRC` in ASCII: PRAGMA application_id of our files."""

FORMAT = 2
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
PRAGMA user_version = 1;
"""

MIGRATIONS = {
    1: """
-- A snapshot is whole once its row is here; its chunks come before it, each in a transaction of its own.
CREATE TABLE snapshot (
    id       INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    schema   TEXT NOT NULL,
    chunks   INTEGER NOT NULL,
    crc      INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshot_chunk (
    snapshot INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    data     BLOB NOT NULL,
    PRIMARY KEY (snapshot, number)
) STRICT;
-- Numbers that belong to the log: how many shards it has, and up to where everything due was recorded.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
""",
}
"""What turns a file of each format into one of the next."""

HEAD = "SELECT max(position) FROM event"
SETTING = "SELECT value FROM setting WHERE name = ?"


class SqliteFile:
    """One file: opens connections to it and watches that it stays where it is.

    Attributes:
        path: The file.
        lost: Why the file can no longer be used; None = it can. It stays so until the file is opened again.
        shards: Into how many shards the log is divided.
        head: How far the log has come, kept beside it.
    """

    def __init__(
        self, path: Path, vault_key: bytes | Path | None, busy_timeout: float, shards: int, vfs: str | None
    ) -> None:
        self.path = path
        self.lost: StoreError | None = None
        self.shards = shards
        self.head = HeadFile(path.with_name(f"{path.name}.head"))
        self._wal = path.with_name(f"{path.name}-wal")
        self._key = path.with_name("vault.key") if vault_key is None else vault_key
        self._key_beside = self._key == path.with_name("vault.key")
        if isinstance(self._key, bytes):
            Sealer(self._key)  # refuses a key of the wrong length before anything is made
        self._busy_timeout = busy_timeout
        self._vfs = vfs
        self._seen: tuple[os.stat_result, os.stat_result] | None = None  # the file and its write-ahead log

    def open(self) -> tuple[apsw.Connection, Sealer, set[tuple[str, int]]]:
        """Open the file, or make it; refuse what is not ours or newer than we are.

        Returns:
            The connection to write with, what seals the vault, and the kinds of event that the log has.

        Raises:
            StoreError: A sentence that says why the file cannot be used.
        """
        self.lost = self._seen = None
        deadline = time.monotonic() + self._busy_timeout
        while True:
            connection = None
            try:
                connection = self._connect(create=True)
                kinds = self._kinds(connection)
                sealer = self._sealer(connection)
                self.head.check(connection.execute(HEAD).get or 0, self.path)
                self.shards = connection.execute(SETTING, ("shards",)).get
                self._remember(connection)
            except apsw.BusyError as error:
                # Another process makes the file or turns on WAL just now; SQLite does not wait for that by itself.
                close(connection)
                if time.monotonic() >= deadline:
                    raise store_error(error, self.path) from error
                time.sleep(0.01)
            except apsw.Error as error:
                close(connection)
                raise store_error(error, self.path) from error
            except BaseException:
                close(connection)
                raise
            else:
                return connection, sealer, kinds

    def reopen(self) -> apsw.Connection:
        """Return a new connection to write with, after an error on the last one. A file that has vanished is not made again."""
        self.check()
        connection = self._connect(create=False)
        try:
            self._remember(connection)
        except BaseException:
            close(connection)
            raise
        return connection

    def reader(self) -> apsw.Connection:
        """Return a further connection, to read with. In WAL mode it never waits for the writer."""
        try:
            connection = self._connection()
            connection.pragma("query_only", True)
            connection.execute(HEAD).get  # noqa: B018 - from its first read on it keeps the write-ahead log in place
        except apsw.Error as error:
            raise store_error(error, self.path) from error
        return connection

    # -- is it still there ------------------------------------------------------------------------------------------------------

    def check(self, connection: apsw.Connection | None = None) -> None:
        """See that the file and its write-ahead log are those that were opened, and that nobody has emptied them.

        SQLite does not notice: it goes on writing to a file that no longer has a name, and what it acknowledges is lost with the process.

        Args:
            connection: Looks closer where the write-ahead log has become shorter: a checkpoint may do so.

        Raises:
            StoreError: They are not. The store must be closed and opened again.
        """
        if self.lost is None and self._seen is not None:
            try:
                file, wal = os.stat(self.path), os.stat(self._wal)
            except OSError:
                self.lost = self._loss("was removed")
            else:
                was_file, was_wal = self._seen
                if not (os.path.samestat(file, was_file) and os.path.samestat(wal, was_wal)):
                    self.lost = self._loss("was replaced")
                elif not file.st_size or (wal.st_size < was_wal.st_size and self._cut_short(connection)):
                    self.lost = self._loss("was emptied")
                elif file.st_size < was_file.st_size:  # SQLite itself never shortens it, short of a VACUUM
                    self.lost = self._loss("was cut short")
                elif wal.st_size != was_wal.st_size or file.st_size != was_file.st_size:
                    self._seen = file, wal
        if self.lost is not None:
            raise StoreError(*self.lost.args)

    def _cut_short(self, connection: apsw.Connection | None) -> bool:
        """Return whether the write-ahead log lacks frames that SQLite relies on."""
        if connection is None:
            return False  # looked at again when there is one
        try:
            connection.execute(HEAD).get  # noqa: B018 - learns what other processes did to it
            frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            needed = 32 + frames * (24 + connection.pragma("page_size")) if frames > 0 else 0
            return self._wal.stat().st_size < needed
        except (apsw.IOError, apsw.CorruptError, OSError):
            return True

    def _loss(self, what: str) -> StoreError:
        return StoreError(
            f"The store {self.path} {what} while it was in use, or its write-ahead log was. Nothing is written any more:"
            " stop the service, put the files back, and start it again."
        )

    def _remember(self, connection: apsw.Connection) -> None:
        connection.execute(HEAD).get  # noqa: B018 - the first read makes the write-ahead log
        try:
            file, wal = os.stat(self.path), os.stat(self._wal)
        except OSError:
            raise self._loss("was removed") from None
        if self._seen is not None and not os.path.samestat(file, self._seen[0]):
            self.lost = self._loss("was replaced")
            raise StoreError(*self.lost.args)
        self._seen = file, wal

    # -- opening ----------------------------------------------------------------------------------------------------------------

    def _connection(self) -> apsw.Connection:
        connection = apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        connection.set_busy_timeout(int(self._busy_timeout * 1000))
        return connection

    def _connect(self, create: bool) -> apsw.Connection:
        key_there = (
            self._key_beside and self.path.with_name("vault.key").exists()
        )  # asked first: a key is made after its store
        if create and not self.path.exists():
            self._make(key_there)
        connection = self._connection()
        try:
            if self._check_format(connection) == 0 and key_there:
                raise self._orphaned_key()
            if connection.pragma("journal_mode", "wal") != "wal":
                raise StoreError(
                    f"The store {self.path} lies on a file system without shared memory; use a local disk."
                )
            connection.pragma("synchronous", "FULL")  # an acknowledged commit outlives a power cut
            if create and connection.pragma("user_version") < FORMAT:
                self._migrate(connection)
        except BaseException:
            close(connection)
            raise
        return connection

    def _make(self, key_there: bool) -> None:
        if key_there:
            raise self._orphaned_key()
        try:
            # Messages stand in it, so it is its owner's alone. SQLite gives its side files the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(f"The store {self.path} cannot be made: {error.strerror}.") from error

    def _orphaned_key(self) -> StoreError:
        return StoreError(
            f"The store {self.path} is missing or empty, but the key {self._key!s} of an earlier one is there. Put the"
            f" store back; or, to begin a new one, move the key away."
        )

    def _check_format(self, connection: apsw.Connection) -> int:
        """Refuse a file that is not ours before anything is changed in it; return its format, 0 = empty."""
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
        return int(found)

    def _migrate(self, connection: apsw.Connection) -> None:
        """Bring the file to our format, in one transaction; a new file goes the same way as an old one."""
        connection.execute("BEGIN IMMEDIATE")
        found = connection.pragma("user_version")  # asked again: another process may have been faster
        if found == 0:
            connection.execute(SCHEMA)
            if self._key_beside:  # with a key of one's own nothing else tells that there was a log before
                self.head.forget()
        for number in range(max(found, 1), FORMAT):
            connection.execute(MIGRATIONS[number])
        connection.execute("INSERT OR IGNORE INTO setting VALUES ('shards', ?)", (self.shards,))
        connection.execute("COMMIT")

    def _kinds(self, connection: apsw.Connection) -> set[tuple[str, int]]:
        kinds = set()
        for kind, schema, release in connection.execute("SELECT type, schema, release FROM event_type"):
            if schema > known.get(kind, 0):
                raise newer_events(kind, schema, release)
            kinds.add((kind, schema))
        return kinds

    def _sealer(self, connection: apsw.Connection) -> Sealer:
        """Return what seals the vault, with the given key, the key file's, or a new one for a vault that is still empty."""
        select = "SELECT sealed FROM vault WHERE name = ?"
        check = connection.execute(select, (KEY_CHECK,)).get
        if check is not None:
            return unlock(self._key, check, self.path.name)[0]
        connection.execute("BEGIN IMMEDIATE")  # of several processes that come here at once, one makes the key
        check = connection.execute(select, (KEY_CHECK,)).get
        sealer, settled = unlock(self._key, check, self.path.name)
        if check is None:
            connection.execute("INSERT INTO vault VALUES (?, ?)", (KEY_CHECK, settled))
        connection.execute("COMMIT")
        return sealer


def close(connection: apsw.Connection | None) -> None:
    """Close a connection, whatever state it is in; an open transaction is rolled back. Errors of the disk no longer matter then."""
    if connection is not None:
        with suppress(apsw.Error):
            connection.close(force=True)


def store_error(error: apsw.Error, path: Path) -> StoreError:
    """Say what SQLite reported in a sentence for people."""
    match error:
        case apsw.FullError():
            reason = "the disk is full. Make room; the store recovers by itself"
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
