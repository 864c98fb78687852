"""The real service tells the truth about itself, without traffic: its files taken away, its disk full, its descriptors used up."""

import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.live import Service, cli_json, send, signed

pytestmark = pytest.mark.slow

LIMIT_S = 30.0
SAMPLE = "store fails since"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data directory with channel `crm` and bot `zhao`, and the channel's KEY; a test works on a copy."""
    data = tmp_path_factory.mktemp("health") / "data"
    with Service(data) as service:
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--option", "startup_ms=0")
        key = cli_json("channel", "add", "crm", "--json", data=data)["key"]
        service.cli("channel", "grant", "crm", "zhao")
    return data, key


@pytest.fixture
def service(made: tuple[Path, str], tmp_path: Path) -> Iterator[Service]:
    """A service that runs on a copy of that directory."""
    shutil.copytree(made[0], tmp_path / "data")
    with Service(tmp_path / "data") as service:
        service.start()
        yield service


def health(service: Service, name: str = "healthz") -> tuple[int, dict[str, Any]]:
    """Ask the service how it is."""
    answer = httpx2.get(f"{service.url}/{name}", timeout=LIMIT_S, trust_env=False)
    return answer.status_code, answer.json()


def wait_for(service: Service, status: int) -> dict[str, Any]:
    """Wait until the service says that it is well, or not; return what it says."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        found, said = health(service)
        if found == status:
            return said
        assert time.monotonic() < deadline, service.said()
        time.sleep(0.02)


def errors(service: Service) -> str:
    """Return everything that it logged."""
    return service.stderr.read_text(errors="replace")


def remove_log(data: Path) -> None:
    """Remove the database."""
    (data / "wxrc.db").unlink()


def remove_wal(data: Path) -> None:
    """Remove the write-ahead log."""
    (data / "wxrc.db-wal").unlink()


def replace_log(data: Path) -> None:
    """Put a copy in its place."""
    shutil.copy(data / "wxrc.db", data / "copy")
    (data / "copy").replace(data / "wxrc.db")


def empty_log(data: Path) -> None:
    """Empty the database."""
    os.truncate(data / "wxrc.db", 0)


def cut_log(data: Path) -> None:
    """Cut the database in the middle."""
    os.truncate(data / "wxrc.db", (data / "wxrc.db").stat().st_size // 2)


def remove_directory(data: Path) -> None:
    """Remove the whole data directory."""
    shutil.rmtree(data)


@pytest.mark.parametrize(
    ("take", "reason", "at_the_start"),
    [
        (remove_log, "was removed", "missing or empty, but the key"),
        (remove_wal, "was removed", ""),
        (replace_log, "was replaced", ""),
        (empty_log, "was emptied", "damaged. Restore it from a backup"),
        (cut_log, "was cut short", "damaged. Restore it from a backup"),
        (remove_directory, "was removed", ""),
    ],
)
def test_files_taken_away(
    take: Callable[[Path], None], reason: str, at_the_start: str, service: Service, made: tuple[Path, str]
) -> None:
    """Without any request it says 503 and why, requests get 503 and 22, one WARNING stands in the log, and a start refuses."""
    take(service.data)
    said = wait_for(service, 503)
    refused = send(service.url, signed("crm", made[1], "zhao", "botStatus", {}))
    ready = health(service, "readyz")[0]
    code = service.stop()
    log = errors(service)
    if at_the_start:
        again = service.cli("serve", "--port", "0", expect=1)
        assert at_the_start in again.stderr
        assert "Traceback" not in again.stderr

    assert ("failing", True, True) == (said["status"], reason in said["reason"], said["since"] > 0)
    assert str(service.data) not in said["reason"]
    assert 503 == ready
    assert (503, "22") == (refused.status_code, refused.json()["resBody"]["rtCode"])
    assert 0 == code
    assert 1 == log.count(SAMPLE)
    assert "Traceback" not in log


def test_a_full_disk(made: tuple[Path, str], tmp_path: Path) -> None:
    """A disk that is full: 503 within moments and without traffic; with room again the service is well again, by itself."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small disk needs root: sudo make test")
    disk = tmp_path / "disk"
    disk.mkdir()
    with ExitStack() as stack:
        mount(stack, disk, "size=12m")
        shutil.copytree(made[0], disk / "data")
        service = stack.enter_context(Service(disk / "data"))
        service.stdout, service.stderr = tmp_path / "out", tmp_path / "err"  # not on that disk
        service.start()
        before = health(service)
        fill(disk / "filler")
        said = wait_for(service, 503)
        request = signed("crm", made[1], "zhao", "roomSendText", {"roomTopic": "x", "text": "y" * 3000})
        refused = send(service.url, request)
        (disk / "filler").unlink()
        wait_for(service, 200)
        accepted = send(service.url, request)
        code = service.stop()
        log = errors(service)

    assert 200 == before[0]
    assert ("failing", True) == (said["status"], "the disk is full" in said["reason"])
    assert (503, "22") == (refused.status_code, refused.json()["resBody"]["rtCode"])
    assert "0" == accepted.json()["resBody"]["rtCode"]
    assert 0 == code
    assert (1, 1) == (log.count(SAMPLE), log.count("the store works again; it failed for"))
    assert "Traceback" not in log


def test_a_disk_that_refuses(service: Service) -> None:
    """Where the system refuses to let the files grow, that is told without traffic in the same way, and so is its end."""
    assert service.process is not None
    pid = service.process.pid
    size = (service.data / "wxrc.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, 4096), resource.RLIM_INFINITY))
    said = wait_for(service, 503)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(service, 200)
    code = service.stop()
    log = errors(service)

    assert "the disk" in said["reason"]
    assert 0 == code
    assert (1, 1) == (log.count(SAMPLE), log.count("the store works again; it failed for"))
    assert "Traceback" not in log


def mount(stack: ExitStack, folder: Path, options: str) -> None:
    """Mount a small disk in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        return
    finally:
        os.close(file)


def test_descriptors_used_up(service: Service) -> None:
    """With every descriptor in use a client that is connected goes on, the log says so once, and with some free again all is well."""
    assert service.process is not None
    pid = service.process.pid
    with httpx2.Client(trust_env=False, timeout=LIMIT_S) as client, ExitStack() as stack:
        client.get(f"{service.url}/healthz")
        in_use = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 20, in_use + 20))
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        deadline = time.monotonic() + LIMIT_S
        while "file descriptors are in use" not in errors(service):
            assert client.get(f"{service.url}/healthz").status_code == 200
            assert time.monotonic() < deadline
            time.sleep(0.05)
        stack.close()
        while "file descriptors are free again" not in errors(service):
            assert time.monotonic() < deadline + LIMIT_S
            time.sleep(0.05)
        fresh = health(service)[0]
    code = service.stop()

    assert 200 == fresh
    assert 0 == code
    assert 1 == errors(service).count("file descriptors are in use")
    assert "Traceback" not in errors(service)
