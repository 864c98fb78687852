"""Every row of the wire contract has a test, and the table in the docs says which."""

import pytest

from tests.wire_rows import PENDING, ROWS
from tests.wire_table import PAGES, marked, page


def test_every_row_has_a_test() -> None:
    """A row without a marked test stands among the pending ones, and one with a test does not."""
    without = set(ROWS) - set(marked())

    assert PENDING == without


def test_every_mark_names_a_row() -> None:
    """A test is marked with rows that exist."""
    assert set() == set(marked()) - set(ROWS)


@pytest.mark.parametrize("language", PAGES)
def test_the_page_is_up_to_date(language: str) -> None:
    """The page in the docs is what `python -m tests.wire_table` writes now."""
    assert page(language) == PAGES[language].read_text("utf-8")
