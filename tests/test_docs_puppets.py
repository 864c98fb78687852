"""The tutorial on writing a puppet names everything that a puppet can report and answer; its example runs with the other examples."""

from pathlib import Path
from typing import get_args

import pytest

from wxrc_core.puppet import Report, SendOutcome
from wxrc_service.plugins import GROUP, LIMIT_S

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reports_and_outcomes_are_all_there(language: str) -> None:
    """Each has a row of its table, and each table has no other."""
    rows = [line for line in (DOCS / language / "puppets.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    named = [row.split("`")[1] for row in rows]

    assert sorted(each.__name__ for union in (Report, SendOutcome) for each in get_args(union)) == sorted(named)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_it_says_of_entry_points_is_so(language: str) -> None:
    """The group and the time limit are those of the code."""
    text = (DOCS / language / "puppets.md").read_text("utf-8")

    assert f'[project.entry-points."{GROUP}"]' in text
    assert f"{LIMIT_S:g} " in text
