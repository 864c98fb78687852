"""The interfaces that came with people, cards and images (wire.md, section 2), through the real application."""

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.images import png
from wxrc_core import puppet
from wxrc_core.content import Card, Image
from wxrc_core.message import MessageQueued
from wxrc_core.operation import OperationAccepted
from wxrc_http.testing import NOW, OTHER_KEY, TEXT, Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}
CARD = {"title": "订单", "pagepath": "pages/order?id=1", "appid": "wx1"}
PNG = png()
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()


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


# -- to a person ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [{"userId": "wxid_1"}, {"userName": "小王"}])
@pytest.mark.parametrize(
    ("interface", "content"), [("userSendText", {"text": "你好"}), ("userSendApp", {"app": CARD}), ("userSendImg", {"file": "a.png"})]
)  # fmt: skip
@pytest.mark.wire("userSend")
async def test_a_message_to_a_person(
    interface: str, content: dict[str, Any], named: dict[str, str], backend: FakeBackend, caller: Caller
) -> None:
    """A text, a card or an image to a person is recorded as asked: by id or by name."""
    said = await caller.call(interface, {**content, **named})

    assert ("0", 1, "0", "") == tuple(said[name] for name in ("rtCode", "msgid", "sendStatus", "sendReason"))
    queued = the_message(backend)
    assert (interface, "", "") == (queued.interface, queued.room_id, queued.room_topic)
    assert (named.get("userId", ""), named.get("userName", "")) == (queued.user_id, queued.user_name)
    assert [bool(queued.text), bool(queued.card), bool(queued.image)].count(True) == 1


PERSON_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"userId": "wxid_1"}, "30", "text"),
    ({"text": "x"}, "30", "userId"),
    ({"text": "x", "roomId": "1@chatroom"}, "30", "userName"),
    ({"text": "x", "userId": 1}, "31", "userId"),
    ({"text": "x", "userId": ""}, "32", "userId"),
    ({"text": "x", "userName": "a\0"}, "32", "userName"),
    ({"text": "x", "userId": "wxid_1", "userName": "小王"}, "32", "userName"),
    ({"text": "x", "userName": "同名"}, "32", "2 contacts"),
    ({"text": "x", "userId": "wxid_1", "expiresIn": "5"}, "31", "expiresIn"),
    ({"text": "x", "userId": "wxid_1", "expiresIn": True}, "31", "expiresIn"),
    ({"text": "x", "userId": "wxid_1", "expiresIn": 0}, "32", "expiresIn"),
    ({"text": "x", "userId": "wxid_1", "expiresIn": 604801}, "32", "expiresIn"),
]


@pytest.mark.parametrize(("body", "code", "named"), PERSON_BODIES, ids=range(len(PERSON_BODIES)))
async def test_wrong_bodies_to_a_person(
    body: dict[str, Any], code: str, named: str, backend: FakeBackend, caller: Caller
) -> None:
    """Incomplete is 30, another type 31, another value 32; the sentence names the field and nothing is recorded."""
    said = await caller.call("userSendText", body, headers=EN)

    assert code == said["rtCode"]
    assert named in said["rtMsg"]
    assert [] == backend.log


async def test_a_remark_comes_before_a_nickname(backend: FakeBackend, caller: Caller) -> None:
    """A name that one person has as remark and another as nickname is not ambiguous: it is the remark's."""
    assert "0" == (await caller.call("userSendText", {"text": "x", "userName": "王总"}))["rtCode"]


async def test_a_person_who_is_not_there(backend: FakeBackend, caller: Caller) -> None:
    """`UserMissing` is sendStatus 2, and the sentence speaks of a person."""
    backend.outcome = puppet.UserMissing("nobody")
    said = await caller.call("userSendText", {"text": "x", "userId": "wxid_1"}, headers=EN)

    assert ("2", "") == (said["sendStatus"], said["sendReason"])
    assert "no such person" in said["rtMsg"]


async def test_expiry_on_request(backend: FakeBackend, caller: Caller) -> None:
    """`expiresIn` counts from when the request was accepted."""
    await caller.call("roomSendText", TEXT | {"expiresIn": 90})

    assert NOW + 90_000 == the_message(backend).expires_at


# -- cards ----------------------------------------------------------------------------------------------------------------------

OLD = {
    "title": "订单",
    "pagepath": "p",
    "appid": "wx1",
    "description": "说明",
    "thumbnailUrl": "https://img.example/1.png",
}
NEW = {"title": "订单", "pagepath": "p", "username": "gh_1@app", "thumbUrl": "cdn", "thumbKey": "key"}


@pytest.mark.parametrize("written", [lambda app: app, json.dumps], ids=["object", "text"])
@pytest.mark.parametrize(
    ("app", "card"),
    [
        (
            OLD,
            Card(title="订单", page_path="p", appid="wx1", description="说明", thumb_url="https://img.example/1.png"),
        ),
        (NEW, Card(title="订单", page_path="p", username="gh_1@app", thumb_url="cdn", thumb_key="key")),
    ],
    ids=["v0.1", "v0.3"],
)
@pytest.mark.wire("roomSendApp")
async def test_cards_of_both_revisions(
    app: dict[str, Any], card: Card, written: Any, backend: FakeBackend, caller: Caller
) -> None:
    """Both revisions' fields, as a JSON object or as the JSON text of one, lead to the same card."""
    assert "0" == (await caller.call("roomSendApp", {"app": written(app), "roomTopic": "客服一群"}))["rtCode"]
    assert card == the_message(backend).card


