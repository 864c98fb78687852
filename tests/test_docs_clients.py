"""The receivers on the page about clients take real callbacks, and refuse forged ones, in both languages and both frameworks."""

import time
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.pages import ROOT, blocks
from wxrc_client import ACKNOWLEDGEMENT
from wxrc_webhook import Callback, encode, signature_headers

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = {"botcode": "zhao", "type": "userMsg", "msgType": "text", "msgData": {"text": "你好", "fromName": "钱多多"}}
URL = "http://receiver.example/wxrc"


@pytest.fixture(params=["en", "zh"])
def page(request: pytest.FixtureRequest) -> Path:
    """Give the page in each language."""
    return ROOT / "docs" / request.param / "clients.md"


def app(page: Path, framework: str) -> Any:
    """Return the application that a block of the page makes."""
    [text] = [
        block.text for block in blocks(page, "python run") if ("starlette" in block.text) == (framework == "starlette")
    ]
    defined: dict[str, Any] = {}
    exec(text, defined)
    return defined["app"]


def posted(secret: str = SECRET) -> tuple[dict[str, str], bytes]:
    """Return a callback as the gateway posts it now."""
    callback = Callback(webhook_id="evt_7_crm", body=BODY)
    encoded = encode(callback)
    headers = signature_headers(
        callback, encoded, timestamp=int(time.time()), channel_key="key", webhook_secrets=[secret]
    )
    return {"Content-Type": encoded.content_type, **headers}, encoded.body


def answers(application: Any, framework: str, *requests: tuple[dict[str, str], bytes]) -> list[httpx2.Response]:
    """Return what an application answers to these callbacks."""

    async def asynchronously() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application)) as http:
            return [await http.post(URL, headers=headers, content=body) for headers, body in requests]

    if framework == "starlette":
        return anyio.run(asynchronously)
    with httpx2.Client(transport=httpx2.WSGITransport(application)) as http:
        return [http.post(URL, headers=headers, content=body) for headers, body in requests]


@pytest.mark.parametrize("framework", ["starlette", "wsgi"])
def test_the_receivers_of_the_page(page: Path, framework: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A callback is acknowledged and printed, the same one again is acknowledged, and a forged one is answered with 401."""
    genuine, forged = posted(), posted("whsec_" + "AAAA" * 8)
    first, again, refused = answers(app(page, framework), framework, genuine, genuine, forged)

    assert [200, 200, 401] == [answer.status_code for answer in (first, again, refused)]
    assert [ACKNOWLEDGEMENT, ACKNOWLEDGEMENT] == [answer.content for answer in (first, again)]
    assert (1 if framework == "starlette" else 2) == capsys.readouterr().out.count("钱多多")
