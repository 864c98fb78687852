"""Several gateways on one PostgreSQL database, in processes of their own: who sends, who takes over, and that nothing is sent twice.

Run as a program (`python -m tests.test_postgres_gateways URL NAME HANDED`) this file is one replica. Its bot's client writes every text
that it is handed into a file, with the replica's name: what WeChat would have seen.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import anyio
import pytest

from tests.postgres import PostgresServer
from wxrc_core.log import Owner
from wxrc_core.message import MessageState
from wxrc_core.puppet import Outgoing, SendOutcome
from wxrc_core.shard import shard_of
from wxrc_core.testing.scripted import ScriptedClient, receipt
from wxrc_core.testing.store_contract import LIMIT, check_log, whole_log
from wxrc_gateway import Gateway, PuppetKind
from wxrc_store import StoreError
from wxrc_store.postgres import PostgresStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = b"k" * 32
LIFETIME = 2.0
SOAK = "WXRC_KILLS" in os.environ


@pytest.fixture
def anyio_backend() -> str:
    """Replicas are processes of their own; what runs them is chosen there."""
    return "asyncio"


# -- a replica ------------------------------------------------------------------------------------------------------------------


def handle(url: str) -> PostgresStore:
    """Return a handle on the log."""
    return PostgresStore(url, vault_key=KEY, lifetime=LIFETIME)


def kinds(client: ScriptedClient) -> dict[str, PuppetKind]:
    """Return the scripted client as a kind of puppet."""
    return {"scripted": PuppetKind(client.create, client.capabilities)}


async def replica(url: str, name: str, handed: str) -> None:
    """Run a gateway until SIGTERM."""

    def record(outgoing: Outgoing) -> SendOutcome:
        os.write(file, f"{name} {outgoing.text}\n".encode())
        return receipt(outgoing)

    file = os.open(handed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    client = ScriptedClient(default=record)
    client.logs_in("一群", "二群")
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with Gateway(store=handle(url), puppets=kinds(client), name=name):
            async for _ in signals:
                return


@contextmanager
def replicas(url: str, handed: Path, *names: str) -> Iterator[dict[str, Popen[bytes]]]:
    """Run so many replicas."""
    with ExitStack() as stack:
        processes = {}
        for number, name in enumerate(names):
            backend = ("asyncio", "trio")[number % 2]
            command = [sys.executable, "-m", "tests.test_postgres_gateways", backend, url, name, str(handed)]
            process = Popen(command, cwd=Path(__file__).parent.parent)
            stack.callback(process.wait, 60)
            stack.callback(process.kill)
            processes[name] = process
        yield processes


# -- what watches them ----------------------------------------------------------------------------------------------------------


async def owner(gateway: Gateway) -> Owner:
    """Return who owns the shard of bot `demo`; a store that is away is waited for."""
    while True:
        try:
            return (await gateway.store.owners())[shard_of("demo", gateway.store.shards)]
        except StoreError:
            await anyio.sleep(0.05)


async def owned_by(gateway: Gateway, *names: str) -> str:
    """Wait until one of these replicas owns bot `demo`; return its name."""
    with anyio.fail_after(LIMIT):
        while True:
            found = await owner(gateway)
            name = found.member.partition("-")[0]
            if found.alive and name in names:
                return name
            await anyio.sleep(0.02)


async def log_in(gateway: Gateway) -> None:
    """Make bot `demo`, and wait until it can send."""
    await gateway.add_bot("demo", "scripted")
    await gateway.login("demo")
    with anyio.fail_after(LIMIT):
        while not ((bot := gateway.bot("demo")) is not None and bot.ready and bot.rooms_complete):
            await anyio.sleep(0.02)


async def send_on(gateway: Gateway, sent: list[int]) -> None:
    """Send texts, one after the other, until cancelled."""
    while True:
        try:
            record = await gateway.send_text("demo", f"{len(sent)}", room="一群", txcode=f"t{len(sent)}")
        except StoreError:
            await anyio.sleep(0.05)  # the same txcode again: it is accepted once
        else:
            sent.append(record.msgid)
        await anyio.sleep(0.02)


async def all_ended(gateway: Gateway) -> None:
    """Wait until no message is under way."""
    with anyio.fail_after(LIMIT):
        while gateway.world.messages:
            await anyio.sleep(0.05)


async def judge(gateway: Gateway, sent: list[int], handed: Path) -> int:
    """Check that every text was handed over once at most, and every one that is not in doubt was; return how many are in doubt."""
    await all_ended(gateway)
    texts = Counter(line.split()[1] for line in handed.read_text().splitlines())
    states = [(await gateway.message(msgid)).message.state for msgid in sent]  # type: ignore[union-attr]
    check_log(await whole_log(gateway.store))

    assert {1} == set(texts.values())
    assert {MessageState.SENT, MessageState.IN_DOUBT} >= set(states)
    for number, state in enumerate(states):
        assert state is MessageState.IN_DOUBT or texts[str(number)] == 1
    return states.count(MessageState.IN_DOUBT)


# -- the tests ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("one", "two"), ("one", "two", "three")] if SOAK else [("one", "two")])
async def test_takeover_after_a_crash(postgres: PostgresServer, tmp_path: Path, names: tuple[str, ...]) -> None:
    """A replica that is killed with -9 under load is followed by another within one and a half lifetimes; nothing is sent twice, and what
    it was handing over is in doubt.
    """
    url, handed, sent = postgres.url(postgres.database()), tmp_path / "handed", []
    left = list(names)
    with replicas(url, handed, *names) as processes:
        async with Gateway(store=handle(url), puppets=kinds(ScriptedClient()), passive=True) as gateway:
            await log_in(gateway)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, gateway, sent)
                while len(left) > 1:
                    name = await owned_by(gateway, *left)
                    await progress(sent)
                    processes[name].kill()
                    left.remove(name)
                    killed_at = time.monotonic()
                    await owned_by(gateway, *left)
                    assert time.monotonic() - killed_at <= 1.5 * LIFETIME
                await progress(sent)
                tasks.cancel_scope.cancel()
            doubtful = await judge(gateway, sent, handed)

    assert doubtful <= len(names) - 1


async def progress(sent: list[int]) -> None:
    """Wait until some more texts were accepted."""
    before = len(sent)
    with anyio.fail_after(LIMIT):
        while len(sent) < before + 20:
            await anyio.sleep(0.02)


async def test_takeover_at_once_when_a_replica_leaves(postgres: PostgresServer, tmp_path: Path) -> None:
    """A replica that is told to end (SIGTERM) finishes what it is doing and is followed in less than a second; nothing is in doubt."""
    url, handed, sent = postgres.url(postgres.database()), tmp_path / "handed", []
    with replicas(url, handed, "one", "two") as processes:
        async with Gateway(store=handle(url), puppets=kinds(ScriptedClient()), passive=True) as gateway:
            await log_in(gateway)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, gateway, sent)
                name = await owned_by(gateway, "one", "two")
                await progress(sent)
                # Both run by now, so that the time is not that of a start.
                processes[name].terminate()
                left_at = time.monotonic()
                await owned_by(gateway, *{"one", "two"} - {name})
                took = time.monotonic() - left_at
                await progress(sent)
                tasks.cancel_scope.cancel()
            doubtful = await judge(gateway, sent, handed)
        assert 0 == processes[name].wait(60)

    assert 0 == doubtful
    assert took < 1.5 * LIFETIME  # the docs say: under a second; this machine may be busy


async def test_a_replica_that_was_stopped_gives_up_its_bots(postgres: PostgresServer, tmp_path: Path) -> None:
    """A replica that is stopped (SIGSTOP) for longer than its membership lasts is followed; when it goes on it sends nothing twice."""
    url, handed, sent = postgres.url(postgres.database()), tmp_path / "handed", []
    with replicas(url, handed, "one", "two") as processes:
        async with Gateway(store=handle(url), puppets=kinds(ScriptedClient()), passive=True) as gateway:
            await log_in(gateway)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, gateway, sent)
                for _ in range(3):
                    name = await owned_by(gateway, "one", "two")
                    await progress(sent)
                    processes[name].send_signal(signal.SIGSTOP)
                    await owned_by(gateway, *{"one", "two"} - {name})
                    await progress(sent)
                    processes[name].send_signal(signal.SIGCONT)
                    await progress(sent)
                tasks.cancel_scope.cancel()
            doubtful = await judge(gateway, sent, handed)

    assert doubtful <= 3


async def test_the_server_crashes_under_gateways(tmp_path: Path) -> None:
    """While the database server is shut down at once and started again, requests fail and nothing else: afterwards all goes on, once."""
    handed, sent = tmp_path / "handed", []
    with PostgresServer() as server, replicas(server.url(), handed, "one", "two"):
        async with Gateway(store=handle(server.url()), puppets=kinds(ScriptedClient()), passive=True) as gateway:
            await log_in(gateway)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, gateway, sent)
                for _ in range(2):
                    await progress(sent)
                    await anyio.to_thread.run_sync(server.stop, signal.SIGQUIT)
                    await anyio.to_thread.run_sync(server.start)
                await progress(sent)
                tasks.cancel_scope.cancel()
            await judge(gateway, sent, handed)


if __name__ == "__main__":
    anyio.run(replica, *sys.argv[2:], backend=sys.argv[1])
