"""What the real service answers and calls back, against the OpenAPI document that it serves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from attrs import field, frozen
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.live import Service, cli_json, say, scan_and_confirm, send, signed
from tests.openapi import answer_place, errors, pointer
from tests.receiver import Receiver
from wxrc_http import INTERFACES
from wxrc_http.openapi import CALLBACKS

pytestmark = pytest.mark.slow

ROOM, PERSON = "客服一群", "陈静"
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)
CARD = {"title": "工单", "pagepath": "pages/index", "appid": "wx0123456789abcdef"}


@frozen
class Crm:
    """Channel `crm` with bot `zhao`, logged in on the simulator, and the receiver of its callbacks."""

    url: str
    key: str = field(repr=False)
    receiver: Receiver

    def ask(self, interface: str, body: dict[str, Any] | None = None, **how: Any) -> dict[str, Any]:
        """Call an interface; return `resBody` of the answer, which must conform."""
        answer = send(self.url, signed("crm", how.pop("key", self.key), "zhao", interface, body, **how))
        whole = answer.json()
        assert [] == errors(answer_place(interface, answer.status_code), whole), whole
        found: dict[str, Any] = whole["resBody"]
        return found


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    """Run the service and log the bot in."""
    data = tmp_path_factory.mktemp("openapi") / "data"
    with Receiver() as receiver, Service(data, arguments=["--answer-wait-ms", "5000"]) as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        crm = Crm(service.url, made["key"], receiver)
        assert "awaiting_qr" != crm.ask("botStatus")["botState"]
        crm.ask("login")
        receiver.wait_until(lambda got: any("qrcode" in each.req_body for each in got), 30, "qrCode")
        scan_and_confirm(receiver.received[0].req_body["qrcode"])
        receiver.wait_until(lambda got: any(each.req_body.get("botStatus") == "login" for each in got), 30, "login")
        yield crm


ASKED: list[tuple[str, dict[str, Any] | None, str]] = [
    *((name, None, "0") for name in ("login", "macLogin", "webLogin", "botStatus", "roomList", "botList")),
    ("loginCode", {"code": "0412"}, "34"),
    ("loginCode", {"code": "x"}, "32"),
    ("roomSendText", {"roomTopic": ROOM, "text": "你好", "atList": [PERSON]}, "0"),
    ("roomSendText", {"roomTopic": "没有这个群", "text": "你好"}, "0"),
    ("roomSendText", {"roomTopic": ROOM, "text": "你好", "atlist": []}, "0"),
    ("roomSendText", {"roomTopic": ROOM}, "30"),
    ("roomSendText", {"roomTopic": ROOM, "text": 1}, "31"),
    ("roomSendApp", {"roomTopic": ROOM, "app": CARD}, "0"),
    ("roomSendImg", {"roomTopic": ROOM, "file": PNG}, "0"),
    ("roomSendImg", {"roomTopic": ROOM, "file": "missing.png"}, "0"),
    ("userSendText", {"userName": PERSON, "text": "您好"}, "0"),
    ("userSendApp", {"userName": PERSON, "app": json.dumps(CARD)}, "0"),
    ("userSendImg", {"userName": PERSON, "file": PNG}, "0"),
    ("msgStatus", {"msgid": 2**53 - 1}, "32"),
    ("msgCancel", {"msgid": 2**53 - 1}, "32"),
    ("roomList", {"limit": 1}, "0"),
    ("contactList", {"limit": 1}, "0"),
    ("contactList", {"limit": 501}, "32"),
]


@pytest.mark.parametrize(("interface", "body", "code"), ASKED)
def test_every_interface(crm: Crm, interface: str, body: dict[str, Any] | None, code: str) -> None:
    """Answers of each interface conform, done and refused."""
    assert code == crm.ask(interface, body)["rtCode"]


def test_a_message_and_its_callback(crm: Crm) -> None:
    """Where a message stands, its history, a refusal of the signature, a reused txcode, and an interface that does not exist conform."""
    sent = crm.ask("roomSendText", {"roomTopic": ROOM, "text": "一"}, txcode="openapi-1")
    stands = crm.ask("msgStatus", {"msgid": sent["msgid"]})

    assert ("sent", 3) == (stands["state"], len(stands["history"]))
    assert "34" == crm.ask("msgCancel", {"msgid": sent["msgid"]})["rtCode"]
    assert "12" == crm.ask("roomSendText", {"roomTopic": ROOM, "text": "二"}, txcode="openapi-1")["rtCode"]
    assert "13" == crm.ask("botStatus", key="x" * 40)["rtCode"]
    assert "20" == crm.ask("nothing")["rtCode"]
    assert "11" == crm.ask("botStatus", txtime="20200101000000")["rtCode"]


def test_every_callback(crm: Crm) -> None:
    """Callbacks of each type conform to the webhooks, and carry the headers that stand there. Afterwards the bot is logged out."""
    say(crm.url, "zhao", "@zhao 在吗", room=ROOM, sender="赵立伟")
    crm.receiver.wait_until(lambda got: any(each.req_body["type"] == "userMsg" for each in got), 30, "userMsg")
    assert "0" == crm.ask("stop")["rtCode"]
    crm.receiver.wait_until(lambda got: any(each.req_body.get("botStatus") == "off" for each in got), 30, "off")
    queued = crm.ask("roomSendText", {"roomTopic": ROOM, "text": "三"}, txcode="openapi-3")
    assert "0" == queued["sendStatus"]
    assert "cancelled" == crm.ask("msgCancel", {"msgid": queued["msgid"]})["sendReason"]
    crm.receiver.wait_until(lambda got: any(each.req_body["type"] == "sendStatus" for each in got), 30, "sendStatus")
    assert "0" == crm.ask("logout")["rtCode"]

    document = httpx2.get(f"{crm.url}/openapi.json").json()
    seen = set()
    for each in crm.receiver.received:
        seen.add(kind := each.req_body["type"])
        operation = document["webhooks"][kind]["post"]
        place = pointer("webhooks", kind, "post", "requestBody", "content", "application/json", "schema")
        assert [] == errors(place, {"reqHead": each.req_head, "reqBody": each.req_body})
        assert {header["name"].lower() for header in operation["parameters"]} <= set(each.headers)
    assert set(CALLBACKS) == seen


def test_no_interface_is_forgotten() -> None:
    """Each interface is asked here."""
    assert set(INTERFACES) == {name for name, _, _ in ASKED} | {"stop", "logout"}


def test_it_is_served(crm: Crm) -> None:
    """The document that is served is valid and tells where it is served; it comes in the language that is asked for."""
    said = {
        language: httpx2.get(f"{crm.url}/openapi.json", headers={"Accept-Language": language}).json()
        for language in ("zh", "en")
    }
    asked = httpx2.get(f"{crm.url}/openapi.json?lang=en", headers={"Accept-Language": "zh"})

    assert [] == list(OpenAPIV31SpecValidator(said["zh"]).iter_errors())
    assert said["en"] == asked.json() != said["zh"]
    assert [{"url": "/"}] == said["en"]["servers"]
    assert ("application/json", "Accept-Language") == (asked.headers["content-type"], asked.headers["vary"])


def test_nothing_else_is_served(crm: Crm, tmp_path: Path) -> None:
    """The page's files are these, and no path leads to another one."""
    names = ("page.js", "page.css", "page.html", "..%2fopenapi.py", "%2e%2e/openapi.py", "x", "page.js/")
    statuses = [httpx2.get(f"{crm.url}/docs/{name}").status_code for name in names]

    assert [200, 200, 200, 404, 404, 404] == statuses[:6]
    assert 200 != statuses[6]
