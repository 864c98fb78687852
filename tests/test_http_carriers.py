"""From HTTP to an envelope: the carriers of wire.md, section 1, what cannot be read, sizes and times."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import pytest

from wxrc_http import Api
from wxrc_http.testing import (
    FORM,
    JSON,
    TEXT,
    Caller,
    FakeBackend,
    a_head,
    a_json,
    dumps,
    res_body,
    signed,
)

pytestmark = pytest.mark.anyio


# -- carriers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("carrier.json", "carrier.form", "carrier.query")
async def test_carriers_name_the_same_message(backend: FakeBackend, caller: Caller) -> None:
    """The same request over JSON, form and query, in whatever spelling and order of names, is one message."""
    first = await caller.call("roomSendText", TEXT)
    texts = {"reqHead": dumps(a_head()), "reqBody": dumps(dict(reversed(TEXT.items())))}
    by_form = await caller.call_form("roomSendText", dict(reversed(TEXT.items())))
    by_query = res_body(
        await caller.get("roomSendText", urlencode(texts), signed("".join(texts.values()).encode(), kind="HMAC-SHA256"))
    )

    assert "0" == first["rtCode"]
    assert first == by_form == by_query
    assert 1 == len(backend.log)


@pytest.mark.parametrize("body", [None, {}])
@pytest.mark.wire("carrier.no_body")
async def test_no_body_is_an_empty_body(body: object, backend: FakeBackend, caller: Caller) -> None:
    """An interface that takes none is answered with `reqBody` absent, `{}`, or as an empty form field, and all are one request."""
    text = dumps(a_head()).encode()

    assert "0" == (await caller.call("login", body))["rtCode"]
    assert "0" == (await caller.call("login", {}))["rtCode"]
    for raw in (b"reqHead=" + quote(text).encode(), b"reqHead=" + quote(text).encode() + b"&reqBody="):
        assert "0" == res_body(await caller.send("login", raw, FORM | signed(text)))["rtCode"]
    assert 1 == len(backend.log)


MALFORMED_JSON = [
    (b"", "10", "reqHead"),
    (b" ", "31", "body"),
    (b"{", "31", "body"),
    (b"[]", "31", "reqHead"),
    (b'"x"', "31", "reqHead"),
    (b"null", "31", "reqHead"),
    (b"{}", "10", "reqHead"),
    (b'{"reqBody":{}}', "10", "reqHead"),
    (b'{"reqHead":[]}', "11", "reqHead"),
    (b'{"reqHead":"{}"}', "11", "reqHead"),
    (b'{"reqHead":null}', "11", "reqHead"),
    (b'{"reqHead":{"a":1,}}', "11", "reqHead"),
    (b'{"reqHead":{},"reqBody":[]}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":null}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":"{}"}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"a":}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqHead":{}}', "11", "reqHead"),
    (b'{"reqHead":{"chid":"crm","chid":"crm"}}', "11", "chid"),
    (b'{"reqHead":{"chid":"crm","\\u0063hid":"crm"}}', "11", "chid"),
    (b'{"reqHead":{},"reqBody":{},"reqBody":{}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"text":"a","text":"a"}}', "31", "text"),
    (b'{"reqHead":{},"reqBody":{"a":[{"deep":1,"deep":2}]}}', "31", "deep"),
    (b'{"reqHead":{},"reqBody":{"a":":\\u003a","a":""}}', "31", "a"),
    (b'{"reqHead":{},"x":1,"x":1}', "31", "x"),
    (b'\xef\xbb\xbf{"reqHead":{}}', "31", "byte order mark"),
    (b'{"reqHead":{}} x', "31", "body"),
    (b'{"reqHead":{}}{"reqHead":{}}', "31", "body"),
    (b'{"reqHead":{"chid":"\xff"}}', "11", "reqHead"),
    (b'{"reqHead":{},"reqBody":{"text":"\xed\xa0\x80"}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"text":"\xc3"}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"text":"\x00"}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"a":' + b"[" * 31 + b"]" * 31 + b"}}", "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":' + b"[" * 100_000, "31", "reqBody"),
    (b'{"reqHead":' + b'{"a":' * 40_000, "11", "reqHead"),
    (b"[" * 100_000, "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"a":[' + b"{}," * 10_000 + b"1]}}", "31", "10000"),
    (b'{"reqHead":{"a":[' + b"1," * 10_001 + b"1]}}", "11", "10000"),
    (b'{"reqHead":{},"reqBody":{"a":1e999}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"a":' + b"9" * 5_000 + b"}}", "31", "reqBody"),
    (b'{"reqHead":{"a":' + b"9" * 5_000 + b"}}", "11", "reqHead"),
    (b'{"reqHead":{},"reqBody":{"a":NaN}}', "31", "reqBody"),
    (b'{"reqHead":{},"reqBody":{"a":-Infinity}}', "31", "reqBody"),
    (dumps({"reqHead": {}}).encode("utf-16"), "31", "UTF-8"),
]


@pytest.mark.parametrize(("raw", "code", "named"), MALFORMED_JSON, ids=range(len(MALFORMED_JSON)))
@pytest.mark.wire("carrier.repeated", "attack.json")
async def test_malformed_json(raw: bytes, code: str, named: str, backend: FakeBackend, caller: Caller) -> None:
    """JSON that cannot be read, or be read in two ways, gets 10 or 11 for the head and 31 for the rest, before any signature."""
    said = res_body(await caller.send("roomSendText", raw, JSON | signed(raw) | {"Accept-Language": "en"}))

    assert code == said["rtCode"]
    assert named in said["rtMsg"]
    assert [] == backend.log


HEAD_TEXT = dumps(a_head())
MALFORMED_FORMS = [
    ("", "10", "reqHead"),
    ("reqBody={}", "10", "reqHead"),
    ("reqHead=", "11", "reqHead"),
    ("reqHead", "11", "reqHead"),
    ("reqHead={", "11", "reqHead"),
    ("reqHead=[]", "11", "reqHead"),
    (f"reqHead={quote(HEAD_TEXT)}&reqHead={quote(HEAD_TEXT)}", "11", "reqHead"),
    (f"reqHead={quote(HEAD_TEXT)}&reqBody={{}}&reqBody={{}}", "31", "reqBody"),
    (f"reqHead={quote(HEAD_TEXT)}&reqBody=x", "31", "reqBody"),
    (f"reqHead={quote(HEAD_TEXT)}&reqBody=1", "31", "reqBody"),
    ('reqHead={"chid":"a","chid":"a"}', "11", "chid"),
    ('reqHead={}&reqBody={"a":1,"a":1}', "31", "a"),
    ("reqHead=%FF", "11", "reqHead"),
    (f"reqHead={quote(HEAD_TEXT)}&reqBody=%7B%22text%22%3A%22%C3%22%7D", "31", "reqBody"),
    ("reqBody={}&reqHead%5Bchid%5D=crm", "11", "reqHead"),
    (f"reqHead={quote(HEAD_TEXT)}&reqBody[text]=x", "31", "reqBody"),
    ("&" * 512, "31", "form"),
]


@pytest.mark.parametrize(("raw", "code", "named"), MALFORMED_FORMS, ids=range(len(MALFORMED_FORMS)))
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.wire("carrier.repeated")
async def test_malformed_forms(
    method: str, raw: str, code: str, named: str, backend: FakeBackend, caller: Caller
) -> None:
    """A form or query that cannot be read, or has a field twice, gets 10 or 11 for the head and 31 for the rest."""
    if method == "GET":
        response = await caller.get("roomSendText", raw, {"Accept-Language": "en"})
    else:
        response = await caller.send("roomSendText", raw.encode(), FORM | {"Accept-Language": "en"})

    assert code == res_body(response)["rtCode"]
    assert named in res_body(response)["rtMsg"]
    assert [] == backend.log


async def test_other_form_fields_are_ignored(caller: Caller) -> None:
    """Fields beside reqHead and reqBody, in any order and even repeated, change nothing: T has the two texts only."""
    texts = {"reqHead": dumps(a_head()), "reqBody": dumps(TEXT)}
    raw = "_=1&_=2&" + urlencode(dict(reversed(texts.items()))) + "&&debug"

    assert (
        "0"
        == res_body(await caller.send("roomSendText", raw.encode(), FORM | signed("".join(texts.values()).encode())))[
            "rtCode"
        ]
    )


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([], "Content-Type"),
        ([("Content-Type", "")], "Content-Type"),
        ([("Content-Type", "text/plain")], "Content-Type"),
        ([("Content-Type", "application/jsonp")], "Content-Type"),
        ([("Content-Type", "multipart/form-data; boundary=x")], "Content-Type"),
        ([("Content-Type", "application/json; charset=gbk")], "charset"),
        ([("Content-Type", 'application/json;charset="iso-8859-1"')], "charset"),
        ([("Content-Type", "application/json"), ("Content-Type", "application/json")], "Content-Type"),
        ([("Content-Type", "application/json"), ("Content-Encoding", "gzip")], "Content-Encoding"),
        ([("Content-Type", "application/json"), ("Content-Encoding", "br")], "Content-Encoding"),
    ],
)
@pytest.mark.wire("attack.encoding")
async def test_unknown_carriers(
    headers: list[tuple[str, str]], named: str, backend: FakeBackend, caller: Caller
) -> None:
    """Another content type, charset or a content encoding gets 31 and a sentence that says which are right."""
    raw = a_json()
    said = [*headers, *signed(raw).items(), ("Accept-Language", "en")]
    response = await caller.send("roomSendText", raw, said)

    assert "31" == res_body(response)["rtCode"]
    assert named in res_body(response)["rtMsg"]
    assert [] == backend.log


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON ; Charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_known_content_types(content_type: str, caller: Caller) -> None:
    """Case, spaces, quotes and a UTF-8 charset parameter do not matter."""
    raw = a_json()

    assert (
        "0" == res_body(await caller.send("roomSendText", raw, signed(raw) | {"Content-Type": content_type}))["rtCode"]
    )


@pytest.mark.wire("attack.encoding")
async def test_compressed_bodies_are_not_unpacked(backend: FakeBackend, caller: Caller) -> None:
    """A compressed body is refused as such, not read."""
    raw = gzip.compress(a_json())

    assert (
        "31"
        == res_body(await caller.send("roomSendText", raw, JSON | signed(raw) | {"Content-Encoding": "gzip"}))["rtCode"]
    )
    assert [] == backend.log


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"])
async def test_other_methods(method: str, caller: Caller) -> None:
    """Other methods get 405 with the envelope and the methods that there are."""
    response = await caller.send("roomSendText", b"", {}, method)

    assert 405 == response.status_code
    assert "GET, POST" == response.headers["allow"]
    assert "20" == res_body(response)["rtCode"]


# -- size and time ------------------------------------------------------------------------------------------------------------


async def _asgi(
    app: Api, headers: list[tuple[bytes, bytes]], parts: Callable[[], Any]
) -> tuple[int, dict[str, Any], int]:
    """Call with a body in parts; return the status, resBody, and how many parts were asked for before the answer."""
    asked, answered, sent = 0, 0, []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        found: dict[str, Any] = await parts()
        return found

    async def send(event: Any) -> None:
        nonlocal answered
        if event["type"] == "http.response.start":
            answered = asked
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/api/login", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    body = b"".join(event["body"] for event in sent[1:])
    return sent[0]["status"], json.loads(body)["resBody"], answered


@pytest.mark.wire("answer.413")
async def test_too_large_by_content_length(backend: FakeBackend) -> None:
    """A body that is announced as too large is refused before any of it is read."""

    async def part() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    for length in (b"101", b"9" * 40):
        status, said, asked = await _asgi(Api(backend, max_body_bytes=100), [(b"content-length", length)], part)

        assert (413, "32", 0) == (status, said["rtCode"], asked)
        assert "100" in said["rtMsg"]


@pytest.mark.wire("answer.413")
async def test_too_large_as_it_comes(backend: FakeBackend) -> None:
    """A body without a length is refused as soon as it is too large."""

    async def part() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 60, "more_body": True}

    status, said, asked = await _asgi(Api(backend, max_body_bytes=100), [], part)

    assert (413, "32", 2) == (status, said["rtCode"], asked)


async def test_exactly_large_enough(backend: FakeBackend) -> None:
    """A body of just the limit is read; one byte more is not."""
    raw = a_json()

    assert (
        "0"
        == res_body(await Caller(backend, max_body_bytes=len(raw)).send("roomSendText", raw, JSON | signed(raw)))[
            "rtCode"
        ]
    )
    response = await Caller(backend, max_body_bytes=len(raw) - 1).send("roomSendText", raw, JSON | signed(raw))
    assert 413 == response.status_code


async def test_a_long_query(backend: FakeBackend) -> None:
    """A query has the same limit."""
    response = await Caller(backend, max_body_bytes=100).get("login", "x" * 101, {})

    assert 413 == response.status_code


@pytest.mark.wire("answer.408")
async def test_a_dripping_body(backend: FakeBackend) -> None:
    """A body that does not arrive in time gets 408."""

    async def part() -> dict[str, Any]:
        await anyio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    status, said, _ = await _asgi(Api(backend, body_timeout_s=0.1), [], part)

    assert (408, "30") == (status, said["rtCode"])


async def test_a_client_that_goes_away(backend: FakeBackend) -> None:
    """Nobody is answered who has gone before the end of the request."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/api/login", "query_string": b"", "headers": []}
    await Api(backend)(scope, receive, send)

    assert [] == sent
