"""Memory under hostile requests (faults.md, "Input and attack"): flat, whatever comes, and a healthy client is served meanwhile.

`WXRC_HOSTILE` says how many requests there are of all kinds together; `make soak` sends 200,000.
"""

import gc
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.live import Service, call, cli_json
from tests.served import Served, read_answer
from wxrc_http.testing import a_head, a_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]

HOSTILE = int(os.environ.get("WXRC_HOSTILE", "4000"))
FLAT_MB = 20


def post(body: bytes, *lines: str, interface: str = "roomSendText", kind: str = "application/json") -> bytes:
    """Return a request with this body."""
    head = [
        f"POST /api/{interface} HTTP/1.1",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Host: x",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def rest(number: int) -> str:
    """Return a value that no request has had: a cache keyed by what a client sends would grow."""
    return f"{number:08}"


BAD = "X-Ecaspsplus-Signature: " + "0" * 32
OPEN = [
    lambda n: post(a_json(a_head(chid=rest(n), txtime=str(time.time_ns() // 1_000_000))), BAD),
    lambda n: post(a_json(a_head(txtime=f"2026{n % 12 + 1:02}{n % 28 + 1:02}{n % 24:02}{n % 60:02}{n % 59:02}")), BAD),
    lambda n: post(a_json(a_head(sign="A" * 344, signType=rest(n)))),
    lambda n: post(b'{"reqHead":{"a' + rest(n).encode() + b'":1,}}', BAD),
    lambda n: post(b'{"reqHead":{},"reqBody":[' + b"{}," * 3_000 + b"x]}", BAD),
    lambda n: post(b'{"reqHead":{},"reqBody":"' + b"\\ud800" * 5_000 + b'"}', BAD),
    lambda n: post(b'{"reqHead":{},"reqBody":[' + b"[]," * 50_000 + b"1]}", BAD),
    lambda n: post(b"[" * 9_000, BAD),
    lambda n: post(b"x", BAD, kind=f"application/{rest(n)}"),
    lambda n: post(b"x", BAD, f"Accept-Language: {rest(n)}"),
    lambda n: post(
        b"&".join(b"reqBody[a][%d]=1" % each for each in range(400)), BAD, kind="application/x-www-form-urlencoded"
    ),
    lambda n: post(b"reqHead=" + b"%7B" * 5_000, BAD, kind="application/x-www-form-urlencoded"),
    lambda n: f"GET /api/{rest(n)}?reqHead={rest(n)} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    lambda n: f"GET /{rest(n)}?{rest(n)} HTTP/1.1\r\nHost: {rest(n)}\r\n\r\n".encode(),
    lambda n: f"GET /qr/{rest(n)} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
]
"""What leaves the connection open."""

CLOSING = [
    lambda n: b"\0" + rest(n).encode() + b"\r\n\r\n",
    lambda n: b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    lambda n: b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    lambda n: b"PUT /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    lambda n: b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 10_000,
    lambda n: b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx",
    lambda n: b"",
    lambda n: b"GET /api/ HTTP/1.1\r\n\r\n" * 2_000,
]
"""What ends it, or leaves it with a request that never ends."""


def send_all(port: int, number: int, begun: int) -> None:
    """Send that many hostile requests of every kind; whatever comes back is dropped."""
    done = 0
    while done < number:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            for _ in range(20):
                for make in OPEN:
                    connection.sendall(make(begun + done))
                    read_head(connection)
                    done += 1
        for make in CLOSING:
            # It may be refused while it is being sent.
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(make(begun + done))
            done += 1


def read_head(connection: socket.socket) -> None:
    """Read one answer, of whatever kind."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65_536)
        assert part
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    match = re.search(rb"content-length: (\d+)", head.lower())
    assert match
    while len(body) < int(match[1]):
        body += connection.recv(65_536)


def resident_mb(pid: int) -> float:
    """Return the memory that a process has, in MB."""
    if sys.platform != "linux":
        return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / 1024
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) / 1024


@pytest.mark.wire("attack.memory")
def test_memory_is_flat(tmp_path: Path) -> None:
    """After a warm-up, any number of hostile requests of every kind changes the service's memory by less than 20 MB."""
    with Service(tmp_path / "data") as service:
        key = cli_json("channel", "add", "crm", "--json", data=service.data)["key"]
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        assert service.process is not None
        send_all(service.port, 2_000, 0)
        before = resident_mb(service.process.pid)
        steps = 10
        for step in range(steps):
            send_all(service.port, HOSTILE // steps, 10_000_000 * (step + 1))

            assert "0" == call(service.url, "crm", key, "zhao", "botStatus", {})["rtCode"]
        after = resident_mb(service.process.pid)
        said = service.said()

    assert abs(after - before) < FLAT_MB, f"{before:.0f} MB became {after:.0f} MB"
    assert "Traceback" not in said
    assert len(said) < 10_000, "hostile requests fill the log"


@pytest.fixture
def served() -> Iterator[Served]:
    """The API behind our server, in this process."""
    found = Served(idle_s=60.0, head_s=60.0, request_s=60.0)
    yield found
    found.stop()


@pytest.mark.parametrize("make", OPEN, ids=range(len(OPEN)))
@pytest.mark.wire("attack.memory")
def test_a_refused_request_leaves_no_ring(make: Any, served: Served) -> None:
    """What a refused request has made is gone with it, without the garbage collector."""
    with served.connect() as connection:
        for number in range(100):  # whatever is made once and kept
            connection.sendall(make(number))
            read_answer(connection)
        gc.collect()
        gc.disable()
        try:
            for number in range(100):
                connection.sendall(make(number))
                read_answer(connection)
            left = gc.collect()
        finally:
            gc.enable()

    assert left < 100, f"{left / 100} objects are left by each request"
