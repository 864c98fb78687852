"""The HTTP side of a gateway as one ASGI application: the wire in at `/api/` and its docs, QR images, health, and the simulator where it
is wanted.

It can be served as it is, or mounted under any path of another application (`wxrc_app`). `/api/` goes straight to `wxrc_http.Api`, past
the routing of Starlette: it is the hot path.
"""

import io
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import qrcode
from qrcode.image.pure import PyPNGImage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from wxrc_core.errors import Unavailable
from wxrc_gateway import Gateway, NotEntered
from wxrc_http import Api
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_puppet.simulator.hosts import HostGuard
from wxrc_puppet.simulator.web import routes as simulator_routes
from wxrc_service.openapi import openapi_routes
from wxrc_service.paths import fits, place

log = logging.getLogger("wxrc.service")


def wxrc_app(
    gateway: Gateway,
    *,
    answer_wait_ms: int = 300,
    simulator: SimulatedWeChat | None = None,
    simulator_hosts: Collection[str] = (),
    simulator_when: Callable[[], bool] = lambda: True,
    extra: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Return the HTTP side of a gateway, to be served or to be mounted under a path of another application.

    routes = [Mount("/wechat", wxrc_app(gateway)), ...]             # Starlette
    app.mount("/wechat", wxrc_app(gateway))                         # FastAPI

    Until the gateway is entered and up, `/api/` answers 503. Served on its own the application enters and leaves the gateway by itself
    (ASGI's lifespan); mounted it does not, since a router passes no lifespan on: do it in the lifespan of yours.

    Args:
        gateway: The gateway. Its `public_url` must end in the path under which this is mounted: QR images are linked there.
        answer_wait_ms: How long an answer waits for a message's end (ms).
        simulator: The simulated WeChat whose phones are served at `/sim`; None = no simulator. Its pages have no login.
        simulator_hosts: Further host names that the simulator answers to, besides those of loopback; `*` among them = all.
        simulator_when: Asked at each request whether the simulator is there.
        extra: Further routes, before all others.
    """
    return App(gateway, answer_wait_ms, simulator, simulator_hosts, simulator_when, extra)


class App:
    """See `wxrc_app`."""

    def __init__(
        self,
        gateway: Gateway,
        answer_wait_ms: int,
        simulator: SimulatedWeChat | None,
        simulator_hosts: Collection[str],
        simulator_when: Callable[[], bool],
        extra: Sequence[BaseRoute],
    ) -> None:
        self._gateway = gateway
        self._public_path = urlsplit(gateway.public_url).path.rstrip("/")
        self._told_mismatch = False
        self._api = Api(gateway, answer_wait_ms=answer_wait_ms)
        self._simulator: ASGIApp | None = None
        if simulator is not None:
            self._simulator = HostGuard(Starlette(routes=simulator_routes(simulator)), simulator_hosts)
        self._simulator_when = simulator_when
        self._pages = Starlette(
            routes=[
                *extra,
                *openapi_routes(admin=any(getattr(route, "path", "") == "/admin/api" for route in extra)),
                Route("/", self._home),
                Route("/healthz", self._health),
                Route("/readyz", self._health),
                Route("/qr/{name}", self._qr_image),
            ],
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope.get("path", "")
        if self._public_path or scope.get("root_path"):
            scope, path = self._placed(scope, path)
        app: ASGIApp = self._pages
        if path.startswith("/api/"):
            app = self._api
        elif (path == "/sim" or path.startswith("/sim/")) and self._simulator is not None and self._simulator_when():
            app = self._simulator
        await app(scope, receive, send)

    def _placed(self, scope: Scope, path: str) -> tuple[Scope, str]:
        """Return the scope with the prefix that browsers know as its root path, and the path below that."""
        root_path = scope.get("root_path", "").rstrip("/")
        base, below = place(path, root_path, self._public_path)
        if not self._told_mismatch and not fits(root_path, self._public_path):
            self._told_mismatch = True
            log.warning(
                "this application is mounted at %s, but the gateway's public_url is %s: links to QR images would lead nowhere;"
                " give the gateway a public_url that ends in %s",
                root_path, self._gateway.public_url, root_path,
            )  # fmt: skip
        return {**scope, "root_path": base, "path": base + below}, below

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._gateway:
            yield

    async def _home(self, request: Request) -> Response:
        shown = self._simulator is not None and self._simulator_when()
        base = quote(request.scope.get("root_path", ""))
        phones = _PHONES.format(base=base) if shown else ""
        return HTMLResponse(_HOME.format(base=base, phones=phones), headers=_HEADERS)

    async def _health(self, request: Request) -> Response:
        health = self._gateway.health()
        if health.status == "ok":
            return JSONResponse({"status": "ok"}, headers=_UNCACHED)
        # Monitoring may be anybody: it learns what is wrong, and not where our files are.
        said = {"status": health.status, "reason": _FOLDERS.sub("", health.reason), "since": health.since}
        return JSONResponse(said, 503, headers={**_UNCACHED, "Retry-After": "1"})

    async def _qr_image(self, request: Request) -> Response:
        """Show the QR code that waits under this unguessable name; gone with the code."""
        try:
            code = await self._gateway.qr_code_named(request.path_params["name"])
        except NotEntered:
            code = None
        except Unavailable:
            return PlainTextResponse(
                "Try again shortly. 请稍后再试。\n", 503, headers={**_UNCACHED, "Retry-After": "1"}
            )
        if code is not None:
            return Response(qr_png(code.text), media_type="image/png", headers=_UNCACHED)
        return PlainTextResponse("This QR code is no longer valid. 二维码已失效。\n", 404)


def qr_png(text: str) -> bytes:
    """Return a QR code as a PNG image."""
    code = qrcode.QRCode(border=4, box_size=8)
    code.add_data(text)
    image = io.BytesIO()
    code.make_image(image_factory=PyPNGImage).save(image)
    return image.getvalue()


def qr_terminal(text: str, write: Callable[[str], object], encoding: str = "utf-8") -> None:
    """Write a QR code for a dark terminal: with half blocks, or in reverse video where the encoding has no such characters."""
    code = qrcode.QRCode(border=2)
    code.add_data(text)
    out = io.StringIO()
    code.print_ascii(out, invert=True)
    drawn = out.getvalue().replace("\xa0", " ")
    try:
        drawn.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        light = "\x1b[7m  \x1b[0m" if sys.stdout.isatty() else "##"
        rows = ("".join("  " if dark else light for dark in row) for row in code.get_matrix())
        drawn = "\n".join(rows) + "\n"
    write(drawn)


_FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/]+/)+(?=[^\s/])")
"""The folders of a path in a sentence."""

_UNCACHED = {"Cache-Control": "no-store"}
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'self'", "X-Content-Type-Options": "nosniff"}
_PHONES = '<p><a href="{base}/sim">模拟微信的手机 · the simulated phones</a></p>'
_HOME = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>WXRC</title>
<h1>WXRC</h1>
<p>微信机器人网关正在运行。接口在 <code>/api/</code> 下，签名方法见<a href="{base}/docs?lang=zh">接口文档</a>。</p>
<p lang="en">The WeChat bot gateway is running. Its interfaces are under <code>/api/</code>;
<a href="{base}/docs?lang=en">their docs</a> tell how to sign.</p>
{phones}
"""