APPS: list[tuple[Any, str, str]] = [
    (1, "31", "app"),
    (["x"], "31", "app"),
    (None, "31", "app"),
    ("", "32", "app"),
    ("[]", "32", "app"),
    ("{", "32", "app"),
    ('{"title": "a", "title": "b"}', "32", "app"),
    ("\ud800", "32", "app"),
    ({}, "30", "app.title"),
    ({"title": "x", "appid": "w"}, "30", "app.pagepath"),
    ({"title": "x", "pagepath": "p"}, "30", "app.appid"),
    (CARD | {"title": 1}, "31", "app.title"),
    (CARD | {"title": ""}, "32", "app.title"),
    (CARD | {"pagepath": "x" * 1025}, "32", "app.pagepath"),
    (CARD | {"thumbnailUrl": "a", "thumbUrl": "b"}, "32", "thumbUrl"),
]


@pytest.mark.parametrize(("app", "code", "named"), APPS, ids=range(len(APPS)))
async def test_wrong_cards(app: Any, code: str, named: str, backend: FakeBackend, caller: Caller) -> None:
    """What is wrong with a card is named by its field, and nothing is recorded."""
    said = await caller.call("roomSendApp", {"app": app, "roomId": "1@chatroom"}, headers=EN)

    assert code == said["rtCode"]
    assert named in said["rtMsg"]
    assert [] == backend.log


@pytest.mark.wire("sendStatus")
async def test_a_refused_card_is_not_called_sent(backend: FakeBackend, caller: Caller) -> None:
    """A card that WeChat refuses is 3 with a reason, and the sentence says that nothing was sent."""
    backend.outcome = puppet.Rejected("no")
    said = await caller.call("roomSendApp", {"app": CARD, "roomId": "1@chatroom"}, headers=EN)

    assert ("3", "rejected") == (said["sendStatus"], said["sendReason"])
    assert "WeChat refused the card; nothing was sent." == said["rtMsg"]


@pytest.mark.wire("sendStatus")
async def test_a_refused_text_is_not_called_sent(backend: FakeBackend, caller: Caller) -> None:
    """A text that WeChat refuses is -1 `rejected`, with a sentence of its own."""
    backend.outcome = puppet.Rejected("no")
    said = await caller.call("roomSendText", TEXT)

    assert ("-1", "rejected", "微信拒绝了这条文本，没有发送") == (said["sendStatus"], said["sendReason"], said["rtMsg"])


# -- images ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["https://img.example/a.png?token=1", "http://img.example:8080/", "a.png", "2026/订单 1.png"]
)
@pytest.mark.wire("roomSendImg")
async def test_an_image_that_is_fetched_later(file: str, backend: FakeBackend, caller: Caller) -> None:
    """A URL or a name in the media folder is accepted as it is; nothing is fetched for the answer."""
    assert "0" == (await caller.call("roomSendImg", {"file": file, "roomId": "1@chatroom"}))["rtCode"]
    assert Image(source=file) == the_message(backend).image


@pytest.mark.wire("roomSendImg")
async def test_an_image_in_the_request(backend: FakeBackend, caller: Caller) -> None:
    """The bytes of a `data:` URL are checked by their content and stored; what the URL calls them does not matter."""
    file = DATA.replace("image/png", "text/html")
    assert "0" == (await caller.call("roomSendImg", {"file": file, "roomId": "1@chatroom"}))["rtCode"]

    digest = hashlib.sha256(PNG).hexdigest()
    assert Image(source="", digest=digest, media_type="image/png", size=len(PNG)) == the_message(backend).image
    assert PNG == backend.images[digest]


FILES = [
    "", "../a.png", "/etc/passwd", "a/../../b", "a\\b", "a\0b", "C:/a.png", "file:///etc/passwd", "ftp://x/a", "gopher://x",
    "https://", "x" * 2049,
    "data:image/png,abc", "data:image/png;base64,", "data:image/png;base64,!!!", "data:image/png;base64,aGk=",
    "data:image/png;base64," + base64.b64encode(png()[:24].replace(b"\0\0\0\x28", b"\xff\xff\0\0")).decode(),
]  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=range(len(FILES)))
async def test_wrong_files(file: str, backend: FakeBackend, caller: Caller) -> None:
    """What can be no image's source, and bytes that are no image, are 32; nothing is recorded."""
    said = await caller.call("roomSendImg", {"file": file, "roomId": "1@chatroom"}, headers=EN)

    assert "32" == said["rtCode"]
    assert "file" in said["rtMsg"]
    assert [] == backend.log


# -- what a puppet cannot do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interface", "body", "able", "named"),
    [
        ("roomSendApp", {"app": CARD, "roomId": "1"}, puppet.Capabilities(), "app"),
        ("roomSendImg", {"file": "a.png", "roomId": "1"}, puppet.Capabilities(), "image"),
        ("userSendText", {"text": "x", "userId": "1"}, puppet.Capabilities(), "contacts"),
        ("userSendApp", {"app": CARD, "userId": "1"}, puppet.Capabilities(contacts=True), "app"),
        ("userSendImg", {"file": DATA, "userId": "1"}, puppet.Capabilities(contacts=True), "image"),
        ("roomSendText", TEXT, puppet.Capabilities(rooms=False), "rooms"),
    ],
)
async def test_unsupported_by_name(
    interface: str, body: dict[str, Any], able: puppet.Capabilities, named: str, backend: FakeBackend, caller: Caller
) -> None:
    """What the puppet cannot do is 34 and named, before anything is recorded or stored."""
    backend.able = able
    said = await caller.call(interface, body, headers=EN)

    assert "34" == said["rtCode"]
    assert f"({named})" in said["rtMsg"]
    assert ([], {}) == (backend.log, backend.images)


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
