"""Who owns an SQLite store: a lock of the operating system on a file beside it, with the owner's name in the file.

The lock belongs to the open file, so it is kept while its process is stopped and free as soon as the process is dead, `kill -9` included;
two stores in one process exclude each other as two processes do. The file stays when the lock is gone: a file that is removed and made
anew would be another lock. Someone may still remove it by hand. Then two may hold "the" lock, and what keeps them apart is the epoch: the
second one's `ShardTaken` ends every fence of the first, which sees at its next `renew` that its file is gone.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from wxrc_store.port import StoreError


class OwnerLock:
    """The lock of one member. It is not held at first."""

    def __init__(self, path: Path, member: str) -> None:
        self._path = path
        self._member = member
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether the lock was taken and not given back since."""
        return self._file is not None

    def take(self) -> bool:
        """Take the lock unless it is held by another; say whether it is held now.

        Raises:
            StoreError: The file cannot be made.
        """
        while self._file is None:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise StoreError(f"The file {self._path} cannot be opened: {error.strerror}.") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            except OSError as error:
                os.close(file)
                raise StoreError(f"The file {self._path} cannot be locked: {error.strerror}.") from error
            self._file = file
            if self.lost():  # it was removed between opening and locking: this is a lock that nobody else will see
                self.free()
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):  # a full disk: the lock counts, not the name
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{self._member}\npid {os.getpid()}\nsince {since}\n".encode(), 0)
        return True

    def lost(self) -> bool:
        """Return whether the lock is held on a file that is no longer the one beside the store."""
        if self._file is None:
            return False
        try:
            there = os.stat(self._path)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._file))

    def free(self) -> None:
        """Give the lock back."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def holder(path: Path) -> str:
    """Return the id of the member that holds the lock now; empty = nobody does."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(file, 1000, 0).decode(errors="replace").partition("\n")[0]
    except OSError:
        return ""
    else:
        return ""
    finally:
        os.close(file)
