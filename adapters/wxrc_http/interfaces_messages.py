"""The interfaces about messages (wire.md, section 2): sending a text, a card or an image to a room or a person, asking, cancelling.

A room is named by `roomId` or by `roomTopic`, not by both: a room can be renamed at any time, and if the two named different rooms,
either choice would put the message before the wrong people. An empty one is a wrong value and not "none", so that a client which failed
to look its room up does not write into the default room. With neither, the grant's default room is taken. A person is named by `userId`
or by `userName` (remark, then nickname), and there is no default.
"""

from typing import Any

from wxrc_core.content import Card, Image
from wxrc_core.errors import Refusal
from wxrc_core.message import (
    Message,
    MessageQueued,
    MessageState,
    content,
    evidence,
    is_to_person,
    send_status,
    stream_name,
)
from wxrc_http import bodies, fields
from wxrc_http.answers import Code, Fault
from wxrc_http.call import Answer, Call
from wxrc_http.contents import card, image
from wxrc_http.disconnect import unless_gone
from wxrc_http.history import public_event
from wxrc_http.interfaces_bot import cancel_accepted
from wxrc_http.port import MessageRecord


async def room_send_text(call: Call) -> Answer:
    """Send a text to a room. White space is neither removed nor ignored."""
    _require(call, bodies.RoomText)
    body = fields.read(call.body, bodies.RoomText)
    room_id, room_topic = _room(call, body)
    call.check_able("text", to_person=False)
    queued = _queued(
        call, body, room_id=room_id, room_topic=room_topic, text=body.text,
        mention_names=tuple(fields.given(body.atList)), mention_id=fields.given(body.atUser),
    )  # fmt: skip
    return await _send(call, queued)


async def user_send_text(call: Call) -> Answer:
    """Send a text to a person."""
    _require(call, bodies.UserText)
    body = fields.read(call.body, bodies.UserText)
    user_id, user_name = _person(body)
    call.check_able("text", to_person=True)
    return await _send(call, _queued(call, body, user_id=user_id, user_name=user_name, text=body.text))


async def room_send_app(call: Call) -> Answer:
    """Send a mini-program card to a room."""
    _require(call, bodies.RoomApp)
    body = fields.read(call.body, bodies.RoomApp)
    found = card(body.app)
    room_id, room_topic = _room(call, body)
    call.check_able("app", to_person=False)
    return await _send(call, _queued(call, body, room_id=room_id, room_topic=room_topic, card=found))


async def user_send_app(call: Call) -> Answer:
    """Send a mini-program card to a person."""
    _require(call, bodies.UserApp)
    body = fields.read(call.body, bodies.UserApp)
    found = card(body.app)
    user_id, user_name = _person(body)
    call.check_able("app", to_person=True)
    return await _send(call, _queued(call, body, user_id=user_id, user_name=user_name, card=found))


async def room_send_img(call: Call) -> Answer:
    """Send an image to a room. What is at a URL or in the media folder is fetched after this; a `data:` URL is stored at once."""
    _require(call, bodies.RoomImage)
    body = fields.read(call.body, bodies.RoomImage)
    room_id, room_topic = _room(call, body)
    call.check_able("image", to_person=False)
    found = await image(call, body.file)
    return await _send(call, _queued(call, body, room_id=room_id, room_topic=room_topic, image=found))


async def user_send_img(call: Call) -> Answer:
    """Send an image to a person; see `room_send_img`."""
    _require(call, bodies.UserImage)
    body = fields.read(call.body, bodies.UserImage)
    user_id, user_name = _person(body)
    call.check_able("image", to_person=True)
    found = await image(call, body.file)
    return await _send(call, _queued(call, body, user_id=user_id, user_name=user_name, image=found))


# -- where it goes --------------------------------------------------------------------------------------------------------------


def _require(call: Call, kind: type[bodies.ToRoom] | type[bodies.ToPerson]) -> None:
    """Refuse an incomplete body (30): without its content, or without a room or person where there is no default."""
    body, grant = call.body, call.grant
    fields.require(body, kind)
    if issubclass(kind, bodies.ToPerson):
        if "userId" not in body and "userName" not in body:
            raise Fault(Code.BODY_INCOMPLETE, "person missing")
    elif not ("roomId" in body or "roomTopic" in body or grant.room_id or grant.room_topic):
        raise Fault(Code.BODY_INCOMPLETE, "room missing")


def _room(call: Call, body: bodies.ToRoom) -> tuple[str, str]:
    room_id, room_topic = fields.given(body.roomId), fields.given(body.roomTopic)
    if room_id and room_topic:
        raise Fault(Code.BODY_VALUE, "one of two", one="roomId", other="roomTopic")
    if not room_id and not room_topic:
        # As in the core: an id says more than a name.
        return call.grant.room_id, "" if call.grant.room_id else call.grant.room_topic
    return room_id, room_topic


def _person(body: bodies.ToPerson) -> tuple[str, str]:
    user_id, user_name = fields.given(body.userId), fields.given(body.userName)
    if user_id and user_name:
        raise Fault(Code.BODY_VALUE, "one of two", one="userId", other="userName")
    return user_id, user_name


# -- accepting it ---------------------------------------------------------------------------------------------------------------


