"""What interfaces answer where rtCode is 0 (wire.md, section 2) and what callbacks say (section 3), declared for the OpenAPI document.

A field without a default is always there. Every answer of the interface tests is checked against these, strictly: a field that an
interface answers and that is missing here fails them.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

SendStatus = Literal["0", "1", "2", "3", "4", "-1"]


class Done(Struct, frozen=True, kw_only=True):
    """What every answer has."""

    rtCode: Literal["0"]
    rtMsg: str
    hints: list[str] | UnsetType = UNSET


class BotStatusAnswer(Done, frozen=True, kw_only=True):
    """`botStatus`."""

    botStatus: Literal["logout", "login", "err"]
    botState: Literal["logout", "awaiting_qr", "login"]
    since: int
    reason: str
    userAction: Literal["none", "scan", "confirm", "enter_code", "relogin"]
    wxid: str
    name: str
    qrcodeImageUrl: str | UnsetType = UNSET


class SendAnswer(Done, frozen=True, kw_only=True):
    """The interfaces that send."""

    msgid: int
    sendStatus: SendStatus
    sendReason: str


class MessageAnswer(SendAnswer, frozen=True, kw_only=True):
    """`msgCancel`."""

    detail: str
    evidence: str


class MessageEvent(Struct, frozen=True, kw_only=True):
    """One event of a message's history."""

    event: str
    time: int
    attempt: int | UnsetType = UNSET
    roomId: str | UnsetType = UNSET
    userId: str | UnsetType = UNSET
    mediaType: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    receipt: str | UnsetType = UNSET
    mention: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    notBefore: int | UnsetType = UNSET


class MessageStatusAnswer(MessageAnswer, frozen=True, kw_only=True):
    """`msgStatus`."""

    state: str
    botcode: str
    txcode: str
    history: list[MessageEvent]


class Room(Struct, frozen=True, kw_only=True):
    """A room that the bot is in."""

    roomId: str
    roomTopic: str


class RoomListAnswer(Done, frozen=True, kw_only=True):
    """`roomList`."""

    rooms: list[Room]
    complete: bool
    cursor: str | UnsetType = UNSET


class Contact(Struct, frozen=True, kw_only=True):
    """Someone whom the bot can write to."""

    userId: str
    userName: str
    remark: str


class ContactListAnswer(Done, frozen=True, kw_only=True):
    """`contactList`."""

    contacts: list[Contact]
    complete: bool
    cursor: str | UnsetType = UNSET


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a bot's client can do."""

    loginKinds: list[str]
    content: list[str]
    rooms: bool
    contacts: bool
    mentions: bool
    receipts: bool
    deduplicates: bool
    inbound: bool


class BotEntry(Struct, frozen=True, kw_only=True):
    """A bot that the channel may use."""

    botcode: str
    botStatus: Literal["logout", "login", "err"]
    botState: Literal["logout", "awaiting_qr", "login"]
    since: int
    reason: str
    userAction: Literal["none", "scan", "confirm", "enter_code", "relogin"]
    wxid: str
    name: str
    capabilities: Capabilities
    sendsLeft: int | None
    nextAt: int
    qrcodeImageUrl: str | UnsetType = UNSET


class BotListAnswer(Done, frozen=True, kw_only=True):
    """`botList`."""

    bots: list[BotEntry]
    cursor: str | UnsetType = UNSET


ANSWERS: Final[Mapping[str, type[Done]]] = {
    "login": Done,
    "macLogin": Done,
    "webLogin": Done,
    "loginCode": Done,
    "botStatus": BotStatusAnswer,
    "roomSendText": SendAnswer,
    "roomSendApp": SendAnswer,
    "roomSendImg": SendAnswer,
    "userSendText": SendAnswer,
    "userSendApp": SendAnswer,
    "userSendImg": SendAnswer,
    "msgStatus": MessageStatusAnswer,
    "msgCancel": MessageAnswer,
    "logout": Done,
    "stop": Done,
    "roomList": RoomListAnswer,
    "contactList": ContactListAnswer,
    "botList": BotListAnswer,
}
"""What each interface answers where rtCode is 0."""


class QrCodeCallback(Struct, frozen=True, kw_only=True):
    """`qrCode`."""

    botcode: str
    type: Literal["qrCode"]
    seq: int
    time: int
    qrcodeImageUrl: str
    qrcode: str
    expiresAt: int


class BotStatusCallback(Struct, frozen=True, kw_only=True):
    """`botStatus`."""

    botcode: str
    type: Literal["botStatus"]
    seq: int
    time: int
    botStatus: Literal["login", "logout", "loginerr", "off"]
    reason: str
    wxid: str
    name: str


class MessageData(Struct, frozen=True, kw_only=True):
    """A message that somebody wrote."""

    text: str
    fromId: str
    roomId: str
    fromName: str
    roomTopic: str
    messageId: str
    mentioned: bool


class UserMessageCallback(Struct, frozen=True, kw_only=True):
    """`userMsg`."""

    botcode: str
    type: Literal["userMsg"]
    seq: int
    time: int
    msgType: str
    msgData: MessageData


class SendStatusCallback(Struct, frozen=True, kw_only=True):
    """`sendStatus`."""

    botcode: str
    type: Literal["sendStatus"]
    seq: int
    time: int
    msgid: int
    sendStatus: SendStatus
    sendReason: str
    txcode: str
    detail: str
    evidence: str


CALLBACKS: Final[Mapping[str, type[Struct]]] = {
    "qrCode": QrCodeCallback,
    "botStatus": BotStatusCallback,
    "userMsg": UserMessageCallback,
    "sendStatus": SendStatusCallback,
}
"""What `reqBody` of each type of callback has."""
