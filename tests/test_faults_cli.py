"""The `wxrc` command in the hands of a stranger: whatever is wrong, a sentence that helps and never a traceback."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import Service, cli, surroundings

pytestmark = pytest.mark.slow

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with bot `zhao`; a test that changes it works on a copy."""
    data = tmp_path_factory.mktemp("cli") / "data"
    cli("bot", "add", "zhao", "--puppet", "simulator", "--option", "startup_ms=0", data=data)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of that data directory."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@contextmanager
def started(arguments: Sequence[str], data: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on by itself, with its output in one pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wxrc_service", *arguments, "--data", str(data)],
        cwd=data.parent,
        env=surroundings(PYTHONUNBUFFERED="1", **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[bytes], what: bytes) -> bytes:
    """Read what a command prints up to and with these bytes."""
    assert process.stdout is not None
    said = b""
    while what not in said:
        piece = os.read(process.stdout.fileno(), 4096)
        assert piece, said
        said += piece
    return said


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (("log", "9" * 30), {}, "no message with the number"),
        (("log", os.fsdecode(b"\xff")), {}, "there is no bot or channel"),
        (("login", "nobody"), {}, "there are: zhao"),
        (("send", "zhao", "--room", "x", os.fsdecode(b"\xff")), {}, "text must be proper text"),
        (("channel", "grant", os.fsdecode(b"\xff"), "zhao"), {}, "chid must be"),
        (("status",), {"WXRC_LOG_LEVEL": "loud"}, "WXRC_LOG_LEVEL must be one of"),
        (("serve",), {"WXRC_CONFIG": "missing.toml"}, "there is no file missing.toml"),
        (("serve", "--public-url", "nonsense"), {}, "must be a URL"),
        (("serve", "--port", "0", "--host", "999.1.1.1"), {}, "cannot listen on"),
    ],
)
def test_wrong_in_what_was_asked(arguments: tuple[str, ...], env: dict[str, str], words: str, made: Path) -> None:
    """What cannot be done is said in a sentence that names the cause."""
    done = cli(*arguments, data=made, env=env, expect=None)

    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def no_directory(data: Path) -> None:
    """Take the directory away."""
    shutil.rmtree(data)


def damaged_world(data: Path) -> None:
    """Put something else in the simulator's place."""
    (data / "simulator.db").write_bytes(b"nonsense" * 1000)


def odd_lock(data: Path) -> None:
    """Put a directory where the lock is."""
    (data / "wxrc.lock").unlink(missing_ok=True)
    (data / "wxrc.lock").mkdir()


def odd_setting(data: Path) -> None:
    """Write a port as a text."""
    (data.parent / "wxrc.toml").write_text('port = "8080"\n')


@pytest.mark.parametrize(
    ("spoil", "command", "words"),
    [
        (no_directory, "status", "there is no WXRC data"),
        (damaged_world, "serve", "the simulator's file"),
        (odd_lock, "status", "cannot be used: Is a directory"),
        (odd_setting, "serve", "port must be a whole number"),
    ],
)
def test_wrong_on_the_disk(spoil: Callable[[Path], None], command: str, words: str, data: Path) -> None:
    """What is wrong with the files is said in a sentence that names the file."""
    spoil(data)
    done = cli(command, data=data, expect=1)

    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_the_characters_of_the_code(data: Path) -> None:
    """Where the encoding has no half blocks the QR code is drawn without them, and names come as far as they can."""
    with started(("login", "zhao"), data, PYTHONIOENCODING="latin-1") as process:
        said = read_until(process, b"It holds until").decode("latin-1")

    assert said.startswith("##########")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "command", [("login", "zhao"), ("send", "zhao", "--room", "客服一群", "--wait", "600", "在吗")]
)
def test_interrupted(command: tuple[str, ...], data: Path) -> None:
    """Ctrl-C ends a command that waits, without a word of Python."""
    with started(command, data) as process:
        deadline = time.monotonic() + LIMIT_S
        while "process" not in cli("status", data=data).stdout:  # its own service is up
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_S)

    assert 130 == process.returncode
    assert b"Traceback" not in said


def test_the_reader_of_a_pipe_goes(data: Path) -> None:
    """A command whose output nobody reads any more ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "wxrc_service", "login", "zhao", "--data", str(data)],
        env=surroundings(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=LIMIT_S,
        check=False,
    )
    os.close(writing)

    assert 0 != done.returncode
    assert b"Traceback" not in done.stderr


def test_two_commands_at_once(data: Path) -> None:
    """Of two commands that both need a service, one runs it and the other one uses it; when it goes, the other says so."""
    with started(("login", "zhao"), data) as one, started(("login", "zhao"), data) as other:
        codes = [read_until(each, b"It holds until") for each in (one, other)]
        runs_it = one if f"process {one.pid})" in cli("status", data=data).stdout else other
        rest = other if runs_it is one else one
        runs_it.send_signal(signal.SIGINT)
        said, _ = rest.communicate(timeout=LIMIT_S)

    assert all(b"Traceback" not in each for each in codes)
    assert 1 == rest.returncode
    assert b"the service that runs the bot has stopped" in said


def test_stopped_while_coming_up(data: Path) -> None:
    """A service that is told to stop before it is up ends in good order."""
    with Service(data) as service:
        for delay in (0.5, 0.8, 1.1):
            service.start(ready=False)
            time.sleep(delay)
            code = service.stop()
            assert code in (0, -signal.SIGTERM)  # Python itself may not have got as far as to listen
        assert "Traceback" not in service.said()
