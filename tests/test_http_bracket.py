"""The bracket form (wire.md, section 1): what Node's `qs` makes of nested objects, signed with RSA only."""

import base64
import hashlib
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from wxrc_http import bracket, signing
from wxrc_http.answers import Fault
from wxrc_http.testing import (
    FORM,
    JSON,
    TXTIME,
    Caller,
    FakeBackend,
    a_channel,
    a_head,
    a_json,
    granted,
    res_body,
    signed,
)

pytestmark = pytest.mark.anyio

PRIVATE = rsa.generate_private_key(65_537, 2048)
PUBLIC = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
TYPES = ("HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA")


@pytest.fixture
def backend() -> FakeBackend:
    """A backend whose channel `crm` has a public key."""
    found = FakeBackend()
    found.channels["crm"] = a_channel("crm", granted("zhao"), signature_types=TYPES, rsa_public_key=PUBLIC)
    return found


def private_encrypt(text: bytes, key: rsa.RSAPrivateKey = PRIVATE) -> str:
    """Return Base64 of PKCS#1 v1.5 type 1 over a text, as Node's `privateEncrypt` makes it, worked out by hand."""
    numbers = key.private_numbers()
    size = key.key_size // 8
    block = b"\0\1" + b"\xff" * (size - 3 - len(text)) + b"\0" + text
    raised = pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n)
    return base64.b64encode(raised.to_bytes(size)).decode()


def rsa_sign(head: dict[str, Any], key: rsa.RSAPrivateKey = PRIVATE) -> str:
    """Return the RSA signature of a head."""
    text = "&".join(f"{name}={head[name]}" for name in ("chid", "botcode", "txcode", "txtime"))
    return private_encrypt(hashlib.md5(text.encode()).hexdigest().encode(), key)


