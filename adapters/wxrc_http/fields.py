"""Checks of single fields, each with its code: complete (30), types (31), values (32), in that order over the whole body.

What a field has to be stands in `wxrc_http.sentences.RULES`, under the field's name.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from wxrc_http.answers import Code, Fault
from wxrc_http.sentences import RULES

VISIBLE: Final = re.compile(r"[!-~]{1,64}")
"""1 to 64 visible ASCII characters."""

NUMBERS: Final = frozenset({"msgid", "limit"})
"""The fields of reqBody that are numbers; a carrier whose values are all strings writes them in digits."""

_STRINGS: Final = frozenset({str})
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")


def require(body: Mapping[str, Any], name: str) -> None:
    """Refuse a body without this field (30)."""
    if name not in body:
        raise Fault(Code.BODY_INCOMPLETE, "missing", field=f"reqBody.{name}", rule=RULES[name])


def check_types(body: Mapping[str, Any], kinds: Mapping[str, type[Any]]) -> None:
    """Refuse a field that is there with a value of another JSON type than this one (31); `list` means an array of strings."""
    for name, value in body.items():
        kind = kinds.get(name)
        if kind is None:
            continue  # nobody's field
        # By class and not by isinstance: true is no integer.
        if type(value) is not kind or (kind is list and not set(map(type, value)) <= _STRINGS):
            raise Fault(Code.BODY_TYPE, "type", field=f"reqBody.{name}", rule=RULES[name])


def wrong(name: str) -> Fault:
    """Return the fault of a field whose value is not what it has to be (32)."""
    return Fault(Code.BODY_VALUE, "value", field=f"reqBody.{name}", rule=RULES[name])


def string(body: Mapping[str, Any], name: str, longest: int) -> str:
    """Return a string of 1 to `longest` code points without NUL and lone surrogates; empty where there is none (else 32)."""
    if name not in body:
        return ""
    value: str = body[name]
    if not fits(value, longest):
        raise wrong(name)
    return value


def strings(body: Mapping[str, Any], name: str, most: int, longest: int) -> tuple[str, ...]:
    """Return at most `most` strings, each as in `string` (else 32)."""
    if name not in body:
        return ()
    values: list[str] = body[name]
    if len(values) > most:
        raise wrong(name)
    for value in values:
        if not fits(value, longest):
            raise wrong(name)
    return tuple(values)


def integer(body: Mapping[str, Any], name: str, default: int, lowest: int, highest: int) -> int:
    """Return an integer within these limits (else 32)."""
    value: int = body.get(name, default)
    if not lowest <= value <= highest:
        raise wrong(name)
    return value


def day(body: Mapping[str, Any], name: str) -> str:
    """Return a real date as `yyyymmdd` (else 32)."""
    value: str = body[name]
    if not _DAY.fullmatch(value):
        raise wrong(name)
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError as error:
        raise wrong(name) from error
    return value


def fits(value: str, longest: int) -> bool:
    """Tell whether a string has 1 to `longest` code points and neither NUL nor lone surrogates."""
    return 0 < len(value) <= longest and _UNFIT.search(value) is None


_DAY: Final = re.compile(r"[0-9]{8}")
