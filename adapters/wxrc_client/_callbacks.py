"""Callbacks: are they genuine, and what do they say (wire.md, section 3)? Nothing here knows of a web framework.

receiver = CallbackReceiver(webhook_secrets=["whsec_…"])
received = receiver.receive(request.headers, request.body)  # raises CallbackRefused: answer 401
match received.callback: ...                                # then answer ACKNOWLEDGEMENT
"""

import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import msgspec
from attrs import field, frozen

from wxrc_client._errors import CallbackRefused
from wxrc_core.signing import md5_hex, webhook_secret_bytes, webhook_signature

ACKNOWLEDGEMENT: Final = b'{"result": "success"}'
"""What to answer, as `application/json` with HTTP 200, once a callback is taken in; anything else and it comes again."""

TOLERANCE_S: Final = 300
"""How far `webhook-timestamp` may be from now, either way (seconds)."""

MAX_DEPTH: Final = 16
"""How deeply the bracket format may nest."""


class Callback(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every callback says.

    Attributes:
        botcode: The bot.
        seq: Grows with each event of the bot: tells an older notice from a newer one.
        time: When it happened (epoch ms).
    """

    botcode: str
    seq: int = 0
    time: int = 0


class QrCode(Callback, frozen=True, kw_only=True, rename="camel"):
    """A code waits to be scanned.

    Attributes:
        qrcode_image_url: Its image; public, unguessable, gone when the code expires.
        qrcode: The text that it encodes.
        expires_at: Until when (epoch ms).
    """

    qrcode_image_url: str = ""
    qrcode: str = ""
    expires_at: int | None = None


class BotStatusChanged(Callback, frozen=True, kw_only=True, rename="camel"):
    """The bot's status changed, or it was asked to log in although it is.

    Attributes:
        bot_status: `login`, `logout`, `loginerr` or `off` (the client was released).
        reason: Why.
        wxid: The account.
        name: Its name.
    """

    bot_status: str
    reason: str = ""
    wxid: str = ""
    name: str = ""


class MessageData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message that somebody wrote.

    Attributes:
        text: What it says.
        from_id: Who wrote it.
        from_name: Their name.
        room_id: Where; empty = to the bot directly.
        room_topic: The room's name.
        message_id: WeChat's number of it.
        mentioned: Whether the bot was mentioned.
    """

    text: str = ""
    from_id: str = ""
    from_name: str = ""
    room_id: str = ""
    room_topic: str = ""
    message_id: str = ""
    mentioned: bool = False


class UserMessage(Callback, frozen=True, kw_only=True, rename="camel"):
    """Somebody wrote to the bot.

    Attributes:
        msg_type: `text`, `image`, `file`, `voice`, `app`, ….
        msg_data: The message.
    """

    msg_type: str
    msg_data: MessageData


class MessageEnded(Callback, frozen=True, kw_only=True, rename="camel"):
    """A message that was answered with `0` has come to its end (`sendStatus`).

    Attributes:
        msgid: Its number.
        send_status: See `SendStatus`.
        send_reason: With `-1`, why.
        txcode: The serial number that it was sent with.
        detail: Why, as a sentence.
        evidence: How `sent` is known.
        state: More precisely.
    """

    msgid: int
    send_status: str = ""
    send_reason: str = ""
    txcode: str = ""
    detail: str = ""
    evidence: str = ""
    state: str = ""


class UnknownCallback(Callback, frozen=True, kw_only=True, rename="camel"):
    """A kind of callback that this release does not know. Acknowledge it; `Received.body` has all of it."""

    type: str


_TYPES: Final[Mapping[str, type[Callback]]] = {
    "qrCode": QrCode,
    "botStatus": BotStatusChanged,
    "userMsg": UserMessage,
    "sendStatus": MessageEnded,
}


@frozen(kw_only=True)
class Received:
    """A callback that is genuine.

    Attributes:
        webhook_id: The same however often this callback is delivered: keep those that you have dealt with, and acknowledge them unseen.
        callback: What it says.
        body: All of `reqBody`.
    """

    webhook_id: str
    callback: Callback
    body: Mapping[str, Any]


class _Fields(Protocol):
    def items(self) -> Iterable[tuple[str, Any]]: ...


Headers = _Fields | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
"""Header fields in any framework's form: a mapping, a WSGI environ, or pairs of str or (ASGI) bytes."""


@frozen(kw_only=True)
class CallbackReceiver:
    """Checks and reads the callbacks of one channel. What is given is checked: give one of the two, or both.

    Attributes:
        webhook_secrets: The channel's webhook secrets, `whsec_…`; two during a rotation. With them old callbacks are refused too.
        keys: The channel's KEYs, for a receiver that has no webhook secret (v0.1). It does not notice an old callback sent again.
        tolerance_s: How far the callback's time may be from now (seconds).
        now_s: The time (epoch seconds); tests bring their own.
    """

    webhook_secrets: Sequence[str] = field(default=(), repr=False)
    keys: Sequence[str] = field(default=(), repr=False)
    tolerance_s: int = TOLERANCE_S
    now_s: Callable[[], float] = time.time
    _secrets: tuple[bytes, ...] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.webhook_secrets, str) or isinstance(self.keys, str):
            raise TypeError("webhook_secrets and keys are lists: there are two of them during a rotation")
        if not (self.webhook_secrets or self.keys) or not all(self.keys):
            raise ValueError("give a webhook secret or a KEY: without one no callback can be checked")
        object.__setattr__(self, "_secrets", tuple(map(webhook_secret_bytes, self.webhook_secrets)))

    def receive(self, headers: Headers, body: bytes) -> Received:
        """Check and read one callback.

        Args:
            headers: The request's header fields.
            body: Its body, byte for byte as it came.

        Raises:
            CallbackRefused: It is not genuine, too old, or not readable. Answer 401.
        """
        named = _by_name(headers)
        if self._secrets:
            self._check_webhook_signature(named, body)
        content = _read(named.get("content-type", ""), body)
        if self.keys:
            self._check_md5(named, content.signed_text)
        return Received(
            webhook_id=named.get("webhook-id", ""),
            callback=_typed(content),
            body=content.req_body,
        )

    def _check_webhook_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        given = [each.encode() for each in headers.get("webhook-signature", "").split(" ")]
        right = [webhook_signature(secret, webhook_id, timestamp, body).encode() for secret in self._secrets]
        if not any(hmac.compare_digest(one, other) for one in right for other in given):
            raise CallbackRefused("the signature in webhook-signature does not hold")
        if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(self.now_s() - int(timestamp)) > self.tolerance_s:
            raise CallbackRefused(f"webhook-timestamp is more than {self.tolerance_s} s from now")

    def _check_md5(self, headers: Mapping[str, str], text: bytes) -> None:
        given = headers.get("x-ecaspsplus-signature", "").lower().encode()
        right = [md5_hex(text, key.encode()).encode() for key in self.keys]
        if headers.get("x-ecaspsplus-signaturetype", "MD5") != "MD5" or not any(
            hmac.compare_digest(each, given) for each in right
        ):
            raise CallbackRefused("the signature in X-Ecaspsplus-Signature does not hold")


