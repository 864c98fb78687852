"""Each interface of wire.md, section 2, through the real application."""

from typing import Any

import pytest

from wxrc_core import message, puppet
from wxrc_core.message import MessageQueued
from wxrc_core.operation import OperationAccepted
from wxrc_http import INTERFACES
from wxrc_http.testing import NOW, OTHER_KEY, TEXT, Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}


@pytest.fixture
def backend() -> FakeBackend:
    """A backend with two channels and some bots."""
    return FakeBackend()


@pytest.fixture
def caller(backend: FakeBackend) -> Caller:
    """Someone who calls it."""
    return Caller(backend)


def the_message(backend: FakeBackend) -> MessageQueued:
    """Return the only event there is, which must be a message."""
    [recorded] = backend.log
    assert isinstance(recorded.event, MessageQueued)
    return recorded.event


# -- login, logout, stop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interface", "kind", "login_kind"),
    [
        ("login", "login", ""),
        ("macLogin", "login", "mac"),
        ("webLogin", "login", "web"),
        ("logout", "logout", ""),
        ("stop", "stop", ""),
    ],
)
@pytest.mark.wire("login", "logout")
async def test_operations(interface: str, kind: str, login_kind: str, backend: FakeBackend, caller: Caller) -> None:
    """Each is accepted at once and recorded once, with what is to be done."""
    said = await caller.call(interface)

    assert said == await caller.call(interface)
    assert {"rtCode", "rtMsg"} == set(said)
    assert "0" == said["rtCode"]
    [recorded] = backend.log
    assert "message/crm/20261123/T1" == recorded.stream
    accepted = recorded.event
    assert isinstance(accepted, OperationAccepted)
    assert (NOW, "crm", "zhao", "T1", interface, kind, login_kind) == (
        accepted.at,
        accepted.chid,
        accepted.botcode,
        accepted.txcode,
        accepted.interface,
        accepted.kind,
        accepted.login_kind,
    )


@pytest.mark.parametrize(
    ("interface", "kinds", "named"),
    [("macLogin", ("web", "pad"), "web, pad"), ("webLogin", ("mac",), "mac"), ("login", (), "none")],
)
@pytest.mark.wire("login", "code.34")
async def test_no_such_kind_of_login(
    interface: str, kinds: tuple[str, ...], named: str, backend: FakeBackend, caller: Caller
) -> None:
    """A kind of login that the puppet does not have is 34, and the answer names those that it has."""
    backend.able = puppet.Capabilities(login_kinds=kinds)
    said = await caller.call(interface, headers=EN)

    assert "34" == said["rtCode"]
    assert named in said["rtMsg"]
    assert [] == backend.log


# -- botStatus ------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("botStatus")
async def test_status_logged_in(caller: Caller) -> None:
    """A bot that is logged in says who it is."""
    said = await caller.call("botStatus")

    assert {
        "rtCode": "0",
        "rtMsg": "成功",
        "botStatus": "login",
        "botState": "login",
        "since": NOW + 5,
        "reason": "",
        "userAction": "none",
        "wxid": "wxid_zhao",
        "name": "小赵",
    } == said


@pytest.mark.wire("botStatus")
async def test_status_while_a_code_waits(backend: FakeBackend, caller: Caller) -> None:
    """While a QR code waits the status is `logout`; the code's URL is there while the code is valid."""
    head = a_head(botcode="qian")
    said = await caller.call("botStatus", head=head)

    assert ("logout", "awaiting_qr", "scan") == (said["botStatus"], said["botState"], said["userAction"])
    assert "https://wxrc.example/qr/abc" == said["qrcodeImageUrl"]

    backend.now += 60_000
    assert "qrcodeImageUrl" not in await caller.call("botStatus", head=head)


async def test_status_never_logged_in(caller: Caller) -> None:
    """A bot that was never logged in is logged out, and nothing is to be done."""
    said = await caller.call("botStatus", head=a_head(botcode="sun"))

    assert ("logout", "logout", "none", "", "") == tuple(
        said[name] for name in ("botStatus", "botState", "userAction", "wxid", "name")
    )


