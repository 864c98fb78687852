"""What a connection may cost (faults.md, "Input and attack"): heads, times, numbers of connections, requests that come too fast."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from tests.served import LIMIT_S, Served, a_request, read_all, read_answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The API behind our server, on both loops."""
    found = Served(uvloop_too=request.param)
    yield found
    found.stop()


def healthy(served: Served, txcode: str) -> None:
    """Check that a right request on a new connection is answered."""
    status, _, said = served.ask(a_request(txcode))

    assert (200, "0") == (status, said["rtCode"])


# -- heads --------------------------------------------------------------------------------------------------------------------

LARGE = {
    "one header": b"POST /api/login HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (b"x" * 66_000),
    "a header without end": b"POST /api/login HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000_000,
    "a name without end": b"POST /api/login HTTP/1.1\r\nHost: x\r\n" + b"x" * 1_000_000,
    "a path": b"GET /api/" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query without end": b"GET /api/login?" + b"x" * 1_000_000,
    "many headers": b"POST /api/login HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "many small headers": b"POST /api/login HTTP/1.1\r\n" + b"X:y\r\n" * 100_000,
    "many trailers": b"POST /api/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X:y\r\n" * 100_000,
    "a trailer": b"POST /api/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"y" * 1_000_000,
    "a chunk's extension": b"POST /api/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"y" * 1_000_000,
}


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE)
@pytest.mark.wire("answer.431", "attack.head")
def test_a_large_head(raw: bytes, served: Served) -> None:
    """A head that is too large, in any part, gets 431 with the envelope, even while the client is still sending."""
    status, headers, said = served.ask(raw)

    assert (431, "11") == (status, said["rtCode"])
    assert "close" == headers["connection"]
    assert "65536" in said["rtMsg"]


@pytest.mark.wire("answer.431", "attack.head")
def test_a_head_of_just_the_limit(served: Served) -> None:
    """A head of 64 KiB with 100 headers is taken, in whatever pieces it comes; one byte more, or one header more, is not."""
    bare = len(a_request("L", *(f"X{number}: y" for number in range(95))).partition(b"\r\n\r\n")[0])
    used = bare - len("POST  HTTP/1.1")  # what counts: the path, and each header with its four signs
    for more, status in ((0, 200), (1, 431)):
        for size in (1_000_000, 4_096, 1_021):
            filled = [f"X{number}: y" for number in range(94)] + ["X94: " + "y" * (65_536 - used + 1 + more)]
            raw = a_request("L", *filled)
            with served.connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(raw), size):
                    connection.sendall(raw[at : at + size])

                assert status == read_answer(connection)[0]


