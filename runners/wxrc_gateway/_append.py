"""The one place where a command meets a state and its events meet the log.

`append` insists until the command is decided on the newest state; `append_all` tries many commands once, in one append.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from wxrc_core import aggregate
from wxrc_core.aggregate import Command, State
from wxrc_core.effects import Decide
from wxrc_core.errors import Refusal, WxrcError
from wxrc_core.log import Appended, Entry, Event, Fence, Fenced
from wxrc_store.port import Store

log = logging.getLogger("wxrc.gateway")

Found: TypeAlias = tuple[State | None, int]
"""A state and its stream's version."""


class ShardLost(WxrcError):
    """Another member owns the shard now; nothing was written. The loops of its bots end here.

    Attributes:
        shard: Its number.
    """

    def __init__(self, shard: int) -> None:
        super().__init__(f"another process has taken shard {shard}")
        self.shard = shard


class Written(NamedTuple):
    """What was appended: the events, and the position of the first; 0 where there are none."""

    events: Sequence[Event]
    position: int

    @property
    def last(self) -> int:
        """The position of the last event; 0 where there are none."""
        return self.position + len(self.events) - 1 if self.events else 0


async def read_state(store: Store, stream: str) -> Found:
    """Return the state and version of a stream as the log has it now."""
    return aggregate.fold(await store.read(stream))


async def append(
    store: Store, stream: str, command: Command, *, found: Found | None = None, fence: Fence | None = None
) -> Written:
    """Hand a command to the aggregate that has this stream, and append the events that it leads to.

    Args:
        store: The log.
        stream: The stream.
        command: What is asked.
        found: The state to begin with, where it is known; it may be out of date.
        fence: The right that it takes.

    Raises:
        Refusal: It cannot be done; nothing was recorded.
        ShardLost: The fence no longer holds; nothing was recorded.
        Unavailable: The store failed; read back before assuming anything.
    """
    fresh = found is None
    if found is None:
        found = (None, 0) if isinstance(command, aggregate.CREATING) else await read_state(store, stream)
    while True:
        state, version = found
        try:
            events = aggregate.decide(state, command)
        except Refusal:
            if fresh:
                raise
            events = ()
        if not events and not fresh:
            # Nothing is dropped or refused on a state that may be out of date: what is appended needs no such care, its version is checked.
            found, fresh = await read_state(store, stream), True
            continue
        if not events:
            return Written((), 0)
        [outcome] = await store.append([Entry(stream, version, events, fence)])
        if isinstance(outcome, Appended):
            return Written(events, outcome.position)
        if isinstance(outcome, Fenced):
            assert fence is not None
            raise ShardLost(fence.shard)
        found, fresh = await read_state(store, stream), True  # another writer was quicker: decide again, on what it did


async def append_all(
    store: Store, steps: Sequence[Decide], known: Callable[[str], Found | None], fence: Fence | None = None
) -> int:
    """Hand commands to different aggregates, in one append; return the position of the last event, or 0.

    A step that is refused or meets a conflict is left out: the caller asks again what is to be done. Events of deliveries carry no fence,
    since at least once needs none.

    Raises:
        ShardLost: The fence no longer holds.
        Unavailable: The store failed; ask again what is to be done.
    """
    entries: list[Entry] = []
    for step in steps:
        found = known(step.stream)
        if found is None:
            creating = isinstance(step.command, aggregate.CREATING)
            found = (None, 0) if creating else await read_state(store, step.stream)
        state, version = found
        try:
            events = aggregate.decide(state, step.command)
        except Refusal as refusal:
            log.info("%s: %s", step.stream, refusal)  # too late: what it was about has changed
            continue
        if events:
            fenced = not step.stream.startswith("delivery/")
            entries.append(Entry(step.stream, version, events, fence if fenced else None))
    if not entries:
        return 0
    last = 0
    for entry, outcome in zip(entries, await store.append(entries), strict=True):
        if isinstance(outcome, Appended):
            last = outcome.position + len(entry.events) - 1
        elif isinstance(outcome, Fenced):
            assert fence is not None
            raise ShardLost(fence.shard)
    return last
