"""Noticing that a client has gone while its request waits."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import anyio

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

T = TypeVar("T")


class Disconnected(Exception):
    """The client has gone before its request was complete, or before it was answered."""


async def unless_gone(work: Awaitable[T], receive: Receive) -> T:
    """Await `work`; cancel it when the client goes, so that nothing counts as answered that nobody reads.

    Raises:
        Disconnected: The client has gone. What was accepted stays accepted.
    """
    done: list[T] = []
    failed: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            done.append(await work)
        except Exception as error:  # raised below: out of here it would come as a group
            failed.append(error)
        tasks.cancel_scope.cancel()
    if failed:
        raise failed[0]
    if not done:
        raise Disconnected
    return done[0]
