"""A web server with images, in virtual time, below httpcore's network backend: the production fetcher runs above it unchanged.

What is at a URL follows from its path, so that a judge can know it too: an image that has the URL itself in its bytes, or none.
"""

# ruff: noqa: ASYNC109  the signatures with `timeout` are httpcore's

import asyncio
from typing import Any, Literal, TypeAlias

import httpcore

from wxrc_simulation.chance import Chance
from wxrc_simulation.loop import VirtualLoop

HOST, ADDRESS = "pictures.example", "10.1.0.1"

Kind: TypeAlias = Literal["there", "missing", "text"]

_HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0"


def url(kind: Kind, number: int) -> str:
    """Return a URL at which there is an image, nothing, or something else."""
    return f"http://{HOST}/{kind}/{number}"


def image(source: str) -> bytes:
    """Return the image at a URL."""
    return _HEADER + source.encode()


def is_there(source: str) -> bool:
    """Return whether there is an image at a URL."""
    return source.startswith(f"http://{HOST}/there/")


def source(data: bytes) -> str:
    """Return the URL of the image that has these bytes; a sentence where none has."""
    return data[len(_HEADER) :].decode() if data.startswith(_HEADER) else "bytes that were nowhere"


class PictureConnection(httpcore.AsyncNetworkStream):
    """One connection to the server: one request, one answer."""

    def __init__(self, loop: VirtualLoop, chance: Chance) -> None:
        self._loop, self._chance = loop, chance
        self._arrived = b""
        self._closed = False
        self._news = asyncio.Event()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what the server has answered, when there is something; nothing where it has closed."""
        while not self._arrived and not self._closed:
            self._news.clear()
            await self._news.wait()
        data, self._arrived = self._arrived[:max_bytes], self._arrived[max_bytes:]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take in the request."""
        await asyncio.sleep(0)
        path = buffer.split(b" ", 2)[1].decode()
        delay = self._chance.seconds(0.001, 0.05)
        if self._chance.strikes("image slow"):
            delay = self._chance.seconds(1.0, 30.0)
        self._loop.outside(delay, self._answer, path)

    def _answer(self, path: str) -> None:
        if self._chance.strikes("image server fails"):
            self._closed = True
        elif path.startswith("/missing/"):
            self._arrived += b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        else:
            body = b"<p>Log in" if path.startswith("/text/") else image(f"http://{HOST}{path}")
            self._arrived += b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        self._news.set()

    async def aclose(self) -> None:
        """Close it."""
        self._closed = True

    def get_extra_info(self, info: str) -> Any:
        """Say that the connection can still be used, or that it cannot."""
        return self._closed if info == "is_readable" else None
