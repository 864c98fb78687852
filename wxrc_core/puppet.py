"""What the core and a puppet say to each other: pure data, no calls.

A *puppet* is one WeChat client of one bot. It declares `Capabilities`, takes `Outgoing` messages, answers each with exactly one
outcome, and reports what happens to the account. The protocol class with the calls stands in `wxrc_puppet.port`.

All times are epoch milliseconds (ms).
"""

from typing import Literal, TypeAlias

from attrs import field, frozen

from wxrc_core.content import Card, ContentKind


@frozen(kw_only=True)
class Capabilities:
    """What a puppet can do. Asked for more, the gateway answers `unsupported` at once and names it.

    Attributes:
        login_kinds: Kinds of client that it can log in; the first is what `login` means.
        content: Kinds of content it can send: `text`, `app`, `image`.
        rooms: It knows rooms.
        contacts: It reports the account's contacts and can write to a person.
        mentions: It can mention a member for real (with the red dot).
        receipts: A successful send comes back with an id from the WeChat side.
        deduplicates: Handing over the same message twice reaches WeChat once.
        inbound: It reports what people write to the bot.
        pace: The default pace (`None` = WeChat's customary one; see `wxrc_core.pace`). `"none"` = no limit.
    """

    login_kinds: tuple[str, ...] = ("web",)
    content: frozenset[str] = frozenset({"text"})
    rooms: bool = True
    contacts: bool = False
    mentions: bool = False
    receipts: bool = True
    deduplicates: bool = False
    inbound: bool = True
    pace: Literal["customary", "none"] = "customary"

    def gives(self, least: Literal["receipt", "echo"]) -> bool:
        """Return whether a message may ever have this evidence, or a stronger one (design.md, Evidence). No puppet reports echoes yet."""
        return self.receipts and least == "receipt"

    def lacking(self, content: ContentKind, *, to_person: bool) -> str:
        """Return the capability that sending this would need and that is not there (`contacts`, `rooms`, a kind of content); or nothing."""
        if not (self.contacts if to_person else self.rooms):
            return "contacts" if to_person else "rooms"
        return "" if content in self.content else content


@frozen
class Room:
    """One room that the bot is in.

    Attributes:
        id: WeChat's id for it, never changing.
        topic: Its name, as people see it. Two rooms may have the same one.
    """

    id: str
    topic: str


@frozen
class Contact:
    """A person to whom the account can write directly.

    Attributes:
        id: WeChat's id of the person, never changing.
        name: Their nickname, which they chose.
        remark: What the account's owner calls them; empty = nothing.
    """

    id: str
    name: str
    remark: str = ""


def conversation(room_id: str, user_id: str) -> str:
    """Return what names the conversation with a room or else with a person: order and pace are kept in each."""
    return room_id or f"user/{user_id}"


