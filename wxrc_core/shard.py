"""A shard: a fixed part of all bots that one member owns at a time.

The version of the stream `shard/<n>` is the shard's *epoch*: taking a shard appends `ShardTaken`, letting go appends `ShardFreed`, so every
change of owner raises the epoch. Stores append these events themselves, together with their check that the former owner is gone
(`wxrc_store.port.Store.acquire`, `release`).
"""

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen
from msgspec import Struct

SHARDS = 64
"""Into how many shards the bots of a new store are spread; fixed when the store is made."""


@frozen(kw_only=True)
class ShardTaken:
    """A member owns the shard from now on: at what time (epoch ms, its own clock), and the member's id."""

    at: int
    member: str


@frozen(kw_only=True)
class ShardFreed:
    """The owner has let go of the shard: any member may take it at once."""

    at: int
    member: str


ShardEvent: TypeAlias = ShardTaken | ShardFreed


class Shard(Struct, frozen=True):
    """The fold of a shard's events: its owner (empty = free), and since when (epoch ms)."""

    member: str
    since: int


def evolve(shard: Shard | None, event: ShardEvent) -> Shard:
    """Return the shard after an event. Total: a recorded fact is never refused."""
    return Shard(event.member if isinstance(event, ShardTaken) else "", event.at)


@frozen
class Share:
    """What a member has to do for all to own the same number of shards.

    Attributes:
        take: The free shards that it should take.
        give: How many it should let go of.
        free: All that are free.
    """

    take: Sequence[int]
    give: int
    free: Sequence[int]


def share(owners: Mapping[int, str], members: Collection[str], mine: str) -> Share:
    """Return what a member has to do next.

    Whoever sees the same picture finds parts that do not overlap, so members need not talk about it; where pictures differ, the store
    decides who gets a shard. Those who own most keep the odd ones: as few shards move as can be.

    Args:
        owners: Who owns each shard of the store; somebody who is no member = it is free.
        members: Those who live.
        mine: The member who asks; it lives.
    """
    held = Counter(owners.values())
    names = sorted({*members, mine}, key=lambda name: (-held[name], name))
    even, odd = divmod(len(owners), len(names))
    due = {name: even + (rank < odd) for rank, name in enumerate(names)}
    free = [number for number, owner in sorted(owners.items()) if owner not in due]
    take, rest = free, free
    for name in names:
        lacking = max(0, due[name] - held[name])
        if name == mine:
            take = rest[:lacking]
        rest = rest[lacking:]
    return Share(take, max(0, held[mine] - due[mine]), free)


def stream_name(number: int) -> str:
    """Return the stream of a shard."""
    return f"shard/{number}"


def shard_of(botcode: str, shards: int) -> int:
    """Return the shard that a bot belongs to. It never changes: every release and every replica must agree on it."""
    return zlib.crc32(botcode.encode()) % shards
