"""What the gateway does when something outside fails: wait for the store, and say where an error was, without its text."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from wxrc_core.errors import Unavailable

log = logging.getLogger("wxrc.gateway")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
"""How long to wait for a store that is unavailable: doubled each time up to the longest (seconds)."""

T = TypeVar("T")


async def retry_until_available(work: Callable[[], Awaitable[T]]) -> T:
    """Retry until the store is available; `work` must be idempotent."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return await work()
        except Unavailable as error:
            log.info("the store is unavailable, retrying: %s", error)
            await anyio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def error_location(error: BaseException) -> str:
    """Return an error's class and where it was raised. Not its text: that may hold a message or a secret (invariant 16)."""
    frames = reversed(traceback.extract_tb(error.__traceback__, limit=-5))
    places = (f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in frames)
    return f"{type(error).__name__} in {' < '.join(places)}"
