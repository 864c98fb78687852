"""One function for each interface (wire.md, section 2). Each checks its body and answers, or raises a `Fault`.

Whoever gets here has signed, and holds a grant for the bot.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from wxrc_core.bot import Bot, BotState, user_action
from wxrc_core.channel import BotGranted
from wxrc_core.message import MessageQueued, digest, send_status, stream_name
from wxrc_core.operation import Kind, OperationAccepted
from wxrc_http import fields
from wxrc_http.answers import Code, Fault
from wxrc_http.disconnect import Receive, unless_gone
from wxrc_http.head import Head
from wxrc_http.history import public_event
from wxrc_http.port import Backend, MessageRecord
from wxrc_http.sentences import NOTHING, LocalizedText

MAX_TEXT: Final = 4_000
"""Length of a text (code points)."""

MAX_NAME: Final = 256
"""Length of an id or a room's name (code points)."""

MAX_MENTIONS: Final = 100
"""Names in `atList`."""

MAX_MENTION: Final = 100
"""Length of a name in `atList` (code points)."""

MAX_PAGE: Final = 500
"""Entries of a list in one answer; 100 by default."""

MAX_MSGID: Final = 2**53 - 1

_TEXT_TYPES: Final = {"text": str, "roomId": str, "roomTopic": str, "atList": list, "atUser": str}


class SharedNames:
    """How many rooms of a bot have a name, worked out once for each state of its room list: a bot may be in thousands of rooms."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[Mapping[str, str], Mapping[str, int]]] = {}

    def count(self, botcode: str, rooms: Mapping[str, str], topic: str) -> int:
        """Return how many rooms have this name, or 1 where none has; `rooms` is never changed in place."""
        known, counts = self._counted.get(botcode, (None, {}))
        if known is not rooms:
            counts = {name: count for name, count in Counter(rooms.values()).items() if count > 1}
            self._counted[botcode] = rooms, counts
        return counts.get(topic, 1)


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
        shared_names: Names that several rooms have.
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


Answer = tuple[str, Mapping[str, Any]]
"""The name of the sentence, and the fields of resBody."""

Interface = Callable[[Call], Awaitable[Answer]]
"""What answers at one name."""


# -- login, logout, stop, botStatus ---------------------------------------------------------------------------------------------


async def login(call: Call) -> Answer:
    """Ask for login with the puppet's default kind of client."""
    return await _login(call, "")


async def mac_login(call: Call) -> Answer:
    """Ask for login as a Mac client."""
    return await _login(call, "mac")


async def web_login(call: Call) -> Answer:
    """Ask for login as a web client."""
    return await _login(call, "web")


async def logout(call: Call) -> Answer:
    """Sign the account out; the stored session is gone."""
    return await _operate(call, "logout")


async def stop(call: Call) -> Answer:
    """Release the client, keep the session."""
    return await _operate(call, "stop")


async def bot_status(call: Call) -> Answer:
    """Tell where the bot stands. While it is logged in but its puppet cannot be reached, that is `err`."""
    bot = call.bot
    status = "logout"
    if bot.state is BotState.LOGIN:
        status = "login" if bot.link else "err"
    found: dict[str, Any] = {
        "botStatus": status,
        "botState": str(bot.state),
        "since": bot.since,
        "reason": bot.reason,
        "userAction": user_action(bot),
        "wxid": bot.wxid,
        "name": bot.name,
    }
    if bot.qr is not None and bot.qr.expires_at > call.now:
        found["qrcodeImageUrl"] = bot.qr.image_url
    return "done", found


async def _login(call: Call, kind: str) -> Answer:
    kinds = call.backend.capabilities(call.head.botcode).login_kinds
    if not kinds or (kind and kind not in kinds):
        listed = ", ".join(kinds) or NOTHING
        raise Fault(Code.CANNOT, "login kind", kind=kind or LocalizedText("默认方式", "default"), kinds=listed)
    return await _operate(call, "login", kind)


async def _operate(call: Call, kind: Kind, login_kind: str = "") -> Answer:
    head = call.head
    accepted = OperationAccepted(
        at=call.now,
        chid=head.chid,
        botcode=head.botcode,
        txcode=head.txcode,
        interface=call.interface,
        digest=call.digest(),
        kind=kind,
        login_kind=login_kind,
    )
    await call.backend.operate(call.stream, accepted)
    return "accepted", {}


# -- messages -------------------------------------------------------------------------------------------------------------------


