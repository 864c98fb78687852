"""Which room or person a message names, worked out by the judges once more from the records of WeChat and from the raw log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wxrc_core import bot, message
from wxrc_core.log import Recorded
from wxrc_core.puppet import conversation
from wxrc_simulation.records import Arrival, PersonFact, RoomFact, Run

Names = Mapping[str, tuple[str, ...]]
"""By id: a room's topic; a person's nickname and remark."""


def named(there: Names, queued: message.MessageQueued) -> list[str]:
    """Return the ids of the rooms, or of the people, that a message may mean."""
    wanted = queued.user_id or queued.room_id
    if wanted:
        return [wanted] if wanted in there else []
    if queued.user_name:
        by_remark = [each for each, names in there.items() if names[1] == queued.user_name]
        return by_remark or [each for each, names in there.items() if names[0] == queued.user_name]
    return [each for each, names in there.items() if names[0] == queued.room_topic]


def _facts(run: Run, queued: message.MessageQueued) -> Iterator[tuple[int, str, str, tuple[str, ...] | None]]:
    """Give out what WeChat's records say of rooms, or of people: when, whose, id, and names from then on (None = gone)."""
    facts: Sequence[RoomFact | PersonFact] = run.people if message.is_to_person(queued) else run.rooms
    for fact in sorted(facts, key=lambda fact: fact.at):
        if isinstance(fact, PersonFact):
            yield fact.at, fact.wxid, fact.user_id, fact.names
        else:
            yield fact.at, fact.wxid, fact.room_id, None if fact.topic is None else (fact.topic,)


def there_all_the_time(run: Run, wxid: str, queued: message.MessageQueued, begin: int, end: int) -> bool:
    """Return whether WeChat had a room or person of this id or name without a break."""
    there: dict[str, tuple[str, ...]] = {}
    always = False
    began = False
    for at, whose, peer, names in _facts(run, queued):
        if whose != wxid or at > end:
            continue
        if at > begin and not began:
            began, always = True, bool(named(there, queued))
        if names is None:
            there.pop(peer, None)
        else:
            there[peer] = names
        always = always and bool(named(there, queued))
    return always if began else bool(named(there, queued))


def right_peer(run: Run, msgid: int, queued: message.MessageQueued, arrival: Arrival) -> Iterator[str]:
    """Check that a message arrived where it was meant to."""
    to_person = message.is_to_person(queued)
    wanted, name = (queued.user_id, queued.user_name) if to_person else (queued.room_id, queued.room_topic)
    peer = arrival.user_id if to_person else arrival.room_id
    if not peer:
        yield f"message {msgid} was for {wanted or name} and arrived nowhere of that kind"
    elif wanted and wanted != peer:
        yield f"message {msgid} was for {wanted} and arrived at {peer}"
    elif not wanted and not _ever_named(run, queued, arrival, peer):
        yield f"message {msgid} was for '{name}' and arrived at {peer}, which that name never stood for"


def _ever_named(run: Run, queued: message.MessageQueued, arrival: Arrival, peer: str) -> bool:
    """Return whether the name of a message stood for this room or person at any time before it arrived there."""
    there: dict[str, tuple[str, ...]] = {}
    for at, whose, each, names in _facts(run, queued):
        if whose != arrival.wxid or at > arrival.at:
            continue
        if names is None:
            there.pop(each, None)
        else:
            there[each] = names
        if peer in named(there, queued):
            return True
    return False


class Known:
    """The rooms and people of a bot that have been reported, by the raw log: of the account that is logged in."""

    def __init__(self, events: Iterable[Recorded]) -> None:
        self._rooms: dict[str, tuple[str, ...]] = {}
        self._people: dict[str, tuple[str, ...]] = {}
        wxid = ""
        for recorded in events:
            event: Any = recorded.event
            if isinstance(event, bot.LoggedIn | bot.LinkRestored):
                if event.wxid != wxid:
                    self._rooms, self._people = {}, {}
                wxid = event.wxid
            elif isinstance(event, bot.RoomsChanged):
                self._rooms.update({room.id: (room.topic,) for room in event.joined})
                self._forget(self._rooms, event.left)
            elif isinstance(event, bot.ContactsChanged):
                self._people.update({each.id: (each.name, each.remark) for each in event.joined})
                self._forget(self._people, event.left)

    @staticmethod
    def _forget(there: dict[str, tuple[str, ...]], left: Iterable[str]) -> None:
        for each in left:
            there.pop(each, None)

    def meant(self, queued: message.MessageQueued) -> list[str]:
        """Return the conversations that a message may be for; of one that has an id, that one, listed or not."""
        if queued.room_id or queued.user_id:
            return [conversation(queued.room_id, queued.user_id)]
        if queued.user_name:
            return [conversation("", each) for each in named(self._people, queued)]
        return [conversation(each, "") for each in named(self._rooms, queued)]
