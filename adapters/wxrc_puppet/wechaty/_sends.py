"""Handing messages over, and the echoes that prove what an answer did not.

WeChat shows an account its own messages too. Where a send came back without an id, or not at all, such an echo is the proof that it
arrived after all, if it can belong to that send only: the same conversation, the same text, and no other message of late that was the same.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import grpc
from attrs import field, frozen, mutable

from wxrc_core.content import Card
from wxrc_core.puppet import Accepted, NotConnected, NotSent, Outgoing, RoomMissing, SendOutcome, Unconfirmed
from wxrc_puppet.wechaty import puppet_pb2 as pb
from wxrc_puppet.wechaty._mentions import Mentions, mentions_of
from wxrc_puppet.wechaty._rooms import Rooms
from wxrc_puppet.wechaty._server import (
    MESSAGE_SEND_FILE,
    MESSAGE_SEND_MINI_PROGRAM,
    MESSAGE_SEND_TEXT,
    Call,
    CallFailed,
    WechatyServer,
)

_LIMIT_MS = 30_000
_REMEMBERED = 1000
_INLINE = 2 * 1024 * 1024
"""Up to so many bytes an image goes with its message; a gateway takes 4 MiB at once (facts of the protocol)."""


@mutable
class Send:
    """One hand-over.

    Attributes:
        msgid: The message's number.
        conversation: Where it went.
        text: The text as it was handed over.
        state: `open`: no answer yet. `known`: it has its receipt, or certainly did not go. `unconfirmed`: nobody can say.
        echo: The id of the message that was seen while it was `open`.
    """

    msgid: int
    conversation: str
    text: str = field(repr=False)
    state: Literal["open", "known", "unconfirmed"] = "open"
    echo: str = ""


def _card(card: Card) -> pb.MiniProgram:
    return pb.MiniProgram(
        appid=card.appid, username=card.username, title=card.title, description=card.description, page_path=card.page_path,
        thumb_url=card.thumb_url, thumb_key=card.thumb_key,
    )  # fmt: skip


@frozen
class SignedOut:
    """The Wechaty gateway has signed the account out for us."""


@frozen
class LateEcho:
    """A hand-over was cut off after its echo had been seen."""

    send: Send


class Sends:
    """The hand-overs of one connection.

    Args:
        gateway: Where messages go.
        rooms: The rooms that they can go to.
        late: Called with a hand-over whose echo was seen before it was cut off.
    """

    def __init__(self, gateway: WechatyServer, rooms: Rooms, late: Callable[[Send], None]) -> None:
        self._server = gateway
        self._rooms = rooms
        self._late = late
        self._sends: deque[Send] = deque(maxlen=_REMEMBERED)

    async def hand_over(self, message: Outgoing) -> SendOutcome:
        """Send one message. Nothing has left until the last call; from then on only an id is a receipt."""
        if message.room_id and self._rooms.unknown(message.room_id):
            return RoomMissing("the account is not in this room")
        try:
            mentions = await mentions_of(message, self._rooms)
            call, request = await self._request(message, mentions)
        except CallFailed as failure:
            return NotSent(str(failure), retry=True) if failure.refused else NotConnected(str(failure))
        except ValueError:  # half a surrogate pair
            return NotSent("the message holds a character that does not exist")
        if not self._server.connected:
            return NotConnected("the connection to the Wechaty gateway broke before the message left")
        send = Send(message.msgid, message.room_id or message.user_id, mentions.text)
        if call is MESSAGE_SEND_TEXT:
            self._sends.append(send)  # of a card or an image no echo can be told from another one
        reason = "the Wechaty gateway gave no message id"
        try:
            receipt = (await self._server.call(call, request, limit_ms=_LIMIT_MS)).id
        except CallFailed as failure:
            if failure.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED):
                send.state = "known"
                refused_us = failure.code is grpc.StatusCode.UNAUTHENTICATED
                return NotConnected(str(failure)) if refused_us else NotSent(str(failure))
            receipt, reason = "", str(failure)
        except asyncio.CancelledError:
            send.state = "unconfirmed"
            if send.echo:
                self._late(send)
            raise
        receipt = receipt or send.echo
        send.state = "known" if receipt else "unconfirmed"
        return Accepted(receipt, mentions.found) if receipt else Unconfirmed(reason)

    async def _request(self, message: Outgoing, mentions: Mentions) -> tuple[Call[pb.Sent], Any]:
        """Return the call that sends a message, and what to say. A large image goes to the gateway before; nobody sees it there.

        Raises:
            CallFailed: The gateway did not take the image. Nothing was sent.
        """
        conversation = message.room_id or message.user_id
        if message.card is not None:
            return MESSAGE_SEND_MINI_PROGRAM, pb.CardMessage(
                conversation_id=conversation, mini_program=_card(message.card)
            )
        if message.image is None:
            return MESSAGE_SEND_TEXT, pb.Text(
                conversation_id=conversation, text=mentions.text, mentional_ids=mentions.ids
            )
        image = message.image
        box: dict[str, Any] = {"name": image.name, "metadata": {}, "size": len(image.data)}
        if len(image.data) <= _INLINE:
            box |= {"type": 1, "base64": base64.b64encode(image.data).decode()}
        else:
            box |= {"type": 7, "uuid": await self._server.upload(image.data, limit_ms=_LIMIT_MS)}
        return MESSAGE_SEND_FILE, pb.FileMessage(conversation_id=conversation, file_box=json.dumps(box))

    def echoed(self, conversation: str, text: str, message_id: str) -> Send | None:
        """Take a message of our own that turned up in WeChat; return the hand-over that it is the late proof of, or None."""
        alike = [send for send in self._sends if send.conversation == conversation and send.text == text]
        if len({send.msgid for send in alike}) != 1 or any(send.state == "known" for send in alike):
            return None
        alike[-1].echo = message_id
        return alike[-1] if alike[-1].state == "unconfirmed" else None
