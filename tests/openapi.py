"""The OpenAPI document as a judge: does an answer, a callback or an example conform to it?

Strictly: a field that the document does not name is an error here, although clients are to ignore such fields.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from wxrc_http import INTERFACES
from wxrc_service.openapi import whole_document


def pointer(*parts: str) -> str:
    """Return a reference to a place in the document."""
    return "#/" + "/".join(quote(part.replace("~", "~0").replace("/", "~1")) for part in parts)


def answer_place(interface: str, status: int) -> str:
    """Return the place of the schema of an interface's answers with this HTTP status."""
    if status == 200 and interface in INTERFACES:
        responses = ("paths", f"/api/{interface}", "post", "responses", "200")
    else:
        # What is refused before the interface is looked at, or names none, is refused everywhere in the same way.
        responses = ("components", "responses", f"Status{status if status not in (200, 405) else 400}")
    return pointer(*responses, "content", "application/json", "schema")


def admin_place(method: str, path: str, status: int) -> str:
    """Return the place of the schema of an answer of the admin API; `path` is below `/admin/api`."""
    for template, operations in strict_document()["paths"].items():
        fits = re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), f"/admin/api{path}")
        if fits and method.lower() in operations and status not in (404, 405):
            responses = ("paths", template, method.lower(), "responses", str(status))
            return pointer(*responses, "content", "application/json", "schema")
    return pointer("components", "schemas", "AdminError")


def errors(place: str, value: object) -> list[str]:
    """Return what of a value does not conform to the schema at a place."""
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in _judge(place).iter_errors(value)]


@lru_cache
def strict_document() -> dict[str, Any]:
    """Return the document, in which an object may have no field but those that are named."""
    found = whole_document(english=True)
    for schema in _schemas(found):
        if "properties" in schema:
            schema["additionalProperties"] = False
    return found


@lru_cache
def _judge(place: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": place, **strict_document()})


def _schemas(value: object) -> Iterator[dict[str, Any]]:
    """Yield every object within a value, itself among them."""
    if isinstance(value, dict):
        yield value
    nested = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in nested:
        yield from _schemas(each)
