"""Connections for callbacks: only to addresses that were judged, and reading no more of an answer than is needed.

Both rules sit below httpcore, at its network backend, where every connection and every byte passes: whatever happens
above, nothing connects without a check and nothing reads without a limit.
"""

# ruff: noqa: ASYNC109  the signatures with `timeout` are httpcore's

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import anyio
import anyio.to_thread
import httpcore

from wxrc_webhook.errors import AnswerTooLong, NameNotResolved
from wxrc_webhook.guard import AllowPrivate, check_address

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Tells the addresses of a name and port, in the order in which to try them. Raises OSError where there are none."""

_ONE_ADDRESS_LIMIT_S: Final = 1.0
_LOOK_UPS_AT_ONCE: Final = 64

# httpcore's own type for this is not public.
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


def system_resolver() -> Resolver:
    """Return a resolver that asks the operating system.

    A look-up cannot be cancelled and occupies a thread for as long as a dead name server takes. asyncio's own
    getaddrinfo shares a handful of threads with everything else, so that a few dead names would hold up every other
    receiver; these threads are for look-ups only.
    """
    limiter = anyio.CapacityLimiter(_LOOK_UPS_AT_ONCE)

    async def resolve(host: str, port: int) -> Sequence[str]:
        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

        return await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=limiter)

    return resolve


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for channels that share one policy on private networks."""

    def __init__(self, *, allow_private: AllowPrivate, resolve: Resolver, answer_limit: int) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._answer_limit = answer_limit
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the host once, judge every address, and connect to the first one that takes the connection.

        One bad address among good ones refuses them all: who mixes them is not a receiver whose next answer could be
        trusted.

        Raises:
            CallbackUrlError: An address is one that the policy does not allow.
            NameNotResolved: There is no address.
        """
        addresses = await self._addresses(host, port)
        for address in addresses:
            check_address(host, address, self._allow_private)
        *earlier, last = addresses
        for address in earlier:
            # A silent address (often IPv6 without a route) must not use up the time of those behind it.
            with anyio.move_on_after(_ONE_ADDRESS_LIMIT_S):
                try:
                    return await self._connect(address, port, timeout, local_address, socket_options)
                except httpcore.ConnectError:
                    continue
        return await self._connect(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[_SocketOption] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no callback goes to a Unix socket."""
        raise httpcore.UnsupportedProtocol("Callbacks go over TCP only.")

    async def sleep(self, seconds: float) -> None:
        """Wait, for httpcore's own retries, which are switched off."""
        await anyio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        except OSError:
            pass
        else:
            return [host]
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise NameNotResolved(f"the name {host} could not be resolved")
        return addresses

    async def _connect(
        self,
        address: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[_SocketOption] | None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
        return _LimitedStream(stream, self._answer_limit)


class _LimitedStream(httpcore.AsyncNetworkStream):
    """A connection that gives up when one answer, head and body together, gets longer than the limit.

    Each request that is written starts the count anew, so that a kept-alive connection serves any number of
    callbacks.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream, limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self._left = limit

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise AnswerTooLong(f"the answer is longer than {self._limit} bytes")
        data = await self._inner.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._left = self._limit
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _LimitedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
