"""Who reaches the simulator: names of this machine itself, and others only where they were named; writes only from its own pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette

from wxrc_puppet.simulator import SimulatedWeChat, routes
from wxrc_puppet.simulator.hosts import HostGuard, host_name, is_loopback

pytestmark = pytest.mark.anyio

LOOPBACK = (
    "localhost",
    "localhost:8080",
    "LOCALHOST.",
    "zhao.localhost:1",
    "127.0.0.1",
    "127.8.9.1:80",
    "[::1]:8080",
    "[::1]",
)
FOREIGN = (
    "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "192.168.1.5",
    "0.0.0.0", "[::]", "[::1", "", "localhost@evil.example", "evil.example/localhost", "127.0.0.1 evil.example", "2130706433",
)  # fmt: skip


@asynccontextmanager
async def browser(*names: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of a guarded simulator with bot `zhao`; these names are allowed besides loopback."""
    with SimulatedWeChat(":memory:") as wechat:
        wechat.ensure_account("zhao", {})
        app = HostGuard(Starlette(routes=routes(wechat)), names)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            yield client


@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_loopback_name_is_answered(host: str) -> None:
    """By a name that only this machine has for itself, pages and API answer, with any port."""
    async with browser() as client:
        found = [await client.get(path, headers={"Host": host}) for path in ("/sim", "/sim/api/zhao/record")]

    assert [200, 200] == [each.status_code for each in found]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.wire("attack.simulator")
async def test_any_other_name_is_refused(host: str) -> None:
    """By any other name nothing is read and nothing is written, and the answer says what to do without repeating the name."""
    async with browser() as client:
        read = await client.get("/sim/api/zhao/record", headers={"Host": host})
        written = await client.post(
            "/sim/api/zhao/addRoom", json={"topic": "x"}, headers={"Host": host, "Origin": f"http://{host}"}
        )
        rooms = (await client.get("/sim/api/zhao")).json()["rooms"]

    assert (403, 403) == (read.status_code, written.status_code)
    assert "--simulator-host NAME" in read.text
    assert "evil" not in read.text
    assert "x" not in [room["topic"] for room in rooms]


@pytest.mark.parametrize(("names", "host", "expected"), [
    (("lab.example",), "lab.example:8080", 200),
    (("Lab.Example.",), "LAB.example", 200),
    (("lab.example",), "sub.lab.example", 403),
    (("192.168.1.5",), "192.168.1.5:8080", 200),
    (("*",), "anything.example", 200),
])  # fmt: skip
async def test_names_that_were_allowed(names: tuple[str, ...], host: str, expected: int) -> None:
    """A name that the operator gave is answered, as it is and no other; `*` is every name."""
    async with browser(*names) as client:
        found = await client.get("/sim", headers={"Host": host})

    assert expected == found.status_code


async def test_two_hosts_must_both_be_allowed() -> None:
    """A request with two `Host` headers, which a proxy and a server may read differently, is refused."""
    async with browser() as client:
        found = await client.get("/sim", headers=[("Host", "localhost"), ("Host", "evil.example")])

    assert 403 == found.status_code


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
    ],
)
@pytest.mark.wire("attack.simulator")
async def test_a_write_needs_the_same_origin(headers: dict[str, str], expected: int) -> None:
    """A page of another origin cannot write, not even one of another port of this machine; a client that is no browser can."""
    async with browser() as client:
        found = await client.post("/sim/api/zhao/addRoom", json={"topic": "新群"}, headers=headers)

    assert expected == found.status_code


@pytest.mark.parametrize(
    ("host", "name", "loopback"),
    [("A.B:1", "a.b", False), ("[::1]:2", "::1", True), ("127.0.0.1", "127.0.0.1", True), ("[", "", False)],
)
def test_the_name_in_a_host_header(host: str, name: str, loopback: bool) -> None:
    """The name comes without port and brackets, in lower case."""
    assert (name, loopback) == (host_name(host), is_loopback(host_name(host)))
