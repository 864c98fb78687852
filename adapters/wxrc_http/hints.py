"""Hints: where an unknown field looks like a misspelt known one, the answer is the same and says so (wire.md, "Unknown fields")."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct

from wxrc_http.answers import sentence
from wxrc_http.head import REQUIRED

MOST: Final = 5
"""So many hints an answer has at most, and so many unknown fields are looked at for each: comparing costs time."""

HEAD_FIELDS: Final = (*REQUIRED, "sign", "signType")

_LONGEST: Final = 32
_ALIKE: Final = 0.8


def hints(head: Mapping[str, Any], body: Mapping[str, Any], kind: type[Struct], english: bool) -> dict[str, list[str]]:
    """Return the field `hints` for an answer; nothing where there is nothing to say."""
    found = [
        sentence("hint", english, {"unknown": f"{where}.{unknown}", "known": f"{where}.{known}"})
        for where, fields, names in (("reqHead", head, HEAD_FIELDS), ("reqBody", body, kind.__struct_fields__))
        if len(fields.keys() - names)
        for unknown, known in _misspelt(fields, names)
    ]
    return {"hints": found[:MOST]} if found else {}


def _misspelt(fields: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, str]]:
    by_letters = {_letters(name): name for name in known}
    unknown = [name for name in fields if name not in known and len(name) <= _LONGEST]
    for name in unknown[:MOST]:
        meant = get_close_matches(_letters(name), by_letters, n=1, cutoff=_ALIKE)
        if meant:
            yield name, by_letters[meant[0]]


def _letters(name: str) -> str:
    """Return a name without what is written one way or the other: `room_topic` is `roomTopic`."""
    return name.lower().replace("_", "").replace("-", "")