@frozen(kw_only=True)
class _Content:
    """A callback as it was read: `reqBody`, T for the MD5 signature, and whether its values were written as text."""

    req_body: Mapping[str, Any]
    signed_text: bytes
    texts_only: bool


def _by_name(headers: Headers) -> dict[str, str]:
    """Return the fields by their names in lower case; a WSGI environ has them as `HTTP_WEBHOOK_ID`, ASGI as pairs of bytes."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    named = ((_text(name).lower().removeprefix("http_").replace("_", "-"), value) for name, value in pairs)
    return {name: _text(value) for name, value in named if isinstance(value, str | bytes)}


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read(content_type: str, body: bytes) -> _Content:
    """Read a body in any of the three formats."""
    try:
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return _Content(req_body=_object(json.loads(body)["reqBody"]), signed_text=body, texts_only=False)
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=4096))
        if "reqBody" in fields:
            text = fields.get("reqHead", "") + fields["reqBody"]
            return _Content(
                req_body=_object(json.loads(fields["reqBody"])), signed_text=text.encode(), texts_only=False
            )
        return _Content(req_body=_object(_tree(fields)["reqBody"]), signed_text=body, texts_only=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CallbackRefused("the body is no callback in the form, json or bracket format") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("reqBody must be an object")
    return value


def _tree(fields: Mapping[str, str]) -> dict[str, Any]:
    """Read `a[b][c]=d` as Node's form parsers do; lists stay objects by index, since no callback has one."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = re.findall(r"[^\[\]]+", name)
        if len(path) > MAX_DEPTH:
            raise ValueError("nested too deeply")
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
        branch[last] = value
    return tree


def _typed(content: _Content) -> Callback:
    kind = content.req_body.get("type")
    known = _TYPES.get(kind, UnknownCallback) if isinstance(kind, str) else UnknownCallback
    try:
        # In the bracket format numbers and truth values have become text.
        return msgspec.convert(content.req_body, known, strict=not content.texts_only)
    except msgspec.ValidationError as error:
        raise CallbackRefused(f"the callback is not as expected: {error}") from None
