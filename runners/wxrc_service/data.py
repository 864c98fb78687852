"""The data directory: which files are in it, and who runs on it.

One service runs on a directory at a time. It holds a lock that the kernel takes back when the process is gone, however it went, so that
nobody ever has to delete a stale file. Commands beside it share the log; they need no lock.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import apsw
from attrs import field, frozen

from wxrc_core.errors import WxrcError
from wxrc_puppet.simulator import SimulatedWeChat, SimulatorError
from wxrc_service.stores import DurableStore, open_store, shown


class InUse(WxrcError):
    """Another service runs on this directory; the sentence says which. Stop it, or use another directory."""


@frozen
class Holder:
    """The service that runs on a directory: its process id, where it listens, since when (epoch ms)."""

    pid: int
    url: str
    since: int


@frozen
class DataDir:
    """A data directory, and where its log is.

    Attributes:
        path: The directory.
        url: The database server that has the log and the vault; empty = they are in a file in the directory.
        vault_key: The key to the vault, or the file that has it; None = it is in the directory.
    """

    path: Path
    url: str = field(default="", repr=False)
    vault_key: bytes | Path | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Tell where everything is, without any secret."""
        return f"{self.path} and {shown(self.url)}" if self.url else str(self.path)

    @property
    def log(self) -> Path:
        """The event log and the vault, unless they are on a server."""
        return self.path / "wxrc.db"

    def store(self) -> DurableStore:
        """Return a new handle on the log, to be entered.

        Raises:
            WxrcError: The URL names nothing that could be opened.
        """
        return open_store(self.url or self.log, self.vault_key or self.path / "vault.key", self.path / "wxrc.seen")

    @property
    def world(self) -> Path:
        """The simulated WeChat."""
        return self.path / "simulator.db"

    @property
    def _lock(self) -> Path:
        return self.path / "wxrc.lock"

    def make(self) -> None:
        """Make the directory, for its owner only.

        Raises:
            WxrcError: It cannot be made or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise WxrcError(f"the data directory {self.path} cannot be made: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise WxrcError(f"the data directory {self.path} cannot be written to; choose another with --data")

    def check(self) -> None:
        """See that there is a log in the directory, unless it is on a server.

        Raises:
            WxrcError: There is none.
        """
        if not self.url and not self.log.exists():
            raise WxrcError(
                f"there is no WXRC data in {self.path}; name the directory with --data, or begin with `wxrc channel add`"
            )

    def holder(self) -> Holder | None:
        """Return the service that runs on this directory, or None."""
        try:
            with self._lock.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return self._read()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unusable(error) from error
        return None

    def _read(self) -> Holder:
        # The holder writes right after it has locked; a reader in between has to look again.
        for _ in range(50):
            try:
                said = json.loads(self._lock.read_text())
                return Holder(said["pid"], said["url"], said["since"])
            except (ValueError, KeyError):
                time.sleep(0.01)
        return Holder(0, "", 0)

    @contextmanager
    def held(self, url: str) -> Iterator[None]:
        """Hold the directory while a service runs on it.

        Args:
            url: Where the service listens.

        Raises:
            InUse: Another one holds it.
            WxrcError: The file that says so cannot be written.
        """
        said = json.dumps({"pid": os.getpid(), "url": url, "since": time.time_ns() // 1_000_000})
        try:
            file = self._lock.open("a+")
        except OSError as error:
            raise self._unusable(error) from error
        with file:
            self._take(file)
            try:
                file.truncate(0)
                file.write(said)
                file.flush()
            except OSError as error:
                raise self._unusable(error) from error
            yield

    def _unusable(self, error: OSError) -> WxrcError:
        return WxrcError(f"{self._lock}, which tells who runs on the data directory, cannot be used: {error.strerror}")

    def _take(self, file: TextIO) -> None:
        for attempt in range(10):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                # A command that only looks who is there holds it for a moment.
                if attempt == 9:
                    other = self._read()
                    raise InUse(
                        f"a wxrc service (process {other.pid}, {other.url}) runs on {self.path} already; "
                        "stop it, or choose another --data"
                    ) from None
                time.sleep(0.05)


def opened_world(path: Path) -> SimulatedWeChat:
    """Open the simulated WeChat, a context manager.

    Raises:
        WxrcError: Its file cannot be used; the sentence says why.
    """
    try:
        return SimulatedWeChat(path)
    except OSError as error:
        raise WxrcError(f"the simulator's file {path} cannot be used: {error.strerror}") from error
    except (SimulatorError, apsw.Error) as error:
        raise WxrcError(f"the simulator's file {path} cannot be used: {error}") from error
