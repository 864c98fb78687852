"""Reading the log in JetStream: streams as their leader has them, pages as any server has them and completed by the leader.

What was read also says which version a stream has reached. That is kept: an append to version n needs to know at which position version n
is. It is no more than a guess, which the servers check when the append comes.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from wxrc_core.log import Recorded
from wxrc_store._jetstream_answers import Stored
from wxrc_store._jetstream_files import Files
from wxrc_store._jetstream_link import Link, gathered
from wxrc_store._jetstream_messages import FORGOTTEN, LARGE, Names, Packed, place_of, row, unpack
from wxrc_store._jetstream_settings import GAPS_TO, Settings
from wxrc_store._rows import CHUNK, Row, decode_rows

END = 1 << 63
"""Above every sequence."""

KNOWN = 200_000
"""Of so many streams the version is kept in memory."""

SHORT = 16
"""A stream with up to so many events is read one by one, which its leader does; a longer one in pages."""


class Version(NamedTuple):
    """The last event of a stream: its version and position (0, 0 = the stream is not there), and when that was so.

    Attributes:
        at: It was so when the log's last sequence was this one.
    """

    number: int
    position: int
    at: int


class Versions:
    """The versions of streams, as far as they are known, and whether they can have changed since.

    Attributes:
        last: The log's last sequence, as this process knows it.
    """

    def __init__(self) -> None:
        self.last = 0
        # Above this sequence, and up to the last, there is nothing but what this process wrote itself.
        self._own_from = END
        self._found: dict[str, Version] = {}

    def get(self, stream: str) -> Version | None:
        """Return a stream's version where it is known."""
        return self._found.get(stream)

    def wrote(self, first: int, last: int) -> None:
        """Take in that this process wrote what has these sequences."""
        if first != self.last + 1 or self._own_from == END:
            self._own_from = first - 1
        self.last = last

    def reached(self, last: int) -> None:
        """Take in the log's last sequence, which somebody else may have written."""
        self.last = self._own_from = last

    def doubt(self) -> None:
        """Take in that somebody else has written, so that each stream may have changed."""
        self._own_from = END

    def unchanged(self, stream: str) -> bool:
        """Return whether a stream has the version that is known, if the log's last sequence is still the one that is known."""
        found = self._found.get(stream)
        return found is not None and found.at >= self._own_from

    def note(self, stream: str, number: int, position: int, at: int = 0) -> None:
        """Take in that a stream has this version; had it, when the log's last sequence was `at` or at least `position`."""
        self._found.pop(stream, None)  # so that it is the newest
        self._found[stream] = Version(number, position, max(at, position))
        if len(self._found) > KNOWN:
            del self._found[next(iter(self._found))]

    def saw(self, stream: str, number: int, position: int) -> None:
        """Take in that a stream has this version or a later one."""
        found = self._found.get(stream)
        if found is None or found.number <= number:
            self.note(stream, number, position)

    def drop(self, streams: Iterable[str]) -> None:
        """Forget what is known of streams."""
        for stream in streams:
            self._found.pop(stream, None)


