"""The API on a real socket, behind our own server, in a thread of its own; and what a client does with sockets."""

import asyncio
import json
import socket
import threading
import time
from typing import Any

import uvloop
from attrs import evolve

from wxrc_http import Api
from wxrc_http.testing import FakeBackend, a_head, dumps, signed
from wxrc_service.connections import Limits
from wxrc_service.http_server import Server
from wxrc_service.proxies import TrustedProxies

LIMIT_S = 30.0
LIMITS = Limits(head_s=3.0, request_s=4.0, idle_s=3.0, answer_s=3.0, close_s=2.0)
"""Times that tests can wait for, and that a busy machine does not overrun by itself."""


class Served:
    """The API behind `wxrc_service.http_server`."""

    def __init__(self, *, uvloop_too: bool = True, proxies: TrustedProxies | None = None, **limits: Any) -> None:
        self.proxies = proxies
        self.backend = FakeBackend()
        self.limits = evolve(LIMITS, **limits)
        self.ready = threading.Event()
        self.factory = uvloop.new_event_loop if uvloop_too else asyncio.new_event_loop
        self.thread = threading.Thread(target=self._thread, daemon=True)
        self.thread.start()
        assert self.ready.wait(LIMIT_S)

    def _thread(self) -> None:
        with asyncio.Runner(loop_factory=self.factory) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        self.port: int = listener.getsockname()[1]
        self.server = Server(Api(self.backend, body_timeout_s=0.5), self.limits, self.proxies)
        self.ready.set()
        await self.server.serve(sockets=[listener])

    @property
    def connections(self) -> int:
        """How many connections are counted."""
        return len(self.server.limited)

    def wait_for_connections(self, most: int) -> None:
        """Wait until no more than so many are left."""
        until = time.monotonic() + LIMIT_S
        while self.connections > most:
            assert time.monotonic() < until, f"{self.connections} connections are left"
            time.sleep(0.02)

    def connect(self) -> socket.socket:
        """Return a connection; nothing on it waits for ever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)

    def ask(self, raw: bytes) -> tuple[int, dict[str, str], dict[str, str]]:
        """Send bytes on a new connection and read one answer."""
        with self.connect() as connection:
            connection.sendall(raw)
            return read_answer(connection)

    def stop(self) -> None:
        """End the server."""
        self.server.should_exit = True
        self.thread.join(LIMIT_S)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, str]]:
    """Read one answer and return its status, its headers and resBody."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65_536)
        assert part, f"closed after {found!r}"
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return int(first.split()[1]), headers, json.loads(body)["resBody"]


def a_request(txcode: str, *lines: str) -> bytes:
    """Return a right request, with further header lines."""
    raw = dumps({"reqHead": a_head(txcode=txcode), "reqBody": {"text": "你好", "roomTopic": "客服一群"}}).encode()
    headers = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(raw))} | signed(raw)
    head = "".join(f"{line}\r\n" for line in ([f"{name}: {value}" for name, value in headers.items()] + list(lines)))
    return f"POST /api/roomSendText HTTP/1.1\r\n{head}\r\n".encode() + raw
