"""The bracket form (wire.md, section 1, carriers, v0.3): `reqHead[chid]=...&reqBody[app][title]=...&reqBody[atList][0]=...`.

It is what Node's `qs` makes of nested objects: `[name]` is a member, `[0]`, `[1]`, ... or `[]` are the elements of an array, in order.
Every value is a string, so a field that is due a number is read as one where it is written as one (`fields.NUMBERS`).
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from wxrc_http.answers import Code, Fault
from wxrc_http.fields import NUMBERS
from wxrc_http.sentences import RULES

MAX_DEPTH: Final = 8
"""How many brackets one name may have."""

_NAME: Final = re.compile(r"(reqHead|reqBody)((?:\[[^\[\]]*\])+)")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,3}")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
Part = dict[str, Any] | list[Any]


def envelope(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return `reqHead` and `reqBody` of a form's fields, decoded names and values that begin with one of the two.

    Raises:
        Fault: A name or value cannot be read, or two contradict each other; 11 for the head, 31 for the body.
    """
    whole: dict[str, Any] = {}
    for name, value in pairs:
        field = "reqHead" if name.startswith(b"reqHead") else "reqBody"
        try:
            match = _NAME.fullmatch(name.decode())
            text = value.decode()
        except UnicodeDecodeError as error:
            raise Fault(code(field), "not_utf8", field=field) from error
        if match is None or match[2].count("[") > MAX_DEPTH:
            raise _contradiction(field)
        if not _put(whole, [field, *match[2][1:-1].split("][")], text):
            raise _contradiction(field)
    body = whole.get("reqBody", {})
    if isinstance(body, dict):
        for number in NUMBERS & body.keys():
            if isinstance(body[number], str) and _NUMBER.fullmatch(body[number]):
                body[number] = int(body[number])
    return whole


def code(field: str) -> Code:
    """Return the code of what cannot be read in this field: 11 in the head, 31 in the body."""
    return Code.HEAD_ILLEGAL if field == "reqHead" else Code.BODY_TYPE


def _put(whole: dict[str, Any], path: Sequence[str], text: str) -> bool:
    """Put a value where its name says; False where something else stands there, or an element is out of order."""
    part: Part = whole
    for step, following in zip(path, [*path[1:], None], strict=True):
        new: Any = text if following is None else ([] if following == "" or _INDEX.fullmatch(following) else {})
        if isinstance(part, list):
            index = len(part) if step == "" else int(step) if _INDEX.fullmatch(step) else -1
            if index == len(part):
                part.append(new)
            elif index != len(part) - 1 or following is None:
                return False
            found = part[index]
        else:
            if step == "" or (step in part and following is None):
                return False
            found = part.setdefault(step, new)
        if following is None:
            return True
        if found.__class__ is not new.__class__:
            return False
        part = found
    return True


def _contradiction(field: str) -> Fault:
    return Fault(code(field), "bracket", field=field, rule=RULES[field], depth=MAX_DEPTH)
