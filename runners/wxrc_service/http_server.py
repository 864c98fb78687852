"""uvicorn, with limits: what a client may cost before, between and after its requests (see `connections.Limits`).

The protocol of uvicorn reads whatever comes, at any length and speed. This one feeds its parser in small pieces, so that between two of
them it can stop: at a head that is too large, and at requests that come faster than they are answered.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from wxrc_http.answers import Code, envelope, prefers_english, sentence
from wxrc_service import descriptors
from wxrc_service.connections import SWEEP_S, Connections, Limits
from wxrc_service.one_write import Answering
from wxrc_service.proxies import TrustedProxies

_PIECE: Final = 4_096  # bytes
_SMALL_PIECE: Final = 512  # the shortest request has 18: so no piece begins many
_BACKLOG: Final = 128


class Server(uvicorn.Server):
    """uvicorn with our limits, which leaves the signals to us: we have to drain the gateway before the process ends.

    Args:
        app: The ASGI application.
        limits: What it bears; less where the process may open fewer files.
        proxies: Who may say whose request it is that they pass on.
    """

    def __init__(self, app: Any, limits: Limits, proxies: TrustedProxies | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.limited = Connections(limits.within(descriptors.raise_limit()), loop.time)
        protocol: Any = partial(LimitedProtocol, limited=self.limited, proxies=proxies or TrustedProxies())
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                # Access logs would hold message texts (GET carries them in the query).
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=2,  # an open page must not hold up the way down
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Check the times of all connections now and then; uvicorn calls this ten times a second."""
        if counter % round(SWEEP_S * 10) == 0:
            self.limited.sweep()
        return await super().on_tick(counter)


