"""The real service in trouble: stopped under load, frozen, out of disk, without its Wechaty gateway; and what it says meanwhile."""

import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from attrs import define, field

from tests.live import Service, call, cli_json, kick, record, say, scan_and_confirm, send, signed
from tests.receiver import Receiver
from tests.test_kill import whole_log
from tests.wechaty import TOKEN, own_gateway
from wxrc_core import delivery, message
from wxrc_store.sqlite import SqliteStore

ROOM = "客服一群"
LIMIT_S = 30.0

pytestmark = pytest.mark.slow


@define
class Shop:
    """A channel `crm` with a bot `zhao` on a running service, and the receiver of its callbacks."""

    service: Service
    receiver: Receiver
    key: str
    secret: str

    def ask(self, interface: str, body: dict[str, Any] | None = None, **how: Any) -> dict[str, Any]:
        """Call an interface."""
        return call(self.service.url, "crm", self.key, "zhao", interface, body or {}, **how)

    def log_in(self, scan: Callable[[str], object] = scan_and_confirm) -> None:
        """Log the bot in, as a person does."""
        self.ask("login")
        got = self.receiver.wait_until(lambda got: any(each.req_body["type"] == "qrCode" for each in got))
        scan(next(each for each in got if each.req_body["type"] == "qrCode").req_body["qrcode"])
        self.wait(lambda: self.ask("botStatus")["botStatus"] == "login")

    def text(self, text: str, **how: Any) -> dict[str, Any]:
        """Send a text to the room."""
        return self.ask("roomSendText", {"roomTopic": how.pop("room", ROOM), "text": text}, **how)

    def status(self, msgid: int) -> str:
        """Return a message's sendStatus."""
        return str(self.ask("msgStatus", {"msgid": msgid})["sendStatus"])

    def wait(self, there: Callable[[], bool], within_s: float = LIMIT_S) -> None:
        """Wait until this is true."""
        deadline = time.monotonic() + within_s
        while not there():
            assert time.monotonic() < deadline, self.service.said()
            time.sleep(0.02)


@contextmanager
def shop(folder: Path, *options: str, puppet: str = "simulator", env: dict[str, str] | None = None) -> Iterator[Shop]:
    """Set up and run a service; the bot's options are written name=value."""
    with Receiver() as receiver, Service(folder / "data", env=env) as service:
        made = cli_json(
            "channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=service.data
        )
        said = [word for option in options for word in ("--option", option)]
        service.cli("bot", "add", "zhao", "--puppet", puppet, "--channel", "crm", "--pace", "none", *said)
        receiver.key, receiver.secrets = made["key"], [made["webhook_secret"]]
        service.start()
        yield Shop(service, receiver, made["key"], made["webhook_secret"])


