"""The request side as an ASGI application: `/api/{interface}` (wire.md, section 1).

`Api._answer` has the checks in their documented order, one step each: read the request, within limits of size and time; find reqHead and
reqBody in it; check the head, the signature, the interface, the grant; let the interface check the body and answer. Whatever fails first
raises a `Fault`, which becomes the answer. Nothing is recorded before the interface has checked the body.

What a request may cost before its signature holds: a small one (`_SMALL`) is read at once; the others take turns in one worker thread, so
that none holds up the event loop. Only so many of these, and only a few that are as large as an image, are there at a time; more get 503.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from wxrc_core.bot import Bot
from wxrc_core.channel import BotGranted, Channel, SignatureType
from wxrc_core.errors import Unavailable
from wxrc_core.signing import WITH_INTERFACE, covered, rsa_text
from wxrc_http import envelope, head, signing
from wxrc_http.admission import Admission, check_interface, peer_of
from wxrc_http.answers import Code, Fault, sentence
from wxrc_http.answers import envelope as write_envelope
from wxrc_http.arrivals import Arrivals
from wxrc_http.disconnect import Disconnected, Receive
from wxrc_http.envelope import Envelope
from wxrc_http.exchange import (
    SIGNATURE,
    SIGNATURE_TYPE,
    Request,
    Scope,
    Send,
    answer_headers,
    check_headers,
    refusal,
    send_refusal,
)
from wxrc_http.hints import hints
from wxrc_http.interfaces import INTERFACES, Answer, Call, Interface, SharedNames
from wxrc_http.port import Backend
from wxrc_http.read_only import read_only

_NO_TYPES: Final[tuple[SignatureType, ...]] = ()
_SMALL: Final = 16_384  # bytes
_MEDIUM_AT_ONCE: Final = 32
_LARGE_AT_ONCE: Final = 4
_WITH_IMAGE: Final = frozenset({"roomSendImg", "userSendImg"})  # the image may stand in the body itself

T = TypeVar("T")


class _Places:
    """Places for requests that are too large for any number of them to be kept at once."""

    def __init__(self, free: int) -> None:
        self.free = free

    def take(self, request: Request) -> None:
        """Give a request one of these places for that which it has, if any, until it is answered."""
        if request.places is self:
            return
        if not self.free:
            raise Fault(Code.UNAVAILABLE, "too many large requests", status=503)
        if request.places is not None:
            request.places.free += 1
        self.free -= 1
        request.places = self


class Api:
    """The request side as an ASGI application, for paths below `/api/`.

    Args:
        backend: Whoever runs the bots.
        answer_wait_ms: How long the answer to a message may wait for the message's end (ms); 0 = not at all.
        max_body_bytes: The largest request body (bytes).
        max_image_body_bytes: The largest for interfaces that take an image in the body (bytes).
        body_timeout_s: How long a request body may take to arrive (seconds).
    """

    def __init__(
        self,
        backend: Backend,
        *,
        answer_wait_ms: int = 300,
        max_body_bytes: int = 1_048_576,
        max_image_body_bytes: int = 29_360_128,
        body_timeout_s: float = 10.0,
    ) -> None:
        self._backend = backend
        self._answer_wait_ms = answer_wait_ms
        self._max_body_bytes = max_body_bytes
        self._max_image_body_bytes = max(max_body_bytes, max_image_body_bytes)
        self._body_timeout_s = body_timeout_s
        self._shared_names = SharedNames()
        self._arrivals = Arrivals()
        self._admission = Admission()
        self._worker = anyio.CapacityLimiter(1)
        self._medium = _Places(_MEDIUM_AT_ONCE)
        self._large = _Places(_LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing but cancellation and the server's own errors comes out of here."""
        if scope["type"] != "http":
            raise ValueError(f"the API speaks http, not {scope['type']}")
        request = Request(scope, receive)
        try:
            body = await self._answer(request)
        except Disconnected:
            return
        except Exception as error:
            status, body = refusal(error, request)
            # The error is gone before the answer waits for a slow client.
        else:
            await send({"type": "http.response.start", "status": 200, "headers": answer_headers(body)})
            await send({"type": "http.response.body", "body": body})
            return
        finally:
            if request.places is not None:
                request.places.free += 1
        await send_refusal(request, send, status, body)

    async def _answer(self, request: Request) -> bytes:
        """Answer a request: the order of checks of wire.md, section 1."""
        found = await self._envelope(request)  # size (413), carrier and JSON (10, 11, 30, 31)
        self._check_available()
        signature, kind = request.headers.get(SIGNATURE, b""), request.headers.get(SIGNATURE_TYPE, b"")
        checked = head.check(found.head, signature, kind)  # head complete (10), legal (11)
        now = self._backend.clock()
        channel, day = await self._authenticate(request, found, checked, now)  # window (11), signature (13)
        self._admission.admit(channel, peer_of(request.scope))  # suspended, address (21), quota (429)
        interface = _known_interface(request)  # (20)
        grant, bot = self._granted(channel, checked)  # (21)
        check_interface(grant, request.interface)
        call = Call(
            request.interface,
            checked,
            found.body,
            day,
            grant,
            bot,
            now,
            self._answer_wait_ms,
            self._backend,
            self._shared_names,
            request.receive,
        )
        misspelt = hints(found.head, found.body, interface.body, request.english)
        try:
            said, fields = await self._once(interface, call, channel)  # body (30, 31, 32), txcode (12)
        except Fault as fault:
            fault.hints = misspelt
            raise
        return write_envelope(Code.DONE, sentence(said, request.english, {}), {**fields, **misspelt})

    def _check_available(self) -> None:
        reason = self._backend.unavailable()
        if reason:
            raise Unavailable(reason)

    async def _authenticate(
        self, request: Request, found: Envelope, checked: head.Head, now: int
    ) -> tuple[Channel, str]:
        """Return the channel, whose signature holds, and the day of the request's txtime."""
        channel = self._backend.channel(checked.chid)
        keys = await self._backend.keys(checked.chid) if channel is not None else ()
        if not await self._in_turn(len(found.text), _signed, request.interface, found, checked, channel, keys):
            # txtime comes before the signature in the order of checks; but whoever has not signed is not to learn anything of the channel.
            head.day(checked.txtime, now, head.DEFAULT_ZONE, head.DEFAULT_WINDOW_S)
            raise self._admission.wrong_signature(checked.chid, peer_of(request.scope))
        assert channel is not None  # nobody signs for a channel that does not exist
        settings = channel.settings
        return channel, head.day(checked.txtime, now, settings.timezone, settings.window_s)

    def _granted(self, channel: Channel, checked: head.Head) -> tuple[BotGranted, Bot]:
        grant, bot = channel.grants.get(checked.botcode), self._backend.bot(checked.botcode)
        if grant is None or bot is None:
            raise Fault(Code.NOT_GRANTED, "grant")
        return grant, bot

    async def _once(self, interface: Interface, call: Call, channel: Channel) -> Answer:
        """Let the interface answer, unless the request has arrived at another one before: then only its checks may answer."""
        checked = call.head
        if checked.signature_type != WITH_INTERFACE:
            window_s = channel.settings.window_s
            first = self._arrivals.first(checked.chid, checked.txcode, call.interface, call.now, window_s)
            if first != call.interface and not await _is_recorded(call):
                await interface(call._replace(backend=read_only(call.backend)))
                raise Fault(Code.TXCODE_REUSED, "reused")
        return await interface(call)

    async def _envelope(self, request: Request) -> Envelope:
        """Read the request: size, then carrier, then JSON."""
        method, headers = request.scope["method"], request.headers
        if method == "GET":
            raw: bytes = request.scope["query_string"]
            if len(raw) > self._max_body_bytes:
                raise _too_large(self._max_body_bytes)
            check_headers(headers)
            return await self._in_turn(len(raw), envelope.from_form, raw)
        if method != "POST":
            raise Fault(Code.NO_SUCH_INTERFACE, "method", status=405)
        raw = await self._read(request)
        check_headers(headers)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Fault(Code.BODY_TYPE, "content encoding")
        if envelope.carrier(headers.get(b"content-type", b"")) == "json":
            return await self._in_turn(len(raw), envelope.from_json, raw)
        if len(raw) > self._max_body_bytes:
            raise _too_large(self._max_body_bytes)  # decoding that many %XX costs too much; an image fits into JSON
        return await self._in_turn(len(raw), envelope.from_form, raw)

    async def _in_turn(self, size: int, work: Callable[..., T], *args: Any) -> T:
        """Return `work(*args)`: at once for a small request, and in the worker thread, one at a time, for any other."""
        if size <= _SMALL:
            return work(*args)
        outcome: tuple[T, None] | tuple[None, Fault] = await anyio.to_thread.run_sync(
            _outcome, work, args, limiter=self._worker
        )
        if outcome[1] is None:
            return outcome[0]
        try:
            raise outcome[1]
        finally:
            del outcome  # see `exchange.refusal`

    async def _read(self, request: Request) -> bytes:
        receive = request.receive
        limit = self._max_image_body_bytes if request.interface in _WITH_IMAGE else self._max_body_bytes
        content_length = request.headers.get(b"content-length", b"")
        if content_length.isdigit() and (len(content_length) > 18 or int(content_length) > limit):
            raise _too_large(limit)
        if _has_arrived(receive):
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            whole: bytes = message["body"]
            if len(whole) > limit:
                raise _too_large(limit)
            return whole
        parts = bytearray()
        with anyio.move_on_after(self._body_timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                parts += message.get("body", b"")
                if len(parts) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return bytes(parts)
                if len(parts) > self._max_body_bytes:
                    self._large.take(request)
                elif len(parts) > _SMALL:
                    self._medium.take(request)
        raise Fault(Code.BODY_INCOMPLETE, "too slow", status=408, seconds=f"{self._body_timeout_s:g}")


def _outcome(work: Callable[..., T], args: Sequence[Any]) -> tuple[T, None] | tuple[None, Fault]:
    """Return what work gives or raises: raised out of a thread, an error stays until garbage is collected."""
    try:
        return work(*args), None
    except Fault as fault:
        return None, fault.with_traceback(None)


def _signed(interface: str, found: Envelope, checked: head.Head, channel: Channel | None, keys: Sequence[str]) -> bool:
    """Tell whether a request is signed by its channel; of what cannot be, the same work is done as of what is."""
    accepted = channel.settings.signature_types if channel is not None else _NO_TYPES
    kind = checked.signature_type
    if kind == signing.RSA:
        public_key = channel.settings.rsa_public_key if channel is not None else ""
        text = rsa_text(checked.chid, checked.botcode, checked.txcode, checked.txtime)
        return signing.verify_rsa(text, checked.signature, public_key, accepted)
    if found.carrier == "bracket":
        keys = ()  # it has no text that a KEY could sign
    text = covered(kind, interface, found.text_without_sign() if checked.in_head else found.text)
    return signing.verify(kind, text, checked.signature, keys, accepted)


def _too_large(limit: int) -> Fault:
    return Fault(Code.BODY_VALUE, "too large", status=413, limit=limit)


async def _is_recorded(call: Call) -> bool:
    """Return whether the log has this txcode for this interface: then it is a repetition, whatever came elsewhere in the meantime.

    What arrived first is kept in memory, so after a restart, and on another replica, a copy may arrive before its original.
    """
    record = await call.backend.message_in(call.stream)
    if record is not None:
        return record.message.queued.interface == call.interface
    operation = await call.backend.operation_in(call.stream)
    return operation is not None and operation.accepted.interface == call.interface


def _has_arrived(receive: Receive) -> bool:
    """Tell whether all of the body is there, so that nothing has to be waited for; False where that is not known.

    A time limit costs 7-10 us, a fifth of what a whole request costs, and nearly always none is needed. ASGI does not tell, but uvicorn
    does: its `receive` is a method of the request, and that has `more_body`.
    """
    return getattr(getattr(receive, "__self__", None), "more_body", None) is False


def _known_interface(request: Request) -> Interface:
    interface = INTERFACES.get(request.interface)
    if interface is None:
        raise Fault(Code.NO_SUCH_INTERFACE, "interface", names=", ".join(INTERFACES))
    return interface
