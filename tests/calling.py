"""Calls by each of the clients, and answers of a gateway that is not there."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx2

from wxrc_client import (
    AsyncClient,
    Client,
    ListRequest,
    Request,
    RoomSendText,
)

KEY = "6f1d7a0c5b9e4e2f8a3c"
SENT = {"msgid": 7, "sendStatus": "1", "sendReason": ""}
TEXT = RoomSendText(text="你好", room_topic="客服一群")

Handler = Callable[[httpx2.Request], httpx2.Response]


class Caller:
    """Makes calls with one of the clients."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def call(self, request: Request[Any], base: str | Handler, txcode: str = "", **options: Any) -> Any:
        """Call an interface of a real server, or of a handler."""

        async def asynchronously() -> Any:
            url, http = (base, None) if isinstance(base, str) else (URL, async_http(base))
            async with AsyncClient(url, "crm", KEY, botcode="zhao", http=http, **options) as wxrc:
                return await wxrc.call(request, txcode=txcode)

        if self._kind != "sync":
            return anyio.run(asynchronously, backend=self._kind)
        url, http = (base, None) if isinstance(base, str) else (URL, sync_http(base))
        with Client(url, "crm", KEY, botcode="zhao", http=http, **options) as wxrc:
            return wxrc.call(request, txcode=txcode)

    def each(self, request: ListRequest[Any], handler: Handler) -> list[Any]:
        """Return all entries of a list."""

        async def asynchronously() -> list[Any]:
            wxrc = AsyncClient(URL, "crm", KEY, botcode="zhao", http=async_http(handler))
            return [item async for item in wxrc.each(request)]

        if self._kind != "sync":
            return anyio.run(asynchronously, backend=self._kind)
        return list(Client(URL, "crm", KEY, botcode="zhao", http=sync_http(handler)).each(request))


URL = "https://wxrc.example/wechat/"


def sync_http(handler: Handler) -> httpx2.Client:
    """Return an HTTP client whose server is a handler."""
    return httpx2.Client(transport=httpx2.MockTransport(handler))


def async_http(handler: Handler) -> httpx2.AsyncClient:
    """Return an asynchronous HTTP client whose server is a handler."""
    return httpx2.AsyncClient(transport=httpx2.MockTransport(handler))


def envelope(rt_code: str = "0", rt_msg: str = "成功", **fields: Any) -> bytes:
    """Return an answer of the gateway."""
    return json.dumps({"resHead": {}, "resBody": {"rtCode": rt_code, "rtMsg": rt_msg, **fields}}).encode()


def answering(content: bytes, status: int = 200) -> Handler:
    """Return a server that always answers this."""
    return lambda request: httpx2.Response(status, content=content)
