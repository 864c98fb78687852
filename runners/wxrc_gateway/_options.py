"""What an embedding program passes: the options of a gateway and the arguments of its calls, checked by their declared types."""

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from wxrc_core.errors import InvalidValue
from wxrc_core.message import Verdict


class Options(Struct, frozen=True):
    """See `Gateway` for their meaning."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    public_url: Annotated[str, Meta(pattern="^https?://", max_length=2000)]
    send_limit_s: Annotated[float, Meta(gt=0, le=3600)]
    drain_limit_s: Annotated[float, Meta(ge=0, le=3600)]
    passive: bool
    probe_every_s: Annotated[float, Meta(gt=0, le=3600)]


class SendArguments(Struct, frozen=True, kw_only=True):
    """See `wxrc_gateway.message_calls.MessageCalls` for their meaning."""

    botcode: str
    room: str
    room_id: str
    user: str = ""
    user_id: str = ""
    txcode: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+$")] | None
    expires_at: int | None
    wait_s: Annotated[float, Meta(ge=0, le=86_400)]


class TextArguments(SendArguments, frozen=True, kw_only=True):
    """See `Gateway.send_text` for their meaning."""

    text: Annotated[str, Meta(min_length=1, max_length=4_000)]
    mention: tuple[str, ...]


class CardArguments(Struct, frozen=True):
    """See `wxrc_core.content.Card` for their meaning."""

    title: Annotated[str, Meta(min_length=1, max_length=256)]
    page_path: Annotated[str, Meta(min_length=1, max_length=1_024)]
    appid: Annotated[str, Meta(max_length=256)]
    username: Annotated[str, Meta(max_length=256)]
    description: Annotated[str, Meta(max_length=1_024)]
    thumb_url: Annotated[str, Meta(max_length=2_048)]
    thumb_key: Annotated[str, Meta(max_length=1_024)]


class ResolveArguments(Struct, frozen=True):
    """See `doubts.resolve` for their meaning."""

    msgid: int
    verdict: Verdict
    by: Annotated[str, Meta(min_length=1, max_length=200)]


Wanted = TypeVar("Wanted")


def checked(kind: type[Wanted], call: str, /, **values: object) -> Wanted:
    """Return the values, having made sure of their types and limits.

    Args:
        kind: What declares them: a `Struct`, or a `TypedDict` where some may be left out.
        call: What they were passed to, for the sentence.
        values: The values.

    Raises:
        InvalidValue: One cannot be used; the sentence names it and says what would be right.
    """
    known = getattr(kind, "__struct_fields__", None) or kind.__annotations__
    for name in values:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidValue(f"{name!r:.80} of {call}: there is no such field; there are: {names}", f"{name:.80}")
    try:
        found = msgspec.convert(values, kind)
        msgspec.json.encode(found)  # a lone surrogate is no text
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
        field = missing[1] if missing else where.rstrip("`")
        raise InvalidValue(
            f"{field or 'a value'} of {call} {_sentence(field.partition('[')[0], what)}", field
        ) from None
    except UnicodeEncodeError:
        field = next(name for name, value in values.items() if not _is_text(value))
        raise InvalidValue(
            f"{field} of {call} must be proper text, without bytes that are no characters", field
        ) from None
    for name, value in values.items():
        if "\0" in _text_of(value):
            raise InvalidValue(f"{name} of {call} must not have a NUL in it", name)
    return found


_FORMS = {"public_url": "start with http:// or https://", "txcode": "consist of visible ASCII characters"}
"""What the patterns above mean."""

_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "array": "a sequence",
    "null": "None",
}
_BOUNDS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}


def _sentence(field: str, said: str) -> str:
    """Return what would be right, in words, from what msgspec says of a field."""
    if "matching regex" in said:
        return f"must {_FORMS[field]}"
    if length := re.fullmatch(r"Expected `\w+` of length (>=|<=) (\d+)", said):
        return (
            "must not be empty" if length[2] == "1" else f"must have {_BOUNDS[length[1]]} {int(length[2]):,} characters"
        )
    if bound := re.fullmatch(r"Expected `\w+` (>=?|<=?) ([\d.]+)", said):
        return f"must be {_BOUNDS[bound[1]]} {float(bound[2]):g}"
    if said.startswith("Object missing"):
        return "is missing"
    if kind := re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", said):
        wanted = " or ".join(_WORDS.get(each, each) for each in kind[1].split(" | "))
        return f"must be {wanted}, not {_WORDS.get(kind[2], kind[2])}"
    return f"cannot be used: {said[:1].lower()}{said[1:]}"


def _text_of(value: object) -> str:
    return "".join(value if isinstance(value, tuple | list) else [value] if isinstance(value, str) else [])


def _is_text(value: object) -> bool:
    try:
        _text_of(value).encode()
    except UnicodeEncodeError:
        return False
    return True
