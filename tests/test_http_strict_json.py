"""JSON that is read strictly: the fast reading and the slow one agree, and what was dropped is always found."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wxrc_http import strict_json
from wxrc_http.strict_json import MAX_DEPTH, Unreadable, _parse_slowly, members, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["", ":", "::", '":"', "\\u003a", "{", "a", "b"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " :\r")])


@given(VALUES, st.booleans(), SEPARATORS)
@example({"a": ":", "b": [":::", {":": ""}]}, True, (",", ":"))
def test_what_was_written_is_read(value: Any, ascii_only: bool, separators: tuple[str, str]) -> None:
    """Any value in any spelling is read as it was written, whether quickly or slowly."""
    raw = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()

    assert value == parse(raw) == _parse_slowly(raw)


class Pairs(dict[str, Any]):
    """An object that is written with one of its members twice."""

    def __init__(self, found: dict[str, Any], name: str, value: Any) -> None:
        super().__init__(found)
        self.again = (name, value)

    def items(self) -> Any:
        """Return the members, and one of them again."""
        return [*super().items(), self.again]


def _nested(value: Any, path: list[str | int]) -> Any:
    for step in reversed(path):
        value = {step: value, "z": ":"} if isinstance(step, str) else [":", *[value] * (step + 1)]
    return value


@given(
    st.dictionaries(TEXT, VALUES, min_size=1, max_size=3),
    VALUES,
    st.lists(TEXT.filter(lambda text: text != "z") | st.integers(0, 2), max_size=4),
    st.booleans(),
    SEPARATORS,
)
@pytest.mark.wire("carrier.repeated", "attack.json")
def test_a_repeated_name_is_found(
    found: dict[str, Any], again: Any, path: list[str | int], ascii_only: bool, separators: tuple[str, str]
) -> None:
    """An object with a name twice is refused at any depth, whatever its values."""
    name = next(iter(found))
    raw = json.dumps(_nested(Pairs(found, name, again), path), ensure_ascii=ascii_only, separators=separators).encode()

    with pytest.raises(Unreadable) as refused:
        parse(raw)
    assert ("repeated", name) == (refused.value.why, refused.value.name)


@given(st.binary(max_size=40) | TEXT.map(str.encode) | st.text('{}[]",:\\u03a01aeE+-. \n', max_size=20).map(str.encode))
def test_garbage(raw: bytes) -> None:
    """Of any bytes, both readings say the same, or both refuse."""
    answers = []
    for read in (parse, _parse_slowly):
        try:
            answers.append(repr(read(raw)))
        except Unreadable:
            answers.append("unreadable")

    assert answers[0] == answers[1]


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.wire("attack.json")
def test_depth(opening: str) -> None:
    """Nesting is possible up to the limit and not beyond."""
    closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
    levels = MAX_DEPTH // len(closing)

    parse((opening * levels + "1" + closing * levels).encode())
    for depth in (levels + 1, 990, 4_900):
        with pytest.raises(Unreadable) as refused:
            parse((opening * depth + "1" + closing * depth).encode())
        assert "depth" == refused.value.why


def test_lone_surrogates_are_for_others_to_refuse() -> None:
    """JSON's grammar has escapes of lone surrogates, so they are read; pairs become one character."""
    assert {"a": "\ud800", "b": "x\udfff"} == parse(b'{"a":"\\ud800","b":"x\\udfff"}')
    assert {"a": "😀"} == parse(b'{"a":"\\ud83d\\ude00"}')


def test_members() -> None:
    """Where each member's value begins and ends is told exactly."""
    text = ' { "a" : 1 , "b":"x" ,"c" :[ {} ]}rest'
    found, end = members(text)

    assert [("a", "1"), ("b", '"x"'), ("c", "[ {} ]")] == [
        (member.name, text[member.start : member.end]) for member in found
    ]
    assert "rest" == text[end:]
    assert ([], 3) == members(" {}")


COSTLY = [b"{},", b"[],", b'"",', b"1,", b'{"a":1},', b'"\\u003a",', b'"\\ud800",', b'{"a":1,"a":2},', b"[", b'{"":']


@pytest.mark.parametrize("unit", COSTLY)
@pytest.mark.wire("attack.cpu")
def test_elements_cost_little(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of the worst kinds is refused by counting, before anything is made of it."""
    raw = b'{"reqHead":{},"reqBody":[' + unit * (1_000_000 // len(unit)) + b"x]}"
    monkeypatch.setattr(strict_json, "_decode", lambda raw: pytest.fail("it was read"))

    with pytest.raises(Unreadable) as refused:
        parse(raw)
    assert ("elements", "reqBody") == (refused.value.why, refused.value.member)
