"""The OpenAPI 3.1 document of the wire (wire.md): every interface, and callbacks as webhooks.

`document` is written from the very declarations that requests are checked by (`wxrc_http.bodies`, `wxrc_http.interfaces`), so it cannot
promise another field or limit than is checked.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from wxrc_core.signing import SIGN, WITH_INTERFACE
from wxrc_http import bodies
from wxrc_http.interfaces import INTERFACES, Interface
from wxrc_http.openapi.answers import ANSWERS, CALLBACKS
from wxrc_http.openapi.examples import (
    HEAD,
    LANGUAGES,
    REFUSALS,
    SIGNATURE,
    STATUS_EXAMPLES,
    answer_example,
    callback_example,
    refusal_example,
    request_example,
)
from wxrc_http.openapi.schemas import Schema, answer_schema, component, ref, schemas
from wxrc_http.openapi.texts import CALLBACK, CALLBACK_FORMATS, INTERFACE, OVERVIEW, PARAMETER, STATUS, TITLE

__all__ = ["ANSWERS", "CALLBACKS", "LANGUAGES", "document"]

_TYPES: Final = [WITH_INTERFACE, *(name for name in SIGN if name != WITH_INTERFACE), "RSA"]
_WAITS: Final = (429, 503)


def document(*, english: bool, base: str = "", version: str = "0") -> dict[str, Any]:
    """Return the OpenAPI document of the wire.

    Args:
        english: What it says in words is English; Chinese otherwise. Examples are in both languages either way.
        base: The path under which `/api/` is found, without a slash at its end.
        version: The release that serves it.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE[english],
            "version": version,
            "description": OVERVIEW[english],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base or "/"}],
        "security": [{"signature": []}, {}],
        "paths": {f"/api/{name}": _path(name, interface, english) for name, interface in INTERFACES.items()},
        "webhooks": {name: {"post": _callback(name, english)} for name in CALLBACKS},
        "components": {
            "schemas": schemas(english),
            "parameters": _parameters(english),
            "responses": {f"Status{status}": _refused(status, english) for status in STATUS_EXAMPLES},
            "examples": _refusals(),
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Ecaspsplus-Signature",
                    "description": PARAMETER["X-Ecaspsplus-Signature"][english],
                }
            },
        },
    }


# -- interfaces -----------------------------------------------------------------------------------------------------------------


def _path(name: str, interface: Interface, english: bool) -> Schema:
    return {
        "parameters": [ref("SignatureType", "parameters"), ref("Language", "parameters")],
        "post": _operation(name, english) | {"operationId": name, "requestBody": _request(name, interface)},
        "get": _operation(name, english)
        | {
            "operationId": f"{name}ByQuery",
            "parameters": [
                _query("reqHead", ref("ReqHead"), HEAD, required=True),
                _query("reqBody", component(interface.body), request_example(name, "zh")["reqBody"], required=False),
            ],
        },
    }


def _operation(name: str, english: bool) -> Schema:
    refusals = {
        f"{code}_{language}": ref(f"rtCode{code}_{language}", "examples") for code in REFUSALS for language in LANGUAGES
    }
    answers: Schema = {language: {"value": answer_example(name, language)} for language in LANGUAGES}
    schema = answer_schema(component(ANSWERS[name]), ref("Refusal"), english=english)
    return {
        "tags": ["channel"],
        "summary": INTERFACE[name][english],
        "responses": {
            "200": {
                "description": STATUS[200][english],
                "content": {"application/json": {"schema": schema, "examples": answers | refusals}},
            },
            **{str(status): ref(f"Status{status}", "responses") for status in STATUS_EXAMPLES},
        },
    }


