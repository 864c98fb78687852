"""A real HTTP receiver for callbacks, for tests and for the hand.

    with Receiver(key="…", secrets=["whsec_…"]) as receiver:
        receiver.answer_next(Answer(status=500), Answer(delay_s=30))  # then {"result": "success"} again
        ...  # something posts to receiver.url
        first, *_ = receiver.wait_for(3)  # or: await receiver.arrived(3)
        assert first.verified

It runs in threads of its own, so that it serves tests under asyncio and trio, and other processes. Both signatures are checked
here by other means than the sender's own code. By hand:

    python -m tests.receiver --port 9000 --key KEY --secret whsec_…

prints one JSON line for each callback.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import socket
import socketserver
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

import anyio
from attrs import field, frozen

SUCCESS = b'{"result":"success"}'
WAIT_S = 20.0


@frozen(kw_only=True)
class Answer:
    """What the receiver does with one callback.

    Attributes:
        status: The HTTP status.
        headers: Further header fields.
        body: The body; sent `times` times over.
        times: More than 1 for a huge answer.
        delay_s: How long to wait before answering, in seconds.
        drip_s: How long to wait after each single byte of the body, in seconds; None sends it in one go.
        chunked: Send the body in chunks, without telling its length.
        raw: Send just these bytes in place of an answer, then close.
        close: Close without answering.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = SUCCESS
    times: int = 1
    delay_s: float = 0.0
    drip_s: float | None = None
    chunked: bool = False
    raw: bytes | None = None
    close: bool = False


@frozen(kw_only=True)
class Received:
    """One callback as it arrived.

    Attributes:
        path: Path and query of the request.
        headers: The header fields, names in lower case.
        raw_body: The body's bytes.
        req_head: `reqHead`, whatever the format; {} where there is none.
        req_body: `reqBody`, whatever the format; {} where it cannot be read.
        standard_verified: Whether one of the `webhook-signature`s fits one of the receiver's secrets.
        md5_verified: Whether `X-Ecaspsplus-Signature` fits the receiver's key.
        connection: A number for the connection that it came by.
    """

    path: str
    headers: dict[str, str]
    raw_body: bytes
    req_head: dict[str, Any]
    req_body: dict[str, Any]
    standard_verified: bool
    md5_verified: bool
    connection: int

    @property
    def verified(self) -> bool:
        """Whether both signatures hold."""
        return self.standard_verified and self.md5_verified

    @property
    def webhook_id(self) -> str:
        """The delivery's identity."""
        return self.headers.get("webhook-id", "")


@frozen
class _Programme:
    answers: deque[Answer] = field(factory=deque)
    received: list[Received] = field(factory=list)
    change: threading.Condition = field(factory=threading.Condition)
    stopping: threading.Event = field(factory=threading.Event)


