"""The clients in docs/clients, built and run as a person would, with the tools of the machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.live import surroundings
from tests.wechaty import find_node

CLIENTS = Path(__file__).parent.parent / "docs" / "clients"
LIMIT_S = 120

PACKAGES = {
    "curl": "curl",
    "openssl": "openssl",
    "php": "php-cli",
    "go": "golang-go",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mono": "mono-runtime",
    "mcs": "mono-mcs libmono-system-net-http4.0-cil",
}
"""Which Debian package brings a tool; `make tools` installs them."""


@frozen
class Client:
    """One of the clients.

    Attributes:
        language: Its language.
        command: What runs it.
    """

    language: str
    command: tuple[str, ...]

    def run(self, *arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments."""
        done = subprocess.run(
            [*self.command, *arguments],
            env=surroundings(NO_PROXY="*", no_proxy="*", LC_ALL="C.UTF-8", **env),
            input=stdin,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def answer(self, *arguments: str, **env: str) -> dict[str, Any]:
        """Call an interface, and return the answer's resBody."""
        done = self.run(*arguments, **env)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert {"resHead", "resBody"} == set(answer)
        found: dict[str, Any] = answer["resBody"]
        return found

    def genuine(self, secret: str, headers: dict[str, str], body: bytes) -> bool:
        """Tell whether it takes a callback for genuine."""
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        done = self.run("verify", secret, *(headers[name] for name in names), stdin=body)
        assert ("", "") == (done.stdout, done.stderr)
        assert done.returncode in (0, 1)
        return done.returncode == 0


LANGUAGES = ("sh", "node", "php", "go", "java", "csharp")


@cache
def client(language: str, folder: Path) -> Client:
    """Return the client in a language, built in a folder where it has to be built.

    Raises:
        AssertionError: A tool is missing; the text has the command that brings it.
    """
    match language:
        case "sh":
            need("curl", "openssl")
            return Client(language, (str(CLIENTS / "client.sh"),))
        case "node":
            return Client(language, (find_node()[0], str(CLIENTS / "client.mjs")))
        case "php":
            need("php")
            return Client(language, ("php", str(CLIENTS / "client.php")))
        case "go":
            need("go")
            built = folder / "client-go"
            cache_at = {"GOCACHE": str(folder / "go-cache"), "GOFLAGS": "", "GO111MODULE": "off"}
            build(["go", "build", "-o", str(built), str(CLIENTS / "client.go")], **cache_at)
            return Client(language, (str(built),))
        case "java":
            need("java", "javac")
            build(
                [
                    "javac",
                    "-encoding",
                    "UTF-8",
                    "-Xlint:all",
                    "-Werror",
                    "-d",
                    str(folder),
                    str(CLIENTS / "Client.java"),
                ]
            )
            quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # each run is a process of its own
            return Client(language, ("java", *quick, "-cp", str(folder), "Client"))
        case "csharp":
            need("mono", "mcs")
            built = folder / "Client.exe"
            build(["mcs", "-r:System.Net.Http.dll", f"-out:{built}", str(CLIENTS / "Client.cs")])
            return Client(language, ("mono", str(built)))
    raise AssertionError(f"there is no client in {language}")


def need(*tools: str) -> None:
    """Fail with the command that brings what is missing."""
    missing = {PACKAGES[tool] for tool in tools if shutil.which(tool) is None}
    assert not missing, f"missing; `make tools` brings it, and so does: apt-get install {' '.join(sorted(missing))}"


def build(command: Sequence[str], **env: str) -> None:
    """Build a client; it must build without a warning."""
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr), f"{done.stdout}{done.stderr}"
