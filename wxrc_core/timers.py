"""Deadlines by key: which is next, in O(log n), without a past."""

import heapq
from typing import Generic, TypeVar

Key = TypeVar("Key", str, int, tuple[str, ...])


class Timers(Generic[Key]):
    """Keys with a deadline each. What was cancelled or replaced leaves the heap when it comes up, or when it outnumbers the rest."""

    def __init__(self) -> None:
        self._deadlines: dict[Key, int] = {}
        self._heap: list[tuple[int, Key]] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: Key) -> bool:
        return key in self._deadlines

    def set(self, key: Key, at: int) -> None:
        """Give a key this deadline, in place of an earlier one."""
        if self._deadlines.get(key) == at:
            return
        self._deadlines[key] = at
        heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._deadlines) + 32:
            self._heap = [(deadline, each) for each, deadline in self._deadlines.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Forget a key; nothing happens where it has no deadline."""
        if self._deadlines.pop(key, None) is not None and not self._deadlines:
            self._heap.clear()

    def next(self) -> tuple[int, Key] | None:
        """Return the earliest deadline and its key, or None."""
        while self._heap:
            at, key = self._heap[0]
            if self._deadlines.get(key) == at:
                return at, key
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: int) -> Key | None:
        """Forget and return a key whose deadline has come, the earliest first; None where there is none."""
        found = self.next()
        if found is None or found[0] > now:
            return None
        heapq.heappop(self._heap)
        del self._deadlines[found[1]]
        return found[1]
