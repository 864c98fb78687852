"""How the PostgreSQL server is reached: connections that were looked at before use, time limits, back-off, and errors as sentences.

Everything here blocks, and runs in worker threads.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import psycopg
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from wxrc_core.errors import WxrcError
from wxrc_store.port import Lapsed, StoreError

OLDEST = 15
"""The oldest PostgreSQL that is still maintained, and that is used."""

DEFAULTS = {
    "application_name": "wxrc",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Parameters of a connection; what stands in the URL comes before them. No `options`: a pooler does not take them."""

PAUSES = (0.05, 1.0)
"""The first and the longest pause between two tries to connect (seconds)."""

TICK = 0.25
"""How often it is looked whether a call has gone on for too long (seconds)."""

LOOK = """
SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'),
    current_setting('default_transaction_isolation'), pg_is_in_recovery(), current_setting('default_transaction_read_only'),
    current_setting('synchronous_commit'), current_setting('fsync'), pg_backend_pid()
"""

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")


@frozen
class _Call:
    """A call that runs: until when it may (monotonic), and its connection."""

    deadline: float
    connection: Connection


class Server:
    """A database on a server.

    Attributes:
        name: What to call it in sentences: host, port and database, no user and no password.
        limit: How long one call may take (seconds).
    """

    def __init__(self, url: str, limit: float) -> None:
        """Take the URL apart.

        Raises:
            StoreError: It is not one that PostgreSQL's own clients understand.
        """
        try:
            given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.Error:
            # The library's own words may have the password in them.
            raise StoreError("The store's URL must be written postgresql://user@host:port/database.") from None
        self._conninfo = make_conninfo("", **(DEFAULTS | given))
        host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", "localhost")
        port = given.get("port") or os.environ.get("PGPORT", "5432")
        database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user", "")
        self.name = f"{host}:{port}/{database}"
        self.limit = limit
        self._lock = threading.Lock()
        self._pause = 0.0
        self._retry_at = 0.0
        self._trouble: StoreError | None = None
        self._calls: dict[object, _Call] = {}
        self._closed = threading.Event()

    # -- connections ------------------------------------------------------------------------------------------------------------

    def connect(self) -> tuple[Connection, bool]:
        """Return a new connection that commits every statement by itself, and whether a pooler stands in between.

        After a failure the next tries fail at once, for longer and longer, so that a server that comes back is not run over.

        Raises:
            StoreError: There is none to be had, or the server is not one that a log can be trusted to.
        """
        with self._lock:
            if self._trouble is not None and time.monotonic() < self._retry_at:
                raise StoreError(*self._trouble.args)
        try:
            try:
                connection = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
            except psycopg.Error as error:
                raise StoreError(f"The PostgreSQL store {self.name} cannot be reached: {_reason(error)}.") from error
            try:
                with self.limited(connection):
                    pooled = self._look(connection)
            except psycopg.Error as error:
                connection.close()
                raise store_error(error, self.name) from error
            except BaseException:
                connection.close()
                raise
        except StoreError as error:
            with self._lock:
                self._pause = min(max(2 * self._pause, PAUSES[0]), PAUSES[1])
                self._retry_at = time.monotonic() + self._pause
                self._trouble = error
            raise
        with self._lock:
            self._pause, self._trouble = 0.0, None
        return connection, pooled

    def _look(self, connection: Connection) -> bool:
        """Refuse a server or a setting that breaks a promise; return whether a pooler stands in between."""
        row = connection.execute(LOOK).fetchone()
        assert row is not None, "a SELECT without FROM has one row"
        version, encoding, isolation, standby, read_only, commit, fsync, pid = row
        assert isinstance(version, int)
        refused = ""
        if version < OLDEST * 10_000:
            refused = f"is version {version // 10_000}; WXRC needs PostgreSQL {OLDEST} or later"
        elif encoding != "UTF8":
            refused = f"has the encoding {encoding}; make the database anew with ENCODING 'UTF8'"
        elif standby:
            refused = (
                "is a standby and only reads; name the primary server in the URL (target_session_attrs=read-write)"
            )
        elif read_only == "on":
            refused = "only reads; set default_transaction_read_only = off"
        elif isolation != "read committed":
            refused = f"has {isolation} as its default; set default_transaction_isolation = 'read committed'"
        elif commit == "off":
            refused = "acknowledges before anything is on disk; set synchronous_commit = on"
        elif fsync == "off":
            refused = "does not wait for its disk; set fsync = on"
        if refused:
            raise StoreError(f"The PostgreSQL store {self.name} {refused}.")
        pooled = bool(pid != connection.info.backend_pid)  # a pooler has a number of its own
        if not pooled:  # behind one, it would hold for whoever gets this connection next
            connection.execute(f"SET statement_timeout = {int(self.limit * 1000)}")
        return pooled

    # -- time limits ------------------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begin to end calls that go on for too long. The server's own time limit does not help where the server hangs."""
        self._closed.clear()
        threading.Thread(target=self._watch, name="wxrc-store limits", daemon=True).start()

    def close(self) -> None:
        """End all calls that still run; nothing waits for them any more."""
        self._closed.set()
        self._end_calls(float("inf"))

    @contextmanager
    def limited(self, connection: Connection) -> Iterator[None]:
        """Cut a connection off when a call on it takes too long: the call fails then."""
        key = object()
        call = _Call(time.monotonic() + 1.5 * self.limit, connection)  # the server's own limit comes first
        with self._lock:
            self._calls[key] = call
        try:
            yield
        finally:
            with self._lock:
                del self._calls[key]

    def _watch(self) -> None:
        while not self._closed.wait(TICK):
            self._end_calls(time.monotonic())

    def _end_calls(self, now: float) -> None:
        with self._lock:
            for call in self._calls.values():
                if call.deadline <= now:
                    with (
                        suppress(psycopg.Error, OSError),
                        socket.socket(fileno=os.dup(call.connection.fileno())) as wire,
                    ):
                        wire.shutdown(socket.SHUT_RDWR)


