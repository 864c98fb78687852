"""What an operator sees and decides by the `wxrc` command, beside a real service and without one, in both languages."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.live import Service, call, cli, cli_json, scan_and_confirm, surroundings
from tests.receiver import Receiver
from wxrc_service.cli import main
from wxrc_service.layout import columns

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
ROOMS = "好群,拒群,疑群"
FAULTS = "拒群:rejected,疑群:no_receipt"


class Desk:
    """A service with the channel `crm`, a bot that is logged in, and a receiver of callbacks."""

    def __init__(self, service: Service, receiver: Receiver, key: str) -> None:
        self.service, self.receiver, self.key = service, receiver, key

    def run(self, *arguments: str, expect: int = 0, language: str = "en") -> Result:
        """Run a command beside the service, in this process: most of a process's time goes to its imports."""
        done = CliRunner().invoke(main, [*arguments, "--data", str(self.service.data)], env={"WXRC_LANG": language})
        assert expect == done.exit_code, done.output
        return done

    def json(self, *arguments: str) -> Any:
        """Return what a command prints with `--json`."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def ask(self, text: str, room: str) -> int:
        """Have the channel send a text; return the message's number."""
        answer = call(self.service.url, "crm", self.key, "li", "roomSendText", {"roomTopic": room, "text": text})
        assert answer["rtCode"] == "0", answer
        return int(answer["msgid"])

    def in_doubt(self) -> int:
        """Return the number of a new message in doubt."""
        msgid = self.ask("到了吗", "疑群")
        self.receiver.wait_until(lambda all_: any(_ends(each, msgid, "-1") for each in all_))
        return msgid


