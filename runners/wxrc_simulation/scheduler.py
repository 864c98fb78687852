"""Virtual time. A task is a generator; what it yields says how long it pauses.

`yield 5` sleeps five milliseconds, `yield signal, 300` waits for a signal but no longer than 300 ms, `yield signal, None` waits
for it for as long as it takes. Between two of its steps anything else may happen: other tasks run, or what the task lives by
comes to its end. What is due at the same millisecond runs in an order drawn from the seed.
"""

import heapq
from collections.abc import Generator
from random import Random
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class Signal:
    """Something that tasks wait for. It is set once and stays set."""

    __slots__ = ("_scheduler", "_waiting", "is_set")

    def __init__(self, scheduler: "Scheduler") -> None:
        self.is_set = False
        self._scheduler = scheduler
        self._waiting: list[tuple[_Task, int]] = []

    def set(self) -> None:
        """Wake everybody who waits."""
        if not self.is_set:
            self.is_set = True
            for task, wake in self._waiting:
                self._scheduler.push(0, task, wake)
            self._waiting.clear()

    def await_by(self, task: "_Task", wake: int) -> None:
        """Have this task woken."""
        self._waiting.append((task, wake))


Pause: TypeAlias = int | tuple[Signal, int | None]
Steps: TypeAlias = Generator[Pause, None, T]
"""A task, or a part of one, that returns a `T`."""


class Life:
    """What tasks live by. When it ends, or the one that it is part of, they are never resumed."""

    def __init__(self, parent: "Life | None" = None) -> None:
        self._ended = False
        self._parent = parent

    @property
    def alive(self) -> bool:
        """It has not ended."""
        return not self._ended and (self._parent is None or self._parent.alive)

    def end(self) -> None:
        """End it."""
        self._ended = True

    def survives(self) -> bool:
        """Tell, before each step of a task, whether there is one more step. The gateway's process may crash here."""
        return not self._ended and (self._parent is None or self._parent.survives())


FOREVER = Life()
"""The life of what outlives the gateway: WeChat, people, business systems."""


class _Task:
    __slots__ = ("life", "steps", "wake")

    def __init__(self, steps: Steps[Any], life: Life) -> None:
        self.steps = steps
        self.life = life
        self.wake = 0  # whoever wakes it for an earlier pause comes too late


class Scheduler:
    """Runs tasks under virtual time.

    Attributes:
        now: The time (epoch ms).
        steps: How many steps were run.
    """

    def __init__(self, random: Random, now: int) -> None:
        self.now = now
        self.steps = 0
        self._random = random
        self._heap: list[tuple[int, float, int, _Task, int]] = []
        self._pushed = 0

    def signal(self) -> Signal:
        """Return a new signal."""
        return Signal(self)

    def spawn(self, steps: Steps[Any], life: Life = FOREVER, after: int = 0) -> None:
        """Start a task after a while (ms)."""
        self.push(after, _Task(steps, life), 0)

    def push(self, after: int, task: _Task, wake: int) -> None:
        """Have a task resumed after a while (ms), unless something else wakes it first."""
        self._pushed += 1
        heapq.heappush(self._heap, (self.now + after, self._random.random(), self._pushed, task, wake))

    def run(self, until: int | None = None, limit: int = 1_000_000) -> bool:
        """Run until nothing is left to do, or until a time (epoch ms).

        Args:
            until: When to stop; None = when nothing is left.
            limit: How many steps in all, at most.

        Returns:
            Whether it came that far within the limit.
        """
        heap = self._heap
        while heap and (until is None or heap[0][0] <= until):
            at, _, _, task, wake = heapq.heappop(heap)
            self.now = at
            if wake != task.wake or not task.life.survives():
                continue
            if self.steps >= limit:
                return False
            self.steps += 1
            task.wake += 1
            try:
                pause = next(task.steps)
            except StopIteration:
                continue
            if isinstance(pause, int):
                self.push(pause, task, task.wake)
                continue
            signal, at_most = pause
            if signal.is_set:
                self.push(0, task, task.wake)
                continue
            signal.await_by(task, task.wake)
            if at_most is not None:
                self.push(at_most, task, task.wake)
        if until is not None:
            self.now = max(self.now, until)
        return True
