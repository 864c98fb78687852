"""Kept-alive connections that are idle, by receiver and policy.

The policy on private networks is part of the key because each connection was checked under one policy, and must not serve a channel with
another.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from wxrc_webhook.connection import Connection
from wxrc_webhook.guard import AllowPrivate

# Below the 5 s after which common servers close an idle connection, so that they do not close it under a callback.
KEEP_ALIVE_S: Final = 4.0
IDLE_CONNECTIONS: Final = 64


class PoolKey(NamedTuple):
    """What connections must have in common to be shared."""

    allow_private: AllowPrivate
    scheme: str
    host: str
    port: int


class IdleConnections:
    """Connections that wait for their next request."""

    def __init__(self, keep_alive_s: float = KEEP_ALIVE_S, most: int = IDLE_CONNECTIONS) -> None:
        """Set the limits.

        Args:
            keep_alive_s: How long a connection is kept (seconds).
            most: How many are kept for one receiver.
        """
        self._keep_alive_s = keep_alive_s
        self._most = most
        self._by_key: dict[PoolKey, list[Connection]] = {}
        self._keys: dict[Connection, PoolKey] = {}  # the one that is idle the longest comes first

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: PoolKey) -> Connection | None:
        """Return the connection to this receiver that was used last, or None."""
        found = self._by_key.get(key)
        if not found:
            return None
        connection = found.pop()
        if not found:
            del self._by_key[key]
        del self._keys[connection]
        return connection

    def give(self, key: PoolKey, connection: Connection, now: float) -> bool:
        """Keep a connection; return False where there are enough."""
        found = self._by_key.setdefault(key, [])
        if len(found) >= self._most:
            return False
        connection.idle_since = now
        found.append(connection)
        self._keys[connection] = key
        return True

    def outdated(self, now: float) -> Iterator[Connection]:
        """Give up and yield what has been idle for too long."""
        while self._keys:
            connection, key = next(iter(self._keys.items()))
            if connection.idle_since + self._keep_alive_s > now:
                return
            self._by_key[key].remove(connection)
            if not self._by_key[key]:
                del self._by_key[key]
            del self._keys[connection]
            yield connection
