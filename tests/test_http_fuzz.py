"""Whatever comes in, an envelope goes out: never a 500, never code 23, and nothing recorded that was not accepted.

Two kinds of input: right requests that were damaged, before or after they were signed; and bytes of any kind in path, query, headers, body.
"""

import json
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from wxrc_core.puppet import Accepted
from wxrc_http import INTERFACES, Api, Code
from wxrc_http.testing import KEY, TXTIME, FakeBackend, a_signature, dumps

KNOWN_CODES = {str(code) for code in Code} - {"22", "23"}
RECORDING = {"login", "macLogin", "webLogin", "roomSendText", "logout", "stop"}
FUZZ = settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def exchange(
    backend: FakeBackend,
    method: str = "POST",
    path: str = "/api/login",
    query: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
    parts: list[bytes] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Call the API once, check that an envelope comes back, and return the status and resBody."""
    left = list(parts or [b""])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": headers or [],
    }
    anyio.run(Api(backend, max_body_bytes=20_000, answer_wait_ms=1), scope, receive, send)

    assert ["http.response.start", "http.response.body"] == [message["type"] for message in sent][:2]
    body = b"".join(message["body"] for message in sent[1:])
    assert str(len(body)).encode() == dict(sent[0]["headers"])[b"content-length"]
    whole = msgspec.json.decode(body)
    assert ["resHead", "resBody"] == list(whole)
    assert sent[0]["status"] in (200, 405, 408, 413)
    assert whole["resBody"]["rtCode"] in KNOWN_CODES
    assert whole["resBody"]["rtMsg"]
    return sent[0]["status"], whole["resBody"]


def check_records(backend: FakeBackend, path: str, said: dict[str, Any]) -> None:
    """Check that something is recorded exactly where something was accepted."""
    accepted = said["rtCode"] == "0" and path.removeprefix("/api/") in RECORDING

    assert accepted == bool(backend.log)
    assert 1 >= len({recorded.stream for recorded in backend.log})
    event(f"rtCode {said['rtCode']}")


# -- damaged requests -----------------------------------------------------------------------------------------------------------

BODIES: dict[str, dict[str, Any]] = {
    "roomSendText": {"text": "你好: ✅", "roomTopic": "客服一群", "atList": ["赵立伟"], "atUser": "wxid_1"},
    "msgStatus": {"txcode": "T0", "txdate": "20261123"},
    "roomList": {"cursor": "1", "limit": 2},
}
STRINGS = (
    st.text(max_size=8)
    | st.sampled_from(["", "\0", "\ud800", "x" * 4001, "同名群", "sign", "crm", "zhou", "T1", TXTIME, "1795431600000", "‮", "\r\n", ":"])
)  # fmt: skip
ODD = (
    STRINGS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**53, 2**64, 10**400, 1.0, 1e308, float("inf"), float("nan")])
    | st.lists(STRINGS, max_size=3)
    | st.dictionaries(STRINGS, STRINGS, max_size=3)
    | st.recursive(st.just([]), lambda inner: inner.map(lambda value: [value]), max_leaves=40)
)
HEAD_FIELDS = st.sampled_from(["chid", "botcode", "txcode", "txtime", "sign", "signType", "x"])
BODY_FIELDS = st.sampled_from(
    ["text", "roomId", "roomTopic", "atList", "atUser", "msgid", "txcode", "txdate", "cursor", "limit", "x"]
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.just("reqHead"), HEAD_FIELDS, st.none()),
        st.tuples(st.just("drop"), st.just("reqBody"), BODY_FIELDS, st.none()),
        st.tuples(st.sampled_from(["set", "again"]), st.just("reqHead"), HEAD_FIELDS, ODD),
        st.tuples(st.sampled_from(["set", "again"]), st.just("reqBody"), BODY_FIELDS, ODD),
        st.tuples(st.just("whole"), st.sampled_from(["reqHead", "reqBody"]), st.none(), ODD),
    ),
    max_size=2,
)
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "put", "double"]), st.integers(0, 2**16), st.binary(min_size=1, max_size=4)
    ),
    max_size=2,
)


class Twice(dict[str, Any]):
    """An object that is written with some members twice."""

    again: tuple[tuple[str, Any], ...] = ()

    def items(self) -> Any:
        """Return the members, and some of them again."""
        return [*super().items(), *self.again]


def damaged(raw: bytes, damage: list[tuple[str, int, bytes]]) -> bytes:
    """Return bytes that something happened to."""
    for kind, place, junk in damage:
        at = place % (len(raw) + 1)
        match kind:
            case "flip":
                raw = raw[:at] + bytes(byte ^ (junk[0] or 1) for byte in raw[at : at + 1]) + raw[at + 1 :]
            case "cut":
                raw = raw[:at]
            case "put":
                raw = raw[:at] + junk + raw[at:]
            case _:
                raw = raw[:at] + raw[at // 2 :]
    return raw


def changed(interface: str, changes: list[tuple[str, str, Any, Any]]) -> dict[str, Any]:
    """Return a right request that was changed."""
    head = Twice({"chid": "crm", "botcode": "zhao", "txcode": "T1", "txtime": TXTIME})
    whole: dict[str, Any] = {"reqHead": head, "reqBody": Twice(BODIES.get(interface, {}))}
    for kind, part, name, value in changes:
        found = whole[part]
        if kind == "whole":
            whole[part] = value
        elif not isinstance(found, Twice):
            continue
        elif kind == "drop":
            found.pop(name, None)
        elif kind == "set":
            found[name] = value
        else:
            found.again = (*found.again, (name, value))
    return whole


@FUZZ
@given(
    interface=st.sampled_from([*INTERFACES, "roomSendText", "roomSendText", "nothing"]),
    changes=CHANGES,
    carrier=st.sampled_from(["json", "form", "query"]),
    kind=st.sampled_from(["MD5", "HMAC-SHA256"]),
    place=st.sampled_from(["header", "head"]),
    damage=st.just([]) | DAMAGE,
    ascii_only=st.booleans(),
    chunk=st.integers(1, 400),
)
@pytest.mark.wire("attack.fields", "order.nothing_recorded")
def test_damaged_requests(
    interface: str,
    changes: list[tuple[str, str, Any, Any]],
    carrier: str,
    kind: str,
    place: str,
    damage: list[tuple[str, int, bytes]],
    ascii_only: bool,
    chunk: int,
) -> None:
    """A right request, changed and then signed, damaged on its way, in any carrier, is answered in order."""
    whole = changed(interface, changes)
    in_head = place == "head" and isinstance(whole["reqHead"], Twice)
    if in_head:
        whole["reqHead"].update(sign="", signType=kind)

    def texts() -> list[bytes]:
        values = [whole] if carrier == "json" else whole.values()
        return [json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for value in values]

    signature = a_signature(b"".join(texts()), kind=kind)
    headers = [(b"content-type", b"application/json" if carrier == "json" else b"application/x-www-form-urlencoded")]
    if in_head:
        whole["reqHead"]["sign"] = signature
    else:
        headers += [(b"x-ecaspsplus-signature", signature.encode()), (b"x-ecaspsplus-signaturetype", kind.encode())]
    raw = texts()[0] if carrier == "json" else urlencode(dict(zip(whole, texts(), strict=True))).encode()
    raw = damaged(raw, damage)
    backend = FakeBackend()
    backend.outcome = Accepted("r1")
    path = f"/api/{interface}"
    if carrier == "query":
        _, said = exchange(backend, "GET", path, raw, headers)
    else:
        parts = [raw[at : at + chunk] for at in range(0, len(raw), chunk)]
        _, said = exchange(backend, "POST", path, b"", headers, parts)

    check_records(backend, path, said)


# -- anything at all ------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"accept-language",
        b"x-ecaspsplus-signature",
        b"x-ecaspsplus-signaturetype",
        b"host",
    ]
)
HEADER_VALUES = st.binary(max_size=30) | st.sampled_from(
    [b"application/json", b"application/x-www-form-urlencoded", b"application/json;charset", b"gzip", b"en;q=0.5", b"MD5", b"1e9", b"-1"]
)  # fmt: skip
GARBAGE = st.binary(max_size=60) | st.sampled_from(
    [b"{}", b"[" * 2_000, b'{"reqHead":{}}', b"reqHead={}&reqBody={}", b"reqHead[a]=1", b"%", b"&=&=", b'"', b"\xef\xbb\xbf", b"x" * 30_000]
)  # fmt: skip


@FUZZ
@given(
    method=st.sampled_from(["POST", "POST", "GET", "PUT", "HEAD", "x"]),
    path=st.text(max_size=20).map("/api/".__add__)
    | st.text(max_size=20)
    | st.sampled_from(["/api/login", "/api/", "/api"]),
    query=GARBAGE,
    headers=st.lists(st.tuples(NAMES | st.binary(max_size=10), HEADER_VALUES), max_size=6),
    parts=st.lists(GARBAGE, max_size=3),
)
@pytest.mark.wire("answer.envelope")
def test_anything(method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], parts: list[bytes]) -> None:
    """Bytes of any kind anywhere get an envelope and leave nothing."""
    backend = FakeBackend()
    exchange(backend, method, path, query, headers, parts)

    assert [] == backend.log


@FUZZ
@given(
    raw=GARBAGE,
    # An empty body is right for an interface that takes none, and Hypothesis finds such names in our source.
    name=st.text(max_size=20).filter(lambda name: name not in INTERFACES)
    | st.sampled_from(["roomSendText", "msgStatus"]),
    carrier=st.sampled_from(["json", "head", "body"]),
)
def test_signed_garbage(raw: bytes, name: str, carrier: str) -> None:
    """Whoever has the KEY may sign garbage: it is garbage still, and unknown interfaces are unknown."""
    head = dumps({"chid": "crm", "botcode": "zhao", "txcode": "T1", "txtime": TXTIME}).encode()
    texts = {"json": [b'{"reqHead":' + head + b',"reqBody":' + raw + b"}"], "head": [raw, b"{}"], "body": [head, raw]}[
        carrier
    ]
    headers = [
        (b"content-type", b"application/json" if carrier == "json" else b"application/x-www-form-urlencoded"),
        (b"x-ecaspsplus-signature", a_signature(b"".join(texts), KEY).encode()),
    ]
    body = texts[0] if carrier == "json" else f"reqHead={quote(texts[0])}&reqBody={quote(texts[1])}".encode()
    backend = FakeBackend()
    exchange(backend, "POST", f"/api/{name}", b"", headers, [body])

    assert [] == backend.log