@frozen
class ImageFile:
    """The bytes of an image on their way into the puppet; `wxrc_core.content.check_image` has taken them.

    Attributes:
        name: A name for the file, with the right ending.
        media_type: `image/png`, `image/jpeg`, ...
        data: The bytes.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)


@frozen(kw_only=True)
class Outgoing:
    """One message on its way into the puppet. It carries a text, a card or an image.

    Attributes:
        msgid: The message's number, for a puppet that can deduplicate by it.
        attempt: 1 for the first hand-over, then 2, ...
        room_id: The room it goes to; empty if it goes to a person.
        user_id: The person it goes to; empty if it goes to a room.
        text: The text as the channel gave it, without mentions.
        card: The mini-program card; None = it is none.
        image: The image; None = it is none.
        mention_names: Display names to mention. Where the puppet can mention for real and finds the name in the room, it does; else it
            puts `@name` + U+2005 before the text (wire.md, roomSendText).
        mention_id: WeChat id to mention for real; empty = none.
    """

    msgid: int
    attempt: int
    room_id: str = ""
    user_id: str = ""
    text: str = ""
    card: Card | None = None
    image: ImageFile | None = None
    mention_names: tuple[str, ...] = ()
    mention_id: str = ""


# -- outcomes of one hand-over: a puppet answers with exactly one of these ------------------------------------------------------


@frozen
class Accepted:
    """The WeChat side accepted the message and named it.

    Attributes:
        receipt: The id that WeChat gave the message; never empty. An empty id is no receipt: answer `Unconfirmed`.
        mention: `ok`; `not_in_room`: sent, but the one to mention is not in the room; `unknown`: sent, but there is no such person.
    """

    receipt: str
    mention: Literal["ok", "not_in_room", "unknown"] = "ok"


@frozen
class NotSent:
    """For certain it was not sent (refused before sending). `retry` tells whether trying again can help."""

    reason: str
    retry: bool = False


@frozen
class NotConnected:
    """For certain it was not sent, because the client is not connected. It is no attempt: the message waits for the connection."""

    reason: str


@frozen
class RoomMissing:
    """For certain it was not sent: the room is dissolved, or the bot is no longer in it."""

    reason: str


@frozen
class UserMissing:
    """For certain it was not sent: the account cannot write to this person, who is no contact or does not exist."""

    reason: str


@frozen
class Rejected:
    """WeChat refused this content for good: a text, a card or an image that it does not take."""

    reason: str


@frozen
class Unconfirmed:
    """It was handed over and it is unknown whether it arrived. What a runner assumes for every exception and time-out."""

    reason: str


SendOutcome: TypeAlias = Accepted | NotSent | NotConnected | RoomMissing | UserMissing | Rejected | Unconfirmed


# -- reports: what a puppet tells of the account. They are commands to the Bot aggregate ----------------------------------------
# `at` is the puppet's clock (epoch ms), which the runner hands to it.


@frozen(kw_only=True)
class ReportQrCode:
    """A QR code is shown. Scanning it logs the bot in.

    Attributes:
        text: What the code encodes.
        expires_at: When it stops working (epoch ms).
    """

    at: int
    text: str
    expires_at: int


@frozen(kw_only=True)
class ReportScanned:
    """The code was scanned; the login is to be confirmed on the phone."""

    at: int


@frozen(kw_only=True)
class ReportDigitsWanted:
    """The phone shows digits that must be handed over. `wrong`: digits were handed over and were not right."""

    at: int
    wrong: bool = False


@frozen(kw_only=True)
class ReportLoggedIn:
    """The account is logged in and can be used; said again after every reconnection.

    Attributes:
        wxid: WeChat's id of the account.
        name: Its nickname.
    """

    at: int
    wxid: str
    name: str


@frozen(kw_only=True)
class ReportLoginFailed:
    """This attempt to log in is over without success: refused on the phone, codes used up, account barred."""

    at: int
    reason: str


@frozen(kw_only=True)
class ReportLoggedOut:
    """The account is no longer logged in here: kicked, signed out on the phone, session dead, or because we asked."""

    at: int
    reason: str


@frozen(kw_only=True)
class ReportLinkLost:
    """The puppet cannot be reached, or refuses. The account may still be logged in; nothing can be sent until it says so again."""

    at: int
    reason: str


@frozen(kw_only=True)
class ReportRooms:
    """The rooms the bot is in.

    Attributes:
        rooms: All rooms known now, not a difference.
        complete: The list is known to be whole. Only then may a room be called not found (invariant 9).
    """

    at: int
    rooms: tuple[Room, ...]
    complete: bool


@frozen(kw_only=True)
class ReportContacts:
    """The people to whom the account can write directly; everyone who writes to the bot directly is among them.

    Attributes:
        contacts: All contacts known now, not a difference.
        complete: The list is known to be whole. Only then may a person be called not found (invariant 9).
    """

    at: int
    contacts: tuple[Contact, ...]
    complete: bool


@frozen(kw_only=True)
class ReportMessage:
    """A person wrote where the bot can read it. Not for what the bot itself wrote.

    Attributes:
        message_id: WeChat's id of the message: the same message told twice has the same id.
        kind: `text`, `image`, `file`, `voice`, `app`, ...
        text: The text; for other kinds whatever text WeChat gives with it.
        from_id: WeChat id of the writer.
        from_name: Display name of the writer.
        room_id: Empty = a direct message.
        room_topic: The room's name.
        mentioned: The bot was mentioned.
    """

    at: int
    message_id: str
    kind: str
    text: str
    from_id: str
    from_name: str = ""
    room_id: str = ""
    room_topic: str = ""
    mentioned: bool = False


@frozen(kw_only=True)
class ReportReceipt:
    """A late receipt: a message that was in doubt has turned up in WeChat after all (an echo, a delayed answer)."""

    at: int
    msgid: int
    receipt: str = field()


BotReport: TypeAlias = (
    ReportQrCode
    | ReportScanned
    | ReportDigitsWanted
    | ReportLoggedIn
    | ReportLoginFailed
    | ReportLoggedOut
    | ReportLinkLost
    | ReportRooms
    | ReportContacts
)
Report: TypeAlias = BotReport | ReportMessage | ReportReceipt
