"""Checks of reqBody against the declarations in `wxrc_http.bodies`, each with its code: complete (30), types (31), values (32), in that
order over the whole body.

What a field has to be stands in `wxrc_http.sentences.RULES`, under the field's name.
"""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec import inspect as declared

from wxrc_http.answers import Code, Fault
from wxrc_http.sentences import RULES

VISIBLE: Final = re.compile(r"[!-~]{1,64}")
"""1 to 64 visible ASCII characters."""

NUMBERS: Final = frozenset({"msgid", "limit", "expiresIn"})
"""The fields of reqBody that are numbers; a carrier whose values are all strings writes them in digits."""

_STRINGS: Final = frozenset({str})
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")

Body = TypeVar("Body", bound=Struct)


class _Field(NamedTuple):
    """One declared field: the JSON types that it may have, and the check of its value."""

    kinds: frozenset[type]
    fits: Callable[[Any], bool]


@lru_cache(maxsize=64)
def _fields(kind: type[Struct]) -> tuple[Mapping[str, _Field], tuple[str, ...]]:
    """Return the declared fields of a body, and the names of those that are required."""
    found = declared.type_info(kind)
    assert isinstance(found, declared.StructType)
    fields = {field.encode_name: _field(field.type) for field in found.fields}
    required = (field.encode_name for field in found.fields if field.required)
    return fields, tuple(required)


def _field(kind: declared.Type) -> _Field:
    match kind:
        case declared.UnionType(types=options):
            fields = [_field(option) for option in options]
            checks = [(field.kinds, field.fits) for field in fields]
            return _Field(
                frozenset().union(*(field.kinds for field in fields)),
                lambda value: any(type(value) in kinds and fits(value) for kinds, fits in checks),
            )
        case declared.StrType(min_length=least, max_length=most, pattern=pattern):
            return _Field(_STRINGS, _string_check(least or 0, most or sys.maxsize, pattern))
        case declared.IntType(ge=lowest, le=highest):
            assert lowest is not None
            assert highest is not None
            return _Field(frozenset({int}), lambda value: lowest <= value <= highest)
        case declared.ListType(item_type=item, max_length=longest):
            each = _field(item).fits
            return _Field(frozenset({list}), lambda value: len(value) <= (longest or 0) and all(map(each, value)))
        case declared.DictType():
            return _Field(frozenset({dict}), lambda value: True)
    raise TypeError(f"no check for a field of type {kind}")


def _string_check(least: int, most: int, pattern: str | None) -> Callable[[str], bool]:
    unfit, shape = _UNFIT.search, re.compile(pattern).fullmatch if pattern else None

    def fits(value: str) -> bool:
        return least <= len(value) <= most and unfit(value) is None and (shape is None or shape(value) is not None)

    return fits


def require(body: Mapping[str, Any], kind: type[Struct], within: str = "reqBody") -> None:
    """Refuse a body without a required field (30)."""
    for name in _fields(kind)[1]:
        require_one(body, name, within)


def require_one(body: Mapping[str, Any], name: str, within: str = "reqBody") -> None:
    """Refuse a body without this field (30)."""
    if name not in body:
        raise Fault(Code.BODY_INCOMPLETE, "missing", field=f"{within}.{name}", rule=RULES[name])


def read(body: Mapping[str, Any], kind: type[Body], within: str = "reqBody") -> Body:
    """Return a complete body by its declaration: first the types of all of its fields are checked (31), then their values (32)."""
    fields, _ = _fields(kind)
    known = {}
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            continue  # nobody's field
        # By class and not by isinstance: true is no integer.
        if value.__class__ not in field.kinds or (value.__class__ is list and not set(map(type, value)) <= _STRINGS):
            raise Fault(Code.BODY_TYPE, "type", field=f"{within}.{name}", rule=RULES[name])
        known[name] = value
    for name, value in known.items():
        if not fields[name].fits(value):
            raise wrong(name, within)
    return kind(**known)


def wrong(name: str, within: str = "reqBody") -> Fault:
    """Return the fault of a field whose value is not what it has to be (32)."""
    return Fault(Code.BODY_VALUE, "value", field=f"{within}.{name}", rule=RULES[name])


def given(value: Any) -> Any:
    """Return a field's value; an empty string where it was not given."""
    return "" if value is msgspec.UNSET else value


def real_day(name: str, value: str) -> str:
    """Return eight digits that are a real date (else 32)."""
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError as error:
        raise wrong(name) from error
    return value