@pytest.mark.wire("botStatus")
async def test_status_unreachable_and_kicked(backend: FakeBackend, caller: Caller) -> None:
    """A logged-in bot whose puppet cannot be reached is `err`; one that was kicked is `logout`; both say why."""
    backend.tell("zhao", puppet.ReportLinkLost(at=NOW, reason="the puppet does not answer"))
    said = await caller.call("botStatus")
    assert ("err", "login", "the puppet does not answer") == (said["botStatus"], said["botState"], said["reason"])

    backend.tell("zhao", puppet.ReportLoggedOut(at=NOW, reason="kicked by another device"))
    said = await caller.call("botStatus")
    assert ("logout", "kicked by another device", "relogin") == (said["botStatus"], said["reason"], said["userAction"])


# -- roomSendText ---------------------------------------------------------------------------------------------------------------


async def test_a_message_is_recorded_as_asked(backend: FakeBackend, caller: Caller) -> None:
    """Everything that was asked for is in the event, and the answer is that of the queue."""
    body = {
        "text": " 你好\r\n‏✅ ",
        "roomId": "1@chatroom",
        "atList": ["赵立伟", "钱"],
        "atUser": "wxid_1",
        "unknown": [1],
    }
    said = await caller.call("roomSendText", body)

    assert {"rtCode": "0", "rtMsg": "消息已受理，排队中", "msgid": 1, "sendStatus": "0", "sendReason": ""} == said
    queued = the_message(backend)
    assert (body["text"], "1@chatroom", "", ("赵立伟", "钱"), "wxid_1", "leave") == (
        queued.text,
        queued.room_id,
        queued.room_topic,
        queued.mention_names,
        queued.mention_id,
        queued.on_doubt,
    )
    assert (NOW, "crm", "zhao", "T1", "roomSendText") == (
        queued.at,
        queued.chid,
        queued.botcode,
        queued.txcode,
        queued.interface,
    )
    assert [300] == backend.waits


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (puppet.Accepted("r1"), "1", ""),
        (puppet.Accepted("r1", "not_in_room"), "3", ""),
        (puppet.Accepted("r1", "unknown"), "4", ""),
        (puppet.Rejected("no"), "-1", "rejected"),
        (puppet.NotSent("no"), "-1", "failed"),
        (puppet.Unconfirmed("no answer"), "-1", "unconfirmed"),
    ],
)
@pytest.mark.wire("sendStatus")
async def test_an_answer_that_waited(
    outcome: puppet.SendOutcome, status: str, reason: str, backend: FakeBackend, caller: Caller
) -> None:
    """The end that a message came to while its answer waited is the answer, also when asked again, and its sentence fits."""
    backend.outcome = outcome
    said = await caller.call("roomSendText", TEXT, headers=EN)

    assert ("0", status, reason) == (said["rtCode"], said["sendStatus"], said["sendReason"])
    assert ("whether it arrived is unknown" in said["rtMsg"]) == (reason == "unconfirmed")
    assert said == await caller.call("roomSendText", TEXT, headers=EN)


async def test_an_answer_that_does_not_wait(backend: FakeBackend) -> None:
    """With no time to wait, none is asked for."""
    backend.outcome = puppet.Accepted("r1")

    assert "0" == (await Caller(backend, answer_wait_ms=0).call("roomSendText", TEXT))["sendStatus"]
    assert [0] == backend.waits


async def test_the_default_room(backend: FakeBackend, caller: Caller) -> None:
    """Without a room the grant's default is taken, and with it what the grant says about doubt."""
    assert "0" == (await caller.call("roomSendText", {"text": "x"}, head=a_head(botcode="qian")))["rtCode"]
    queued = the_message(backend)
    assert ("", "默认群", "resend") == (queued.room_id, queued.room_topic, queued.on_doubt)


async def test_the_default_room_by_id(backend: FakeBackend, caller: Caller) -> None:
    """A default room may be given by its id; a room in the request comes before it."""
    head = a_head(chid="shop", botcode="zhou")
    await caller.call("roomSendText", {"text": "x"}, head=head, key=OTHER_KEY)
    await caller.call("roomSendText", {"text": "x", "roomTopic": "群"}, head=head | {"txcode": "T2"}, key=OTHER_KEY)

    assert [("9@chatroom", ""), ("", "群")] == [(each.event.room_id, each.event.room_topic) for each in backend.log]


