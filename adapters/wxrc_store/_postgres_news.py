"""News of other processes: NOTIFY after each commit, and LISTEN, on a connection of their own. Only a hint: polling is the truth.

NOTIFY takes a lock of the whole server at its commit, so it never stands in the transaction that writes. Through a pooler that changes
connections nothing can be heard; then there is no hint at all, and polling alone tells (`_writer.POLL`).
"""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from wxrc_store._postgres_server import Connection, Server
from wxrc_store.port import StoreError

RETRY = 1.0
"""How long to wait after the connection was lost (seconds)."""


class News:
    """The thread that tells other processes of commits, and hears of theirs."""

    def __init__(self, server: Server, channel: str, heard: Callable[[], None]) -> None:
        """Start it.

        Args:
            server: The server.
            channel: The name that all processes on one log use.
            heard: Called in the thread when another process has committed something.
        """
        self._server, self._channel, self._heard = server, channel, heard
        self._position = 0  # what was committed here and not yet told
        self._told = 0
        self._closing = threading.Event()
        self._awake, self._wake = socket.socketpair()
        for end in (self._awake, self._wake):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="wxrc-store news", daemon=True)
        self._thread.start()

    def tell(self, position: int) -> None:
        """Have other processes told that the log reaches up to a position. It does not wait."""
        self._position = position
        with suppress(BlockingIOError):  # it is awake already
            self._wake.send(b"x")

    def close(self) -> None:
        """End the thread, and wait for that."""
        self._closing.set()
        self.tell(self._position)
        self._thread.join()
        self._awake.close()
        self._wake.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                connection, pooled = self._server.connect()
            except StoreError:
                self._closing.wait(RETRY)
                continue
            with suppress(psycopg.Error, OSError), connection:
                if pooled:
                    return
                self._listen(connection)
            self._closing.wait(0 if self._closing.is_set() else RETRY / 10)

    def _listen(self, connection: Connection) -> None:
        own = connection.info.backend_pid
        connection.add_notify_handler(lambda notify: None if notify.pid == own else self._heard())
        connection.execute(f"LISTEN {self._channel}")
        while not self._closing.is_set():
            ready, _, _ = select.select([connection.fileno(), self._awake.fileno()], [], [])
            if self._awake.fileno() in ready:
                with suppress(BlockingIOError):
                    self._awake.recv(4096)
            # Whatever there is to hear is heard along with an answer.
            with self._server.limited(connection):
                if self._position > self._told:
                    self._told = self._position
                    connection.execute("SELECT pg_notify(%s, %s)", (self._channel, str(self._told)))
                else:
                    connection.execute("")
