"""Answers that go out in one write (see `http_server`)."""

from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Connection(Protocol):
    """A connection, as far as an answer on it needs to know."""

    def is_early(self, cycle: RequestResponseCycle) -> bool:
        """Tell whether an answer is given before all of its request is there."""

    def drop_the_rest(self) -> None:
        """Drop whatever has not been parsed, and whatever still comes."""

    def end_gently(self) -> None:
        """End the connection after its last answer."""


class Answering:
    """An application whose answers go out in one write, head and body: the client wakes up once, and the kernel is called once.

    Only for an answer that is whole, has its length and leaves the connection open; any other goes the way that uvicorn has for it.
    """

    __slots__ = ("app", "cycle", "protocol", "start")

    def __init__(self, protocol: Connection, cycle: RequestResponseCycle, app: Any) -> None:
        self.protocol = protocol
        self.cycle = cycle
        self.app = app
        self.start: Any = None

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Return the application's coroutine."""
        return self.app(scope, receive, self.send)

    async def send(self, message: Any) -> None:
        """Keep the start of an answer until its body comes."""
        start = self.start
        if start is None:
            if message["type"] == "http.response.start":
                self.start = message
                return
        else:
            self.start = None
            if self._sent_at_once(start, message):
                return
            await self.cycle.send(start)
        last = not self.cycle.keep_alive and not message.get("more_body") and self.protocol.is_early(self.cycle)
        if last:
            self.cycle.keep_alive = True  # or else uvicorn closes at once
            self.protocol.drop_the_rest()
        await self.cycle.send(message)
        if last:
            self.protocol.end_gently()

    def _sent_at_once(self, start: Any, message: Any) -> bool:
        cycle, body = self.cycle, message.get("body", b"")
        if not cycle.keep_alive or message.get("more_body") or cycle.flow.write_paused or cycle.disconnected:
            return False
        headers = [*cycle.default_headers, *start["headers"]]
        if (b"content-length", b"%d" % len(body)) not in headers or cycle.scope["method"] == "HEAD":
            return False
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if lines.count(b"\n") != len(headers) or b"\nconnection" in lines.lower() or cycle.response_started:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(STATUS_LINE[start["status"]] + lines + b"\r\n" + body)
        cycle.message_event.set()
        cycle.on_response()
        return True
