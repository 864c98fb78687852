"""The log as an async iterator."""

from collections import deque
from typing import Self

from wxrc_core.log import Recorded
from wxrc_gateway._ledger import Ledger
from wxrc_store.port import Store


class EventStream:
    """The log as an async iterator, which ends with its gateway. Not a generator: it may be left at any time, and needs no closing."""

    def __init__(self, store: Store, ledger: Ledger, position: int) -> None:
        self._store, self._ledger, self._position = store, ledger, position
        self._page: deque[Recorded] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Recorded:
        while not self._page:
            while (behind := self._ledger.world.position - self._position) <= 0 or self._ledger.closed:
                if self._ledger.closed:
                    raise StopAsyncIteration
                await self._ledger.progressed()
            self._page.extend(await self._store.read_all(self._position, min(1_000, behind)))
        recorded = self._page.popleft()
        self._position = recorded.position
        return recorded