class Receiver:
    """The receiver; a context manager. All methods may be called from any thread.

    Attributes:
        default: The answer when nothing else is programmed; set it for an endpoint that stays dead.
        key: The channel's KEY; may be set later, as may `secrets`.
        secrets: The webhook secrets that count as right.
    """

    def __init__(
        self,
        *,
        key: str = "",
        secrets: Iterable[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_received: Callable[[Received], None] | None = None,
    ) -> None:
        """Take a port, free by default; serving begins on entering."""
        self.default = Answer()
        self.key = key
        self.secrets = list(secrets)
        self._host = host
        self._tls = tls
        self._on_received = on_received
        self._programme = _Programme()
        self._server = _Server((host, port), self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._programme.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The callback URL to give to a channel."""
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}/callback"

    @property
    def received(self) -> list[Received]:
        """All callbacks so far, in order of arrival."""
        with self._programme.change:
            return list(self._programme.received)

    def answer_next(self, *answers: Answer) -> None:
        """Programme the answers to the next callbacks, one each, after those already programmed."""
        with self._programme.change:
            self._programme.answers.extend(answers)

    def forget(self) -> None:
        """Forget what was received and what was programmed."""
        with self._programme.change:
            self._programme.received.clear()
            self._programme.answers.clear()

    def wait_for(self, count: int, within_s: float = WAIT_S) -> list[Received]:
        """Block until at least so many callbacks have arrived and return all; TimeoutError says what is missing."""
        return self.wait_until(lambda received: len(received) >= count, within_s, f"{count} callbacks")

    def wait_until(
        self, predicate: Callable[[list[Received]], bool], within_s: float = WAIT_S, what: str = "the condition"
    ) -> list[Received]:
        """Block until the list of callbacks fulfils the predicate and return it."""
        with self._programme.change:
            if not self._programme.change.wait_for(lambda: predicate(list(self._programme.received)), within_s):
                raise TimeoutError(f"waited {within_s:g} s for {what}; {len(self._programme.received)} have arrived")
            return list(self._programme.received)

    async def arrived(self, count: int, within_s: float = WAIT_S) -> list[Received]:
        """As `wait_for`, without blocking the event loop."""
        return await self.arrived_until(lambda received: len(received) >= count, within_s, f"{count} callbacks")

    async def arrived_until(
        self, predicate: Callable[[list[Received]], bool], within_s: float = WAIT_S, what: str = "the condition"
    ) -> list[Received]:
        """As `wait_until`, without blocking the event loop."""
        with anyio.move_on_after(within_s):
            while not predicate(self.received):
                await anyio.sleep(0.005)
            return self.received
        raise TimeoutError(f"waited {within_s:g} s for {what}; {len(self.received)} have arrived")

    def _take(self, path: str, headers: dict[str, str], raw_body: bytes, connection: int) -> Answer:
        head, body, signed = _parse(headers.get("content-type", ""), raw_body)
        received = Received(
            path=path,
            headers=headers,
            raw_body=raw_body,
            req_head=head,
            req_body=body,
            standard_verified=_standard_holds(headers, raw_body, self.secrets),
            md5_verified=_md5_holds(headers, signed, self.key),
            connection=connection,
        )
        with self._programme.change:
            self._programme.received.append(received)
            answer = self._programme.answers.popleft() if self._programme.answers else self.default
            self._programme.change.notify_all()
        if self._on_received is not None:
            self._on_received(received)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], receiver: Receiver, tls: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.receiver = receiver
        self._open: dict[socket.socket, int] = {}
        self._connections = 0
        self._lock = threading.Lock()
        super().__init__(address, _Handler)
        if tls is not None:
            # The handshake happens in the connection's own thread: a client that stalls holds up nobody.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        # HTTPServer's own way asks a name server for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections += 1
            self._open[connection] = self._connections
        return connection, address

    def number(self, connection: socket.socket) -> int:
        with self._lock:
            return self._open[connection]

    def close_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        request.close()

    def close_all(self) -> None:
        self.server_close()
        with self._lock:
            left, self._open = list(self._open), {}
        for connection in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: senders under test break off connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        raw_body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = receiver._take(self.path, headers, raw_body, self.server.number(self.connection))
        stopping = receiver._programme.stopping
        if answer.delay_s and stopping.wait(answer.delay_s):
            self.close_connection = True
            return
        if answer.close or answer.raw is not None:
            self.wfile.write(answer.raw or b"")
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(answer.body) * answer.times))
        self.end_headers()
        pieces = (answer.body,) * answer.times if answer.drip_s is None else _bytes_of(answer.body * answer.times)
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
            if answer.drip_s is not None and stopping.wait(answer.drip_s):
                self.close_connection = True
                return
        if answer.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Print nothing."""


def _bytes_of(body: bytes) -> Iterable[bytes]:
    return (body[i : i + 1] for i in range(len(body)))


def _parse(content_type: str, raw_body: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Read a callback in any format: reqHead, reqBody, and what the MD5 signature covers."""
    with suppress(ValueError, KeyError, TypeError):
        if content_type.startswith("application/json"):
            document = json.loads(raw_body)
            return document["reqHead"], document["reqBody"], raw_body
        fields = dict(parse_qsl(raw_body.decode(), keep_blank_values=True, strict_parsing=True))
        if "reqBody" in fields:
            signed = fields["reqHead"] + fields["reqBody"]
            return json.loads(fields["reqHead"]), json.loads(fields["reqBody"]), signed.encode()
        nested = _nested(fields)
        return nested.get("reqHead", {}), nested.get("reqBody", {}), raw_body
    return {}, {}, raw_body


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """Read `a[b][c]=d` as Node's form parsers do, but with a list as an object by index."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        first, *others = re.findall(r"[^\[\]]+", name)
        steps, branch = [first, *others], tree
        for step in steps[:-1]:
            branch = branch.setdefault(step, {})
        branch[steps[-1]] = value
    return tree


def _standard_holds(headers: dict[str, str], raw_body: bytes, secrets: Sequence[str]) -> bool:
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + raw_body
    given = headers.get("webhook-signature", "").split(" ")
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    right = ["v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    return any(signature in right for signature in given)


def _md5_holds(headers: dict[str, str], signed: bytes, key: str) -> bool:
    right = hashlib.md5(signed + key.encode(), usedforsecurity=False).hexdigest()
    return headers.get("x-ecaspsplus-signaturetype") == "MD5" and headers.get("x-ecaspsplus-signature") == right


def _print(received: Received) -> None:
    line = {"path": received.path, "webhookId": received.webhook_id, "verified": received.verified, **received.req_body}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def main() -> None:
    """Print one JSON line for each callback until interrupted."""
    parser = argparse.ArgumentParser(description="Receive callbacks and print one JSON line for each.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="", help="the channel's KEY, to check the MD5 signature")
    parser.add_argument("--secret", action="append", default=[], help="a webhook secret (whsec_…); may be repeated")
    options = parser.parse_args()
    with Receiver(
        key=options.key, secrets=options.secret, host=options.host, port=options.port, on_received=_print
    ) as receiver:
        print(f"listening on {receiver.url}", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
