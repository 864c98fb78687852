"""JSON, read strictly: what two readers could understand differently is refused.

A signature covers the text, an interface acts on what was read from it; so there must be one reading only. Beyond RFC 8259 this refuses
repeated names in an object, nesting deeper than `MAX_DEPTH` and numbers without a finite value. It does take the escape of a lone
surrogate, as JSON's grammar does; whoever uses such a string must refuse it (`wxrc_http.fields`).

msgspec reads and silently keeps the last of repeated names. That nothing was dropped is shown in one of three ways, the cheapest first:

1. What was read, written again, is the very text (1 us): most clients write compact JSON.
2. The text has as many colons as that (2 us): each member of an object has one, and so has each colon inside a string.
3. Otherwise, or where a colon may be written as an escape, or where msgspec refuses the text, it is read again by the slower standard
   library, which tells what is wrong and where.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, NoReturn

import msgspec

MAX_DEPTH: Final = 32
"""How deep objects and arrays may be nested."""

MAX_ELEMENTS: Final = 10_000
"""How many objects, arrays, members and elements there may be, those in strings that look like some included."""

_BOM: Final = b"\xef\xbb\xbf"


class Unreadable(ValueError):
    """The text is not JSON as we read it.

    Attributes:
        why: What is wrong.
        member: The name of the top-level member in which it is wrong; empty where it is outside of all.
        name: The repeated name, where `why` is `repeated`.
    """

    def __init__(self, why: "Why", member: str = "", name: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.member = member
        self.name = name


Why = Literal["syntax", "not_utf8", "bom", "repeated", "depth", "elements", "number"]


class Member(NamedTuple):
    """One member of an object: its name, its value, and where the value's text begins and ends."""

    name: str
    value: Any
    start: int
    end: int


def parse(raw: bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        Unreadable: It is not JSON as we read it.
    """
    if len(raw) > MAX_ELEMENTS and raw.count(b",") + raw.count(b"{") + raw.count(b"[") > MAX_ELEMENTS:
        # Reading it to find out where would cost what this spares us. A head has never that many.
        raise Unreadable("elements", "reqHead" if b'"reqHead"' in raw and b'"reqBody"' not in raw else "reqBody")
    try:
        value = _decode(raw)
        again = _encode(value)
        if again == raw or (b"\\u003" not in raw and raw.count(b":") == again.count(b":")):
            if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
                _check_depth(value, MAX_DEPTH)
            return value
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so is a UnicodeDecodeError
        pass
    return _parse_slowly(raw)


def members(text: str, at: int = 0) -> tuple[Sequence[Member], int]:
    """Return the members of the object that begins at `at`, and where it ends.

    Raises:
        Unreadable: No readable object begins there.
    """
    found: list[Member] = []
    at = _expect(text, at, "{")
    if text.startswith("}", at):
        return found, at + 1
    while True:
        if not text.startswith('"', at):
            raise Unreadable("syntax")
        name, at = _value(text, at, "")
        at = _expect(text, at, ":")
        value, end = _value(text, at, name)
        found.append(Member(name, value, at, end))
        at = _skip(text, end)
        if text.startswith("}", at):
            return found, at + 1
        at = _expect(text, at, ",")


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise RecursionError
    kind = value.__class__
    if kind is dict or kind is list:
        for item in value.values() if kind is dict else value:
            if item.__class__ is dict or item.__class__ is list:
                _check_depth(item, left - 1)


def _parse_slowly(raw: bytes) -> Any:
    if raw.startswith(_BOM):
        raise Unreadable("bom")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", _member_at(raw, error.start)) from error
    at = _skip(text, 0)
    value: Any
    if text.startswith("{", at):
        found, end = members(text, at)
        value = {}
        for member in found:
            if member.name in value:
                raise Unreadable("repeated", member.name, member.name)
            value[member.name] = member.value
    else:
        value, end = _value(text, at, "")
    if _skip(text, end) != len(text):
        raise Unreadable("syntax")
    return value


def _member_at(raw: bytes, position: int) -> str:
    """Return the top-level member in which a byte stands that is not UTF-8; as far as can be told."""
    good = raw[:position].decode()
    try:
        # The bad byte becomes a control character, which no JSON text has: reading stops there and says in which member.
        members(good + "\0")
    except Unreadable as unreadable:
        return unreadable.member
    return ""


def _value(text: str, at: int, member: str) -> tuple[Any, int]:
    try:
        value, end = _SLOW.raw_decode(text, at)
        _check_depth(value, MAX_DEPTH - 1 if member else MAX_DEPTH)
    except _Repeated as repeated:
        raise Unreadable("repeated", member, repeated.name) from repeated
    except _Number as number:
        raise Unreadable("number", member) from number
    except RecursionError as error:
        raise Unreadable("depth", member) from error
    except ValueError as error:
        raise Unreadable("syntax", member) from error
    return value, end


def _expect(text: str, at: int, sign: str) -> int:
    at = _skip(text, at)
    if not text.startswith(sign, at):
        raise Unreadable("syntax")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it matches the empty text as well
    return match.end()


class _Repeated(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class _Number(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Repeated(name)
            seen.add(name)
    return found


def _int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python's own limit, which msgspec keeps as well: 4300 digits
        raise _Number from error


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Number
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN, Infinity: the standard library takes them, JSON has no such thing


_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SLOW: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant, strict=True
)
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
