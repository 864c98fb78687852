"""The pages with the state diagrams are those that the core's declarations give."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "draw_states.py"
DRAWN: dict[str, Any] = runpy.run_path(str(SCRIPT))
PAGES: dict[Path, str] = DRAWN["pages"]()


@pytest.mark.parametrize("path", list(PAGES), ids=lambda path: path.parent.name)
def test_pages_are_up_to_date(path: Path) -> None:
    """After a change to a state table, `make states` has to be run."""
    assert PAGES[path] == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["bot", "message", "delivery"])
def test_every_transition_is_told(name: str) -> None:
    """Each declared transition is an arrow, or in its state's row of the table; nothing else is."""
    module = DRAWN["MODULES"][name]
    drawn = set()
    for source, dest, events in re.findall(r"^    (\S+) --> (\w+): (.+)$", DRAWN["diagram"](name), re.MULTILINE):
        drawn |= {("new" if source == "[*]" else source, event, dest) for event in events.split(", ")}
    for state, events in re.findall(
        r"^\| `(\w+)` \| .* \| (.*) \|$", DRAWN["section"](name, DRAWN["WORDS"]["en"]), re.M
    ):
        drawn |= {(state, event, state) for event in re.findall(r"`(\w+)`", events)}

    declared = {
        (source, module.TABLE.triggers[event], dest)
        for event, row in module.TABLE.next.items()
        for source, dest in row.items()
    }

    assert declared == drawn


def test_both_languages_say_the_same_things() -> None:
    """Each page explains every state."""
    assert set(DRAWN["WORDS"]["en"]) == set(DRAWN["WORDS"]["zh"])
