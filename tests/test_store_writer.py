"""The group writer apart from any database: groups, faults, and a loop that goes away."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrc_store import StoreError
from wxrc_store._writer import GroupWriter

pytestmark = pytest.mark.anyio


class Backend:
    """A backend that keeps its groups, waits at a gate, and fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.closed = False

    def commit(self, group: Sequence[int]) -> tuple[Sequence[int], int]:
        """Answer each number with ten times it."""
        self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.groups.append(list(group))
        return [10 * number for number in group], self.head()

    def head(self) -> int:
        """Count what was committed."""
        return sum(map(len, self.groups))

    def close(self) -> None:
        """Remember it."""
        self.closed = True


async def submit(writer: GroupWriter[int, int], number: int, results: dict[int, int]) -> None:
    """Submit a number and keep the answer."""
    results[number] = await writer.submit(number)


async def test_what_waits_goes_together() -> None:
    """While one group is committed, all others that come form the next; each gets its own answer."""
    backend, results = Backend(), {}
    writer = GroupWriter(backend, 0, "test")
    backend.gate.clear()
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(submit, writer, number, results)
        for _ in range(3):
            await checkpoint()
        backend.gate.set()
    await writer.close()

    assert {number: 10 * number for number in range(100)} == results
    assert 100 == backend.head()
    assert len(backend.groups) <= 3
    assert backend.closed


async def test_a_cancelled_waiter_leaves_its_group_whole() -> None:
    """Of a group whose waiters are cancelled while it is committed, the others get their answers."""
    backend, results = Backend(), {}
    writer = GroupWriter(backend, 0, "test")
    backend.gate.clear()
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            for number in range(20):
                (cancelled if number % 2 else tasks).start_soon(submit, writer, number, results)
            for _ in range(3):
                await checkpoint()
            cancelled.cancel_scope.cancel()
        backend.gate.set()
    await writer.close()

    assert {number: 10 * number for number in range(0, 20, 2)} == results


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (StoreError("The disk is full."), "The disk is full."),
        (ZeroDivisionError("text of a message"), r"failed in a way that it should not \(ZeroDivisionError\)"),
    ],
)
async def test_a_failed_group_fails_all_in_it_and_none_after(failure: Exception, sentence: str) -> None:
    """Every waiter of the group is told in an exception of its own; the next group is tried afresh."""
    backend, errors = Backend(), []
    writer = GroupWriter(backend, 0, "test")
    backend.failure = failure

    async def fail(number: int) -> None:
        with pytest.raises(StoreError, match=sentence) as raised:
            await writer.submit(number)
        errors.append(raised.value)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(fail, number)
    backend.failure = None
    result = await writer.submit(1)
    await writer.close()

    assert 10 == len({id(error) for error in errors})
    assert 10 == result


ABANDONED = """
    import sys
    import anyio
    from wxrc_store.sqlite import SqliteStore

    async def main():
        store = await SqliteStore(sys.argv[1]).__aenter__()
        with anyio.move_on_after(0.1):
            await store.changed(0)

    anyio.run(main, backend=sys.argv[2])
"""


async def test_a_loop_that_ends_without_closing(tmp_path: object, anyio_backend_name: str) -> None:
    """A program that breaks down with its store open ends all the same, and says nothing about threads."""
    done = await anyio.run_process(
        [sys.executable, "-c", textwrap.dedent(ABANDONED), f"{tmp_path}/events.db", anyio_backend_name],
        stderr=subprocess.STDOUT,
        check=False,
    )

    assert (0, b"") == (done.returncode, done.stdout)


async def test_who_waits_for_news_is_told_of_trouble() -> None:
    """When the database cannot be reached, those who wait for news are told why; when it can be again, they wait on."""
    backend = Backend()
    failing = threading.Event()
    head = backend.head

    def look() -> int:
        if failing.is_set():
            raise StoreError("The database is away.")
        return head()

    backend.head = look
    writer = GroupWriter(backend, 0, "test")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(StoreError, match="is away"):
                    await writer.changed(0)

            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            failing.set()
        failing.clear()
        await writer.submit(1)
        await writer.changed(0)
    await writer.close()
