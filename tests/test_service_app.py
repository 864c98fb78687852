"""The HTTP side of a gateway inside other applications: under any path, behind any proxy, with every link right."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from attrs import frozen
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.live import signed
from wxrc_gateway import Gateway
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_service import wxrc_app
from wxrc_service.paths import place
from wxrc_service.puppets import simulator_kind
from wxrc_store import MemoryStore

pytestmark = pytest.mark.anyio

ROOM = "客服一群"
LIMIT_S = 20


def with_root_path(app: ASGIApp, root_path: str) -> ASGIApp:
    """Do what a server does that is told its root path: uvicorn puts it before the path, as ASGI wants it."""

    async def rooted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": root_path, "path": root_path + scope["path"]}, receive, send)

    return rooted


def with_bare_root_path(app: ASGIApp, root_path: str) -> ASGIApp:
    """Name a prefix that the proxy has stripped, as FastAPI's own `root_path` does: the path is left as it came."""

    async def rooted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": root_path}, receive, send)

    return rooted


def fastapi(app: ASGIApp) -> ASGIApp:
    """Mount it in a FastAPI application."""
    outer = FastAPI()
    outer.mount("/wechat", app)
    return outer


@frozen
class Place:
    """Where the application stands.

    Attributes:
        wrap: Puts it there.
        asked: What stands before its own paths in a request that arrives.
        shown: What stands before them for a browser.
    """

    wrap: Callable[[ASGIApp], ASGIApp]
    asked: str
    shown: str


PLACES = {
    "alone": Place(lambda app: app, "", ""),
    "Starlette": Place(lambda app: Starlette(routes=[Mount("/wechat", app)]), "/wechat", "/wechat"),
    "FastAPI": Place(fastapi, "/wechat", "/wechat"),
    "twice": Place(
        lambda app: Starlette(routes=[Mount("/a", routes=[Mount("/b/wechat", app)])]), "/a/b/wechat", "/a/b/wechat"
    ),
    "under api": Place(lambda app: Starlette(routes=[Mount("/api", app)]), "/api", "/api"),
    "server's root path": Place(lambda app: with_root_path(app, "/x"), "", "/x"),
    "FastAPI behind a prefix": Place(lambda app: with_bare_root_path(fastapi(app), "/x"), "/wechat", "/x/wechat"),
    "mounted, server's root path": Place(
        lambda app: with_root_path(Starlette(routes=[Mount("/wechat", app)]), "/x"), "/wechat", "/x/wechat"
    ),
    "a proxy that strips": Place(lambda app: app, "", "/x/y"),
    "a proxy that strips, mounted": Place(
        lambda app: Starlette(routes=[Mount("/wechat", app)]), "/wechat", "/x/wechat"
    ),
    "a proxy that strips nothing": Place(lambda app: app, "/x", "/x"),
}


@asynccontextmanager
async def served(
    place: Place, public_url: str | None = None, **how: object
) -> AsyncIterator[tuple[Gateway, httpx2.AsyncClient, str]]:
    """Run a gateway with channel `crm` and simulated bot `zhao`, its application at this place; yield it, a client, and the KEY."""
    with SimulatedWeChat(":memory:") as world:
        gateway = Gateway(
            store=MemoryStore(),
            puppets={"simulator": simulator_kind(world)},
            public_url=f"http://localhost{place.shown}" if public_url is None else public_url,
        )
        app = place.wrap(wxrc_app(gateway, simulator=world, **how))  # type: ignore[arg-type]
        async with (
            gateway,
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app), base_url="http://localhost", follow_redirects=False
            ) as client,
        ):
            made = await gateway.add_channel("crm")
            await gateway.add_bot("zhao", "simulator", options={"startup_ms": "0"})
            await gateway.grant_bot("crm", "zhao")
            yield gateway, client, made.key


async def until(there: Callable[[], bool]) -> None:
    """Wait until this is true."""
    with anyio.fail_after(LIMIT_S):
        while not there():
            await anyio.sleep(0.005)