class Reader:
    """Reads the log. Everything runs on the link's loop.

    Attributes:
        versions: What is known of the streams.
        settings: The log's numbers.
    """

    def __init__(self, link: Link, names: Names, files: Files, settings: Settings) -> None:
        self.versions, self.settings = Versions(), settings
        self._link, self._names, self._files = link, names, files

    # -- messages ---------------------------------------------------------------------------------------------------------------

    async def get(self, stream: str, version: int) -> tuple[Stored, Packed] | None:
        """Return the message of an event."""
        found = await self._link.get(self._names.events, last_by_subj=self._names.event(stream, version))
        return None if found is None else (found, unpack(found))

    async def together(self, *subjects: str) -> dict[str, tuple[Stored, Packed]]:
        """Return the messages on some subjects as they were at one and the same moment, on a server that may be behind."""
        found = await self._link.together(self._names.events, subjects)
        return {each.subject: (each, unpack(each)) for each in found}

    async def last(self, stream: str) -> tuple[Stored, Packed] | None:
        """Return the message of a stream's last event; None = it is not there. One that is being deleted is deleted first."""
        found = await self._link.get(self._names.events, last_by_subj=self._names.stream(stream))
        if found is None:
            self.versions.note(stream, 0, 0)
            return None
        packed = unpack(found)
        if packed.type == FORGOTTEN:
            await self.settings.raise_to(GAPS_TO, found.sequence)
            await self.finish_forgetting(stream, found.sequence)
            return await self.last(stream)
        self.versions.note(stream, place_of(found.subject)[1], found.sequence)
        return found, packed

    async def version(self, stream: str) -> int:
        """Return the version of a stream; 0 = it is not there."""
        last = await self.last(stream)
        return 0 if last is None else place_of(last[0].subject)[1]

    async def finish_forgetting(self, stream: str, closed_at: int) -> None:
        """Delete the events of a stream up to the message that closed it, and that. One that began anew meanwhile stays."""
        await self._link.purge(self._names.events, self._names.stream(stream), closed_at)

    async def head(self) -> int:
        """Return the position of the last event; the last sequence may be that of what is gone."""
        found = await self._link.get(self._names.events, last_by_subj=self._names.every_event)
        return 0 if found is None else found.sequence

    # -- events -----------------------------------------------------------------------------------------------------------------

    async def stream(self, stream: str, after: int) -> list[Recorded]:
        """Return the events of a stream above a version."""
        last = await self.last(stream)
        if last is None or (version := place_of(last[0].subject)[1]) <= after:
            return []
        found = {version: last}
        missing = range(max(after, 0) + 1, version)
        if len(missing) >= SHORT:
            await self._fill(stream, missing, found)
        gotten = await gathered(lambda each: self.get(stream, each), [each for each in missing if each not in found])
        if None in gotten:  # it is being deleted
            return []
        found |= {place_of(each[0].subject)[1]: each for each in gotten if each is not None}
        return await self._decode([found[each] for each in sorted(found)])

    async def _fill(self, stream: str, wanted: Sequence[int], found: dict[int, tuple[Stored, Packed]]) -> None:
        """Read events of a stream in pages, from any server."""
        first = await self.get(stream, wanted[0])
        position = first[0].sequence if first else 0
        while position and (
            page := await self._link.page(self._names.events, self._names.stream(stream), position, CHUNK)
        ):
            for each in page:
                if (version := place_of(each.subject)[1]) in wanted:
                    found[version] = each, unpack(each)
            position = page[-1].sequence + 1

    async def page(self, after: int, limit: int) -> list[Recorded]:
        """Return up to `limit` events above a position."""
        events: list[Recorded] = []
        async for part in self._parts(max(after, 0) + 1, min(limit, CHUNK)):
            packed = [(each, unpack(each)) for each in part]
            events += await self._decode([each for each in packed if each[1].type != FORGOTTEN][: limit - len(events)])
            if len(events) >= limit:
                break
        return events

    async def _parts(self, position: int, size: int) -> AsyncIterator[list[Stored]]:
        """Yield all events from a position on, up to so many at a time. Where a server has no more, its leader is asked."""
        while position < END:
            page = await self._link.page(self._names.events, self._names.every_event, position, size)
            if not page:
                found = await self._link.get(self._names.events, seq=position, next_by_subj=self._names.every_event)
                if found is None:
                    return
                page = [found]
            position = page[-1].sequence + 1
            yield page

    async def at(self, position: int) -> Recorded | None:
        """Return the event at a position."""
        if not 0 < position < END:
            return None
        found = await self._link.get(self._names.events, seq=position)
        if found is None or not found.subject.startswith(self._names.every_event[:-1]):
            return None
        packed = unpack(found)
        return None if packed.type == FORGOTTEN else (await self._decode([(found, packed)]))[0]

    async def _decode(self, found: Sequence[tuple[Stored, Packed]]) -> list[Recorded]:
        rows: list[Row] = []
        for stored, packed in found:
            data = packed.data
            if packed.type.startswith(LARGE):
                data = await self._files.read_event(stored.sequence, data)
            rows.append(row(stored, packed, data))
        events = decode_rows(rows)
        for each in events:
            self.versions.saw(each.stream, each.version, each.position)
        return events