def each(code: str, name: str, *values: Any, **rest: Any) -> list[tuple[object, str, str]]:
    """Return a body for each wrong value of one field."""
    return [({**rest, name: value}, code, name) for value in values]


UNFIT = ("", "x" * 257, "a\0b", "\0", "\ud800", "x\udfff")
BODIES: list[tuple[object, str, str]] = [
    (None, "30", "text"),
    ({}, "30", "text"),
    ({"roomTopic": "客服一群"}, "30", "text"),
    ({"text": "x"}, "30", "roomId"),
    ({"text": "x", "atList": 1}, "30", "roomTopic"),
    *each("31", "text", None, 1, 1.5, True, [], {}, ["x"], roomId="1"),
    *each("31", "roomTopic", None, 1, [], {}, text="x"),
    *each("31", "roomId", None, 1, [], {}, text="x"),
    *each("31", "atList", None, "赵立伟", 1, {}, [1], [None], ["a", ["b"]], **TEXT),
    *each("31", "atUser", None, 1, [], {}, ["x"], **TEXT),
    *each("32", "text", "", "x" * 4001, "😀" * 4001, *UNFIT[2:], roomId="1"),
    *each("32", "roomTopic", *UNFIT, text="x"),
    *each("32", "roomId", *UNFIT, text="x"),
    *each("32", "atList", [""], ["a", "x" * 101], ["\0"], ["\ud800"], ["a"] * 101, **TEXT),
    *each("32", "atUser", *UNFIT, **TEXT),
    (TEXT | {"roomId": "1@chatroom"}, "32", "roomTopic"),
    ({"text": "x", "roomTopic": "同名群"}, "32", "roomTopic"),
    (TEXT | {"unknown": ["\ud800"]}, "32", "reqBody"),
]


@pytest.mark.parametrize(("body", "code", "named"), BODIES, ids=range(len(BODIES)))
@pytest.mark.wire("roomSendText", "attack.fields", "code.30", "code.31", "code.32")
async def test_wrong_bodies(body: object, code: str, named: str, backend: FakeBackend, caller: Caller) -> None:
    """Incomplete is 30, another type 31, another value 32; the sentence names the field and nothing is recorded."""
    said = await caller.call("roomSendText", body, headers=EN)

    assert code == said["rtCode"]
    assert named in said["rtMsg"]
    assert [] == backend.log


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x" * 4000},
        {"text": "😀" * 4000},
        {"text": " "},
        {"text": "​‮\x01<img onerror=x>"},
        {"text": "x", "atList": []},
        {"text": "x", "atList": ["x" * 100] * 100},
        {"text": "x", "unknown": 10**30},
        {"text": "x", "unknown": {"a": [None, 1.5, {"b": True}]}},
    ],
    ids=range(8),
)
@pytest.mark.wire("roomSendText")
async def test_right_bodies(body: dict[str, Any], backend: FakeBackend, caller: Caller) -> None:
    """What lies on the edge, and what is none of our business, is taken."""
    assert "0" == (await caller.call("roomSendText", body | {"roomTopic": "客服一群"}))["rtCode"]
    assert body["text"] == the_message(backend).text


async def test_a_shared_name_while_rooms_are_unknown(backend: FakeBackend, caller: Caller) -> None:
    """While the bot is not logged in nobody knows how many rooms have the name; the core decides when it sends."""
    backend.tell("zhao", puppet.ReportLinkLost(at=NOW, reason="gone"))

    assert "0" == (await caller.call("roomSendText", {"text": "x", "roomTopic": "同名群"}))["rtCode"]


async def test_a_name_that_became_shared(backend: FakeBackend, caller: Caller) -> None:
    """A request that was accepted keeps its msgid when another room takes the name; a new one is refused."""
    first = await caller.call("roomSendText", TEXT)
    rooms = (puppet.Room("1@chatroom", "客服一群"), puppet.Room("8@chatroom", "客服一群"))
    backend.tell("zhao", puppet.ReportRooms(at=NOW, rooms=rooms, complete=True))

    assert first == await caller.call("roomSendText", TEXT)
    assert "32" == (await caller.call("roomSendText", TEXT, head=a_head(txcode="T2")))["rtCode"]


