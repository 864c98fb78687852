"""`wxrc channel`, `wxrc bot` and `wxrc token`, on a real data directory, in both languages."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wxrc_service.cli import main

SET = ("allowed_addresses", "window_s", "requests_per_minute")
KEY = "b3a17c95e0d24f68917c"


class Command:
    """The `wxrc` command on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, stdin: str = "", language: str = "C") -> Result:
        """Run it."""
        env = {"WXRC_DATA": str(self.data), "LANG": language, "LC_ALL": "", "LC_MESSAGES": "", "WXRC_LANG": ""}
        return CliRunner().invoke(main, arguments, input=stdin, env=env)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """Run it with `--json`; return what it prints."""
        done = self(*arguments, "--json", stdin=stdin)

        assert 0 == done.exit_code, done.output
        return json.loads(done.stdout)

    def refused(self, *arguments: str, stdin: str = "", language: str = "C") -> str:
        """Run it; return the sentence with which it is refused."""
        done = self(*arguments, stdin=stdin, language=language)

        assert done.exit_code in (1, 2), done.output
        assert "Traceback" not in done.output
        return done.output


@pytest.fixture
def wxrc(tmp_path: Path) -> Command:
    """The command, on a directory of its own."""
    return Command(tmp_path / "data")


@pytest.mark.slow
def test_the_life_of_a_channel(wxrc: Command) -> None:
    """Every subcommand does what it says, prints JSON on request, and what was changed shows in `show`."""
    made = wxrc.json("channel", "add", "crm", "--callback", "https://crm.example/", "--quota", "60")
    bot = wxrc.json("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
    granted = wxrc.json("channel", "grant", "crm", "zhao", "--interface", "botStatus", "--room", "客服一群")
    changed = wxrc.json(
        "channel", "set", "crm", "--allow-address", "10.0.0.0/8", "--allow-address", "192.0.2.7", "--window", "60"
    )
    opened = wxrc.json("channel", "set", "crm", "--allow-address", "")
    key = wxrc.json("channel", "rotate-key", "crm")
    secret = wxrc.json("channel", "rotate-secret", "crm")
    ended = wxrc.json("channel", "end-key", "crm", key["valid"][1])
    wxrc.json("channel", "end-secret", "crm", secret["valid"][1])
    suspended = wxrc.json("channel", "suspend", "crm", "--reason", "unpaid")
    resumed = wxrc.json("channel", "resume", "crm")
    revoked = wxrc.json("channel", "revoke", "crm", "zhao")
    shown = wxrc("channel", "show", "crm").stdout
    removed = wxrc.json("channel", "remove", "crm", "--yes")
    listed = wxrc.json("channel", "list")

    assert {"chid", "key", "webhook_secret"} == set(made)
    assert ["crm"] == bot["channels"]
    assert (["botStatus"], "客服一群") == (granted["grants"][0]["interfaces"], granted["grants"][0]["room_topic"])
    assert (["10.0.0.0/8", "192.0.2.7"], 60, 60) == tuple(changed[name] for name in SET)
    assert ([], 60) == (opened["allowed_addresses"], opened["window_s"])
    assert [key["id"]] == ended["key_ids"]
    assert ("suspended", "active", []) == (suspended["state"], resumed["state"], revoked["grants"])
    assert suspended["suspended_by"].startswith("cli:")
    assert made["key"] not in shown
    assert key["key"] not in shown
    assert ("removed", []) == (removed["state"], listed)


@pytest.mark.slow
def test_secrets_come_from_files_and_stdin(wxrc: Command, tmp_path: Path) -> None:
    """KEYs, webhook secrets and options need not be on the command line, where others on the machine could read them."""
    path, options = tmp_path / "key.txt", tmp_path / "options.txt"
    path.write_text(KEY + "\n")
    options.write_text("# for the simulator\nstartup_ms=5\n")
    from_file = wxrc.json("channel", "add", "a", "--key-file", str(path))
    from_stdin = wxrc.json("channel", "add", "b", "--key-file", "-", stdin=KEY)
    rotated = wxrc.json("channel", "rotate-key", "b", "--key-file", "-", stdin=KEY[::-1] + "\r\n")
    bot = wxrc.json("bot", "add", "zhao", "--puppet", "simulator", "--option-file", str(options))

    assert KEY == from_file["key"] == from_stdin["key"]
    assert KEY[::-1] == rotated["key"]
    assert "simulator" == bot["puppet"]
    twice = ("--option", "startup_ms=1", "--option-file", str(options))
    assert "is given twice" in wxrc.refused("bot", "add", "li", "--puppet", "simulator", *twice)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("channel", "add", "x", "--key-file", "-"), "", "16 to 256 characters"),
        (("channel", "add", "x", "--key-file", "-"), "short", "16 to 256 characters"),
        (("channel", "add", "x", "--key-file", "-"), "6f1d7a0c5b9e4e2f8a3c", "a sample or easily guessed"),
        (("channel", "add", "x", "--key-file", "-"), "a key with blanks in it", "must not have spaces"),
        (("channel", "add", "x", "--secret-file", "-"), "whsec_x", "whsec_"),
        (("channel", "add", "x", "--key-file", "none.txt"), "", "cannot be read: No such file"),
        (("channel", "add", "x", "--key-file", "-"), "k" * 70_000, "at most 65536 bytes"),
        (("channel", "add", "x", "--timezone", "Mars"), "", "timezone 'Mars' is unknown"),
        (("channel", "add", "x", "--signature-type", "RSA"), "", "no public key is registered"),
        (("channel", "add", "x", "--allow-address", "10.0.0.1/8"), "", "neither an address nor a network"),
        (("channel", "add", "x", "--callback", "http://10.0.0.5/"), "", "10.0.0.5"),
        (("channel", "show", "none"), "", "there is no WXRC data"),
        (("bot", "add", "x", "--puppet", "simulator", "--option", "t0ken"), "", "must be written name=value"),
        (("token", "add", "a b", "--role", "viewer"), "", "name must be 1 to 64"),
    ],
)
def test_what_cannot_be_used_is_said(wxrc: Command, arguments: tuple[str, ...], stdin: str, words: str) -> None:
    """A value that cannot be used ends the command with a sentence that names it; a secret is never repeated."""
    said = wxrc.refused(*arguments, stdin=stdin)

    assert words in said
    assert len(stdin) < 8 or stdin not in said
    assert "t0ken" not in said


