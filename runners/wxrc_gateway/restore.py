"""`wxrc import`: what `wxrc export` wrote goes into another store, under the same positions (the form: `_transfer`).

Every line is checked before its event is written: that it follows in position and version, that it can be read, and, where the store
has events already, that they are the same ones. So an import that was interrupted is simply run again: it compares what is there and
goes on behind it. The footer says whether it was all. Until then the vault has a mark, and no service starts on the log.
"""

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
from attrs import field, frozen, mutable

from wxrc_core import codec
from wxrc_core.errors import Refusal, WxrcError
from wxrc_core.log import Recorded
from wxrc_gateway._transfer import FORMAT, LINE_LIMIT, PAGE, UNFINISHED, Header, Line, derived_key, extent
from wxrc_store._seal import Sealer
from wxrc_store.port import Store, StoreError, Vault

BATCH_BYTES = 4 * 1024 * 1024
"""A batch is written once it has so many bytes, or `PAGE` events."""

Read = Callable[[], Awaitable[bytes]]
"""Returns the next bytes, as many as it likes; none at the end."""

Progress = Callable[[int], object]
"""Told the position up to which the store has the log."""


@frozen
class Imported:
    """What an import did.

    Attributes:
        events: How many events were written.
        held: How many of the file's events were there before.
        secrets: How many secrets were written; None = the file has none.
        position: That of the last event.
    """

    events: int
    held: int
    secrets: int | None
    position: int


async def check_finished(vault: Vault) -> None:
    """See that the log is not what an interrupted import left behind.

    Raises:
        Refusal: It is.
    """
    if await vault.get(UNFINISHED) is not None:
        raise Refusal(
            "an import into this store is unfinished, and messages may be missing; run the same `wxrc import` again to"
            " finish it"
        )


async def import_log(
    store: Store,
    vault: Vault,
    read: Read,
    *,
    passphrase: bytes | None = None,
    progress: Progress = lambda position: None,
) -> Imported:
    """Write an exported log into a store that is empty, or that has a beginning of the same log. Nothing else may run on the store.

    Args:
        store: Where it goes.
        vault: Where its secrets go.
        read: Reads on in what `export_log` gave out.
        passphrase: What the secrets were sealed with.
        progress: Told how far it is.

    Raises:
        Refusal: What is read cannot go into this store, is damaged or not complete; the sentence says which line and what to do.
        StoreError: The store failed; run it again.
    """
    lines = _Lines(read)
    header, digest = await _header(lines, store.shards)
    sealer = _sealer(header, passphrase)
    if header.after and await extent(store, header.after) != header.known:
        raise Refusal(
            f"this file goes on from position {header.after} of a log, and this store does not have that log up to there;"
            " import the earlier file first, or a whole one into an empty store"
        )
    if any(owner.alive for owner in (await store.owners()).values()):
        raise Refusal("a service runs on this store; stop it first")
    reading = _Reading(store, vault, header, progress)
    secrets, number, footer = 0, 1, None
    while (text := await lines.next()) is not None:
        number += 1
        if footer is not None:
            raise Refusal(f"line {number} follows the file's end")
        line = _decoded(text, number)
        if line.end:
            footer = line
            await reading.end()
            continue
        digest.update(text + b"\n")
        if line.secret and sealer is not None:
            secrets += 1
            await reading.end()
            await reading.mark()
            await vault.put(line.secret, sealer.open(line.secret, line.sealed))
        else:
            await reading.take(line, number, len(text))
    if footer is None:
        await reading.write()
        raise Refusal(
            f"the file ends after line {number}, before its end mark: it is not complete. What was read is in the store, up to"
            f" position {reading.position}; run the import again with the whole file to go on"
        )
    found = (reading.events + reading.held, secrets, digest.hexdigest())
    if found != (footer.events, footer.secrets, footer.sha256):
        raise Refusal(
            f"the file is damaged: it has {found[0]} events and {found[1]} secrets where its end mark says {footer.events} and"
            f" {footer.secrets}, or a line was changed. Do not use this store: export again, into an empty one"
        )
    await store.set_gaps_to(header.gaps_to)
    await store.set_told_to(header.told_to)
    await vault.delete(UNFINISHED)
    return Imported(reading.events, reading.held, None if sealer is None else secrets, reading.position)


