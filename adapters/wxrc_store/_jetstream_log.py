"""The writing half of the JetStream store's log: a group as one atomic batch, and each entry by itself where that is refused.

A message carries up to one condition on a subject, "the last message there has this sequence". A fence is such a condition: the next epoch
of the shard does not exist. That the event before is where it was is one too, since a deleted stream must not go on. That event n is not
there yet needs none: the server takes one message for each subject. A batch is taken as a whole, so a fence stands at any message that has
room for it. Where none has, as at a single claim, it takes the place of the other condition, and the batch is taken only if nothing at all
was written since the streams were looked at: the log's last sequence is the third kind of condition.

A batch that is refused is halved until the entry is found that was the reason; what became of that one is then looked up, as it is when an
answer was lost. Each entry has an id for that. What was sent may still be under way then, so a verdict counts only if it excludes for ever
that the entry is written: another event n stands there, or the fence is over and the same look shows that event n is not there.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence

from wxrc_core.log import Appended, Conflict, Fence, Fenced, Outcome
from wxrc_core.shard import stream_name
from wxrc_store._jetstream_answers import EXPECTED, EXPECTED_LAST, EXPECTED_SUBJECT, NoAnswer
from wxrc_store._jetstream_batch import Message, Plan, parts, publish_batch
from wxrc_store._jetstream_files import Files
from wxrc_store._jetstream_link import PAUSE, Link, gathered
from wxrc_store._jetstream_messages import LARGE, Names, Packed, pack, place_of
from wxrc_store._jetstream_read import Reader
from wxrc_store._rows import RELEASE, Append, EncodedEntry
from wxrc_store._seen import Mark, Seen, digest
from wxrc_store.port import StoreError

ROOM = 4_096
"""So many bytes of a message are left for what stands around an event."""

GUARDED_TRIES = 20
"""So often a batch is tried that must find the log as it was, before it is halved: each time others were quicker."""


class JetStreamLog:
    """Writes the log: a `Backend` of the group writer, in whose thread its methods are called; the work is done on the link's loop.

    Attributes:
        lost: Why the log can no longer be used; None = it can. It stays so until the store is opened again.
    """

    def __init__(self, link: Link, names: Names, reader: Reader, files: Files, seen: Seen) -> None:
        self.lost: StoreError | None = None
        self._link, self._names, self._reader, self._files, self._seen = link, names, reader, files, seen
        self._log = 0
        self._made = ""  # when the stream was made
        self._mark = Mark(0, "")
        self._last_sequence = 0
        self._kinds: set[tuple[str, int]] = set()

    async def begin(self, log: int) -> int:
        """Begin to use a log of this identity; return the position of its last event.

        Raises:
            StoreError: It went back since it was used here last.
        """
        self._log = log
        found = self._seen.read()
        if found is not None and found[0] == log:
            self._mark = found[1]
            there = await self._link.get(self._names.events, seq=self._mark.position)
            if there is not None and _digest_of(there.subject, there.data) != self._mark.digest:
                self.lost = self._seen.lost(f"has another event at position {self._mark.position} than it had")
        return await self._head()

    # -- in the writer's thread -------------------------------------------------------------------------------------------------

    def commit(self, group: Sequence[Append]) -> tuple[Sequence[Sequence[Outcome]], int]:
        """See `Backend.commit`."""
        return self._link.wait(self._commit(group))

    def head(self) -> int:
        """See `Backend.head`. It also sees that the log did not go back."""
        return self._link.wait(self._head())

    def close(self) -> None:
        """See `Backend.close`."""
        self._seen.write(self._log, self._mark, now=True)
        self._link.close()

    def check(self) -> None:
        """Raise `StoreError` once the log went back."""
        if self.lost is not None:
            raise StoreError(*self.lost.args)

    # -- the head ---------------------------------------------------------------------------------------------------------------

    async def last_sequence(self) -> int:
        """Return the sequence of the log's last message, also of one that is gone."""
        return int((await self._link.call(f"STREAM.INFO.{self._names.events}"))["state"]["last_seq"])

    async def _head(self) -> int:
        self.check()
        info = await self._link.call(f"STREAM.INFO.{self._names.events}")
        last = int(info["state"]["last_seq"])
        if self._made and info["created"] != self._made:
            self.lost = self._seen.lost("is not the one that was there before")
        elif last < self._mark.position:
            self.lost = self._seen.lost(f"has gone back from position {self._mark.position} to {last}")
        self.check()
        self._made = info["created"]
        if last != self._last_sequence:
            newest = await self._link.get(self._names.events, seq=last)
            if newest is None or not newest.subject.startswith(self._names.every_event[:-1]):
                position = await self._reader.head()
                newest = await self._link.get(self._names.events, seq=position) if position else None
            if newest is not None and newest.sequence > self._mark.position:
                self._mark = Mark(newest.sequence, _digest_of(newest.subject, newest.data))
                self._seen.write(self._log, self._mark)
            self._last_sequence = last
        return self._mark.position

    async def _probe(self) -> None:
        """Have a majority of the servers agree on, and write down, the deletion of nothing."""
        await self._head()
        await self._link.purge(self._names.events, f"{self._names.every_filler[:-1]}probe")

    def _advance(self, plans: Sequence[Plan], position: int) -> None:
        """Take in that plans were written, from a position on."""
        self._reader.versions.wrote(position, position + sum(len(plan.bodies) for plan in plans) - 1)
        for plan in plans:
            position += len(plan.bodies)
            self._reader.versions.note(plan.entry.stream, plan.entry.expected + len(plan.bodies), position - 1)
        if position - 1 > self._mark.position:
            last = plans[-1]
            subject = self._names.event(last.entry.stream, last.entry.expected + len(last.bodies))
            self._mark = Mark(position - 1, _digest_of(subject, last.bodies[-1]))
            self._last_sequence = max(self._last_sequence, position - 1)

    # -- appending --------------------------------------------------------------------------------------------------------------

    async def _commit(self, group: Sequence[Append]) -> tuple[list[list[Outcome]], int]:
        self.check()
        entries = [entry for work in group for entry in work.entries]
        outcomes: list[Outcome] = []
        before = self._mark.position
        if entries:
            await self.remember_kinds((kind, schema) for entry in entries for kind, schema, _ in entry.events)
            outcomes = await _Group(self, self._link, self._names, self._reader, self._advance).write(
                await self._plans(entries)
            )
        if not all(work.entries for work in group):
            await self._probe()
        if self._mark.position > before:
            self._seen.write(self._log, self._mark)
            await self.tell()
        results: list[list[Outcome]] = []
        for work in group:
            results.append(outcomes[: len(work.entries)])
            del outcomes[: len(work.entries)]
        return results, self._mark.position

    async def tell(self) -> None:
        """Tell other processes that the log has grown: a hint, which may be lost."""
        try:
            await self._link.send(self._names.news, b"")
        except NoAnswer:
            return

    async def _plans(self, entries: Sequence[EncodedEntry]) -> list[Plan]:
        """Make the messages of entries, and find out which version each stream has where that is needed."""
        first: dict[str, int] = {}
        for entry in entries:
            first.setdefault(entry.stream, entry.expected)
        unknown = [stream for stream, expected in first.items() if not self._expects(stream, expected)]
        # A conflict is what was read just now, and not what others have noted meanwhile.
        versions = first | dict(zip(unknown, await gathered(self._reader.version, unknown), strict=True))
        plans = []
        for index, entry in enumerate(entries):
            version = versions[entry.stream]
            plan = Plan(index, entry, secrets.token_hex(8), [])
            if version == entry.expected:
                plan.bodies = await self.bodies(plan.id, entry.events)
                versions[entry.stream] = version + len(entry.events)
            else:
                plan.conflict = version
            plans.append(plan)
        return plans

    def _expects(self, stream: str, expected: int) -> bool:
        found = self._reader.versions.get(stream)
        return expected == 0 if found is None else expected == found.number

    async def bodies(self, entry: str, events: Sequence[tuple[str, int, bytes]]) -> list[bytes]:
        """Return the messages of events; what is too large for one is kept as a file."""
        bodies = []
        for kind, schema, data in events:
            packed = Packed(entry, kind, schema, data)
            if len(data) > self._link.payload - ROOM:
                packed = Packed(entry, LARGE + kind, schema, await self._files.write_event(data))
            bodies.append(pack(packed))
        return bodies

    async def remember_kinds(self, kinds: Iterable[tuple[str, int]]) -> None:
        """Note new kinds of event before the first one of them is written: an older release must not read past them."""
        for kind, schema in set(kinds) - self._kinds:
            subject = self._names.aside("type", kind, str(schema))
            await self._link.swap(self._names.side, subject, RELEASE.encode(), 0)
            self._kinds.add((kind, schema))


