"""Hints: where an unknown field looks like a misspelt known one, the answer is the same and says so (wire.md, "Unknown fields")."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from wxrc_http.answers import sentence
from wxrc_http.head import REQUIRED

MOST: Final = 5
"""So many hints an answer has at most, and so many unknown fields are looked at for each: comparing costs time."""

HEAD_FIELDS: Final = frozenset({*REQUIRED, "sign", "signType"})

_LONGEST: Final = 32
_ALIKE: Final = 0.8


def hints(head: Mapping[str, Any], body: Mapping[str, Any], kind: type[Struct], english: bool) -> dict[str, list[str]]:
    """Return the field `hints` for an answer; nothing where there is nothing to say."""
    known = _known(kind)
    if head.keys() <= HEAD_FIELDS and body.keys() <= known:
        return {}
    found = [
        sentence("hint", english, {"unknown": f"{where}.{unknown}", "known": f"{where}.{meant}"})
        for where, fields, names in (("reqHead", head, HEAD_FIELDS), ("reqBody", body, known))
        for unknown, meant in _misspelt(fields, names)
    ]
    return {"hints": found[:MOST]} if found else {}


@lru_cache(maxsize=64)
def _known(kind: type[Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__)


def _misspelt(fields: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, str]]:
    by_letters = {_letters(name): name for name in sorted(known)}
    unknown = [name for name in fields if name not in known and len(name) <= _LONGEST]
    for name in unknown[:MOST]:
        meant = get_close_matches(_letters(name), by_letters, n=1, cutoff=_ALIKE)
        if meant:
            yield name, by_letters[meant[0]]


def _letters(name: str) -> str:
    """Return a name without what is written one way or the other: `room_topic` is `roomTopic`."""
    return name.lower().replace("_", "").replace("-", "")
