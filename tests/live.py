"""Runs the real service and the real `wxrc` command in processes of their own, and speaks to them as others would.

    with Service(tmp_path / "data") as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=service.data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        call(service.url, "crm", made["key"], "zhao", "login", {})

Nothing here imports the service: requests are written and signed by the client SDK, as those of others are.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx2

import wxrc_client
from tests.forked import Forked
from wxrc_client import Carrier, Credentials, HttpRequest, SignatureType, new_txcode

READY_S = 30.0
STOP_S = 40.0
CLI_S = 60.0
CALL_S = 30.0
SIGNATURE_TYPE: Final[SignatureType] = "HMAC-SHA256-V2"

# No connection is kept: one that a killed service leaves behind would fail the next call, which has nothing to do with it.
_http = httpx2.Client(
    transport=httpx2.HTTPTransport(verify=False, limits=httpx2.Limits(max_keepalive_connections=0)),
    trust_env=False,
    timeout=CALL_S,
)


# -- processes -----------------------------------------------------------------------------------------------------------


def surroundings(**further: str) -> dict[str, str]:
    """Return the environment for a process under test: this one's without any setting of WXRC, in English, and what is given."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WXRC_")}
    return own | {"WXRC_LANG": "en"} | further


def free_port() -> int:
    """Return a free TCP port on loopback that no outgoing connection will take while a service is down for a moment."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) if sys.platform == "linux" else 0
    for _ in range(100):
        port = random.randint(15_000, low - 1) if low > 15_100 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free port was found in 100 tries")


class Service:
    """A `wxrc` service in a process of its own; a context manager. It keeps its port over restarts.

    Attributes:
        data: Its data directory; not made here, so that the service makes it.
        port: Its port.
        url: Where it is reached.
        stdout: The file with everything that it printed, over all its runs.
        stderr: The same for what it logged.
        process: The process that runs now or ran last.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int | None = None,
        command: str = "serve",
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Choose a port; nothing runs yet.

        Args:
            data: The data directory.
            port: The port; by default a free one.
            command: `serve` or `demo`.
            arguments: Further arguments of the command.
            env: Further environment variables.
        """
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.stdout = data.parent / f"{data.name}.stdout.txt"
        self.stderr = data.parent / f"{data.name}.stderr.txt"
        self.process: Forked | None = None
        self._command = [command, *arguments]
        self._env = surroundings(PYTHONUNBUFFERED="1", **(env or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready unless told not to."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        arguments = [*self._command, "--data", str(self.data), "--port", str(self.port)]
        self.process = Forked(
            arguments,
            cwd=self.data.parent,  # not where a wxrc.toml may be
            env=self._env,
            stdout=self.stdout,
            stderr=self.stderr,
        )
        if ready:
            self.wait_until_ready()

    def wait_until_ready(self, within_s: float = READY_S) -> None:
        """Ask `/healthz` until it answers 200; AssertionError has what the service said if it does not."""
        assert self.process is not None
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if (code := self.process.poll()) is not None:
                raise AssertionError(f"the service ended with exit code {code}:\n{self.said()}")
            try:
                if _http.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"the service was not ready within {within_s:g} s:\n{self.said()}")

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self, within_s: float = STOP_S) -> int:
        """Tell it to stop with SIGTERM; return its exit code."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(within_s)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def printed(self, pattern: str, within_s: float = READY_S) -> re.Match[str]:
        """Wait until what it printed, over all its runs, has this pattern; return the last match."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = list(re.finditer(pattern, self.stdout.read_text(errors="replace")))
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(f"the service did not print {pattern!r} within {within_s:g} s:\n{self.said()}")

    def said(self) -> str:
        """Return the end of what it printed and logged."""
        texts = [path.read_text(errors="replace")[-4000:] for path in (self.stdout, self.stderr) if path.exists()]
        return "\n--\n".join(texts)

    def cli(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `wxrc` beside it, on its data directory; see `cli`."""
        return cli(*arguments, data=self.data, expect=expect)