def _request(name: str, interface: Interface) -> Schema:
    examples = {language: request_example(name, language) for language in LANGUAGES}
    envelope = {"reqHead": ref("ReqHead"), "reqBody": component(interface.body)}
    texts = {
        part: {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
        for part, schema in envelope.items()
    }
    required = ["reqHead"] if interface.body in (bodies.Empty, bodies.Page) else ["reqHead", "reqBody"]
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": envelope, "required": required},
                "examples": {language: {"value": value} for language, value in examples.items()},
            },
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": texts, "required": required},
                "examples": {language: {"value": _as_texts(value)} for language, value in examples.items()},
            },
        },
    }


def _as_texts(envelope: Mapping[str, Any]) -> dict[str, str]:
    return {part: _json(value) for part, value in envelope.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _query(name: str, schema: Schema, example: object, *, required: bool) -> Schema:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"name": name, "in": "query", "required": required, "content": content}


def _parameters(english: bool) -> Schema:
    return {
        "SignatureType": {
            "name": "X-Ecaspsplus-SignatureType",
            "in": "header",
            "description": PARAMETER["X-Ecaspsplus-SignatureType"][english],
            "schema": {"type": "string", "enum": _TYPES},
            "example": WITH_INTERFACE,
        },
        "Language": {
            "name": "Accept-Language",
            "in": "header",
            "description": PARAMETER["Accept-Language"][english],
            "schema": {"type": "string", "maxLength": 256},
            "example": "zh",
        },
    }


def _refused(status: int, english: bool) -> Schema:
    retry_after = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}, "example": 1}}
    examples = {language: {"value": refusal_example(STATUS_EXAMPLES[status], language)} for language in LANGUAGES}
    return {
        "description": STATUS[status][english],
        **({"headers": retry_after} if status in _WAITS else {}),
        "content": {
            "application/json": {"schema": answer_schema(ref("Refusal"), english=english), "examples": examples}
        },
    }


def _refusals() -> Schema:
    return {
        f"rtCode{code}_{language}": {"value": refusal_example(refusal, language)}
        for code, refusal in REFUSALS.items()
        for language in LANGUAGES
    }


# -- callbacks ------------------------------------------------------------------------------------------------------------------


def _callback(name: str, english: bool) -> Schema:
    examples = {language: callback_example(name, language) for language in LANGUAGES}
    whole: Schema = {
        "type": "object",
        "properties": {"reqHead": {"type": "object"}, "reqBody": component(CALLBACKS[name])},
        "required": ["reqHead", "reqBody"],
    }
    texts: Schema = {
        "type": "object",
        "properties": {
            "reqHead": {"type": "string", "contentMediaType": "application/json"},
            "reqBody": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": component(CALLBACKS[name]),
            },
        },
        "required": ["reqHead", "reqBody"],
    }
    acknowledged = {"type": "object", "properties": {"result": {"const": "success"}}, "required": ["result"]}
    return {
        "tags": ["callback"],
        "operationId": f"{name}Callback",
        "summary": CALLBACK[name][english],
        "description": CALLBACK_FORMATS[english],
        "security": [],
        "parameters": _callback_headers(english),
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": texts,
                    "examples": {language: {"value": _as_texts(value)} for language, value in examples.items()},
                },
                "application/json": {
                    "schema": whole,
                    "examples": {language: {"value": value} for language, value in examples.items()},
                },
            },
        },
        "responses": {
            "200": {
                "description": '{"result": "success"}',
                "content": {"application/json": {"schema": acknowledged, "example": {"result": "success"}}},
            },
        },
    }


def _callback_headers(english: bool) -> list[Schema]:
    examples = {
        "webhook-id": "msg_crm_108",
        "webhook-timestamp": "1795483800",
        "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        "X-Ecaspsplus-Signature": SIGNATURE[:32],
        "X-Ecaspsplus-SignatureType": "MD5",
    }
    texts = {**PARAMETER, "X-Ecaspsplus-Signature": PARAMETER["callback X-Ecaspsplus-Signature"]}
    return [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": texts[name][english],
            "schema": {"type": "string"},
            "example": example,
        }
        for name, example in examples.items()
    ]
