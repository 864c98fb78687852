"""Which names the simulator answers to: those of this machine itself, unless told otherwise.

Its pages have no login. A page of another site whose name was pointed at this machine (DNS rebinding) is of the same origin as these for
a browser, so neither the address that we listen on nor the origin of a request keeps it out; the name in `Host` does.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ANY = "*"
"""Among the names: every name."""

REFUSAL = (
    "The simulator answers only to names of this machine itself, as localhost and 127.0.0.1, since its pages have no login. To open it"
    " by another name, start the service with --simulator-host NAME.\n"
    "模拟器的页面没有登录，因此只回应本机的名字，如 localhost 和 127.0.0.1。要用别的名字打开，启动服务时加上 --simulator-host 名字。\n"
)


def host_name(host: str) -> str:
    """Return the name in a `Host` header, in lower case and without its port; empty where it has none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Return whether a name is this machine's for itself: `localhost`, one below it, or an address of loopback."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class HostGuard:
    """An ASGI application that lets through what was asked of a loopback name, or of a name that is listed.

    Args:
        app: What it guards.
        names: Further names that may be used; `*` among them = all.
    """

    def __init__(self, app: App, names: Collection[str] = ()) -> None:
        self._app = app
        self._any = ANY in names
        self._names = frozenset(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._any or scope["type"] != "http" or self._allows(scope):
            await self._app(scope, receive, send)
            return
        body = REFUSAL.encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _allows(self, scope: Scope) -> bool:
        hosts = [host_name(value.decode("latin-1")) for name, value in scope["headers"] if name == b"host"]
        return bool(hosts) and all(is_loopback(host) or host in self._names for host in hosts)
