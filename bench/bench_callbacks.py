"""What one callback costs the sender: CPU time per post, against a receiver on this machine in a process of its own.

python bench/bench_callbacks.py [--posts N]
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import anyio

from wxrc_webhook import Acknowledged, CallbackRequest, WebhookSender, new_webhook_secret

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=5_000)
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
    print(json.dumps({"callbacks": found}))
    receiver.terminate()


if __name__ == "__main__":
    main()
