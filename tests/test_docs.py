"""What people read is true: links lead somewhere, commands exist, and what is shown as code runs.

The convention: a fenced block whose info string ends with `run` is run as it stands.

- `python run`: the blocks of a page run one after the other in one empty folder.
- `python demo run`: the same beside a real `wxrc demo` whose bot is logged in, with `BASE` and `KEY` in the environment.
- `sh run`: against a real `wxrc demo` whose bot is logged in, with `BASE` and `KEY` in the environment; no answer may be a refusal.

JSON and TOML blocks are parsed, and every `wxrc` command that is named anywhere must exist, with the options named beside it.
"""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from tests.live import Service, cli, cli_json, free_port, scan_and_confirm, surroundings
from tests.receiver import Receiver
from tests.wechaty import find_node
from wxrc_http import INTERFACES, Code
from wxrc_puppet.simulator import options as simulator_options
from wxrc_puppet.wechaty import _options as wechaty_options
from wxrc_service.cli import main
from wxrc_service.options import SETTINGS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAIRS = [(ROOT / "README.md", ROOT / "README.zh-CN.md")] + [
    (page, ROOT / "docs" / "zh" / page.name) for page in sorted((ROOT / "docs" / "en").glob("*.md"))
]
LIMIT_S = 120
GROUPS = {group: list(command.commands) for group, command in main.commands.items() if isinstance(command, click.Group)}


def name(page: Path) -> str:
    """Return how a page is called in the list of tests."""
    return str(page.relative_to(ROOT))


@attrs.frozen
class Block:
    """A fenced block: its info string and its text."""

    info: str
    text: str


def blocks(page: Path, info: str = "") -> list[Block]:
    """Return the fenced blocks of a page; only those with this info string, where one is given."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [Block(*each) for each in found if not info or each[0] == info]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def headings(page: Path) -> list[tuple[int, str]]:
    """Return level and text of each heading."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.M)]


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets on the usual sites."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# -- what every page has to keep to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and a heading that is there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{name(page)} links to {target}"
        if fragment:
            assert fragment in {anchor(text) for _, text in headings(file)}, f"{name(page)} links to {target}"


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: name(pair[0]))
def test_both_languages_say_the_same_things(pair: tuple[Path, Path]) -> None:
    """Each page exists in both languages, with the same headings, blocks and table rows in the same order."""
    shapes = []
    for page in pair:
        rows = [len(re.findall(r"(?<!\\)\|", line)) for line in prose(page).splitlines() if line.startswith("|")]
        shapes.append(([level for level, _ in headings(page)], [block.info for block in blocks(page)], rows))

    assert shapes[0] == shapes[1]


def test_no_page_is_there_in_one_language_only() -> None:
    """The folders of both languages have the same files."""
    folders = [{page.name for page in (ROOT / "docs" / language).iterdir()} for language in ("en", "zh")]

    assert folders[0] == folders[1]


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs" / "clients").iterdir())], ids=name)
def test_nothing_of_the_machine_it_was_written_on(page: Path) -> None:
    """No page names a path of somebody's machine or the host of a package registry."""
    text = page.read_text(encoding="utf-8")

    here = (f"{ROOT}/docs", "/tmp/", "index-url", "/simple/", "registry.")
    assert [] == [found for found in here if found in text]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_data_blocks_are_well_formed(page: Path) -> None:
    """JSON blocks are JSON; TOML blocks have settings that exist, of the right type."""
    for block in blocks(page):
        assert block.info.partition(" ")[0] in ("sh", "python", "json", "toml", "text", "mermaid"), block.info
        if block.info == "json":
            json.loads(block.text)
        if block.info == "toml":
            assert all(isinstance(value, SETTINGS[key]) for key, value in tomllib.loads(block.text).items())


# -- commands ----------------------------------------------------------------------------------------------------------------


def commands(page: Path) -> list[list[str]]:
    """Return every `wxrc` command line on a page, in blocks and in the text, as words."""
    lines = [line for block in blocks(page) if block.info.startswith("sh") for line in _lines(block.text)]
    inline = re.findall(r"`(wxrc [^`]+)`", prose(page))
    return [line.split()[1:] for line in [*lines, *inline] if line.startswith("wxrc ")]


def _lines(text: str) -> list[str]:
    return [line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]