class Session:
    """One connection that is opened when it is needed, and anew after an error. One thread at a time uses it.

    Attributes:
        fresh: The connection was made for the call that runs.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: Connection | None = None
        self.fresh = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def call(self, function: Callable[[Connection], T]) -> T:
        """Return what a function does with the connection.

        Raises:
            StoreError: It failed, and it is unknown what of it was done.
        """
        self.fresh = self._connection is None
        connection = self._connection
        try:
            if connection is None:
                connection, _ = self._server.connect()
                self._connection = connection
            with self._server.limited(connection):
                return function(connection)
        except psycopg.Error as error:
            self.close()
            raise store_error(error, self._server.name) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


class Pool:
    """Sessions for calls that may be repeated, each used by one thread at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._closed = False

    def call(self, function: Callable[[Connection], T]) -> T:
        """Return what a function does with a connection; it is called again where the connection had died unnoticed.

        Raises:
            StoreError: It failed.
        """
        with self._lock:
            session = self._idle.pop() if self._idle else Session(self._server)
        try:
            try:
                return session.call(function)
            except StoreError as error:
                if session.fresh or not isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                    raise
                return session.call(function)
        finally:
            with self._lock:
                if self._closed or not session.connected:
                    session.close()
                else:
                    self._idle.append(session)

    def close(self) -> None:
        """Close what is idle; a call that still runs closes its session itself."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


def store_error(error: psycopg.Error, name: str) -> WxrcError:
    """Say what PostgreSQL reported in a sentence for people."""
    state = error.sqlstate or ""
    match state[:2], state:
        case _, "WX001":
            return Lapsed("The member is dead; join anew.")
        case _, "WX002":
            reason = "its transactions are not READ COMMITTED. Set default_transaction_isolation = 'read committed'"
        case _, "25006":
            reason = "it only reads. It is a standby, or was made read-only: name the primary server"
        case _, "53100":
            reason = "its disk is full. Make room; the store recovers by itself"
        case _, "53300":
            reason = "it has no connection left. Raise max_connections, or put a pooler in between"
        case _, "57014" | "55P03":
            reason = "a call took too long. Look for what blocks it in pg_stat_activity"
        case _, "42501":
            reason = f"this user may not do that ({_first_line(error)}). Make it the owner of the database"
        case (("57" | "08" | ""), _):
            reason = f"the connection was lost ({_first_line(error)})"
        case _:
            reason = f"it answered {state} ({_first_line(error)})"
    return StoreError(f"The PostgreSQL store {name} failed: {reason}.")


def _first_line(error: psycopg.Error) -> str:
    # The primary message names no values of rows; what comes after it may.
    text = error.diag.message_primary or str(error) or type(error).__name__
    return text.strip().splitlines()[0].strip().rstrip(".") if text.strip() else type(error).__name__


def _reason(error: psycopg.Error) -> str:
    """Return why there is no connection, in the words of the client library: they name host, user and database."""
    lines = [line.strip(" -\t") for line in str(error).splitlines() if line.strip()]
    said = next(
        (line for line in lines if "failed:" in line and not line.endswith("failed:")), lines[0] if lines else ""
    )
    return said.removeprefix("connection failed: ").rstrip(".") or type(error).__name__
