"""Name servers that do not answer hold up nobody but those who ask for their names."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import anyio
import pytest

from wxrc_webhook import CallbackRequest, Failed, WebhookSender, new_webhook_secret
from wxrc_webhook.resolver import NAMES_AT_ONCE, ask_system, system_resolver

pytestmark = pytest.mark.anyio


class NameServers:
    """Answers at once for `healthy.example`; nothing else is answered before the end."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.end = threading.Event()

    def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look a name up."""
        self.asked.append(host)
        if host == "healthy.example":
            return ["192.0.2.7"]
        self.end.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def servers() -> Iterator[NameServers]:
    """Name servers that do not answer before the test has ended."""
    found = NameServers()
    yield found
    found.end.set()


async def test_a_hundred_dead_ones_hold_up_nobody_else(servers: NameServers) -> None:
    """While a hundred names are waited for, another one is found at once."""
    resolve = system_resolver(servers)
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(resolve, f"dead{number}.example", 443)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(1):
            assert ["192.0.2.7"] == await resolve("healthy.example", 443)
        group.cancel_scope.cancel()


async def test_all_who_ask_for_a_name_share_one_look_up(servers: NameServers) -> None:
    """Whoever gave up waiting has left a look-up that the next one joins, so that a name has one thread at most."""
    resolve = system_resolver(servers)
    for _ in range(5):
        with anyio.move_on_after(0.01):
            await resolve("dead.example", 443)

    assert ["dead.example"] == servers.asked
    servers.end.set()
    with anyio.fail_after(5):
        assert not await resolve("dead.example", 443)
        assert ["192.0.2.7"] == await resolve("healthy.example", 443)
        assert ["192.0.2.7"] == await resolve("healthy.example", 443)
    assert 2 == servers.asked.count("healthy.example"), "an answer is not kept: the next connection asks again"


@pytest.mark.slow
async def test_there_is_a_bound(servers: NameServers) -> None:
    """Threads are bounded: beyond that a name cannot be resolved, which is an outcome like another."""
    resolve = system_resolver(servers)
    async with anyio.create_task_group() as group:
        for number in range(NAMES_AT_ONCE):
            group.start_soon(resolve, f"dead{number}.example", 443)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="too many name servers do not answer"):
            await resolve("one.more.example", 443)
        group.cancel_scope.cancel()


async def test_a_dead_one_is_an_outcome_in_time(servers: NameServers) -> None:
    """A callback to a name that nobody answers for ends with the attempt's time limit."""
    request = CallbackRequest(
        url="https://dead.example/",
        webhook_id="evt_1",
        body={},
        channel_key="k",
        webhook_secrets=(new_webhook_secret(bytes(32)),),
        timestamp=0,
    )
    async with WebhookSender(resolve=system_resolver(servers), time_limit_s=0.05) as sender:
        assert Failed("no answer in 0.05 s") == await sender.post(request)


def test_the_system_is_asked() -> None:
    """The operating system's answer, each address once; what is no name is an error."""
    assert 1 == ask_system("localhost", 80).count("127.0.0.1")
    with pytest.raises(UnicodeError):
        ask_system("x" * 64 + ".example", 80)


async def test_what_is_no_name_has_no_addresses() -> None:
    """To those who ask, what is no name is a name without addresses."""
    assert not await system_resolver()("x" * 64 + ".example", 80)


PROGRAM = """
import threading, anyio
from wxrc_webhook.resolver import system_resolver

def ask(host, port):
    threading.Event().wait(60)

async def main():
    resolve = system_resolver(ask)
    with anyio.move_on_after(0.1):
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(resolve, f"dead{number}.example", 443)

anyio.run(main, backend="%s")
print("left")
"""


@pytest.mark.slow
def test_a_process_ends_without_waiting_for_them(anyio_backend_name: str) -> None:
    """A process that asked a hundred dead name servers goes down at once."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM % anyio_backend_name], capture_output=True, text=True, timeout=10, check=True
    )

    assert ("left\n", "") == (ended.stdout, ended.stderr)