async def room_send_text(call: Call) -> Answer:
    """Send a text to a room.

    The room is named by `roomId` or by `roomTopic`, not by both: a room can be renamed at any time, and if the two named different rooms,
    either choice would put the text before the wrong people. An empty one is a wrong value and not "none", so that a client which failed
    to look its room up does not write into the default room. With neither, the grant's default room is taken.

    A text has 1 to 4,000 characters, counted as Unicode code points; white space is neither removed nor ignored.
    """
    body, grant = call.body, call.grant
    fields.require(body, "text")
    room_given = "roomId" in body or "roomTopic" in body
    if not (room_given or grant.room_id or grant.room_topic):
        raise Fault(Code.BODY_INCOMPLETE, "room missing")
    fields.check_types(body, _TEXT_TYPES)
    text = fields.string(body, "text", MAX_TEXT)
    room_id = fields.string(body, "roomId", MAX_NAME)
    room_topic = fields.string(body, "roomTopic", MAX_NAME)
    mention_names = fields.strings(body, "atList", MAX_MENTIONS, MAX_MENTION)
    mention_id = fields.string(body, "atUser", MAX_NAME)
    if room_id and room_topic:
        raise Fault(Code.BODY_VALUE, "one of two", one="roomId", other="roomTopic")
    if not room_given:
        # As in the core: an id says more than a name.
        room_id, room_topic = grant.room_id, "" if grant.room_id else grant.room_topic
    _check_can_send(call)
    head = call.head
    queued = MessageQueued(
        at=call.now,
        chid=head.chid,
        botcode=head.botcode,
        txcode=head.txcode,
        interface=call.interface,
        digest=call.digest(),
        room_id=room_id,
        room_topic=room_topic,
        text=text,
        mention_names=mention_names,
        mention_id=mention_id,
        on_doubt=grant.on_doubt,
    )
    stream = call.stream
    if room_topic:
        await _check_one_room(call, stream, room_topic)
    accepted = call.backend.queue(stream, queued, call.answer_wait_ms)
    msgid, message = await (unless_gone(accepted, call.receive) if call.answer_wait_ms else accepted)
    status, reason = send_status(message)
    return _sentence(status, reason), {"msgid": msgid, "sendStatus": status, "sendReason": reason}


async def msg_status(call: Call) -> Answer:
    """Tell where a message of this channel stands, and its history; one of another channel is as if it did not exist.

    It is named by `msgid`, or by `txcode` and `txdate`, not by both.
    """
    body = call.body
    by_txcode = "txcode" in body or "txdate" in body
    if by_txcode and "msgid" not in body:
        fields.require(body, "txcode")
        fields.require(body, "txdate")
    elif "msgid" not in body:
        raise Fault(Code.BODY_INCOMPLETE, "one of two missing")
    fields.check_types(body, {"msgid": int, "txcode": str, "txdate": str})
    if by_txcode and "msgid" in body:
        raise Fault(Code.BODY_VALUE, "one of two", one="msgid", other="txcode, txdate")
    record = await _record(call)
    if record is None or record.message.queued.chid != call.head.chid:
        raise Fault(Code.BODY_VALUE, "no such message")
    status, reason = send_status(record.message)
    return _sentence(status, reason), {
        "msgid": record.msgid,
        "sendStatus": status,
        "sendReason": reason,
        "state": str(record.message.state),
        "botcode": record.message.queued.botcode,
        "txcode": record.message.queued.txcode,
        "history": [public_event(recorded) for recorded in record.history],
    }


async def _record(call: Call) -> MessageRecord | None:
    body = call.body
    if "msgid" in body:
        return await call.backend.message(fields.integer(body, "msgid", 0, 1, MAX_MSGID))
    if not fields.VISIBLE.fullmatch(body["txcode"]):
        raise fields.wrong("txcode")
    return await call.backend.message_in(stream_name(call.head.chid, fields.day(body, "txdate"), body["txcode"]))


def _check_can_send(call: Call) -> None:
    able = call.backend.capabilities(call.head.botcode)
    if "text" not in able.content:
        raise Fault(Code.CANNOT, "unsupported", what=LocalizedText("发送文本", "send texts"))
    if not able.rooms:
        raise Fault(Code.CANNOT, "unsupported", what=LocalizedText("向群发送消息", "write to rooms"))


async def _check_one_room(call: Call, stream: str, topic: str) -> None:
    """Refuse a name that several rooms have, as far as is known now; the core looks again before it sends."""
    bot = call.bot
    if not bot.ready:
        return
    count = call.shared_names.count(call.head.botcode, bot.rooms, topic)
    # A request that was accepted before the second room appeared still gets its msgid.
    if count > 1 and await call.backend.message_in(stream) is None:
        raise Fault(Code.BODY_VALUE, "ambiguous room", count=count)


def _sentence(status: str, reason: str) -> str:
    return "unconfirmed" if reason == "unconfirmed" else f"status {status}"


# -- lists ----------------------------------------------------------------------------------------------------------------------


async def room_list(call: Call) -> Answer:
    """List the rooms that the bot is known to be in, by id, page by page.

    `complete` tells whether the list is known to be whole: the bot is logged in and its puppet has named all rooms. `cursor` is there
    while more pages follow.
    """
    fields.check_types(call.body, {"cursor": str, "limit": int})
    cursor = fields.string(call.body, "cursor", MAX_NAME)
    limit = fields.integer(call.body, "limit", 100, 1, MAX_PAGE)
    rooms = call.bot.rooms
    ids = sorted(room for room in rooms if room > cursor)
    page = ids[:limit]
    found: dict[str, Any] = {
        "rooms": [{"roomId": room, "roomTopic": rooms[room]} for room in page],
        "complete": call.bot.ready and call.bot.rooms_complete,
    }
    if len(ids) > limit:
        found["cursor"] = page[-1]
    return "done", found


INTERFACES: Final[Mapping[str, Interface]] = {
    "login": login,
    "macLogin": mac_login,
    "webLogin": web_login,
    "botStatus": bot_status,
    "roomSendText": room_send_text,
    "msgStatus": msg_status,
    "logout": logout,
    "stop": stop,
    "roomList": room_list,
}
"""Every interface by its name on the wire."""
