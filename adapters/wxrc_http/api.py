"""The request side as an ASGI application: `/api/{interface}` (wire.md, section 1).

One request, from the top: read it, within limits of size and time; find reqHead and reqBody in it; check the head, the signature, the
interface and the grant; let the interface answer. Whatever fails first raises a `Fault`, which becomes the answer. Nothing is recorded
before the interface has checked the body.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import anyio

from wxrc_core.channel import ChannelAdded
from wxrc_core.errors import AlreadyTaken, Refusal, TxcodeReused, Unavailable
from wxrc_http import envelope, head, signing
from wxrc_http.answers import Code, Fault, prefers_english, sentence
from wxrc_http.answers import envelope as write_envelope
from wxrc_http.disconnect import Disconnected, Receive
from wxrc_http.envelope import Envelope
from wxrc_http.hints import hints
from wxrc_http.interfaces import INTERFACES, Call, SharedNames
from wxrc_http.port import Backend

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

RETRY_AFTER_S: Final = 1
"""What Retry-After says when nothing can be accepted (seconds)."""

_LOG: Final = logging.getLogger("wxrc.http")
_SIGNATURE: Final = b"x-ecaspsplus-signature"
_SIGNATURE_TYPE: Final = b"x-ecaspsplus-signaturetype"
_HEADERS: Final = {
    b"accept-language": "Accept-Language",
    b"content-encoding": "Content-Encoding",
    b"content-length": "Content-Length",
    b"content-type": "Content-Type",
    _SIGNATURE: "X-Ecaspsplus-Signature",
    _SIGNATURE_TYPE: "X-Ecaspsplus-SignatureType",
}
_REPEATED: Final = b""  # under this name: the header that is repeated
_ANSWER_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 8 * 1_048_576
_DEFAULT_TYPES: Final = ("HMAC-SHA256", "MD5")


class Api:
    """The request side as an ASGI application, for paths below `/api/`.

    Args:
        backend: Whoever runs the bots.
        answer_wait_ms: How long the answer to a message may wait for the message's end (ms); 0 = not at all.
        max_body_bytes: The largest request body (bytes).
        body_timeout_s: How long a request body may take to arrive (seconds).
    """

    def __init__(
        self,
        backend: Backend,
        *,
        answer_wait_ms: int = 300,
        max_body_bytes: int = 1_048_576,
        body_timeout_s: float = 10.0,
    ) -> None:
        self._backend = backend
        self._answer_wait_ms = answer_wait_ms
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._shared_names = SharedNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing but cancellation and the server's own errors comes out of here."""
        if scope["type"] != "http":
            raise ValueError(f"the API speaks http, not {scope['type']}")
        headers = _headers(scope)
        english = prefers_english(headers.get(b"accept-language", b"")[:256])
        try:
            body = await self._answer(scope, headers, receive, english)
        except Disconnected:
            return
        except Exception as error:
            fault = _fault(error, scope)
            text = sentence(fault.sentence, english, fault.values)
            await _send_fault(scope, receive, send, fault.status, write_envelope(fault.code, text, fault.hints))
            return
        await send({"type": "http.response.start", "status": 200, "headers": _answer_headers(body)})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, english: bool) -> bytes:
        found = await self._envelope(scope, headers, receive)
        backend = self._backend
        reason = backend.unavailable()
        if reason:
            raise Unavailable(reason)
        checked = head.check(found.head, headers.get(_SIGNATURE, b""), headers.get(_SIGNATURE_TYPE, b""))
        now = backend.clock()
        channel = backend.channel(checked.chid)
        keys = await backend.keys(checked.chid) if channel is not None else ()
        text = found.text_without_sign() if checked.in_head else found.text
        accepted = channel.settings.signature_types if channel is not None else _DEFAULT_TYPES
        signed = signing.verify(checked.signature_type, text, checked.signature, keys, accepted)
        if channel is None or not signed:
            # txtime comes before the signature in the order of checks; but whoever has not signed is not to learn anything of the channel.
            head.day(checked.txtime, now, head.DEFAULT_ZONE, head.DEFAULT_WINDOW_S)
            raise Fault(Code.SIGNATURE_WRONG, "signature")
        settings: ChannelAdded = channel.settings
        day = head.day(checked.txtime, now, settings.timezone, settings.window_s)
        name = _interface(scope)
        interface = INTERFACES.get(name)
        if interface is None:
            raise Fault(Code.NO_SUCH_INTERFACE, "interface", names=", ".join(INTERFACES))
        grant, bot = channel.grants.get(checked.botcode), backend.bot(checked.botcode)
        if grant is None or bot is None:
            raise Fault(Code.NOT_GRANTED, "grant")
        call = Call(
            name, checked, found.body, day, grant, bot, now, self._answer_wait_ms, backend, self._shared_names, receive
        )
        misspelt = hints(found.head, found.body, interface.body, english)
        try:
            said, fields = await interface(call)
        except Fault as fault:
            fault.hints = misspelt
            raise
        return write_envelope(Code.DONE, sentence(said, english, {}), {**fields, **misspelt})

    async def _envelope(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Envelope:
        """Read the request: size, then carrier, then JSON."""
        method = scope["method"]
        if method == "GET":
            raw: bytes = scope["query_string"]
            if len(raw) > self._max_body_bytes:
                raise self._too_large()
            _check_headers(headers)
            return envelope.from_form(raw)
        if method != "POST":
            raise Fault(Code.NO_SUCH_INTERFACE, "method", status=405)
        raw = await self._read(headers.get(b"content-length", b""), receive)
        _check_headers(headers)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Fault(Code.BODY_TYPE, "content encoding")
        if envelope.carrier(headers.get(b"content-type", b"")) == "json":
            return envelope.from_json(raw)
        return envelope.from_form(raw)

    async def _read(self, content_length: bytes, receive: Receive) -> bytes:
        limit = self._max_body_bytes
        if content_length.isdigit() and (len(content_length) > 18 or int(content_length) > limit):
            raise self._too_large()
        if _has_arrived(receive):
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            whole: bytes = message["body"]
            if len(whole) > limit:
                raise self._too_large()
            return whole
        parts = bytearray()
        with anyio.move_on_after(self._body_timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                parts += message.get("body", b"")
                if len(parts) > limit:
                    raise self._too_large()
                if not message.get("more_body", False):
                    return bytes(parts)
        raise Fault(Code.BODY_INCOMPLETE, "too slow", status=408, seconds=f"{self._body_timeout_s:g}")

    def _too_large(self) -> Fault:
        return Fault(Code.BODY_VALUE, "too large", status=413, limit=self._max_body_bytes)


def _has_arrived(receive: Receive) -> bool:
    """Tell whether all of the body is there, so that nothing has to be waited for; False where that is not known.

    A time limit costs 7-10 us, a fifth of what a whole request costs, and nearly always none is needed. ASGI does not tell, but uvicorn
    does: its `receive` is a method of the request, and that has `more_body`.
    """
    return getattr(getattr(receive, "__self__", None), "more_body", None) is False


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers that matter here; `_REPEATED` has the name of one that is there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            if name in found and name != b"accept-language":
                found[_REPEATED] = name
            found[name] = value
    return found


def _check_headers(headers: dict[bytes, bytes]) -> None:
    repeated = headers.get(_REPEATED)
    if repeated is not None:
        code = Code.HEAD_ILLEGAL if repeated in (_SIGNATURE, _SIGNATURE_TYPE) else Code.BODY_TYPE
        raise Fault(code, "repeated header", field=_HEADERS[repeated])


def _interface(scope: Scope) -> str:
    path: str = scope["path"]
    prefix = scope.get("root_path", "") + "/api/"
    return path[len(prefix) :] if path.startswith(prefix) else ""


def _fault(error: Exception, scope: Scope) -> Fault:
    match error:
        case Fault():
            return error
        case Unavailable():
            # A store's own sentence may name files of this machine: that is for the operator's log, not for channels.
            reason = (
                str(error) if type(error) is Unavailable else "the store is not to be had just now; try again shortly"
            )
            return Fault(Code.UNAVAILABLE, "unavailable", status=503, reason=reason)
        case TxcodeReused():
            return Fault(Code.TXCODE_REUSED, "reused")
        case AlreadyTaken():
            return Fault(Code.TAKEN, "taken", reason=str(error))
        case Refusal():
            return Fault(Code.CANNOT, "refused", reason=str(error))
    # The error's own text may have the message's text or a secret in it; where it happened says enough.
    name = _interface(scope)
    where = " < ".join(
        f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
        for frame in reversed(traceback.extract_tb(error.__traceback__, limit=-5))
    )
    _LOG.error("%s in %s: %s", type(error).__name__, name if name in INTERFACES else "an unknown interface", where)
    return Fault(Code.UNEXPECTED, "unexpected")


def _answer_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [*_ANSWER_HEADERS, (b"content-length", b"%d" % len(body))]


async def _send_fault(scope: Scope, receive: Receive, send: Send, status: int, body: bytes) -> None:
    headers = _answer_headers(body)
    unread = status in (405, 408, 413)
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    if unread and scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if status == 413:
        # Whoever is still sending sees a reset connection instead of the answer, if it is closed at once.
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(receive)
        body = b""
    await send({"type": "http.response.body", "body": body})


async def _linger(receive: Receive) -> None:
    """Take in what a client still sends, for a short while, and forget it."""
    left = _LINGER_BYTES
    with anyio.move_on_after(_LINGER_S):
        while left > 0:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))
