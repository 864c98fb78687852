"""Kept-alive connections, one small pool for each receiver and policy.

A pool of httpcore looks at all of its connections for every request, so that one pool for everybody gets slow with
the number of receivers, the unresponsive ones among them most of all. A receiver's own pool holds a handful. The
policy on private networks is part of the key because each connection was checked under one policy, and must not serve
a channel with another.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import httpcore
from attrs import define, frozen

from wxrc_webhook.guard import AllowPrivate

# Below the 5 s after which common servers close an idle connection, so that they do not close it under a callback.
KEEP_ALIVE_S: Final = 4.0
IDLE_CONNECTIONS: Final = 10


@frozen
class PoolKey:
    """What connections must have in common to be shared."""

    allow_private: AllowPrivate
    scheme: str
    host: str
    port: int


@define
class _Kept:
    pool: httpcore.AsyncConnectionPool
    users: int = 0
    idle_since: float = 0.0


class Pools:
    """The pools in use, and those that were until a few seconds ago; the rest is closed in passing."""

    def __init__(
        self, make: Callable[[AllowPrivate], httpcore.AsyncConnectionPool], keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._make = make
        self._keep_alive_s = keep_alive_s
        self._busy: dict[PoolKey, _Kept] = {}
        self._idle: dict[PoolKey, _Kept] = {}  # the one that is idle the longest comes first

    @asynccontextmanager
    async def use(self, key: PoolKey) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """Lend the pool for one request."""
        kept = self._busy.get(key) or self._idle.pop(key, None) or _Kept(self._make(key.allow_private))
        self._busy[key] = kept
        kept.users += 1
        try:
            await self._close_the_long_idle()
            yield kept.pool
        finally:
            kept.users -= 1
            if kept.users == 0:
                del self._busy[key]
                kept.idle_since = anyio.current_time()
                self._idle[key] = kept

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        pools = [*self._busy.values(), *self._idle.values()]
        self._idle.clear()
        for kept in pools:
            await kept.pool.aclose()

    async def _close_the_long_idle(self) -> None:
        before = anyio.current_time() - self._keep_alive_s
        while self._idle:
            key, kept = next(iter(self._idle.items()))
            if kept.idle_since > before:
                break
            del self._idle[key]
            await kept.pool.aclose()
