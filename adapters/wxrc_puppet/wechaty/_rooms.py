"""The rooms of the account, and who is in them: kept in step with what the gateway says has changed."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from attrs import frozen

from wxrc_core.puppet import Room
from wxrc_puppet.wechaty import puppet_pb2 as pb
from wxrc_puppet.wechaty._codes import DirtyType
from wxrc_puppet.wechaty._server import (
    CONTACT_LIST,
    CONTACT_PAYLOAD,
    DIRTY_PAYLOAD,
    ROOM_LIST,
    ROOM_MEMBER_LIST,
    ROOM_MEMBER_PAYLOAD,
    ROOM_PAYLOAD,
    CallFailed,
    WechatyServer,
    for_each,
)

FIRST_AGAIN_S, LONGEST_AGAIN_S = 5.0, 300.0
"""Seconds until what could not be read is read again; doubled each time."""

Tell: TypeAlias = Callable[[tuple[Room, ...], bool], Awaitable[None]]


@frozen
class Member:
    """Somebody in a room, with the names that the room shows for them: the room alias first."""

    id: str
    names: tuple[str, ...]


class Rooms:
    """The rooms of one connection. The list counts as complete once the gateway is ready and every room could be read."""

    def __init__(self, gateway: WechatyServer) -> None:
        self._server = gateway
        self._topics: dict[str, str] = {}
        self._complete = False
        self._ready = False
        self._left: set[str] = set()
        self._members: dict[str, tuple[Member, ...]] = {}
        self._contacts: frozenset[str] | None = None
        self._wanted = anyio.Event()
        self._all_wanted = False
        self._some_wanted: dict[str, bool] = {}

    async def topic(self, room_id: str) -> str:
        """Return the topic of a room; empty where the gateway cannot say."""
        if room_id not in self._topics:
            self._want_all()
            return await self._read_topic(room_id) or ""
        return self._topics[room_id]

    def unknown(self, room_id: str) -> bool:
        """Whether the account is certainly not in this room."""
        return self._complete and room_id not in self._topics

    # -- what the gateway says ---------------------------------------------------------------------------------------------------

    def logged_in(self) -> None:
        """Read the list; the gateway may still be filling it."""
        self._want_all()

    def ready(self) -> None:
        """Read the list; the gateway has it whole."""
        self._ready = True
        self._want_all()

    def renamed(self, room_id: str) -> None:
        """Read one room again, past the gateway's own cache."""
        self._want(room_id, past_cache=True)

    def joined(self, room_id: str, *, self_too: bool) -> None:
        """Somebody came in."""
        self._members.pop(room_id, None)
        if self_too:
            self._left.discard(room_id)
        if room_id not in self._topics:
            self._want_all()

    def parted(self, room_id: str, *, self_too: bool) -> None:
        """Somebody left or was removed; gateways may list a room that we were removed from for some time."""
        self._members.pop(room_id, None)
        if self_too:
            self._left.add(room_id)
            self._want_all()

    def dirty(self, what: object, of: str) -> None:
        """The gateway has dropped something from its cache."""
        if what == DirtyType.ROOM:
            self._members.pop(of, None)
            if of in self._topics:
                self._want(of, past_cache=False)
            else:
                self._want_all()
        elif what == DirtyType.MEMBER:
            self._members.clear()
        elif what == DirtyType.CONTACT:
            self._members.clear()
            self._contacts = None

    def _want_all(self) -> None:
        self._all_wanted = True
        self._wanted.set()

    def _want(self, room_id: str, *, past_cache: bool) -> None:
        if room_id:
            self._some_wanted[room_id] = self._some_wanted.get(room_id, False) or past_cache
            self._wanted.set()

    # -- keeping the list --------------------------------------------------------------------------------------------------------

    async def keep(self, tell: Tell) -> None:
        """Read what has changed, for ever, and tell the list whenever it is another one.

        Raises:
            CallFailed: The connection is of no more use.
        """
        told: tuple[tuple[Room, ...], bool] | None = None
        again_s = FIRST_AGAIN_S
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            everything, self._all_wanted = self._all_wanted, False
            some, self._some_wanted = self._some_wanted, {}
            ready = self._ready
            try:
                await self._read(everything, some, ready=ready)
            except CallFailed as failure:
                if not failure.refused:
                    raise
                self._complete = False
                self._all_wanted = True
            now = (tuple(Room(room_id, topic) for room_id, topic in sorted(self._topics.items())), self._complete)
            if now != told:
                await tell(*now)
                told = now
            if self._complete:
                again_s = FIRST_AGAIN_S
            if self._all_wanted:
                with anyio.move_on_after(again_s):
                    await self._wanted.wait()
                self._wanted.set()
                again_s = min(2 * again_s, LONGEST_AGAIN_S)

    async def _read(self, everything: bool, some: dict[str, bool], *, ready: bool) -> None:
        for room_id in (room_id for room_id, past_cache in some.items() if past_cache):
            await self._server.ask(DIRTY_PAYLOAD, pb.Dirty(type=DirtyType.ROOM, id=room_id))
        if everything:
            ids = [each for each in (await self._server.call(ROOM_LIST)).ids if each not in self._left]
        else:
            ids = [each for each in some if each in self._topics]
        topics = dict(zip(ids, await for_each(self._read_topic, ids), strict=True))
        if everything:
            self._complete = ready and None not in topics.values()
            self._topics = {room_id: topic for room_id, topic in self._topics.items() if room_id in topics}
        self._topics.update({room_id: topic for room_id, topic in topics.items() if topic is not None})
        if None in topics.values():
            self._all_wanted = True

    async def _read_topic(self, room_id: str) -> str | None:
        room = await self._server.ask(ROOM_PAYLOAD, pb.Id(id=room_id))
        return room.topic if room else None

    # -- who is there ------------------------------------------------------------------------------------------------------------

    async def members(self, room_id: str) -> tuple[Member, ...]:
        """Return who is in a room.

        Raises:
            CallFailed: The gateway cannot say.
        """
        if room_id not in self._members:

            async def read(member_id: str) -> Member:
                member = await self._server.call(ROOM_MEMBER_PAYLOAD, pb.MemberId(id=room_id, member_id=member_id))
                return Member(member_id, tuple(name for name in (member.room_alias, member.name) if name))

            ids = (await self._server.call(ROOM_MEMBER_LIST, pb.Id(id=room_id))).ids
            self._members[room_id] = tuple(await for_each(read, ids))
        return self._members[room_id]

    async def member_name(self, room_id: str, member_id: str) -> str:
        """Return the name that a room shows for a member; empty where the gateway cannot say."""
        member = await self._server.ask(ROOM_MEMBER_PAYLOAD, pb.MemberId(id=room_id, member_id=member_id))
        return member.room_alias or member.name if member else ""

    async def contact_name(self, contact_id: str) -> str:
        """Return somebody's nickname; empty where the gateway cannot say."""
        contact = await self._server.ask(CONTACT_PAYLOAD, pb.Id(id=contact_id))
        return contact.name if contact else ""

    async def is_known(self, person: str) -> bool:
        """Whether the account knows anybody by this id, nickname or remark."""
        if self._contacts is None:

            async def read(contact_id: str) -> tuple[str, ...]:
                contact = await self._server.ask(CONTACT_PAYLOAD, pb.Id(id=contact_id))
                return (contact_id, contact.name, contact.alias) if contact else (contact_id,)

            ids = (await self._server.call(CONTACT_LIST)).ids
            self._contacts = frozenset(name for names in await for_each(read, ids) for name in names if name)
        return person in self._contacts