@pytest.mark.parametrize("able", [puppet.Capabilities(rooms=False), puppet.Capabilities(content=frozenset())])
async def test_a_puppet_that_cannot(able: puppet.Capabilities, backend: FakeBackend, caller: Caller) -> None:
    """What the puppet cannot do is 34 at once."""
    backend.able = able

    assert "34" == (await caller.call("roomSendText", TEXT))["rtCode"]
    assert [] == backend.log


# -- msgStatus ------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("msgStatus")
async def test_status_of_a_message(backend: FakeBackend, caller: Caller) -> None:
    """By number or by txcode and date: where it stands and its history, without the text."""
    backend.outcome = puppet.Accepted("receipt-1")
    await caller.call("roomSendText", TEXT)
    said = await caller.call("msgStatus", {"msgid": 1})

    assert said == await caller.call("msgStatus", {"txcode": "T1", "txdate": "20261123"})
    assert ("0", 1, "1", "", "sent", "zhao", "T1") == tuple(
        said[name] for name in ("rtCode", "msgid", "sendStatus", "sendReason", "state", "botcode", "txcode")
    )
    assert [
        {"event": "queued", "time": NOW},
        {"event": "attempted", "time": NOW, "attempt": 1, "roomId": "1@chatroom"},
        {"event": "sent", "time": NOW, "attempt": 1, "receipt": "receipt-1", "mention": "ok"},
    ] == said["history"]
    assert TEXT["text"] not in str(said)


async def test_a_long_history(backend: FakeBackend, caller: Caller) -> None:
    """A history says at each step what happened and why."""
    backend.outcome = puppet.NotSent("not connected", retry=True)
    await caller.call("roomSendText", TEXT)
    stream = backend.log[0].stream
    for command in (
        message.ClaimAttempt(at=NOW + 1, attempt=2, room_id="1@chatroom", epoch=1),
        message.RecordOutcome(at=NOW + 2, attempt=2, outcome=puppet.Unconfirmed("the puppet did not answer")),
        message.Confirm(at=NOW + 3, receipt="receipt-2"),
    ):
        backend.write(stream, command)
    said = await caller.call("msgStatus", {"msgid": 1})

    assert ("1", "sent") == (said["sendStatus"], said["state"])
    assert ["queued", "attempted", "requeued", "attempted", "in_doubt", "sent"] == [
        step["event"] for step in said["history"]
    ]
    assert NOW <= said["history"][2]["notBefore"]
    assert ["not connected", "the puppet did not answer"] == [
        step["detail"] for step in said["history"] if "detail" in step
    ]
    assert "receipt-2" == said["history"][-1]["receipt"]


async def test_why_a_message_failed(backend: FakeBackend, caller: Caller) -> None:
    """A failure says its reason and a sentence more."""
    backend.outcome = puppet.NotSent("the account is barred")
    await caller.call("roomSendText", TEXT)
    said = await caller.call("msgStatus", {"msgid": 1})

    assert ("-1", "failed", "failed") == (said["sendStatus"], said["sendReason"], said["state"])
    assert ("failed", "the account is barred") == (said["history"][-1]["reason"], said["history"][-1]["detail"])


QUERIES: list[tuple[object, str, str]] = [
    (None, "30", "msgid"),
    ({"msgId": 1}, "30", "msgid"),
    ({"txcode": "T1"}, "30", "txdate"),
    ({"txdate": "20261123"}, "30", "txcode"),
    *each("31", "msgid", None, "1", 1.0, True, [], {}),
    *each("31", "txcode", None, 1, [], txdate="20261123"),
    *each("31", "txdate", None, 20261123, [], txcode="T1"),
    *each("32", "msgid", 0, -1, 2**53, 10**30),
    *each("32", "txcode", "", "x" * 65, "a b", "é", "\0", "\ud800", txdate="20261123"),
    *each("32", "txdate", "", "20261323", "2026-11-23", "2026112", "２０２６１１２３", "00000101", txcode="T1"),
    ({"msgid": 1, "txcode": "T1", "txdate": "20261123"}, "32", "msgid"),
    ({"msgid": 1, "txdate": "20261123"}, "32", "msgid"),
]


