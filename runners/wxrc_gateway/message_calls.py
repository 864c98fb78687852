"""What an embedding program asks of a gateway about messages: send a text, a card or an image, cancel one, hand over the digits of a login.

The part of `Gateway` that applications call most; `wxrc_gateway.gateway` has the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from wxrc_core import message, operation
from wxrc_core.content import Card, ContentKind, Image, is_source
from wxrc_core.errors import Refusal
from wxrc_core.localized import LocalizedText
from wxrc_core.puppet import Capabilities
from wxrc_gateway import _requests
from wxrc_gateway._health import Lifecycle
from wxrc_gateway._options import CardArguments, SendArguments, TextArguments, checked
from wxrc_gateway._runtime import Runtime
from wxrc_http.port import MessageRecord

INTERFACES: dict[ContentKind, tuple[str, str]] = {
    "text": ("roomSendText", "userSendText"),
    "app": ("roomSendApp", "userSendApp"),
    "image": ("roomSendImg", "userSendImg"),
}
"""The interface that stands for sending each kind of content, to a room and to a person: it shows in the log."""


_UNSUPPORTED = LocalizedText(
    "机器人 '{botcode}' 做不到（unsupported: {lacking}）", "bot '{botcode}' cannot do that (unsupported: {lacking})"
)
_NO_MENTION = LocalizedText(
    "只有在群里才能@人；请去掉 `mention`", "only in a room can anybody be mentioned; leave `mention` out"
)
_NO_CARD = LocalizedText("`card` 应为 wxrc_core.content.Card", "`card` must be a wxrc_core.content.Card")
_NO_APP = LocalizedText("卡片需要 `appid` 或 `username`", "a card needs `appid` or `username`")
_NO_SOURCE = LocalizedText(
    "`image` 应为字节、http(s) 网址，或媒体文件夹中的文件名（不含 `..`）",
    "`image` must be bytes, an http(s) URL, or a name inside the media folder without `..`",
)
_NO_TARGET = LocalizedText(
    "请用 `room` 或 `room_id` 指明群，或用 `user` 或 `user_id` 指明联系人，四者之一",
    "name a room by `room` or `room_id`, or a person by `user` or `user_id`: one of the four",
)


class _Needs(Protocol):
    """What the calls need of the gateway."""

    _life: Lifecycle

    @property
    def _runtime(self) -> Runtime: ...

    def clock(self) -> int: ...
    def capabilities(self, botcode: str) -> Capabilities: ...
    def knows_puppet(self, botcode: str) -> bool: ...
    def _existing(self, botcode: str) -> None: ...
    def _own_stream(self, txcode: str | None) -> tuple[str, str]: ...
    async def store_image(self, data: bytes) -> Image: ...
    async def queue(self, stream: str, queued: message.MessageQueued, wait_ms: int) -> tuple[int, message.Message]: ...
    async def message_in(self, stream: str) -> MessageRecord | None: ...
    async def submit_digits(self, stream: str, accepted: operation.OperationAccepted, digits: str) -> None: ...


class MessageCalls:
    """Sending, cancelling, digits.

    Each send names a room (`room` its topic, or `room_id`) or a person (`user` their remark or else
    nickname, or `user_id`), one of the four. The options that all sends have:

    - `txcode`: What makes it once: the same txcode again today is the same message. By default a new one.
    - `expires_at`: When it is no longer worth sending (epoch ms).
    - `wait_s`: How long to wait for its end (seconds).

    They return the message as it is then, and raise `InvalidValue` (an argument cannot be used; the sentence names it), `Refusal` (it
    cannot be sent; the sentence says why) or `Unavailable` (nothing was promised; try again with the same txcode).
    """

    async def send_text(
        self: _Needs,
        botcode: str,
        text: str,
        *,
        room: str = "",
        room_id: str = "",
        user: str = "",
        user_id: str = "",
        mention: Sequence[str] = (),
        txcode: str | None = None,
        expires_at: int | None = None,
        wait_s: float = 0.0,
    ) -> MessageRecord:
        """Send a text to a room or a person, once.

        Args:
            botcode: The bot.
            text: 1 to 4,000 characters.
            room: See `MessageCalls`, as for the other options.
            room_id: See there.
            user: See there.
            user_id: See there.
            mention: Display names to mention, in a room.
            txcode: See there.
            expires_at: See there.
            wait_s: See there.
        """
        where = _Where(room, room_id, user, user_id)
        options = {"txcode": txcode, "expires_at": expires_at, "wait_s": wait_s}
        checked(
            TextArguments, "send_text", botcode=botcode, text=text, mention=tuple(mention), **where._asdict(), **options
        )
        if mention and not (room or room_id):
            raise Refusal(_NO_MENTION)
        content = {"text": text, "mention_names": tuple(mention)}
        return await _send(self, "text", botcode, where, content, options)

    async def send_app(
        self: _Needs,
        botcode: str,
        card: Card,
        *,
        room: str = "",
        room_id: str = "",
        user: str = "",
        user_id: str = "",
        txcode: str | None = None,
        expires_at: int | None = None,
        wait_s: float = 0.0,
    ) -> MessageRecord:
        """Send a mini-program card to a room or a person, once; the options are described at `MessageCalls`."""
        if not isinstance(card, Card):
            raise Refusal(_NO_CARD)
        checked(CardArguments, "send_app", **{name: getattr(card, name) for name in CardArguments.__struct_fields__})
        if not (card.appid or card.username):
            raise Refusal(_NO_APP)
        options = {"txcode": txcode, "expires_at": expires_at, "wait_s": wait_s}
        return await _send(self, "app", botcode, _Where(room, room_id, user, user_id), {"card": card}, options)

    async def send_image(
        self: _Needs,
        botcode: str,
        image: str | bytes,
        *,
        room: str = "",
        room_id: str = "",
        user: str = "",
        user_id: str = "",
        txcode: str | None = None,
        expires_at: int | None = None,
        wait_s: float = 0.0,
    ) -> MessageRecord:
        """Send an image to a room or a person, once; the options are described at `MessageCalls`.

        Args:
            botcode: The bot.
            image: Its bytes (PNG, JPEG, GIF, WebP or BMP, up to 20 MiB), an http(s) URL, or a name in the media folder.
            room: See `MessageCalls`, as for the other options.
            room_id: See there.
            user: See there.
            user_id: See there.
            txcode: See there.
            expires_at: See there.
            wait_s: See there.
        """
        where = _Where(room, room_id, user, user_id)
        where.check()
        _check_able(self, botcode, "image", to_person=not (room or room_id))
        if isinstance(image, str) and not is_source(image):
            raise Refusal(_NO_SOURCE)
        content = {"image": Image(source=image) if isinstance(image, str) else await self.store_image(image)}
        options = {"txcode": txcode, "expires_at": expires_at, "wait_s": wait_s}
        return await _send(self, "image", botcode, where, content, options)

    async def cancel(self: _Needs, msgid: int) -> MessageRecord:
        """Cancel a message that is still queued; return it as it is then.

        Raises:
            Refusal: There is no such message, or it is no longer queued: being sent, sent, or ended otherwise.
        """
        self._life.check()
        return await _requests.cancel(self._runtime, msgid)

    async def operation_in(self: _Needs, stream: str) -> operation.Operation | None:
        """Return the operation that has this stream, or None."""
        return await _requests.operation_in(self._runtime, stream)

    async def submit_code(self: _Needs, botcode: str, digits: str) -> None:
        """Hand over the digits that a phone shows during login (`Bot.phase` is `digits_wanted`).

        Raises:
            Refusal: There is no such bot.
        """
        self._existing(botcode)
        stream, txcode = self._own_stream(None)
        accepted = operation.OperationAccepted(
            at=self.clock(),
            chid=message.OPERATOR,
            botcode=botcode,
            txcode=txcode,
            interface="loginCode",
            digest=txcode,  # of the digits nothing is kept
            kind="code",
        )
        await self.submit_digits(stream, accepted, digits)


class _Where(NamedTuple):
    """Where a message goes: one of the four."""

    room: str
    room_id: str
    user: str
    user_id: str

    @property
    def to_person(self) -> bool:
        return bool(self.user or self.user_id)

    def check(self) -> None:
        if sum(map(bool, self)) != 1:
            raise Refusal(_NO_TARGET)


def _check_able(gateway: _Needs, botcode: str, kind: ContentKind, *, to_person: bool) -> None:
    gateway._existing(botcode)
    lacking = gateway.capabilities(botcode).lacking(kind, to_person=to_person) if gateway.knows_puppet(botcode) else ""
    if lacking:
        raise Refusal(_UNSUPPORTED.filled(botcode=botcode, lacking=lacking))


async def _send(
    gateway: _Needs,
    kind: ContentKind,
    botcode: str,
    where: _Where,
    content: Mapping[str, Any],
    options: Mapping[str, Any],
) -> MessageRecord:
    arguments = checked(SendArguments, f"send_{kind}", botcode=botcode, **where._asdict(), **options)
    where.check()
    _check_able(gateway, botcode, kind, to_person=where.to_person)
    stream, txcode = gateway._own_stream(arguments.txcode)
    interface = INTERFACES[kind][where.to_person]
    queued = message.MessageQueued(
        at=gateway.clock(),
        chid=message.OPERATOR,
        botcode=botcode,
        txcode=txcode,
        interface=interface,
        digest=message.digest(interface, botcode, {**where._asdict(), **content}),
        expires_at=arguments.expires_at,
        room_topic=where.room,
        room_id=where.room_id,
        user_name=where.user,
        user_id=where.user_id,
        **content,
    )
    await gateway.queue(stream, queued, int(arguments.wait_s * 1000))
    record = await gateway.message_in(stream)
    assert record is not None, "it was accepted just now"
    return record
