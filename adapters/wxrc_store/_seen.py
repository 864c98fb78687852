"""How far a log on a server reached, in a small file beside the service: what tells, between two runs, that the log went back."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wxrc_store.port import StoreError

NOTE_EVERY = 1.0
"""How often the file is written, at most (seconds)."""


class Mark(NamedTuple):
    """The newest event that was seen: its position, and what tells it from any other (empty = nothing yet)."""

    position: int
    digest: str


def digest(stream: str, number: int, data: bytes) -> str:
    """Return what tells an event from any other; PostgreSQL computes the same (`_postgres_log.DIGEST`)."""
    return hashlib.md5(f"{stream} {number} ".encode() + data, usedforsecurity=False).hexdigest()


class Seen:
    """The file that remembers, over restarts, how far the log reached.

    It is written without waiting for the disk: it has to outlive the process and the database server, not this machine.
    """

    def __init__(self, path: Path | None, server: str, causes: str) -> None:
        """Make it.

        Args:
            path: The file; None = nothing is remembered.
            server: What to call the server in sentences.
            causes: A question after what may have happened when the log went back.
        """
        self._path, self._server, self._causes = path, server, causes
        self._written = 0.0

    def read(self) -> tuple[int, Mark] | None:
        """Return the identity of the log that was seen on this server, and its mark; None = nothing is known."""
        if self._path is None:
            return None
        with suppress(OSError, ValueError, KeyError, TypeError):  # unreadable, or damaged: then nothing is known
            said = json.loads(self._path.read_text("utf-8"))
            if said["server"] == self._server:
                return int(said["log"]), Mark(int(said["position"]), str(said["digest"]))
        return None

    def write(self, log: int, mark: Mark, now: bool = False) -> None:
        """Remember a mark, unless one was written only just now."""
        if self._path is None or not mark.position or (not now and time.monotonic() < self._written + NOTE_EVERY):
            return
        self._written = time.monotonic()
        known = self.read()
        if known is not None and known[0] == log and known[1].position > mark.position:
            return  # a command beside the service has seen less than the service
        said = {"server": self._server, "log": log, "position": mark.position, "digest": mark.digest}
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with suppress(OSError):  # it is a further safeguard: a full disk here must not end the service
            fresh.write_text(json.dumps(said), "utf-8")
            fresh.rename(self._path)

    def lost(self, what: str) -> StoreError:
        """Say that the log went back."""
        remedy = f" If this is meant, remove {self._path} and start again." if self._path else ""
        return StoreError(
            f"The log on {self._server} {what}: what was acknowledged is lost there. {self._causes}"
            f" Nothing is written any more; bring back the server that has all of it.{remedy}"
        )