@pytest.mark.slow
def test_a_private_network_may_be_called(wxrc: Command) -> None:
    """A network that is named is allowed for callbacks; others in private space are not."""
    made = wxrc.json("channel", "add", "crm", "--callback", "http://10.0.0.5/", "--private-network", "10.0.0.0/8")

    assert "crm" == made["chid"]
    assert "192.168.0.5" in wxrc.refused("channel", "set", "crm", "--callback", "http://192.168.0.5/")


@pytest.mark.slow
def test_tokens(wxrc: Command) -> None:
    """A token is shown once; the list has its name and role only."""
    made = wxrc.json("token", "add", "ci", "--role", "operator")
    listed = wxrc("token", "list").stdout
    wxrc.json("token", "remove", "ci")

    assert made["token"].startswith("wxrc_")
    assert "ci  operator" in listed
    assert made["token"] not in listed
    assert [] == wxrc.json("token", "list")


@pytest.mark.slow
def test_in_chinese(wxrc: Command) -> None:
    """Where the environment asks for Chinese, results and refusals are Chinese."""
    wxrc.json("channel", "add", "crm")
    shown = wxrc("channel", "show", "crm", language="zh_CN.UTF-8").stdout
    refused = wxrc.refused("channel", "show", "none", language="zh_CN.UTF-8")

    assert "时区: Asia/Shanghai" in shown
    assert "没有渠道 'none'；现有：crm" in refused


@pytest.mark.slow
def test_removing_asks_first(wxrc: Command) -> None:
    """Without `--yes` a person has to agree."""
    wxrc.json("channel", "add", "crm")
    done = wxrc("channel", "remove", "crm", stdin="n\n")

    assert 1 == done.exit_code
    assert "active" == wxrc.json("channel", "show", "crm")["state"]


def test_a_bot_is_removed(wxrc: Command) -> None:
    """`bot remove` asks first, says what is left to do, and the bot shows in `bot show` and `status` alone; its name is refused."""
    wxrc.json("channel", "add", "crm")
    wxrc.json("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
    paced = wxrc.json("channel", "grant", "crm", "zhao", "--pace", "6")
    line = wxrc("channel", "show", "crm").stdout
    wrong = wxrc.refused("channel", "grant", "crm", "zhao", "--pace", "61")
    kept = wxrc("bot", "remove", "zhao", stdin="n\n").exit_code, wxrc.json("bot", "list")[0]["botcode"]
    removed = wxrc.json("bot", "remove", "zhao", "--yes")
    again = wxrc("bot", "remove", "zhao", "--yes", language="zh_CN.UTF-8").stdout
    status = wxrc("status").stdout

    assert 6 == paced["grants"][0]["pace"]
    assert "pace=6/min" in line
    assert "pace" in wrong
    assert (1, "zhao") == kept
    assert ("removed", []) == (removed["state"], removed["channels"])
    assert "机器人 zhao 已移除" in again
    assert [] == wxrc.json("bot", "list")
    assert [] == wxrc.json("channel", "show", "crm")["grants"]
    assert "zhao  removed" in status
    assert "its account is still to be signed out" in status
    assert "不能再用" in wxrc.refused("bot", "add", "zhao", "--puppet", "simulator", language="zh_CN.UTF-8")
    assert "there is no bot 'none'" in wxrc.refused("bot", "remove", "none", "--yes")
    assert "removed for ever" in wxrc("log", "zhao").stdout
