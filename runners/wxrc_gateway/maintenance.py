"""What an operator does to a log as a whole: `verify` reads and judges all of it, `prune` moves what has ended into an archive."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from attrs import field, frozen, mutable

from wxrc_core import aggregate, bot, codec, delivery, message, snapshot
from wxrc_core.errors import Refusal
from wxrc_core.log import Recorded
from wxrc_core.message import Message
from wxrc_core.table import Table
from wxrc_core.world import World
from wxrc_gateway._transfer import event_line
from wxrc_store.port import Media, Store

PAGE = 5_000
CHUNK = 500
"""Streams that are deleted at once."""

KEEP_DAYS = 2
"""Younger messages are never pruned: their txcodes can still come again (wire.md, Once only)."""

Progress = Callable[[int], object]
"""Told the position up to which the log has been read."""


# -- verify ---------------------------------------------------------------------------------------------------------------------


@frozen
class Verdict:
    """What `verify` found.

    Attributes:
        events: How many events were folded.
        position: That of the last one.
        snapshot: The position of the snapshot that was compared; 0 = there is none that this release understands.
        wrong: What does not hold, in sentences; the first names the first wrong event.
    """

    events: int
    position: int
    snapshot: int
    wrong: tuple[str, ...]


_TABLES: tuple[Table[Any], ...] = (bot.TABLE, delivery.TABLE, message.TABLE)


async def verify(store: Store, progress: Progress = lambda position: None) -> Verdict:
    """Fold the whole log, check every event, and compare the newest snapshot with the fold.

    Checked are: positions without a gap (above what was pruned), versions without a gap, only declared transitions, the fold of
    each event, the snapshot, and that each open stream read by itself has the version that the fold says.

    Raises:
        StoreError: The log cannot be read; the sentence names the first event that cannot.
    """
    newest = await store.newest([snapshot.SCHEMA])
    pruned_to = await store.told_to()
    world = World(pruned_to)
    checks = _Checks(max(pruned_to, await store.gaps_to()))
    compared = 0
    while page := await store.read_all(world.position, PAGE):
        for recorded in page:
            checks.check(recorded)
            if checks.wrong:
                return Verdict(checks.events, recorded.position, compared, tuple(checks.wrong))
            if recorded.stream in world.doubts:
                world.recall(recorded.stream, await store.read(recorded.stream))
            world.fold(recorded, 0)
            if newest is not None and recorded.position == newest[0] and newest[0] >= pruned_to:
                compared = newest[0]
                if difference := snapshot.difference(world, newest[2], pruned=checks.pruned):
                    checks.wrong.append(f"the snapshot at position {compared} is not the fold of the log: {difference}")
        progress(world.position)
    for stream, open_message in world.messages.items():
        found = await store.read(stream)
        if len(found) != open_message.version:
            checks.wrong.append(
                f"stream {stream} has {len(found)} events by itself, and {open_message.version} in the log"
            )
            break
    return Verdict(checks.events, world.position, compared, tuple(checks.wrong))


@mutable
class _Checks:
    """The checks of single events, and what they must remember."""

    pruned_to: int
    pruned: bool = False
    events: int = 0
    wrong: list[str] = field(factory=list)
    _position: int = 0
    _versions: dict[str, int] = field(factory=dict)
    _states: dict[str, str] = field(factory=dict)

    def check(self, recorded: Recorded) -> None:
        stream, event = recorded.stream, recorded.event
        name = codec.NAMES[type(event)]
        where = f"event {recorded.position} ({name}, version {recorded.version} of {stream})"
        self.events += 1
        gap = recorded.position != self._position + 1
        self.pruned = self.pruned or gap
        if gap and self._position >= self.pruned_to:
            self.wrong.append(f"{where} follows position {self._position}: there is a gap")
        self._position = recorded.position
        if recorded.version != self._versions.get(stream, 0) + 1:
            self.wrong.append(f"{where} follows version {self._versions.get(stream, 0)} of its stream")
        self._versions[stream] = recorded.version
        for table in _TABLES:
            possible = table.next.get(type(event))
            if possible is None:
                continue
            before = self._states.get(stream, "new")
            after = possible.get(before)
            if after is None:
                self.wrong.append(f"{where} is not possible in state '{before}'")
            else:
                self._states[stream] = str(after)


# -- prune ----------------------------------------------------------------------------------------------------------------------


@frozen
class Pruned:
    """What `prune` did: streams and events moved to the archive, and the position up to which nothing is due any more."""

    streams: int
    events: int
    position: int


async def prune(
    store: Store, before: int, archive: Path, now: int, progress: Progress = lambda position: None
) -> Pruned:
    """Move closed streams whose last event is older than `before` into an archive, and delete them from the log.

    Messages that have ended, their deliveries, operations that were carried out and inbound messages are closed; bots, channels,
    shards and whatever is still open stay. Every event is in the archive, on disk, before it is deleted: interrupted anywhere,
    repeat it (an event may then stand in the archive twice). It runs beside a service in use. The archive is gzip of one JSON
    object per line and event. Images that were last stored before that time, and that no open message needs, are deleted; they are not in
    the archive.

    Args:
        store: The log.
        before: Epoch ms; at least two days ago.
        archive: A file to append to; made where there is none.
        now: Epoch ms.
        progress: Told how far the log has been read.

    Raises:
        Refusal: The date or the file cannot be used; the sentence says why.
        StoreError: The store failed; repeat it.
    """
    if before > now - KEEP_DAYS * 86_400_000:
        day = datetime.fromtimestamp((now - KEEP_DAYS * 86_400_000) / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        raise Refusal(
            f"--before must be at least {KEEP_DAYS} days ago (before {day} UTC): younger txcodes can come again"
        )
    world = World(await store.told_to())
    ages: dict[str, tuple[int, int]] = {}  # stream -> its version, when it was written last
    newest = ""  # the stream with the log's newest event, from which the next position follows: it stays
    while page := await store.read_all(world.position, PAGE):
        for recorded in page:
            if recorded.stream in world.doubts:
                world.recall(recorded.stream, await store.read(recorded.stream))
            world.fold(recorded, 0)
            newest = recorded.stream
            if recorded.stream.startswith(("message/", "delivery/", "inbound/")):
                ages[recorded.stream] = (recorded.version, recorded.event.at)
        progress(world.position)
    # Whatever is due because of events up to here is in the log. A fold from the start must not make it due a second time.
    position = world.position - 1
    for bot_world in world.bots.values():
        first = bot_world.deliveries.first_unrecorded()
        if first is not None:
            position = min(position, first - 1)
    open_streams = set(world.messages) | set(world.doubts) | set(world.delivery_bots)
    waiting = {recorded_at for bot_world in world.bots.values() for recorded_at in bot_world.operations}
    closed: dict[str, int] = {}
    for stream, (version, at) in ages.items():
        if at >= before or stream in open_streams or stream == newest:
            continue
        first_event = (await store.read(stream))[:1]
        if first_event and (first_event[0].position in waiting or first_event[0].position > position):
            continue
        closed[stream] = version
    await store.save(world.position, snapshot.SCHEMA, snapshot.encode(world))
    await store.set_told_to(position)
    events = streams = 0
    names = list(closed)
    try:
        with archive.open("ab") as file:
            os.chmod(archive, 0o600)  # it has texts in it
            for at in range(0, len(names), CHUNK):
                part = {name: closed[name] for name in names[at : at + CHUNK]}
                events += await _archive(store, part, file)
                streams += await store.forget(part)
    except OSError as error:
        raise Refusal(
            f"the archive {archive} cannot be written: {error.strerror}; nothing was deleted without being in it"
        ) from error
    media: Media | None = getattr(store, "media", None)
    if media is not None:
        await media.forget(before, await _images_in_use(store, world))
    return Pruned(streams, events, position)


async def _images_in_use(store: Store, world: World) -> set[str]:
    """Return the digests of the images that may still be sent: of open messages, and of those in doubt."""
    states = [each.state for each in world.messages.values()]
    for stream in world.doubts:
        state, _ = aggregate.fold(await store.read(stream))
        states += [state] if isinstance(state, Message) else []
    return {state.image.digest for state in states if state.image is not None}


async def _archive(store: Store, streams: dict[str, int], file: BinaryIO) -> int:
    lines = [event_line(recorded) for stream in streams for recorded in await store.read(stream)]
    if lines:
        # On the loop: whoever prunes has nothing else to do meanwhile.
        file.write(gzip.compress(b"".join(lines), 6))
        file.flush()
        os.fsync(file.fileno())
    return len(lines)
