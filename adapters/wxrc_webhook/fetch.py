"""Fetching a file that a channel names by its URL: once, bounded, and past the same guard as callbacks (see `guard.py`).

A channel must learn nothing of the network that WXRC runs in by naming URLs: no sentence here repeats an address, a header or a part of
the URL, and no redirect is followed.
"""

import ssl
from typing import Final

import anyio
import anyio.to_thread
import httpcore

from wxrc_webhook.answer import Answer
from wxrc_webhook.connection import Connection
from wxrc_webhook.errors import AnswerTooLong, CallbackUrlError, NameNotResolved, WebhookError
from wxrc_webhook.guard import AllowPrivate, Target, checked_target
from wxrc_webhook.network import Connector, close
from wxrc_webhook.resolver import Resolver, system_resolver

FETCH_LIMIT_S: Final = 20.0
"""How long one fetch may take in all (seconds)."""

_HEAD_BYTES: Final = 64 * 1024
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchFailed(WebhookError):
    """The file could not be fetched; the sentence says why and may be shown to the channel.

    Attributes:
        retry: It may be there later; otherwise trying again does not help.
    """

    def __init__(self, sentence: str, *, retry: bool) -> None:
        super().__init__(sentence)
        self.retry = retry


class FileFetcher:
    """Fetches files by http and https, each on a connection of its own. It runs the same under asyncio and trio."""

    def __init__(
        self,
        *,
        time_limit_s: float = FETCH_LIMIT_S,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Set the limits.

        Args:
            time_limit_s: For resolving, connecting and reading, in all (seconds).
            ssl_context: Which certificates are trusted; by default the usual public authorities.
            resolve: How names become addresses; by default the operating system's way.
            network: What opens connections to checked addresses; by default the operating system's network.
        """
        self._time_limit_s = time_limit_s
        self._ssl_context = ssl_context
        self._resolve = resolve
        self._network = network

    async def fetch(self, url: str, *, limit: int, allow_private: AllowPrivate = False) -> bytes:
        """Return what is at an http(s) URL.

        Args:
            url: The URL.
            limit: The most bytes that it may have.
            allow_private: Whether private networks may be called, or which.

        Raises:
            FetchFailed: It is not there, may not be called, or is too large.
        """
        try:
            target = checked_target(url, allow_private)
        except CallbackUrlError:
            raise FetchFailed(
                "WXRC does not call the image's URL: it must be a public http(s) URL", retry=False
            ) from None
        answer = Answer()
        with anyio.move_on_after(self._time_limit_s) as scope:
            await self._exchange(target, allow_private, answer, limit)
        if scope.cancelled_caught:
            raise FetchFailed(f"the image did not arrive within {self._time_limit_s:g} s", retry=True)
        return _body(answer, limit)

    async def _exchange(self, target: Target, allow_private: AllowPrivate, answer: Answer, limit: int) -> None:
        try:
            connector = Connector(
                resolve=self._resolve or system_resolver(),
                ssl_context=await self._context(target),
                network=self._network,
            )
            stream = await connector.connect(target, allow_private)
            try:
                await Connection(stream, limit + _HEAD_BYTES).exchange(_request(target), answer)
            finally:
                await close(stream)
        except CallbackUrlError:
            raise FetchFailed(
                "WXRC does not call the image's URL: its host leads to an address that is not public", retry=False
            ) from None
        except AnswerTooLong:
            raise FetchFailed(f"the image is larger than {limit:,} bytes", retry=False) from None
        except NameNotResolved:
            raise FetchFailed("the host of the image's URL has no address", retry=True) from None
        except (WebhookError, httpcore.NetworkError, OSError):
            raise FetchFailed("the server of the image's URL could not be reached, or broke off", retry=True) from None

    async def _context(self, target: Target) -> ssl.SSLContext:
        if self._ssl_context is None and target.scheme == "https":
            # Reading all authorities takes some 30 ms, and most gateways never fetch an image.
            self._ssl_context = await anyio.to_thread.run_sync(httpcore.default_ssl_context)
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _body(answer: Answer, limit: int) -> bytes:
    status = answer.status or 0
    if 300 <= status < 400:
        raise FetchFailed(
            f"the image's URL redirects (HTTP {status}), which is not followed; name the final one", retry=False
        )
    if status != 200:
        raise FetchFailed(f"the image's URL was answered with HTTP {status}", retry=status in _AGAIN)
    encoding = next(
        (value.lower() for name, value in answer.headers if name.lower() == b"content-encoding"), b"identity"
    )
    if encoding.strip() not in (b"", b"identity"):
        # Asked for as it is: what comes packed could unpack to anything.
        raise FetchFailed("the image came with a Content-Encoding, which was not asked for", retry=False)
    if len(answer.body) > limit:
        raise FetchFailed(f"the image is larger than {limit:,} bytes", retry=False)
    return bytes(answer.body)


def _request(target: Target) -> bytes:
    """Write the request down. Nothing in it can break out of its line: the URL was checked."""
    return (
        f"GET {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\nUser-Agent: wxrc\r\nAccept: image/*\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ).encode("ascii")
