"""Which rooms or people have a name: worked out once for each state of a list, since an account may have thousands of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from wxrc_core.puppet import Contact

Entry = TypeVar("Entry")
IdsByName = Mapping[str, Sequence[str]]


class NameIndex(Generic[Entry]):
    """Ids by name, of the list that was asked about last. A list is never changed in place, so the same one needs no second look."""

    def __init__(self, make: Callable[[Mapping[str, Entry]], IdsByName]) -> None:
        """Set how the index of a list is made: `rooms_by_topic` or `people_by_name`."""
        self._make = make
        self._entries: Mapping[str, Entry] | None = None
        self._ids: IdsByName = {}

    def ids(self, entries: Mapping[str, Entry], name: str) -> Sequence[str]:
        """Return the ids of those in the list who have this name."""
        if self._entries is not entries:
            self._entries, self._ids = entries, self._make(entries)
        return self._ids.get(name, ())


def rooms_by_topic(rooms: Mapping[str, str]) -> IdsByName:
    """Return the ids of rooms by their topics."""
    found: dict[str, list[str]] = {}
    for room_id, topic in rooms.items():
        found.setdefault(topic, []).append(room_id)
    return found


def people_by_name(contacts: Mapping[str, Contact]) -> IdsByName:
    """Return the ids of people by remark, and by nickname where nobody has that name as a remark (wire.md, userSendText)."""
    by_remark: dict[str, list[str]] = {}
    by_nickname: dict[str, list[str]] = {}
    for user_id, contact in contacts.items():
        by_nickname.setdefault(contact.name, []).append(user_id)
        if contact.remark:
            by_remark.setdefault(contact.remark, []).append(user_id)
    return by_nickname | by_remark


def names_of_room(topic: str) -> tuple[str, ...]:
    """Return the names by which a room can be called."""
    return (topic,)


def names_of_person(contact: Contact) -> tuple[str, ...]:
    """Return the names by which a person can be called."""
    return (contact.remark, contact.name)
