"""schemathesis against the real service: whatever it makes of the document, signed or not, is answered, and as the document says.

`WXRC_REQUESTS=200` tries so many requests of each kind at each interface (`make soak`); the order is always the same.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import schemathesis
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.live import Service, cli_json
from tests.openapi import answer_place, errors
from wxrc_core.signing import WITH_INTERFACE, covered, hmac_sha256_hex
from wxrc_http import INTERFACES
from wxrc_http.openapi import document
from wxrc_http.openapi.examples import request_example

REQUESTS = int(os.environ.get("WXRC_REQUESTS", "5"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document(english=True))


@define
class Channel:
    """A channel that sends what schemathesis makes, mostly with a head and a signature that hold; it counts the rtCodes of the answers."""

    url: str
    key: str = field(repr=False)
    http: requests.Session = field(factory=requests.Session)
    number: int = 0
    codes: dict[str, int] = field(factory=dict)

    def send(self, case: Any, *, own_head: bool, whole_body: bool, key: str) -> None:
        """Send a case, and check the answer; with a head of our own it is signed, with this KEY."""
        interface = case.operation.path.removeprefix("/api/")
        if own_head:
            self._put_head(case, interface, whole_body)
        kwargs = case.as_transport_kwargs(base_url=self.url)
        request = self.http.prepare_request(
            requests.Request(**{name: value for name, value in kwargs.items() if name in _REQUEST})
        )
        if own_head:
            signature = hmac_sha256_hex(covered(WITH_INTERFACE, interface, _signed_text(request)), key.encode())
            request.headers.update({"X-Ecaspsplus-Signature": signature, "X-Ecaspsplus-SignatureType": WITH_INTERFACE})
        response = self.http.send(request, timeout=30, allow_redirects=False)
        case.validate_response(response, checks=CHECKS)
        if response.status_code == 200:
            assert [] == errors(answer_place(interface, 200), response.json())
            code = response.json()["resBody"]["rtCode"]
            self.codes[code] = self.codes.get(code, 0) + 1

    def _put_head(self, case: Any, interface: str, whole_body: bool) -> None:
        """Put in a head that holds, and where asked for a body that is complete."""
        self.number += 1
        head = {
            "chid": "crm",
            "botcode": "zhao",
            "txcode": f"S{self.number}",
            "txtime": str(time.time_ns() // 1_000_000),
        }
        as_text = case.method == "GET" or case.media_type == "application/x-www-form-urlencoded"
        put = json.dumps if as_text else lambda value: value
        target = case.query if case.method == "GET" else case.body
        if isinstance(target, dict):
            target["reqHead"] = put(head)
            if whole_body:
                target["reqBody"] = put(request_example(interface, "zh")["reqBody"])


_REQUEST = ("method", "url", "headers", "params", "data", "json", "cookies")


def _signed_text(request: requests.PreparedRequest) -> bytes:
    """Return T of a request (wire.md, "Requests")."""
    body = request.body or b""
    raw = body.encode() if isinstance(body, str) else body
    kind = str(request.headers.get("Content-Type", ""))
    if request.method == "POST" and "form" not in kind:
        return raw
    query = urlsplit(str(request.url)).query if request.method == "GET" else raw.decode()
    fields = dict(parse_qsl(query, keep_blank_values=True))
    return (fields.get("reqHead", "") + fields.get("reqBody", "")).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """Run the service with a bot on the simulator."""
    data = tmp_path_factory.mktemp("schemathesis") / "data"
    with Service(data, arguments=["--answer-wait-ms", "0"]) as service:
        made = cli_json("channel", "add", "crm", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        channel = Channel(service.url, made["key"])
        yield channel
        assert service.stop() == 0


OPERATIONS = [(name, method) for name in INTERFACES for method in ("post", "get")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), OPERATIONS)
def test_every_answer_conforms(channel: Channel, name: str, method: str) -> None:
    """No 5xx, and no answer outside the schema, for what fits the document and what does not."""
    operation = SCHEMA[f"/api/{name}"][method.upper()]
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(
        max_examples=REQUESTS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(right, right, wrong), st.integers(0, 7), st.booleans())
    def run(case: Any, kind: int, whole_body: bool) -> None:
        channel.send(case, own_head=kind > 1, whole_body=whole_body, key="x" * 40 if kind == 2 else channel.key)

    run()


@pytest.mark.slow
def test_every_outcome_was_met(channel: Channel) -> None:
    """What was sent before went deep enough: each common code was among the answers."""
    if not channel.codes:
        pytest.fail("this looks at what the tests before it in this file have sent; run the whole file")

    assert set() == {"0", "10", "11", "13", "30", "31", "32", "34"} - set(channel.codes)
