"""Connections for callbacks: only to addresses that were judged.

What connects is httpcore's network backend, the one interface to the outside: another one can stand in for it in a simulation.
"""

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio
import httpcore

from wxrc_webhook.errors import NameNotResolved
from wxrc_webhook.guard import AllowPrivate, Target, check_address
from wxrc_webhook.resolver import Resolver
from wxrc_webhook.tcp import Tcp

_ONE_ADDRESS_LIMIT_S: Final = 1.0


class Connector:
    """Opens connections to receivers."""

    def __init__(
        self, *, resolve: Resolver, ssl_context: ssl.SSLContext, network: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        """Set how.

        Args:
            resolve: How names become addresses.
            ssl_context: Which certificates are trusted.
            network: What opens connections to checked addresses; by default the operating system's network.
        """
        self._resolve = resolve
        self._ssl_context = ssl_context
        self._network = network or Tcp()

    async def connect(self, target: Target, allow_private: AllowPrivate) -> httpcore.AsyncNetworkStream:
        """Resolve the host once, judge every address, and connect to the first one that takes the connection.

        One bad address among good ones refuses them all: who mixes them is not a receiver whose next answer could be
        trusted.

        Raises:
            CallbackUrlError: An address is one that the policy does not allow.
            NameNotResolved: There is no address.
            httpcore.ConnectError: Nothing takes the connection, or its certificate is not right.
        """
        addresses = await self._addresses(target.host, target.port)
        for address in addresses:
            check_address(target.host, address, allow_private)
        stream = await self._connected(addresses, target.port)
        return stream if target.scheme == "http" else await self._encrypted(stream, target.host)

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

    async def _connected(self, addresses: Sequence[str], port: int) -> httpcore.AsyncNetworkStream:
        *earlier, last = addresses
        for address in earlier:
            # A silent address (often IPv6 without a route) must not use up the time of those behind it.
            with anyio.move_on_after(_ONE_ADDRESS_LIMIT_S):
                try:
                    return await self._network.connect_tcp(address, port)
                except httpcore.ConnectError:
                    continue
        return await self._network.connect_tcp(last, port)

    async def _encrypted(self, stream: httpcore.AsyncNetworkStream, host: str) -> httpcore.AsyncNetworkStream:
        try:
            return await stream.start_tls(self._ssl_context, server_hostname=host)
        except BaseException:
            await close(stream)
            raise


async def close(stream: httpcore.AsyncNetworkStream) -> None:
    """Close a connection, whatever its state and also while the caller is being cancelled."""
    with anyio.move_on_after(1, shield=True), suppress(httpcore.NetworkError, OSError, anyio.BrokenResourceError):
        await stream.aclose()