def _queued(
    call: Call,
    body: bodies.Expiring,
    *,
    room_id: str = "",
    room_topic: str = "",
    user_id: str = "",
    user_name: str = "",
    text: str = "",
    card: Card | None = None,
    image: Image | None = None,
    mention_names: tuple[str, ...] = (),
    mention_id: str = "",
) -> MessageQueued:
    head = call.head
    return MessageQueued(
        at=call.now,
        chid=head.chid,
        botcode=head.botcode,
        txcode=head.txcode,
        interface=call.interface,
        digest=call.digest(),
        room_id=room_id,
        room_topic=room_topic,
        user_id=user_id,
        user_name=user_name,
        text=text,
        card=card,
        image=image,
        mention_names=mention_names,
        mention_id=mention_id,
        expires_at=call.now + body.expiresIn * 1000 if isinstance(body.expiresIn, int) else None,
        on_doubt=call.grant.on_doubt,
    )


async def _send(call: Call, queued: MessageQueued) -> Answer:
    stream = call.stream
    await _check_evidence(call)
    if queued.room_topic or queued.user_name:
        await _check_one_meant(call, stream, queued)
    accepted = call.backend.queue(stream, queued, call.answer_wait_ms)
    msgid, message = await (unless_gone(accepted, call.receive) if call.answer_wait_ms else accepted)
    status, reason = send_status(message)
    return _sentence(message), {"msgid": msgid, "sendStatus": status, "sendReason": reason}


async def _check_evidence(call: Call) -> None:
    """Refuse a message that could never be called sent: the grant asks for an evidence that the bot's puppet cannot give."""
    least = call.grant.least_evidence
    if call.backend.capabilities(call.head.botcode).gives(least):
        return
    # A request that was accepted before the grant's terms changed still gets its msgid.
    if await call.backend.message_in(call.stream) is None:
        raise Fault(Code.CANNOT, "evidence", least=least)


async def _check_one_meant(call: Call, stream: str, queued: MessageQueued) -> None:
    """Refuse a name that several rooms or people have, as far as is known now; the core looks again before it sends."""
    bot, botcode = call.bot, call.head.botcode
    if not bot.ready:
        return
    if queued.user_name:
        sentence, count = "ambiguous person", call.shared_names.people(botcode, bot, queued.user_name)
    else:
        sentence, count = "ambiguous room", call.shared_names.rooms(botcode, bot, queued.room_topic)
    # A request that was accepted before the second one appeared still gets its msgid.
    if count > 1 and await call.backend.message_in(stream) is None:
        raise Fault(Code.BODY_VALUE, sentence, count=count)


# -- afterwards -----------------------------------------------------------------------------------------------------------------


async def msg_status(call: Call) -> Answer:
    """Tell where a message of this channel stands, and its history; one of another channel is as if it did not exist.

    It is named by `msgid`, or by `txcode` and `txdate`, not by both.
    """
    body = call.body
    by_txcode = "txcode" in body or "txdate" in body
    if by_txcode and "msgid" not in body:
        for name in ("txcode", "txdate"):
            fields.require_one(body, name)
    elif "msgid" not in body:
        raise Fault(Code.BODY_INCOMPLETE, "one of two missing")
    named = fields.read(body, bodies.MessageName)
    if by_txcode and "msgid" in body:
        raise Fault(Code.BODY_VALUE, "one of two", one="msgid", other="txcode, txdate")
    if isinstance(named.msgid, int):
        record = await call.backend.message(named.msgid)
    else:
        day = fields.real_day("txdate", fields.given(named.txdate))
        record = await call.backend.message_in(stream_name(call.head.chid, day, fields.given(named.txcode)))
    record = _own(call, record)
    return _sentence(record.message), {
        **_end_fields(record),
        "state": str(record.message.state),
        "botcode": record.message.queued.botcode,
        "txcode": record.message.queued.txcode,
        "history": [public_event(recorded) for recorded in record.history],
    }


async def msg_cancel(call: Call) -> Answer:
    """Cancel a message of this channel that is still queued; 34 where it is too late."""
    fields.require(call.body, bodies.MessageNumber)
    msgid = fields.read(call.body, bodies.MessageNumber).msgid
    record = _own(call, await call.backend.message(msgid))
    await call.backend.operate(call.stream, cancel_accepted(call))
    try:
        record = await call.backend.cancel(msgid)
    except Refusal:
        raise Fault(Code.CANNOT, "too late to cancel", state=str(record.message.state)) from None
    return _sentence(record.message), _end_fields(record)


def _own(call: Call, record: MessageRecord | None) -> MessageRecord:
    if record is None or record.message.queued.chid != call.head.chid:
        raise Fault(Code.BODY_VALUE, "no such message")
    return record


def _end_fields(record: MessageRecord) -> dict[str, Any]:
    status, reason = send_status(record.message)
    return {
        "msgid": record.msgid,
        "sendStatus": status,
        "sendReason": reason,
        "detail": record.message.detail,
        "evidence": evidence(record.message),
    }


def _sentence(message: Message) -> str:
    """Return the name of the sentence that tells how a message stands. Nobody may read "sent" where nothing was."""
    status, reason = send_status(message)
    match message.state:
        case MessageState.ROOM_NOT_FOUND:
            return "no such person" if is_to_person(message.queued) else "status 2"
        case MessageState.REJECTED:
            return f"refused {content(message.queued)}"
        case MessageState.FAILED if message.failure == "no_file":
            return "no such image"
        case MessageState.IN_DOUBT | MessageState.EXPIRED | MessageState.CANCELLED:
            return reason
    return f"status {status}"
