"""What the simulator's pages and its JSON API share: who may post, how much, and the headers that keep a page to itself."""

import re
from urllib.parse import urlsplit

from starlette.requests import Request

BODY_LIMIT = 64 * 1024
"""Bytes in the body of a request, at most."""

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class TooLarge(Exception):
    """The body has more than `BODY_LIMIT` bytes."""


async def read_body(request: Request) -> bytes:
    """Read a body of limited size.

    Raises:
        TooLarge: It is larger.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise TooLarge
    return bytes(body)


def is_cross_site(request: Request) -> bool:
    """Tell whether a browser sent this from another site's page.

    A browser says so in `Sec-Fetch-Site` where the page is https or local, else in `Origin`. A client that is no browser sends neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and _host(origin) != _host("//" + request.headers.get("host", ""))


def _host(url: str) -> str:
    try:
        return re.sub(r":(80|443)$", "", urlsplit(url).netloc.lower())
    except ValueError:
        return ""
