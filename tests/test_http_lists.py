"""loginCode, msgCancel, msgStatus, the lists and hints, through the real application."""

import base64
import json
from typing import Any

import pytest

from tests.images import png
from wxrc_core import puppet
from wxrc_core.operation import OperationAccepted
from wxrc_http.testing import NOW, OTHER_KEY, TEXT, Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}
CARD = {"title": "订单", "pagepath": "pages/order?id=1", "appid": "wx1"}
PNG = png()
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()


# -- loginCode ------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("loginCode")
async def test_digits_are_handed_over_once(backend: FakeBackend, caller: Caller) -> None:
    """Digits are accepted while the phone shows some; repeated, the answer is the same, and they are in no event."""
    head = a_head(botcode="qian")
    early = await caller.call("loginCode", {"code": "123456"}, head=head, headers=EN)
    backend.tell("qian", puppet.ReportDigitsWanted(at=NOW))
    said = await caller.call("loginCode", {"code": "123456"}, head=head)
    backend.tell("qian", puppet.ReportLoggedIn(at=NOW, wxid="w", name="n"))

    assert ("34", "0") == (early["rtCode"], said["rtCode"])
    assert said == await caller.call("loginCode", {"code": "123456"}, head=head)
    assert "12" == (await caller.call("loginCode", {"code": "654321"}, head=head))["rtCode"]
    assert ["123456"] == backend.digits
    [recorded] = backend.log
    assert isinstance(recorded.event, OperationAccepted)
    assert ("code", "loginCode") == (recorded.event.kind, recorded.event.interface)
    assert "123456" not in repr(recorded.event)


@pytest.mark.parametrize(
    ("body", "code"), [({}, "30"), ({"code": 123}, "31"), ({"code": "12a"}, "32"), ({"code": ""}, "32")]
)
async def test_wrong_digits_bodies(body: dict[str, Any], code: str, caller: Caller) -> None:
    """The digits are a string of digits."""
    assert code == (await caller.call("loginCode", body))["rtCode"]


# -- msgCancel, msgStatus -------------------------------------------------------------------------------------------------------


@pytest.mark.wire("msgCancel")
async def test_cancelling(backend: FakeBackend, caller: Caller) -> None:
    """A queued message is cancelled once; asked again the answer is the same; its txcode is used up."""
    await caller.call("roomSendText", TEXT)
    head = a_head(txcode="T2")
    said = await caller.call("msgCancel", {"msgid": 1}, head=head, headers=EN)

    assert ("0", 1, "-1", "cancelled") == tuple(said[name] for name in ("rtCode", "msgid", "sendStatus", "sendReason"))
    assert "The message was cancelled; nothing was sent." == said["rtMsg"]
    assert said == await caller.call("msgCancel", {"msgid": 1}, head=head, headers=EN)
    assert "12" == (await caller.call("roomSendText", TEXT, head=head))["rtCode"]


@pytest.mark.wire("msgCancel")
async def test_too_late_to_cancel(backend: FakeBackend, caller: Caller) -> None:
    """A message that was sent cannot be cancelled: 34, and the sentence says where it stands."""
    backend.outcome = puppet.Accepted("r1")
    await caller.call("roomSendText", TEXT)
    said = await caller.call("msgCancel", {"msgid": 1}, head=a_head(txcode="T2"), headers=EN)

    assert "34" == said["rtCode"]
    assert "sent" in said["rtMsg"]
    assert "1" == (await caller.call("msgStatus", {"msgid": 1}))["sendStatus"]


@pytest.mark.parametrize(
    ("body", "code"), [({}, "30"), ({"msgid": "1"}, "31"), ({"msgid": 0}, "32"), ({"msgid": 7}, "32")]
)
async def test_wrong_cancellations(body: dict[str, Any], code: str, backend: FakeBackend, caller: Caller) -> None:
    """An unknown number is as one of another channel: 32, and nothing is recorded."""
    assert code == (await caller.call("msgCancel", body))["rtCode"]
    assert [] == backend.log


async def test_anothers_message_cannot_be_cancelled(backend: FakeBackend, caller: Caller) -> None:
    """For another channel it is as if it did not exist."""
    await caller.call("roomSendText", TEXT)
    head = a_head(chid="shop", botcode="zhou", txcode="T2")

    assert "32" == (await caller.call("msgCancel", {"msgid": 1}, head=head, key=OTHER_KEY))["rtCode"]
    assert 1 == len(backend.log)