async def ask(client: httpx2.AsyncClient, prefix: str, key: str, interface: str, **body: str) -> dict[str, object]:
    """Call an interface, signed; return the answer's `resBody`."""
    request = signed("crm", key, "zhao", interface, body)
    answer = await client.post(f"{prefix}/api/{interface}", content=request.content, headers=request.headers)
    found: dict[str, object] = answer.json()["resBody"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_the_main_job_at_any_place(place: Place) -> None:
    """Login by the QR code's own links, a text to a room, health and images: all of it works where the application stands."""

    def arriving(url: str) -> str:
        """Return the path that arrives here for a URL that a browser opens; the proxy in between does its part."""
        path = url.removeprefix("http://localhost")
        assert path.startswith(f"{place.shown}/")
        return place.asked + path.removeprefix(place.shown)

    async with served(place) as (gateway, client, key):
        asked = await ask(client, place.asked, key, "login")
        await until(lambda: gateway.bot("zhao").qr is not None)  # type: ignore[union-attr]
        code = await gateway.qr_code("zhao")
        assert code is not None
        image = await client.get(arriving(code.image_url))
        page = await client.get(arriving(code.text))
        [confirm] = re.findall(r'action="([^"]*/confirm)"', page.text)
        confirmed = await client.post(arriving(confirm), headers={"Origin": "http://localhost"})
        await until(lambda: gateway.bot("zhao").rooms_complete)  # type: ignore[union-attr]
        sent = await ask(client, place.asked, key, "roomSendText", roomTopic=ROOM, text="你好")
        phones = await client.get(f"{place.asked}/sim")
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', phones.text + page.text)
        style = await client.get(arriving(next(link for link in links if link.endswith(".css"))))
        home = await client.get(f"{place.asked}/")
        health = [await client.get(f"{place.asked}/{name}") for name in ("healthz", "readyz")]

    assert "0" == asked["rtCode"]
    assert (200, "image/png") == (image.status_code, image.headers["content-type"])
    assert 200 == page.status_code
    assert (303, True) == (confirmed.status_code, confirmed.headers["location"].startswith(f"{place.shown}/sim/"))
    assert ("0", "1") == (sent["rtCode"], sent["sendStatus"])
    assert len(links) > 4
    assert [] == [link for link in links if not link.startswith(f"{place.shown}/sim")]
    assert 200 == style.status_code
    assert f'href="{place.shown}/sim"' in home.text
    assert [(200, {"status": "ok"})] * 2 == [(each.status_code, each.json()) for each in health]


async def test_a_public_url_without_the_mount_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """Mounted under a path that the gateway's `public_url` does not end in, the application says once what to change."""
    caplog.set_level(logging.WARNING, "wxrc.service")
    async with served(PLACES["Starlette"], public_url="http://localhost") as (_, client, _key):
        for _ in range(3):
            phones = await client.get("/wechat/sim")

    assert 'href="/wechat/sim/zhao"' in phones.text
    [record] = caplog.records
    assert "mounted at /wechat, but the gateway's public_url is http://localhost:" in record.getMessage()
    assert "a public_url that ends in /wechat" in record.getMessage()


async def test_without_a_simulator_there_are_no_phones() -> None:
    """An application that was given no simulated WeChat has neither its pages nor its API."""
    gateway = Gateway(store=MemoryStore(), puppets={})
    async with (
        gateway,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(wxrc_app(gateway)), base_url="http://localhost") as client,
    ):
        answers = [await client.get(path) for path in ("/sim", "/sim/api/zhao", "/sim/static/sim.css")]
        home = await client.get("/")

    assert [404] * 3 == [each.status_code for each in answers]
    assert "/sim" not in home.text


async def test_before_and_after() -> None:
    """An application whose gateway is not running answers 503 with the reason, everywhere where it matters, and no 500."""
    gateway = Gateway(store=MemoryStore(), puppets={})
    request = signed("crm", "x" * 40, "zhao", "botStatus", {})
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(wxrc_app(gateway)), base_url="http://localhost"
    ) as client:

        async def look() -> list[int]:
            call = await client.post("/api/botStatus", content=request.content, headers=request.headers)
            pages = [await client.get(path) for path in ("/healthz", "/readyz", "/qr/x.png", "/")]
            return [call.status_code, *(each.status_code for each in pages)]

        before = await look()
        async with gateway:
            up = await look()
        after = await look()
        reason = (await client.get("/healthz")).json()

    assert [503, 503, 503, 404, 200] == before
    assert [200, 200, 200, 404, 200] == up
    assert [503, 503, 503, 404, 200] == after
    assert ("stopped", True) == (reason["status"], "was left" in reason["reason"])


async def test_served_on_its_own_it_runs_its_gateway() -> None:
    """With the lifespan of ASGI, as `uvicorn shop:app` has it, the application enters the gateway and leaves it."""
    gateway = Gateway(store=MemoryStore(), puppets={})
    app = wxrc_app(gateway)
    to_app, from_server = anyio.create_memory_object_stream[dict[str, str]](2)
    to_server, from_app = anyio.create_memory_object_stream[dict[str, str]](2)
    with anyio.fail_after(LIMIT_S), to_app, from_server, to_server, from_app:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan", "state": {}}, from_server.receive, to_server.send)
            await to_app.send({"type": "lifespan.startup"})
            started = await from_app.receive()
            up = gateway.health().status
            await to_app.send({"type": "lifespan.shutdown"})
            ended = await from_app.receive()
        after = gateway.health().status

    assert ("lifespan.startup.complete", "lifespan.shutdown.complete") == (started["type"], ended["type"])
    assert ("ok", "stopped") == (up, after)


@pytest.mark.parametrize(
    ("path", "root_path", "public", "expected"),
    [
        ("/api/login", "", "", ("", "/api/login")),
        ("/wechat", "/wechat", "/wechat", ("/wechat", "/")),
        ("/wechat/", "/wechat", "", ("/wechat", "/")),
        ("/wechatty/x", "/wechat", "/wechat", ("/wechat", "/wechatty/x")),
        ("/x/sim", "/x", "/other", ("/x", "/sim")),
        ("/wechat/sim", "/x/wechat", "/x/wechat", ("/x/wechat", "/sim")),
        ("/x/sim", "", "/x", ("/x", "/sim")),
        ("/sim", "", "/x", ("/x", "/sim")),
    ],
)
def test_the_two_prefixes(path: str, root_path: str, public: str, expected: tuple[str, str]) -> None:
    """The prefix of links and the path below it are found from what server, routers and `public_url` say."""
    assert expected == place(path, root_path, public)