@define
class Load:
    """Requests one after the other, until an answer is no longer 0; what was accepted, and what was answered last.

    Attributes:
        accepted: msgid by text.
        refused: HTTP status and code of what was not accepted; (0, "") = no answer.
    """

    shop: Shop
    name: str
    accepted: dict[str, int] = field(factory=dict)
    refused: list[tuple[int, str]] = field(factory=list)
    stop: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop."""
        number = 0
        while not self.stop.is_set():
            number += 1
            text = f"第 {self.name}-{number} 条"
            request = signed("crm", self.shop.key, "zhao", "roomSendText", {"roomTopic": ROOM, "text": text})
            try:
                answer = send(self.shop.service.url, request)
            except httpx2.HTTPError:
                self.refused.append((0, ""))
                return
            said = answer.json()["resBody"]
            if said["rtCode"] == "0":
                self.accepted[text] = said["msgid"]
            else:
                self.refused.append((answer.status_code, said["rtCode"]))
                time.sleep(0.01)


def check_sent_once(shop: Shop, accepted: dict[str, int]) -> None:
    """Every accepted message ended sent, and reached WeChat once."""
    shop.wait(lambda: all(shop.status(msgid) != "0" for msgid in accepted.values()))
    assert {"1"} == {shop.status(msgid) for msgid in accepted.values()}
    arrived = Counter(entry["text"] for entry in record(shop.service.url, "zhao"))
    assert dict.fromkeys(accepted, 1) == {text: times for text, times in arrived.items() if text in accepted}


def test_stopped_under_load(tmp_path: Path) -> None:
    """SIGTERM under load: exit code 0, new requests get 503, nothing is left in doubt, and after a start all of it goes out once."""
    with shop(tmp_path, "startup_ms=0", "send_ms=10") as crm:
        crm.log_in()
        accepted: dict[str, int] = {}
        refused: list[tuple[int, str]] = []
        for round_ in range(4):
            loads = [Load(crm, f"{round_}{name}") for name in "abcd"]
            threads = [threading.Thread(target=load.run) for load in loads]
            for thread in threads:
                thread.start()
            crm.wait(lambda loads=loads: sum(len(load.accepted) for load in loads) > 20)  # type: ignore[misc]
            code = crm.service.stop()
            for load, thread in zip(loads, threads, strict=True):
                load.stop.set()
                thread.join()
                accepted |= load.accepted
                refused += load.refused
            assert 0 == code
            crm.service.start()
        check_sent_once(crm, accepted)
        crm.wait(lambda: "callbacks  0 due" in crm.service.cli("status").stdout)
        assert 0 == crm.service.stop()
        events = anyio.run(whole_log, crm.service.data)
    doubts = [each for each in events if isinstance(each.event, message.MessageInDoubt)]
    ends = [each for each in events if isinstance(each.event, message.MessageSent)]
    told = {each.stream: each.event for each in events if each.stream.startswith("delivery/") and each.version == 1}
    due = {delivery.webhook_id(stream) for stream, how in told.items() if isinstance(how, delivery.DeliveryDue)}

    assert set(refused) <= {(503, "22"), (0, "")}
    assert [] == doubts
    assert {delivery.stream_name(each.position, "crm") for each in ends} <= told.keys()
    assert due <= {each.webhook_id for each in crm.receiver.received}


def test_stopped_while_a_send_hangs(tmp_path: Path) -> None:
    """A send that hangs does not keep the service from going down; it alone is in doubt afterwards, and is not sent again."""
    with shop(tmp_path, "startup_ms=0", f"faults={ROOM}:hang") as crm:
        crm.log_in()
        hanging = crm.text("挂起")
        waiting = crm.text("在后面")
        crm.service.signal(signal.SIGTERM)
        crm.wait(lambda: _answers_503(crm))
        assert crm.service.process is not None
        assert 0 == crm.service.process.wait(LIMIT_S)
        crm.service.start()
        crm.wait(lambda: crm.status(hanging["msgid"]) == "-1")
        doubtful = crm.ask("msgStatus", {"msgid": hanging["msgid"]})
        held = crm.status(waiting["msgid"])
        reached = [entry["text"] for entry in record(crm.service.url, "zhao")]

    assert "unconfirmed" == doubtful["sendReason"]
    assert held in ("0", "-1")  # the next one hangs in its turn
    assert 1 == reached.count("挂起")


def _answers_503(crm: Shop) -> bool:
    answer = send(crm.service.url, signed("crm", crm.key, "zhao", "botStatus", {}))
    if answer.status_code == 200:
        return False
    assert (503, "22") == (answer.status_code, answer.json()["resBody"]["rtCode"])
    assert answer.headers["retry-after"].isdigit()
    return True


def test_frozen_and_thawed(tmp_path: Path) -> None:
    """Stopped in its tracks for some seconds under load, the service goes on as if nothing had been: nothing doubled, nothing lost."""
    with shop(tmp_path, "startup_ms=0", "send_ms=10") as crm:
        crm.log_in()
        load = Load(crm, "f")
        thread = threading.Thread(target=load.run)
        thread.start()
        crm.wait(lambda: len(load.accepted) > 5)
        crm.service.signal(signal.SIGSTOP)
        time.sleep(4)
        crm.service.signal(signal.SIGCONT)
        before = len(load.accepted)
        crm.wait(lambda: len(load.accepted) > before + 5)
        load.stop.set()
        thread.join()
        check_sent_once(crm, load.accepted)

        assert [] == load.refused


def test_disk_full(tmp_path: Path) -> None:
    """A disk that is full: 503 and 22, nothing is sent; with room again everything goes on by itself, and nothing is lost or doubled."""
    with shop(tmp_path, "startup_ms=0") as crm:
        held = {text: crm.text(text)["msgid"] for text in ("一" + "长" * 3000, "二" + "长" * 3000)}
        crm.log_in()
        check_sent_once(crm, held)
        assert crm.service.process is not None
        pid = crm.service.process.pid
        wal = (crm.service.data / "wxrc.db-wal").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
        request = signed("crm", crm.key, "zhao", "roomSendText", {"roomTopic": ROOM, "text": "三" + "长" * 3000})
        refused = [send(crm.service.url, request) for _ in range(3)]
        say(crm.service.url, "zhao", "@zhao 在吗", room=ROOM, sender="赵立伟")
        time.sleep(0.5)
        reached = len(record(crm.service.url, "zhao"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        accepted = send(crm.service.url, request).json()["resBody"]
        check_sent_once(crm, held | {"三" + "长" * 3000: accepted["msgid"]})
        crm.receiver.wait_until(lambda got: any(each.req_body["type"] == "userMsg" for each in got), within_s=60)
        assert 0 == crm.service.stop()
        said = crm.service.stdout.read_text() + crm.service.stderr.read_text()

    assert [(503, "22")] * 3 == [(each.status_code, each.json()["resBody"]["rtCode"]) for each in refused]
    assert all("retry-after" in each.headers for each in refused)
    assert 2 == reached
    assert "Traceback" not in said
    assert "长长" not in said


def test_a_wechaty_gateway_that_dies_and_secrets_in_the_log(tmp_path: Path) -> None:
    """Its bot is in error and its queue is held until the gateway is back; and in all of this the log, at DEBUG, has no secret."""
    with own_gateway() as wechat:
        options = [f"{name}={value}" for name, value in wechat.options.items()]
        port = wechat.port
        with shop(tmp_path, *options, puppet="wechaty", env={"WXRC_LOG_LEVEL": "DEBUG"}) as crm:
            crm.log_in(lambda code: wechat.do("confirm"))
            crm.wait(lambda: crm.ask("roomList")["rooms"] != [])
            sent = crm.text("保密一", room="订单群")
            crm.wait(lambda: crm.status(sent["msgid"]) != "0")
            wechat.do(
                "say", room="1001@chatroom", text="@Bot\u2005保密二", mention=["wxid_bot"], **{"from": "wxid_alice"}
            )
            crm.receiver.wait_until(lambda got: any(each.req_body["type"] == "userMsg" for each in got))
            wechat.process.kill()
            crm.wait(lambda: crm.ask("botStatus")["botStatus"] == "err")
            held = crm.text("保密三", room="订单群")
            with own_gateway() as again:
                again.open(port=port)
                again.do("session")
                crm.wait(lambda: crm.ask("botStatus")["botStatus"] == "login")
                crm.wait(lambda: crm.status(held["msgid"]) != "0")
                ends = [crm.status(each["msgid"]) for each in (sent, held)]
                texts = [each["text"] for each in again.record()]
                assert 0 == crm.service.stop()
            said = crm.service.stdout.read_text() + crm.service.stderr.read_text()

    assert "0" == held["sendStatus"]
    assert ["1", "1"] == ends
    assert ["保密三"] == texts
    assert "DEBUG" in said
    assert [] == [each for each in (crm.key, crm.secret, TOKEN, "保密", "Traceback") if each in said]


def test_secrets_of_a_simulated_session_are_not_logged(tmp_path: Path) -> None:
    """KEY, webhook secret, session and message texts are in nothing that the service prints at DEBUG, whichever way things go."""
    with shop(tmp_path, "startup_ms=0", env={"WXRC_LOG_LEVEL": "DEBUG"}) as crm:
        crm.log_in()
        for carrier in ("json", "form", "query"):
            crm.text("保密一", carrier=carrier)
        crm.text("保密二", room="没有这个群")
        crm.ask("roomSendText", {"roomTopic": ROOM, "text": "保密\ud800"}, carrier="form")
        call(crm.service.url, "crm", "x" * 40, "zhao", "roomSendText", {"roomTopic": ROOM, "text": "保密三"})
        say(crm.service.url, "zhao", "@zhao 保密四", room=ROOM, sender="赵立伟")
        crm.receiver.wait_until(lambda got: any(each.req_body["type"] == "userMsg" for each in got))
        session = anyio.run(_session, crm.service.data)
        kick(crm.service.url, "zhao")
        crm.wait(lambda: crm.ask("botStatus")["userAction"] == "relogin")
        assert 0 == crm.service.stop()
        said = crm.service.stdout.read_text() + crm.service.stderr.read_text()

    assert "DEBUG" in said
    assert [] == [each for each in (crm.key, crm.secret, session, "保密", "Traceback") if each in said]


async def _session(data: Path) -> str:
    async with SqliteStore(data / "wxrc.db") as store:
        kept = await store.vault.get("bot/zhao/session")
    assert kept
    return kept.decode().split('"')[3]
