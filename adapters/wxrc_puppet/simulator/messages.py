"""What was written: by the bot's client, by people, and by the account itself on its phone.

What a client hands over is on record, durably, before the call returns. What people write stays until the client has taken it: `waiting`
and `taken` are WeChat's side of that.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

import apsw
from attrs import asdict, frozen

from wxrc_core.content import Card
from wxrc_core.puppet import ImageFile, Outgoing
from wxrc_puppet.simulator.chance import new_message_id
from wxrc_puppet.simulator.directory import Directory, by_id, pick
from wxrc_puppet.simulator.mentions import MentionOutcome, Placed, is_mentioned, place_mentions
from wxrc_puppet.simulator.model import ChatMessage, NoSuchPerson, NotLoggedIn, Person, RoomView, SimulatorError
from wxrc_puppet.simulator.news import News

TEXT_LIMIT = 10_000
"""Characters in one message, at most."""

_COLUMNS = "seq, id, room_id, user_id, place, from_id, from_name, via, text, mentions, time, msgid, attempt, mention, card, picture"


@frozen
class _Chat:
    """Where a message goes: a room, or the direct chat with a person."""

    room_id: str
    user_id: str
    place: str
    people: Sequence[Person]


class Messages:
    """The messages of one simulated WeChat. All calls are short and synchronous; what they write is durable when they return."""

    def __init__(
        self, db: apsw.Connection, news: News, directory: Directory, clock: Callable[[], int], chance: Random
    ) -> None:
        self._db = db
        self._news = news
        self._directory = directory
        self._clock = clock
        self._chance = chance

    # -- from the client -----------------------------------------------------------------------------------------------

    def deliver(self, bot: str, client: int, outgoing: Outgoing) -> ChatMessage:
        """Take a message from the bot's client, and return it as people see it.

        Raises:
            NotLoggedIn: Nothing was written: the client is not logged in.
            NoSuchRoom: Nothing was written: the account is not in that room.
            NoSuchPerson: Nothing was written: the account knows no such person.
        """
        with self._db:
            me = self._me(bot, client)
            if me is None:
                raise NotLoggedIn("This client is not logged in to WeChat.")
            again = self._sent_before(bot, outgoing.msgid)
            if again is not None:
                return again
            placed = Placed(outgoing.text, (), "ok")
            if outgoing.room_id:
                room = self._directory.room(bot, outgoing.room_id)
                chat = _Chat(room.id, "", room.topic, ())
            else:
                chat = self._direct_chat(bot, outgoing.user_id)
            if outgoing.mention_id or outgoing.mention_names:
                members = (*self._directory.members(bot, chat.room_id), me) if chat.room_id else chat.people
                placed = place_mentions(outgoing, members, (*self._directory.people(bot), me))
            written = self._write(
                bot,
                chat,
                me,
                "client",
                placed.text,
                mentions=placed.mentions if chat.room_id else (),
                outgoing=outgoing,
                mention=placed.outcome,
                picture=self._keep(outgoing.image) if outgoing.image is not None else "",
            )
        self._news.tell()  # nothing that the client does not know
        return written

    def picture(self, digest: str) -> tuple[str, bytes] | None:
        """Return an image that reached this WeChat: its type and its bytes."""
        row = self._db.execute("SELECT media_type, data FROM picture WHERE digest = ?", (digest,)).fetchone()
        return (row[0], row[1]) if row else None

    def _keep(self, image: ImageFile) -> str:
        digest = hashlib.sha256(image.data).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO picture VALUES (?, ?, ?)", (digest, image.media_type, image.data))
        return digest

    def record(self, bot: str) -> list[ChatMessage]:
        """Return what the bot's client wrote and really reached WeChat, in order."""
        return self._select("bot = ? AND via = 'client' ORDER BY seq", (bot,))

    def _me(self, bot: str, client: int | None = None) -> Person | None:
        row = self._db.execute("SELECT wxid, name, client, session FROM account WHERE bot = ?", (bot,)).fetchone()
        if row is None or (client is not None and (row[2] != client or not row[3])):
            return None
        return Person(row[0], row[1])

    def _sent_before(self, bot: str, msgid: int) -> ChatMessage | None:
        sent = self._select(
            "bot = ? AND msgid = ? AND msgid <> 0 AND (SELECT deduplicates FROM account WHERE account.bot = message.bot)"
            " ORDER BY seq LIMIT 1",
            (bot, msgid),
        )
        return sent[0] if sent else None

    # -- from people ---------------------------------------------------------------------------------------------------

    def say(self, bot: str, text: str, *, room: str = "", user: str = "", sender: str = "") -> ChatMessage:
        """Write as a person does, or as the account itself on its phone.

        Args:
            bot: The bot whose account reads it.
            text: 1 to `TEXT_LIMIT` characters. `@` and the account's nickname, then a space or U+2005, mention the account.
            room: The room, by id or topic; or
            user: the direct chat: the person of it, or the account itself as the one who is written to.
            sender: Who writes, by id or name. Somebody unknown comes to be known, and joins the room. The account itself (by
                wxid or nickname) writes on its phone. May be left out in a direct chat: then its person writes.

        Raises:
            SimulatorError: It cannot be written; the message names the field of the JSON API and what would be right.
        """
        if not 1 <= len(text) <= TEXT_LIMIT or "\0" in text:
            raise SimulatorError(f"text must be 1 to {TEXT_LIMIT} characters, without NUL.")
        if bool(room) == bool(user):
            raise SimulatorError("room or user must be given, one of the two.")
        with self._db:
            me = self._me(bot)
            if me is None:
                raise SimulatorError("There is no such bot.", missing=True)
            mine = (me.id, me.name, bot)
            chat, writer = (
                self._room_say(bot, room, sender, mine) if room else self._direct_say(bot, user, sender, mine)
            )
            writer = writer or me
            people = (*chat.people, me) if chat.room_id else ()
            mentions = tuple(person.id for person in people if is_mentioned(person.name, text) and person != writer)
            via: Literal["phone", "person"] = "phone" if writer == me else "person"
            written = self._write(bot, chat, writer, via, text, mentions=mentions)
        self._news.tell(bot)
        return written

    def _room_say(self, bot: str, room: str, sender: str, mine: Sequence[str]) -> tuple[_Chat, Person | None]:
        if not sender:
            raise SimulatorError("from must be the name or the id of the one who writes.")
        chat = self._room_chat(bot, self._directory.find_room(bot, room))
        writer = pick(chat.people, sender)
        if writer is None and sender not in mine:
            writer = self._directory.find_person(bot, sender) or self._directory.add_person(bot, sender)
            self._directory.join(bot, chat.room_id, writer)
        return chat, writer

    def _direct_say(self, bot: str, user: str, sender: str, mine: Sequence[str]) -> tuple[_Chat, Person | None]:
        other = sender if user in mine else user
        if not other or other in mine:
            raise SimulatorError("user and from must name one other person than the account itself.")
        person = self._directory.find_person(bot, other) or self._directory.add_person(bot, other)
        if sender in mine:
            return self._direct_chat(bot, person.id), None
        if sender and sender not in (person.id, person.name):
            raise SimulatorError(
                "from must be the person that user names, or the account itself: others do not see that chat."
            )
        return self._direct_chat(bot, person.id), person

    def waiting(self, bot: str, limit: int = 100) -> list[ChatMessage]:
        """Return what people wrote and the client has not taken yet, in order."""
        return self._select(
            "bot = ? AND via = 'person' AND seq > (SELECT taken FROM account WHERE account.bot = message.bot)"
            " ORDER BY seq LIMIT ?",
            (bot, limit),
        )

    def taken(self, bot: str, seq: int) -> None:
        """Move the bot's cursor: the client has taken everything up to here."""
        with self._db:
            self._db.execute("UPDATE account SET taken = max(taken, ?) WHERE bot = ?", (seq, bot))

    # -- for reading ---------------------------------------------------------------------------------------------------

    def chat(self, bot: str, *, room_id: str = "", user_id: str = "", limit: int = 200) -> list[ChatMessage]:
        """Return the newest messages of a room or of a direct chat, the oldest of them first."""
        newest = self._select(
            "bot = ? AND room_id = ? AND user_id = ? ORDER BY seq DESC LIMIT ?", (bot, room_id, user_id, limit)
        )
        return newest[::-1]

    def _room_chat(self, bot: str, room: RoomView) -> _Chat:
        return _Chat(room.id, "", room.topic, self._directory.members(bot, room.id))

    def _direct_chat(self, bot: str, user_id: str) -> _Chat:
        person = by_id(self._directory.people(bot), user_id)
        if person is None:
            raise NoSuchPerson("user must be a person whom the account knows; there is no such person.", missing=True)
        return _Chat("", person.id, person.name, (person,))

    def _write(
        self,
        bot: str,
        chat: _Chat,
        writer: Person,
        via: Literal["client", "phone", "person"],
        text: str,
        *,
        mentions: tuple[str, ...],
        outgoing: Outgoing | None = None,
        mention: MentionOutcome = "ok",
        picture: str = "",
    ) -> ChatMessage:
        card = outgoing.card if outgoing else None
        row = (
            new_message_id(self._chance),
            chat.room_id,
            chat.user_id,
            chat.place,
            writer.id,
            writer.name,
            via,
            text,
            self._clock(),
            outgoing.msgid if outgoing else 0,
            outgoing.attempt if outgoing else 0,
            mention,
            json.dumps(asdict(card), ensure_ascii=False) if card else "",
            picture,
        )
        self._db.execute(
            "INSERT INTO message (bot, mentions, id, room_id, user_id, place, from_id, from_name, via, text, time, msgid, attempt,"
            " mention, card, picture) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (bot, json.dumps(mentions), *row),
        )
        return ChatMessage(
            seq=self._db.last_insert_rowid(),
            id=row[0],
            room_id=chat.room_id,
            user_id=chat.user_id,
            place=chat.place,
            from_id=writer.id,
            from_name=writer.name,
            via=via,
            text=text,
            mentions=mentions,
            time=row[8],
            msgid=row[9],
            attempt=row[10],
            mention=mention,
            card=card,
            picture=picture,
        )

    def _select(self, where: str, values: tuple[Any, ...]) -> list[ChatMessage]:
        return [
            ChatMessage(
                seq=seq,
                id=id_,
                room_id=room_id,
                user_id=user_id,
                place=place,
                from_id=from_id,
                from_name=from_name,
                via=via,
                text=text,
                mentions=tuple(json.loads(mentions)),
                time=time,
                msgid=msgid,
                attempt=attempt,
                mention=mention,
                card=Card(**json.loads(card)) if card else None,
                picture=picture,
            )
            for (
                seq,
                id_,
                room_id,
                user_id,
                place,
                from_id,
                from_name,
                via,
                text,
                mentions,
                time,
                msgid,
                attempt,
                mention,
                card,
                picture,
            ) in self._db.execute(f"SELECT {_COLUMNS} FROM message WHERE {where}", values)  # noqa: S608
        ]
