"""The simulator's JSON API: what it tells, what it does, and a sentence for whatever is wrong."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from wxrc_core.puppet import Outgoing
from wxrc_puppet.simulator import SimulatedWeChat, routes

pytestmark = pytest.mark.anyio


@pytest.fixture
def wechat(tmp_path: Path) -> Iterator[SimulatedWeChat]:
    """Return a new WeChat with the account of the bot `demo`."""
    with SimulatedWeChat(tmp_path / "simulator.db", clock=lambda: 1_795_000_000_000) as wechat:
        wechat.ensure_account("demo", {})
        yield wechat


@pytest.fixture
async def http(wechat: SimulatedWeChat) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of the API that is no browser."""
    transport = httpx2.ASGITransport(Starlette(routes=routes(wechat)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://sim.test/sim/api") as client:
        yield client


def log_in(wechat: SimulatedWeChat) -> int:
    """Log a client in by code and return its number."""
    code = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    wechat.logins.confirm(code.token)
    login = wechat.logins.log_in(code, "web")
    assert login is not None
    return login.client


async def test_the_record_is_what_reached_wechat(wechat: SimulatedWeChat, http: httpx2.AsyncClient) -> None:
    """The record has what the client sent, in order, with WeChat's ids and the gateway's; not what others wrote."""
    client = log_in(wechat)
    room = wechat.directory.find_room("demo", "测试群")
    person = wechat.directory.find_person("demo", "陈静")
    assert person is not None
    to_room = wechat.messages.deliver(
        "demo", client, Outgoing(msgid=9007199254740991, attempt=3, room_id=room.id, text="群里")
    )
    wechat.messages.say("demo", "别人写的", room=room.id, sender="赵立伟")
    wechat.messages.say("demo", "手机上写的", room=room.id, sender="demo")
    direct = wechat.messages.deliver("demo", client, Outgoing(msgid=2, attempt=1, user_id=person.id, text="私聊"))
    common = {"mentions": [], "time": 1_795_000_000_000}
    expected = [
        {"room": "测试群", "roomId": room.id, "user": "", "userId": "", "text": "群里", "msgid": to_room.id}
        | {"gatewayMsgid": 9007199254740991, "attempt": 3}
        | common,
        {"room": "", "roomId": "", "user": "陈静", "userId": person.id, "text": "私聊", "msgid": direct.id}
        | {"gatewayMsgid": 2, "attempt": 1}
        | common,
    ]
    wechat.directory.change_room("demo", room.id, topic="后来改了名")

    assert {"record": expected} == (await http.get("/demo/record")).json()


async def test_saying_by_topic_and_by_id(wechat: SimulatedWeChat, http: httpx2.AsyncClient) -> None:
    """A room is named by topic or id, a writer by name or id, and a direct chat by its person."""
    room = wechat.directory.find_room("demo", "测试群")
    [person, *_] = wechat.directory.members("demo", room.id)
    for body in [
        {"room": "测试群", "from": person.name, "text": "@demo 一"},
        {"room": room.id, "from": person.id, "text": "二"},
        {"user": person.name, "from": person.name, "text": "三"},
    ]:
        answer = await http.post("/demo/say", json=body)

        assert 200 == answer.status_code, answer.text
    waiting = wechat.messages.waiting("demo")

    assert [("@demo 一", "测试群"), ("二", "测试群"), ("三", person.name)] == [(m.text, m.place) for m in waiting]
    assert {person.id} == {message.from_id for message in waiting}


async def test_the_state_tells_of_login_and_rooms(wechat: SimulatedWeChat, http: httpx2.AsyncClient) -> None:
    """The state follows the account from logged out over a waiting code to logged in and out again."""
    states = [(await http.get("/demo")).json()["state"]]
    wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    states.append((await http.get("/demo")).json()["state"])
    log_in(wechat)
    states.append((await http.get("/demo")).json()["state"])
    kicked = [(await http.post("/demo/kick")).json()["done"] for _ in range(2)]
    log_in(wechat)
    out = (await http.post("/demo/logout", content=b"")).json()["done"]
    states.append((await http.get("/demo")).json()["state"])

    assert ["logout", "awaiting_qr", "login", "logout"] == states
    assert [True, False, True] == [*kicked, out]


async def test_rooms_are_made_changed_and_dissolved(wechat: SimulatedWeChat, http: httpx2.AsyncClient) -> None:
    """Rooms can be added under a topic that is there already, renamed, given a fault, and dissolved."""
    added = (await http.post("/demo/addRoom", json={"topic": "测试群"})).json()
    several = await http.post("/demo/changeRoom", json={"room": "测试群", "topic": "甲"})
    changed = (await http.post("/demo/changeRoom", json={"room": added["id"], "topic": "甲", "fault": "lost"})).json()
    gone = await http.post("/demo/dissolveRoom", json={"room": "甲"})

    assert {"id": added["id"], "topic": "甲", "fault": "lost"} == changed
    assert 400 == several.status_code
    assert added["id"] in several.json()["error"]
    assert {"done": True} == gone.json()
    assert added["id"] not in [room.id for room in wechat.directory.rooms("demo")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/nobody/record", None, 404, "bot must be"),
        ("GET", "/demo/nothing", None, 404, "There is no such call"),
        ("GET", "/demo/record/more", None, 404, "There is no such call"),
        ("POST", "/demo/record", "{}", 405, "record must be called with GET"),
        ("GET", "/demo/say", None, 405, "say must be called with POST"),
        ("POST", "/demo/say", "", 400, "text is missing"),
        ("POST", "/demo/say", "{", 400, "body must be a JSON object in UTF-8"),
        ("POST", "/demo/say", "[]", 400, "body must be a JSON object"),
        ("POST", "/demo/say", '"text"', 400, "body must be a JSON object"),
        ("POST", "/demo/say", '{"room": 5, "text": "x"}', 400, "room must be a string"),
        ("POST", "/demo/say", '{"room": "测试群", "from": null, "text": "x"}', 400, "from must be a string"),
        ("POST", "/demo/say", '{"room": "没有", "from": "a", "text": "x"}', 404, "room must be"),
        ("POST", "/demo/say", '{"room": "测试群", "text": "x"}', 400, "from must be"),
        ("POST", "/demo/say", '{"room": "测试群", "from": "a", "text": ""}', 400, "text must be 1 to"),
        ("POST", "/demo/say", '{"room": "测试群", "from": "\\ud800", "text": "x"}', 400, "body must be"),
        ("POST", "/demo/say", "[" * 50_000, 400, "body must be"),
        ("POST", "/demo/say", " " * 70_000, 413, "at most 65536 bytes"),
        ("POST", "/demo/addRoom", "{}", 400, "topic must be a name"),
        ("POST", "/demo/changeRoom", '{"room": "测试群", "fault": "fire"}', 400, "fault must be empty or one of"),
        ("POST", "/demo/dissolveRoom", "{}", 404, "room must be"),
    ],
)
async def test_what_is_wrong_is_named(
    wechat: SimulatedWeChat, http: httpx2.AsyncClient, method: str, path: str, body: str | None, status: int, said: str
) -> None:
    """Each kind of fault has its status and a sentence that names the field; nothing is written."""
    answer = await http.request(method, path, content=body.encode() if body is not None else None)

    assert status == answer.status_code
    assert [str] == [type(error) for error in answer.json().values()]
    assert said in answer.json()["error"]
    assert [] == wechat.messages.waiting("demo")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
WORD = st.sampled_from(["测试群", "赵立伟", "陈静", "demo", "hang", "", "你好 @demo ", "\x00", "\u202e", "\ud800"])
BODY = st.dictionaries(
    st.sampled_from(["room", "user", "from", "text", "topic", "fault", "x"]), WORD | st.text() | JSON
)
CALL = st.sampled_from(["", "record", "say", "kick", "logout", "addRoom", "changeRoom", "dissolveRoom", "no"])


def as_bytes(value: Any) -> bytes:
    """Write JSON as other programs may: NaN and lone surrogates included."""
    return json.dumps(value).encode()


@given(
    call=CALL | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    body=st.binary(max_size=50) | BODY.map(as_bytes) | JSON.map(as_bytes),
)
@example(
    call="say", method="POST", body=b'{"room": "\xe6\xb5\x8b\xe8\xaf\x95\xe7\xbe\xa4", "from": "a", "text": "\\u0000"}'
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_input_breaks_it(http: httpx2.AsyncClient, call: str, method: str, body: bytes) -> None:
    """Whatever is sent, the answer is JSON with a status below 500, and the next call works."""
    url = "/demo/" + quote(call, safe="") if call else "/demo"
    answer = await http.request(method, url, content=body)

    assert answer.status_code in (200, 307, 400, 404, 405, 413)
    if method != "HEAD" and answer.status_code != 307:
        assert isinstance(answer.json(), dict)
        assert (answer.status_code != 200) == ("error" in answer.json())