@lru_cache
def help_of(*words: str) -> str:
    """Return what `--help` of a command says."""
    said = CliRunner().invoke(main, [*words, "--help"], prog_name="wxrc", catch_exceptions=False)
    assert 0 == said.exit_code, said.output
    return said.output


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_exist(page: Path) -> None:
    """Every command that a page names is there, and so are the options that it gives."""
    for words in commands(page):
        if words[0].startswith("--"):
            assert words[0] in help_of()
            continue
        depth = 2 if words[0] in GROUPS else 1
        said = help_of(*words[:depth])
        missing = [word for word in words[depth:] if word.startswith("--") and word not in said]
        assert not missing, f"{name(page)}: wxrc {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    """Every `make` target that a page names is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = {each for block in blocks(page) for each in re.findall(r"^make (\w+)", block.text, re.M)}
    named |= set(re.findall(r"`(?:\w+=\S+ )?make (\w+)", prose(page)))

    assert named <= targets


# -- tables that must be whole -------------------------------------------------------------------------------------------------


def rows(page: str, heading: str = "") -> dict[str, list[str]]:
    """Return the table rows of a page, or of one section of it, by the code in their first cell."""
    text = prose(ROOT / "docs" / page)
    if heading:
        text = re.split(rf"^#+ {heading}$", text, flags=re.M)[1]
        text = re.split(r"^#", text, maxsplit=1, flags=re.M)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {code[1]: row[1:] for row in cells if (code := re.match(r"`([^`]+)`", row[0]))}


@pytest.mark.parametrize(("language", "heading"), [("en", "Options"), ("zh", "选项")])
def test_the_simulators_options_are_all_there(language: str, heading: str) -> None:
    """The table has every option, with its true default."""
    defaults = simulator_options.SimulatorOptions()
    written = {option: row[0] for option, row in rows(f"{language}/simulator.md", heading).items()}
    true: dict[str, str] = {}
    for option in simulator_options.KNOWN:
        value: Any = getattr(defaults, option)
        true[option] = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
        if isinstance(value, tuple):
            true[option] = ",".join(value)

    assert true == written


@pytest.mark.parametrize(("language", "heading"), [("en", "Options"), ("zh", "选项")])
def test_the_wechaty_options_are_all_there(language: str, heading: str) -> None:
    """The table has every option, and the defaults of those that are numbers."""
    written = {option: row[0] for option, row in rows(f"{language}/wechaty.md", heading).items()}
    fields = {field.name: field.default for field in attrs.fields(wechaty_options.WechatyOptions)}

    assert set(fields) == set(written)
    assert {key: str(value) for key, value in fields.items() if type(value) is int} == {
        key: value for key, value in written.items() if key.endswith("_ms")
    }


@pytest.mark.parametrize(("language", "heading"), [("en", "Settings"), ("zh", "配置")])
def test_the_settings_are_all_there(language: str, heading: str) -> None:
    """Every setting of `wxrc.toml` is in the table, beside its environment variable and option."""
    table = rows(f"{language}/operating.md", heading)

    assert {f"--{key.replace('_', '-')}": [f"`WXRC_{key.upper()}`", f"`{key}`"] for key in SETTINGS} == {
        option: row[:2] for option, row in table.items()
    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_commands_are_all_there(language: str) -> None:
    """The page about operating names every command."""
    known = {each for each in main.commands if each not in GROUPS}
    known |= {f"{group} {each}" for group, members in GROUPS.items() for each in members}
    named = {
        " ".join(words[: 2 if words[0] in GROUPS else 1])
        for words in commands(ROOT / "docs" / language / "operating.md")
    }

    assert known == named


@pytest.mark.parametrize(("language", "heading"), [("en", "Codes"), ("zh", "响应码")])
def test_the_wire_is_all_there(language: str, heading: str) -> None:
    """The page about the wire has every interface and every code, and no others."""
    page = ROOT / "docs" / language / "wire.md"
    third = [text for level, text in headings(page) if level == 3]
    named = {word for text in third for word in re.split(r", |、", text) if re.fullmatch(r"[a-zA-Z]+", word)}
    section = re.split(rf"^## {heading}$", prose(page), flags=re.M)[1].partition("\n## ")[0]
    codes = re.findall(r"\| (\d+) (?=\|)", section)

    assert set(INTERFACES) == named - {"Acknowledge", "Verify"}
    assert sorted(map(int, Code)) == sorted(map(int, codes))


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
