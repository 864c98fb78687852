"""Snapshots: the fold up to a position, kept beside the log, so that a start folds only the tail after it."""

import logging

import anyio

from wxrc_core import snapshot
from wxrc_core.errors import Unavailable
from wxrc_gateway._ledger import Ledger
from wxrc_store.port import Store

log = logging.getLogger("wxrc.gateway")

EVERY = 50_000
"""How many events may follow a snapshot before the next one is made."""

WORTHWHILE = 1_000
"""How many events make a snapshot worthwhile when a gateway leaves."""


class Snapshots:
    """Keeps snapshots of one ledger's world."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger
        self._position = ledger.world.position

    async def run(self) -> None:
        """Save a snapshot whenever enough has happened, until cancelled."""
        while True:
            await self._ledger.reached(self._position + EVERY)
            await self.save()

    async def save(self, at_least: int = 0) -> None:
        """Save a snapshot if at least so many events followed the last one. One that cannot be saved is no loss: the log has everything."""
        world = self._ledger.world
        if world.position - self._position < at_least:
            return
        self._position = position = world.position
        blob = snapshot.encode(world)
        try:
            with anyio.move_on_after(60):
                await self._store.save(position, snapshot.SCHEMA, blob)
        except Unavailable as error:
            log.warning("the snapshot at position %d could not be saved: %s", position, error)