async def test_status_says_how_it_is_known(backend: FakeBackend, caller: Caller) -> None:
    """`msgStatus` has `detail` and `evidence`; a card's and an image's history shows nothing of their content."""
    backend.outcome = puppet.Accepted("r1")
    await caller.call("userSendApp", {"app": CARD, "userId": "wxid_1"})
    said = await caller.call("msgStatus", {"msgid": 1})

    assert ("receipt", "") == (said["evidence"], said["detail"])
    assert "wxid_1" == said["history"][1]["userId"]
    assert "订单" not in json.dumps(said, ensure_ascii=False)


# -- lists ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("contactList")
async def test_contacts_in_pages(backend: FakeBackend, caller: Caller) -> None:
    """Contacts come by id, page by page, with nickname and remark."""
    first = await caller.call("contactList", {"limit": 2})
    second = await caller.call("contactList", {"limit": 3, "cursor": first["cursor"]})

    assert [
        {"userId": "wxid_1", "userName": "小王", "remark": ""},
        {"userId": "wxid_2", "userName": "Lily", "remark": "王总"},
    ] == first["contacts"]
    assert ["wxid_3", "wxid_4", "wxid_5"] == [each["userId"] for each in second["contacts"]]
    assert "cursor" not in second
    assert (True, True) == (first["complete"], second["complete"])
    backend.tell("zhao", puppet.ReportLinkLost(at=NOW, reason="gone"))
    assert not (await caller.call("contactList"))["complete"]


@pytest.mark.wire("botList")
async def test_bots_in_pages(backend: FakeBackend, caller: Caller) -> None:
    """A channel's own bots, each with the fields of botStatus, what it can do and what its pace leaves."""
    said = await caller.call("botList")
    bots = {bot["botcode"]: bot for bot in said["bots"]}

    assert ["qian", "sun", "zhao"] == list(bots)  # `li` is not there, `zhou` is another channel's
    status = await caller.call("botStatus")
    assert {name: status[name] for name in status if name not in ("rtCode", "rtMsg")}.items() <= {
        name: value for name, value in bots["zhao"].items() if name != "capabilities"
    }.items()
    assert ["app", "image", "text"] == bots["zhao"]["capabilities"]["content"]
    assert (None, NOW) == (bots["zhao"]["sendsLeft"], bots["zhao"]["nextAt"])
    assert (7, NOW + 3_000) == (bots["sun"]["sendsLeft"], bots["sun"]["nextAt"])
    assert "qrcodeImageUrl" in bots["qian"]
    page = await caller.call("botList", {"limit": 2})
    assert (["qian", "sun"], "sun") == ([bot["botcode"] for bot in page["bots"]], page["cursor"])


# -- hints ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unknown", "known"),
    [
        ("atlist", "atList"),
        ("room_id", "roomId"),
        ("RoomTopic", "roomTopic"),
        ("expiresin", "expiresIn"),
        ("atLst", "atList"),
    ],
)
@pytest.mark.wire("head.hints")
async def test_a_misspelt_field(unknown: str, known: str, caller: Caller) -> None:
    """The answer is the same and carries a hint that names both."""
    said = await caller.call("roomSendText", TEXT | {unknown: "x"}, headers=EN)

    assert "0" == said["rtCode"]
    [hint] = said["hints"]
    assert f"reqBody.{unknown}" in hint
    assert f"reqBody.{known}" in hint


async def test_a_misspelt_field_that_is_missed(caller: Caller) -> None:
    """Where the misspelt field is the one that is missing, the refusal carries the hint."""
    said = await caller.call("roomSendText", {"text": "x", "roomtopic": "客服一群"})

    assert "30" == said["rtCode"]
    assert "roomTopic" in said["hints"][0]


async def test_no_hint_where_nothing_looks_alike(caller: Caller) -> None:
    """Fields that look like none of ours are ignored without a word, and a thousand of them cost no more than a few."""
    body = TEXT | {f"field{number}": 1 for number in range(1_000)}

    assert "hints" not in await caller.call("roomSendText", body)
