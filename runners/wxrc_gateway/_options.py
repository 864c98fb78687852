"""What an embedding program passes: the options of a gateway and the arguments of its calls, checked by their declared types."""

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from wxrc_core.errors import InvalidValue
from wxrc_core.localized import LocalizedText
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
            text = LocalizedText(
                "{call} 的 {name}：没有这个字段；有：{names}",
                "{name} of {call}: there is no such field; there are: {names}",
            )
            raise InvalidValue(text.filled(name=f"{name!r:.80}", call=call, names=names), f"{name:.80}")
    try:
        found = msgspec.convert(values, kind)
        msgspec.json.encode(found)  # a lone surrogate is no text
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
        field = missing[1] if missing else where.rstrip("`")
        said = _sentence(field.partition("[")[0], what)
        raise InvalidValue(
            LocalizedText(f"{call} 的 {field or '值'} {said.zh}", f"{field or 'a value'} of {call} {said.en}"), field
        ) from None
    except UnicodeEncodeError:
        field = next(name for name, value in values.items() if not _is_text(value))
        raise InvalidValue(
            LocalizedText(
                f"{call} 的 {field} 应为有效文本，不含无法表示为字符的字节",
                f"{field} of {call} must be proper text, without bytes that are no characters",
            ),
            field,
        ) from None
    for name, value in values.items():
        if "\0" in _text_of(value):
            raise InvalidValue(
                LocalizedText(f"{call} 的 {name} 不能含 NUL", f"{name} of {call} must not have a NUL in it"), name
            )
    return found


_FORMS = {
    "public_url": LocalizedText("应以 http:// 或 https:// 开头", "must start with http:// or https://"),
    "txcode": LocalizedText("应由可见 ASCII 字符组成", "must consist of visible ASCII characters"),
}
"""What the patterns above mean."""

_WORDS = {
    "str": LocalizedText("文本", "a text"),
    "int": LocalizedText("整数", "a whole number"),
    "float": LocalizedText("数字", "a number"),
    "bool": LocalizedText("True 或 False", "True or False"),
    "array": LocalizedText("序列", "a sequence"),
    "null": LocalizedText("None", "None"),
}
_BOUNDS = {
    ">": LocalizedText("大于", "more than"),
    ">=": LocalizedText("至少", "at least"),
    "<": LocalizedText("小于", "less than"),
    "<=": LocalizedText("最多", "at most"),
}


def _word(kind: str) -> LocalizedText:
    return _WORDS.get(kind, LocalizedText(kind, kind))


def _sentence(field: str, said: str) -> LocalizedText:
    """Return what would be right, in words, from what msgspec says of a field."""
    if "matching regex" in said:
        return _FORMS[field]
    if length := re.fullmatch(r"Expected `\w+` of length (>=|<=) (\d+)", said):
        if length[2] == "1":
            return LocalizedText("不能为空", "must not be empty")
        bound_of, count = _BOUNDS[length[1]], f"{int(length[2]):,}"
        return LocalizedText(f"应有{bound_of.zh} {count} 个字符", f"must have {bound_of.en} {count} characters")
    if bound := re.fullmatch(r"Expected `\w+` (>=?|<=?) ([\d.]+)", said):
        bound_of, limit = _BOUNDS[bound[1]], f"{float(bound[2]):g}"
        return LocalizedText(f"应{bound_of.zh} {limit}", f"must be {bound_of.en} {limit}")
    if said.startswith("Object missing"):
        return LocalizedText("缺少", "is missing")
    if kind := re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", said):
        wanted, found = [_word(each) for each in kind[1].split(" | ")], _word(kind[2])
        return LocalizedText(
            f"应为{'或'.join(each.zh for each in wanted)}，而不是{found.zh}",
            f"must be {' or '.join(each.en for each in wanted)}, not {found.en}",
        )
    return LocalizedText(f"不能使用：{said}", f"cannot be used: {said[:1].lower()}{said[1:]}")


def _text_of(value: object) -> str:
    return "".join(value if isinstance(value, tuple | list) else [value] if isinstance(value, str) else [])


def _is_text(value: object) -> bool:
    try:
        _text_of(value).encode()
    except UnicodeEncodeError:
        return False
    return True
