"""The client against real sockets: answers that break off, are slow, endless or not there, and calls that are cancelled."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from tests.calling import KEY, SENT, TEXT, URL, Caller, answering, envelope, sync_http
from tests.receiver import Answer, Receiver
from wxrc_client import (
    AsyncClient,
    Client,
    Limits,
    Login,
    NoAnswer,
    NotAnEnvelope,
)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Make calls with each client."""
    return Caller(request.param)


# -- real sockets -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Receiver]:
    """A server whose answers can be programmed."""
    with Receiver() as server:
        server.default = Answer(body=envelope(**SENT))
        yield server


def bodies(server: Receiver) -> list[dict[str, Any]]:
    """Return the requests that arrived."""
    return [json.loads(each.raw_body) for each in server.received]


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        Answer(close=True),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
        Answer(raw=b"SSH-2.0-OpenSSH\r\n"),
        Answer(status=503, headers=(("Retry-After", "0"),)),
        Answer(status=429, headers=(("Retry-After", "0"),)),
    ],
    ids=["closed", "cut", "not http", "503", "429"],
)
def test_a_broken_answer_is_asked_for_again(caller: Caller, server: Receiver, broken: Answer) -> None:
    """Whatever broke, the second try has the same txcode and body, and its answer counts."""
    server.answer_next(broken)
    answer = caller.call(TEXT, server.url.removesuffix("/callback"))
    first, second = bodies(server)

    assert 7 == answer.msgid
    assert (first["reqHead"]["txcode"], first["reqBody"]) == (second["reqHead"]["txcode"], second["reqBody"])
    assert "/api/roomSendText" == server.received[0].path


@pytest.mark.slow
@pytest.mark.parametrize(
    "slow",
    [Answer(delay_s=60.0), Answer(body=envelope(**SENT, filling="x" * 1000), drip_s=0.05)],
    ids=["silent", "dripping"],
)
def test_a_slow_answer_costs_one_try(caller: Caller, server: Receiver, slow: Answer) -> None:
    """A try has its own limit; the next one is answered."""
    server.answer_next(slow)
    begun = time.monotonic()
    answer = caller.call(TEXT, server.url.removesuffix("/callback"), limits=Limits(total_s=30.0, try_s=0.3))

    assert 7 == answer.msgid
    assert 2 == len(server.received)
    assert time.monotonic() - begun < 20.0


@pytest.mark.slow
def test_a_dead_server_ends_in_time(caller: Caller, server: Receiver) -> None:
    """The total time bounds the call, and nobody says that the message was not accepted."""
    server.default = Answer(delay_s=60.0)
    with pytest.raises(NoAnswer) as end:
        caller.call(TEXT, server.url.removesuffix("/callback"), limits=Limits(total_s=1.5, try_s=0.4))

    assert end.value.maybe_accepted
    assert len(server.received) == end.value.tries >= 2
    assert 1 == len({body["reqHead"]["txcode"] for body in bodies(server)})


@pytest.mark.slow
def test_nobody_listens(caller: Caller) -> None:
    """Where no connection was made, nothing was accepted, and the error says so without the KEY."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NoAnswer) as end:
            caller.call(Login(), url, limits=Limits(total_s=1.0))

    assert not end.value.maybe_accepted
    assert KEY not in str(end.value)


def test_an_endless_answer_is_not_read_to_its_end(caller: Caller, server: Receiver) -> None:
    """What is far too long for an answer is refused after a bounded part of it."""
    server.default = Answer(body=b"x" * 1_048_576, times=200)
    with pytest.raises(NotAnEnvelope):
        caller.call(TEXT, server.url.removesuffix("/callback"))

    assert 1 == len(server.received)


def test_a_redirect_is_not_followed(caller: Caller, server: Receiver) -> None:
    """A signed request goes to the base URL and nowhere else."""
    server.default = Answer(status=307, headers=(("Location", server.url),))
    with pytest.raises(NotAnEnvelope, match="307"):
        caller.call(TEXT, server.url.removesuffix("/callback"))

    assert 1 == len(server.received)


def test_threads_share_a_client(server: Receiver) -> None:
    """One client serves many threads; each call gets its own answer."""
    with Client(server.url.removesuffix("/callback"), "crm", KEY, botcode="zhao") as wxrc:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(wxrc.call(TEXT).msgid)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert [7] * 16 == found
    assert 16 == len({body["reqHead"]["txcode"] for body in bodies(server)})


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_can_be_cancelled(backend: str, server: Receiver) -> None:
    """Cancelling a call ends it at once; the client is good for the next one."""
    server.answer_next(Answer(delay_s=60.0))

    async def cancelled_then_called() -> tuple[bool, int]:
        async with AsyncClient(server.url.removesuffix("/callback"), "crm", KEY, botcode="zhao") as wxrc:
            with anyio.move_on_after(0.2) as scope:
                await wxrc.call(TEXT)
            return scope.cancelled_caught, (await wxrc.call(TEXT)).msgid

    assert (True, 7) == anyio.run(partial(cancelled_then_called), backend=backend)


def test_a_given_http_client_is_left_open() -> None:
    """Who brings an HTTP client closes it."""
    http = sync_http(answering(envelope(**SENT)))
    with Client(URL, "crm", KEY, botcode="zhao", http=http) as wxrc:
        wxrc.call(TEXT)

    assert not http.is_closed
    http.close()
