"""`wxrc export | wxrc import` as an operator types it: the new place serves what the old one had."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import Service, call, cli, cli_json, surroundings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LIMIT_S = 120


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the docs in a shell."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=surroundings(PATH=path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def documented(language: str) -> tuple[str, str]:
    """Return the two lines of the page about operating: the whole log, and what came since."""
    page = (ROOT / "docs" / language / "operating.md").read_text(encoding="utf-8")
    whole, since = re.findall(r"^wxrc export .*\| wxrc import .*$", page, re.M)
    return whole, since


def test_moving_to_another_directory(tmp_path: Path) -> None:
    """Beside a running service, as the docs say, with what came since: the same msgids, KEYs and answers in the new place."""
    old, new, secret = tmp_path / "old", tmp_path / "new", tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    whole, since = documented("en")
    assert (whole, since) == documented("zh")
    with Service(old) as service:
        made = cli_json("channel", "add", "crm", "--json", data=old)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()

        def ask(url: str, interface: str, body: dict[str, object], txcode: str) -> dict[str, object]:
            return call(url, "crm", made["key"], "zhao", interface, body, txcode=txcode)

        first = ask(service.url, "roomSendText", {"roomTopic": "客服一群", "text": "一"}, "t-1")
        moved = shell(whole, tmp_path)
        second = ask(service.url, "roomSendText", {"roomTopic": "客服一群", "text": "二"}, "t-2")
        position = re.search(r"up to position (\d+)", moved.stdout)
        assert position is not None, moved.stderr
        refused = cli("import", "-", data=old, expect=1).stderr
        assert 0 == service.stop()
        rest = shell(
            since.replace("181234", position[1]).replace(" --data", " --with-secrets passphrase --data"), tmp_path
        )
    with Service(new) as service:
        service.start()
        again = ask(service.url, "roomSendText", {"roomTopic": "客服一群", "text": "一"}, "t-1")
        status = ask(service.url, "msgStatus", {"msgid": second["msgid"]}, "q-1")

    assert (0, 0) == (moved.returncode, rest.returncode), (moved.stderr, rest.stderr)
    assert "has no KEYs, webhook secrets and sessions" in moved.stdout
    assert "stop it first" in refused
    assert first["msgid"] == again["msgid"]
    assert ("0", second["msgid"]) == (status["rtCode"], status["msgid"])


def test_an_unfinished_import_is_not_served(tmp_path: Path) -> None:
    """A file that was cut off leaves a log on which no service starts, until the whole file was read; the file is its owner's alone."""
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "log.jsonl"
    cli("channel", "add", "crm", data=old)
    cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm", data=old)
    cli("export", str(file), data=old)
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b'{"end"')])
    cut = cli("import", str(file), data=new, expect=1)
    served = cli("serve", "--port", "0", data=new, expect=1)
    file.write_bytes(whole)
    done = cli_json("import", str(file), "--json", data=new)
    verified = cli("verify", data=new).stdout

    assert "not complete" in cut.stderr
    assert "an import into this store is unfinished" in served.stderr
    assert (0, 3, None) == (done["events"], done["held"], done["secrets"])
    assert "are in order" in verified
    assert 0o600 == file.stat().st_mode & 0o777
