"""The table of the wire contract: each row with the tests that show it. `python -m tests.wire_table` writes it into the docs."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.wire_rows import PENDING, ROWS

TESTS = Path(__file__).parent
PAGES = {language: TESTS.parent / "docs" / language / "wire-tests.md" for language in ("zh", "en")}
_TEXTS = {
    "zh": (
        "# 接口与测试对照",
        "由 `python -m tests.wire_table` 生成，请勿手改。每一行是接口约定或攻击清单中的一条，以及证明它的测试。",
        ("编号", "约定", "测试"),
        "（待补）",
    ),
    "en": (
        "# The wire, row by row",
        "Written by `python -m tests.wire_table`; do not edit. Rows of the contract and of the attacks, and the tests that show them.",
        ("row", "what holds", "tests"),
        "(pending)",
    ),
}


def marked() -> Mapping[str, list[str]]:
    """Return the tests that are marked with each row, by its id; from their source, so that nothing has to run."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.glob("test_*.py")):
        for function in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for row in _rows(function):
                    found[row].append(f"{file.name}::{function.name}")
    return found


def _rows(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.wire":
            for argument in decorator.args:
                yield str(ast.literal_eval(argument))


def page(language: str) -> str:
    """Return the page in a language."""
    title, first, columns, pending = _TEXTS[language]
    tests = marked()
    lines = [title, "", first, "", f"| {' | '.join(columns)} |", "| --- | --- | --- |"]
    for row, sentences in ROWS.items():
        names = "<br>".join(f"`{name}`" for name in tests.get(row, ())) or (pending if row in PENDING else "")
        lines.append(f"| `{row}` | {sentences[language == 'en']} | {names} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    for each, path in PAGES.items():
        path.write_text(page(each), "utf-8")
