"""What the simulator's pages and its JSON API share: who may post, how much, and the headers that keep a page to itself."""

import re
from urllib.parse import urlsplit

import anyio
from starlette.requests import Request

BODY_LIMIT = 64 * 1024
"""Bytes in the body of a request, at most."""

BODY_SECONDS = 15
"""How long a body may take to come (s)."""

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


class BadBody(Exception):
    """The body is too large or too slow to come.

    Attributes:
        status: The HTTP status that says so.
    """

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


async def read_body(request: Request) -> bytes:
    """Read a body of limited size in limited time. What is a little too large is read to its end, so that its sender hears the answer.

    Raises:
        BadBody: It is too large or too slow.
    """
    body, size = bytearray(), 0
    with anyio.move_on_after(BODY_SECONDS) as limit:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= BODY_LIMIT:
                body += chunk
            elif size > 16 * BODY_LIMIT:
                break
    if limit.cancelled_caught:
        raise BadBody(f"The body must come within {BODY_SECONDS} seconds.", 408)
    if size > BODY_LIMIT:
        raise BadBody(f"The body must have at most {BODY_LIMIT} bytes.", 413)
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
