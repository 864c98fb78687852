"""The ASGI application: the wire in at `/api/`, QR images, health, and the simulator's pages where there is a simulated bot.

`/api/` goes straight to `wxrc_http.Api`, past the routing of Starlette: it is the hot path.
"""

import io
import sys
from collections.abc import Callable, Sequence

import qrcode
from qrcode.image.pure import PyPNGImage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from wxrc_gateway import Gateway
from wxrc_http import Api
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_puppet.simulator.web import routes as simulator_routes


class App:
    """The service as an ASGI application.

    Args:
        gateway: The gateway, which may still be starting: until it is up, `/api/` answers 503.
        world: The simulated WeChat.
        answer_wait_ms: How long an answer waits for a message's end (ms).
        extra: Further routes, before all others.
    """

    def __init__(
        self, gateway: Gateway, world: SimulatedWeChat, *, answer_wait_ms: int = 300, extra: Sequence[BaseRoute] = ()
    ) -> None:
        self._gateway = gateway
        self._api = Api(gateway, answer_wait_ms=answer_wait_ms)
        self._simulator = Starlette(routes=simulator_routes(world))
        self._pages = Starlette(
            routes=[
                *extra,
                Route("/", self._home),
                Route("/healthz", self._health),
                Route("/qr/{name}", self._qr_image),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope.get("path", "")
        app: ASGIApp = self._pages
        if path.startswith("/api/"):
            app = self._api
        elif (path == "/sim" or path.startswith("/sim/")) and self._simulates():
            app = self._simulator
        await app(scope, receive, send)

    def _simulates(self) -> bool:
        return any(found.state.added.puppet == "simulator" for found in self._gateway.view.bots.values())

    async def _home(self, request: Request) -> Response:
        return HTMLResponse(_HOME.format(phones=_PHONES if self._simulates() else ""), headers=_HEADERS)

    async def _health(self, request: Request) -> Response:
        reason = self._gateway.unavailable()
        if reason:
            return JSONResponse({"status": "unavailable", "reason": reason}, 503, headers={"Retry-After": "1"})
        return JSONResponse({"status": "ok"})

    async def _qr_image(self, request: Request) -> Response:
        """Show the QR code that waits under this unguessable name; gone with the code."""
        for found in self._gateway.view.bots.values():
            code = found.state.qr
            if code is None or not code.image_url.endswith(f"/qr/{request.path_params['name']}"):
                continue
            if code.expires_at > self._gateway.clock():
                return Response(qr_png(code.text), media_type="image/png", headers={"Cache-Control": "no-store"})
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


_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'self'", "X-Content-Type-Options": "nosniff"}
_PHONES = '<p><a href="/sim">模拟微信的手机 · the simulated phones</a></p>'
_HOME = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>WXRC</title>
<h1>WXRC</h1>
<p>微信机器人网关正在运行。接口在 <code>/api/</code> 下，签名方法见文档。</p>
<p lang="en">The WeChat bot gateway is running. Its interfaces are under <code>/api/</code>; the docs tell how to sign.</p>
{phones}
"""
