"""Which addresses WXRC may call: a receiver's URL must not become a way into the network that WXRC runs in.

The URL is taken apart once, here, and only its parts are used afterwards, so that no second parser can read it
differently. The name is resolved once for each connection, every address it leads to is judged, and the connection
goes to an address that was judged; the name itself stays in the Host header and in the TLS handshake. See
`Connector` for the connection.

A channel may allow private networks: `True` stands for loopback, the private ranges (RFC 1918, RFC 4193) and the
shared one (RFC 6598); a tuple of networks allows just these. Link-local addresses, where clouds keep the machine's
credentials, need a network by name.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from attrs import frozen

from wxrc_core.localized import LocalizedText
from wxrc_webhook.errors import CallbackUrlError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
AllowPrivate = bool | tuple[Network, ...]
"""False: public addresses only. True: private and loopback ones too. Networks: public ones and these."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMERIC_END: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_ALLOWED_BY_TRUE: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


_NO_NETWORK = LocalizedText(
    "{text} 不是网段；应写成 10.0.0.0/8 或 fd00::/8", "{text} is no network; write it as in 10.0.0.0/8 or fd00::/8."
)
_FORBIDDEN_CHARACTERS = LocalizedText(
    "回调地址不能含空格、控制字符或反斜杠",
    "The callback URL must not hold spaces, control characters or backslashes.",
)
_FORM = LocalizedText(
    "回调地址应写成 http(s)://主机[:端口]/路径，端口为 1 到 65535",
    "The callback URL must read http(s)://host[:port]/path with a port from 1 to 65535.",
)
_SCHEME = LocalizedText(
    "回调地址应以 http:// 或 https:// 开头", "The callback URL must start with http:// or https://."
)
_USER = LocalizedText(
    "回调地址的主机前不能有用户名或密码",
    "The callback URL must not hold a user name or a password before the host.",
)
_PORT = LocalizedText("回调地址的端口应为 1 到 65535", "The port of the callback URL must be from 1 to 65535.")
_BRACKETS = LocalizedText(
    "回调地址的方括号中应为 IPv6 地址", "Square brackets in the callback URL must hold an IPv6 address."
)
_INTERFACE = LocalizedText(
    "回调地址中的地址不能带网络接口名（%）", "The address in the callback URL must not name a network interface (%)."
)
_HOST = LocalizedText(
    "回调地址应有主机：域名或 IP 地址", "The callback URL must name a host: a domain name or an IP address."
)
_IPV4 = LocalizedText(
    "回调地址中的 IPv4 地址应写成四个十进制数，例如 192.0.2.7",
    "An IPv4 address in the callback URL must be written as four decimal numbers, as in 192.0.2.7.",
)


@frozen(kw_only=True)
class Target:
    """The parts of a callback URL that a request needs.

    Attributes:
        scheme: `http` or `https`.
        host: A name in ASCII, or an address without brackets.
        port: The TCP port.
        path: Path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@lru_cache(maxsize=1024)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return networks by their texts, as `10.0.0.0/8`; a bare address is a network of one.

    Raises:
        CallbackUrlError: One is none.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            raise CallbackUrlError(_NO_NETWORK.filled(text=f"{text!r:.80}")) from None
    return tuple(found)


def check_url(url: str, allow_private: AllowPrivate = False) -> None:
    """Check a callback URL when a channel is added, without asking the network.

    Names are resolved and judged when a callback is posted; an address in the URL itself is judged here.

    Raises:
        CallbackUrlError: WXRC will not call it; the text says what would be right.
    """
    checked_target(url, allow_private)


@lru_cache(maxsize=1024)
def checked_target(url: str, allow_private: AllowPrivate) -> Target:
    """Take a callback URL apart and check all that can be checked without asking the network.

    Raises:
        CallbackUrlError: WXRC will not call it.
    """
    if _FORBIDDEN.search(url):
        raise CallbackUrlError(_FORBIDDEN_CHARACTERS)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise CallbackUrlError(_FORM) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise CallbackUrlError(_SCHEME)
    if "@" in parts.netloc:
        raise CallbackUrlError(_USER)
    if port == 0:
        raise CallbackUrlError(_PORT)
    host = parts.hostname or ""
    if "[" in parts.netloc and ":" not in host:
        raise CallbackUrlError(_BRACKETS)
    host = _checked_host(host, allow_private)
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="!$%&'()*+,/:;=?@[]~")
    return Target(scheme=parts.scheme, host=host, port=port or _DEFAULT_PORTS[parts.scheme], path=path)


def check_address(host: str, address: str, allow_private: AllowPrivate) -> None:
    """Judge one address that a host stands for.

    Raises:
        CallbackUrlError: WXRC may not connect to it for this channel.
    """
    # A scope ("%eth0") says which link is meant and changes nothing about the kind of the address.
    given = ipaddress.ip_address(address.partition("%")[0])
    meant = _unwrapped(given)
    if isinstance(allow_private, tuple) and any(meant in network or given in network for network in allow_private):
        return
    if allow_private is True and any(meant in network for network in _ALLOWED_BY_TRUE):
        return
    # is_global follows IANA's registries: neither private, loopback, link-local, shared, reserved for documentation
    # nor unspecified.
    if meant.is_global and not meant.is_multicast and not meant.is_reserved:
        return
    kind, remedy = _kind(meant), _remedy(allow_private)
    to_zh, to_en = ("", "") if host == address else (f"指向 {address}，它", f" leads to {address}, which")
    raise CallbackUrlError(
        LocalizedText(
            f"回调地址的主机 {host} {to_zh}是{kind.zh}；{remedy.zh}",
            f"The callback URL's host {host}{to_en} is {kind.en}; {remedy.en}.",
        )
    )


def _checked_host(host: str, allow_private: AllowPrivate) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _checked_name(host, allow_private)
    if "%" in host:
        raise CallbackUrlError(_INTERFACE)
    check_address(str(address), str(address), allow_private)
    return str(address)


def _checked_name(host: str, allow_private: AllowPrivate) -> str:
    try:
        # Also folds full-width digits and dots, so that what is checked below is what will be resolved.
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise CallbackUrlError(_HOST)
    if _NUMERIC_END.fullmatch(name):
        # 0x7f000001, 2130706433, 0177.0.0.1, 127.1: resolvers read them as addresses, people and checks do not.
        raise CallbackUrlError(_IPV4)
    if allow_private is False and (name == "localhost" or name.endswith(".localhost")):
        remedy = _remedy(allow_private)
        raise CallbackUrlError(
            LocalizedText(
                f"回调地址的主机 {name} 就是本机；{remedy.zh}",
                f"The callback URL's host {name} is this machine; {remedy.en}.",
            )
        )
    return name


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _kind(address: Address) -> LocalizedText:
    if address.is_loopback:
        return LocalizedText("环回地址", "a loopback address")
    if address.is_link_local:
        return LocalizedText("链路本地地址", "a link-local address")
    if address.is_multicast:
        return LocalizedText("组播地址", "a multicast address")
    if address.is_unspecified:
        return LocalizedText("未指定地址", "the unspecified address")
    return LocalizedText("内网或保留地址", "a private or reserved address")


def _remedy(allow_private: AllowPrivate) -> LocalizedText:
    if allow_private is False:
        return LocalizedText(
            "请使用公网地址，或为该渠道允许内网（--allow-private）",
            "use a public one, or allow private networks for this channel (--allow-private)",
        )
    return LocalizedText("它不在该渠道允许的网段内", "it is outside the networks that this channel allows")
