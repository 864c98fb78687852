"""Files beside the log of a PostgreSQL store, each in one row of a table: so every replica has them, on whatever machine it runs."""

import hashlib
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol, TypeVar

import anyio.to_thread

from wxrc_store._postgres_server import Connection
from wxrc_store._postgres_works import Works
from wxrc_store.media import DIGEST, wall_clock

T = TypeVar("T")


class Caller(Protocol):
    """Calls a function with a connection; it may be called again where that had died."""

    def __call__(self, function: Callable[[Connection], T], /) -> Awaitable[T]:
        """Return what it returns."""


class PostgresMedia:
    """Files in a table; see `wxrc_store.port.Media`. Get it from `PostgresStore.media`; it is usable while the store is open."""

    def __init__(self, call: Caller, works: Works) -> None:
        self._call, self._works = call, works

    async def put(self, data: bytes) -> str:
        """See `Media.put`."""
        digest = await anyio.to_thread.run_sync(_digest, data)
        await self._call(lambda connection: self._works.put_file(connection, digest, wall_clock(), data))
        return digest

    async def get(self, digest: str) -> bytes | None:
        """See `Media.get`."""
        if not DIGEST.fullmatch(digest):
            return None
        data = await self._call(lambda connection: self._works.file(connection, digest))
        whole = data is not None and await anyio.to_thread.run_sync(_digest, data) == digest
        return data if whole else None

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        return await self._call(lambda connection: self._works.forget_files(connection, before, keep))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