@mutable
class _Reading:
    """The events of a file on their way into a store."""

    store: Store
    vault: Vault
    header: Header
    progress: Progress
    position: int = field(init=False)
    events: int = 0
    held: int = 0
    _own: list[Recorded] = field(factory=list)  # what the store has already, the next one last
    _own_after: int = field(init=False)
    _batch: list[Recorded] = field(factory=list)
    _bytes: int = 0
    _marked: bool = False

    def __attrs_post_init__(self) -> None:
        self.position = self._own_after = self.header.after

    async def take(self, line: Line, number: int, size: int) -> None:
        """Take in the next event."""
        recorded = _recorded(line, number)
        expected = self.position + 1
        gapless_from = max(self.header.told_to, self.header.gaps_to)
        if recorded.position < expected or (recorded.position > expected and self.position >= gapless_from):
            raise Refusal(
                f"line {number} has position {recorded.position} where {expected} is due: the file is damaged"
            )
        if (own := await self._next_own()) is not None:
            if own != recorded:
                raise Refusal(
                    f"this store has another log: its event at position {own.position} is not that of line {number}."
                    " An import needs an empty store, or one with a beginning of the same log"
                )
            self.held += 1
        else:
            self._batch.append(recorded)
            self._bytes += size
            if len(self._batch) >= PAGE or self._bytes >= BATCH_BYTES:
                await self.write()
        self.position = recorded.position

    async def mark(self) -> None:
        """Mark the log as unfinished, before the first thing is written."""
        if not self._marked:
            await self.vault.put(UNFINISHED, b"")
            self._marked = True

    async def write(self) -> None:
        """Write what waits."""
        if self._batch:
            await self.mark()
            await self.store.restore(self._batch)
            self.events += len(self._batch)
            self.progress(self._batch[-1].position)
            self._batch, self._bytes = [], 0

    async def end(self) -> None:
        """Take note that no more events come."""
        await self.write()
        if not self.events and (more := await self.store.read_all(self.position, 1)):
            raise Refusal(
                f"this store has events behind the file's last one, from position {more[0].position} on: what the file has is"
                " there already, and nothing was written"
            )

    async def _next_own(self) -> Recorded | None:
        if self.events or self._batch:
            return None  # beyond the end of what it had
        if not self._own:
            self._own = list(reversed(await self.store.read_all(self._own_after, PAGE)))
            if not self._own:
                return None
            self._own_after = self._own[0].position
        return self._own.pop()


@mutable
class _Lines:
    """Lines without their ends. A last one without an end is no line: it was cut off."""

    read: Read
    _lines: deque[bytes] = field(factory=deque)
    _rest: bytes = b""

    async def next(self) -> bytes | None:
        """Return the next line, or None."""
        while not self._lines:
            chunk = await self.read()
            if not chunk:
                return None
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(lines)
            if len(self._rest) > LINE_LIMIT:
                raise Refusal(f"a line has more than {LINE_LIMIT:,} bytes: this is no file of `wxrc export`")
        return self._lines.popleft()


async def _header(lines: _Lines, shards: int) -> tuple[Header, "hashlib._Hash"]:
    text = await lines.next() or b""
    try:
        form = msgspec.json.decode(text)["format"]
        if form != FORMAT:
            raise Refusal(
                f"the file has format {form}; this release reads format {FORMAT}. Use the release that wrote it"
            )
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.DecodeError, TypeError, KeyError):
        raise Refusal("the first line is not that of a file of `wxrc export`") from None
    if header.shards != shards:
        raise Refusal(
            f"the log is spread over {header.shards} shards and this store over {shards}: make it with as many"
        )
    return header, hashlib.sha256(text + b"\n")


def _sealer(header: Header, passphrase: bytes | None) -> Sealer | None:
    if header.sealing is None:
        if passphrase is not None:
            raise Refusal("the file has no secrets: export it again with them, or import it without `--with-secrets`")
        return None
    if passphrase is None:
        raise Refusal("the file has secrets: name the file with their passphrase by `--with-secrets`")
    sealer = Sealer(derived_key(passphrase, bytes.fromhex(header.sealing.salt)))
    try:
        sealer.open("", header.sealing.check)
    except StoreError:
        raise Refusal("the secrets do not open with this passphrase; nothing was written") from None
    return sealer


_line_decoder = msgspec.json.Decoder(Line)


def _decoded(text: bytes, number: int) -> Line:
    try:
        return _line_decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Refusal(f"line {number} is damaged: {error}") from None


def _recorded(line: Line, number: int) -> Recorded:
    try:
        event = codec.decode(line.type, line.schema, bytes(line.data))
    except msgspec.DecodeError:
        raise Refusal(f"line {number} is damaged: it has no event of the type {line.type!r}") from None
    except WxrcError as error:
        raise Refusal(f"line {number}: {error}") from None
    return Recorded(line.position, line.stream, line.version, event)
