"""What the runner and its clients do when something outside fails: wait for the store, and say where a fault was, without its text."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from wxrc_core.errors import Unavailable

log = logging.getLogger("wxrc.gateway")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
"""How long to wait for a store that is away: doubled each time up to the longest (seconds)."""

T = TypeVar("T")


async def insist(work: Callable[[], Awaitable[T]]) -> T:
    """Do what needs the store, again and again until the store is to be had. It must be harmless to do it twice."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return await work()
        except Unavailable as error:
            log.warning("the store is not to be had, trying again: %s", error)
            await anyio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def where(error: BaseException) -> str:
    """Return the kind of an error and where it happened. Not its text: that may hold a message or a secret (invariant 16)."""
    frames = reversed(traceback.extract_tb(error.__traceback__, limit=-5))
    places = (f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in frames)
    return f"{type(error).__name__} in {' < '.join(places)}"
