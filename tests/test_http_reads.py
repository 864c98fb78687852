"""msgStatus and roomList of wire.md, section 2, through the real application."""

import pytest

from tests.bodies import wrong
from wxrc_core import message, puppet
from wxrc_http import INTERFACES
from wxrc_http.testing import NOW, OTHER_KEY, TEXT, Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}


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
    *wrong("31", "msgid", None, "1", 1.0, True, [], {}),
    *wrong("31", "txcode", None, 1, [], txdate="20261123"),
    *wrong("31", "txdate", None, 20261123, [], txcode="T1"),
    *wrong("32", "msgid", 0, -1, 2**53, 10**30),
    *wrong("32", "txcode", "", "x" * 65, "a b", "é", "\0", "\ud800", txdate="20261123"),
    *wrong("32", "txdate", "", "20261323", "2026-11-23", "2026112", "２０２６１１２３", "00000101", txcode="T1"),
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
