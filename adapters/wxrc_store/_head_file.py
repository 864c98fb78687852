"""How far the log had come when it was last in use, in a small file beside it: what tells that the log went back while nobody looked.

A write-ahead log that is removed while no process has it open takes what it held along, and SQLite cannot know; nor can it know that an
older copy was put in its place. The position is written at most once a second, after the events were made durable, so it is never ahead
of a log that is whole.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from wxrc_store.port import StoreError

EVERY_S = 1.0
"""How often the position is written while events come in (seconds)."""

DIGITS = 20
"""The length of what is written: always the same, so that one write replaces another as a whole."""


class HeadFile:
    """The file. It is written by whoever has the log open; what is missing or cannot be read tells nothing and stops nobody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = 0
        self._next = 0.0  # when it may be written again, on the monotonic clock

    def forget(self) -> None:
        """Forget an earlier log: a new one begins."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._written = 0

    def check(self, head: int, log: Path) -> None:
        """Refuse a log that ends before the position that it had reached.

        Args:
            head: The log's last position.
            log: Its file, for the sentence.

        Raises:
            StoreError: Events are missing.
        """
        reached = self._read()
        self._written = max(head, reached)
        if head < reached:
            raise StoreError(
                f"The log in {log} went back: it ends at position {head} and had reached {reached}. Its write-ahead log was removed,"
                f" or an older copy was put in its place. Put the newer files back; or, to go on with this one, remove {self.path.name}."
            )

    def note(self, head: int, *, now: bool = False) -> None:
        """Write the position down, unless that was done a moment ago; `now` = do it in any case."""
        if head <= self._written or (not now and time.monotonic() < self._next):
            return
        self._next = time.monotonic() + EVERY_S
        with suppress(OSError):  # a full disk: what was written before still holds
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(file, f"{head:0{DIGITS}}\n".encode(), 0)
            finally:
                os.close(file)
            self._written = head

    def _read(self) -> int:
        try:
            return int(self.path.read_text("ascii"))
        except (OSError, ValueError):
            return 0
