"""The operating system's network, for asyncio and trio.

httpcore's own backend for anyio sets a time limit around every single read and write; an attempt has one limit for all of it.
"""

# ruff: noqa: ASYNC109  the signatures with `timeout` are httpcore's

import select
import ssl
from collections.abc import Iterable
from typing import Any

import anyio
import anyio.abc
import httpcore
from anyio.streams.tls import TLSStream

# httpcore's own type for this is not public.
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Tcp(httpcore.AsyncNetworkBackend):
    """Opens TCP connections. Time limits are the caller's."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address.

        Raises:
            httpcore.ConnectError: Nobody takes the connection.
        """
        try:
            return TcpStream(await anyio.connect_tcp(host, port, local_host=local_address))
        except (OSError, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(error) from error


class TcpStream(httpcore.AsyncNetworkStream):
    """A connection."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._descriptor: int = stream.extra(anyio.abc.SocketAttribute.raw_socket).fileno()  # noqa: S610  not Django

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, when something has; nothing where the other side has closed."""
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as error:
            raise httpcore.ReadError(error) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        try:
            await self._stream.send(buffer)
        except _BROKEN as error:
            raise httpcore.WriteError(error) from error

    async def aclose(self) -> None:
        """Close."""
        self._descriptor = -1
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Encrypt from here on.

        Raises:
            httpcore.ConnectError: The handshake failed, or the certificate is not right.
        """
        try:
            encrypted = await TLSStream.wrap(
                self._stream, ssl_context=ssl_context, hostname=server_hostname, standard_compatible=False
            )
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise httpcore.ConnectError(error) from error
        return TcpStream(encrypted)

    def get_extra_info(self, info: str) -> Any:
        """Say whether something has arrived that was not read: bytes, or the connection's end."""
        if info != "is_readable":
            return None
        if self._descriptor < 0:
            return True
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([self._descriptor], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))
