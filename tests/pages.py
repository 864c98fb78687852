"""The pages of the docs, and what stands on them."""

import re
from pathlib import Path

import attrs
import click

from wxrc_service.cli import main

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
