"""The interface of an event store and of the vault beside it (design.md, Stores).

A store is an async context manager and runs the same under asyncio and trio. Every replica opens a handle of its own.

*Ownership.* Work is spread over a fixed number of shards. The epoch of shard n is the version of the stream `shard/<n>`: `acquire`
appends `ShardTaken` to it, `release` appends `ShardFreed`. An entry with a fence is written only while that stream still has the fence's
version, checked in the same atomic step: whether an owner may write is never a question of time. Whether it is alive is one: it joins as
a member and renews.
"""

from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from wxrc_core.errors import Unavailable, WxrcError
from wxrc_core.log import Entry, Lease, Member, Outcome, Owner, Recorded


class Store(Protocol):
    """An append-only log of events in streams, the ownership of shards, and snapshots of what was folded from the log."""

    @property
    def shards(self) -> int:
        """Into how many shards the bots are spread. Fixed when the store is made; known once the store is open."""

    @property
    def lifetime(self) -> float:
        """How long a member lives without renewing (seconds). Every replica must use the same; renew three times as often."""

    def monotonic(self) -> float:
        """Return the time of the clock that `Member.until` is measured on (seconds). It is never set."""

    async def __aenter__(self) -> Self:
        """Open the log; events of a newer release in it raise `StoreError` here, naming the release that is needed."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is being written and close."""

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """Append entries, each all or nothing and independent of the others; durable before it returns.

        Two entries for the same stream in one batch are taken in order. Every store takes entries of up to 1,000 events.

        Returns:
            One outcome per entry, in order: `Appended` with the position of its first event, `Conflict` with the actual version, or
            `Fenced` where its epoch is over.

        Raises:
            StoreError: The outcome of the batch is unknown: read back by identity.
            InvalidValue: An event could not be read back. Nothing of the batch was written.
        """

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a stream with a version above `after`, in order. It sees every append acknowledged before the call."""

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """Return up to `limit` events with a position above `after`, in position order.

        Nothing is skipped but what `forget` has deleted: positions never change, so a pruned log has gaps.
        """

    async def at(self, position: int) -> Recorded | None:
        """Return the event at a position; None beyond the end of the log, and where the event was deleted."""

    async def changed(self, after: int) -> None:
        """Return when the log has, or may have, an event with a position above `after`.

        It may return early; polling with `read_all` is the truth. News from other processes arrive too.

        Raises:
            StoreError: The log cannot be reached just now.
        """

    async def probe(self) -> None:
        """Prove that an append would become durable now, by writing something that is no event and takes no position.

        A gateway asks every second whether or not there is traffic, so it must cost no more than a small append.

        Raises:
            StoreError: It would not, or what was appended earlier is no longer there; the sentence says why.
        """

    # -- ownership --------------------------------------------------------------------------------------------------------------

    async def join(self, name: str) -> Member:
        """Return a new member that lives for `lifetime`. Its id starts with `name` and is never used again."""

    async def renew(self, member: Member) -> Member:
        """Return the member with a later `until`. Effects begin only before `until`.

        Raises:
            Lapsed: The member is dead, for good: stop everything that it owns, and join anew.
            StoreError: Unknown; `member.until` still counts.
        """

    async def leave(self, member: Member) -> None:
        """End the member; others may take its shards at once. It writes nothing: `release` first, so that the log says who let go."""

    async def acquire(self, member: Member, shards: Sequence[int], at: int) -> Mapping[int, Lease]:
        """Take those of the shards that are free or whose member is dead, and append `ShardTaken` to each: that is the new epoch.

        A shard that the member has already is returned with the lease that it has, so a call whose answer was lost may be repeated.
        The others are left out. A store may leave out free ones too, as SQLite does while another process owns any.

        Args:
            member: Who takes them.
            shards: Their numbers.
            at: Now (epoch ms), for the event.

        Raises:
            Lapsed: The member is dead.
        """

    async def release(self, leases: Sequence[Lease], at: int) -> None:
        """Append `ShardFreed` under the fence of each lease: its epoch is over at once. Leases of epochs that are over are left alone."""

    async def members(self) -> Sequence[str]:
        """Return the ids of the members that live, of those that can own shards beside each other. A hint like `owners`."""

    async def owners(self) -> Mapping[int, Owner]:
        """Return who owns each shard. A hint, for balancing and for people: it may be outdated when it arrives."""

    # -- beside the log ---------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """Keep a snapshot of what was folded up to a position, whole or not at all. The two newest of each schema are kept."""

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """Return the newest snapshot of one of these schemas that is whole (position, schema, blob), or None."""

    async def forget(self, streams: Mapping[str, int]) -> int:
        """Delete whole streams, for ever. Their positions stay empty, and a stream of that name would begin at version 1 again.
        A store may take further positions for the deletion, which stay empty too: `gaps_to` says how far.

        It may be interrupted at any moment and repeated: a stream is there whole or not at all. It runs beside a service in use.

        Args:
            streams: The version that each stream must still have. One that was appended to meanwhile is left alone, and so is
                the one with the newest event of the log, from which the next position follows.

        Returns:
            How many streams were deleted.

        Raises:
            ValueError: One is the stream of a shard, whose versions are epochs.
        """

    async def restore(self, records: Sequence[Recorded]) -> None:
        """Append events under the positions that they have in the log they come from (`wxrc import`).

        Durable before it returns. Positions rise, beginning above the end of this log; they may leave gaps, as
        `forget` does. Each version follows that of its stream. Nothing else than an import uses this: what runs on the log meanwhile
        would see positions that it did not write.

        Raises:
            Refusal: A position or version does not follow; nothing was written. The sentence says which.
            StoreError: It is unknown whether they were written: read back by position. A beginning of them may be there.
        """

    async def told_to(self) -> int:
        """Return the position up to which everything that was due because of an event has been recorded; 0 = not known."""

    async def set_told_to(self, position: int) -> None:
        """Raise what `told_to` returns; a lower position changes nothing. Durable before it returns."""

    async def gaps_to(self) -> int:
        """Return the position up to which positions may be empty that `forget` took; above it and `told_to` there is no gap."""

    async def set_gaps_to(self, position: int) -> None:
        """Raise what `gaps_to` returns, for an import; a lower position changes nothing. Durable before it returns."""


class Vault(Protocol):
    """Small named secrets that change: keys, webhook secrets, session credentials, options. Encrypted at rest where it is durable."""

    async def put(self, name: str, secret: bytes) -> None:
        """Keep a secret durably, in place of an earlier one of that name."""

    async def get(self, name: str) -> bytes | None:
        """Return the secret, or None."""

    async def delete(self, name: str) -> None:
        """Forget the secret; nothing happens where there is none."""

    async def names(self) -> Sequence[str]:
        """Return the names of all secrets, sorted: for an export, which must not forget one."""


class Media(Protocol):
    """Files that are too large for the log, by the SHA-256 of their bytes: what is there never changes, and the same file is there once.

    It stands beside the log, so that every replica that reads the one can read the other. It runs the same under asyncio and trio.
    """

    async def put(self, data: bytes) -> str:
        """Keep a file durably; return its SHA-256 (hex). Keeping it again is harmless.

        Raises:
            StoreError: It could not be kept, or it is not known whether it was; try again.
        """

    async def get(self, digest: str) -> bytes | None:
        """Return the bytes with this SHA-256, or None where there are none that have it.

        Raises:
            StoreError: The files are unavailable just now.
        """

    async def forget(self, before: int, keep: Collection[str]) -> int:
        """Delete what was last put before this time (epoch ms) and is not among `keep`; return how many files."""


class StoreError(Unavailable):
    """The store is unavailable or failed. The message is a sentence for people; the caller answers 503 / code 22 and tries again later."""


class StoreInUse(StoreError):
    """Another process holds the store in a way that forbids this use. The message says who."""


class NewerEvents(StoreError):
    """The log has events that this release does not know. The message says which release is needed."""


class Lapsed(WxrcError):
    """The member is dead and stays so; others may own its shards by now. Stop everything that it owns, and join anew."""