@pytest.mark.parametrize("size", [1_000_000, 7])
@pytest.mark.wire("carrier.json")
def test_a_wish_to_upgrade(size: int, served: Served) -> None:
    """A request that asks for h2c, as Java's own client does, is a request like any other, in whatever pieces it comes."""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    for number in range(2):
        raw = a_request(f"h2c-{size}-{number}", *wish)
        with served.connect() as connection:
            for at in range(0, len(raw), size):
                connection.sendall(raw[at : at + size])
            status, _, said = read_answer(connection)

            assert (200, "0") == (status, said["rtCode"])
            connection.sendall(a_request(f"after-{size}-{number}"))

            assert (200, "0") == (read_answer(connection)[0], said["rtCode"])
    status, _, said = served.ask(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")

    assert (400, "11") == (status, said["rtCode"])


@pytest.mark.parametrize(
    "raw",
    [
        b"\0" * 10,
        b"GET\r\n\r\n",
        b"POST /api/login HTTP/9.9\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01",
    ],
)
@pytest.mark.wire("attack.not_http")
def test_what_is_not_http(raw: bytes, served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """What is not HTTP gets 400 with the envelope, and no line in the log: there could be millions."""
    status, _, said = served.ask(raw + b"x" * 10 + b"\r\n\r\n")

    assert (400, "11") == (status, said["rtCode"])
    assert [] == caplog.records


# -- times --------------------------------------------------------------------------------------------------------------------


def drip(connection: socket.socket, raw: bytes) -> bytes:
    """Send byte after byte until an answer comes, and return it."""
    connection.settimeout(0.05)
    for _ in range(400):
        connection.send(raw)
        try:
            found = connection.recv(65_536)
        except TimeoutError:
            continue
        connection.settimeout(LIMIT_S)
        return found + read_all(connection)
    return b""


@pytest.mark.wire("answer.408", "attack.slow")
def test_a_dripping_head(served: Served) -> None:
    """A head that comes byte by byte gets 408, whether it is the first on its connection or not."""
    for first in (b"", a_request("DRIP")):
        with served.connect() as connection:
            if first:
                connection.sendall(first)
                read_answer(connection)
            connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: ")
            answer = drip(connection, b"x")

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"rtCode":"10"' in answer


@pytest.mark.wire("answer.408", "attack.slow")
def test_a_dripping_body(served: Served) -> None:
    """A body that comes byte by byte gets 408."""
    with served.connect() as connection:
        connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        answer = drip(connection, b"x")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"rtCode":"30"' in answer


@pytest.mark.parametrize("method", [b"PUT", b"POST"])
@pytest.mark.wire("answer.405", "answer.413")
def test_an_answer_before_the_end_of_a_request(method: bytes, served: Served) -> None:
    """A client that is answered while it still sends reads the answer and its end; its connection is not reset."""
    with served.connect() as connection:
        connection.sendall(
            method + b" /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b" " * 9_000_000
        )
        found = read_all(connection)

    assert found.startswith(b"HTTP/1.1 405 " if method == b"PUT" else b"HTTP/1.1 413 ")
    assert found.endswith(b"}")


@pytest.mark.parametrize("first", [b"", b"\r\n\r\n", a_request("IDLE")])
@pytest.mark.wire("attack.connections")
def test_silence(first: bytes, served: Served) -> None:
    """A connection that says nothing is closed, at once after its beginning or after an answer."""
    with served.connect() as connection:
        connection.sendall(first)
        if len(first) > 4:
            read_answer(connection)

        assert b"" == read_all(connection)


@pytest.mark.wire("attack.no_reading")
def test_a_client_that_takes_no_answer(served: Served) -> None:
    """A client that asks and asks and never reads is cut off; what waits for it is bounded meanwhile."""
    with served.connect() as connection:
        connection.settimeout(LIMIT_S)
        asked = b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000
        cut_off = False
        for _ in range(100_000):
            try:
                connection.sendall(asked)
            except ConnectionError:
                cut_off = True
                break

    assert cut_off
    served.wait_for_connections(0)


# -- many ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("attack.connections")
def test_silent_connections_make_room() -> None:
    """With every place taken by silent connections a new client is answered at once, and the log says so once and again when it is over."""
    served = Served(connections=50, per_address=50, head_s=60.0)
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("wxrc.http").addHandler(handler)
    try:
        silent = [served.connect() for _ in range(200)]
        for number in range(20):
            healthy(served, f"H{number}")
        assert served.connections <= 50
        assert b"" == silent[0].recv(1)
        for connection in silent:
            connection.close()
        served.wait_for_connections(0)
        until = time.monotonic() + LIMIT_S
        while len(records) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        logging.getLogger("wxrc.http").removeHandler(handler)
        served.stop()

    assert ["as many connections are open as may be", "there is room for new connections again"] == [
        record.partition(" (")[0] for record in records
    ]


@pytest.mark.wire("attack.one_address")
def test_one_address_takes_only_its_share() -> None:
    """An address that has taken its share gets room from its own connections, not from those of others."""
    served = Served(connections=50, per_address=10, head_s=60.0)
    try:
        other = socket.create_connection(("127.0.0.1", served.port), LIMIT_S, source_address=("127.0.0.2", 0))
        silent = [served.connect() for _ in range(30)]
        healthy(served, "MINE")
        assert served.connections <= 11
        other.sendall(a_request("OTHER"))
        assert 200 == read_answer(other)[0]
    finally:
        served.stop()
        for connection in [other, *silent]:
            connection.close()


@pytest.mark.wire("attack.pipelining")
def test_pipelined_requests_are_all_answered(served: Served) -> None:
    """Any number of requests sent at once, in pieces of any size, is answered, in order."""
    number = 500
    raw = b"".join(a_request(f"P{each}") for each in range(number))
    for size in (len(raw), 5_000, 333):
        with served.connect() as connection:
            for at in range(0, len(raw), size):
                connection.sendall(raw[at : at + size])
            answers = b""
            while answers.count(b'"rtCode":"0"') < number:
                part = connection.recv(65_536)
                assert part
                answers += part
        msgids = [int(part.split(b",")[0]) for part in answers.split(b'"msgid":')[1:]]

        assert sorted(set(msgids)) == msgids
        assert number == len(msgids)


def test_rubbish_behind_a_request(served: Served) -> None:
    """A right request is answered although rubbish follows on the same connection, and then the connection ends."""
    with served.connect() as connection:
        connection.sendall(a_request("BEFORE") + b"\0rubbish\r\n\r\n")
        answers = read_all(connection)

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b'"rtCode":"0"' in answers


def test_still_alive(served: Served) -> None:
    """After all that the server answers as before, and nothing is left over."""
    healthy(served, "LAST")
    served.wait_for_connections(0)
