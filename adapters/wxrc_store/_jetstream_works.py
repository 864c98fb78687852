"""What a JetStream store does beside appending: shards, deleting and restoring, settings, the vault. All on the link's loop."""

import secrets
from collections.abc import Mapping, Sequence

from wxrc_core.codec import encode
from wxrc_core.log import Fence, Lease, Member, Owner, Recorded
from wxrc_core.shard import ShardTaken, stream_name
from wxrc_store._jetstream_answers import EXPECTED, EXPECTED_LAST, untoken
from wxrc_store._jetstream_batch import Message, publish_batch
from wxrc_store._jetstream_files import Files
from wxrc_store._jetstream_link import Link, gathered
from wxrc_store._jetstream_log import JetStreamLog
from wxrc_store._jetstream_members import Members
from wxrc_store._jetstream_messages import BATCH, FORGOTTEN, LARGE, Names, Packed, pack, place_of
from wxrc_store._jetstream_read import Reader
from wxrc_store._jetstream_settings import GAPS_TO
from wxrc_store._rows import Row, decode_rows, not_restorable, owner_of
from wxrc_store.port import StoreError

FORGET_AT_ONCE = 16
"""So many streams are deleted at once: each deletion holds up what is appended meanwhile for a moment."""


class Works:
    """The rest."""

    def __init__(
        self, link: Link, names: Names, reader: Reader, log: JetStreamLog, files: Files, members: Members
    ) -> None:
        self._link, self._names, self._reader, self._log = link, names, reader, log
        self._files, self._members = files, members

    # -- shards -----------------------------------------------------------------------------------------------------------------

    async def _latest(self, shard: int) -> Recorded | None:
        """Return the last event of a shard that was ever taken."""
        last = await self._reader.last(stream_name(shard))
        if last is None:
            return None
        stored, packed = last
        return decode_rows([(stored.sequence, *place_of(stored.subject), packed.type, packed.schema, packed.data)])[0]

    async def take(self, member: Member, shards: Sequence[int], at: int) -> dict[int, Lease]:
        """Take what is free."""
        await self._members.check(member)
        kind, schema, data = encode(ShardTaken(at=at, member=member.id))
        await self._log.remember_kinds([(kind, schema)])
        latest = dict(zip(shards, await gathered(self._latest, shards), strict=True))
        owners = {owner_of(last) for last in latest.values() if last is not None} - {"", member.id}
        dead = {
            owner for owner, is_dead in zip(owners, await gathered(self._members.dead, owners), strict=True) if is_dead
        }

        async def take(shard: int) -> Lease | None:
            last = latest[shard]
            owner, epoch = (owner_of(last), last.version) if last is not None else ("", 0)
            if last is not None and owner == member.id:
                return Lease(Fence(shard, epoch), last.position)
            if owner and owner not in dead:
                return None
            stream, body = stream_name(shard), pack(Packed(secrets.token_hex(8), kind, schema, data))
            subject = self._names.event(stream, epoch + 1)
            position = await publish_batch(self._link, [(subject, body, {EXPECTED: "0"})])
            if position is None:  # another one has it, or an earlier try was ours
                found = await self._link.get(self._names.events, last_by_subj=subject)
                position = found.sequence if found is not None and found.data == body else None
            if position is None:
                return None
            self._reader.versions.note(stream, epoch + 1, position)
            return Lease(Fence(shard, epoch + 1), position)

        leases = zip(shards, await gathered(take, shards), strict=True)
        return {shard: lease for shard, lease in leases if lease is not None}

    async def members(self) -> list[str]:
        """Return the members that seem to live."""
        names = [name for (name,) in await self.names_of("alive", 1)]
        alive = await gathered(self._members.alive, names)
        return [name for name, lives in zip(names, alive, strict=True) if lives]

    async def owners(self, shards: int) -> dict[int, Owner]:
        """Return who owns each shard."""
        latest = await gathered(self._latest, range(shards))
        names = sorted({owner_of(last) for last in latest if last is not None} - {""})
        alive = dict(zip(names, await gathered(self._members.alive, names), strict=True))
        found = {}
        for shard, last in enumerate(latest):
            owner = owner_of(last) if last is not None else ""
            found[shard] = Owner(last.version if last else 0, owner, alive.get(owner, False))
        return found

    # -- deleting and restoring -------------------------------------------------------------------------------------------------

    async def forget(self, versions: Mapping[str, int]) -> int:
        """Delete whole streams that still have these versions; return how many."""
        newest = await self._reader.head()
        closed = await gathered(lambda each: self._close(*each, newest), versions.items(), FORGET_AT_ONCE)
        done = {stream: at for stream, at in zip(versions, closed, strict=True) if at}
        if not done:
            return 0
        await self._reader.settings.raise_to(GAPS_TO, max(done.values()))
        await gathered(lambda each: self._delete(each, versions[each], done[each]), done, FORGET_AT_ONCE)
        return len(done)

    async def _close(self, stream: str, version: int, newest: int) -> int:
        """Take the next version of a stream, so that nobody appends any more; return its position, 0 = the stream stays."""
        last = await self._reader.last(stream)
        if last is None or place_of(last[0].subject)[1] != version or last[0].sequence >= newest:
            return 0
        subject = self._names.event(stream, version + 1)
        body = pack(Packed(secrets.token_hex(8), FORGOTTEN, 0, b""))
        closed_at = await publish_batch(self._link, [(subject, body, {EXPECTED: "0"})])
        if closed_at is None:
            found = await self._link.get(self._names.events, last_by_subj=subject)
            if found is None or found.data != body:
                return 0  # it was appended to, or another one deletes it
            closed_at = found.sequence
        return closed_at

    async def _delete(self, stream: str, version: int, closed_at: int) -> None:
        """Delete all of a closed stream in one step."""
        large = await self._large(stream, version)
        await self._reader.finish_forgetting(stream, closed_at)
        self._reader.versions.drop([stream])
        for data in large:
            await self._files.delete_event(data)

    async def _large(self, stream: str, version: int) -> list[bytes]:
        """Return what stands for the large events of a stream."""
        found = await gathered(lambda each: self._reader.get(stream, each), range(1, version + 1))
        return [each[1].data for each in found if each is not None and each[1].type.startswith(LARGE)]

    async def restore(self, rows: Sequence[Row]) -> str:
        """Write rows at the positions that they have, or return why not."""
        head = await self._log.last_sequence()
        versions = {}
        for stream in {stream for _, stream, *_ in rows}:
            last = await self._reader.last(stream)
            versions[stream] = place_of(last[0].subject)[1] if last else 0
        if problem := not_restorable(rows, head, versions):
            return problem
        await self._log.remember_kinds((kind, schema) for *_, kind, schema, _ in rows)
        if head == 0 and rows[0][0] > 1:  # an empty stream may begin anywhere
            head = rows[0][0] - 1
            await self._link.call(f"STREAM.PURGE.{self._names.events}", {"seq": head + 1})
        messages: list[Message] = []
        position = head
        for each, stream, version, kind, schema, data in rows:
            while (position := position + 1) < each:
                messages.append((f"{self._names.every_filler[:-1]}{position}", b"", {}))
                if len(messages) == BATCH:
                    await self._write_at(messages, position)
                    messages = []
            (body,) = await self._log.bodies("0", [(kind, schema, data)])
            messages.append((self._names.event(stream, version), body, {}))
            if len(messages) == BATCH:
                await self._write_at(messages, position)
                messages = []
        if messages:
            await self._write_at(messages, position)
        await self._link.purge(self._names.events, self._names.every_filler)
        await self._log.tell()
        return ""

    async def _write_at(self, messages: Sequence[Message], last: int) -> None:
        """Write messages of which the last one must have this sequence."""
        before = last - len(messages)
        subject, body, _ = messages[0]
        conditioned = [(subject, body, {EXPECTED_LAST: str(before)}), *messages[1:]]
        if await publish_batch(self._link, conditioned) not in (None, last):
            raise StoreError(
                "The log took events at other positions than they had: it is in use. Stop every service that uses it."
            )
        found = await self._link.get(self._names.events, seq=last)
        if found is None or found.subject != messages[-1][0] or found.data != messages[-1][1]:
            raise StoreError("The log cannot be restored while others write to it: stop every service that uses it.")

    # -- the vault and settings -------------------------------------------------------------------------------------------------

    async def keep(self, name: str, sealed: bytes | None) -> None:
        """Put a sealed secret into the vault, or (None) take it out."""
        subject = self._names.aside("vault", name)
        if sealed is None:
            await self._link.purge(self._names.side, subject)
        else:
            await self._link.put(subject, sealed)

    async def kept(self, name: str) -> bytes | None:
        """Return a sealed secret, or None."""
        found = await self._link.get(self._names.side, last_by_subj=self._names.aside("vault", name))
        return None if found is None else found.data

    async def vault_names(self) -> list[str]:
        """Return the names of all secrets, sorted."""
        return sorted(name for (name,) in await self.names_of("vault", 1) if name)

    async def names_of(self, kind: str, tokens: int) -> list[tuple[str, ...]]:
        """Return the names of all things of a kind beside the log."""
        subjects = await self._link.subjects(self._names.side, self._names.aside(kind) + ".*" * tokens)
        return [tuple(map(untoken, subject.split(".")[-tokens:])) for subject in subjects]

    async def type_release(self, kind: str, schema: str) -> str | None:
        """Return the release that wrote a kind of event first."""
        found = await self._link.get(self._names.side, last_by_subj=self._names.aside("type", kind, schema))
        return None if found is None else found.data.decode()
