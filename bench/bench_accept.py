"""How many signed requests a second are accepted durably, beside a bare Starlette endpoint that parses and checks the same.

Both servers run in one process each (uvicorn, uvloop, httptools), one after the other, several times in turn, under the same load: JSON
requests with MD5 signatures over 64 keep-alive connections, from a client in a process of its own. WXRC appends each to SQLite
(`synchronous=FULL`) before it answers, and does not wait for the send: the bot is logged out, so that messages stay queued.

    python bench/bench_accept.py [--requests N] [--passes N] [--connections N]
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import platform
import secrets
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

KEY = "c41b7d9e02a86f35d1e4"
PATH = "/api/roomSendText"


def listen() -> socket.socket:
    """Return a listening socket on a free loopback port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def run_bare(pipe: Connection) -> None:
    """Serve what stands beside it: a Starlette route that parses the JSON and checks the MD5."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    key = KEY.encode()

    async def accept(request: Request) -> JSONResponse:
        body = await request.body()
        if hashlib.md5(body + key).hexdigest() != request.headers["x-ecaspsplus-signature"]:
            return JSONResponse({"resHead": {}, "resBody": {"rtCode": "13"}})
        parsed = json.loads(body)
        return JSONResponse(
            {
                "resHead": {},
                "resBody": {"rtCode": "0", "rtMsg": "ok", "msgid": len(parsed["reqBody"]["text"]), "sendStatus": "0"},
            }
        )

    app = Starlette(routes=[Route(PATH, accept, methods=["POST"])])
    listener = listen()
    pipe.send(listener.getsockname()[1])
    config = uvicorn.Config(app, access_log=False, log_level="error", loop="uvloop", http="httptools")
    uvicorn.Server(config).run(sockets=[listener])


def run_wxrc(pipe: Connection) -> None:
    """Serve WXRC itself, as `wxrc serve` does."""
    import anyio

    from wxrc_gateway import Gateway
    from wxrc_service.data import DataDir
    from wxrc_service.serve import Settings, serve

    folder = tempfile.mkdtemp(prefix="wxrc-bench-", dir=os.environ.get("WXRC_BENCH_DIR"))

    async def ready(gateway: Gateway, url: str) -> None:
        await gateway.add_bot("bench", "simulator")
        await gateway.add_channel("bench", key=KEY)
        await gateway.grant_bot("bench", "bench")
        pipe.send(int(url.rpartition(":")[2]))

    settings = Settings(data=DataDir(Path(folder)), port=0, answer_wait_ms=0)
    anyio.run(serve, settings, ready, backend_options={"use_uvloop": True})


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer to the last is there."""

    def __init__(self, requests: list[bytes], done: "asyncio.Future[None]") -> None:
        self.requests, self.done, self.buffer = requests, done, b""
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = transport
        self.next()

    def next(self) -> None:
        """Send the next request, or close."""
        if self.requests:
            self.transport.write(self.requests.pop())  # type: ignore[attr-defined]
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take in an answer, and count it if it is no acceptance."""
        self.buffer += data
        head, gap, body = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if b'"rtCode":"0"' not in body:
            self.refused += 1
            self.sample = body
        self.buffer = b""
        self.next()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail if there was more to ask."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


def request(port: int, number: int, run: str, *, botcode: str = "bench", room: str = "客服一群") -> bytes:
    """Return one signed request as bytes."""
    head = {
        "chid": "bench",
        "botcode": botcode,
        "txcode": f"{run}{number:010}",
        "txtime": str(time.time_ns() // 1_000_000),
    }
    body = {"text": f"工单 #{number} 已处理 ✅", "roomTopic": room, "atList": ["赵立伟"]}
    text = json.dumps({"reqHead": head, "reqBody": body}, ensure_ascii=False, separators=(",", ":")).encode()
    sign = hashlib.md5(text + KEY.encode()).hexdigest()
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        f"X-Ecaspsplus-SignatureType: MD5\r\nX-Ecaspsplus-Signature: {sign}\r\n\r\n"
    ).encode() + text


async def load(port: int, requests: int, connections: int) -> float:
    """Send that many requests and return how many were answered a second."""
    run = secrets.token_hex(4)
    prepared = [request(port, number, run) for number in range(requests)]
    loop = asyncio.get_running_loop()
    dones, clients = [], []
    begun = time.perf_counter()
    for each in range(connections):
        done = loop.create_future()
        _, client = await loop.create_connection(
            lambda d=done, n=each: Client(prepared[n::connections], d), "127.0.0.1", port
        )  # type: ignore[misc]
        dones.append(done)
        clients.append(client)
    await asyncio.gather(*dones)
    took = time.perf_counter() - begun
    refused = [client for client in clients if client.refused]
    if refused:
        raise SystemExit(f"{sum(c.refused for c in refused)} requests were refused: {refused[0].sample.decode()}")
    return requests / took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    context = multiprocessing.get_context("spawn")
    servers = {}
    for name, target in (("bare Starlette", run_bare), ("WXRC durable accept", run_wxrc)):
        mine, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # so that a server that cannot start ends the measurement
        servers[name] = mine.recv()
    rates: dict[str, list[float]] = {name: [] for name in servers}
    import uvloop

    for number in range(-1, arguments.passes):
        for name, port in servers.items():
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rate = runner.run(
                    load(port, arguments.requests if number >= 0 else arguments.requests // 5, arguments.connections)
                )
            if number >= 0:
                rates[name].append(rate)
    for name, measured in rates.items():
        print(
            f"{name:<22} median {statistics.median(measured):>8,.0f}/s  (min {min(measured):,.0f}, max {max(measured):,.0f})"
        )
    ratios = [ours / bare for bare, ours in zip(*rates.values(), strict=True)]
    print(
        f"{'ratio, pass by pass':<22} median {statistics.median(ratios):>8.2f}    (min {min(ratios):.2f}, max {max(ratios):.2f})"
    )


if __name__ == "__main__":
    sys.exit(main())
