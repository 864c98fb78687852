"""The admin API for operating: the same structs as the command's JSON, with roles, and every wrong query in a sentence."""

from typing import Any

import anyio
import pytest

from tests.test_admin_api import Client, admin
from wxrc_core import message
from wxrc_core.log import Appended, Entry
from wxrc_service.admin_operate import OPERATE_ROUTES

pytestmark = pytest.mark.anyio


async def in_doubt(client: Client, txcode: str) -> int:
    """Write a message in doubt; return its number when the gateway knows of it."""
    stream = message.stream_name("-", "20261125", txcode)
    events = [
        message.MessageQueued(
            at=1_790_000_000_000,
            chid="-",
            botcode="zhao",
            txcode=txcode,
            interface="roomSendText",
            digest="d",
            text="密",
        ),
        message.MessageAttempted(at=1_790_000_000_001, attempt=1, room_id="r"),
        message.MessageInDoubt(at=1_790_000_000_002, attempt=1, detail="no answer"),
    ]
    [outcome] = await client.gateway.store.append([Entry(stream, 0, events)])
    assert isinstance(outcome, Appended)
    with anyio.fail_after(30):
        while stream not in client.gateway.world.doubts:
            await anyio.sleep(0.01)
    return outcome.position


async def found(client: Client, path: str) -> Any:
    """Return what a look at something answers."""
    answer = await client.ask("GET", path, role="viewer")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_operator_sees_and_decides() -> None:
    """What is in doubt is in the state and the list; a resolution stands in the log under the token's name."""
    async with admin() as client:
        msgid, other = await in_doubt(client, "t-1"), await in_doubt(client, "t-2")
        status = await found(client, "/status")
        listed = await found(client, "/messages?state=in_doubt&limit=1")
        resolved = await client.do(f"/messages/{msgid}/resolve", {"verdict": "sent"}, role="operator")
        line = await found(client, f"/log/{msgid}")
        bot = await found(client, "/log/bot:zhao?limit=5")

    assert [other, msgid] == [each["msgid"] for each in status["doubts"]]
    assert ([other], False, other) == (
        [each["msgid"] for each in listed["messages"]],
        listed["complete"],
        listed["before"],
    )
    assert ("sent", "operator") == (resolved["state"], resolved["evidence"])
    assert ["ope"] == [each["fields"]["by"] for each in line["entries"] if each["event"] == "message.sent"]
    assert "bot" == bot["of"]
    assert "密" not in str(bot)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/messages?state=lost", None, 400),
        ("GET", "/messages?limit=0", None, 400),
        ("GET", "/messages?colour=red", None, 400),
        ("GET", "/messages?since=yesterday", None, 400),
        ("GET", "/messages?bot=nobody", None, 404),
        ("GET", "/log/nothing", None, 409),
        ("GET", "/log/zhao?limit=x", None, 400),
        ("GET", "/log/zhao?limit=0", None, 400),
        ("POST", "/messages/1x/resolve", {"verdict": "sent"}, 400),
        ("POST", "/messages/999/resolve", {"verdict": "sent"}, 409),
        ("POST", "/messages/1/resolve", {"verdict": "perhaps"}, 400),
        ("POST", "/messages/1/resolve", {}, 400),
        ("POST", "/bots/nobody/login", None, 404),
    ],
)
async def test_what_cannot_be_done(method: str, path: str, body: Any, status: int) -> None:
    """It is said in a sentence, and never a fault of the service."""
    async with admin() as client:
        answer = await client.ask(method, path, body)

    assert status == answer.status_code, answer.text
    assert answer.json()["error"]["message"]


async def test_roles() -> None:
    """Looking takes a viewer, deciding an operator."""
    async with admin() as client:
        answers = {
            route.path: (
                await client.ask(route.method, route.path.format(msgid=1, what="x", botcode="x"), role="viewer")
            )
            for route in OPERATE_ROUTES
        }

    for route in OPERATE_ROUTES:
        assert (403 == answers[route.path].status_code) == (route.role == "operator")
