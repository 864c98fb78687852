"""The interface of an event store and of the vault beside it (design.md, Stores).

A store is an async context manager. It runs the same under asyncio and trio.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from wxrc_core.errors import Unavailable
from wxrc_core.log import Entry, Outcome, Recorded


class Store(Protocol):
    """An append-only log of events in streams."""

    async def __aenter__(self) -> Self:
        """Open the log; events of a newer release in it raise `StoreError` here, naming the release that is needed."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is being written and close."""

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """Append entries, each all or nothing and independent of the others; durable before it returns.

        Two entries for the same stream in one batch are taken in order.

        Returns:
            One outcome per entry, in order: `Appended` with the position of its first event, or `Conflict` with the actual version.

        Raises:
            StoreError: Nothing can be said of the batch: the caller must read back by identity.
        """

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a stream with a version above `after`, in order; empty if there are none."""

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """Return up to `limit` events with a position above `after`, in position order, without a gap."""

    async def at(self, position: int) -> Recorded | None:
        """Return the event at a position, or None where the log does not reach that far."""

    async def changed(self, after: int) -> None:
        """Return when the log has, or may have, an event with a position above `after`.

        It may return early; polling with `read_all` is the truth. News from other processes arrive too.
        """


class Vault(Protocol):
    """Small named secrets that change: keys, webhook secrets, session credentials, options. Encrypted at rest where it is durable."""

    async def put(self, name: str, secret: bytes) -> None:
        """Keep a secret durably, in place of an earlier one of that name."""

    async def get(self, name: str) -> bytes | None:
        """Return the secret, or None."""

    async def delete(self, name: str) -> None:
        """Forget the secret; nothing happens where there is none."""


class StoreError(Unavailable):
    """The store is unavailable or failed. The message is a sentence for people; the caller answers 503 / code 22 and tries again later."""


class StoreInUse(StoreError):
    """Another process holds the store in a way that forbids this use. The message says who."""


class NewerEvents(StoreError):
    """The log has events that this release does not know. The message says which release is needed."""
