"""What people read is true: links lead somewhere, commands and make targets exist, tables are whole, both languages say the same."""

import json
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from tests.pages import GROUPS, PAGES, PAIRS, ROOT, anchor, blocks, headings, name, prose
from wxrc_http import INTERFACES, Code
from wxrc_puppet.simulator import options as simulator_options
from wxrc_puppet.wechaty import _options as wechaty_options
from wxrc_service.cli import main
from wxrc_service.options import SETTINGS

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
