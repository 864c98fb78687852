"""`/openapi.json`, and `/docs`: a page that shows it, signs requests with the reader's KEY and sends them.

The KEY stays in the browser: the page signs with WebCrypto. All that it loads comes from here, and its policy allows nothing else; it has
only relative links, so it works under any path.
"""

from functools import lru_cache, partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wxrc_http.answers import prefers_english
from wxrc_http.openapi import document
from wxrc_service.admin_api import ADMIN_ROUTES
from wxrc_service.openapi_admin import admin_document

_FILES: Final = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def openapi_routes(*, admin: bool) -> list[Route]:
    """Return the routes of `/openapi.json` and `/docs`.

    Args:
        admin: The admin API is served too, and belongs into the document.
    """
    return [
        Route("/openapi.json", partial(_document, admin=admin)),
        Route("/docs", _page),
        Route("/docs/{name}", _file),
    ]


def whole_document(*, english: bool, base: str = "", admin: bool = True) -> dict[str, Any]:
    """Return the document of all that a service serves; see `wxrc_http.openapi.document`."""
    found = document(english=english, base=base, version=version("wxrc"))
    if admin:
        further = admin_document(ADMIN_ROUTES, english)
        found["paths"] |= further["paths"]
        for kind, components in further["components"].items():
            found["components"][kind] |= components
    return found


async def _document(request: Request, *, admin: bool) -> Response:
    """Answer the document, in English with `?lang=en` or where Accept-Language prefers it."""
    language = request.query_params.get("lang", request.headers.get("accept-language", ""))[:256]
    english = prefers_english(language.encode("latin-1", "replace"))
    said = _encoded(english, request.scope.get("root_path", "").rstrip("/"), admin)
    return Response(said, 200, {**_HEADERS, "Vary": "Accept-Language"}, media_type="application/json")


@lru_cache(maxsize=8)
def _encoded(english: bool, base: str, admin: bool) -> bytes:
    return msgspec.json.encode(whole_document(english=english, base=base, admin=admin))


async def _page(_: Request) -> Response:
    return _served("page.html")


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    return _served(name) if name in _FILES else Response("Not found. 没有这个页面。\n", 404, media_type="text/plain")


@lru_cache(maxsize=8)
def _bytes(name: str) -> bytes:
    return files("wxrc_service").joinpath("docs_page", name).read_bytes()


def _served(name: str) -> Response:
    return Response(_bytes(name), 200, {**_HEADERS, "Content-Type": _FILES[name]})
