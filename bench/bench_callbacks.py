"""What one callback costs the sender, how many a gateway delivers, and what a dead endpoint does to the healthy ones.

The receiver is on this machine, in a process of its own. The gateway runs on SQLite: what is due and what was acknowledged is on disk.

python bench/bench_callbacks.py [--posts N] [--rounds N]
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import anyio

from wxrc_core.inbound import MessageReceived, stream_name
from wxrc_core.log import Entry
from wxrc_core.puppet import Capabilities
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.gateway import wall_clock
from wxrc_store.sqlite import SqliteStore
from wxrc_webhook import Acknowledged, CallbackRequest, Failed, WebhookSender, new_webhook_secret

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"result":"success"}'
SECRET = new_webhook_secret(bytes(range(32)))
BODY = {
    "botcode": "bench",
    "type": "sendStatus",
    "msgid": 123456,
    "sendStatus": "1",
    "sendReason": "",
    "detail": "",
    "evidence": "receipt",
    "txcode": "abcdef0123456789abcd",
    "seq": 12345678,
    "time": 1795431600000,
}
BACKENDS: list[tuple[str, dict[str, bool]]] = [("asyncio", {"use_uvloop": True}), ("asyncio", {}), ("trio", {})]


class Receiver(asyncio.Protocol):
    """Acknowledges every callback."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.buffer += data
        while True:
            head, gap, body = self.buffer.partition(b"\r\n\r\n")
            if not gap:
                return
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            self.buffer = body[length:]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


def receive(pipe: Connection) -> None:
    """Run the receiver."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def measure(port: int, posts: int, at_once: int) -> tuple[float, float]:
    """Return the CPU time per post in microseconds, and how many posts there were a second."""
    refused = 0

    async def work(sender: WebhookSender) -> None:
        nonlocal refused
        for number in numbers:
            request = CallbackRequest(
                url=f"http://127.0.0.1:{port}/callback",
                webhook_id=f"evt_{number}_bench",
                body=BODY,
                channel_key="0123456789abcdef0123",
                webhook_secrets=(SECRET,),
                timestamp=1_795_431_600,
                allow_private=True,
            )
            refused += not isinstance(await sender.post(request), Acknowledged)

    async with WebhookSender() as sender:
        for count in (at_once * 10, posts):  # first the connections are opened
            numbers = iter(range(count))
            cpu, begun = time.process_time(), time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(at_once):
                    tasks.start_soon(work, sender)
            cpu, took = time.process_time() - cpu, time.perf_counter() - begun
    assert not refused
    return cpu / posts * 1e6, posts / took


# -- a whole gateway ------------------------------------------------------------------------------------------------------------

BOTS = 50
KIND = PuppetKind(lambda context: None, Capabilities())  # type: ignore[arg-type, return-value]  # no bot logs in


class Stopwatch(WebhookSender):
    """A sender that notes when each message was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: dict[str, float] = {}

    async def post(self, request: CallbackRequest) -> Acknowledged | Failed:
        """Post, and note when it was acknowledged."""
        outcome = await super().post(request)
        if isinstance(outcome, Acknowledged):
            self.acknowledged[request.body["msgData"]["messageId"]] = time.perf_counter()
        return outcome


async def write(store: SqliteStore, bots: Sequence[str], first: int, count: int) -> list[str]:
    """Have people write so many messages to each bot; return their ids."""
    entries, ids = [], []
    for number in range(first, first + count):
        for bot in bots:
            name = f"{bot}-{number}"
            received = MessageReceived(
                at=wall_clock(), botcode=bot, message_id=name, kind="text", text="在吗", from_id="w"
            )
            entries.append(Entry(stream_name(bot, name), 0, (received,)))
            ids.append(name)
    await store.append(entries)
    return ids


async def set_up(gateway: Gateway, urls: Sequence[str]) -> list[str]:
    """Make a bot and a channel for each of these URLs; return the bots."""
    bots = [f"bot{number}" for number in range(len(urls))]
    for bot, url in zip(bots, urls, strict=True):
        await gateway.add_bot(bot, "none")
        await gateway.add_channel(f"ch-{bot}", callback_url=url, allow_private=True)
        await gateway.grant_bot(f"ch-{bot}", bot)
    return bots


