"""The clients that the docs show, in six languages, run as they stand against the real service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from tests.languages import LANGUAGES, Client
from tests.languages import client as client_in
from tests.live import Service, call, cli_json, record, scan_and_confirm
from tests.receiver import Received, Receiver

pytestmark = pytest.mark.slow

ROOM = "客服一群"


@frozen
class Channel:
    """A channel whose bot `zhao` is logged in."""

    url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    callback: Received

    def ask(self, client: Client, *call: str, key: str = "", **env: str) -> dict[str, Any]:
        """Call an interface as channel `crm` for bot `zhao`, and return the answer's resBody."""
        return client.answer(self.url, "crm", key or self.key, "zhao", *call, **env)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """Run a service with channel `crm`, and log its bot in as a person would."""
    data = tmp_path_factory.mktemp("clients") / "data"
    with Receiver() as receiver, Service(data, arguments=["--answer-wait-ms", "20000"]) as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        call(service.url, "crm", made["key"], "zhao", "login")
        [code] = receiver.wait_for(1)
        scan_and_confirm(code.req_body["qrcode"])
        receiver.wait_for(2)
        yield Channel(service.url, made["key"], made["webhook_secret"], code)
        assert service.stop() == 0


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Give each client in turn."""
    return client_in(request.param, tmp_path_factory.getbasetemp())


def body(text: str, room: str = ROOM) -> str:
    """Return a reqBody as a person would write it."""
    return json.dumps({"roomTopic": room, "text": text}, ensure_ascii=False)


def test_a_text_arrives_as_it_was_written(client: Client, channel: Channel) -> None:
    """The signature holds, whatever the text has in it, and the text is in the room."""
    text = f"工单 #1024 ✅ \"$HOME\" 'x' \\ %s {client.language}"

    answer = channel.ask(client, "roomSendText", body(text))

    assert ("0", "1") == (answer["rtCode"], answer["sendStatus"])
    assert [text] == [
        entry["text"] for entry in record(channel.url, "zhao") if entry["gatewayMsgid"] == answer["msgid"]
    ]


def test_a_call_without_a_body(client: Client, channel: Channel) -> None:
    """Interfaces that take no body are called without one."""
    answer = channel.ask(client, "botStatus")

    assert ("0", "login") == (answer["rtCode"], answer["botStatus"])


def test_every_call_is_a_new_one_unless_txcode_says_otherwise(client: Client, channel: Channel) -> None:
    """Two calls are two messages; the same TXCODE is the same message, sent once."""
    sent = body(f"一次 {client.language}")
    first, second = (channel.ask(client, "roomSendText", sent) for _ in range(2))
    third, fourth = (channel.ask(client, "roomSendText", sent, TXCODE=f"again-{client.language}") for _ in range(2))

    numbers = [each["msgid"] for each in (first, second, third, fourth)]
    assert 3 == len(set(numbers))
    assert third["msgid"] == fourth["msgid"]
    assert 3 == sum(entry["text"] == f"一次 {client.language}" for entry in record(channel.url, "zhao"))


def test_a_refusal_is_printed_too(client: Client, channel: Channel) -> None:
    """A wrong KEY and a room that is not there come back as the service says them."""
    wrong = channel.ask(client, "botStatus", key="0" * 40)
    nowhere = channel.ask(client, "roomSendText", body("有人吗？", room="没有这个群"))

    assert "13" == wrong["rtCode"]
    assert ("0", "2") == (nowhere["rtCode"], nowhere["sendStatus"])


def test_a_real_callback_is_genuine(client: Client, channel: Channel) -> None:
    """What the service posted is genuine, and not with another secret."""
    told = channel.callback

    assert client.genuine(channel.secret, told.headers, told.raw_body)
    assert not client.genuine("whsec_" + "AAAA" * 8, told.headers, told.raw_body)


@pytest.mark.parametrize("language", ["sh", "node"])
def test_md5(language: str, channel: Channel, tmp_path: Path) -> None:
    """The clients that offer MD5 sign with it."""
    done = client_in(language, tmp_path).run("--md5", channel.url, "crm", channel.key, "zhao", "botStatus")

    assert '"rtCode":"0"' in done.stdout, done.stderr
