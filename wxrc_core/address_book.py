"""The rooms, or the people, that a bot's queued messages go to.

There is one book for each, since a message that names a room by its topic can only be for a room: while the room list is not complete,
it holds up younger messages to rooms, and none to people.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from wxrc_core.name_index import NameIndex, names_of_person, names_of_room, people_by_name, rooms_by_topic
from wxrc_core.puppet import Contact, conversation

Entry = TypeVar("Entry")


class AddressBook(Generic[Entry]):
    """Rooms or people: who is there, whether all are known, and which queued messages are for them.

    Attributes:
        entries: Topics or contacts, by id; never changed in place.
        complete: The list is known to be complete: only now does a name say who is meant, and only now is anybody missing.
        streams: The queued messages for this kind, in order of their arrival here.
        ready: A heap of (msgid, conversation): those whose oldest message may go now.
        paced: The same by channel: those whose oldest message is of a channel whose grant has a pace of its own.
    """

    def __init__(
        self,
        names: NameIndex[Entry],
        names_of: Callable[[Entry], Sequence[str]],
        key: Callable[[str], str],
        ambiguous: str,
    ) -> None:
        """Begin empty.

        Args:
            names: The index of the list by name.
            names_of: The names of one entry.
            key: What names the conversation with an id.
            ambiguous: The sentence for a name that several have; `{count}` is filled in.
        """
        self.entries: Mapping[str, Entry] = {}
        self.complete = False
        self.streams: dict[str, None] = {}
        self.ready: list[tuple[int, str]] = []
        self.paced: dict[str, list[tuple[int, str]]] = {}
        self.key = key
        self._names, self._names_of, self._ambiguous = names, names_of, ambiguous
        self._by_name: dict[str, dict[str, None]] = {}
        self._unresolved: list[tuple[int, str]] = []  # a heap of (msgid, stream): named, and the list is not complete

    # -- messages ---------------------------------------------------------------------------------------------------------------

    def add(self, stream: str, name: str) -> None:
        """Take in a queued message; `name` is what it calls its room or person, empty = it has the id."""
        self.streams[stream] = None
        if name:
            self._by_name.setdefault(name, {})[stream] = None

    def remove(self, stream: str, name: str) -> None:
        """Let go of a message."""
        self.streams.pop(stream, None)
        named = self._by_name.get(name)
        if named is not None:
            named.pop(stream, None)
            if not named:
                del self._by_name[name]

    def hold(self, msgid: int, stream: str) -> None:
        """Keep a message that names somebody until the list is complete."""
        heapq.heappush(self._unresolved, (msgid, stream))

    def oldest_held(self, still_held: Callable[[int, str], bool]) -> int:
        """Return the msgid of the oldest message that is kept until the list is complete; 0 = none."""
        while self._unresolved:
            msgid, stream = self._unresolved[0]
            if still_held(msgid, stream):
                return msgid
            heapq.heappop(self._unresolved)
        return 0

    def resolve(self, name: str) -> tuple[str, str]:
        """Return the id that a name stands for in a complete list; or an empty one, and why (empty = nobody has the name)."""
        ids = self._names.ids(self.entries, name)
        if len(ids) == 1:
            return ids[0], ""
        return "", self._ambiguous.format(count=len(ids)) if ids else ""

    # -- the list ---------------------------------------------------------------------------------------------------------------

    def take(self, entries: Mapping[str, Entry], complete: bool) -> tuple[Iterable[str], Iterable[str]]:
        """Take in the list as it is now; return which messages to place anew, and the conversations that have changed."""
        before, self.entries = self.entries, entries
        if complete != self.complete:
            self.complete = complete
            return list(self.streams), ()
        if before is entries or not complete:
            return (), ()
        changed = [each for each in sorted(before.keys() | entries.keys()) if before.get(each) != entries.get(each)]
        names = {
            name
            for listed in (before, entries)
            for each in changed
            if each in listed
            for name in self._names_of(listed[each])
        }
        streams = [stream for name in sorted(names) for stream in self._by_name.get(name, ())]
        return streams, [self.key(each) for each in changed]


def book_of_rooms() -> AddressBook[str]:
    """Return the book of a bot's rooms; its entries are topics."""
    return AddressBook(
        NameIndex(rooms_by_topic),
        names_of_room,
        lambda room_id: conversation(room_id, ""),
        "{count} rooms have this name; name the room by roomId",
    )


def book_of_people() -> AddressBook[Contact]:
    """Return the book of a bot's contacts."""
    return AddressBook(
        NameIndex(people_by_name),
        names_of_person,
        lambda user_id: conversation("", user_id),
        "{count} people have this name; name the person by userId",
    )
