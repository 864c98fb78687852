"""The core is pure: nothing in it can reach a clock, chance, a file, a socket or an event loop."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wxrc_core

HERE = Path(wxrc_core.__file__).parent
ALLOWED = {
    # of the standard library, what computes and nothing else
    *(
        "base64",
        "binascii",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "re",
        "typing",
        "zlib",
    ),
    *("attrs", "msgspec", "transitions", "wxrc_core"),
}
MODULES = sorted(HERE.glob("*.py"))


def _imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports(path: Path) -> None:
    """Each module of the core imports only what computes, and the core's three libraries."""
    assert set() == _imported(path) - ALLOWED


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_calls(path: Path) -> None:
    """No module opens, prints, asks or evaluates anything, and none waits."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}

    assert set() == called & {"open", "print", "input", "eval", "exec", "__import__"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global)]


def test_a_fresh_interpreter_brings_nothing_else() -> None:
    """Importing all of the core loads none of the packages that its edges need."""
    modules = " ".join(f"import wxrc_core.{path.stem};" for path in MODULES if path.stem != "__init__")
    forbidden = (
        "anyio trio starlette httpcore h11 apsw sqlite3 grpc cryptography jinja2 click uvicorn wxrc_store wxrc_gateway"
    )
    script = f"import sys; {modules} print(*sorted(set({forbidden.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert "" == done.stdout.strip()
