"""A store in memory: for tests, simulations and trying out. It passes the contract suite of the durable stores."""

from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from wxrc_core.log import Appended, Conflict, Entry, Outcome, Recorded
from wxrc_store._rows import encode_batch
from wxrc_store.port import StoreError


class MemoryVault:
    """A vault in memory; nothing is at rest, so nothing is encrypted."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    async def put(self, name: str, secret: bytes) -> None:
        """See `Vault.put`."""
        await checkpoint()
        self._secrets[name] = secret

    async def get(self, name: str) -> bytes | None:
        """See `Vault.get`."""
        await checkpoint()
        return self._secrets.get(name)

    async def delete(self, name: str) -> None:
        """See `Vault.delete`."""
        await checkpoint()
        self._secrets.pop(name, None)


class MemoryStore:
    """An event log in memory. What it holds outlives closing and opening it again, as a database would.

    Attributes:
        vault: The vault beside it.
    """

    def __init__(self) -> None:
        self.vault = MemoryVault()
        self._log: list[Recorded] = []
        self._streams: defaultdict[str, list[Recorded]] = defaultdict(list)
        self._open = False

    async def __aenter__(self) -> Self:
        """Open it."""
        await checkpoint()
        self._news = anyio.Event()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._open = False
        self._wake_watchers()

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """See `Store.append`."""
        encode_batch(batch)  # refuses what a durable store would refuse
        await self._turn()
        before = len(self._log)
        outcomes = [self._append(entry) for entry in batch]
        if len(self._log) > before:
            self._wake_watchers()
        return outcomes

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """See `Store.read`."""
        await self._turn()
        return self._streams[stream][after:] if stream in self._streams else []

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`."""
        await self._turn()
        return self._log[after : after + limit]

    async def at(self, position: int) -> Recorded | None:
        """See `Store.at`."""
        await self._turn()
        return self._log[position - 1] if 1 <= position <= len(self._log) else None

    async def changed(self, after: int) -> None:
        """See `Store.changed`."""
        await self._turn()
        while len(self._log) <= after:
            await self._news.wait()
            self._check_open()

    def _append(self, entry: Entry) -> Outcome:
        stream = self._streams.get(entry.stream, [])
        if len(stream) != entry.expected:
            return Conflict(len(stream))
        first = len(self._log) + 1
        for event in entry.events:
            recorded = Recorded(len(self._log) + 1, entry.stream, len(stream) + 1, event)
            self._log.append(recorded)
            stream.append(recorded)
        self._streams[entry.stream] = stream
        return Appended(first)

    async def _turn(self) -> None:
        """Let others run, as a real store would, and see that this one is open."""
        await checkpoint()
        self._check_open()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("The store is closed; open it again before using it.")

    def _wake_watchers(self) -> None:
        self._news.set()
        self._news = anyio.Event()