async def durable(port: int, posts: int) -> tuple[float, float]:
    """Return how many callbacks a second one gateway delivers, and the CPU time for each in microseconds.

    Each is recorded as due, posted, and recorded as delivered.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "wxrc.db")
        async with Gateway(store=store, puppets={"none": KIND}) as gateway:
            bots = await set_up(gateway, [f"http://127.0.0.1:{port}/callback"] * BOTS)
            await write(store, bots, 0, 2)
            await gateway_idle(gateway)
            cpu, begun = time.process_time(), time.perf_counter()
            ids = await write(store, bots, 2, posts // BOTS)
            await gateway_idle(gateway)
            cpu, took = time.process_time() - cpu, time.perf_counter() - begun
            return len(ids) / took, cpu / len(ids) * 1e6


async def gateway_idle(gateway: Gateway) -> None:
    """Wait until everything that is in the log has been told, and that is in the log too."""
    newest = 0
    while True:
        page = await gateway.store.read_all(newest, 50_000)
        newest = page[-1].position if page else newest
        if not page and gateway.world.position >= newest and not gateway.world.deliveries:
            return
        await anyio.sleep(0.002)


class Site:
    """A gateway with 50 healthy endpoints, and how long the callbacks of each round took.

    Args:
        port: Of the healthy receiver.
        dead: The URL of one endpoint more, which takes connections and never answers; empty = there is none.
    """

    def __init__(self, port: int, folder: Path, dead: str = "") -> None:
        self.urls = [f"http://127.0.0.1:{port}/callback"] * BOTS + [dead] * bool(dead)
        self.watch = Stopwatch()
        self.store = SqliteStore(folder / "wxrc.db")
        self.gateway = Gateway(store=self.store, puppets={"none": KIND}, sender=self.watch, drain_limit_s=1)
        self.bots: list[str] = []

    async def round(self, number: int) -> float:
        """Have a person write to each bot; return the median time to the acknowledgement at a healthy endpoint (ms)."""
        begun = time.perf_counter()
        ids = await write(self.store, self.bots[:BOTS], number, 1)
        if self.bots[BOTS:]:
            await write(self.store, self.bots[BOTS:], number, 1)
        while not self.watch.acknowledged.keys() >= set(ids):
            await anyio.sleep(0.002)
        return statistics.median(self.watch.acknowledged[name] - begun for name in ids) * 1000


async def latencies(port: int, rounds: int) -> list[tuple[float, float]]:
    """Return the median delays (ms) at 50 healthy endpoints, and at as many beside a dead one, round by round in turn.

    The machine may have other things to do: whatever slows one of a pair slows the other.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent, tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("healthy", "beside")]
        for place in places:
            place.mkdir()
        sites = [Site(port, places[0]), Site(port, places[1], f"http://127.0.0.1:{silent.getsockname()[1]}/")]
        async with sites[0].gateway, sites[1].gateway:
            for site in sites:
                site.bots = await set_up(site.gateway, site.urls)
            pairs = []
            for number in range(rounds):
                found = {}
                for site in sites if number % 2 else reversed(sites):
                    found[site] = await site.round(number)
                    await anyio.sleep(0.05)
                pairs.append((found[sites[0]], found[sites[1]]))
    return pairs[rounds // 10 :]  # first the connections are opened


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=5_000)
    parser.add_argument(
        "--rounds", type=int, default=200, help="of messages to healthy endpoints and to those beside a dead one"
    )
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    port = ours.recv()
    found = []
    for backend, backend_options in BACKENDS:
        for at_once in (1, 32):
            cost, rate = anyio.run(
                measure, port, options.posts, at_once, backend=backend, backend_options=backend_options
            )
            name = "uvloop" if backend_options else backend
            found.append({"loop": name, "at_once": at_once, "cpu_us": round(cost), "per_s": round(rate)})
            print(f"{name:8} {at_once:3} at once: {cost:5.0f} us CPU per callback, {rate:7,.0f}/s")
    uvloop = {"use_uvloop": True}
    rate, cost = anyio.run(durable, port, options.posts, backend_options=uvloop)
    print(f"gateway on SQLite: {rate:,.0f} durable callbacks/s, {cost:.0f} us CPU each")
    pairs = anyio.run(latencies, port, options.rounds, backend_options=uvloop)
    healthy, beside = (statistics.median(times) for times in zip(*pairs, strict=True))
    rise = statistics.median(with_dead / without for without, with_dead in pairs) - 1
    print(
        f"50 healthy endpoints: median {healthy:.1f} ms; beside a dead one {beside:.1f} ms ({rise:+.0%}, round by round)"
    )
    whole = {
        "per_s": round(rate),
        "cpu_us": round(cost),
        "median_ms": round(healthy, 1),
        "beside_dead_ms": round(beside, 1),
        "rise": round(rise, 3),
    }
    print(json.dumps({"callbacks": found, "gateway": whole}))
    receiver.terminate()


if __name__ == "__main__":
    main()
