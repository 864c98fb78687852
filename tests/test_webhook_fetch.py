"""Fetching files that channels name: from a real server, past the guard of callbacks, bounded in size and time."""

import gzip
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wxrc_webhook import FetchFailed, FileFetcher

pytestmark = pytest.mark.anyio

ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/there": (200, {}, b"an image"),
    "/query?a=1&b=%2F": (200, {}, b"with a query"),
    "/missing": (404, {}, b"no"),
    "/gone": (410, {}, b"no"),
    "/error": (500, {}, b"no"),
    "/busy": (429, {"Retry-After": "5"}, b"no"),
    "/redirect": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
    "/empty": (204, {}, b""),
    "/large": (200, {}, b"x" * 5_000),
    "/packed": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 100_000)),
}


class Handler(BaseHTTPRequestHandler):
    """Answers as `ANSWERS` say; `/drip` sends a head and then nothing, `/cut` less than it promised."""

    def do_GET(self) -> None:
        """Answer."""
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            self.server.over.wait(30)  # type: ignore[attr-defined]
            return
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            return
        status, headers, body = ANSWERS[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server with some files; `seen` has its requests."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen, server.over = [], threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()


def url(server: ThreadingHTTPServer, path: str) -> str:
    """Return the URL of a file there."""
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


@pytest.mark.parametrize(("path", "body"), [("/there", b"an image"), ("/query?a=1&b=%2F", b"with a query")])
async def test_a_file(path: str, body: bytes, server: ThreadingHTTPServer) -> None:
    """What is there is returned; it is asked for as it is, by GET, and nothing else is said."""
    assert body == await FileFetcher().fetch(url(server, path), limit=1_000, allow_private=True)
    [(asked, headers)] = server.seen  # type: ignore[attr-defined]
    assert path == asked
    assert {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"} == set(headers)
    assert "identity" == headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("path", "retry", "words"),
    [
        ("/missing", False, "HTTP 404"),
        ("/gone", False, "HTTP 410"),
        ("/empty", False, "HTTP 204"),
        ("/error", True, "HTTP 500"),
        ("/busy", True, "HTTP 429"),
        ("/redirect", False, "redirects"),
        ("/large", False, "larger than 1,000"),
        ("/packed", False, "Content-Encoding"),
        ("/cut", True, "broke off"),
        ("/drip", True, "within 0.5 s"),
    ],
)
async def test_what_cannot_be_fetched(path: str, retry: bool, words: str, server: ThreadingHTTPServer) -> None:
    """Each ends in a sentence that says why, and whether it may be there later; none repeats the URL."""
    with pytest.raises(FetchFailed, match=words) as failed:
        await FileFetcher(time_limit_s=0.5 if path == "/drip" else 20).fetch(
            url(server, path), limit=1_000, allow_private=True
        )

    assert retry == failed.value.retry
    assert path not in str(failed.value)


async def test_a_server_that_is_not_there() -> None:
    """Nobody listens there: it may be there later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchFailed, match="could not be reached") as failed:
        await FileFetcher().fetch(f"http://127.0.0.1:{port}/", limit=10, allow_private=True)

    assert failed.value.retry


FORBIDDEN = [
    "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0x7f000001/", "http://2130706433/", "http://localhost/",
    "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://user@img.example/", "http://user:secret@img.example/",
    "file:///etc/passwd", "gopher://img.example/", "http://", "http://img.example:0/",
]  # fmt: skip


@pytest.mark.parametrize("forbidden", FORBIDDEN)
async def test_urls_that_are_not_called(forbidden: str) -> None:
    """What leads into a private network, or is no plain http(s) URL, is not called, and the sentence tells nothing of that network."""
    with pytest.raises(FetchFailed, match="does not call") as failed:
        await FileFetcher().fetch(forbidden, limit=10)

    assert not failed.value.retry
    assert "127" not in str(failed.value)


async def test_a_name_that_leads_to_a_private_address(server: ThreadingHTTPServer) -> None:
    """Every address that a name leads to is judged; the answer does not repeat it."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    with pytest.raises(FetchFailed, match="does not call") as failed:
        await FileFetcher(resolve=resolve).fetch("http://img.example/there", limit=10)

    assert "127.0.0.1" not in str(failed.value)
    assert [] == server.seen  # type: ignore[attr-defined]


async def test_a_name_without_an_address() -> None:
    """It may have one later."""

    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(FetchFailed, match="has no address") as failed:
        await FileFetcher(resolve=resolve).fetch("http://img.example/", limit=10)

    assert failed.value.retry
