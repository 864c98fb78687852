"""The blocking half of the SQLite store: the transaction of one group.

Everything here runs in one thread at a time, and never in the event loop's. Positions are the last one plus 1, taken inside
`BEGIN IMMEDIATE`, that is under the file's write lock: so they are gapless and become visible in order, whoever writes. Fences are
checked under the same lock.
"""

from collections.abc import Sequence

import apsw

from wxrc_store._rows import RELEASE
from wxrc_store._seal import Sealer
from wxrc_store._sqlite_file import HEAD, SqliteFile, close, store_error
from wxrc_store._sqlite_works import Transaction, Work
from wxrc_store.port import StoreError


class SqliteLog:
    """The writer's connection to one file: a `Backend` of the group writer.

    After any error the connection is dropped and the next group opens a new one, so nothing has to be known of its state.
    """

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        self._connection: apsw.Connection | None = None
        self._head = 0  # the log's last position, as last seen
        self._kinds: set[tuple[str, int]] = set()  # what stands in `event_type`, as far as this process knows

    def open(self) -> Sealer:
        """Open the file (`SqliteFile.open`) and return what seals its vault."""
        self._connection, sealer, self._kinds = self.file.open()
        return sealer

    def commit(self, group: Sequence[Work[object]]) -> tuple[Sequence[object], int]:
        """See `Backend.commit`."""
        try:
            connection = self.connected()
            self.file.check(connection)
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, {stream for work in group for stream in work.streams()})
            results = [work.run(transaction) for work in group]
            transaction.flush()
            kinds = transaction.kinds - self._kinds
            for kind, schema in kinds:
                connection.execute("INSERT OR IGNORE INTO event_type VALUES (?, ?, ?)", (kind, schema, RELEASE))
            connection.execute("COMMIT")
            self.file.check(connection)  # nothing is acknowledged that went to a file without a name
        except apsw.Error as error:
            self._drop()
            raise store_error(error, self.file.path) from error
        except BaseException:
            self._drop()
            raise
        self._kinds |= kinds
        self._note(transaction.head)
        return results, transaction.head

    def head(self) -> int:
        """See `Backend.head`."""
        try:
            connection = self.connected()
            self.file.check(connection)
            head = connection.execute(HEAD).get or 0
            self._note(head)
            return head
        except apsw.Error as error:
            self._drop()
            raise store_error(error, self.file.path) from error
        except StoreError:
            self._drop()
            raise

    def close(self) -> None:
        """See `Backend.close`. The last connection to close moves the write-ahead log into the file."""
        self.file.head.note(self._head, now=True)
        self._drop()

    def _note(self, head: int) -> None:
        self._head = head
        self.file.head.note(head)

    def connected(self) -> apsw.Connection:
        """Return the connection, opened anew after an error."""
        if self._connection is None:
            self._connection = self.file.reopen()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._kinds = set()
        close(connection)
