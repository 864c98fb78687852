"""The API behind a real server on a real socket: what a client in process cannot do wrong."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxrc_http import Api
from wxrc_http.api import _has_arrived
from wxrc_http.testing import FakeBackend, a_head, dumps, signed

MAX_BODY = 100_000
LIMIT_S = 20.0


class Served:
    """The API on a loopback port, in a thread of its own."""

    def __init__(self, http: str) -> None:
        self.backend = FakeBackend()
        self.arrived: list[bool] = []
        api = Api(self.backend, max_body_bytes=MAX_BODY, body_timeout_s=0.5)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.arrived.append(_has_arrived(receive))
            await api(scope, receive, send)

        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until = time.monotonic() + LIMIT_S
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]

    def connect(self) -> socket.socket:
        """Return a connection; nothing on it waits for ever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)

    def stop(self) -> None:
        """End the server."""
        self.server.should_exit = True
        self.thread.join(LIMIT_S)

    def ask(self, raw: bytes) -> bytes:
        """Send bytes, say that there are no more, and return all that comes back."""
        with self.connect() as connection:
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                return read_all(connection)
            except (ConnectionResetError, BrokenPipeError):
                return b""  # the server hung up on us, as it may


@pytest.fixture(scope="module", params=["httptools", "h11"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The API behind each of uvicorn's two HTTP parsers."""
    found = Served(request.param)
    yield found
    found.stop()


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
        found += connection.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return int(first.split()[1]), headers, json.loads(body)["resBody"]


def a_request(txcode: str) -> bytes:
    """Return a right request."""
    raw = dumps({"reqHead": a_head(txcode=txcode), "reqBody": {"text": "你好", "roomTopic": "客服一群"}}).encode()
    lines = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(raw))} | signed(raw)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /api/roomSendText HTTP/1.1\r\n{head}\r\n".encode() + raw


def test_requests_on_one_connection(served: Served) -> None:
    """Right requests, whole and in pieces, are answered one after the other on the same connection."""
    with served.connect() as connection:
        for number in range(3):
            raw = a_request(f"K{number}")
            for at in range(0, len(raw), 50 + number * 1000):
                connection.sendall(raw[at : at + 50 + number * 1000])
            status, headers, said = read_answer(connection)

            assert (200, "0") == (status, said["rtCode"])
            assert "application/json" == headers["content-type"]


def test_a_dripping_body(served: Served) -> None:
    """A body that comes byte by byte is given up after the time limit, with 408, and the connection is closed."""
    with served.connect() as connection:
        connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        connection.settimeout(0.05)
        found = b""
        for _ in range(400):
            connection.send(b" ")
            try:
                found = connection.recv(65_536)
                break
            except TimeoutError:
                continue

    assert found.startswith(b"HTTP/1.1 408 ")
    assert b'"rtCode":"30"' in found
    assert b"connection: close" in found


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.wire("answer.413")
def test_a_body_that_is_too_large(announced: bool, served: Served) -> None:
    """A client that sends on in spite of everything reads its 413 all the same."""
    with served.connect() as connection:
        if announced:
            connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
            connection.sendall(b" " * 3_000_000)
        else:
            connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall((b"%x\r\n" % 50_000 + b" " * 50_000 + b"\r\n") * 20 + b"0\r\n\r\n")
        status, headers, said = read_answer(connection)

        assert (413, "32") == (status, said["rtCode"])
        assert "close" == headers["connection"]
        assert str(MAX_BODY) in said["rtMsg"]


def test_no_continue_for_what_is_too_large(served: Served) -> None:
    """A client that asks before it sends is told at once."""
    with served.connect() as connection:
        connection.sendall(
            b"POST /api/login HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3000000\r\n\r\n"
        )
        status, _, said = read_answer(connection)

    assert (413, "32") == (status, said["rtCode"])


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.tuples(st.just(a_request("FUZZ")), st.integers(0, 500), st.binary(max_size=3), st.integers(0, 3)).map(
            lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + drawn[3] :]
        ),
        st.tuples(st.sampled_from(["GET", "POST", "PUT", "BREW"]), st.binary(max_size=20), st.binary(max_size=40)).map(
            lambda drawn: (
                drawn[0].encode() + b" /api/" + drawn[1] + b" HTTP/1.1\r\nHost: x\r\n" + drawn[2] + b"\r\n\r\n"
            )
        ),
    )
)
@pytest.mark.wire("attack.not_http")
def test_garbage_on_the_socket(raw: bytes, served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Any bytes get an envelope, the server's own 400, or a closed connection: no 500 and nothing in the error log."""
    answer = served.ask(raw)

    if answer:
        assert answer.split()[1] in (b"200", b"400", b"405", b"408", b"413")
        assert b'"rtCode":"23"' not in answer
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_what_has_arrived_needs_no_time_limit(served: Served) -> None:
    """Uvicorn still tells whether all of a body is there; without that all works, but each request costs more."""
    served.arrived.clear()
    with served.connect() as connection:
        connection.sendall(a_request("WHOLE"))
        read_answer(connection)
    served.ask(a_request("PART")[:-1])

    assert [True, False] == served.arrived


def test_still_alive(served: Served) -> None:
    """After all that the server answers as before."""
    with served.connect() as connection:
        connection.sendall(a_request("LAST"))

        assert "0" == read_answer(connection)[2]["rtCode"]
