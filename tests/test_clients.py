"""The signed clients that the docs show, run as they stand against the real service."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.live import Service, call, cli_json, record, scan_and_confirm, surroundings
from tests.receiver import Receiver
from tests.wechaty import find_node

CLIENTS = Path(__file__).parent.parent / "docs" / "clients"
ROOM = "客服一群"
LIMIT_S = 60


@frozen
class Channel:
    """A channel whose bot `zhao` is logged in."""

    url: str
    key: str


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
        yield Channel(service.url, made["key"])
        assert service.stop() == 0


@frozen
class Client:
    """One of the clients, as a person runs it."""

    command: tuple[str, ...]

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments."""
        return subprocess.run(
            [*self.command, *arguments],
            env=surroundings(NO_PROXY="*", no_proxy="*", **env),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def answer(self, channel: Channel, *call: str, key: str = "", **env: str) -> dict[str, Any]:
        """Call an interface as channel `crm` for bot `zhao`, and return the answer's resBody. `--md5` comes first where it is wanted."""
        option = [each for each in call if each == "--md5"]
        rest = [each for each in call if each != "--md5"]
        done = self.run(*option, channel.url, "crm", key or channel.key, "zhao", *rest, **env)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert {"resHead", "resBody"} == set(answer)
        found: dict[str, Any] = answer["resBody"]
        return found


@pytest.fixture(params=["sh", "node"])
def client(request: pytest.FixtureRequest) -> Client:
    """Give each client in turn; curl, openssl and node are the machine's (or pip's) own."""
    if request.param == "node":
        return Client((find_node()[0], str(CLIENTS / "client.mjs")))
    missing = [name for name in ("curl", "openssl") if shutil.which(name) is None]
    assert not missing, f"client.sh needs {' and '.join(missing)}; install it with the system's package manager"
    return Client((str(CLIENTS / "client.sh"),))


def body(text: str, room: str = ROOM) -> str:
    """Return a reqBody as a person would write it."""
    return json.dumps({"roomTopic": room, "text": text}, ensure_ascii=False)


@pytest.mark.slow
@pytest.mark.parametrize("option", [(), ("--md5",)], ids=["hmac", "md5"])
def test_a_text_arrives_as_it_was_written(client: Client, channel: Channel, option: tuple[str, ...]) -> None:
    """Both signatures hold, whatever the text has in it, and the text is in the room."""
    text = f"工单 #1024 ✅ \"$HOME\" 'x' \\ %s {os.path.basename(client.command[-1])} {option}"

    answer = client.answer(channel, *option, "roomSendText", body(text))

    assert ("0", "1") == (answer["rtCode"], answer["sendStatus"])
    assert [text] == [
        entry["text"] for entry in record(channel.url, "zhao") if entry["gatewayMsgid"] == answer["msgid"]
    ]


@pytest.mark.slow
def test_a_call_without_a_body(client: Client, channel: Channel) -> None:
    """Interfaces that take no body are called without one."""
    answer = client.answer(channel, "botStatus")

    assert ("0", "login") == (answer["rtCode"], answer["botStatus"])


@pytest.mark.slow
def test_every_call_is_a_new_one_unless_txcode_says_otherwise(client: Client, channel: Channel) -> None:
    """Two calls are two messages; the same TXCODE is the same message, sent once."""
    name = Path(client.command[-1]).name
    sent = body(f"一次 {name}")
    first, second = (client.answer(channel, "roomSendText", sent) for _ in range(2))
    third, fourth = (client.answer(channel, "roomSendText", sent, TXCODE=f"again-{name}") for _ in range(2))

    numbers = [each["msgid"] for each in (first, second, third, fourth)]
    assert 3 == len(set(numbers))
    assert third["msgid"] == fourth["msgid"]
    assert 3 == sum(entry["text"] == f"一次 {name}" for entry in record(channel.url, "zhao"))


@pytest.mark.slow
def test_a_refusal_is_printed_too(client: Client, channel: Channel) -> None:
    """A wrong KEY and a room that is not there come back as the service says them."""
    wrong = client.answer(channel, "botStatus", key="0" * 40)
    nowhere = client.answer(channel, "roomSendText", body("有人吗？", room="没有这个群"))

    assert "13" == wrong["rtCode"]
    assert ("0", "2") == (nowhere["rtCode"], nowhere["sendStatus"])


def test_wrong_use_says_how_to_use_it(client: Client) -> None:
    """Too few arguments end with 2 and the usage; nothing is printed as if it were an answer."""
    done = client.run("http://127.0.0.1:1")

    assert (2, "") == (done.returncode, done.stdout)
    assert "usage: " in done.stderr


def test_no_answer_is_no_success(client: Client) -> None:
    """Where nobody listens the client says so, names no KEY, and does not end with 0."""
    done = client.run("http://127.0.0.1:1", "crm", "the-key-of-crm", "zhao", "botStatus")

    assert done.returncode != 0
    assert "" == done.stdout.strip()
    assert done.stderr.strip()
    assert "the-key-of-crm" not in done.stderr
