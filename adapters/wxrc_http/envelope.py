"""From what came over HTTP to an envelope: `reqHead`, `reqBody` and the text T that is signed (wire.md, section 1, "Requests").

T is the body's bytes for JSON; the decoded text of `reqHead`, followed at once by that of `reqBody`, for a form and a query; and empty
for the bracket form, which only RSA can sign.
"""

from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from wxrc_http import bracket
from wxrc_http.answers import Code, Fault
from wxrc_http.sentences import RULES, LocalizedText
from wxrc_http.strict_json import MAX_DEPTH, MAX_ELEMENTS, Unreadable, members, parse

MAX_FORM_FIELDS: Final = 512
"""How many fields a form may have; those beside `reqHead` and `reqBody` are ignored."""

Carrier: TypeAlias = Literal["json", "form", "bracket"]

_WHOLE: Final = LocalizedText("请求体", "The request body")


class Envelope(NamedTuple):
    """A request as it was read.

    Attributes:
        head: `reqHead`.
        body: `reqBody`; empty where it is absent.
        text: T, as sent; empty for the bracket form.
        carrier: What it came in; a query is a form, or a bracket form.
    """

    head: dict[str, Any]
    body: dict[str, Any]
    text: bytes
    carrier: Carrier

    def text_without_sign(self) -> bytes:
        """Return T with the value of `reqHead.sign` emptied and everything else as it was sent, to the byte."""
        if self.carrier == "bracket":
            return b""
        text = self.text.decode()
        start = 0
        if self.carrier == "json":
            start = next(member.start for member in members(text)[0] if member.name == "reqHead")
        sign = next(member for member in members(text, start)[0] if member.name == "sign")
        return (text[: sign.start] + '""' + text[sign.end :]).encode()


def from_json(raw: bytes) -> Envelope:
    """Read the JSON carrier.

    Raises:
        Fault: It is not one; 10 or 11 for the head, 31 for the body and the whole.
    """
    if not raw:
        raise Fault(Code.HEAD_INCOMPLETE, "empty")
    try:
        whole = parse(raw)
    except Unreadable as unreadable:
        raise _unreadable(unreadable, unreadable.member) from unreadable
    if whole.__class__ is not dict:
        raise Fault(Code.BODY_TYPE, "not an object")
    return _envelope(whole, raw, "json")


def from_form(raw: bytes) -> Envelope:
    """Read the form carrier, the query, or the bracket form in either.

    Raises:
        Fault: It is not one; 10 or 11 for the head, 31 for the body and the whole.
    """
    texts: dict[str, bytes] = {}
    bracketed: list[tuple[bytes, bytes]] = []
    if raw.count(b"&") >= MAX_FORM_FIELDS:
        raise Fault(Code.BODY_TYPE, "fields", limit=MAX_FORM_FIELDS)
    for part in raw.split(b"&"):
        encoded, _, value = part.partition(b"=")
        name = _unquote(encoded)
        if name in (b"reqHead", b"reqBody"):
            field = name.decode()
            if field in texts:
                raise Fault(bracket.code(field), "repeated field", field=field)
            texts[field] = _unquote(value)
        elif name.startswith((b"reqHead[", b"reqBody[")):
            bracketed.append((name, _unquote(value)))
    if bracketed:
        if texts:
            field = bracketed[0][0][:7].decode()
            raise Fault(bracket.code(field), "mixed carriers", field=field)
        return _envelope(bracket.envelope(bracketed), b"", "bracket")
    whole: dict[str, Any] = {}
    for field, text in texts.items():
        if field == "reqBody" and not text:
            continue  # an empty field is no body: what clients send for an interface that takes none
        try:
            whole[field] = parse(text)
        except Unreadable as unreadable:
            raise _unreadable(unreadable, field) from unreadable
    return _envelope(whole, texts.get("reqHead", b"") + texts.get("reqBody", b""), "form")


@lru_cache(maxsize=64)
def carrier(content_type: bytes) -> Literal["json", "form"]:
    """Return which carrier a Content-Type means.

    Raises:
        Fault: None of ours (31).
    """
    kind, *parameters = (part.strip() for part in content_type.decode("latin-1").lower().split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise Fault(Code.BODY_TYPE, "charset")
    if kind == "application/json":
        return "json"
    if kind == "application/x-www-form-urlencoded":
        return "form"
    raise Fault(Code.BODY_TYPE, "content type")


def _envelope(whole: dict[str, Any], text: bytes, kind: Carrier) -> Envelope:
    if "reqHead" not in whole:
        raise Fault(Code.HEAD_INCOMPLETE, "missing", field="reqHead", rule=RULES["reqHead"])
    head, body = whole["reqHead"], whole.get("reqBody", {})
    for field, value in (("reqHead", head), ("reqBody", body)):
        if value.__class__ is not dict:
            raise Fault(bracket.code(field), "type", field=field, rule=RULES[field])
    return Envelope(head, body, text, kind)


def _unreadable(unreadable: Unreadable, field: str) -> Fault:
    named = field if field in ("reqHead", "reqBody") else _WHOLE
    name = unreadable.name.encode("ascii", "backslashreplace").decode()[:64]
    return Fault(bracket.code(field), unreadable.why, field=named, name=name, limit=MAX_DEPTH, most=MAX_ELEMENTS)


def _unquote(encoded: bytes) -> bytes:
    return unquote_to_bytes(encoded.replace(b"+", b" "))
