"""Several gateways on one log, in processes of their own, and what watches them: who sends, who takes over, and what was sent.

Run as a program (`python -m tests.replicas BACKEND URL NAME HANDED`) this file is one replica. Its bot's client writes every text that it
is handed into a file, with the replica's name: what WeChat would have seen.
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

from wxrc_core.log import Owner
from wxrc_core.message import MessageState
from wxrc_core.puppet import Outgoing, SendOutcome
from wxrc_core.shard import shard_of
from wxrc_core.testing.scripted import ScriptedClient, receipt
from wxrc_core.testing.store_contract import LIMIT, check_log, whole_log
from wxrc_gateway import Gateway, PuppetKind
from wxrc_service.stores import DurableStore
from wxrc_store import StoreError
from wxrc_store.jetstream import JetStreamStore
from wxrc_store.postgres import PostgresStore

KEY = b"k" * 32

TAKEOVER = 1.5
"""How many lifetimes a takeover after a crash may take."""

# -- a replica ------------------------------------------------------------------------------------------------------------------


def lifetime_of(url: str) -> float:
    """Return how long a member lives there (seconds). On JetStream a takeover takes 1.35 lifetimes at best, so they must be long for a
    busy machine to keep the limit.
    """
    return 8.0 if url.startswith("nats:") else 2.0


def handle(url: str) -> DurableStore:
    """Return a handle on the log."""
    store = JetStreamStore if url.startswith("nats:") else PostgresStore
    return store(url, vault_key=KEY, lifetime=lifetime_of(url))


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
            command = [sys.executable, "-m", "tests.replicas", backend, url, name, str(handed)]
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


async def end_owner(
    gateway: Gateway, processes: dict[str, Popen[bytes]], left: list[str], sent: list[int], end: str = "kill"
) -> str:
    """Kill (`kill`) or end (`terminate`) the replica that owns bot `demo`, under load, and check that another one owns it in time.

    Returns:
        The name of the one that ended; it is no longer in `left`.
    """
    name = await owned_by(gateway, *left)
    await progress(sent)
    getattr(processes[name], end)()
    left.remove(name)
    ended_at = time.monotonic()
    await owned_by(gateway, *left)
    assert time.monotonic() - ended_at <= TAKEOVER * gateway.store.lifetime
    return name


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


async def progress(sent: list[int]) -> None:
    """Wait until some more texts were accepted."""
    before = len(sent)
    with anyio.fail_after(LIMIT):
        while len(sent) < before + 20:
            await anyio.sleep(0.02)


if __name__ == "__main__":
    anyio.run(replica, *sys.argv[2:], backend=sys.argv[1])
