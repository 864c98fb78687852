"""Group commit: one thread that commits all that waits as one transaction, and tells the event loop once per group.

A thread hop costs more than a commit of many events, so it is paid once per group and not once per caller: while the thread
commits one group, the callers gather in the next. The thread is a plain one and reaches the loop through the loop's own
thread-safe call, so asyncio and trio fare alike. Every store with a blocking driver shares this file; the driver is a `Backend`.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from wxrc_store.port import StoreError

POLL = 0.05
"""How often the thread looks for appends of other processes while a task waits for news (seconds)."""

IDLE_POLL = 1.0
"""How often it looks at the database at all (seconds)."""

CLOSED = "The store is closed; open it again before using it."

Work = TypeVar("Work")
Result = TypeVar("Result")
Work_contra = TypeVar("Work_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Backend(Protocol[Work_contra, Result_co]):
    """The blocking driver. Only the writer's thread calls it; its calls raise nothing but `StoreError`."""

    def commit(self, group: Sequence[Work_contra]) -> tuple[Sequence[Result_co], int]:
        """Commit all works as one transaction; return a result per work, in order, and the log's last position."""

    def head(self) -> int:
        """Return the log's last position, appends of other processes included; see that the database is still in place."""

    def close(self) -> None:
        """Let go of the database."""


class Group(Generic[Work, Result]):
    """Works that are committed together, and the event that wakes all who brought one."""

    __slots__ = ("done", "error", "results", "works")

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.done = anyio.Event()
        self.results: Sequence[Result] = ()
        self.error: StoreError | None = None


class GroupWriter(Generic[Work, Result]):
    """The thread and the waiters. Made inside an event loop, and bound to it."""

    def __init__(
        self,
        backend: Backend[Work, Result],
        head: int,
        name: str,
        committed: Callable[[Sequence[Work], Sequence[Result]], None] = lambda works, results: None,
    ) -> None:
        """Start the thread.

        Args:
            backend: The driver.
            head: The log's last position.
            name: The thread's name.
            committed: Called on the loop with each group that was committed, before anybody hears of it.
        """
        self.head = head  # the last position that the loop has heard of
        self._committed = committed
        self._backend = backend
        self._call = call_into_loop()
        self._news = anyio.Event()
        self._closed = anyio.Event()
        # What the loop and the thread share, under the lock of this condition:
        self._lock = threading.Lock()
        self._signal = threading.Condition(self._lock)
        self._gathering: Group[Work, Result] | None = None
        self._watchers = 0
        self._trouble: StoreError | None = None
        self._closing = False
        # A daemon, so that a loop that broke down without closing its store does not keep the process alive.
        threading.Thread(target=self._run, args=(head,), name=name, daemon=True).start()

    # -- on the loop ------------------------------------------------------------------------------------------------------------

    async def submit(self, work: Work) -> Result:
        """Commit a work together with all others that wait, and return its result.

        A cancelled caller leaves its work in the group: it may still become durable, and the others are not touched.

        Raises:
            StoreError: The group failed as a whole, or the store is closed.
        """
        with self._lock:  # as the condition does it, by way of a Python function
            self.check_open()
            group = self._gathering
            if group is None:
                group = self._gathering = Group()
                self._signal.notify()
            index = len(group.works)
            group.works.append(work)
        await group.done.wait()
        if group.error is not None:
            raise type(group.error)(
                *group.error.args
            ) from group.error  # an instance for each waiter: tracebacks differ
        return group.results[index]

    async def changed(self, after: int) -> None:
        """Wait until the log reaches beyond a position, through this process or another one.

        Raises:
            StoreError: The database cannot be reached, or the store is closed.
        """
        await checkpoint()
        while self.head <= after:
            with self._signal:
                self.check_open()
                if self._trouble is not None:
                    raise StoreError(*self._trouble.args) from self._trouble
                self._watchers += 1
                if self._watchers == 1:
                    self._signal.notify()  # the thread begins to poll
            try:
                await self._news.wait()
            finally:
                with self._signal:
                    self._watchers -= 1

    def look(self) -> None:
        """Have the thread look at once whether the log has grown, and not at the next poll. From any thread."""
        with self._signal:
            self._signal.notify()

    async def close(self) -> None:
        """Commit what waits, close the backend and end the thread."""
        with self._signal:
            self._closing = True
            self._signal.notify()
        await self._closed.wait()

    def check_open(self) -> None:
        """Raise `StoreError` once the store is closed."""
        if self._closing:
            raise StoreError(CLOSED)

    def _arrived(self, group: Group[Work, Result] | None, head: int) -> None:
        """Take in, on the loop, what the thread has done: the only call from there to here."""
        if group is not None:
            if group.error is None:
                self._committed(group.works, group.results)
            group.done.set()
        if head > self.head:
            self.head = head
            self._wake_watchers()

    def _ended(self) -> None:
        self._closed.set()
        self._wake_watchers()  # they find the store closed

    def _wake_watchers(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    # -- in the thread ----------------------------------------------------------------------------------------------------------

    def _run(self, head: int) -> None:
        try:
            while True:
                with self._signal:
                    if self._gathering is None and not self._closing:
                        self._signal.wait(POLL if self._watchers else IDLE_POLL)
                    group, self._gathering = self._gathering, None
                    closing = self._closing
                if group is not None:
                    head = self._commit(group, head)
                    self._tell(self._arrived, group, head)
                elif closing:
                    break
                elif (found := self._poll(head)) > head:
                    head = found
                    self._tell(self._arrived, None, head)
        finally:
            try:
                self._backend.close()
            finally:
                self._tell(self._ended)

    def _commit(self, group: Group[Work, Result], head: int) -> int:
        try:
            group.results, head = self._backend.commit(group.works)
            self._trouble = None
        except StoreError as error:
            group.error = error
        except Exception as error:  # a fault of ours must not end the thread, nor leave the group waiting for ever
            group.error = StoreError(f"The store failed in a way that it should not ({type(error).__name__}).")
            group.error.__cause__ = error
        return head

    def _poll(self, head: int) -> int:
        try:
            found, trouble = self._backend.head(), None
        except StoreError as error:
            found, trouble = head, error
        changed = trouble is not None and self._trouble is None
        self._trouble = trouble
        if changed:
            self._tell(self._wake_watchers)  # they are told why there is no news
        return found

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._call(function, *args)
        except RuntimeError:
            return  # the loop is gone without having closed the store, and every waiter with it


def call_into_loop() -> Callable[..., object]:
    """Return the running loop's own way to be called from a thread: `call(function, *args)`; it does not wait."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        call: Callable[..., object] = trio.lowlevel.current_trio_token().run_sync_soon
        return call
    return asyncio.get_running_loop().call_soon_threadsafe
