"""The members of a JetStream store: who lives, by nobody's clock but one's own.

A member renews by replacing its record on condition that it is the one that it wrote last. Nothing here expires by a server's clock: one
who has seen a record unchanged for longer than a lifetime, on its own clock, writes a mark in its place on the same condition, and only
then takes what the member had. Of the two writes one succeeds.
"""

import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from wxrc_core.log import Member
from wxrc_store._jetstream_link import Link
from wxrc_store._jetstream_messages import Names
from wxrc_store.port import Lapsed

DEAD = b"dead"
"""What stands in a member's record once it is dead. The record is then deleted: one that is not there is dead too."""

MARGIN = 0.1
"""A member stops by this part of its lifetime before it gives itself up, and others wait by as much longer: so far may the rates of two
clocks differ."""

AWAY = 3.0
"""After so many lifetimes without renewal `alive` is false by the wall clock. It is a hint and ends nobody."""


class Members:
    """The members of a log, as one process sees them."""

    def __init__(self, link: Link, names: Names, lifetime: float, clock: Callable[[], float]) -> None:
        self._link, self._names, self._lifetime, self._clock = link, names, lifetime, clock
        self._renewed: dict[str, int] = {}  # own members: the sequence of the record, and until when they may act
        self._until: dict[str, float] = {}
        self._seen: dict[str, tuple[int, float]] = {}  # others: the sequence, and since when it is seen

    async def join(self, name: str) -> Member:
        """See `Store.join`. The id has the number of the process in it."""
        asked, member = self._clock(), f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        sequence = await self._link.swap(self._names.side, self._subject(member), _fresh(), 0)
        assert sequence is not None, "a member's id is never used twice"
        return self._lives(member, sequence, asked)

    async def renew(self, member: Member) -> Member:
        """See `Store.renew`."""
        asked = self._clock()
        sequence = await self.check(member)
        renewed = await self._link.swap(self._names.side, self._subject(member.id), _fresh(), sequence)
        if renewed is None:  # another task may have renewed it at the same moment, or another process ended it
            self._renewed.pop(member.id)
            await self.check(member)
            return member
        return self._lives(member.id, renewed, asked)

    def _lives(self, member: str, sequence: int, asked: float) -> Member:
        self._renewed[member] = sequence
        self._until[member] = max(asked + (1 - MARGIN) * self._lifetime, self._until.get(member, 0))
        return Member(member, self._until[member])

    async def check(self, member: Member) -> int:
        """Return the sequence of a living member's record.

        Raises:
            Lapsed: It is dead.
        """
        # It is dead even though nobody has seen to it: others would be right to take what it has by now.
        if self._clock() > max(member.until, self._until.get(member.id, 0)) + MARGIN * self._lifetime:
            await self.leave(member.id)
            raise lapsed(member)
        if member.id in self._renewed:
            return self._renewed[member.id]
        found = await self._link.get(self._names.side, last_by_subj=self._subject(member.id))
        if found is None or found.data == DEAD:
            raise lapsed(member)
        self._renewed[member.id] = found.sequence
        return found.sequence

    async def leave(self, member: str) -> None:
        """End a member."""
        self._renewed.pop(member, None)
        await self._link.purge(self._names.side, self._subject(member))

    async def dead(self, member: str) -> bool:
        """Return whether a member is dead; see to it that it is where it has not renewed for long enough."""
        subject = self._subject(member)
        found = await self._link.get(self._names.side, last_by_subj=subject)
        if found is not None and found.data != DEAD:
            sequence, since = self._seen.get(member, (0, 0.0))
            if sequence != found.sequence:
                self._seen[member] = found.sequence, self._clock()  # the record was there before this moment
                return False
            if self._clock() - since < (1 + MARGIN) * self._lifetime:
                return False
            if await self._link.swap(self._names.side, subject, DEAD, found.sequence) is None:
                return False  # it has renewed
        if found is not None:
            await self._link.purge(self._names.side, subject)
        self._seen.pop(member, None)
        return True

    async def alive(self, member: str) -> bool:
        """Return whether a member seems to live."""
        found = await self._link.get(self._names.side, last_by_subj=self._subject(member))
        if found is None or found.data == DEAD:
            return False
        if self._seen.get(member, (0, 0.0))[0] != found.sequence:
            self._seen[member] = found.sequence, self._clock()
        elif self._clock() - self._seen[member][1] >= (1 + MARGIN) * self._lifetime:
            return False
        return time.time() - _seconds(found.time) < AWAY * self._lifetime

    def _subject(self, member: str) -> str:
        return self._names.aside("alive", member)


def lapsed(member: Member) -> Lapsed:
    """Return the error that a dead member gets."""
    return Lapsed(f"The member {member.id} is dead; join anew.")


def _fresh() -> bytes:
    return secrets.token_hex(8).encode()


def _seconds(text: str) -> float:
    """Return the time that a server gave a message (RFC 3339, in nanoseconds), in epoch seconds."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()
