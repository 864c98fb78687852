"""What each interface takes as reqBody (wire.md, section 2): the one declaration of its fields, from which requests are checked.

A field without a default is required. `Annotated` has its limits; what it has to be, in words, stands in `wxrc_http.sentences.RULES`
under its name. Lengths are counted in Unicode code points. Names on the wire are as the two published revisions have them.
"""

from typing import Annotated, Any, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

MAX_TEXT: Final = 4_000
MAX_NAME: Final = 256
MAX_LINE: Final = 1_024
MAX_URL: Final = 2_048
MAX_MENTIONS: Final = 100
MAX_MENTION: Final = 100
MAX_PAGE: Final = 500
MAX_MSGID: Final = 2**53 - 1
MAX_EXPIRES_S: Final = 7 * 86_400

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_LINE)]
Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
Visible: TypeAlias = Annotated[str, Meta(pattern=r"^[!-~]{1,64}$")]
Msgid: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_MSGID)]


class Empty(Struct, frozen=True):
    """Nothing."""


class Code(Struct, frozen=True):
    """`loginCode`."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{1,16}$")]


class Expiring(Struct, frozen=True, kw_only=True):
    """What all messages have."""

    expiresIn: Annotated[int, Meta(ge=1, le=MAX_EXPIRES_S)] | UnsetType = UNSET


class ToRoom(Expiring, frozen=True, kw_only=True):
    """Where a message to a room goes: one of the two, or neither for the grant's default room."""

    roomId: Name | UnsetType = UNSET
    roomTopic: Name | UnsetType = UNSET


class ToPerson(Expiring, frozen=True, kw_only=True):
    """Whom a message to a person goes to: one of the two."""

    userId: Name | UnsetType = UNSET
    userName: Name | UnsetType = UNSET


class RoomText(ToRoom, frozen=True, kw_only=True):
    """`roomSendText`."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    atList: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=MAX_MENTION)]], Meta(max_length=MAX_MENTIONS)]
        | UnsetType
    ) = UNSET
    atUser: Name | UnsetType = UNSET


class UserText(ToPerson, frozen=True, kw_only=True):
    """`userSendText`."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class RoomApp(ToRoom, frozen=True, kw_only=True):
    """`roomSendApp`; `app` is an `App`, as a JSON object or as the JSON text of one."""

    app: dict[str, Any] | str


class UserApp(ToPerson, frozen=True, kw_only=True):
    """`userSendApp`; `app` as in `RoomApp`."""

    app: dict[str, Any] | str


class App(Struct, frozen=True, kw_only=True):
    """A mini-program card: `appid` or `username` is required; the picture by `thumbnailUrl` (v0.1) or `thumbUrl`, `thumbKey` (v0.3)."""

    title: Name
    pagepath: Line
    appid: Name | UnsetType = UNSET
    username: Name | UnsetType = UNSET
    description: Line | UnsetType = UNSET
    thumbnailUrl: Url | UnsetType = UNSET
    thumbUrl: Url | UnsetType = UNSET
    thumbKey: Line | UnsetType = UNSET


class RoomImage(ToRoom, frozen=True, kw_only=True):
    """`roomSendImg`; `file` is an http(s) URL, a name in the media folder, or a `data:` URL (its length is that of the body)."""

    file: Annotated[str, Meta(min_length=1)]


class UserImage(ToPerson, frozen=True, kw_only=True):
    """`userSendImg`; `file` as in `RoomImage`."""

    file: Annotated[str, Meta(min_length=1)]


class MessageName(Struct, frozen=True, kw_only=True):
    """`msgStatus`: `msgid`, or `txcode` and `txdate`."""

    msgid: Msgid | UnsetType = UNSET
    txcode: Visible | UnsetType = UNSET
    txdate: Annotated[str, Meta(pattern=r"^[0-9]{8}$")] | UnsetType = UNSET


class MessageNumber(Struct, frozen=True, kw_only=True):
    """`msgCancel`."""

    msgid: Msgid


class Page(Struct, frozen=True, kw_only=True):
    """A page of a list."""

    cursor: Name | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100
