"""Where a start begins: the newest snapshot that this release understands."""

import logging

from wxrc_core import snapshot
from wxrc_core.world import World
from wxrc_gateway._clock import mono
from wxrc_store.port import Store

log = logging.getLogger("wxrc.gateway")


async def newest_world(store: Store) -> World | None:
    """Return the world of the newest snapshot that this release understands, or None."""
    found = await store.newest([snapshot.SCHEMA])
    if found is None:
        return None
    position, _, blob = found
    if position < await store.told_to():
        return None  # older than what was pruned: what ended since is no longer in the log
    try:
        return snapshot.decode(blob, mono())
    except ValueError as error:
        log.warning("the snapshot at position %d cannot be read and is not used: %s", position, type(error).__name__)
        return None