class _Flow(FlowControl):
    """Flow control in which reading stays paused while there is more than enough to answer."""

    held = False

    def resume_reading(self) -> None:
        if self.read_paused and not self.held and not self._transport.is_closing():
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *, limited: Connections, proxies: TrustedProxies, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.limited = limited
        self.proxies = proxies
        self.limits = limited.limits
        self.address = ""
        self.deadline = math.inf
        self.stuck_until = math.inf  # while the client takes nothing of its answers, whatever else happens
        self.counted = False
        self._in_head = False  # a head has begun and is not complete
        self._in_body = False  # a head is complete and its body is not
        self._excess = False  # the head is too large
        self._proxied = False  # it comes from a trusted proxy, and each request from whom that names
        self._crowded = False  # the client that the proxy names has too many connections
        self._gap = 0  # bytes since the message began, or since the last byte of its body
        self._unfed = b""  # read, but not parsed: enough requests wait
        self._answering: RequestResponseCycle | None = None
        self._over = False  # whatever still comes is dropped

    # -- the connection -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self.address = self.client[0] if self.client else ""
        if self.proxies.trusts(self.address):
            self._proxied, self.address = True, ""
        self.deadline = self.limited.now + self.limits.head_s
        if not self.limited.admit(self):
            self._refuse(503, Code.UNAVAILABLE, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and all that it has left."""
        self.limited.forget(self)
        self._unfed = b""
        self.pipeline.clear()
        if self._answering is not None:  # uvicorn tells only the request that came last
            self._answering.disconnected = True
            self._answering.message_event.set()
            self._answering = None
        super().connection_lost(exc)

    def expire(self) -> None:
        """End the connection: it took too long."""
        if self.stuck_until < self.limited.now:
            self.transport.abort()
        elif self._in_head and not self._over:
            self._refuse(408, Code.HEAD_INCOMPLETE, "head too slow", seconds=f"{self.limits.head_s:g}")
        elif self._in_body and not self._over and not self.cycle.response_started:
            self._refuse(408, Code.BODY_INCOMPLETE, "head too slow", seconds=f"{self.limits.request_s:g}")
        else:
            self.transport.abort()

    def evict(self) -> None:
        """End the connection: it waits, and its place is needed."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """Give a client that takes nothing of its answer a while."""
        self.stuck_until = self.limited.now + self.limits.answer_s
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client takes its answer."""
        self.stuck_until = math.inf
        super().resume_writing()

    # -- what comes ---------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what comes, in small pieces, as far as it can be answered soon."""
        if self._over:
            return
        if not self._unfed and len(data) <= _PIECE and len(self.pipeline) < self.limits.pipelined:
            self._feed(data)
            return
        self._unfed += data
        self._feed_on()

    def _feed_on(self) -> None:
        at, unfed = 0, self._unfed
        while at < len(unfed) and len(self.pipeline) < self.limits.pipelined and not self._over:
            piece = _PIECE if self._in_body else _SMALL_PIECE
            self._feed(unfed[at : at + piece])
            at += piece
        self._unfed = b"" if self._over else unfed[at:]
        flow = self.flow
        assert isinstance(flow, _Flow)
        flow.held = bool(self._unfed)
        if flow.held:
            flow.pause_reading()
        elif not self.pipeline:
            flow.resume_reading()

    def _feed(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_plain(piece[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            if self._excess:
                self._refuse_head()
            elif self._crowded:
                self._refuse(503, Code.UNAVAILABLE, "too many connections")
            else:
                self._refuse(400, Code.HEAD_ILLEGAL, "not http")
            return
        if self._in_head or self._in_body:
            self._gap += len(piece)
            if self._gap > self.limits.head_bytes + _PIECE:
                self._refuse_head()

    def _feed_plain(self, rest: bytes) -> None:
        """Parse a request again without its wish to upgrade: there is nothing to upgrade to, it is a request like any other.

        The parser takes what follows such a head for another protocol, and would lose the body. Java's own client asks for `h2c`.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(400, Code.HEAD_ILLEGAL, "not http")
            return
        version = self.parser.get_http_version().encode()
        kept = [header for header in self.headers if header[0] not in (b"connection", b"upgrade")]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (
            method,
            self.url,
            version,
            b"".join([b"%b: %b\r\n" % each for each in kept]),
        )
        self.parser = httptools.HttpRequestParser(self)
        self._feed(head + rest)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._gap = 0
        self.deadline = self.limited.now + self.limits.head_s

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        headers = self.headers
        if len(headers) >= self.limits.header_count:
            self._excess = True
            raise ValueError("too many headers")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start answering: the head is complete."""
        if self.parser.should_upgrade():
            return  # it is parsed again
        if self._gap > self.limits.head_bytes - 2 * _PIECE:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.limits.head_bytes:
                self._excess = True
                raise ValueError("head too large")
        if self._proxied:
            self._take_client()
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._gap = 0
        self.deadline = self.limited.now + self.limits.request_s

    def _take_client(self) -> None:
        """Take the client that the proxy names for the one who asks."""
        assert self.client is not None
        address = self.proxies.client(self.client[0], self.headers)
        self.scope["client"] = (address, 0) if address else None
        if not self.limited.rename(self, address if address != self.client[0] else ""):
            self._crowded = True
            raise ValueError("too many connections")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._gap = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request: from here on it is we who take time."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait()
        else:
            self.deadline = math.inf
            self.limited.works(self)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self.deadline = self.limited.now + self.limits.close_s
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._in_head or self._in_body:
            self.limited.waits(self)
        else:
            self._wait()
        if self._unfed:
            self._feed_on()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, Answering(self, cycle, app))

    def is_early(self, cycle: RequestResponseCycle) -> bool:
        """Tell whether an answer is given before all of its request is there."""
        return self._in_body and cycle is self.cycle

    def drop_the_rest(self) -> None:
        """Drop whatever has not been parsed, and whatever still comes."""
        self._over = True
        self._unfed = b""

    def end_gently(self) -> None:
        """End the connection after its last answer, and after a while in which whatever still comes is dropped.

        Closing at once would reset the connection of a client that is still sending, and take the answer from it.
        """
        if self.transport.is_closing():
            return
        self.drop_the_rest()
        self.deadline = self.limited.now + self.limits.close_s
        if self.transport.can_write_eof():
            self.transport.write_eof()
        flow = self.flow
        assert isinstance(flow, _Flow)
        flow.held = False
        flow.resume_reading()

    def _wait(self) -> None:
        if self._proxied:
            self.limited.rename(self, "")  # whose the next request is, nobody knows yet
        self.deadline = self.limited.now + self.limits.idle_s
        self.limited.waits(self)

    # -- refusals -----------------------------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        limits = self.limits
        self._refuse(431, Code.HEAD_ILLEGAL, "head too large", limit=limits.head_bytes, count=limits.header_count)

    def _refuse(self, status: int, code: Code, said: str, **values: object) -> None:
        """Answer without the application, and end the connection."""
        self.drop_the_rest()
        if self.pipeline:
            self.transport.close()  # answers that are still to come would stand behind this one
            return
        self.deadline = self.limited.now + self.limits.close_s
        if self.cycle is not None and not self.cycle.response_complete:
            if not self._in_body:
                self.cycle.keep_alive = False  # the answer before this one is still being made, and it is the last
                self.deadline = math.inf
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        language = next((value for name, value in self.headers or () if name == b"accept-language"), b"")
        body = envelope(code, sentence(said, prefers_english(language[:256]), values), {})
        head = (
            STATUS_LINE[status] + b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
        )
        if status == 503:
            head += b"retry-after: 1\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.end_gently()
