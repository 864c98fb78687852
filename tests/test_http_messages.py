"""The interfaces that came with people, cards and images (wire.md, section 2), through the real application."""

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.images import png
from wxrc_core import puppet
from wxrc_core.content import Card, Image
from wxrc_http.testing import NOW, TEXT, Caller, FakeBackend

pytestmark = pytest.mark.anyio

EN = {"Accept-Language": "en"}
CARD = {"title": "订单", "pagepath": "pages/order?id=1", "appid": "wx1"}
PNG = png()
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()


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
    queued = backend.the_message()
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

    assert NOW + 90_000 == backend.the_message().expires_at


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
    assert card == backend.the_message().card


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
    assert Image(source=file) == backend.the_message().image


@pytest.mark.wire("roomSendImg")
async def test_an_image_in_the_request(backend: FakeBackend, caller: Caller) -> None:
    """The bytes of a `data:` URL are checked by their content and stored; what the URL calls them does not matter."""
    file = DATA.replace("image/png", "text/html")
    assert "0" == (await caller.call("roomSendImg", {"file": file, "roomId": "1@chatroom"}))["rtCode"]

    digest = hashlib.sha256(PNG).hexdigest()
    assert Image(source="", digest=digest, media_type="image/png", size=len(PNG)) == backend.the_message().image
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
