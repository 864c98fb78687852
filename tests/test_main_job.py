"""The main job, end to end, on the real service: login, QR code, scan, text to a room, what somebody says; with the simulator as WeChat
and with a real Wechaty gateway, asked by the same signed client.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.live import Service, call, cli_json, record, say, scan_and_confirm
from tests.receiver import Received, Receiver
from tests.wechaty import own_gateway


@frozen
class Side:
    """The WeChat side of one run: what the bot is told, and what a person does and sees there."""

    puppet: str
    options: dict[str, str]
    room: str
    scan: Callable[[str], object]
    say: Callable[[str, str], object]
    texts: Callable[[str], list[str]]


@contextmanager
def simulator() -> Iterator[Side]:
    """The simulator of the service itself."""
    yield Side(
        puppet="simulator",
        options={},
        room="客服一群",
        scan=scan_and_confirm,
        say=lambda url, text: say(url, "demo", room="客服一群", sender="赵立伟", text=text),
        texts=lambda url: [entry["text"] for entry in record(url, "demo")],
    )


@contextmanager
def wechaty() -> Iterator[Side]:
    """A real Wechaty gateway, in a node process of its own."""
    with own_gateway() as gateway:
        yield Side(
            puppet="wechaty",
            options=gateway.options,
            room="订单群",
            scan=lambda code: gateway.do("confirm"),
            say=lambda url, text: gateway.do(
                "say",
                room="1001@chatroom",
                text=text.replace(" ", "\u2005", 1),
                mention=["wxid_bot"],
                **{"from": "wxid_alice"},
            ),
            texts=lambda url: [sent["text"] for sent in gateway.record()],
        )


def told(kind: str, **fields: Any) -> Callable[[Receiver], Received | None]:
    """Return what finds a callback of this type with these fields."""

    def find(receiver: Receiver) -> Received | None:
        for each in receiver.received:
            if each.req_body["type"] == kind and all(
                each.req_body.get(name) == value for name, value in fields.items()
            ):
                return each
        return None

    return find


def wait_for(receiver: Receiver, find: Callable[[Receiver], Received | None]) -> dict[str, Any]:
    """Wait until such a callback is there and return its reqBody; its signatures must hold."""
    receiver.wait_until(lambda _: find(receiver) is not None)
    found = find(receiver)
    assert found is not None
    assert found.verified
    return found.req_body


@pytest.mark.slow
@pytest.mark.parametrize("side", [simulator, wechaty])
@pytest.mark.wire("callback.qrCode", "callback.botStatus", "callback.userMsg", "callback.sendStatus")
def test_main_job(side: Callable[[], Any], tmp_path: Path) -> None:
    """The sequence of the issue, as a business system lives through it."""
    with side() as wechat, Receiver() as receiver, Service(tmp_path / "data") as service:
        made = cli_json(
            "channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=service.data
        )
        receiver.key, receiver.secrets = made["key"], (made["webhook_secret"],)
        options = [word for name, value in wechat.options.items() for word in ("--option", f"{name}={value}")]
        service.cli("bot", "add", "demo", "--puppet", wechat.puppet, "--channel", "crm", "--pace", "none", *options)
        service.start()

        def ask(interface: str, body: dict[str, Any], **how: Any) -> dict[str, Any]:
            return call(service.url, "crm", made["key"], "demo", interface, body, **how)

        before = ask("botStatus", {})
        held = ask("roomSendText", {"roomTopic": wechat.room, "text": "先来的"})
        login = ask("login", {})
        code = wait_for(receiver, told("qrCode"))
        waiting = ask("botStatus", {})
        wechat.scan(code["qrcode"])
        logged_in = wait_for(receiver, told("botStatus", botStatus="login"))
        ended = wait_for(receiver, told("sendStatus", msgid=held["msgid"]))

        sent = ask("roomSendText", {"roomTopic": wechat.room, "text": "工单 #1024 已处理 ✅"}, txcode="t-1")
        if sent["sendStatus"] == "0":
            sent["sendStatus"] = wait_for(receiver, told("sendStatus", msgid=sent["msgid"]))["sendStatus"]
        again = ask(
            "roomSendText", {"roomTopic": wechat.room, "text": "工单 #1024 已处理 ✅"}, txcode="t-1", carrier="form"
        )
        other = ask("roomSendText", {"roomTopic": wechat.room, "text": "别的"}, txcode="t-1")
        missing = ask("roomSendText", {"roomTopic": "没有这个群", "text": "x"})
        if missing["sendStatus"] == "0":
            missing["sendStatus"] = wait_for(receiver, told("sendStatus", msgid=missing["msgid"]))["sendStatus"]
        status = ask("msgStatus", {"msgid": sent["msgid"]})
        rooms = ask("roomList", {})
        wechat.say(service.url, "@demo 你好")
        heard = wait_for(receiver, told("userMsg"))
        texts = wechat.texts(service.url)

        ask("logout", {})
        wait_for(receiver, told("botStatus", botStatus="logout"))
        after = ask("botStatus", {})
        code_again = ask("login", {})
        assert service.stop() == 0
        leaked = [
            secret
            for secret in (made["key"], made["webhook_secret"], "工单 #1024")
            if secret in service.stdout.read_text() + service.stderr.read_text()
        ]

    assert (before["rtCode"], before["botStatus"]) == ("0", "logout")
    assert (held["rtCode"], held["sendStatus"]) == ("0", "0")
    assert login["rtCode"] == "0"
    assert (waiting["botStatus"], waiting["botState"], waiting["userAction"]) == ("logout", "awaiting_qr", "scan")
    assert logged_in["name"] == "demo"
    assert ended["sendStatus"] == "1"
    assert sent["sendStatus"] == "1"
    assert (again["msgid"], again["sendStatus"]) == (sent["msgid"], "1")
    assert other["rtCode"] == "12"
    assert missing["sendStatus"] == "2"
    assert [each["event"] for each in status["history"]] == ["queued", "attempted", "sent"]
    assert wechat.room in [room["roomTopic"] for room in rooms["rooms"]]
    assert (heard["msgType"], heard["msgData"]["mentioned"]) == ("text", True)
    assert "你好" in heard["msgData"]["text"]
    assert texts == ["先来的", "工单 #1024 已处理 ✅"]
    assert after["botState"] == "logout"
    assert code_again["rtCode"] == "0"
    assert leaked == []


def test_the_command_without_its_libraries_says_what_to_install() -> None:
    """In a base installation `wxrc` names the missing module and the command that brings it, without a traceback."""
    script = "import sys; sys.modules['click'] = None; from wxrc_service.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert (
        done.stderr
        == "Error: the wxrc command needs the module 'click'; install it with: pip install 'wxrc[service]'\n"
    )
