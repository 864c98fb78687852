"""One request on its way through an interface: what it has been found to be so far, and what the interfaces ask of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Struct

from wxrc_core.bot import Bot
from wxrc_core.channel import BotGranted
from wxrc_core.content import ContentKind
from wxrc_core.message import digest, stream_name
from wxrc_core.name_index import NameIndex, people_by_name, rooms_by_topic
from wxrc_core.puppet import Contact
from wxrc_http.answers import Code, Fault
from wxrc_http.disconnect import Receive
from wxrc_http.head import Head
from wxrc_http.port import Backend
from wxrc_http.sentences import LocalizedText


class SharedNames:
    """How many rooms or contacts of a bot have a name, worked out once for each state of its lists."""

    def __init__(self) -> None:
        self._rooms: dict[str, NameIndex[str]] = {}
        self._people: dict[str, NameIndex[Contact]] = {}

    def rooms(self, botcode: str, bot: Bot, topic: str) -> int:
        """Return how many rooms have this name."""
        index = self._rooms.get(botcode)
        if index is None:
            index = self._rooms[botcode] = NameIndex(rooms_by_topic)
        return len(index.ids(bot.rooms, topic))

    def people(self, botcode: str, bot: Bot, name: str) -> int:
        """Return how many people are meant by this name."""
        index = self._people.get(botcode)
        if index is None:
            index = self._people[botcode] = NameIndex(people_by_name)
        return len(index.ids(bot.contacts, name))


class Call(NamedTuple):
    """A request whose head and signature hold.

    Attributes:
        interface: Its name.
        head: `reqHead`.
        body: `reqBody`.
        day: The day of txtime in the channel's zone (`yyyymmdd`).
        grant: What the channel may do with the bot.
        bot: The bot.
        now: Epoch ms.
        answer_wait_ms: How long the answer may wait for a message's end (ms).
        backend: Whoever runs the bots.
        shared_names: Names that several rooms or people have.
        receive: Tells when the client has gone.
    """

    interface: str
    head: Head
    body: Mapping[str, Any]
    day: str
    grant: BotGranted
    bot: Bot
    now: int
    answer_wait_ms: int
    backend: Backend
    shared_names: SharedNames
    receive: Receive

    @property
    def stream(self) -> str:
        """The stream that the txcode names."""
        return stream_name(self.head.chid, self.day, self.head.txcode)

    def digest(self) -> str:
        """Return the fingerprint of the request: of all of the body, fields that nobody knows included.

        Raises:
            Fault: The body has a string that no UTF-8 can carry, or a number beyond all bounds (32).
        """
        try:
            return digest(self.interface, self.head.botcode, self.body)
        except ValueError as error:  # UnicodeEncodeError is one
            raise Fault(Code.BODY_VALUE, "unencodable") from error

    def check_able(self, content: ContentKind, *, to_person: bool) -> None:
        """Refuse what the bot's puppet cannot do, by name (34), before anything is queued."""
        lacking = self.backend.capabilities(self.head.botcode).lacking(content, to_person=to_person)
        if lacking:
            raise Fault(Code.CANNOT, "unsupported", what=_LACKING[lacking])


_LACKING: Final[Mapping[str, LocalizedText]] = {
    "rooms": LocalizedText("向群发送消息（rooms）", "write to rooms (rooms)"),
    "contacts": LocalizedText("向联系人发送消息（contacts）", "write to people (contacts)"),
    "text": LocalizedText("发送文本（text）", "send texts (text)"),
    "app": LocalizedText("发送小程序卡片（app）", "send mini-program cards (app)"),
    "image": LocalizedText("发送图片（image）", "send images (image)"),
}

Answer: TypeAlias = tuple[str, Mapping[str, Any]]
"""The name of the sentence, and the fields of resBody."""


class Interface(NamedTuple):
    """An interface: what answers it, and what its reqBody may have."""

    answer: Callable[[Call], Awaitable[Answer]]
    body: type[Struct]

    def __call__(self, call: Call) -> Awaitable[Answer]:
        """Answer a request."""
        return self.answer(call)
