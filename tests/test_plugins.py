"""Puppets of other people's in the real service: found by entry points; one that is broken, slow or wrong is named and left out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live import Service, cli

pytestmark = pytest.mark.slow

GOOD = """
from wxrc_core.puppet import Accepted, Capabilities, ReportLoggedIn, ReportRooms, Room
from wxrc_gateway import PuppetKind
import anyio

CAPABILITIES = Capabilities(login_kinds=("echo",), pace="none")

class Echo:
    capabilities = CAPABILITIES

    def __init__(self, context):
        self.clock = context.clock

    async def run(self, report):
        await report(ReportLoggedIn(at=self.clock(), wxid="wxid_echo", name="Echo"))
        await report(ReportRooms(at=self.clock(), rooms=(Room("r1", "一群"),), complete=True))
        await anyio.sleep_forever()

    async def send(self, message):
        return Accepted(f"echo-{message.msgid}")

    async def submit_digits(self, digits): ...
    async def sign_out(self): ...
    async def release(self): ...

def kind():
    return PuppetKind(Echo, CAPABILITIES)

ready_made = PuppetKind(Echo, CAPABILITIES)
wrong = 42
def exits():
    raise SystemExit("I leave")
"""


def package(site: Path, name: str, module: str, code: str, entries: dict[str, str]) -> None:
    """Install a package with these entry points, as pip would."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(code)
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = "\n".join(f"{entry} = {target}" for entry, target in entries.items())
    (info / "entry_points.txt").write_text(f"[wxrc.puppets]\n{lines}\n")


def with_site(site: Path) -> dict[str, str]:
    """Return the environment that has these packages."""
    return {"PYTHONPATH": os.fspath(site)}


def test_a_puppet_of_ones_own_in_the_service(tmp_path: Path) -> None:
    """A package's puppet can be named at `wxrc bot add`, logs in in the service, and sends."""
    package(
        tmp_path / "site", "wxrc-echo", "wxrc_echo", GOOD, {"echo": "wxrc_echo:kind", "made": "wxrc_echo:ready_made"}
    )
    env = with_site(tmp_path / "site")
    data = tmp_path / "data"
    for name in ("echo", "made"):
        cli("bot", "add", f"bot-{name}", "--puppet", name, data=data, env=env)
    with Service(data, env=env) as service:
        service.start()
        logins = [cli("login", f"bot-{name}", data=data, env=env).stdout for name in ("echo", "made")]
        sent = cli("send", "bot-echo", "--room", "一群", "你好", data=data, env=env).stdout
        assert 0 == service.stop()
        log = service.stderr.read_text()

    assert ["bot-echo is logged in as Echo (wxid_echo).", "bot-made is logged in as Echo (wxid_echo)."] == [
        each.strip() for each in logins
    ]
    assert " sent since " in sent
    assert "" == log


def test_broken_puppets_are_named_and_left_out(tmp_path: Path) -> None:
    """What cannot be imported, is no kind of puppet, exits, or takes a taken name is named; the service and the good one go on."""
    site, data = tmp_path / "site", tmp_path / "data"
    package(site, "wxrc-good", "good", GOOD, {
        "echo": "good:kind", "wrong": "good:wrong", "exits": "good:exits", "missing": "good:nothing", "simulator": "good:kind",
    })  # fmt: skip
    package(site, "wxrc-broken", "broken", "import no_such_module", {"broken": "broken:kind"})
    package(site, "wxrc-twin", "twin", GOOD, {"echo2": "twin:kind"})
    package(site, "wxrc-twin-b", "twin_b", GOOD, {"echo2": "twin_b:kind"})
    env = with_site(site)
    refused = {
        name: cli("bot", "add", "zhao", "--puppet", name, data=data, env=env, expect=1).stderr
        for name in ("wrong", "exits", "missing", "broken", "echo2")
    }
    cli("bot", "add", "zhao", "--puppet", "echo", data=data, env=env)
    with Service(data, env=env) as service:
        service.start()
        cli("login", "zhao", data=data, env=env)
        assert 0 == service.stop()
        log = service.stderr.read_text()

    words = {
        "wrong": "puppet 'wrong' of wxrc-good 1.2: good:wrong must be a wxrc_gateway.PuppetKind",
        "exits": "puppet 'exits' of wxrc-good 1.2 cannot be loaded from good:exits (SystemExit: I leave)",
        "missing": "puppet 'missing' of wxrc-good 1.2 cannot be loaded from good:nothing (AttributeError",
        "broken": "puppet 'broken' of wxrc-broken 1.2 cannot be loaded from broken:kind (ModuleNotFoundError: No module named",
        "echo2": "puppet 'echo2' is offered by wxrc-twin 1.2 and wxrc-twin-b 1.2; uninstall all but one",
    }
    assert [] == [name for name, sentence in words.items() if sentence not in refused[name]]
    assert [] == [name for name, sentence in words.items() if sentence not in log]
    assert "puppet 'simulator' of wxrc-good 1.2 is not used: the service has a puppet of that name" in log
    assert "Traceback" not in log + "".join(refused.values())


SLOW = """
import anyio
from wxrc_service import plugins

async def main():
    loaded = await plugins.load_all(("simulator", "wechaty"), limit_s=0.2)
    print(sorted(loaded))

anyio.run(main)
import os
os._exit(0)
"""


def test_a_slow_puppet_is_named_and_left_out(tmp_path: Path) -> None:
    """One whose import takes longer than its limit is named, and what comes after it is loaded."""
    site = tmp_path / "site"
    package(site, "wxrc-slow", "slow", "import time\ntime.sleep(600)\n", {"slow": "slow:kind"})
    package(site, "wxrc-zippy", "zippy", GOOD, {"zippy": "zippy:kind"})
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SLOW], env={**os.environ, **with_site(site)}, capture_output=True, text=True, check=True
    )

    assert "['zippy']\n" == done.stdout
    assert "puppet 'slow' of wxrc-slow 1.2 took longer than 0.2 s to import and is left out" in done.stderr
    assert time.monotonic() - begun < 60


def test_the_command_names_the_puppets_there_are(tmp_path: Path) -> None:
    """A kind that nobody offers is refused with the names of those that can be had, those of packages included."""
    package(tmp_path / "site", "wxrc-echo", "wxrc_echo", GOOD, {"echo": "wxrc_echo:kind"})
    done = cli(
        "bot", "add", "zhao", "--puppet", "ecko", data=tmp_path / "data", env=with_site(tmp_path / "site"), expect=2
    )

    assert "'simulator', 'wechaty', 'echo'" in done.stderr