def cli(
    *arguments: str,
    data: Path | None = None,
    expect: int | None = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the `wxrc` command to its end.

    Args:
        arguments: The subcommand and its arguments.
        data: The data directory, given as `--data`; None gives none.
        expect: The exit code that it must have; None = any.
        env: Further environment variables.
        cwd: Where it runs; by default beside the data directory.
    """
    arguments = (*arguments, *(("--data", str(data)) if data else ()))
    with TemporaryDirectory() as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        running = Forked(
            arguments,
            cwd=cwd or (data.parent if data else None),
            env=surroundings(**(env or {})),
            stdout=out,
            stderr=errors,
        )
        try:
            code = running.wait(CLI_S)
        finally:
            running.kill()
        done = subprocess.CompletedProcess(arguments, code, out.read_text(), errors.read_text())
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"wxrc {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def cli_json(*arguments: str, data: Path) -> dict[str, Any]:
    """Run a command that prints JSON, and return it."""
    said: dict[str, Any] = json.loads(cli(*arguments, data=data).stdout)
    return said


# -- a channel: signed requests ------------------------------------------------------------------------------------------


def signed(
    chid: str,
    key: str,
    botcode: str,
    interface: str,
    body: Mapping[str, Any] | None,
    *,
    carrier: Carrier = "json",
    type: SignatureType = SIGNATURE_TYPE,  # noqa: A002  the wire calls it so
    txcode: str | None = None,
    txtime: str | None = None,
    language: str = "zh",
) -> HttpRequest:
    """Write and sign a request (wire.md, section 1).

    Args:
        chid: The channel.
        key: Its KEY.
        botcode: The bot.
        interface: The interface.
        body: `reqBody`; None leaves it out.
        carrier: How it is carried.
        type: How it is signed.
        txcode: The serial number; by default a new one.
        txtime: By default now.
        language: What the answers are to be written in.
    """
    return wxrc_client.signed(
        Credentials(chid=chid, key=key, signature_type=type),
        interface,
        botcode,
        body,
        txcode=txcode or new_txcode(),
        txtime=txtime or str(time.time_ns() // 1_000_000),
        carrier=carrier,
        language=language,
    )


def send(url: str, request: HttpRequest) -> httpx2.Response:
    """Send a signed request, and return whatever is answered.

    Raises:
        httpx2.HTTPError: No answer came.
    """
    address = url + request.path + (f"?{request.query}" if request.query else "")
    return _http.request(request.method, address, content=request.content or None, headers=dict(request.headers))


def call(
    url: str, chid: str, key: str, botcode: str, interface: str, body: Mapping[str, Any] | None = None, **how: Any
) -> dict[str, Any]:
    """Call an interface, signed; return the answer's `resBody`.

    Args:
        url: Where the service is.
        chid: The channel.
        key: Its KEY.
        botcode: The bot.
        interface: The interface.
        body: `reqBody`.
        how: As for `signed`: carrier, type, txcode, txtime, language.

    Raises:
        httpx2.HTTPError: No answer came.
    """
    answer = send(url, signed(chid, key, botcode, interface, body, **how)).json()
    assert {"resHead", "resBody"} == set(answer)
    found: dict[str, Any] = answer["resBody"]
    return found


# -- people: the simulated WeChat ------------------------------------------------------------------------------------------


def scan_and_confirm(qr_url: str) -> None:
    """Log in as a person does: open what the QR code says, and confirm by the form that is there."""
    page = _http.get(qr_url)
    assert page.status_code == 200, page.text
    [action] = re.findall(r'<form[^>]*action="([^"]*/confirm)"', page.text)
    parts = urlsplit(qr_url)
    done = _http.post(httpx2.URL(qr_url).join(action), headers={"Origin": f"{parts.scheme}://{parts.netloc}"})
    assert done.status_code in (200, 303), done.text


def record(url: str, bot: str) -> list[dict[str, Any]]:
    """Return what the bot's client wrote and really reached WeChat, in order."""
    found: list[dict[str, Any]] = _simulator("GET", url, bot, "record")["record"]
    return found


def say(url: str, bot: str, text: str, *, sender: str, room: str = "", user: str = "") -> dict[str, Any]:
    """Write as a person: in a room, or to the bot directly (name the person as `sender` and as `user`)."""
    body = {"room": room, "user": user, "from": sender, "text": text}
    return _simulator("POST", url, bot, "say", {name: value for name, value in body.items() if value})


def kick(url: str, bot: str) -> bool:
    """Log the account in on another device, which ends the bot's login; tell whether somebody was logged in."""
    return bool(_simulator("POST", url, bot, "kick", {})["done"])


def _simulator(method: str, url: str, bot: str, what: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
    answer = _http.request(method, f"{url}/sim/api/{quote(bot)}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