def _ends(received: Any, msgid: int, status: str) -> bool:
    body = received.req_body
    return bool(body["type"] == "sendStatus" and body["msgid"] == msgid and body["sendStatus"] == status)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The desk that all tests here share."""
    data = tmp_path_factory.mktemp("desk") / "data"
    # Every end is told by callback, none by the answer.
    with Receiver() as receiver, Service(data, arguments=["--answer-wait-ms", "0"]) as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=data)
        receiver.key, receiver.secrets = made["key"], (made["webhook_secret"],)
        options = ("--option", "startup_ms=0", "--option", f"rooms={ROOMS}", "--option", f"faults={FAULTS}")
        service.cli("bot", "add", "li", "--puppet", "simulator", "--channel", "crm", "--pace", "none", *options)
        service.start()
        with subprocess.Popen(
            [sys.executable, "-m", "wxrc_service", "login", "li", "--json", "--data", str(data)],
            env=surroundings(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            text=True,
        ) as login:
            assert login.stdout is not None
            code = json.loads(login.stdout.readline())
            scan_and_confirm(code["qrcode"])
            steps = [json.loads(line) for line in login.stdout]
            assert 0 == login.wait(LIMIT_S)
        assert "QrCodeIssued" == code["event"]
        assert "LoggedIn" == steps[-1]["event"]
        yield Desk(service, receiver, made["key"])


def lines(text: str) -> list[str]:
    """Return the lines of an output, none of them wider than a terminal."""
    found = text.splitlines()
    assert [] == [line for line in found if columns(line) > 80]
    return found


# -- status ---------------------------------------------------------------------------------------------------------------------


def test_status_as_json(desk: Desk) -> None:
    """It has the service, each bot, channel and message in doubt, with times that have a zone and what to do."""
    msgid = desk.in_doubt()
    found = desk.json("status")
    [bot], [channel] = found["bots"], found["channels"]
    doubt = next(each for each in found["doubts"] if each["msgid"] == msgid)

    assert desk.service.url == found["service"]["url"]
    assert ("li", "login", True, "none", 3) == tuple(
        bot[name] for name in ("botcode", "state", "reachable", "action", "rooms")
    )
    assert ("crm", ["li"], desk.receiver.url) == (channel["chid"], channel["bots"], channel["callbacks"]["url"])
    assert ("in_doubt", "resolve", "疑群", "crm") == tuple(
        doubt[name] for name in ("state", "action", "target", "chid")
    )
    for time in (found["time"], found["service"]["since"], bot["since"], doubt["since"]):
        assert datetime.fromisoformat(time).utcoffset() is not None


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("running at", "logged in", "see in WeChat whether it arrived", "callbacks to")),
        ("zh_CN.UTF-8", ("运行于", "已登录", "在微信里看它是否已到", "回调到")),
    ],
)
def test_status_in_words(desk: Desk, language: str, words: tuple[str, ...]) -> None:
    """It says the same to people, in their language, with what to type next."""
    msgid = desk.in_doubt()
    said = cli("status", data=desk.service.data, env={"WXRC_LANG": "", "LC_ALL": "", "LANG": language}).stdout

    assert f"wxrc resolve {msgid} sent|failed|resend" in said
    assert [] == [word for word in words if word not in said]
    assert re.search(r"\d\d:\d\d:\d\d [+-]\d\d:\d\d", said)
    lines(said)


def test_a_callback_url_that_fails(desk: Desk, tmp_path: Path) -> None:
    """Since when it fails, and why, stand beside the channel, also when the service has stopped."""
    with Service(tmp_path / "data") as service:
        service.cli("channel", "add", "crm", "--callback", "http://127.0.0.1:9/", "--allow-private")
        service.cli("bot", "add", "wu", "--puppet", "simulator", "--option", "startup_ms=0", "--channel", "crm")
        before = cli_json("status", "--json", data=service.data)["channels"][0]["callbacks"]
        service.start()
        service.cli("stop", "wu")  # a botStatus is due now
        failing = before
        while not failing["failed"]:
            failing = cli_json("status", "--json", data=service.data)["channels"][0]["callbacks"]
        said = lines(service.cli("status").stdout)
        service.stop()
        stopped = "\n".join(lines(service.cli("status").stdout))

    assert (0, 0, "up", None) == tuple(before[name] for name in ("due", "failed", "health", "failing_since"))
    assert "failing" == failing["health"]
    assert "Connection refused" in failing["reason"]
    assert failing["failing_since"] <= failing["last_failure"]
    assert any("were not acknowledged" in line for line in said)
    assert "not running; start it: wxrc serve" in stopped
    assert "next try: when the service runs" in stopped


# -- messages -------------------------------------------------------------------------------------------------------------------


def test_messages_by_filter(desk: Desk) -> None:
    """Each filter leaves what fits it; pages follow each other without a gap; the newest comes first."""
    doubtful, sent = desk.in_doubt(), desk.ask("好", "好群")
    desk.receiver.wait_until(lambda all_: any(_ends(each, sent, "1") for each in all_))
    own = desk.json("send", "li", "--room", "好群", "自己")["msgid"]

    def numbers(*filters: str) -> list[int]:
        return [each["msgid"] for each in desk.json("messages", *filters)["messages"]]

    everything = numbers()
    assert [own, sent, doubtful] == everything[:3]
    assert doubtful in numbers("--in-doubt")
    assert sent not in numbers("--in-doubt")
    assert {own, sent} <= set(numbers("--state", "sent"))
    assert [own] == numbers("--channel", "-", "--limit", "1")
    assert own not in numbers("--channel", "crm", "--bot", "li")
    assert [] == numbers("--since", "2100-01-01")
    assert everything == numbers("--since", "1h")
    first = desk.json("messages", "--limit", "2")
    assert everything[2:4] == numbers("--limit", "2", "--before", str(first["before"]))


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("messages", "--bot", "nobody"), "there is no bot 'nobody'; there are: li", 1),
        (("messages", "--channel", "nobody"), "there is no channel 'nobody'", 1),
        (("messages", "--since", "yesterday"), "must be a time", 2),
        (("messages", "--in-doubt", "--state", "sent"), "give one of them", 2),
        (("resolve", "999999999", "sent"), "there is no message with the number 999999999", 1),
        (("log", "nothing"), "there are: li, channel:crm", 1),
        (("logout", "nobody"), "there is no bot 'nobody'", 1),
        (("import", "missing.jsonl"), "does not exist", 2),
        (("import", __file__), "stop it first", 1),
    ],
)
def test_what_cannot_be_done(desk: Desk, arguments: tuple[str, ...], words: str, code: int) -> None:
    """It is said in a sentence that names what there is, or what would be right."""
    assert words in desk.run(*arguments, expect=code).stderr


# -- resolve --------------------------------------------------------------------------------------------------------------------


def test_resolve(desk: Desk) -> None:
    """An operator's word ends the doubt, stands in the log under a name, and reaches the channel."""
    arrived, lost, again = (desk.in_doubt() for _ in range(3))
    sent = desk.json("resolve", str(arrived), "sent", "--by", "王芳")
    failed = desk.json("resolve", str(lost), "failed", "--by", "王芳")
    resent = desk.json("resolve", str(again), "resend", "--by", "王芳")
    repeated = desk.json("resolve", str(arrived), "sent", "--by", "李")
    refused = desk.run("resolve", str(arrived), "failed", expect=1)
    desk.receiver.wait_until(lambda all_: any(_ends(each, arrived, "1") for each in all_))
    [told] = [each.req_body for each in desk.receiver.received if _ends(each, arrived, "1")]
    history = desk.json("log", str(arrived))["entries"]
    by = [each["fields"]["by"] for each in history if each["event"] == "message.sent"]

    assert ("sent", "operator") == (sent["state"], sent["evidence"]) == (repeated["state"], repeated["evidence"])
    assert "failed" == failed["state"]
    assert resent["state"] in ("queued", "attempted", "in_doubt")  # the service may have been quicker
    assert "only a message in doubt can be resolved; this one is 'sent'" in refused.stderr
    assert "operator" == told["evidence"]
    assert ["王芳"] == by


