"""One HTTP exchange: what of a request matters here, and how a refusal is written."""

import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

import anyio

from wxrc_core.errors import AlreadyTaken, Refusal, TxcodeReused, Unavailable
from wxrc_core.localized import LocalizedText
from wxrc_http.answers import Code, Fault, prefers_english, sentence
from wxrc_http.answers import envelope as write_envelope
from wxrc_http.disconnect import Receive
from wxrc_http.interfaces import INTERFACES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

RETRY_AFTER_S: Final = 1
"""What Retry-After says when nothing can be accepted (seconds)."""

SIGNATURE: Final = b"x-ecaspsplus-signature"
SIGNATURE_TYPE: Final = b"x-ecaspsplus-signaturetype"
_HEADERS: Final = {
    b"accept-language": "Accept-Language",
    b"content-encoding": "Content-Encoding",
    b"content-length": "Content-Length",
    b"content-type": "Content-Type",
    SIGNATURE: "X-Ecaspsplus-Signature",
    SIGNATURE_TYPE: "X-Ecaspsplus-SignatureType",
}
_LOG: Final = logging.getLogger("wxrc.http")
_REPEATED: Final = b""  # under this name: the header that is repeated
_ANSWER_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 8 * 1_048_576


class Places(Protocol):
    """Places for requests that are too large for any number of them to be kept at once.

    Attributes:
        free: How many are left.
    """

    free: int


class Request:
    """A request while it is being answered.

    Attributes:
        scope: As ASGI gives it.
        receive: What still comes of it.
        interface: What follows `/api/` in its path.
        headers: Those that matter here, see `_headers`.
        english: Its sentences are English.
        places: Of which kind its place among the larger ones is; None = it is a small one.
        retry_after_s: What `Retry-After` says where it is refused for now (seconds).
    """

    __slots__ = ("english", "headers", "interface", "places", "receive", "retry_after_s", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.headers = _headers(scope)
        self.interface = _interface(scope)
        self.english = prefers_english(self.headers.get(b"accept-language", b"")[:256])
        self.places: Places | None = None
        self.retry_after_s = RETRY_AFTER_S


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers that matter here; `_REPEATED` has the name of one that is there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            if name in found and name != b"accept-language":
                found[_REPEATED] = name
            found[name] = value
    return found


def check_headers(headers: dict[bytes, bytes]) -> None:
    """Refuse a request in which a header that matters is repeated: 11 for the signature, 31 for the rest."""
    repeated = headers.get(_REPEATED)
    if repeated is not None:
        code = Code.HEAD_ILLEGAL if repeated in (SIGNATURE, SIGNATURE_TYPE) else Code.BODY_TYPE
        raise Fault(code, "repeated header", field=_HEADERS[repeated])


def _interface(scope: Scope) -> str:
    path: str = scope["path"]
    prefix = scope.get("root_path", "") + "/api/"
    return path[len(prefix) :] if path.startswith(prefix) else ""


_STORE: Final = LocalizedText("存储暂时不可用，请稍后重试", "the store is unavailable just now; try again shortly")


def refusal(error: Exception, request: Request) -> tuple[int, bytes]:
    """Return the HTTP status and the envelope of a refused request; what `Retry-After` is to say is noted in the request.

    Nothing here keeps the error: it would keep this frame, which keeps the error, and such a ring stays until garbage is collected.
    """
    fault = _fault(error, request)
    request.retry_after_s = fault.retry_after_s or RETRY_AFTER_S
    try:
        return fault.status, write_envelope(
            fault.code, sentence(fault.sentence, request.english, fault.values), fault.hints
        )
    finally:
        del fault


def _fault(error: Exception, request: Request) -> Fault:
    match error:
        case Fault():
            return error
        case Unavailable():
            # A store's own sentence may name files of this machine: that is for the operator's log, not for channels.
            reason = error.localized if type(error) is Unavailable else _STORE
            return Fault(Code.UNAVAILABLE, "unavailable", status=503, reason=reason)
        case TxcodeReused():
            return Fault(Code.TXCODE_REUSED, "reused")
        case AlreadyTaken():
            return Fault(Code.TAKEN, "taken", reason=error.localized)
        case Refusal():
            return Fault(Code.CANNOT, "refused", reason=error.localized)
    # The error's own text may have the message's text or a secret in it; where it happened says enough.
    name = request.interface if request.interface in INTERFACES else "an unknown interface"
    where = " < ".join(
        f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
        for frame in reversed(traceback.extract_tb(error.__traceback__, limit=-5))
    )
    _LOG.error("%s in %s: %s", type(error).__name__, name, where)
    return Fault(Code.UNEXPECTED, "unexpected")


def answer_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer."""
    return [*_ANSWER_HEADERS, (b"content-length", b"%d" % len(body))]


async def send_refusal(request: Request, send: Send, status: int, body: bytes) -> None:
    """Send a refusal; where the rest of the request is not read, the connection ends with it."""
    headers = answer_headers(body)
    unread = status in (405, 408, 413)
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    if status in (429, 503):
        headers.append((b"retry-after", b"%d" % request.retry_after_s))
    if unread and request.scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if status == 413:
        # Whoever is still sending sees a reset connection instead of the answer, if it is closed at once.
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(request.receive)
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
