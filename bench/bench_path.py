"""The whole path: HTTP accept -> claim -> simulator -> receipt -> callback -> acknowledged, all durable, the simulator's record kept.

The service (uvicorn, SQLite with `synchronous=FULL`, 50 simulated bots, one channel) runs in one process, the callback receiver in
a second, the client with 64 connections in a third; on two cores they share. First as fast as it goes, then at 200 messages a
second for the latency.

    python bench/bench_path.py [--messages N] [--passes N] [--rate N]
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bench_accept import KEY, Client, listen, request

BOTS = 50
ROOM = "客服一群"


def run_receiver(pipe: Connection) -> None:
    """Acknowledge every callback at once; tell when each sendStatus arrived."""
    import uvloop

    arrived: dict[str, float] = {}
    ok = b'{"result":"success"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ok), ok)

    class Receiver(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport, self.buffer = transport, b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while True:
                head, gap, rest = self.buffer.partition(b"\r\n\r\n")
                if not gap:
                    return
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                if len(rest) < length:
                    return
                body, self.buffer = rest[:length], rest[length:]
                at = body.find(b"txcode%22%3A%22")
                if at >= 0:
                    arrived[body[at + 15 : at + 33].decode()] = time.perf_counter()
                self.transport.write(answer)  # type: ignore[attr-defined]

    async def main() -> None:
        listener = listen()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Receiver, sock=listener)
        pipe.send(listener.getsockname()[1])
        while True:
            asked = await loop.run_in_executor(None, pipe.recv)
            if asked == "count":
                pipe.send(len(arrived))
            else:
                pipe.send(dict(arrived))
                arrived.clear()
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def run_wxrc(pipe: Connection, callback_port: int) -> None:
    """Serve WXRC with its bots logged in."""
    import anyio

    from wxrc_gateway import Gateway
    from wxrc_puppet.simulator import SimulatedWeChat
    from wxrc_service.data import DataDir
    from wxrc_service.serve import Settings, serve

    folder = Path(tempfile.mkdtemp(prefix="wxrc-bench-", dir=os.environ.get("WXRC_BENCH_DIR")))

    async def ready(gateway: Gateway, url: str) -> None:
        await gateway.add_channel(
            "bench", key=KEY, callback_url=f"http://127.0.0.1:{callback_port}/", allow_private=True
        )
        names = [f"bench{number}" for number in range(BOTS)]
        for name in names:
            await gateway.add_bot(name, "simulator", options={"startup_ms": "0", "sync_ms": "0", "rooms": ROOM})
            await gateway.login(name)
        with SimulatedWeChat(folder / "simulator.db") as phones:
            for name in names:
                while (code := phones.logins.open_code(name)) is None:
                    await anyio.sleep(0.01)
                phones.logins.scan(code.token)
                phones.logins.confirm(code.token)
        for name in names:
            while not ((found := gateway.bot(name)) and found.ready and found.rooms_complete):
                await anyio.sleep(0.01)
        for name in names:
            await gateway.grant_bot("bench", name)
        pipe.send(int(url.rpartition(":")[2]))

    anyio.run(
        serve, Settings(data=DataDir(folder), port=0, answer_wait_ms=0), ready, backend_options={"use_uvloop": True}
    )


def prepared(port: int, number: int, run: str) -> bytes:
    """Return one signed request, to one of the bots."""
    return request(port, number, run, botcode=f"bench{number % BOTS}", room=ROOM)


async def flood(port: int, messages: int, connections: int, run: str) -> float:
    """Send as fast as answers come; return when it began."""
    requests = [prepared(port, number, run) for number in range(messages)]
    loop = asyncio.get_running_loop()
    began, dones = time.perf_counter(), []
    for each in range(connections):
        done = loop.create_future()
        await loop.create_connection(lambda d=done, n=each: Client(requests[n::connections], d), "127.0.0.1", port)  # type: ignore[misc]
        dones.append(done)
    await asyncio.gather(*dones)
    return began


async def trickle(port: int, messages: int, rate: float, run: str) -> dict[str, float]:
    """Send at an even rate; return when each was sent, by txcode."""
    loop = asyncio.get_running_loop()
    sent: dict[str, float] = {}
    began = time.perf_counter()
    pool: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(number: int) -> None:
        reader, writer = pool.pop() if pool else await asyncio.open_connection("127.0.0.1", port)
        raw = prepared(port, number, run)
        sent[f"{run}{number:010}"] = time.perf_counter()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        pool.append((reader, writer))

    tasks = []
    for number in range(messages):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(loop.create_task(one(number)))
    await asyncio.gather(*tasks)
    return sent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    context = multiprocessing.get_context("spawn")
    receiver, theirs = context.Pipe()
    context.Process(target=run_receiver, args=(theirs,), daemon=True).start()
    theirs.close()
    callback_port = receiver.recv()
    service, theirs = context.Pipe()
    context.Process(target=run_wxrc, args=(theirs, callback_port), daemon=True).start()
    theirs.close()  # so that a service that cannot start ends the measurement
    port = service.recv()
    import uvloop

    def arrived(count: int) -> dict[str, float]:
        deadline = time.perf_counter() + 120
        while True:
            receiver.send("count")
            if receiver.recv() >= count or time.perf_counter() > deadline:
                receiver.send("all")
                return receiver.recv()  # type: ignore[no-any-return]
            time.sleep(0.05)

    rates = []
    for number in range(-1, arguments.passes):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            began = runner.run(flood(port, arguments.messages, 64, f"{os.urandom(4).hex()}"))
        ends = arrived(arguments.messages)
        if len(ends) < arguments.messages:
            raise SystemExit(f"{len(ends)} of {arguments.messages} callbacks arrived")
        if number >= 0:
            rates.append(arguments.messages / (max(ends.values()) - began))
    print(
        f"whole path, 64 connections: median {statistics.median(rates):,.0f} messages/s ({min(rates):,.0f}-{max(rates):,.0f})"
    )
    count = int(arguments.rate * 5)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent = runner.run(trickle(port, count, arguments.rate, os.urandom(4).hex()))
    ends = arrived(count)
    waits = sorted(1000 * (ends[txcode] - at) for txcode, at in sent.items() if txcode in ends)
    print(
        f"at {arguments.rate:g}/s, accept to callback: p50 {waits[len(waits) // 2]:.1f} ms, p99 {waits[int(len(waits) * 0.99)]:.1f} ms "
        f"({len(waits)} of {count})"
    )


if __name__ == "__main__":
    sys.exit(main())
