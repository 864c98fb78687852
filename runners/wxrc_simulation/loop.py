"""An event loop in virtual time: nothing waits, nothing is random but by the seed, and processes can be killed or stopped.

- Time: `time()` is virtual. When nothing is ready it moves to the next timer; when there is none either, that is a deadlock, said at once.
- Processes: a context variable names the process that a callback belongs to; tasks and timers inherit it. The outside world has none.
- Order: within a process callbacks run first in, first out, as asyncio promises. Between processes and the outside the seed decides.
- A crash: a process is dead from before any one of its callbacks on. None of its callbacks runs any more, `finally` blocks
included, as after
  kill -9. Its tasks are kept until the run ends, since collecting them would run those blocks after all.
- A pause: a process's callbacks are held back and run when it goes on, as after SIGSTOP and SIGCONT.
"""

import asyncio
import contextvars
import heapq
import inspect
import itertools
import selectors
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

PROCESS: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)

PASSES_AT_MOST = 5_000
"""So many passes without time going on are a livelock."""


STEPS_AT_MOST = 600_000
"""So many callbacks are far more than any run needs: something goes round and round while time creeps on."""


class Deadlock(Exception):
    """Nothing is ready and nothing is due: the run would wait for ever."""


class Livelock(Exception):
    """Callbacks call each other for ever, and time does not go on."""


class Process:
    """Something that can be killed and stopped.

    Attributes:
        name: Its name.
        alive: It was not killed.
        paused: Its callbacks are held back.
        countdown: It is killed before so many more of its callbacks; None = it is not.
        on_crash: Called when it is killed.
    """

    def __init__(self, name: str, on_crash: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.countdown: int | None = None
        self.on_crash = on_crash
        self._held: list[asyncio.Handle] = []

    def kill(self) -> None:
        """Kill it now: before its next callback."""
        if self.alive:
            self.alive = False
            self._held.clear()
            self.on_crash()

    def takes(self, handle: asyncio.Handle) -> bool:
        """Return whether a callback of it may run now."""
        if not self.alive:
            return False
        if self.paused:
            self._held.append(handle)
            return False
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.kill()
                return False
        return True

    def resume(self) -> list[asyncio.Handle]:
        """Let it go on; return the callbacks that were held back."""
        self.paused = False
        held, self._held = self._held, []
        return held


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    _numbers = itertools.count(1)

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._hash = next(_Task._numbers)
        super().__init__(*args, **settings)

    def __hash__(self) -> int:
        return self._hash


class _NoSelector(selectors.BaseSelector):
    """There are no sockets."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("there is no network in virtual time")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("there is no network in virtual time")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []

    def get_map(self) -> dict[Any, Any]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop of one run.

    Attributes:
        steps: How many callbacks have run.
    """

    def __init__(self, random: Random) -> None:
        self._now = 0.0
        self._random = random
        self._passes = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        _Task._numbers = itertools.count(1)
        super().__init__(_NoSelector())
        self._clock_resolution = 1e-9
        self.set_task_factory(self._new_task)
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Return virtual seconds since the run began."""
        return self._now

    def spawn(self, work: Coroutine[Any, Any, Any], process: Process | None = None) -> asyncio.Task[Any]:
        """Run something in a process, or (None) outside of all."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def outside(self, seconds: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call something after a while, whatever becomes of the process that asks."""
        context = contextvars.Context()
        return self.call_later(seconds, callback, *args, context=context)

    def go_on(self, process: Process) -> None:
        """Let a paused process go on."""
        self._ready.extend(process.resume())  # type: ignore[attr-defined]

    def forget_tasks(self) -> None:
        """Let go of the tasks of dead processes, at the end of a run."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            work = task.get_coro()
            if inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                with warnings.catch_warnings(action="ignore"):
                    work.close()  # it never began, so nothing of it runs
        self._tasks.clear()

    def _new_task(self, loop: asyncio.AbstractEventLoop, work: Any, **settings: Any) -> asyncio.Task[Any]:
        task = _Task(work, loop=loop, **settings)
        self._tasks.append(task)
        if len(self._tasks) > 512 and self.steps % 64 == 0:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    # -- what asyncio's loop does with sockets and threads ----------------------------------------------------------------------

    def _make_self_pipe(self) -> None:
        self._ssock = self._csock = None

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps."""

    # -- one pass ---------------------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if all(_redelivers(handle) for handle in ready):
            # Nothing is ready, or only what calls itself until a cancelled task ends its shielded wait: time has to go on.
            if timers:
                self._now = max(self._now, timers[0].when())
                self._passes = 0
            elif not ready and not self._stopping:  # type: ignore[attr-defined]
                raise Deadlock("nothing is ready and nothing is due")
        self._passes += 1
        if self.steps > STEPS_AT_MOST:
            self.steps = 0
            raise Livelock(f"{STEPS_AT_MOST:,} callbacks, and the run is still at {self._now:.0f} s")
        if self._passes > PASSES_AT_MOST:
            names = {getattr(handle._callback, "__qualname__", "?") for handle in ready if handle._callback}  # type: ignore[attr-defined]
            raise Livelock(f"time stands still at {self._now:.3f} s: {', '.join(sorted(names))}")
        while timers and timers[0].when() <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        todo = self._ordered(list(ready))
        ready.clear()
        for handle in todo:
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is None or process.takes(handle):
                self.steps += 1
                handle._run()

    def _ordered(self, handles: list[asyncio.Handle]) -> list[asyncio.Handle]:
        """Return the callbacks of one pass: in order within each process, and otherwise as the seed says."""
        queues: dict[int, deque[asyncio.Handle]] = {}
        names: list[int] = []
        for handle in handles:
            process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            key = id(process)
            if key not in queues:
                queues[key] = deque()
                names.append(key)
            queues[key].append(handle)
        if len(names) < 2:
            return handles
        ordered: list[asyncio.Handle] = []
        while names:
            key = names[int(self._random.random() * len(names))]
            queue = queues[key]
            ordered.append(queue.popleft())
            if not queue:
                names.remove(key)
        return ordered


def _redelivers(handle: asyncio.Handle) -> bool:
    return getattr(handle._callback, "__name__", "") == "_deliver_cancellation"  # type: ignore[attr-defined]
