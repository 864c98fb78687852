"""What the simulated WeChat is made of: frozen records as they are read from its file, and what can go wrong with a wish.

All times are epoch milliseconds (ms).
"""

from typing import Literal, TypeAlias

from attrs import frozen

from wxrc_core.content import Card

Ended: TypeAlias = Literal["", "kicked", "phone", "client"]
"""Why the last login ended: never ended; kicked by another device; signed out on the phone; signed out by the client."""

CodeState: TypeAlias = Literal[
    "shown", "scanned", "digits", "confirmed", "used", "refused", "expired", "blocked", "withdrawn"
]
"""What became of a QR code.

- `shown`, `scanned`, `digits`: still open; with `digits` the phone shows digits that the client must hand over.
- `confirmed`: the client may log in with it, once; `used`: it has.
- `refused` on the phone; `expired`; `blocked` by wrong digits; `withdrawn` by a newer code or because the client went.
"""

OPEN: tuple[CodeState, ...] = ("shown", "scanned", "digits")

Fault: TypeAlias = Literal["", "rejected", "no_receipt", "hang", "lost"]
"""What is wrong with a room; see `options.FAULTS`."""


@frozen(kw_only=True)
class Account:
    """The WeChat account of one bot.

    Attributes:
        bot: The bot's code.
        wxid: WeChat's id of the account.
        name: Its nickname.
        logged_in: A client's session is valid.
        since: Since when the account is logged in, or is not.
        client: Number of the client that logged in last; an older one is out.
        kind: The kind of that client: `web`, `mac`.
        ended: Why the last login ended.
        taken: Number of the last message that the client has taken.
        deduplicates: WeChat keeps one of several messages with the same msgid.
    """

    bot: str
    wxid: str
    name: str
    logged_in: bool
    since: int
    client: int
    kind: str
    ended: Ended
    taken: int
    deduplicates: bool


@frozen
class Person:
    """Somebody whom a bot's account knows; `remark` is what the account calls them, empty = nothing."""

    id: str
    name: str
    remark: str = ""


@frozen
class RoomView:
    """A room that a bot is in.

    Attributes:
        id: WeChat's id for it.
        topic: Its name.
        fault: What is wrong with it.
    """

    id: str
    topic: str
    fault: Fault = ""


@frozen(kw_only=True)
class ChatMessage:
    """A message in a room or between the account and a person.

    Attributes:
        seq: Its number in this WeChat, ascending.
        id: WeChat's id for it (the receipt of a send).
        room_id: The room; empty = a direct chat.
        user_id: The person of the direct chat; empty = a room.
        place: The room's topic or the person's name at that time.
        from_id: Who wrote it.
        from_name: Their name.
        via: `client`: the bot's client; `phone`: the account itself, on its phone; `person`: somebody else.
        text: What is on the screen; empty for a card or an image.
        card: The mini-program card; None = it is none.
        picture: The digest of the image; empty = it is none.
        mentions: WeChat ids of those who are mentioned for real.
        time: When it reached WeChat.
        msgid: The gateway's number, for `client`; else 0.
        attempt: The gateway's attempt, for `client`; else 0.
        mention: For `client`: whether those to mention were found.
    """

    seq: int
    id: str
    room_id: str
    user_id: str
    place: str
    from_id: str
    from_name: str
    via: Literal["client", "phone", "person"]
    text: str
    mentions: tuple[str, ...]
    time: int
    msgid: int
    attempt: int
    mention: Literal["ok", "not_in_room", "unknown"]
    card: Card | None = None
    picture: str = ""


@frozen(kw_only=True)
class Code:
    """A QR code.

    Attributes:
        token: What makes its URL unguessable.
        bot: Whose login it is.
        state: What became of it.
        expires_at: When it stops working.
        digits: What the phone shows; empty = nothing.
        wrong: How often wrong digits were handed over.
    """

    token: str
    bot: str
    state: CodeState
    expires_at: int
    digits: str
    wrong: int


@frozen
class Login:
    """A client that is logged in: its number and its session credentials."""

    client: int
    session: str


class SimulatorError(Exception):
    """Something that this WeChat cannot do; the message is a sentence that names the field and what would be right.

    Attributes:
        missing: The field names something that is not there (HTTP 404); else its value is wrong (400).
    """

    def __init__(self, sentence: str, *, missing: bool = False) -> None:
        super().__init__(sentence)
        self.missing = missing


class NotLoggedIn(SimulatorError):
    """This client is not logged in, so nothing was written."""


class NoSuchRoom(SimulatorError):
    """The account is in no such room."""


class NoSuchPerson(SimulatorError):
    """The account knows no such person."""
