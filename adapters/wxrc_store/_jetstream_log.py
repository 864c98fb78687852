"""The writing half of the JetStream store's log: a group as one atomic batch, and each entry by itself where that is refused.

A message carries up to one condition, "the last message on that subject has this sequence". A fence is such a condition: the next epoch of
the shard does not exist. Else it is that the event before is where it was, since a deleted stream must not go on. That event n is not there
yet needs no condition: the server takes one message for each subject.

A batch that is refused is halved until the entry is found that was the reason; what became of that one is then looked up, as it is when an
answer was lost. Each entry has an id for that.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import define

from wxrc_core.log import Appended, Conflict, Fenced, Outcome
from wxrc_core.shard import stream_name
from wxrc_store._jetstream_files import Files
from wxrc_store._jetstream_link import (
    EXPECTED,
    EXPECTED_SUBJECT,
    PAUSE,
    SOON,
    Link,
    NoAnswer,
    code_of,
    gathered,
    taken,
)
from wxrc_store._jetstream_messages import BATCH, LARGE, Names, Packed, pack, place_of
from wxrc_store._jetstream_read import Reader
from wxrc_store._rows import RELEASE, Append, EncodedEntry
from wxrc_store._seen import Mark, Seen, digest
from wxrc_store.port import StoreError

BATCH_BYTES = 4 << 20
"""The most bytes of events that go into one batch."""

ROOM = 4_096
"""So many bytes of a message are left for what stands around an event."""


@define
class Plan:
    """An entry that is to be written.

    Attributes:
        index: Its number in the group.
        entry: The entry.
        id: Tells it from every other.
        bodies: Its messages.
        conflict: The version that its stream has by then, where that is not the expected one; None = it can be written.
    """

    index: int
    entry: EncodedEntry
    id: str
    bodies: list[bytes]
    conflict: int | None = None


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
        await gathered(self._reader.last, unknown)
        versions: dict[str, int] = {}
        plans = []
        for index, entry in enumerate(entries):
            found = self._reader.versions.get(entry.stream)
            version = versions.get(entry.stream, found.number if found else 0)
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
        for part in _parts(plans):
            await self._write(part)
        return [self._outcomes[plan.index] for plan in plans]

    async def _write(self, part: Sequence[Plan]) -> None:
        if not any(plan.entry.stream in self._changed for plan in part):
            writing = [plan for plan in part if plan.conflict is None]
            last = await self._publish(self._messages(writing)) if writing else 0
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
        for _ in self._link.tries():
            mine = await self._reader.get(entry.stream, entry.expected + 1)
            if mine is not None and mine[1].entry == plan.id:
                self._advance([plan], mine[0].sequence)
                return Appended(mine[0].sequence)
            last = await self._reader.last(entry.stream)
            actual = place_of(last[0].subject)[1] if last else 0
            if actual != entry.expected:
                return Conflict(actual)
            if entry.fence is not None and await self._reader.get(
                stream_name(entry.fence.shard), entry.fence.epoch + 1
            ):
                return Fenced()
            if not plan.bodies:
                plan.bodies = await self._log.bodies(plan.id, entry.events)
            sequence = await self._publish(self._messages([plan]))
            if sequence is not None:
                position = sequence - len(plan.bodies) + 1
                self._advance([plan], position)
                return Appended(position)
            await asyncio.sleep(PAUSE)
        raise AssertionError("unreachable")

    def _messages(self, plans: Sequence[Plan]) -> list[tuple[str, bytes, dict[str, str]]]:
        """Return subject, bytes and condition of each message of some entries."""
        messages = []
        fenced: set[str] = set()
        streams: set[str] = set()  # those that are written to: each of their events stands behind the one before it
        for plan in plans:
            entry, headers = plan.entry, {}
            known = self._reader.versions.get(entry.stream)
            if entry.expected and entry.stream not in streams and known is not None and known.number == entry.expected:
                headers = {
                    EXPECTED: str(known.position),
                    EXPECTED_SUBJECT: self._names.event(entry.stream, entry.expected),
                }
            if entry.fence is not None:
                subject = self._names.event(stream_name(entry.fence.shard), entry.fence.epoch + 1)
                if subject not in fenced:  # one for the whole batch, which is taken in one step
                    headers = {EXPECTED: "0", EXPECTED_SUBJECT: subject}
                    fenced.add(subject)
            for number, body in enumerate(plan.bodies, entry.expected + 1):
                messages.append((self._names.event(entry.stream, number), body, headers))
                headers = {}
            streams.add(entry.stream)
        return messages

    async def _publish(self, messages: Sequence[tuple[str, bytes, dict[str, str]]]) -> int | None:
        """Return the sequence of the last message, or None where a condition does not hold: now, or since an earlier try did it."""
        return await publish_batch(self._link, messages)


async def publish_batch(link: Link, messages: Sequence[tuple[str, bytes, dict[str, str]]]) -> int | None:
    """Have messages stored as one atomic batch; return the sequence of the last one, or None where a condition does not hold."""
    for _ in link.tries():
        batch = secrets.token_hex(8)
        try:
            for number, (subject, body, headers) in enumerate(messages[:-1], 1):
                await link.send(subject, body, {**headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)})
            subject, body, headers = messages[-1]
            if len(messages) > 1:
                headers = {
                    **headers,
                    "Nats-Batch-Id": batch,
                    "Nats-Batch-Sequence": str(len(messages)),
                    "Nats-Batch-Commit": "1",
                }
            answer = await link.publish(subject, body, headers)
        except NoAnswer:
            continue
        if not (code := code_of(answer)):
            return int(answer["seq"])
        if taken(answer):
            return None
        if code not in SOON:
            raise link.error(answer)
        await asyncio.sleep(secrets.randbelow(1000) / 1000 * PAUSE)
    raise AssertionError("unreachable")


def _parts(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Cut a group into batches: neither too large, nor with a fence behind the change of owner that it has to see."""
    part: list[Plan] = []
    count = size = 0
    written: set[str] = set()
    for plan in plans:
        fence = None if plan.entry.fence is None else stream_name(plan.entry.fence.shard)
        bytes_ = sum(map(len, plan.bodies))
        if part and (count + len(plan.bodies) > BATCH or size + bytes_ > BATCH_BYTES or fence in written):
            yield part
            part, count, size, written = [], 0, 0, set()
        part.append(plan)
        count, size = count + len(plan.bodies), size + bytes_
        written.add(plan.entry.stream)
    yield part


def _digest_of(subject: str, data: bytes) -> str:
    return digest(*place_of(subject), data)
