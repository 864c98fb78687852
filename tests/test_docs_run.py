"""What is shown as code runs.

The convention: a fenced block whose info string ends with `run` is run as it stands.

- `python run`: the blocks of a page run one after the other in one empty folder.
- `python demo run`: the same beside a real `wxrc demo` whose bot is logged in, with `BASE` and `KEY` in the environment.
- `sh run`: against a real `wxrc demo` whose bot is logged in, with `BASE` and `KEY` in the environment; no answer may be a refusal.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.live import Service, cli, cli_json, free_port, scan_and_confirm, surroundings
from tests.pages import LIMIT_S, PAGES, ROOT, blocks, name
from tests.receiver import Receiver
from tests.wechaty import find_node

# -- code that runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python run")], ids=name)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    """The Python of a page runs as it stands, block after block, in an empty folder, without a warning."""
    for block in blocks(page, "python run"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=tmp_path,
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python demo run")], ids=name)
def test_python_runs_beside_a_demo(page: Path, demo: "Demo", tmp_path: Path) -> None:
    """The Python that calls a service runs as it stands, against one, without a warning."""
    for block in blocks(page, "python demo run"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=tmp_path,
            env=surroundings(BASE=demo.url, KEY=demo.key, NO_PROXY="*", no_proxy="*"),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout


@attrs.frozen
class Demo:
    """A demo whose bot is logged in: the folder in which it was started, its URL, its channel's KEY."""

    folder: Path
    url: str
    key: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run `wxrc demo` and log its bot in, by nothing but what it prints."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "docs").symlink_to(ROOT / "docs")
    with Service(folder / "wxrc-data", command="demo", arguments=["--answer-wait-ms", "20000"]) as service:
        service.start()
        key = service.printed(r"-hmac (\w+)")[1]
        login = service.printed(r"(?m)^T=.*/api/login .*$")[0]
        answer = sh(login, Demo(folder, service.url, key))
        assert '"rtCode":"0"' in answer
        scan_and_confirm(service.printed(r"open (\S+) and confirm")[1])
        service.printed(r'callback botStatus: {"botStatus": "login"')
        yield Demo(folder, service.url, key)
        assert service.stop() == 0


def sh(text: str, demo: Demo) -> str:
    """Run a piece of shell as a person would who has started the demo; return what it printed."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{Path(find_node()[0]).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", text],
        cwd=demo.folder,
        env=surroundings(BASE=demo.url, KEY=demo.key, PATH=tools, NO_PROXY="*", no_proxy="*"),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    return done.stdout


def background(*arguments: str, data: Path) -> subprocess.Popen[bytes]:
    """Start a `wxrc` command that waits for a person."""
    return subprocess.Popen(
        [sys.executable, "-m", "wxrc_service", *arguments, "--data", str(data)],
        env=surroundings(),
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh run")], ids=name)
def test_shell_runs(page: Path, demo: Demo) -> None:
    """The shell blocks of a page run as they stand, and nothing in them is refused."""
    for block in blocks(page, "sh run"):
        said = sh(block.text, demo)
        assert [] == re.findall(r'"rtCode":"(?!0")[^"]*"|"error":.*', said), said


@pytest.mark.slow
def test_the_printed_text_works_as_pasted(demo: Demo) -> None:
    """What `make run` prints for sending is sent: the demo's own second command."""
    printed = (demo.folder / "wxrc-data.stdout.txt").read_text(encoding="utf-8")
    [line] = re.findall(r"^T=.*/api/roomSendText .*$", printed, re.M)

    assert '"sendStatus":"1"' in sh(line, demo)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_backup_is_whole(language: str, demo: Demo) -> None:
    """The copy that the page about operating makes, of a log in use, is a whole log that `wxrc` reads."""
    (line,) = {
        line
        for block in blocks(ROOT / "docs" / language / "operating.md", "sh")
        for line in block.text.splitlines()
        if "VACUUM INTO" in line
    }
    sh(line, demo)
    restored = demo.folder / f"restored-{language}"
    restored.mkdir()
    (demo.folder / "backup.db").rename(restored / "wxrc.db")
    (restored / "vault.key").write_bytes((demo.folder / "wxrc-data" / "vault.key").read_bytes())

    assert "demo  not running (was logged in at the end)" in cli("status", data=restored).stdout


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_callback_is_verified_as_the_wire_page_does(language: str, tmp_path: Path) -> None:
    """The page's Python takes a real callback for genuine, and nothing else."""
    [block] = blocks(ROOT / "docs" / language / "wire.md", "python run")
    defined: dict[str, Any] = {}
    exec(block.text, defined)
    with Receiver() as receiver, Service(tmp_path / "data") as service:
        made = cli_json(
            "channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=service.data
        )
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        login = background("login", "zhao", data=service.data)
        [told] = receiver.wait_for(1)
        scan_and_confirm(told.req_body["qrcode"])
        assert 0 == login.wait(LIMIT_S)
    genuine, secret = defined["genuine"], made["webhook_secret"]

    assert genuine(told.headers, told.raw_body, secret)
    assert not genuine(told.headers, told.raw_body + b" ", secret)
    assert not genuine(told.headers, told.raw_body, "whsec_" + "AAAA" * 8)
    assert not genuine({**told.headers, "webhook-timestamp": str(int(time.time()) - 3600)}, told.raw_body, secret)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_receiver_of_the_first_steps(language: str, tmp_path: Path) -> None:
    """The receiver on the page prints the callbacks that a real service posts, and acknowledges them: none is posted again."""
    [block] = blocks(ROOT / "docs" / language / "getting-started.md", "python")
    port = free_port()
    assert "9000" in block.text
    receiver = subprocess.Popen(
        [sys.executable, "-c", block.text.replace("9000", str(port))], stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdout is not None
    try:
        with Service(tmp_path / "data") as service:
            callback = f"http://127.0.0.1:{port}/"
            service.cli("channel", "add", "crm", "--callback", callback, "--allow-private")
            service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
            service.start()
            login = background("login", "zhao", data=service.data)
            code = json.loads(receiver.stdout.readline())
            scan_and_confirm(code["qrcode"])
            told = json.loads(receiver.stdout.readline())
            assert 0 == login.wait(LIMIT_S)
            assert 0 == service.stop()
            status = service.cli("status").stdout
    finally:
        receiver.kill()
        receiver.wait()
        receiver.stdout.close()

    assert ("qrCode", "zhao") == (code["type"], code["botcode"])
    assert ("botStatus", "login") == (told["type"], told["botStatus"])
    assert "callbacks  0 due" in status
