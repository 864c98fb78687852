"""Where callbacks go, and over which connections: checked addresses, kept connections, many receivers at once."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any

import anyio
import httpcore
import pytest

from tests.receiver import Answer, Receiver
from tests.webhooks import KEY, LOOPBACK, NEVER_S, SECRET, attempt_at, names
from wxrc_webhook import (
    Acknowledged,
    AllowPrivate,
    Failed,
    WebhookSender,
)
from wxrc_webhook.pools import IdleConnections
from wxrc_webhook.tcp import Tcp

pytestmark = pytest.mark.anyio


class Spied(httpcore.AsyncNetworkStream):
    """A connection that is watched: it can be cut before the next request, or bring bytes that nobody asked for."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self.inner, self.closed, self.cut, self.unasked = inner, False, False, b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read."""
        return b"" if self.cut else self.unasked or await self.inner.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write."""
        if not self.cut:
            await self.inner.write(buffer)

    async def aclose(self) -> None:
        """Close."""
        self.closed = True
        await self.inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Say whether something has arrived."""
        return bool(self.unasked) or self.inner.get_extra_info(info)


class Spy(Tcp):
    """The operating system's network; its connections are watched."""

    def __init__(self, opened: list[Spied]) -> None:
        self.opened = opened

    async def connect_tcp(self, host: str, port: int, *rest: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """Connect."""
        self.opened.append(Spied(await super().connect_tcp(host, port)))
        return self.opened[-1]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f000001:{port}/",
        "http://2130706433:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://0.0.0.0:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://169.254.169.254/latest",
    ],
)
async def test_refused_url(receiver: Receiver, url: str) -> None:
    """A URL that may not be called is an outcome too, and nothing is sent."""
    async with WebhookSender() as sender:
        outcome = await sender.post(attempt_at(url.format(port=receiver.port), allow_private=False))

    assert isinstance(outcome, Failed)
    assert "callback URL" in outcome.reason
    assert receiver.received == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["93.184.216.34", "127.0.0.1"]]
)
async def test_name_that_leads_inside(receiver: Receiver, addresses: list[str]) -> None:
    """A public name is refused when any of its addresses is not public."""
    resolve, _ = names(addresses)
    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"http://crm.example:{receiver.port}/", allow_private=False))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"The callback URL's host crm.example leads to {addresses[-1]}, which is a ")
    assert receiver.received == []


async def test_name_that_resolves_differently_within_an_attempt(receiver: Receiver) -> None:
    """A name is resolved once for a connection: what was checked is where it goes."""
    resolve, asked = names(["127.0.0.1"], ["10.0.0.1"])
    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK))

    assert Acknowledged() == outcome
    assert asked == ["crm.example"]
    assert receiver.received[0].headers["host"] == f"crm.example:{receiver.port}"


async def test_name_that_resolves_differently_the_second_time(receiver: Receiver) -> None:
    """A new connection checks the name's addresses again."""
    receiver.answer_next(Answer(headers=[("Connection", "close")]))
    resolve, asked = names(["127.0.0.1"], ["127.0.0.2"])
    attempt = attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK)
    async with WebhookSender(resolve=resolve) as sender:
        first = await sender.post(attempt)
        second = await sender.post(attempt)

    assert Acknowledged() == first
    assert isinstance(second, Failed)
    assert "leads to 127.0.0.2, which is a loopback address" in second.reason
    assert asked == ["crm.example"] * 2
    assert len(receiver.received) == 1


async def test_next_address(receiver: Receiver) -> None:
    """Where the first address of a name does not take the connection, the next one is tried."""
    resolve, _ = names(["127.0.0.2", "127.0.0.1"])
    async with WebhookSender(resolve=resolve) as sender:
        assert Acknowledged() == await sender.post(attempt_at(f"http://crm.example:{receiver.port}/"))


async def test_system_resolver(receiver: Receiver) -> None:
    """Without a resolver of its own, the sender asks the operating system."""
    async with WebhookSender() as sender:
        assert Acknowledged() == await sender.post(attempt_at(f"http://localhost:{receiver.port}/"))