# -- log ------------------------------------------------------------------------------------------------------------------------


def test_the_timeline_of_a_message(desk: Desk) -> None:
    """Its bot, its own events and the callback that told of its end stand in one line of time."""
    msgid = desk.ask("查收", "好群")

    def events() -> list[str]:
        return [each["event"] for each in desk.json("log", str(msgid))["entries"]]

    while "delivery.delivered" not in events():
        pass
    found = desk.json("log", str(msgid))
    said = lines(desk.run("log", str(msgid)).stdout)

    assert [
        "bot.logged_in",
        "message.queued",
        "message.attempted",
        "message.sent",
        "delivery.due",
        "delivery.delivered",
    ] == (events())
    assert [each["position"] for each in found["entries"]] == sorted(each["position"] for each in found["entries"])
    assert ("message", str(msgid), True) == (found["of"], found["name"], found["complete"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [+-]\d\d:\d\d", said[0])
    assert any('accepted from channel crm, for 好群: "查收"' in line for line in said)
    assert any("callback sendStatus to crm: acknowledged (attempt 1)" in line for line in said)


def test_the_timeline_of_a_bot_and_a_channel(desk: Desk) -> None:
    """Both have the messages and callbacks that belong to them; no text and no QR code's link is in them."""
    msgid = desk.ask("保密", "好群")
    desk.receiver.wait_until(lambda all_: any(_ends(each, msgid, "1") for each in all_))
    bot, channel = desk.json("log", "li", "--limit", "500"), desk.json("log", "crm", "--limit", "500")
    few = desk.json("log", "li", "--limit", "3")

    for found, own in ((bot, "bot.logged_in"), (channel, "channel.added")):
        events = {each["event"] for each in found["entries"]}
        assert {own, "message.queued", "message.sent", "delivery.due", "delivery.delivered"} <= events
        assert (True, None) == (found["complete"], found["looked_back_to"])
        assert "保密" not in json.dumps(found, ensure_ascii=False)
        assert "/qr/" not in json.dumps(found)
    assert (3, False) == (len(few["entries"]), few["complete"])
    lines(desk.run("log", "li").stdout)
    lines(desk.run("log", "crm", language="zh").stdout)


# -- send, logout, stop ---------------------------------------------------------------------------------------------------------


def test_a_refused_text_is_not_called_sent(desk: Desk) -> None:
    """It is `-1`, `rejected`, with the sentence of who refused it, and the command ends with 1."""
    said = desk.run("send", "li", "--room", "拒群", "你好", expect=1).stdout
    found = json.loads(desk.run("send", "li", "--room", "拒群", "你好", "--json", expect=1).stdout)

    assert "refused by WeChat since" in said
    assert "why: WeChat refused the message" in said
    assert ("rejected", "-1", "rejected") == (found["state"], found["sendStatus"], found["sendReason"])


def test_stop_and_logout(tmp_path: Path) -> None:
    """Beside a service and without one, each tells what became of it; what cannot be finished is said too."""
    data = tmp_path / "data"
    cli("bot", "add", "qi", "--puppet", "simulator", "--option", "startup_ms=0", data=data)
    alone = cli("logout", "qi", data=data).stdout
    with Service(data) as service:
        service.start()
        stopped = cli_json("stop", "qi", "--json", data=data)
        out = service.cli("logout", "qi").stdout
        chinese = cli("stop", "qi", data=data, env={"WXRC_LANG": "zh"}).stdout
        late = service.cli("stop", "qi", "--wait", "0", expect=1).stderr

    assert "qi is signed out of WeChat" in alone
    assert ("stop", "logout", "relogin") == (stopped["asked"], stopped["bot"]["state"], stopped["bot"]["action"])
    assert "the next login needs a scan" in out
    assert "客户端已停止" in chinese
    assert "not finished within 0 s" in late
