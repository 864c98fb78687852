"""What a store keeps and answers: the words of the event log (design.md, Stores).

A *stream* is the history of one aggregate. A *version* numbers the events of one stream, 1..n without a gap. A *position*
numbers the events of the whole log, 1..n without a gap, in the order in which they became visible.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from attrs import frozen

Event: TypeAlias = Any
"""Any of the frozen attrs classes that `wxrc_core.codec` lists."""


class Recorded(NamedTuple):
    """One event as it stands in the log. A named tuple, since a replay builds a million of them."""

    position: int
    stream: str
    version: int
    event: Event


@frozen
class Entry:
    """Events to append to one stream, all of them or none.

    Attributes:
        stream: The stream's name.
        expected: The version that the stream must have now; 0 = it must not exist yet.
        events: One event or more.
    """

    stream: str
    expected: int
    events: Sequence[Event]


@frozen
class Appended:
    """The entry is durable. `position` is that of its first event; the others follow without a gap."""

    position: int


@frozen
class Conflict:
    """The entry was not written: the stream has version `actual` and not the expected one."""

    actual: int


Outcome: TypeAlias = Appended | Conflict