async def test_unknown_name() -> None:
    """A name without addresses is a plain sentence."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at("http://crm.example/"))

    assert Failed("the name crm.example could not be resolved") == outcome


async def test_no_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: it would resolve names by itself."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with WebhookSender() as sender:
        assert Acknowledged() == await sender.post(attempt_at(receiver.url))


async def test_connections_are_kept(receiver: Receiver) -> None:
    """Callbacks one after the other share a connection to the address that was checked."""
    resolve, asked = names(["127.0.0.1"], ["10.0.0.1"])
    attempt = attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK)
    async with WebhookSender(resolve=resolve) as sender:
        outcomes = [await sender.post(attempt) for _ in range(3)]

    assert [Acknowledged()] * 3 == outcomes
    assert {1} == {received.connection for received in receiver.received}
    assert asked == ["crm.example"]


@pytest.mark.parametrize("stricter", [False, (), (ip_network("10.0.0.0/8"),)])
async def test_connections_are_not_shared_between_policies(receiver: Receiver, stricter: AllowPrivate) -> None:
    """A connection opened for a channel that allows private networks is not there for one that does not."""
    resolve, _ = names(["127.0.0.1"])
    url = f"http://crm.example:{receiver.port}/"
    async with WebhookSender(resolve=resolve) as sender:
        assert Acknowledged() == await sender.post(attempt_at(url, allow_private=True))
        outcome = await sender.post(attempt_at(url, allow_private=stricter))

    assert isinstance(outcome, Failed)
    assert "leads to 127.0.0.1" in outcome.reason
    assert len(receiver.received) == 1


async def test_idle_connections_are_closed(receiver: Receiver) -> None:
    """Connections to a receiver that has had nothing for a while are closed when others get something."""
    opened: list[Spied] = []
    async with WebhookSender(network=Spy(opened)) as sender:
        sender._idle = IdleConnections(keep_alive_s=0.05)
        await sender.post(attempt_at(receiver.url))
        await anyio.sleep(0.1)
        with Receiver(key=KEY, secrets=[SECRET]) as other:
            await sender.post(attempt_at(other.url))

        assert [True, False] == [stream.closed for stream in opened]
    assert [True, True] == [stream.closed for stream in opened]


async def test_a_few_idle_connections_are_kept(receiver: Receiver) -> None:
    """After many callbacks at once a bounded number of connections is kept, the ones used last."""
    opened: list[Spied] = []
    async with WebhookSender(network=Spy(opened)) as sender:
        sender._idle = IdleConnections(most=2)
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(sender.post, attempt_at(receiver.url))

        assert 2 == len(sender._idle) == [stream.closed for stream in opened].count(False)


async def test_a_kept_connection_that_was_closed_is_no_failure(receiver: Receiver) -> None:
    """Where the receiver closes a kept connection as the next callback goes out, that goes out over a new one."""
    opened: list[Spied] = []
    async with WebhookSender(network=Spy(opened)) as sender:
        await sender.post(attempt_at(receiver.url))
        opened[0].cut = True
        outcome = await sender.post(attempt_at(receiver.url))

    assert Acknowledged() == outcome
    assert 2 == len(opened) == len(receiver.received)


async def test_what_a_receiver_says_unasked_is_no_answer(receiver: Receiver) -> None:
    """Bytes that arrive on an idle connection are not taken for the answer to the next callback."""
    opened: list[Spied] = []
    async with WebhookSender(network=Spy(opened)) as sender:
        await sender.post(attempt_at(receiver.url))
        opened[0].unasked = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
        assert Acknowledged() == await sender.post(attempt_at(receiver.url))
    assert 2 == len(opened)


@pytest.mark.slow
async def test_one_slow_receiver_holds_up_nobody(receiver: Receiver) -> None:
    """While a hundred callbacks wait for a receiver that does not answer, those of others go out."""
    with Receiver() as slow:
        slow.default = Answer(delay_s=NEVER_S)
        async with WebhookSender(time_limit_s=NEVER_S) as sender, anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(sender.post, attempt_at(slow.url))
            await slow.arrived(100)
            outcomes = [await sender.post(attempt_at(receiver.url)) for _ in range(20)]
            group.cancel_scope.cancel()

    assert [Acknowledged()] * 20 == outcomes


@pytest.mark.slow
async def test_many_receivers_at_once() -> None:
    """Callbacks to many receivers at once each reach their own."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver(key=KEY, secrets=[SECRET])) for _ in range(10)]
        outcomes = []

        async def post(sender: WebhookSender, url: str, webhook_id: str) -> None:
            outcomes.append(await sender.post(attempt_at(url, webhook_id=webhook_id)))

        async with WebhookSender() as sender, anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(post, sender, receivers[number % 10].url, f"evt_{number}")

        assert [Acknowledged()] * 100 == outcomes
        for number, one in enumerate(receivers):
            assert {f"evt_{i}" for i in range(number, 100, 10)} == {received.webhook_id for received in one.received}
            assert all(received.verified for received in one.received)
