"""Whose request it is that a reverse proxy passes on: the client's address, as the proxies say that are trusted.

`X-Forwarded-For` and `Forwarded` are what anybody may write. Each proxy appends the address that it was called from, so only the
right-hand end was written by ours: from there on, past the addresses of trusted proxies, the first other one is the client. Everything
left of it is the client's own word, and is not looked at. Nothing is read on a connection that does not come from a trusted proxy.
"""

import ipaddress
from collections.abc import Iterator, Sequence

from wxrc_core.errors import InvalidValue
from wxrc_core.localized import LocalizedText
from wxrc_http.admission import Address, Network, parsed_address

HOPS = 32
"""So many addresses are looked at, from the right; behind so many proxies nobody is."""

UNKNOWN = ""
"""The address of a client whose proxies do not say it, or contradict each other: no allow-list has it."""

_NOT_A_NETWORK = LocalizedText(
    "trusted-proxy：{text} 应为代理的地址或网段，如 10.0.0.5 或 10.0.0.0/24（主机位为 0）",
    "trusted-proxy: {text} must be the address or network of a proxy, as 10.0.0.5 or 10.0.0.0/24 (host bits zero)",
)
_EVERYBODY = LocalizedText(
    "trusted-proxy：{text} 会信任所有人；请只写代理自己的地址",
    "trusted-proxy: {text} would trust everybody; name the proxies' own addresses only",
)


class TrustedProxies:
    """The proxies whose word counts.

    Args:
        networks: Their addresses and networks (CIDR).

    Raises:
        InvalidValue: One is no network, or is everybody's.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(map(_network, networks))

    def trusts(self, peer: str) -> bool:
        """Return whether a connection from this address comes from one of them."""
        address = parsed_address(peer) if self._networks else None
        return address is not None and self._is_proxy(address)

    def client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Return the address of the client of a request, which came from the trusted proxy `peer`.

        `peer` itself where no proxy names any, as for its own health checks; `UNKNOWN` where what they say is no address, or where both
        headers are there and name different ones: a proxy appends to one of them and passes the other on as the client wrote it.
        """
        said = {self._last_untrusted(hops) for hops in (_x_forwarded_for(headers), _forwarded(headers)) if hops}
        return said.pop() if len(said) == 1 else UNKNOWN if said else peer

    def _last_untrusted(self, hops: Sequence[str]) -> str:
        farthest = UNKNOWN
        for hop in hops:
            address = parsed_address(_without_port(hop))
            if address is None:
                return UNKNOWN
            farthest = str(address)
            if not self._is_proxy(address):
                break
        return farthest

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise InvalidValue(_NOT_A_NETWORK.filled(text=f"{text!r:.60}"), "trusted_proxy") from None
    if not network.prefixlen:
        raise InvalidValue(_EVERYBODY.filled(text=text), "trusted_proxy")
    return network


def _last_first(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the elements of a header's lists, the last one first, without looking into them: their left end may be anything."""
    found: list[str] = []
    for each, value in reversed(headers):
        if each == name:
            elements = value.decode("latin-1").rsplit(",", HOPS)
            found += [element.strip(" \t") for element in reversed(elements[-HOPS:])]
    return found[:HOPS]


def _x_forwarded_for(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    return _last_first(headers, b"x-forwarded-for")


def _forwarded(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Return whom each element of `Forwarded` (RFC 7239) was made for, the last one first."""
    return [_made_for(element) for element in _last_first(headers, b"forwarded")]


def _made_for(element: str) -> str:
    values = [value for name, value in _pairs(element) if name == "for"]
    return values[0] if len(values) == 1 else UNKNOWN


def _pairs(element: str) -> Iterator[tuple[str, str]]:
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        yield name.strip().lower(), value


def _without_port(hop: str) -> str:
    """Return the address of `192.0.2.1:4711`, `[2001:db8::1]` or `[2001:db8::1]:4711`; anything else as it is."""
    if hop.startswith("["):
        address, bracket, port = hop[1:].partition("]")
        return address if bracket and (not port or (port[0] == ":" and port[1:].isdigit())) else UNKNOWN
    address, colon, port = hop.partition(":")
    return address if colon and port.isdigit() and "." in address else hop
