"""`wxrc export`: a whole log, or what came after a position, as lines that `wxrc import` reads (the form: `_transfer`)."""

import hashlib
import os
from collections.abc import AsyncGenerator

from wxrc_core.errors import Refusal
from wxrc_gateway._transfer import (
    PAGE,
    UNFINISHED,
    Extent,
    Footer,
    Header,
    Sealing,
    SecretLine,
    derived_key,
    event_lines,
    extent,
    written,
)
from wxrc_store._seal import Sealer
from wxrc_store.port import Store, Vault

LEAST_PASSPHRASE = 12
"""The fewest bytes that a passphrase must have."""


async def export_log(
    store: Store, vault: Vault, *, time: str, release: str, after: int = 0, passphrase: bytes | None = None
) -> AsyncGenerator[bytes, None]:
    """Give out a log in whole lines, a page at a time; memory is that of one page.

    It takes what the log has at the beginning, beside a service in use. A log that is pruned meanwhile is noticed: then there is no
    footer, and no import calls such a file complete.

    Args:
        store: The log.
        vault: Its secrets.
        time: Now, for the header.
        release: Which release writes it.
        after: Leave out the events up to this position: the receiving store has them from an earlier export.
        passphrase: Add the secrets, sealed with this; None = leave them out.

    Raises:
        Refusal: It cannot be exported; the sentence says why.
        StoreError: The log cannot be read.
    """
    if passphrase is not None and len(passphrase) < LEAST_PASSPHRASE:
        raise Refusal(f"the passphrase for the secrets must have at least {LEAST_PASSPHRASE} characters")
    if await vault.get(UNFINISHED) is not None:
        raise Refusal("an import into this store is unfinished; finish it first")
    position, events = await _count(store, after)
    if after and position == after and await store.at(after) is None:
        raise Refusal(f"the log ends before position {after}")
    sealer, sealing = _sealer(passphrase)
    header = Header(
        release=release,
        time=time,
        shards=store.shards,
        after=after,
        known=await extent(store, after) if after else Extent(0, hashlib.sha256().hexdigest()),
        position=position,
        events=events,
        # Read after the count: what a prune had deleted by then lies below it.
        told_to=min(await store.told_to(), position),
        gaps_to=min(await store.gaps_to(), position),
        sealing=sealing,
    )
    digest = hashlib.sha256()
    line = written(header)
    digest.update(line)
    yield line
    exported, at = 0, after
    while at < position and (page := await store.read_all(at, PAGE)):
        at = page[-1].position
        page = [each for each in page if each.position <= position]
        exported += len(page)
        lines = event_lines(page)
        digest.update(lines)
        yield lines
    if exported != events:
        # A stream that loses its later events in the middle of this would look open where it is imported, and be sent again.
        raise Refusal("the log was pruned while it was exported; export it again when `wxrc prune` has ended")
    secrets = 0
    if sealer is not None:
        for name in await vault.names():
            secret = await vault.get(name)
            if secret is not None:
                line = written(SecretLine(name, sealer.seal(name, secret)))
                digest.update(line)
                yield line
                secrets += 1
    yield written(Footer(events=events, secrets=secrets, sha256=digest.hexdigest()))


async def _count(store: Store, after: int) -> tuple[int, int]:
    """Return the position of the log's last event, and how many events lie above `after`."""
    events = 0
    while page := await store.read_all(after, PAGE):
        events += len(page)
        after = page[-1].position
    return after, events


def _sealer(passphrase: bytes | None) -> tuple[Sealer | None, Sealing | None]:
    if passphrase is None:
        return None, None
    salt = os.urandom(16)
    sealer = Sealer(derived_key(passphrase, salt))
    return sealer, Sealing(salt.hex(), sealer.seal("", b""))
