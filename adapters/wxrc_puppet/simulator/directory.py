"""Rooms and people, as the phone of a bot's account shows them.

Where a room or a person is named, an id will do, or the topic or display name as people see it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

import apsw

from wxrc_puppet.simulator.chance import new_room_id, new_wxid
from wxrc_puppet.simulator.model import NoSuchPerson, NoSuchRoom, Person, RoomView, SimulatorError
from wxrc_puppet.simulator.news import News
from wxrc_puppet.simulator.options import FAULTS

PEOPLE = ("赵立伟", "钱多多", "孙小美", "李建国", "周晓彤", "吴敏", "陈静")
"""Whom a new account knows. The last one is in no room."""

NAME_LIMIT = 64


class Directory:
    """The rooms and people of one simulated WeChat. All calls are short and synchronous; what they change is durable when they return."""

    def __init__(self, db: apsw.Connection, news: News, chance: Random) -> None:
        self._db = db
        self._news = news
        self._chance = chance

    def rooms(self, bot: str) -> list[RoomView]:
        """Return the rooms that the bot is in."""
        return [
            RoomView(*row)
            for row in self._db.execute("SELECT id, topic, fault FROM room WHERE bot = ? ORDER BY nr", (bot,))
        ]

    def room(self, bot: str, room_id: str) -> RoomView:
        """Return the room with this id.

        Raises:
            NoSuchRoom: The bot is in no such room.
        """
        row = self._db.execute("SELECT id, topic, fault FROM room WHERE bot = ? AND id = ?", (bot, room_id)).fetchone()
        if row is None:
            raise NoSuchRoom("room must be a room that the bot is in; there is no such room.", missing=True)
        return RoomView(*row)

    def find_room(self, bot: str, wish: str) -> RoomView:
        """Return the room with this id, else the one with this topic.

        Raises:
            SimulatorError: There is none, or several have that topic.
        """
        rooms = self.rooms(bot)
        found = [room for room in rooms if room.id == wish] or [room for room in rooms if room.topic == wish]
        if len(found) > 1:
            ids = ", ".join(room.id for room in found)
            raise SimulatorError(f"room must name one room; {len(found)} rooms have this topic, so give an id: {ids}.")
        return found[0] if found else self.room(bot, wish)

    def add_room(self, bot: str, topic: str) -> RoomView:
        """Make a room with everybody in it but the last of `PEOPLE`; another room may have the same topic."""
        topic = valid_name(topic, "topic")
        with self._db:
            room_id = self._add_room(bot, topic)
        self._news.tell(bot)
        return self.room(bot, room_id)

    def change_room(self, bot: str, room_id: str, *, topic: str | None = None, fault: str | None = None) -> RoomView:
        """Rename a room, or make something wrong with it (one of `FAULTS`; empty = nothing)."""
        if fault and fault not in FAULTS:
            raise SimulatorError(f"fault must be empty or one of {', '.join(FAULTS)}.")
        with self._db:
            if topic is not None:
                self._db.execute(
                    "UPDATE room SET topic = ? WHERE bot = ? AND id = ?", (valid_name(topic, "topic"), bot, room_id)
                )
            if fault is not None:
                self._db.execute("UPDATE room SET fault = ? WHERE bot = ? AND id = ?", (fault, bot, room_id))
        self._news.tell(bot)
        return self.room(bot, room_id)

    def dissolve_room(self, bot: str, room_id: str) -> None:
        """Dissolve a room: the bot is in it no longer. What was written there stays on record."""
        with self._db:
            self._db.execute("DELETE FROM room WHERE bot = ? AND id = ?", (bot, room_id))
            self._db.execute("DELETE FROM member WHERE bot = ? AND room_id = ?", (bot, room_id))
        self._news.tell(bot)

    def people(self, bot: str) -> list[Person]:
        """Return the people whom the bot's account knows."""
        return [
            Person(*row)
            for row in self._db.execute("SELECT id, name, remark FROM person WHERE bot = ? ORDER BY nr", (bot,))
        ]

    def members(self, bot: str, room_id: str) -> list[Person]:
        """Return the people in a room, without the account itself."""
        rows = self._db.execute(
            "SELECT person.id, person.name, person.remark FROM member"
            " JOIN person ON person.bot = member.bot AND person.id = member.person_id"
            " WHERE member.bot = ? AND member.room_id = ? ORDER BY person.nr",
            (bot, room_id),
        )
        return [Person(*row) for row in rows]

    def find_person(self, bot: str, wish: str) -> Person | None:
        """Return the person with this id, else the first with this name."""
        return pick(self.people(bot), wish)

    def person(self, bot: str, wish: str) -> Person:
        """Return the person with this id, else the first with this name.

        Raises:
            NoSuchPerson: The account knows nobody of that id or name.
        """
        person = self.find_person(bot, wish)
        if person is None:
            raise NoSuchPerson("user must be a person whom the account knows; there is no such person.", missing=True)
        return person

    def set_remark(self, bot: str, user_id: str, remark: str) -> Person:
        """Call a person something else; empty = by their own name."""
        with self._db:
            self._db.execute(
                "UPDATE person SET remark = ? WHERE bot = ? AND id = ?",
                (valid_name(remark, "remark") if remark else "", bot, user_id),
            )
        self._news.tell(bot)
        return self.person(bot, user_id)

    def forget_person(self, bot: str, user_id: str) -> None:
        """Let a person be no contact any more, and in no room. What was written stays on record."""
        with self._db:
            self._db.execute("DELETE FROM person WHERE bot = ? AND id = ?", (bot, user_id))
            self._db.execute("DELETE FROM member WHERE bot = ? AND person_id = ?", (bot, user_id))
        self._news.tell(bot)

    def lay_out(self, bot: str, topics: Iterable[str], faults: Iterable[tuple[str, str]]) -> None:
        """Add the rooms that are missing, and put in order what is wrong with which. Inside the caller's transaction."""
        if not self.people(bot):
            for name in PEOPLE:
                self.add_person(bot, name)
        there = Counter(room.topic for room in self.rooms(bot))
        for topic, wanted in Counter(topics).items():
            for _ in range(wanted - there[topic]):
                self._add_room(bot, topic)
        self._db.execute("UPDATE room SET fault = '' WHERE bot = ?", (bot,))
        for topic, fault in faults:
            self._db.execute("UPDATE room SET fault = ? WHERE bot = ? AND topic = ?", (fault, bot, topic))

    def _add_room(self, bot: str, topic: str) -> str:
        room_id = new_room_id(self._chance)
        self._db.execute(
            "INSERT INTO room (bot, id, topic, nr) SELECT ?, ?, ?, coalesce(max(nr), 0) + 1 FROM room WHERE bot = ?",
            (bot, room_id, topic, bot),
        )
        self._db.execute(
            "INSERT INTO member SELECT bot, ?, id FROM person WHERE bot = ? AND name <> ?", (room_id, bot, PEOPLE[-1])
        )
        return room_id

    def add_person(self, bot: str, name: str) -> Person:
        """Let the account know somebody new. Inside the caller's transaction."""
        person = Person(new_wxid(self._chance), valid_name(name, "from"))
        self._db.execute(
            "INSERT INTO person (bot, id, name, nr) SELECT ?, ?, ?, coalesce(max(nr), 0) + 1 FROM person WHERE bot = ?",
            (bot, person.id, person.name, bot),
        )
        return person

    def join(self, bot: str, room_id: str, person: Person) -> None:
        """Put a person into a room, unless they are in it. Inside the caller's transaction."""
        self._db.execute("INSERT OR IGNORE INTO member VALUES (?, ?, ?)", (bot, room_id, person.id))


def by_id(people: Iterable[Person], wish: str) -> Person | None:
    """Return the person with this id."""
    return next((person for person in people if person.id == wish), None)


def by_name(people: Iterable[Person], wish: str) -> Person | None:
    """Return the first person with this name."""
    return next((person for person in people if person.name == wish), None)


def pick(people: Sequence[Person], wish: str) -> Person | None:
    """Return the person with this id, else the first with this name."""
    return by_id(people, wish) or by_name(people, wish)


def is_name(name: str) -> bool:
    """Tell whether this can be a topic or a display name: 1 to `NAME_LIMIT` characters that can be shown."""
    return bool(name.strip()) and len(name) <= NAME_LIMIT and all(letter.isprintable() for letter in name)


def valid_name(name: str, field: str) -> str:
    """Return the name if it is one.

    Raises:
        SimulatorError: It is not; the message names the field.
    """
    if not is_name(name):
        raise SimulatorError(f"{field} must be a name of 1 to {NAME_LIMIT} characters that can be shown.")
    return name
