"""What is too large for one message: snapshots, media, and events above the server's limit, in pieces in a stream of their own.

A file is whole once the message that describes it is there, which is written last. Its pieces have an id that is never used again, so that
nothing that is written later can damage it.
"""

import asyncio
import secrets
import time
import zlib
from collections.abc import Collection, Sequence

import msgspec

from wxrc_store._jetstream_answers import token
from wxrc_store._jetstream_link import Link, gathered
from wxrc_store._jetstream_messages import Names
from wxrc_store._rows import SNAPSHOTS
from wxrc_store.media import wall_clock
from wxrc_store.port import StoreError

PIECE = 256 << 10
"""So many bytes go into one message, or half of what the server takes."""

AT_ONCE = 8
"""So many pieces are under way at once: a heartbeat in between does not wait for all of them."""

ABANDONED = 3600 * 10**9
"""After so long, pieces of a snapshot that was never finished are deleted (nanoseconds)."""


class File(msgspec.Struct, frozen=True):
    """What describes a file.

    Attributes:
        id: That of its pieces.
        pieces: How many there are.
        crc: The checksum of all bytes.
        kind: What their subjects begin with: `piece`, or `part` for those of a snapshot.
        at: When it was last put (epoch ms).
        nonce: Makes the description unlike any other of the same file.
    """

    id: str
    pieces: int
    crc: int
    kind: str = "piece"
    at: int = 0
    nonce: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(File).decode


class Files:
    """The files of one log. Everything runs on the link's loop."""

    def __init__(self, link: Link, names: Names, replicas: int) -> None:
        self._link, self._names, self._replicas = link, names, replicas
        self._made = False

    # -- pieces -----------------------------------------------------------------------------------------------------------------

    async def write(self, data: bytes, kind: str = "piece") -> File:
        """Write the pieces of a file; it is there once what is returned is kept somewhere."""
        await self._make()
        size = min(PIECE, self._link.payload // 2)
        # The time in the id tells, later on, what was abandoned.
        id_ = f"{time.time_ns():x}-{secrets.token_hex(8)}"
        file = File(id_, -(-len(data) // size), await asyncio.to_thread(zlib.crc32, data), kind)

        async def put(number: int) -> None:
            piece = data[number * size : (number + 1) * size]
            await self._link.put(self._names.file(file.kind, file.id, str(number)), piece)

        await gathered(put, range(file.pieces), AT_ONCE)
        return file

    async def read(self, file: File) -> bytes | None:
        """Return the bytes of a file; None = they are not there as they were written."""

        async def get(number: int) -> bytes:
            subject = self._names.file(file.kind, file.id, str(number))
            found = await self._link.get(self._names.files, last_by_subj=subject)
            return b"" if found is None else found.data

        data = b"".join(await gathered(get, range(file.pieces), AT_ONCE))
        return data if await asyncio.to_thread(zlib.crc32, data) == file.crc else None

    async def delete(self, file: File) -> None:
        """Delete the pieces of a file that nothing describes any more."""
        if file.pieces:
            await self._link.purge(self._names.files, self._names.file(file.kind, file.id) + ".*")

    async def _make(self) -> None:
        if not self._made:
            configuration = self._names.configurations(self._replicas)[self._names.files]
            await self._link.call(f"STREAM.CREATE.{self._names.files}", configuration)
            self._made = True

    async def _describe(self, subject: str) -> tuple[int, File] | None:
        found = await self._link.get(self._names.files, last_by_subj=subject)
        return None if found is None else (found.sequence, _decode(found.data))

    # -- large events -----------------------------------------------------------------------------------------------------------

    async def write_event(self, data: bytes) -> bytes:
        """Write a large event; return what stands for it."""
        return _encode(await self.write(data))

    async def read_event(self, position: int, data: bytes) -> bytes:
        """Return a large event by what stands for it.

        Raises:
            StoreError: It is not there.
        """
        found = await self.read(_decode(data))
        if found is None:
            raise StoreError(
                f"The log is damaged: the event at position {position} is not whole. Restore it from a backup."
            )
        return found

    async def delete_event(self, data: bytes) -> None:
        """Delete a large event that was not appended, or whose stream was deleted."""
        await self.delete(_decode(data))

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    async def save(self, position: int, schema: str, blob: bytes) -> None:
        """See `Store.save`."""
        file = await self.write(blob, "part")
        await self._link.put(self._names.file("snapshot", schema, str(position), file.id), _encode(file))
        kept = await self._snapshots()
        mine = sorted((at, each) for at, name, each in kept if name == token(schema))
        # Of those at one position the one that was saved last serves.
        replaced = [(at, each) for at, each in mine if at == position and each != file.id]
        older = [each for each in mine if each not in replaced][:-SNAPSHOTS]
        for at, each in (*replaced, *older):
            await self._link.purge(self._names.files, self._names.file("snapshot", schema, str(at), each))
            await self.delete(File(each, 1, 0, "part"))
        await self._sweep({each for *_, each in kept})

    async def newest(self, schemas: Sequence[str]) -> tuple[int, str, bytes] | None:
        """See `Store.newest`."""
        wanted = {token(schema): schema for schema in schemas}
        for position, name, each in sorted(
            await self._snapshots(), key=lambda found: (found[0], found[2]), reverse=True
        ):
            if name in wanted:
                described = await self._describe(self._names.file("snapshot", wanted[name], str(position), each))
                if described is not None and (blob := await self.read(described[1])) is not None:
                    return position, wanted[name], blob
        return None

    async def _snapshots(self) -> list[tuple[int, str, str]]:
        """Return position, schema (as it stands in a subject) and id of every snapshot."""
        found = await self._link.subjects(self._names.files, self._names.file("snapshot") + ".*.*.*")
        return [(int(position), name, each) for *_, name, position, each in (subject.split(".") for subject in found)]

    async def _sweep(self, kept: Collection[str]) -> None:
        """Delete the pieces of snapshots that were never finished."""
        for subject in await self._link.subjects(self._names.files, self._names.file("part") + ".*.0"):
            each = subject.split(".")[-2]
            if each not in kept and int(each.partition("-")[0], 16) < time.time_ns() - ABANDONED:
                await self.delete(File(each, 1, 0, "part"))

    # -- media ------------------------------------------------------------------------------------------------------------------

    async def keep(self, digest: str, data: bytes) -> None:
        """Keep a file under its digest; one that is there and whole is only noted as put now."""
        subject, now = self._names.file("media", digest), wall_clock()
        for _ in self._link.tries():
            found = await self._describe(subject)
            last, file = found or (0, None)
            fresh = None
            if file is None or await self.read(file) != data:
                file = fresh = await self.write(data)
            put = msgspec.structs.replace(file, at=max(now, file.at), nonce=secrets.token_hex(4))
            if await self._link.swap(self._names.files, subject, _encode(put), last):
                return
            if fresh is not None:
                await self.delete(fresh)
        raise AssertionError("unreachable")

    async def media(self, digest: str) -> bytes | None:
        """Return a file by its digest."""
        found = await self._describe(self._names.file("media", digest))
        return None if found is None else await self.read(found[1])

    async def forget_media(self, before: int, keep: Collection[str]) -> int:
        """See `Media.forget`."""
        deleted = 0
        for subject in await self._link.subjects(self._names.files, self._names.file("media") + ".*"):
            if subject.rpartition(".")[2] in keep or (found := await self._describe(subject)) is None:
                continue
            sequence, file = found
            # One that was put again meanwhile has a later sequence, and stays.
            if file.at < before and await self._link.purge(self._names.files, subject, sequence):
                await self.delete(file)
                deleted += 1
        return deleted
