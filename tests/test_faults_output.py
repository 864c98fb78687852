"""The real service and its terminal: a reader of its output who goes, streams that were closed, a hang-up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import pytest

from tests.live import Service, free_port, signed, surroundings

pytestmark = pytest.mark.slow

LIMIT_S = 30.0


def start(
    command: str, data: Path, port: int, *, nohup: bool = False, closed: Sequence[int] = (), **streams: int
) -> subprocess.Popen[bytes]:
    """Start a service with streams of its own; `nohup` has it ignore hang-ups from birth, `closed` are descriptors that it does not get."""

    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
        for descriptor in closed:
            os.close(descriptor)

    return subprocess.Popen(
        [sys.executable, "-m", "wxrc_service", command, "--data", str(data), "--port", str(port)],
        cwd=data.parent,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        preexec_fn=prepare,
        **({"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | streams),  # type: ignore[call-overload]
    )


def until_up(port: int) -> None:
    """Wait until the service is well."""
    until(lambda: httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200)


def until(there: Callable[[], bool]) -> None:
    """Wait until this is true; a service that is not reached yet is none."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            if there():
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_reader_of_its_output_goes(tmp_path: Path) -> None:
    """A demo whose output nobody reads any more goes on: it takes callbacks, prints them nowhere, and ends with 0."""
    port = free_port()
    reading, writing = os.pipe()
    process = start("demo", tmp_path / "data", port, stdout=writing)
    os.close(writing)
    said = b""
    while b"The channel's KEY is" not in said or b"\n" not in said.partition(b"The channel's KEY is")[2]:
        said += os.read(reading, 4096)
    os.close(reading)
    key = said.partition(b"The channel's KEY is ")[2].split()[0].decode()
    until_up(port)
    url = f"http://127.0.0.1:{port}"
    request = signed("demo", key, "demo", "login", {})
    answer = httpx2.post(f"{url}/api/login", content=request.content, headers=request.headers, trust_env=False)

    def told() -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "wxrc_service", "status", "--json", "--data", str(tmp_path / "data")],
            env=surroundings(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        return found["bots"][0]["state"] == "awaiting_qr" and found["due"] == 0

    until(told)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=LIMIT_S)

    assert "0" == answer.json()["resBody"]["rtCode"]
    assert 0 == process.returncode
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


def test_nobody_ever_read(tmp_path: Path) -> None:
    """A service whose output has no reader from the beginning comes up all the same, and ends with 0."""
    port = free_port()
    reading, writing = os.pipe()
    os.close(reading)
    process = start("serve", tmp_path / "data", port, stdout=writing)
    os.close(writing)
    until_up(port)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=LIMIT_S)

    assert (0, b"") == (process.returncode, errors)


def test_streams_that_were_closed(tmp_path: Path) -> None:
    """Started without any of the three streams, the service works, and none of its files takes their place."""
    port = free_port()
    process = start("serve", tmp_path / "data", port, closed=(0, 1, 2), stderr=subprocess.DEVNULL)
    until_up(port)
    streams = {os.readlink(f"/proc/{process.pid}/fd/{descriptor}") for descriptor in range(3)}
    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(LIMIT_S)
    assert {"/dev/null"} == streams


def test_a_hang_up_ends_it_in_good_order(tmp_path: Path) -> None:
    """A terminal that is closed ends the service as SIGTERM does: exit code 0, nothing in the log."""
    port = free_port()
    process = start("serve", tmp_path / "data", port)
    until_up(port)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=LIMIT_S)

    assert (0, b"") == (process.returncode, errors)


def test_under_nohup_it_goes_on(tmp_path: Path) -> None:
    """A service that was started to ignore hang-ups does."""
    port = free_port()
    process = start("serve", tmp_path / "data", port, nohup=True)
    until_up(port)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
        until_up(port)
    alive = process.poll() is None
    process.send_signal(signal.SIGTERM)

    _, errors = process.communicate(timeout=LIMIT_S)

    assert alive
    assert (0, b"") == (process.returncode, errors)


def test_a_service_keeps_its_name_for_the_next(tmp_path: Path) -> None:
    """After a hang-up the directory is free at once: the next service starts on it."""
    with Service(tmp_path / "data") as service:
        for _ in range(2):
            service.start()
            service.signal(signal.SIGHUP)
            assert service.process is not None
            assert 0 == service.process.wait(LIMIT_S)