class _Group:
    """Entries that are written together, each with an outcome of its own."""

    def __init__(
        self,
        log: JetStreamLog,
        link: Link,
        names: Names,
        reader: Reader,
        advance: Callable[[Sequence[Plan], int], None],
    ) -> None:
        self._log, self._link, self._names, self._reader, self._advance = log, link, names, reader, advance
        self._outcomes: dict[int, Outcome] = {}
        self._changed: set[str] = set()  # streams that are not as they were when the group was planned

    async def write(self, plans: Sequence[Plan]) -> list[Outcome]:
        """Write what can be written; return an outcome per entry, in order."""
        for part in parts(plans):
            await self._write(part)
        return [self._outcomes[plan.index] for plan in plans]

    async def _write(self, part: Sequence[Plan]) -> None:
        if not any(plan.entry.stream in self._changed for plan in part):
            writing = [plan for plan in part if plan.conflict is None]
            last = await self._publish(writing) if writing else 0
            if last is not None:
                self._written(writing, last)
                self._outcomes |= {plan.index: Conflict(plan.conflict) for plan in part if plan.conflict is not None}
                return
        if len(part) > 1:
            await self._write(part[: len(part) // 2])
            await self._write(part[len(part) // 2 :])
            return
        plan = part[0]
        outcome = self._outcomes[plan.index] = await self._settle(plan)
        if not isinstance(outcome, Appended):
            self._changed.add(plan.entry.stream)

    def _written(self, plans: Sequence[Plan], last: int) -> None:
        position = last - sum(len(plan.bodies) for plan in plans) + 1
        self._advance(plans, position)
        for plan in plans:
            self._outcomes[plan.index] = Appended(position)
            position += len(plan.bodies)

    async def _settle(self, plan: Plan) -> Outcome:
        """Find out what became of one entry; write it where nothing speaks against it."""
        entry = plan.entry
        mine = self._names.event(entry.stream, entry.expected + 1)
        fence = _ended(self._names, entry.fence)
        for _ in self._link.tries():
            # In one look: what is still under way cannot arrive between one question and the next.
            found = await self._reader.together(mine, *fence)
            if mine in found and found[mine][1].entry == plan.id:
                position = found[mine][0].sequence
                self._advance([plan], position)
                return Appended(position)
            if not plan.bodies:
                plan.bodies = await self._log.bodies(plan.id, entry.events)
            actual = await self._reader.version(entry.stream)
            if actual < entry.expected or (mine in found and actual != entry.expected):
                return Conflict(actual)
            if actual == entry.expected and mine not in found:
                if found:
                    return Fenced()
                if (sequence := await self._publish([plan])) is not None:
                    position = sequence - len(plan.bodies) + 1
                    self._advance([plan], position)
                    return Appended(position)
            await asyncio.sleep(PAUSE)
        raise AssertionError("unreachable")

    async def _publish(self, plans: Sequence[Plan]) -> int | None:
        """Return the sequence of the last message, or None where a condition does not hold: now, or since an earlier try did it."""
        versions = self._reader.versions
        for _ in range(GUARDED_TRIES):
            if (built := self._messages(plans)) is None:
                return None
            messages, unguarded = built
            if not unguarded:
                return await publish_batch(self._link, messages)
            if not all(map(versions.unchanged, unguarded)) and not await self._look_at(unguarded):
                return None
            last = versions.last
            messages[0][2][EXPECTED_LAST] = str(last)
            sequence = await publish_batch(self._link, messages)
            if sequence is not None or await self._log.last_sequence() == last:
                return sequence
            versions.doubt()  # others have written
        return None

    async def _look_at(self, streams: dict[str, int]) -> bool:
        """Return whether streams have these versions; then they have them at the last sequence that is known from now on."""
        versions, last = self._reader.versions, await self._log.last_sequence()
        if await gathered(self._reader.version, streams) != list(streams.values()):
            return False
        for stream in streams:
            if (known := versions.get(stream)) is not None:
                versions.note(stream, known.number, known.position, last)
        versions.reached(last)
        return True

    def _messages(self, plans: Sequence[Plan]) -> tuple[list[Message], dict[str, int]] | None:
        """Return the messages of some entries, and the streams (with their versions) whose condition gave way to a fence.

        None = where a stream's last event stands is not known any more.
        """
        messages: list[Message] = []
        free: list[int] = []  # messages without a condition
        of_stream: dict[int, tuple[str, int]] = {}  # those with that of a stream
        fenced: set[str] = set()
        streams: set[str] = set()  # those that are written to: each of their events stands behind the one before it
        unguarded: dict[str, int] = {}
        for plan in plans:
            entry = plan.entry
            for number, body in enumerate(plan.bodies, entry.expected + 1):
                headers: dict[str, str] = {}
                if number == 1 or entry.stream in streams:
                    free.append(len(messages))
                else:
                    known = self._reader.versions.get(entry.stream)
                    if known is None or known.number != entry.expected:
                        return None
                    of_stream[len(messages)] = entry.stream, entry.expected
                    headers = _condition(self._names.event(entry.stream, entry.expected), known.position)
                messages.append((self._names.event(entry.stream, number), body, headers))
                streams.add(entry.stream)
            for subject in _ended(self._names, entry.fence):
                if subject in fenced:  # once for the whole batch, which is taken in one step
                    continue
                fenced.add(subject)
                # It must not stand behind a message on that very subject, so it takes what there is up to here.
                if free:
                    place = free.pop()
                else:
                    place = max(of_stream)
                    stream, version = of_stream.pop(place)
                    unguarded[stream] = version
                messages[place] = *messages[place][:2], _condition(subject, 0)
        return messages, unguarded


def _condition(subject: str, last: int) -> dict[str, str]:
    """Return the condition that the last message on a subject has this sequence; 0 = there is none."""
    return {EXPECTED: str(last), EXPECTED_SUBJECT: subject}


def _ended(names: Names, fence: Fence | None) -> tuple[str, ...]:
    """Return the subject of what would end the epoch of a fence."""
    return () if fence is None else (names.event(stream_name(fence.shard), fence.epoch + 1),)


def _digest_of(subject: str, data: bytes) -> str:
    return digest(*place_of(subject), data)
