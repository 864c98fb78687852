"""Files beside the log, by the SHA-256 of their bytes: in a directory, or in memory.

In a directory each file is written under another name, synced, and then renamed, so that a name with a digest always has all of its
bytes; whoever reads them checks all the same, since a disk may lie. It is read and written in worker threads.
"""

import hashlib
import os
import re
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio.lowlevel import checkpoint

from wxrc_store.port import StoreError

T = TypeVar("T")

DIGEST = re.compile(r"[0-9a-f]{64}")
"""How a file is named."""


def wall_clock() -> int:
    """Return now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class MemoryMedia:
    """Files in memory; see `wxrc_store.port.Media`. Gateways that share a `MemoryStore` in one process share this too."""

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        self._files: dict[str, tuple[bytes, int]] = {}
        self._clock = clock

    async def put(self, data: bytes) -> str:
        """See `Media.put`."""
        await checkpoint()
        digest = _digest(data)
        self._files[digest] = (data, self._clock())
        return digest

    async def get(self, digest: str) -> bytes | None:
        """See `Media.get`."""
        await checkpoint()
        found = self._files.get(digest)
        return found[0] if found else None

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        await checkpoint()
        old = [digest for digest, (_, at) in self._files.items() if at < before and digest not in keep]
        for digest in old:
            del self._files[digest]
        return len(old)


class ServerMedia:
    """Files in a database or a cluster, so that every replica has them, on whatever machine it runs; see `wxrc_store.port.Media`.

    It is the `media` of a store on a server, and usable while that is open.
    """

    def __init__(
        self,
        keep: Callable[[str, bytes], Awaitable[None]],
        find: Callable[[str], Awaitable[bytes | None]],
        forget: Callable[[int, Collection[str]], Awaitable[int]],
    ) -> None:
        """Make it.

        Args:
            keep: Keeps a file under its digest; one that is there and whole is only noted as put now.
            find: Returns a file's bytes as they are there, or None.
            forget: See `Media.forget`.
        """
        self._keep, self._find, self._forget = keep, find, forget

    async def put(self, data: bytes) -> str:
        """See `Media.put`."""
        digest = await anyio.to_thread.run_sync(_digest, data)
        await self._keep(digest, data)
        return digest

    async def get(self, digest: str) -> bytes | None:
        """See `Media.get`."""
        if not DIGEST.fullmatch(digest):
            return None
        data = await self._find(digest)
        whole = data is not None and await anyio.to_thread.run_sync(_digest, data) == digest
        return data if whole else None

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        return await self._forget(before, keep)


class DirectoryMedia:
    """Files in a directory; see `wxrc_store.port.Media`. The directory is made when the first file comes, for its owner only."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    async def put(self, data: bytes) -> str:
        """See `Media.put`."""
        return await self._in_thread(lambda: self._put(data), "kept")

    async def get(self, digest: str) -> bytes | None:
        """See `Media.get`."""
        if not DIGEST.fullmatch(digest):
            return None
        return await self._in_thread(lambda: self._get(digest), "read")

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        return await self._in_thread(lambda: self._forget(before, keep), "deleted")

    async def _in_thread(self, work: Callable[[], T], done: str) -> T:
        try:
            return await anyio.to_thread.run_sync(work)
        except OSError as error:
            raise StoreError(f"a file in {self._path} could not be {done}: {error.strerror or error}") from error

    def _put(self, data: bytes) -> str:
        digest = _digest(data)
        final = self._path / digest
        with suppress(FileNotFoundError):
            if self._get(digest) is not None:
                os.utime(final)
                return digest
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path / f".{digest}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(final)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        _sync_directory(self._path)
        return digest

    def _get(self, digest: str) -> bytes | None:
        try:
            data = (self._path / digest).read_bytes()
        except FileNotFoundError:
            return None
        return data if _digest(data) == digest else None

    def _forget(self, before: int, keep: Collection[str]) -> int:
        count = 0
        if not self._path.is_dir():
            return 0
        for entry in os.scandir(self._path):
            # A name that begins with a dot is a file that was cut short, or one that is being written.
            kept = entry.name in keep or not DIGEST.fullmatch(entry.name.removeprefix(".").partition(".")[0])
            if not kept and entry.stat().st_mtime_ns // 1_000_000 < before:
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
                    count += 1
        return count


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync_directory(path: Path) -> None:
    """Make a new name durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
