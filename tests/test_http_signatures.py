"""Signatures of requests (wire.md, section 1), the vectors among them, and that none tells which channels exist."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from wxrc_http import signing
from wxrc_http.testing import (
    FORM,
    JSON,
    KEY,
    NOW,
    OTHER_KEY,
    TEXT,
    TXTIME,
    Caller,
    FakeBackend,
    a_channel,
    a_head,
    a_json,
    a_signature,
    dumps,
    granted,
    res_body,
    signed,
)

pytestmark = pytest.mark.anyio

EVERY_TYPE = ("HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA")
VECTORS = json.loads((Path(__file__).parent / "vectors" / "signatures.json").read_text("utf-8"))


# -- vectors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["requests"], ids=lambda case: case["name"])
@pytest.mark.wire("sign.vectors", "sign.MD5", "sign.HMAC-SHA256", "sign.HMAC-SHA256-V2", "sign.RSA")
async def test_vectors(case: dict[str, Any], backend: FakeBackend, caller: Caller) -> None:
    """Every case is taken or refused as it says."""
    backend.channels["crm"] = a_channel(
        "crm", granted("zhao"), signature_types=EVERY_TYPE, rsa_public_key=VECTORS["rsa_public_key_pem"]
    )
    headers = dict(case["headers"])
    interface = case.get("interface", "roomSendText")
    if case["method"] == "GET":
        response = await caller.get(interface, case["query"], headers)
    else:
        headers["Content-Type"] = case["content_type"]
        if "rsa" in case["name"]:
            backend.now = 1_574_822_362_251
        response = await caller.send(interface, case["raw_body"].encode(), headers)

    assert ("0" if case["valid"] else "13") == res_body(response)["rtCode"]
    assert (1 if case["valid"] else 0) == len(backend.log)
    assert KEY == VECTORS["channel_key"]


# -- signatures ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["MD5", "HMAC-SHA256"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.wire("sign.MD5", "sign.HMAC-SHA256", "sign.header")
async def test_signature_types(kind: str, upper: bool, caller: Caller) -> None:
    """Both types hold, in lower and in upper case."""
    raw = a_json()
    sign = a_signature(raw, kind=kind)
    headers = JSON | {"X-Ecaspsplus-Signature": sign.upper() if upper else sign, "X-Ecaspsplus-SignatureType": kind}

    assert "0" == res_body(await caller.send("roomSendText", raw, headers))["rtCode"]


REST = '"chid":"crm","botcode":"zhao","txcode":"T1","txtime":"20261123190000"'
SPELLINGS = [
    '{"reqHead":{REST,"sign":SIGN TYPE},"reqBody":BODY}',
    '{ "reqBody" :\nBODY,\t"reqHead" : { "sign"  :\r\n SIGN TYPE , REST } } ',
    '{"reqHead":{"\\u0073ign":SIGN TYPE,REST},"reqBody":BODY}',
    '{"sign":"","x":{"reqHead":{"sign":"x"}},"reqHead":{"a":{"sign":"x"},REST,"sign":SIGN TYPE,"b":[{"sign":""}]},"reqBody":BODY}',
    '{"a\\"sign\\":\\"x":1,"re\\u0071Head":{REST,"sign":SIGN TYPE},"reqBody":BODY}',
]
BODY_WITH_SIGN = dumps(TEXT | {"sign": "body", "text": 'he said "sign":"x" ✅ reqHead'})


@pytest.mark.parametrize("kind", [None, "MD5", "HMAC-SHA256"])
@pytest.mark.parametrize("spelling", SPELLINGS, ids=range(len(SPELLINGS)))
@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.wire("sign.in_head", "sign.type")
async def test_sign_in_the_head(kind: str | None, spelling: str, escaped: bool, caller: Caller) -> None:
    """T is the text as sent but for the value of reqHead's own sign, wherever it stands and however it is spelled."""
    suffix = "" if kind is None else f',"signType":"{kind}"'

    def text(sign: str) -> bytes:
        filled = spelling.replace("SIGN", sign).replace("TYPE", suffix).replace("REST", REST)
        return filled.replace("BODY", BODY_WITH_SIGN).encode()

    signature = a_signature(text('""'), kind=kind or "MD5")
    written = "".join(f"\\u{ord(sign):04x}" for sign in signature) if escaped else signature
    raw = text(f'"{written}"')

    assert "0" == res_body(await caller.send("roomSendText", raw, JSON))["rtCode"]
    assert "13" == res_body(await caller.send("roomSendText", raw.replace(b"he said", b"He said"), JSON))["rtCode"]
    assert "13" == res_body(await caller.send("roomSendText", raw + b" ", JSON))["rtCode"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.wire("sign.in_head")
async def test_sign_in_the_head_of_a_form(method: str, caller: Caller) -> None:
    """In a form T is the two decoded texts, with the sign emptied in the first."""
    head = '\n{"chid":"crm","botcode":"zhao", "sign" : "%s","txcode":"T1","txtime":"20261123190000"} '
    sign = a_signature((head % "" + dumps(TEXT)).encode())
    raw = urlencode({"reqBody": dumps(TEXT), "reqHead": head % sign})
    if method == "GET":
        response = await caller.get("roomSendText", raw, {})
    else:
        response = await caller.send("roomSendText", raw.encode(), FORM)

    assert "0" == res_body(response)["rtCode"]


async def test_the_header_counts_before_the_head(caller: Caller) -> None:
    """With a signature in the header, T is the text as sent, and whatever stands in reqHead.sign is part of it."""
    raw = a_json(a_head(sign="anything", signType="RSA"))

    assert "0" == res_body(await caller.send("roomSendText", raw, JSON | signed(raw)))["rtCode"]


@pytest.mark.parametrize("head", [a_head(), a_head(sign="")])
@pytest.mark.wire("head.required", "code.10")
async def test_no_signature_at_all(head: dict[str, Any], backend: FakeBackend, caller: Caller) -> None:
    """A request without a signature has an incomplete head."""
    said = res_body(await caller.send("roomSendText", a_json(head), JSON | {"Accept-Language": "en"}))

    assert "10" == said["rtCode"]
    assert "X-Ecaspsplus-Signature" in said["rtMsg"]
    assert [] == backend.log


RIGHT = a_signature(a_json())
WRONG = {
    "key": {"X-Ecaspsplus-Signature": a_signature(a_json(), OTHER_KEY)},
    "type": {"X-Ecaspsplus-Signature": RIGHT, "X-Ecaspsplus-SignatureType": "HMAC-SHA256"},
    "unknown type": {"X-Ecaspsplus-Signature": RIGHT, "X-Ecaspsplus-SignatureType": "SHA1"},
    "RSA": {"X-Ecaspsplus-Signature": RIGHT, "X-Ecaspsplus-SignatureType": "RSA"},
    "short": {"X-Ecaspsplus-Signature": RIGHT[:-1]},
    "long": {"X-Ecaspsplus-Signature": RIGHT + "0"},
    "no hex": {"X-Ecaspsplus-Signature": "g" * 32},
    "one digit": {"X-Ecaspsplus-Signature": ("0" if RIGHT[0] != "0" else "1") + RIGHT[1:]},
    "of the empty text": {"X-Ecaspsplus-Signature": a_signature(b"")},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
@pytest.mark.wire("sign.uniform", "code.13", "attack.signature")
async def test_wrong_signatures(headers: dict[str, str], backend: FakeBackend, caller: Caller) -> None:
    """Every wrong signature gets the one answer 13, and so does an unknown channel."""
    answers = {
        (await caller.send("roomSendText", a_json(), JSON | headers)).content,
        (await caller.send("roomSendText", a_json(a_head(chid="nobody")), JSON | headers)).content,
        (await caller.send("nothing", a_json(a_head(chid="shop")), JSON | headers)).content,
    }

    assert 1 == len(answers)
    assert b'"rtCode":"13"' in answers.pop()
    assert [] == backend.log


@pytest.mark.wire("attack.signature")
async def test_signatures_that_are_not_ascii(backend: FakeBackend, caller: Caller) -> None:
    """A signature of any bytes or characters is only wrong."""
    requests: list[tuple[bytes, list[tuple[str, str] | tuple[str, bytes]]]] = [
        (a_json(), [("X-Ecaspsplus-Signature", b"\xff\xfe\xe9")]),
        (a_json(), [("X-Ecaspsplus-Signature", RIGHT), ("X-Ecaspsplus-SignatureType", b"\xff\xdf")]),
        (a_json(a_head(sign="签名✅" * 40)), []),
        (json.dumps({"reqHead": a_head(sign="\ud800")}).encode(), []),
        (json.dumps({"reqHead": a_head(sign="x", signType="\ud800\0")}).encode(), []),
    ]
    for raw, headers in requests:
        response = await caller.send("login", raw, [*JSON.items(), *headers])

        assert "13" == res_body(response)["rtCode"]
    assert [] == backend.log


async def test_repeated_signature_headers(caller: Caller) -> None:
    """Which of two signatures counts is not guessed, even if both are right."""
    headers = [*JSON.items(), *signed(a_json()).items(), ("X-Ecaspsplus-Signature", RIGHT)]
    response = await caller.send("roomSendText", a_json(), headers)

    assert "11" == res_body(response)["rtCode"]
    assert "X-Ecaspsplus-Signature" in res_body(response)["rtMsg"]


@pytest.mark.wire("attack.replay")
async def test_a_signature_belongs_to_its_body_and_channel(backend: FakeBackend, caller: Caller) -> None:
    """A right signature on another body, or under another channel's name, is wrong."""
    other = a_json(body=TEXT | {"text": "你好!"})

    assert "13" == res_body(await caller.send("roomSendText", other, JSON | signed(a_json())))["rtCode"]
    assert "13" == (await caller.call("roomSendText", TEXT, head=a_head(chid="shop")))["rtCode"]
    assert [] == backend.log


@pytest.mark.wire("sign.two_keys")
async def test_two_keys_at_once(backend: FakeBackend, caller: Caller) -> None:
    """While a KEY is rotated, both hold; afterwards only the new one."""
    backend.signing_keys["crm"] = ("new-key", KEY)
    by_old = await caller.call("roomSendText", TEXT)
    by_new = await caller.call("roomSendText", TEXT, key="new-key", kind="HMAC-SHA256")
    backend.signing_keys["crm"] = ("new-key",)

    assert "0" == by_old["rtCode"]
    assert by_old == by_new
    assert "13" == (await caller.call("roomSendText", TEXT))["rtCode"]


@pytest.mark.wire("sign.accepted")
async def test_types_that_a_channel_does_not_accept(backend: FakeBackend, caller: Caller) -> None:
    """A type that the channel does not accept is a wrong signature."""
    backend.channels["crm"] = a_channel("crm", granted("zhao"), signature_types=("HMAC-SHA256",))

    assert "13" == (await caller.call("roomSendText", TEXT))["rtCode"]
    assert "0" == (await caller.call("roomSendText", TEXT, kind="HMAC-SHA256"))["rtCode"]


async def test_settings_do_not_give_a_channel_away(backend: FakeBackend, caller: Caller) -> None:
    """As long as the signature does not hold, a channel with a zone and a window of its own answers like one that does not exist."""
    backend.channels["crm"] = a_channel("crm", granted("zhao"), window_s=900, timezone="America/New_York")
    for txtime in (TXTIME, "20261123191000", "20261123060000", str(NOW + 600_000), str(NOW)):
        known = await caller.call("login", head=a_head(txtime=txtime), key="guessed")
        unknown = await caller.call("login", head=a_head(txtime=txtime, chid="nobody"), key="guessed")

        assert known == unknown

    assert "0" == (await caller.call("login", head=a_head(txtime=str(NOW + 600_000))))["rtCode"]
    assert "11" == (await caller.call("login", head=a_head(txtime=TXTIME)))["rtCode"]


@pytest.mark.parametrize("chid", ["crm", "shop", "nobody"])
@pytest.mark.parametrize("kind", ["MD5", "HMAC-SHA256"])
@pytest.mark.wire("sign.uniform")
async def test_the_same_work_for_whoever_cannot_sign(
    chid: str, kind: str, backend: FakeBackend, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two KEYs, with one and without a channel, a wrong signature costs two digests of the same text."""
    backend.signing_keys["crm"] = ("new-key", KEY)
    sign = signing.SIGN[kind]
    texts: list[bytes] = []

    def counted(text: bytes, key: bytes) -> str:
        texts.append(text)
        return sign(text, key)

    monkeypatch.setitem(signing.SIGN, kind, counted)
    raw = a_json(a_head(chid=chid))
    said = res_body(await caller.send("login", raw, JSON | signed(raw, "guessed", kind)))

    assert "13" == said["rtCode"]
    assert [raw, raw] == texts
