"""The clients that the docs show, in six languages, without the service: the vectors, what gets lost, and forged callbacks."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.languages import LANGUAGES, Client
from tests.languages import client as client_in
from tests.receiver import Answer, Receiver
from tests.webhooks import KEY, OTHER_SECRET, SECRET
from wxrc_client import SignatureType
from wxrc_webhook import Callback, encode, signature_headers

pytestmark = pytest.mark.slow

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signatures.json").read_text("utf-8"))
V2: SignatureType = "HMAC-SHA256-V2"
DONE = b'{"resHead":{},"resBody":{"rtCode":"0","rtMsg":"\xe6\x88\x90\xe5\x8a\x9f","msgid":7}}'


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Give each client in turn."""
    return client_in(request.param, tmp_path_factory.getbasetemp())


@pytest.fixture
def server() -> Iterator[Receiver]:
    """A server whose answers can be programmed."""
    with Receiver() as server:
        server.default = Answer(body=DONE)
        yield server


def test_vectors(client: Client) -> None:
    """Every HMAC-SHA256-V2 signature of the vectors comes out the same, and those that do not hold come out otherwise."""
    cases = [each for each in VECTORS["requests"] if each["headers"].get("X-Ecaspsplus-SignatureType") == V2]
    made = [
        client.run(
            "sign", case.get("interface", "roomSendText"), VECTORS["channel_key"], stdin=case["signed_text"].encode()
        ).stdout.strip()
        for case in cases
    ]

    assert [each["valid"] for each in cases] == [
        sign == case["headers"]["X-Ecaspsplus-Signature"] for sign, case in zip(made, cases, strict=True)
    ]
    assert [4, 2] == [sum(case["valid"] is valid for case in cases) for valid in (True, False)]


def test_what_gets_lost_is_sent_again_byte_for_byte(client: Client, server: Receiver) -> None:
    """A connection that closes, an answer that breaks off, 503 and 429: the same bytes come again, until there is an answer."""
    server.answer_next(
        Answer(close=True),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + DONE[:40]),
        Answer(status=503, headers=(("Retry-After", "1"),), body=b"{}"),
        Answer(status=429, headers=(("retry-after", "0"),), body=b"{}"),
    )
    begun = time.monotonic()
    answer = client.answer(
        server.url.removesuffix("/callback"), "crm", "key", "zhao", "roomSendText", '{"text":"你好"}', TXCODE="T1"
    )
    sent = server.received

    assert {"rtCode": "0", "rtMsg": "成功", "msgid": 7} == answer
    assert 5 == len(sent)
    assert 1 == len({(each.path, each.raw_body, each.headers["x-ecaspsplus-signature"]) for each in sent})
    assert "/api/roomSendText" == sent[0].path
    assert (V2, "application/json") == (sent[0].headers["x-ecaspsplus-signaturetype"], sent[0].headers["content-type"])
    whole = json.loads(sent[0].raw_body)
    assert ("crm", "zhao", "T1", {"text": "你好"}) == (
        *(whole["reqHead"][name] for name in ("chid", "botcode", "txcode")),
        whole["reqBody"],
    )
    assert time.monotonic() - begun >= 1.0


@pytest.mark.parametrize("status", [307, 413])
def test_another_server_is_not_asked_again(client: Client, server: Receiver, status: int) -> None:
    """What a repetition cannot help ends the call, with a sentence; a redirect is not followed."""
    server.default = Answer(status=status, headers=(("Location", "/elsewhere"),), body=b"not here")
    done = client.run(server.url.removesuffix("/callback"), "crm", "key", "zhao", "botStatus")

    assert (1, "") == (done.returncode, done.stdout)
    assert str(status) in done.stderr
    assert 1 == len(server.received)


def test_no_answer_is_no_success(client: Client) -> None:
    """Where nobody listens the client gives up in time, says how to repeat it, names no KEY, and does not end with 0."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = client.run(url, "crm", "the-key-of-crm", "zhao", "botStatus", TOTAL_S="1", TXCODE="T9")

    assert (1, "") == (done.returncode, done.stdout)
    assert "may have been accepted" in done.stderr
    assert "TXCODE=T9" in done.stderr
    assert "the-key-of-crm" not in done.stderr


def test_wrong_use_says_how_to_use_it(client: Client) -> None:
    """Too few arguments end with 2 and the usage; nothing is printed as if it were an answer."""
    done = client.run("http://127.0.0.1:1")

    assert (2, "") == (done.returncode, done.stdout)
    assert "usage: " in done.stderr


def test_forged_callbacks(client: Client) -> None:
    """Another body, id, time or secret, an old callback and no signature are refused; during a rotation either secret will do."""
    callback = Callback(
        webhook_id="evt_7_crm", body={"botcode": "zhao", "type": "userMsg", "msgData": {"text": "你好 & =✅\r\n"}}
    )
    encoded = encode(callback)
    now = int(time.time())

    def headers(timestamp: int = now, secrets: tuple[str, ...] = (SECRET,)) -> dict[str, str]:
        return signature_headers(callback, encoded, timestamp=timestamp, channel_key=KEY, webhook_secrets=secrets)

    right = headers()
    cases = {
        "as sent": (SECRET, right, encoded.body),
        "rotation": (OTHER_SECRET, headers(secrets=(SECRET, OTHER_SECRET)), encoded.body),
        "body": (SECRET, right, encoded.body + b" "),
        "id": (SECRET, right | {"webhook-id": "evt_8_crm"}, encoded.body),
        "time": (SECRET, right | {"webhook-timestamp": str(now + 1)}, encoded.body),
        "no time": (SECRET, right | {"webhook-timestamp": ""}, encoded.body),
        "old": (SECRET, headers(now - 3600), encoded.body),
        "future": (SECRET, headers(now + 3600), encoded.body),
        "other secret": (OTHER_SECRET, right, encoded.body),
        "no signature": (SECRET, right | {"webhook-signature": ""}, encoded.body),
    }
    with ThreadPoolExecutor(3) as pool:
        genuine = dict(zip(cases, pool.map(lambda case: client.genuine(*case), cases.values()), strict=True))

    assert ["as sent", "rotation"] == [name for name, taken in genuine.items() if taken]