def flatten(value: Any, name: str) -> list[tuple[str, str]]:
    """Return the fields that `qs.stringify` makes of a value, with numbered elements."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flatten(item, f"{name}[{key}]")]
    if isinstance(value, list):
        return [pair for index, item in enumerate(value) for pair in flatten(item, f"{name}[{index}]")]
    return [(name, str(value))]


def a_bracket(head: dict[str, Any], body: dict[str, Any]) -> bytes:
    """Return a bracket form."""
    pairs = [*flatten(head, "reqHead"), *flatten(body, "reqBody")]
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()


def a_signed_head(**changes: Any) -> dict[str, Any]:
    """Return a head with its RSA signature."""
    head = a_head(**changes)
    return head | {"sign": rsa_sign(head)}


@pytest.mark.wire("carrier.bracket")
async def test_a_form_of_a_node_client(backend: FakeBackend, caller: Caller) -> None:
    """A nested body arrives as the same message as its JSON, whether elements are numbered or not."""
    body = {"text": "你好 & [x]=1", "roomTopic": "客服一群", "atList": ["赵立伟", "李"]}
    raw = a_bracket(a_signed_head(), body)
    numbered = res_body(await caller.send("roomSendText", raw, FORM))
    bare = res_body(await caller.send("roomSendText", raw.replace(b"%5B0%5D", b"[]").replace(b"%5B1%5D", b"[]"), FORM))
    by_json = await caller.call("roomSendText", body)
    by_query = res_body(await caller.get("roomSendText", raw.decode(), {}))

    assert "0" == numbered["rtCode"]
    assert numbered == bare == by_json == by_query
    assert 1 == len(backend.log)


@pytest.mark.wire("carrier.bracket")
async def test_numbers_are_read_where_a_number_is_due(caller: Caller) -> None:
    """A field that is a number may be written in digits, and anything else in it has the wrong type."""
    sent = res_body(
        await caller.send("roomSendText", a_bracket(a_signed_head(), {"text": "1", "roomTopic": "客服一群"}), FORM)
    )
    codes = []
    for number, msgid in enumerate((str(sent["msgid"]), "0", "1.0", "", "x", "١", "9" * 17)):
        raw = a_bracket(a_signed_head(txcode=f"Q{number}"), {"msgid": msgid})
        codes.append(res_body(await caller.send("msgStatus", raw, FORM))["rtCode"])

    assert ["0", "32", "31", "31", "31", "31", "31"] == codes


@pytest.mark.wire("carrier.bracket", "sign.RSA")
async def test_only_rsa_signs_it(backend: FakeBackend, caller: Caller) -> None:
    """A bracket form has no text that a KEY could sign: not the body, not the empty text."""
    raw = a_bracket(a_head(sign="x"), {"text": "1", "roomTopic": "客服一群"})
    for kind in ("MD5", "HMAC-SHA256", "HMAC-SHA256-V2"):
        for text in (raw, b"", b"roomSendText\n", b"roomSendText\n" + raw):
            said = res_body(await caller.send("roomSendText", raw, FORM | signed(text, kind=kind)))

            assert "13" == said["rtCode"]
    assert [] == backend.log


OTHER = rsa.generate_private_key(65_537, 2048)
RIGHT = rsa_sign(a_head())
WRONG_RSA = {
    "another key": rsa_sign(a_head(), OTHER),
    "another head": rsa_sign(a_head(txtime="20261123190001")),
    "another length": rsa_sign(a_head(), rsa.generate_private_key(65_537, 1024)),
    "not the digest": private_encrypt(b"chid=crm"),
    "empty block": private_encrypt(b""),
    "short": RIGHT[:-4],
    "not Base64": "*" * 344,
    "white space": RIGHT[:100] + " " + RIGHT[100:],
    "zero": base64.b64encode(b"\0" * 256).decode(),
    "ones": base64.b64encode(b"\xff" * 256).decode(),
    "long": base64.b64encode(b"x" * 10_000).decode(),
}


@pytest.mark.parametrize("sign", WRONG_RSA.values(), ids=WRONG_RSA)
@pytest.mark.wire("sign.RSA", "attack.signature")
async def test_wrong_rsa_signatures(sign: str, backend: FakeBackend, caller: Caller) -> None:
    """Every wrong RSA signature gets 13, as an unknown channel does."""
    for chid in ("crm", "nobody"):
        raw = a_bracket(a_head(sign=sign, signType="RSA", chid=chid), {"text": "1"})

        assert "13" == res_body(await caller.send("roomSendText", raw, FORM))["rtCode"]
    assert [] == backend.log


@pytest.mark.parametrize("types", [("HMAC-SHA256-V2", "HMAC-SHA256", "MD5"), TYPES])
@pytest.mark.wire("sign.accepted")
async def test_rsa_must_be_switched_on(types: tuple[str, ...], backend: FakeBackend, caller: Caller) -> None:
    """RSA holds only where the channel accepts it and has a public key."""
    key = PUBLIC if "RSA" not in types else ""
    backend.channels["crm"] = a_channel("crm", granted("zhao"), signature_types=types, rsa_public_key=key)
    raw = a_bracket(a_signed_head(), {"text": "1", "roomTopic": "客服一群"})

    assert "13" == res_body(await caller.send("roomSendText", raw, FORM))["rtCode"]


@pytest.mark.wire("sign.RSA", "sign.header")
async def test_rsa_in_the_headers(caller: Caller) -> None:
    """An RSA signature of a JSON request may stand in the headers too."""
    headers = JSON | {"X-Ecaspsplus-Signature": RIGHT, "X-Ecaspsplus-SignatureType": "RSA"}

    assert "0" == res_body(await caller.send("roomSendText", a_json(), headers))["rtCode"]


@pytest.mark.wire("sign.RSA")
async def test_rsa_leaves_the_body_open_but_not_the_txcode(backend: FakeBackend, caller: Caller) -> None:
    """A captured RSA request with another body gets 12: its txcode is used up."""
    await caller.send("roomSendText", a_bracket(a_signed_head(), {"text": "1", "roomTopic": "客服一群"}), FORM)
    raw = a_bracket(a_signed_head(), {"text": "2", "roomTopic": "客服一群"})

    assert "12" == res_body(await caller.send("roomSendText", raw, FORM))["rtCode"]
    assert 1 == len(backend.log)


EC = ec.generate_private_key(ec.SECP256R1()).public_key()
NO_KEYS = {
    "empty": "",
    "garbage": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "elliptic": EC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
}


@pytest.mark.parametrize("pem", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_public_key(pem: str) -> None:
    """What is registered as a public key is one for RSA, or a sentence says what is wrong."""
    with pytest.raises(ValueError, match="key"):
        signing.rsa_key(pem)


HEAD = "&".join(f"reqHead[{name}]={value}" for name, value in (a_head(sign=RIGHT)).items()).replace("+", "%2B")
MALFORMED = [
    ("reqHead[chid]=crm", "10", "botcode"),
    ("reqBody[text]=x", "10", "reqHead"),
    (HEAD + "&reqHead[chid]=crm", "11", "reqHead"),
    (HEAD + "&reqHead[chid][x]=crm", "11", "reqHead"),
    (HEAD + "&reqHead[a][b]=1&reqHead[a]=1", "11", "reqHead"),
    (HEAD + "&reqHead[txcode", "11", "reqHead"),
    (HEAD + "&reqHead[]=x", "11", "reqHead"),
    (HEAD + "&reqHead[x]=%FF", "11", "reqHead"),
    (HEAD + "&reqBody[%FF]=x", "31", "reqBody"),
    (HEAD + "&reqBody[text]=1&reqBody[text]=1", "31", "reqBody"),
    (HEAD + "&reqBody[text]=1&reqBody[text][0]=1", "31", "reqBody"),
    (HEAD + "&reqBody[a]x=1", "31", "reqBody"),
    (HEAD + "&reqBody[a[b]]=1", "31", "reqBody"),
    (HEAD + "&reqBody[a][1]=1", "31", "reqBody"),
    (HEAD + "&reqBody[a][0]=1&reqBody[a][0]=2", "31", "reqBody"),
    (HEAD + "&reqBody[a][0]=1&reqBody[a][x]=2", "31", "reqBody"),
    (HEAD + "&reqBody[a][x]=1&reqBody[a][0]=2", "31", "reqBody"),
    (HEAD + "&reqBody[a][0][x]=1&reqBody[a][2][x]=2", "31", "reqBody"),
    (HEAD + "&reqBody[0]=1", "31", "reqBody"),
    (HEAD + "&reqBody" + "[a]" * 9 + "=1", "31", "reqBody"),
    (HEAD + "&reqBody[a]=1" * 1_000, "31", "form"),
    (HEAD + "&reqBody={}", "11", "reqHead"),
    (HEAD.replace(TXTIME, ""), "11", "txtime"),
]


@pytest.mark.parametrize(("raw", "code", "named"), MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.wire("carrier.bracket")
async def test_malformed_brackets(raw: str, code: str, named: str, backend: FakeBackend, caller: Caller) -> None:
    """A bracket form that can be read in two ways, or in none, gets 10 or 11 for the head and 31 for the body."""
    said = res_body(await caller.send("roomSendText", raw.encode(), FORM | {"Accept-Language": "en"}))

    assert (code, True) == (said["rtCode"], named in said["rtMsg"])
    assert [] == backend.log


LEAVES = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
NAMES = LEAVES.filter(lambda name: name and not set(name) & set("[]") and not name.isdigit())
BODIES = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
    max_size=3,
)


@given(BODIES.filter(lambda body: not {"msgid", "limit"} & set(body)))
def test_what_was_written_is_read(body: dict[str, Any]) -> None:
    """Any object of strings, arrays and objects is read as it was written, or refused for its depth."""
    pairs = [(name.encode(), value.encode()) for name, value in flatten(body, "reqBody")]
    if any(name.count(b"[") > bracket.MAX_DEPTH for name, _ in pairs):
        with pytest.raises(Fault):
            bracket.envelope(pairs)
        return

    assert {"reqBody": body} == bracket.envelope(pairs)


@given(st.lists(st.tuples(st.sampled_from(["reqHead", "reqBody"]), st.text("[]ab01", max_size=8)), max_size=6))
def test_any_names(drawn: list[tuple[str, str]]) -> None:
    """Any names are read or refused; nothing else comes out."""
    pairs = [(f"{field}[{rest}".encode(), b"1") for field, rest in drawn]
    try:
        found = set(bracket.envelope(pairs))
    except Fault as fault:
        found = {str(fault.code)}

    assert found <= {"reqHead", "reqBody"} or found in ({"11"}, {"31"})
