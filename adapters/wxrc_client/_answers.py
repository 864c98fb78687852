"""What the interfaces answer, typed (wire.md, section 2). Fields that this release does not know are ignored."""

from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class SendStatus(StrEnum):
    """What became of a message. The answer's `send_status` is a plain string, so that a newer gateway's values still arrive."""

    QUEUED = "0"
    SENT = "1"
    NO_SUCH_ROOM = "2"
    """The room or user does not exist."""
    NOT_IN_ROOM = "3"
    """Text: sent, but the one to mention is not in the room. Card: refused. Image: the file is not there."""
    NO_SUCH_MENTION = "4"
    """Sent, but the one to mention does not exist."""
    FAILED = "-1"
    """It will not be sent any more; `send_reason` says why. `unconfirmed` = it was handed over and may have arrived."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every answer has.

    Attributes:
        rt_msg: A sentence, in the language that the client asked for.
        hints: Sentences about fields of the request that look misspelt.
    """

    rt_msg: str = ""
    hints: tuple[str, ...] = ()


class Accepted(Answer, frozen=True, kw_only=True, rename="camel"):
    """It was accepted; what becomes of it arrives by callback."""


class BotStatusAnswer(Answer, frozen=True, kw_only=True, rename="camel"):
    """Where a bot stands.

    Attributes:
        bot_status: `login`, `logout` or `err` (the client cannot be reached).
        bot_state: More precisely: `logout`, `awaiting_qr`, `login`.
        since: Since when (epoch ms).
        reason: Why, where there is something to say.
        user_action: What a person must do now: `none`, `scan`, `confirm`, `enter_code`, `relogin`.
        wxid: The account, once it is known.
        name: Its name.
        qrcode_image_url: The QR code's image while one is valid.
    """

    bot_status: str
    bot_state: str = ""
    since: int | None = None
    reason: str = ""
    user_action: str = ""
    wxid: str = ""
    name: str = ""
    qrcode_image_url: str = ""


class SendAnswer(Answer, frozen=True, kw_only=True, rename="camel"):
    """A message was accepted.

    Attributes:
        msgid: Its number; `MsgStatus` and the `sendStatus` callback know it by this.
        send_status: See `SendStatus`. With `0` a callback tells the end.
        send_reason: With `-1`: `failed`, `rejected`, `unconfirmed`, `expired`, `cancelled`, `unsupported`, `window_closed`.
    """

    msgid: int
    send_status: str
    send_reason: str = ""

    @property
    def final(self) -> bool:
        """Whether this is the message's end."""
        return self.send_status != SendStatus.QUEUED


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a message.

    Attributes:
        event: Its name (docs, "States").
        time: When (epoch ms).
        attempt: The number of the attempt, where it belongs to one.
        room_id: The room that it went to; or
        user_id: the person.
        receipt: What WeChat named the message.
        mention: What became of the mention.
        reason: Why.
        detail: The same as a sentence.
        not_before: Not again before (epoch ms).
        media_type: What an image is, once it was fetched.
        size: Its bytes.
    """

    event: str
    time: int
    attempt: int | None = None
    room_id: str = ""
    user_id: str = ""
    receipt: str = ""
    mention: str = ""
    reason: str = ""
    detail: str = ""
    not_before: int | None = None
    media_type: str = ""
    size: int | None = None


class MessageStatus(SendAnswer, frozen=True, kw_only=True, rename="camel"):
    """Where a message stands.

    Attributes:
        detail: Why, as a sentence.
        evidence: How `sent` is known: `receipt`, `echo`, ….
        state: More precisely (docs, "States").
        botcode: The bot.
        txcode: The serial number that made it.
        history: Its events, oldest first.
    """

    detail: str = ""
    evidence: str = ""
    state: str = ""
    botcode: str = ""
    txcode: str = ""
    history: tuple[HistoryEvent, ...] = ()


class Page(Answer, Generic[Item], frozen=True, kw_only=True, rename="camel"):
    """One page of a list.

    Attributes:
        cursor: For the request of the next page; empty = this is the last.
        complete: Whether the list is known to be whole.
    """

    cursor: str = ""
    complete: bool = True

    @property
    def items(self) -> tuple[Item, ...]:
        """What is on this page."""
        raise NotImplementedError


class Room(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A room that the bot is in."""

    room_id: str
    room_topic: str = ""


class RoomPage(Page[Room], frozen=True, kw_only=True, rename="camel"):
    """One page of `RoomList`."""

    rooms: tuple[Room, ...]

    @property
    def items(self) -> tuple[Room, ...]:
        """The rooms."""
        return self.rooms


class Contact(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Someone whom the bot can write to."""

    user_id: str
    user_name: str = ""
    remark: str = ""


class ContactPage(Page[Contact], frozen=True, kw_only=True, rename="camel"):
    """One page of `ContactList`."""

    contacts: tuple[Contact, ...]

    @property
    def items(self) -> tuple[Contact, ...]:
        """The contacts."""
        return self.contacts


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bot's client can do.

    Attributes:
        login_kinds: The kinds of client that it can log in as.
        content: What it can send: `text`, `app`, `image`.
        rooms: It can write to rooms.
        contacts: It can write to people.
        mentions: It can mention for real.
        receipts: It says whether a message arrived.
        deduplicates: It takes the same message twice and sends it once.
        inbound: It tells what people write.
    """

    login_kinds: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    rooms: bool = False
    contacts: bool = False
    mentions: bool = False
    receipts: bool = False
    deduplicates: bool = False
    inbound: bool = False


class BotEntry(BotStatusAnswer, frozen=True, kw_only=True, rename="camel"):
    """A bot that the channel may use.

    Attributes:
        botcode: Its code.
        capabilities: What its client can do.
        sends_left: How many messages may go now, by its pace and its send window; None = as many as you like.
        next_at: When the next message may go (epoch ms); None = at once.
    """

    botcode: str
    capabilities: Capabilities = Capabilities()
    sends_left: int | None = None
    next_at: int | None = None


class BotPage(Page[BotEntry], frozen=True, kw_only=True, rename="camel"):
    """One page of `BotList`."""

    bots: tuple[BotEntry, ...]

    @property
    def items(self) -> tuple[BotEntry, ...]:
        """The bots."""
        return self.bots
