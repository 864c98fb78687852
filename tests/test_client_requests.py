"""The client SDK writes requests as wire.md has them: fields, carriers, signatures."""

import base64
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import wxrc_client
from wxrc_client import (
    REQUESTS,
    App,
    BotList,
    BotStatus,
    Carrier,
    Client,
    ContactList,
    Credentials,
    Login,
    LoginCode,
    MsgCancel,
    MsgStatus,
    Request,
    RoomList,
    RoomSendApp,
    RoomSendImg,
    RoomSendText,
    SignatureType,
    UserSendApp,
    UserSendImg,
    UserSendText,
    data_url,
    signed,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signatures.json").read_text("utf-8"))
KEY = VECTORS["channel_key"]
HEAD = {"chid": "crm", "botcode": "zhao", "txcode": "20261123190000000001", "txtime": "20261123190000"}
BODY = {"text": "工单 #1024 已处理 ✅", "roomTopic": "客服一群", "atList": ["赵立伟"]}

CARD = App(title="工单", pagepath="pages/1?x=1", appid="wx1", username="gh_1", description="一张卡片")


# -- fields -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "interface", "body"),
    [
        (Login(), "login", {}),
        (LoginCode(code="0412"), "loginCode", {"code": "0412"}),
        (BotStatus(), "botStatus", {}),
        (RoomSendText(text="你好"), "roomSendText", {"text": "你好"}),
        (
            RoomSendText(text="你好", room_topic="一群", at_list=("小赵",), at_user="wxid_1"),
            "roomSendText",
            {"text": "你好", "roomTopic": "一群", "atList": ["小赵"], "atUser": "wxid_1"},
        ),
        (RoomSendText(text="", room_id=""), "roomSendText", {"text": "", "roomId": ""}),
        (
            RoomSendApp(app=CARD, room_id="1@chatroom"),
            "roomSendApp",
            {
                "app": {
                    "title": "工单",
                    "pagepath": "pages/1?x=1",
                    "appid": "wx1",
                    "username": "gh_1",
                    "description": "一张卡片",
                },
                "roomId": "1@chatroom",
            },
        ),
        (
            UserSendApp(
                app=App(title="t", pagepath="p", thumbnail_url="a", thumb_url="b", thumb_key="c"), user_name="李"
            ),
            "userSendApp",
            {
                "app": {"title": "t", "pagepath": "p", "thumbnailUrl": "a", "thumbUrl": "b", "thumbKey": "c"},
                "userName": "李",
            },
        ),
        (
            RoomSendImg(file=data_url(b"\x89PNG", "image/png")),
            "roomSendImg",
            {"file": "data:image/png;base64,iVBORw=="},
        ),
        (
            UserSendText(text="您好", user_id="wxid_2", expires_in=60),
            "userSendText",
            {"text": "您好", "userId": "wxid_2", "expiresIn": 60},
        ),
        (UserSendImg(file="a.png", user_id="wxid_2"), "userSendImg", {"file": "a.png", "userId": "wxid_2"}),
        (MsgStatus(msgid=7), "msgStatus", {"msgid": 7}),
        (MsgStatus(txcode="T1", txdate="20261123"), "msgStatus", {"txcode": "T1", "txdate": "20261123"}),
        (MsgCancel(msgid=7), "msgCancel", {"msgid": 7}),
        (RoomList(), "roomList", {}),
        (ContactList(limit=500, cursor="wxid_9"), "contactList", {"limit": 500, "cursor": "wxid_9"}),
        (BotList(limit=1), "botList", {"limit": 1}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_fields_have_the_wires_names(request_: Request[Any], interface: str, body: dict[str, Any]) -> None:
    """A request's body has wire.md's names, and nothing of what was left out."""
    assert (interface, body) == (request_.interface, json.loads(msgspec.json.encode(request_)))


def test_every_interface_is_there() -> None:
    """The interfaces are those of the page about the wire, each once, and all can be imported."""
    page = (Path(__file__).parent.parent / "docs" / "en" / "wire.md").read_text(encoding="utf-8")
    section = page.partition("\n## Interfaces\n")[2].partition("\n## ")[0]
    headings = [each for each in re.findall(r"^### (.+)$", section, re.M) if each[0].islower()]
    documented = set(re.findall(r"[a-zA-Z]+", " ".join(headings)))
    names = [request.interface for request in REQUESTS]

    assert len(set(names)) == len(names)
    assert set() == documented - set(names)
    assert set() == {request.__name__ for request in REQUESTS} - set(wxrc_client.__all__)


def test_everything_that_is_offered_is_explained() -> None:
    """Each public class and function has a docstring."""
    offered = [getattr(wxrc_client, name) for name in wxrc_client.__all__]

    assert [] == [each for each in offered if inspect.isclass(each) | inspect.isfunction(each) and not each.__doc__]


def test_it_stands_alone() -> None:
    """Importing the SDK loads nothing of the gateway but the signatures, and none of the gateway's libraries."""
    others = [
        "starlette",
        "apsw",
        "grpc",
        "cryptography",
        "jinja2",
        "click",
        "uvicorn",
        "httpcore",
        "httptools",
        "transitions",
        "trio",
    ]
    script = (
        f"import sys, wxrc_client; others = set({others!r}); "
        "print(*sorted(name for name in sys.modules if name in others or name.startswith('wxrc_') and '_client' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert ["wxrc_core", "wxrc_core.signing"] == done.stdout.split()


# -- signatures ---------------------------------------------------------------------------------------------------------------


# The SDK puts no signature into the head, and the private key of the RSA cases is not among the vectors.
IN_HEADERS = [
    case
    for case in VECTORS["requests"]
    if case["valid"]
    and "X-Ecaspsplus-Signature" in case["headers"]
    and case["headers"].get("X-Ecaspsplus-SignatureType") != "RSA"
]


@pytest.mark.parametrize("case", IN_HEADERS, ids=lambda case: case["name"])
def test_vectors(case: dict[str, Any]) -> None:
    """Every valid signature that is made with a KEY comes out the same."""
    kind = case["headers"].get("X-Ecaspsplus-SignatureType", "MD5")
    credentials = Credentials(chid="crm", key=KEY, signature_type=kind)
    made = credentials.sign(case.get("interface", "roomSendText"), HEAD, case["signed_text"].encode())

    assert case["headers"]["X-Ecaspsplus-Signature"].lower() == made
    assert 13 == len(IN_HEADERS)


@pytest.mark.parametrize("kind", ["MD5", "HMAC-SHA256-V2"])
@pytest.mark.parametrize("carrier", ["json", "form", "query"])
def test_requests_are_the_vectors_byte_for_byte(kind: SignatureType, carrier: Carrier) -> None:
    """What the SDK writes is what the vectors have."""
    [case] = [each for each in VECTORS["requests"] if each["name"] == f"{carrier}-{NAMES[kind]}"]
    credentials = Credentials(chid="crm", key=KEY, signature_type=kind)
    made = signed(
        credentials, "roomSendText", "zhao", BODY, txcode=HEAD["txcode"], txtime=HEAD["txtime"], carrier=carrier
    )

    assert (case["method"], case.get("query", ""), case.get("raw_body", "")) == (
        made.method,
        made.query,
        made.content.decode(),
    )
    assert case.get("content_type") == made.headers.get("Content-Type")
    assert case["headers"]["X-Ecaspsplus-Signature"] == made.headers["X-Ecaspsplus-Signature"]
    assert kind == made.headers["X-Ecaspsplus-SignatureType"]
    assert "/api/roomSendText" == made.path


NAMES = {"MD5": "md5", "HMAC-SHA256-V2": "hmac-v2"}


def test_rsa() -> None:
    """RSA signs the hex MD5 of the head alone, as v0.3 does, so that the public key recovers it."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    credentials = Credentials(chid="crm", key=pem(private), signature_type="RSA")
    made = signed(credentials, "roomSendText", "zhao", BODY, txcode="T1", txtime="1795431600000")
    signature = base64.b64decode(made.headers["X-Ecaspsplus-Signature"])

    # hex MD5 of chid=crm&botcode=zhao&txcode=T1&txtime=1795431600000
    assert b"95806d30e87443d259d53f0d09730676" == private.public_key().recover_data_from_signature(
        signature, padding.PKCS1v15(), None
    )


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as text."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize("key", ["not a key", pem(ec.generate_private_key(ec.SECP256R1()))], ids=["text", "ec"])
def test_a_wrong_private_key_is_refused_at_once(key: str) -> None:
    """What is no RSA key is refused before the first call, without being repeated."""
    with pytest.raises(ValueError, match="must be an unencrypted RSA key") as refusal:
        Client("http://wxrc.example", "crm", key, signature_type="RSA")

    assert key not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "key", "options", "what"),
    [
        ("wxrc.example", KEY, {}, "base URL"),
        ("ftp://wxrc.example", KEY, {}, "base URL"),
        ("http://wxrc.example/?x=1", KEY, {}, "base URL"),
        ("http://wxrc.example", "", {}, "KEY"),
        ("http://wxrc.example", KEY, {"signature_type": "SHA1"}, "signature_type"),
    ],
)
def test_wrong_use_says_so_at_once(url: str, key: str, options: dict[str, Any], what: str) -> None:
    """A client that could not make one good call is not made."""
    with pytest.raises(ValueError, match=what):
        Client(url, "crm", key, **options)


def test_a_bot_must_be_named() -> None:
    """A call for no bot is refused before anything is sent."""
    with Client("http://127.0.0.1:1", "crm", KEY) as wxrc, pytest.raises(ValueError, match="name the bot"):
        wxrc.call(BotStatus())


def test_half_a_surrogate_pair_is_written() -> None:
    """A text that no UTF-8 can carry is written all the same, so that the gateway can name the field."""
    credentials = Credentials(chid="crm", key=KEY)
    made = signed(credentials, "roomSendText", "zhao", {"text": "好\ud83d"}, txcode="T1", txtime="1795431600000")

    assert {"text": "好\ud83d"} == json.loads(made.content)["reqBody"]
    assert b'{"text":"\\u597d\\ud83d"}' in made.content


def test_no_key_is_shown() -> None:
    """Neither the credentials nor a request show the KEY or what a message says."""
    credentials = Credentials(chid="crm", key=KEY)
    made = signed(credentials, "roomSendText", "zhao", BODY, txcode="T1", txtime="1795431600000")

    assert KEY not in repr(credentials)
    assert KEY not in repr(made)
    assert "工单" not in repr(made)
