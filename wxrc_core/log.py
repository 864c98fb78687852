"""What a store keeps and answers: the words of the event log (design.md, Stores).

A *stream* is the history of one aggregate. A *version* numbers the events of one stream, 1..n without a gap. A *position*
numbers the events of the whole log, 1..n without a gap, in the order in which they became visible.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from wxrc_core.bot import BotEvent
from wxrc_core.channel import ChannelEvent
from wxrc_core.delivery import DeliveryEvent
from wxrc_core.inbound import InboundEvent
from wxrc_core.message import MessageEvent
from wxrc_core.operation import OperationEvent
from wxrc_core.shard import ShardEvent
from wxrc_core.token import TokenEvent

Event: TypeAlias = (
    BotEvent | ChannelEvent | DeliveryEvent | InboundEvent | MessageEvent | OperationEvent | ShardEvent | TokenEvent
)
"""Everything that can stand in the log: what `Recorded.event` is. `match` on it, or ask with `isinstance`."""


class Recorded(NamedTuple):
    """One event as it stands in the log. A named tuple, since a replay builds a million of them."""

    position: int
    stream: str
    version: int
    event: Event


E = TypeVar("E")


def event_as(kind: type[E], recorded: Recorded) -> E:
    """Return the event as one of this class, where the stream and version say that it is: a message's first event is `MessageQueued`."""
    event = recorded.event
    assert isinstance(event, kind), f"{recorded.stream} has {type(event).__name__} where {kind.__name__} belongs"
    return event


class Fence(NamedTuple):
    """The right to act for the bots of one shard: it holds while the stream `shard/<n>` still has version `epoch`."""

    shard: int
    epoch: int


class Entry(NamedTuple):
    """Events to append to one stream, all of them or none.

    Attributes:
        stream: The stream's name.
        expected: The version that the stream must have now; 0 = it must not exist yet.
        events: One event or more.
        fence: Where given, nothing is written once another owner has taken the shard.
    """

    stream: str
    expected: int
    events: Sequence[Event]
    fence: Fence | None = None


@frozen
class Appended:
    """The entry is durable. `position` is that of its first event; the others follow without a gap."""

    position: int


@frozen
class Conflict:
    """The entry was not written: the stream has version `actual` and not the expected one."""

    actual: int


@frozen
class Fenced:
    """The entry was not written: its fence no longer holds, since the epoch is over. Where the version is wrong too, either answer
    may come.
    """


Outcome: TypeAlias = Appended | Conflict | Fenced


class Lease(NamedTuple):
    """A shard that a member owns.

    Attributes:
        fence: What its owner's entries carry.
        position: That of the `ShardTaken` event. Whatever an earlier epoch wrote lies below it: fold up to here before acting.
    """

    fence: Fence
    position: int


class Member(NamedTuple):
    """One run of one process on a store; never reused.

    Attributes:
        id: Its name and a nonce.
        until: It may begin effects before this time, on its own monotonic clock (seconds, `Store.monotonic`).
    """

    id: str
    until: float


class Owner(NamedTuple):
    """Who owns a shard: a hint, for balancing and for people.

    Attributes:
        epoch: The shard's epoch; 0 = never taken.
        member: The member's id; empty = free.
        alive: The member is known to live.
    """

    epoch: int
    member: str
    alive: bool
