"""The schemas of the OpenAPI document: from the declarations that requests are checked by, and from those of answers and callbacks."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from wxrc_core.localized import LocalizedText
from wxrc_http import bodies, head
from wxrc_http.answers import Code
from wxrc_http.fields import VISIBLE
from wxrc_http.interfaces import INTERFACES
from wxrc_http.openapi.answers import ANSWERS, CALLBACKS
from wxrc_http.openapi.texts import FIELD
from wxrc_http.sentences import RULES

Schema = dict[str, Any]

_TOGETHER: Final[Mapping[type[Struct], Schema]] = {
    bodies.ToRoom: {"not": {"required": ["roomId", "roomTopic"]}},
    bodies.ToPerson: {"oneOf": [{"required": ["userId"]}, {"required": ["userName"]}]},
    bodies.MessageName: {"anyOf": [{"required": ["msgid"]}, {"required": ["txcode", "txdate"]}]},
    bodies.App: {"anyOf": [{"required": ["appid"]}, {"required": ["username"]}]},
}
"""What holds for several fields of a body together; the interfaces check it."""

_HEAD: Final[Mapping[str, Schema]] = {
    "chid": {"pattern": f"^{VISIBLE.pattern}$"},
    "botcode": {"pattern": f"^{VISIBLE.pattern}$"},
    "txcode": {"pattern": f"^{VISIBLE.pattern}$"},
    "txtime": {"pattern": "^[0-9]{13,14}$"},
    "sign": {},
    "signType": {"enum": ["HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA"]},
}


def ref(name: str, kind: str = "schemas") -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def component(kind: type) -> Schema:
    """Return a reference to the schema of a declared type."""
    return ref(kind.__name__)


def schemas(english: bool) -> Schema:
    """Return every schema by its name, with what each field means in one of the two languages."""
    requests = {each.body for each in INTERFACES.values()} | {bodies.App}
    found = declared([*requests, *ANSWERS.values(), *CALLBACKS.values()])
    for kind in requests:
        for base, rule in _TOGETHER.items():
            if issubclass(kind, base):
                found[kind.__name__] |= rule
        _describe(found[kind.__name__], kind.__name__, RULES, english)
        if "app" in found[kind.__name__]["properties"]:
            as_text = {"type": "string", "contentMediaType": "application/json", "contentSchema": component(bodies.App)}
            found[kind.__name__]["properties"]["app"]["anyOf"] = [component(bodies.App), as_text]
    named = {kind.__name__ for kind in requests}
    for name, schema in found.items():
        if name not in named:
            _describe(schema, name, FIELD, english)
    return dict(sorted((found | {"ReqHead": _head(english), "Refusal": _refusal(english)}).items()))


def declared(kinds: Iterable[type]) -> Schema:
    """Return the schemas of declared types, and of those within them, by name; without their docstrings, which are for programmers."""
    _, found = msgspec.json.schema_components(
        sorted(kinds, key=lambda kind: kind.__name__), ref_template="#/components/schemas/{name}"
    )
    for schema in found.values():
        schema.pop("description", None)
    return found


def _describe(schema: Schema, name: str, texts: Mapping[str, LocalizedText], english: bool) -> None:
    for field, rule in schema.get("properties", {}).items():
        rule["description"] = (texts.get(f"{name}.{field}") or texts[field])[english]


def _head(english: bool) -> Schema:
    properties = {name: {"type": "string", **rule, "description": RULES[name][english]} for name, rule in _HEAD.items()}
    return {"type": "object", "properties": properties, "required": list(head.REQUIRED)}


def _refusal(english: bool) -> Schema:
    refusal: Schema = {
        "type": "object",
        "properties": {
            "rtCode": {"type": "string", "enum": [str(code) for code in Code if code is not Code.DONE]},
            "rtMsg": {"type": "string", "minLength": 1},
            "hints": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["rtCode", "rtMsg"],
    }
    _describe(refusal, "Refusal", FIELD, english)
    return refusal


def answer_schema(*kinds: Schema, english: bool) -> Schema:
    """Return the schema of an answer's envelope, whose resBody is one of these."""
    body: Schema = {"anyOf": list(kinds)} if len(kinds) > 1 else dict(kinds[0])
    return {
        "type": "object",
        "properties": {
            "resHead": {"type": "object", "maxProperties": 0, "description": FIELD["resHead"][english]},
            "resBody": body,
        },
        "required": ["resHead", "resBody"],
    }
