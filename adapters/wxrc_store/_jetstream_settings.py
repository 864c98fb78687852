"""Numbers that belong to a log in JetStream, beside it."""

import secrets

from wxrc_store._jetstream_link import Link
from wxrc_store._jetstream_messages import Names

GAPS_TO = "gaps_to"
"""The position up to which deletions have taken positions."""


class Settings:
    """The numbers of one log."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link, self._names = link, names

    async def get(self, name: str, new: int = 0) -> int:
        """Return a number that belongs to the log; a new one is kept where it has none yet."""
        subject = self._names.aside("setting", name)
        found = await self._link.get(self._names.side, last_by_subj=subject)
        if found is None and new:
            await self._link.swap(self._names.side, subject, _number(new), 0)
            return await self.get(name)
        return 0 if found is None else int(found.data.split()[0])

    async def raise_to(self, name: str, value: int) -> None:
        """Raise a number that belongs to the log."""
        subject = self._names.aside("setting", name)
        for _ in self._link.tries():
            found = await self._link.get(self._names.side, last_by_subj=subject)
            if found is not None and int(found.data.split()[0]) >= value:
                return
            if await self._link.swap(self._names.side, subject, _number(value), found.sequence if found else 0):
                return
        raise AssertionError("unreachable")


def _number(value: int) -> bytes:
    """Return a setting as no one else writes it."""
    return f"{value} {secrets.token_hex(8)}".encode()
