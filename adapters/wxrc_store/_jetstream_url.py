"""What the URL of a JetStream store says: `nats://user:password@a:4222,b:4222,c:4222/name?monitor=8222`."""

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from wxrc_store.port import StoreError

FORM = "The store's URL must be written nats://user:password@host:port,host:port/name"
PORT, MONITOR = 4222, 8222
REPLICAS = (1, 3, 5)
UNCHECKED = "unchecked"
OPTIONS = ("ca", "creds", "monitor", "replicas", "sync")


@frozen
class Place:
    """Where a log is.

    Attributes:
        hosts: The servers: host and port each.
        name: The log's name; its streams are named after it.
        login: What nats-py takes to log in and to encrypt.
        monitors: Host and port of each server's monitoring endpoint, which says whether it waits for its disk.
        replicas: On how many servers each message is kept.
        sync_checked: A server that does not wait for its disk is refused.
    """

    hosts: tuple[tuple[str, int], ...]
    name: str
    login: dict[str, Any]
    monitors: tuple[tuple[str, int], ...]
    replicas: int
    sync_checked: bool

    @property
    def servers(self) -> list[str]:
        """The servers' URLs, without user and password."""
        scheme = "tls" if "tls" in self.login else "nats"
        return [f"{scheme}://{_bracketed(host)}:{port}" for host, port in self.hosts]

    @property
    def shown(self) -> str:
        """What to call the log in sentences."""
        return ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts) + f"/{self.name}"


def parse(url: str) -> Place:
    """Take a URL apart.

    Raises:
        StoreError: It cannot be used; the sentence shows nothing of it that may be secret.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in ("nats", "tls") or not separator:
        raise StoreError(f"{FORM}.")
    rest, _, query = rest.partition("?")
    authority, _, name = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    options = _options(query)
    name = name or "wxrc"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise StoreError(f"{FORM}; the name has up to 40 letters, digits, hyphens and underlines.")
    servers = tuple(_server(each) for each in hosts.split(","))
    ports = _numbers("monitor", options.get("monitor", str(MONITOR)), range(1, 65536))
    if len(ports) not in (1, len(servers)):
        raise StoreError(f"{FORM}; monitor is one port for all servers, or one for each of them.")
    (replicas,) = _numbers("replicas", options.get("replicas", "3"), REPLICAS) or (0,)
    if (sync := options.get("sync", "always")) not in ("always", UNCHECKED):
        raise StoreError(f"{FORM}; sync is always or {UNCHECKED}.")
    return Place(
        servers,
        name,
        _login(user, scheme, options),
        tuple((host, port) for (host, _), port in zip(servers, ports * (len(servers) // len(ports)), strict=True)),
        replicas,
        sync != UNCHECKED,
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not set(options) <= set(OPTIONS):
        raise StoreError(f"{FORM}; the parameters that there are: {', '.join(OPTIONS)}.")
    return options


def _server(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/@\[\]]+))(?::(?P<port>\d{1,5}))?", text)
    if found is None or not 0 < (port := int(found["port"] or PORT)) < 65536:
        raise StoreError(f"{FORM}.")
    return found["address"] or found["host"], port


def _numbers(name: str, text: str, allowed: range | tuple[int, ...]) -> list[int]:
    numbers = [int(each) if re.fullmatch(r"\d{1,5}", each) else 0 for each in text.split(",")]
    if not set(numbers) <= set(allowed) or (name == "replicas" and len(numbers) != 1):
        wanted = "a port" if isinstance(allowed, range) else " or ".join(map(str, allowed))
        raise StoreError(f"{FORM}; {name} is {wanted}.")
    return numbers


def _login(user: str, scheme: str, options: dict[str, str]) -> dict[str, Any]:
    name, colon, password = user.partition(":")
    login: dict[str, Any] = {}
    if colon:
        login |= {"user": unquote(name), "password": unquote(password)}
    elif name:
        login["token"] = unquote(name)
    for option in ("creds", "ca"):
        if option in options and not Path(options[option]).is_file():
            raise StoreError(f"The file {options[option]} that the store's URL names as {option} is not there.")
    if "creds" in options:
        login["user_credentials"] = options["creds"]
    if scheme == "tls" or "ca" in options:
        try:
            login["tls"] = ssl.create_default_context(cafile=options.get("ca"))
        except (OSError, ssl.SSLError) as error:
            raise StoreError(f"The file {options.get('ca')} has no certificates in it that can be used.") from error
    return login


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
