"""The OpenAPI document: valid, complete, in two languages, and with examples that conform to it."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.openapi import answer_place, errors, pointer, strict_document
from wxrc_http import INTERFACES, Code, bodies
from wxrc_http.openapi import ANSWERS, CALLBACKS, LANGUAGES
from wxrc_http.openapi.examples import callback_example, request_example
from wxrc_http.sentences import RULES
from wxrc_service.admin_api import ADMIN_ROUTES
from wxrc_service.openapi import whole_document
from wxrc_service.openapi_admin import ADMIN_ANSWERS

CHINESE = re.compile(r"[\u4e00-\u9fff]")
DOCUMENTS = {language: whole_document(english=language == "en") for language in LANGUAGES}
PARTS = (msgspec.Struct, bodies.Expiring, bodies.ToRoom, bodies.ToPerson)
BODIES = [
    kind
    for kind in vars(bodies).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in PARTS
]


def places(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every place of a document with what stands there."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        yield from places(each, *path, str(name))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_valid(language: str) -> None:
    """openapi-spec-validator finds nothing wrong, and no reference leads nowhere."""
    whole = msgspec.json.decode(msgspec.json.encode(DOCUMENTS[language]))

    assert [] == list(OpenAPIV31SpecValidator(whole).iter_errors())
    known = {pointer(*path) for path, _ in places(whole)}
    assert set() == {value for path, value in places(whole) if path and path[-1] == "$ref"} - known


def test_every_interface_is_in_it() -> None:
    """Each interface is there by POST and by GET, with both languages, all codes and every HTTP status."""
    whole = DOCUMENTS["en"]

    paths = {path: operations for path, operations in whole["paths"].items() if path.startswith("/api/")}
    assert [f"/api/{name}" for name in INTERFACES] == list(paths)
    assert set(INTERFACES) == set(ANSWERS)
    assert set(CALLBACKS) == set(whole["webhooks"])
    for path in paths.values():
        for operation in (path["post"], path["get"]):
            answers = operation["responses"]
            codes = {f"{code}_{language}" for code in Code if code != "0" for language in LANGUAGES}
            assert {"200", "400", "408", "413", "429", "431", "503"} == set(answers)
            assert {*LANGUAGES, *codes} == set(answers["200"]["content"]["application/json"]["examples"])
        for content in path["post"]["requestBody"]["content"].values():
            assert set(LANGUAGES) == set(content["examples"])


def test_every_admin_route_is_in_it() -> None:
    """Each route of the admin API is there with its role, its body's fields and a token; nothing else is."""
    whole = DOCUMENTS["en"]
    assert {f"{route.method} {route.path}" for route in ADMIN_ROUTES} == set(ADMIN_ANSWERS), "say what it answers there"
    for route in ADMIN_ROUTES:
        operation = whole["paths"][f"/admin/api{route.path}"][route.method.lower()]
        assert ([{"token": []}], True) == (operation["security"], operation["description"].endswith(route.role))
        [declared] = msgspec.json.schema_components([route.body])[1].values()
        assert ("requestBody" in operation) == bool(declared["properties"])
        if declared["properties"]:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert declared["properties"] == whole["components"]["schemas"][schema]["properties"]


def test_without_an_admin_api_it_is_not_told_of() -> None:
    """The document of an application that serves no admin API has nothing of one."""
    assert "dmin" not in str(whole_document(english=True, admin=False))


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_every_field_is_in_it(kind: type[msgspec.Struct]) -> None:
    """Every field of every reqBody is there, with its limits as they are checked, and with what it has to be."""
    found = DOCUMENTS["en"]["components"]["schemas"][kind.__name__]

    assert set(kind.__struct_fields__) == set(found["properties"])
    assert {name: RULES[name].en for name in kind.__struct_fields__} == {
        name: rule["description"] for name, rule in found["properties"].items()
    }
    declared = msgspec.json.schema_components([kind])[1][kind.__name__]
    for name, rule in declared["properties"].items():
        shown = {key: value for key, value in found["properties"][name].items() if key != "description"}
        assert name == "app" or shown == rule
    assert declared["required"] == found["required"]


def test_interfaces_take_what_is_declared() -> None:
    """The document of each interface points to the declaration that its requests are checked by."""
    for name, interface in INTERFACES.items():
        content = DOCUMENTS["en"]["paths"][f"/api/{name}"]["post"]["requestBody"]["content"]
        wanted = pointer("components", "schemas", interface.body.__name__)

        assert wanted == content["application/json"]["schema"]["properties"]["reqBody"]["$ref"]
        form = content["application/x-www-form-urlencoded"]["schema"]["properties"]["reqBody"]
        assert wanted == form["contentSchema"]["$ref"]


