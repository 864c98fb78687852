"""Lines for a terminal: times with their zone, and texts that keep to its width, Chinese too."""

import shutil
import unicodedata
from collections.abc import Iterator
from datetime import datetime

from wxrc_gateway.moments import moment

WIDTH = 80
"""Where the terminal's width is not known, and the widest that prose gets."""


def width() -> int:
    """Return how many columns lines may have."""
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


def time_text(time: datetime) -> str:
    """Return a time as people write it, with its zone: `2026-11-24 10:42:37 +08:00`."""
    return f"{time:%Y-%m-%d %H:%M:%S} {zone_text(time)}"


def moment_text(at: int) -> str:
    """Return a time (epoch ms) as programs read it: ISO 8601 with its zone."""
    return moment(at).isoformat()


def zone_text(time: datetime) -> str:
    """Return the zone of a time, as `+08:00`."""
    zone = f"{time:%z}"
    return f"{zone[:3]}:{zone[3:5]}"


def columns(text: str) -> int:
    """Return how many columns a text takes: a Chinese character takes two."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def printable(text: str) -> str:
    """Return a text that came from outside without anything that would move the cursor or break the line."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def padded(text: str, size: int) -> str:
    """Return a text with spaces behind it up to this many columns."""
    return text + " " * max(0, size - columns(text))


def wrapped(text: str, first: str, rest: str = "") -> Iterator[str]:
    """Give out a text in lines that fit.

    Args:
        text: The text, in one line.
        first: What stands before its first line.
        rest: What stands before the others; by default spaces, as wide as `first`.
    """
    before, line = first, ""
    rest = rest or " " * columns(first)
    for piece in _pieces(text):
        if line.strip() and columns(before + line + piece.rstrip()) > width():
            yield (before + line).rstrip()
            before, line, piece = rest, "", piece.lstrip()
        line += piece
    yield (before + line).rstrip()


_NOT_FIRST = "，。；：、？！）》」』”’…"
"""No line begins with one of these."""


def _pieces(text: str) -> Iterator[str]:
    """Give out what a line may be broken between: words with the space behind them, and wide characters one by one."""
    piece = ""
    for sign in text:
        wide = unicodedata.east_asian_width(sign) in "WF"
        if piece and sign not in _NOT_FIRST and (wide or piece[-1] == " " or columns(piece[-1]) == 2) and sign != " ":
            yield piece
            piece = ""
        piece += sign
    if piece:
        yield piece
