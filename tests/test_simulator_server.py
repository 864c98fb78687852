"""The simulator's phones and its JSON API over a real socket; uvicorn runs under asyncio only."""

import socket
from pathlib import Path

import anyio
import httpx2
import pytest
import uvicorn
from anyio.abc import TaskGroup
from starlette.applications import Starlette

from tests.test_simulator_pages import puppet
from wxrc_core.puppet import Outgoing, ReportLoggedIn, ReportMessage, ReportQrCode
from wxrc_core.testing.puppet_driver import running
from wxrc_puppet.simulator import SimulatedWeChat, routes

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Name the event loop that uvicorn has."""
    return "asyncio"


async def test_login_and_chat(tmp_path: Path) -> None:
    """Scan, confirm, send, read and write over HTTP, and stop within the time that a page may hold a request."""
    with (
        SimulatedWeChat(tmp_path / "simulator.db") as wechat,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        wechat.ensure_account("demo", {})
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(Starlette(routes=routes(wechat)), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                await _start(server, listener, tasks)
                await _use(wechat, url)
                server.should_exit = True


async def _start(server: uvicorn.Server, listener: socket.socket, tasks: TaskGroup) -> None:
    async def serve() -> None:
        await server.serve(sockets=[listener])

    tasks.start_soon(serve)
    while not server.started:
        await anyio.sleep(0.01)


async def _use(wechat: SimulatedWeChat, url: str) -> None:
    async with (
        httpx2.AsyncClient(base_url=url, follow_redirects=True) as browser,
        running(puppet(wechat, url)) as client,
    ):
        await browser.post((await client.until(ReportQrCode)).text + "/confirm")
        await client.until(ReportLoggedIn)
        room = wechat.directory.rooms("demo")[0]
        await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="真的服务器"))
        say = {"room": room.topic, "from": "赵立伟", "text": "@demo 你好"}
        said = await browser.post(f"{url}/sim/api/demo/say", json=say)
        message = await client.until(ReportMessage)
        record = await browser.get("/sim/api/demo/record")

        assert "真的服务器" in (await browser.get(f"/sim/demo/room/{room.id}")).text
        assert said.json()["msgid"] == message.message_id
        assert ["真的服务器"] == [written["text"] for written in record.json()["record"]]
