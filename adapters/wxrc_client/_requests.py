"""One class for each interface of wire.md, section 2: its fields, and the type of its answer.

A field that is left out (None, or an empty list) is not sent. Whether values are right is for the gateway to say: it names the field.
"""

import base64
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from wxrc_client._answers import (
    Accepted,
    Answer,
    BotEntry,
    BotPage,
    BotStatusAnswer,
    Contact,
    ContactPage,
    Item,
    MessageStatus,
    Page,
    Room,
    RoomPage,
    SendAnswer,
)

AnswerT = TypeVar("AnswerT", bound=Answer, covariant=True)


class Request(msgspec.Struct, Generic[AnswerT], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`reqBody` of an interface that answers with `AnswerT`.

    Attributes:
        interface: Its name on the wire.
        answer: The class of its answer.
    """

    interface: ClassVar[str]
    answer: ClassVar[type[Answer]]


# -- the bot ----------------------------------------------------------------------------------------------------------------------


class Login(Request[Accepted], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Start the bot's client and ask for login; the QR code, or the login, arrives by callback."""

    interface = "login"
    answer = Accepted


class MacLogin(Login, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """As `Login`, as a Mac client."""

    interface = "macLogin"


class WebLogin(Login, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """As `Login`, as a web client."""

    interface = "webLogin"


class LoginCode(Request[Accepted], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Hand over the digits that a phone shows during login."""

    interface = "loginCode"
    answer = Accepted

    code: str


class Logout(Request[Accepted], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Sign the account out; the next login needs a scan."""

    interface = "logout"
    answer = Accepted


class Stop(Request[Accepted], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Release the client and keep the session; the next login needs no scan."""

    interface = "stop"
    answer = Accepted


class BotStatus(Request[BotStatusAnswer], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask where the bot stands."""

    interface = "botStatus"
    answer = BotStatusAnswer


# -- messages ---------------------------------------------------------------------------------------------------------------------


class App(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A mini-program card. `title`, `pagepath` and one of `appid` and `username` are required.

    Attributes:
        title: The title.
        pagepath: The page that it opens.
        appid: The mini program's id.
        username: Its original id (`gh_…`).
        description: A line below the title.
        thumbnail_url: The picture (v0.1).
        thumb_url: The picture (v0.3), together with `thumb_key`.
        thumb_key: See `thumb_url`.
    """

    title: str
    pagepath: str
    appid: str | None = None
    username: str | None = None
    description: str | None = None
    thumbnail_url: str | None = None
    thumb_url: str | None = None
    thumb_key: str | None = None


class _Message(Request[SendAnswer], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A message; `expires_in` seconds after it was accepted it is not worth sending any more (None = always)."""

    answer = SendAnswer

    expires_in: int | None = None


class _ToRoom(_Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A message to a room: by `room_id`, by `room_topic` (its exact name), or, with neither, to the grant's default room."""

    room_id: str | None = None
    room_topic: str | None = None


class _ToUser(_Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A message to a person: by `user_id`, or by `user_name` (remark, then nickname)."""

    user_id: str | None = None
    user_name: str | None = None


class RoomSendText(_ToRoom, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send a text of 1 to 4,000 characters to a room.

    Attributes:
        text: The text.
        at_list: Display names to mention.
        at_user: A WeChat id to mention.
    """

    interface = "roomSendText"

    text: str
    at_list: tuple[str, ...] = ()
    at_user: str | None = None


class RoomSendApp(_ToRoom, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send a mini-program card to a room."""

    interface = "roomSendApp"

    app: App


class RoomSendImg(_ToRoom, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send an image of up to 20 MiB to a room.

    Attributes:
        file: An http(s) URL, a name inside the gateway's media folder, or what `data_url` returns.
    """

    interface = "roomSendImg"

    file: str


class UserSendText(_ToUser, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send a text of 1 to 4,000 characters to a person."""

    interface = "userSendText"

    text: str


class UserSendApp(_ToUser, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send a mini-program card to a person."""

    interface = "userSendApp"

    app: App


class UserSendImg(_ToUser, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Send an image to a person; see `RoomSendImg`."""

    interface = "userSendImg"

    file: str


class MsgStatus(Request[MessageStatus], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask where a message stands: by `msgid`, or by `txcode` and `txdate` where its answer was lost.

    Attributes:
        msgid: The number that sending it gave.
        txcode: The serial number that it was sent with.
        txdate: The day of its txtime in the channel's time zone, `yyyymmdd`; see `NoAnswer.txdate`.
    """

    interface = "msgStatus"
    answer = MessageStatus

    msgid: int | None = None
    txcode: str | None = None
    txdate: str | None = None


class MsgCancel(Request[MessageStatus], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Cancel a message that is still queued."""

    interface = "msgCancel"
    answer = MessageStatus

    msgid: int


# -- lists ------------------------------------------------------------------------------------------------------------------------


class ListRequest(Request[Page[Item]], Generic[Item], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one page of a list; `Client.each` goes through all pages.

    Attributes:
        cursor: What the page before gave; None = the first page.
        limit: How many entries, 1 to 500; None = the gateway's 100.
    """

    cursor: str | None = None
    limit: int | None = None


class RoomList(ListRequest[Room], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """List the rooms that the bot is in."""

    interface = "roomList"
    answer = RoomPage


class ContactList(ListRequest[Contact], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """List the bot's contacts."""

    interface = "contactList"
    answer = ContactPage


class BotList(ListRequest[BotEntry], frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """List the bots that the channel may use."""

    interface = "botList"
    answer = BotPage


REQUESTS: Final[tuple[type[Request[Any]], ...]] = (
    Login,
    MacLogin,
    WebLogin,
    LoginCode,
    Logout,
    Stop,
    BotStatus,
    RoomSendText,
    RoomSendApp,
    RoomSendImg,
    UserSendText,
    UserSendApp,
    UserSendImg,
    MsgStatus,
    MsgCancel,
    RoomList,
    ContactList,
    BotList,
)
"""Every interface."""


def data_url(content: bytes, media_type: str) -> str:
    """Return an image as a `data:` URL, for the field `file`.

    Args:
        content: The image.
        media_type: Its type, say `image/png`.
    """
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
