"""Operations, botStatus and roomSendText of wire.md, section 2, through the real application."""

from typing import Any

import pytest

from tests.bodies import wrong
from wxrc_core import puppet
from wxrc_core.operation import OperationAccepted
from wxrc_http.testing import NOW, OTHER_KEY, TEXT, Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}


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
    queued = backend.the_message()
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
    queued = backend.the_message()
    assert ("", "默认群", "resend") == (queued.room_id, queued.room_topic, queued.on_doubt)


async def test_the_default_room_by_id(backend: FakeBackend, caller: Caller) -> None:
    """A default room may be given by its id; a room in the request comes before it."""
    head = a_head(chid="shop", botcode="zhou")
    await caller.call("roomSendText", {"text": "x"}, head=head, key=OTHER_KEY)
    await caller.call("roomSendText", {"text": "x", "roomTopic": "群"}, head=head | {"txcode": "T2"}, key=OTHER_KEY)

    assert [("9@chatroom", ""), ("", "群")] == [(each.event.room_id, each.event.room_topic) for each in backend.log]


UNFIT = ("", "x" * 257, "a\0b", "\0", "\ud800", "x\udfff")
BODIES: list[tuple[object, str, str]] = [
    (None, "30", "text"),
    ({}, "30", "text"),
    ({"roomTopic": "客服一群"}, "30", "text"),
    ({"text": "x"}, "30", "roomId"),
    ({"text": "x", "atList": 1}, "30", "roomTopic"),
    *wrong("31", "text", None, 1, 1.5, True, [], {}, ["x"], roomId="1"),
    *wrong("31", "roomTopic", None, 1, [], {}, text="x"),
    *wrong("31", "roomId", None, 1, [], {}, text="x"),
    *wrong("31", "atList", None, "赵立伟", 1, {}, [1], [None], ["a", ["b"]], **TEXT),
    *wrong("31", "atUser", None, 1, [], {}, ["x"], **TEXT),
    *wrong("32", "text", "", "x" * 4001, "😀" * 4001, *UNFIT[2:], roomId="1"),
    *wrong("32", "roomTopic", *UNFIT, text="x"),
    *wrong("32", "roomId", *UNFIT, text="x"),
    *wrong("32", "atList", [""], ["a", "x" * 101], ["\0"], ["\ud800"], ["a"] * 101, **TEXT),
    *wrong("32", "atUser", *UNFIT, **TEXT),
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
    assert body["text"] == backend.the_message().text


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