@pytest.mark.parametrize(("body", "code", "named"), QUERIES, ids=range(len(QUERIES)))
async def test_wrong_queries(body: object, code: str, named: str, caller: Caller) -> None:
    """A query that names no message, or two, gets 30, 31 or 32 and a sentence that names the field."""
    said = await caller.call("msgStatus", body, headers=EN)

    assert code == said["rtCode"]
    assert named in said["rtMsg"]


@pytest.mark.wire("attack.foreign")
async def test_another_channels_message_is_as_none(caller: Caller) -> None:
    """Another channel's message, an operation and what was never sent cannot be told apart."""
    await caller.call("roomSendText", {"text": "x"}, head=a_head(chid="shop", botcode="zhou"), key=OTHER_KEY)
    await caller.call("login", head=a_head(txcode="T2"))
    bodies: list[object] = [
        {"msgid": 1},
        {"msgid": 2},
        {"msgid": 3},
        {"txcode": "T1", "txdate": "20261123"},
        {"txcode": "T2", "txdate": "20261123"},
        {"txcode": "T1", "txdate": "20261122"},
    ]
    answers = [await caller.call("msgStatus", body) for body in bodies]

    assert ["32"] * len(bodies) == [answer["rtCode"] for answer in answers]
    assert 1 == len({answer["rtMsg"] for answer in answers})


# -- roomList -------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("roomList")
async def test_rooms_page_by_page(caller: Caller) -> None:
    """Rooms come by id, as many as asked for, with a cursor while more follow."""
    first = await caller.call("roomList", {"limit": 2})
    second = await caller.call("roomList", {"limit": 2, "cursor": first["cursor"]})

    assert ["1@chatroom", "2@chatroom"] == [room["roomId"] for room in first["rooms"]]
    assert [{"roomId": "3@chatroom", "roomTopic": "同名群"}] == second["rooms"]
    assert "cursor" not in second
    assert [*first["rooms"], *second["rooms"]] == (await caller.call("roomList"))["rooms"]
    assert [] == (await caller.call("roomList", {"cursor": "9"}))["rooms"]


async def test_rooms_of_a_bot_that_is_out(backend: FakeBackend, caller: Caller) -> None:
    """The list is complete only while the bot is logged in and its puppet has named all rooms."""
    assert (await caller.call("roomList"))["complete"] is True

    backend.tell("zhao", puppet.ReportLinkLost(at=NOW, reason="gone"))
    said = await caller.call("roomList")
    assert said["complete"] is False
    assert 3 == len(said["rooms"])
    assert [] == (await caller.call("roomList", head=a_head(botcode="sun")))["rooms"]


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"limit": "2"}, "31", "limit"),
        ({"limit": 2.0}, "31", "limit"),
        ({"limit": True}, "31", "limit"),
        ({"limit": None}, "31", "limit"),
        ({"cursor": 1}, "31", "cursor"),
        ({"limit": 0}, "32", "limit"),
        ({"limit": 501}, "32", "limit"),
        ({"limit": 10**400}, "32", "limit"),
        ({"cursor": ""}, "32", "cursor"),
        ({"cursor": "\ud800"}, "32", "cursor"),
        ({"cursor": "x" * 257}, "32", "cursor"),
    ],
)
@pytest.mark.wire("roomList")
async def test_wrong_pages(body: object, code: str, named: str, caller: Caller) -> None:
    """A cursor or limit of another type is 31, of another value 32."""
    said = await caller.call("roomList", body)

    assert code == said["rtCode"]
    assert f"reqBody.{named}" in said["rtMsg"]


def test_the_interfaces_of_this_release() -> None:
    """These interfaces are there, and no others."""
    assert {
        *("login", "macLogin", "webLogin", "loginCode", "logout", "stop", "botStatus", "botList"),
        *("roomSendText", "roomSendApp", "roomSendImg", "userSendText", "userSendApp", "userSendImg"),
        *("msgStatus", "msgCancel", "roomList", "contactList"),
    } == set(INTERFACES)