def test_two_languages() -> None:
    """Whatever is said in words is said in Chinese in the one document and in English in the other."""
    words = {
        language: {
            path: value
            for path, value in places(DOCUMENTS[language])
            if path and path[-1] in ("description", "summary") and isinstance(value, str) and "properties" != path[-2]
        }
        for language in LANGUAGES
    }

    assert words["zh"].keys() == words["en"].keys()
    assert len(words["en"]) > 300
    assert {} == {path: text for path, text in words["en"].items() if CHINESE.search(text)}
    assert set() == {text for text in words["zh"].values() if not CHINESE.search(text)} - {'{"result": "success"}'}


def test_every_field_says_what_it_means() -> None:
    """No field of a schema is without a description."""
    schemas = DOCUMENTS["en"]["components"]["schemas"]
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, rule in schema.get("properties", {}).items()
        if not name.startswith("Admin") and not rule.get("description")
    ]

    assert [] == silent


@pytest.mark.parametrize("language", LANGUAGES)
def test_examples_conform(language: str) -> None:
    """Each example conforms to the schema beside it, in each place where there is one."""
    whole = strict_document()
    looked_at = 0
    for path, value in places(DOCUMENTS[language]):
        if not (isinstance(value, dict) and "schema" in value and path[-1] != "schema"):
            continue
        schema = jsonschema_rs.Draft202012Validator({**whole, "$ref": pointer(*path, "schema")})
        shown = value.get("examples", {"": {"value": value["example"]}} if "example" in value else {})
        for example in shown.values():
            if "$ref" in example:
                name = example["$ref"].rpartition("/")[2]
                example = DOCUMENTS[language]["components"]["examples"][name]
            looked_at += 1
            assert [] == [error.message for error in schema.iter_errors(example["value"])], path

    assert looked_at > 500


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (answer_place("login", 200), {"resHead": {}, "resBody": {"rtCode": "0"}}),
        (answer_place("login", 200), {"resHead": {}, "resBody": {"rtCode": "0", "rtMsg": "x", "new": 1}}),
        (answer_place("login", 200), {"resHead": {}, "resBody": {"rtCode": "99", "rtMsg": "x"}}),
        (answer_place("botStatus", 200), {"resHead": {}, "resBody": {"rtCode": "0", "rtMsg": "x"}}),
        (answer_place("login", 503), {"resHead": {}, "resBody": {"rtCode": "0", "rtMsg": "x"}}),
        (answer_place("nothing", 200), {"resHead": {}, "resBody": {"rtCode": "0", "rtMsg": "x"}}),
    ],
)
def test_the_judge_judges(place: str, wrong: object) -> None:
    """An answer without a field, with one more, or with a code that is none does not conform."""
    assert [] != errors(place, wrong)


@pytest.mark.parametrize(
    ("interface", "changes", "fits"),
    [
        ("roomSendText", {"roomId": "1"}, False),  # roomTopic is there as well
        ("userSendText", {"userId": "1"}, False),
        ("roomSendText", {"text": ""}, False),
        ("roomSendText", {"text": "x" * 4_001}, False),
        ("roomSendText", {"expiresIn": 604_801}, False),
        ("roomSendApp", {"app": {"title": "x", "pagepath": "x"}}, False),
        ("roomSendApp", {"app": "{}"}, True),
        ("msgStatus", {"msgid": 0}, False),
        ("roomSendText", {"unknown": 1}, True),
    ],
)
def test_bodies_are_described_as_they_are_checked(interface: str, changes: dict[str, Any], fits: bool) -> None:
    """What belongs together, and the limits, are in the schemas of requests; unknown fields are no error."""
    schema = pointer("components", "schemas", INTERFACES[interface].body.__name__)
    judge = jsonschema_rs.Draft202012Validator({"$ref": schema, **DOCUMENTS["en"]})

    assert judge.is_valid(request_example(interface, "en")["reqBody"])
    assert fits == judge.is_valid({**request_example(interface, "en")["reqBody"], **changes})


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_have_every_language(name: str) -> None:
    """A callback's example reads in Chinese and in English where it has words."""
    zh, en = (callback_example(name, language) for language in LANGUAGES)

    assert not CHINESE.search(str(en))
    assert (zh == en) == (name in ("qrCode", "sendStatus"))
