"""The SDK takes the gateway's own callbacks for genuine, in every format, and nothing else; and it reads them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhooks import KEY, OTHER_SECRET, SECRET
from wxrc_client import (
    ACKNOWLEDGEMENT,
    BotStatusChanged,
    Callback,
    CallbackReceiver,
    CallbackRefused,
    MessageData,
    MessageEnded,
    QrCode,
    Received,
    UnknownCallback,
    UserMessage,
)
from wxrc_core.channel import CallbackFormat
from wxrc_webhook import Callback as Sent
from wxrc_webhook import encode, signature_headers
from wxrc_webhook.answer import Acknowledged, Answer, judge

NOW = 1_795_431_600
FORMATS: tuple[CallbackFormat, ...] = ("form", "json", "bracket")
STATUS = {"botcode": "zhao", "type": "botStatus", "botStatus": "logout", "reason": "在别处登录", "seq": 9, "time": 5}


def receiver(**options: Any) -> CallbackReceiver:
    """Return a receiver at the time of the callbacks; with the webhook secret unless told otherwise."""
    if not {"webhook_secrets", "keys"} & set(options):
        options["webhook_secrets"] = [SECRET]
    return CallbackReceiver(now_s=lambda: NOW, **options)


def posted(
    body: Mapping[str, Any],
    format_: CallbackFormat = "form",
    secrets: tuple[str, ...] = (SECRET,),
) -> tuple[dict[str, str], bytes]:
    """Return header fields and body as the gateway posts them."""
    callback = Sent(webhook_id="evt_7_crm", body=body, format=format_)
    encoded = encode(callback)
    headers = signature_headers(callback, encoded, timestamp=NOW, channel_key=KEY, webhook_secrets=secrets)
    return {"Content-Type": encoded.content_type, **headers}, encoded.body


# -- what they say ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("body", "callback"),
    [
        (
            {"type": "qrCode", "qrcodeImageUrl": "https://wxrc.example/qr/1", "qrcode": "weixin://1", "expiresAt": 17},
            QrCode(
                botcode="zhao",
                seq=7,
                time=3,
                qrcode_image_url="https://wxrc.example/qr/1",
                qrcode="weixin://1",
                expires_at=17,
            ),
        ),
        (
            {"type": "botStatus", "botStatus": "login", "reason": "", "wxid": "wxid_1", "name": "小赵"},
            BotStatusChanged(botcode="zhao", seq=7, time=3, bot_status="login", wxid="wxid_1", name="小赵"),
        ),
        (
            {
                "type": "userMsg",
                "msgType": "text",
                "msgData": {
                    "text": "@小赵 你好 & =✅\r\n[x]",
                    "fromId": "wxid_2",
                    "fromName": "钱",
                    "roomId": "1@chatroom",
                    "roomTopic": "客服一群",
                    "messageId": "8",
                    "mentioned": True,
                },
            },
            UserMessage(
                botcode="zhao",
                seq=7,
                time=3,
                msg_type="text",
                msg_data=MessageData(
                    text="@小赵 你好 & =✅\r\n[x]",
                    from_id="wxid_2",
                    from_name="钱",
                    room_id="1@chatroom",
                    room_topic="客服一群",
                    message_id="8",
                    mentioned=True,
                ),
            ),
        ),
        (
            {"type": "sendStatus", "msgid": 2**53 - 1, "sendStatus": "-1", "sendReason": "unconfirmed", "txcode": "T1"},
            MessageEnded(
                botcode="zhao", seq=7, time=3, msgid=2**53 - 1, send_status="-1", send_reason="unconfirmed", txcode="T1"
            ),
        ),
        ({"type": "roomRenamed", "roomId": "1"}, UnknownCallback(botcode="zhao", seq=7, time=3, type="roomRenamed")),
    ],
    ids=["qrCode", "botStatus", "userMsg", "sendStatus", "of a newer gateway"],
)
def test_callbacks_are_typed(body: dict[str, Any], callback: Callback, format_: CallbackFormat) -> None:
    """Each kind of callback comes out with its fields, whatever the format; numbers are numbers again."""
    headers, raw = posted({"botcode": "zhao", "seq": 7, "time": 3} | body, format_)
    received = receiver(keys=[KEY], webhook_secrets=[SECRET]).receive(headers, raw)

    assert ("evt_7_crm", callback) == (received.webhook_id, received.callback)
    assert body["type"] == received.body["type"]


@settings(deadline=None)
@given(text=st.text(max_size=50), mentioned=st.booleans(), format_=st.sampled_from(FORMATS))
def test_texts_come_through(text: str, mentioned: bool, format_: CallbackFormat) -> None:
    """Whatever somebody writes to the bot arrives as it was written."""
    data = {"text": text, "mentioned": mentioned}
    headers, raw = posted({"botcode": "zhao", "type": "userMsg", "msgType": "text", "msgData": data}, format_)
    received = receiver().receive(headers, raw)

    assert isinstance(received.callback, UserMessage)
    assert MessageData(text=text, mentioned=mentioned) == received.callback.msg_data


def test_the_acknowledgement_is_one() -> None:
    """What the SDK answers is what the gateway takes for an acknowledgement."""
    answer = Answer(status=200, body=bytearray(ACKNOWLEDGEMENT), complete=True)

    assert isinstance(judge(answer, now=NOW), Acknowledged)


# -- header fields, as frameworks have them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        dict,
        lambda headers: list(headers.items()),
        lambda headers: {name.lower(): value for name, value in headers.items()},
        lambda headers: [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        lambda headers: (
            {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
            | {"CONTENT_TYPE": headers["Content-Type"], "wsgi.version": (1, 0)}
        ),
    ],
    ids=["mapping", "pairs", "lower case", "ASGI", "WSGI"],
)
def test_headers_of_any_framework(form: Any) -> None:
    """Header fields are found however a framework gives them."""
    headers, raw = posted(STATUS)

    assert isinstance(receiver(keys=[KEY], webhook_secrets=[SECRET]).receive(form(headers), raw), Received)


# -- what is not genuine ------------------------------------------------------------------------------------------------------


def refused(receiver_: CallbackReceiver, headers: Mapping[str, str], raw: bytes) -> bool:
    """Return whether a callback is refused."""
    try:
        receiver_.receive(headers, raw)
    except CallbackRefused:
        return True
    return False


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("options", [{"webhook_secrets": [SECRET]}, {"keys": [KEY]}], ids=["standard", "md5"])
def test_forgeries_are_refused(options: dict[str, Any], format_: CallbackFormat) -> None:
    """Another body, no signature, another's signature and an empty one are all refused."""
    headers, raw = posted(STATUS, format_)
    checking = receiver(**options)
    name = "webhook-signature" if "webhook_secrets" in options else "X-Ecaspsplus-Signature"

    assert not refused(checking, headers, raw)
    assert refused(checking, headers, raw.replace(b"logout", b"login1"))
    assert refused(checking, headers, b"")
    assert refused(checking, {key: value for key, value in headers.items() if key != name}, raw)
    assert refused(checking, headers | {name: ""}, raw)
    assert refused(checking, headers | {name: headers[name][:-2] + "00"}, raw)
    assert refused(checking, headers | {name: "签名"}, raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "evt_8_crm"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
    ],
)
def test_the_standard_signature_covers_id_and_time(changes: dict[str, str]) -> None:
    """Neither the id nor the time can be changed."""
    headers, raw = posted(STATUS)

    assert refused(receiver(), headers | changes, raw)


@pytest.mark.parametrize(("later", "old"), [(0, False), (300, False), (301, True), (-301, True), (86_400, True)])
def test_old_callbacks_are_refused(later: int, old: bool) -> None:
    """A callback that was caught and is sent again later is refused."""
    headers, raw = posted(STATUS)
    checking = CallbackReceiver(webhook_secrets=[SECRET], now_s=lambda: NOW + later)

    assert old == refused(checking, headers, raw)


def test_both_are_checked_where_both_are_given() -> None:
    """A receiver with a secret and a KEY wants both signatures."""
    headers, raw = posted(STATUS)

    assert refused(receiver(webhook_secrets=[SECRET], keys=["another"]), headers, raw)
    assert refused(receiver(webhook_secrets=[OTHER_SECRET], keys=[KEY]), headers, raw)


def test_rotation_of_secrets_and_keys() -> None:
    """During a rotation either secret and either KEY will do, on both sides."""
    old, raw_old = posted(STATUS, secrets=(OTHER_SECRET,))
    both, raw_both = posted(STATUS, secrets=(SECRET, OTHER_SECRET))

    assert not refused(receiver(webhook_secrets=[SECRET, OTHER_SECRET], keys=["new", KEY]), old, raw_old)
    assert not refused(receiver(webhook_secrets=[OTHER_SECRET]), both, raw_both)
    assert not refused(receiver(webhook_secrets=[SECRET]), both, raw_both)


@given(raw=st.binary(max_size=200), kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_rubbish_is_refused_whoever_signed_it(raw: bytes, kind: str) -> None:
    """A signed body that is no callback is refused, and nothing else happens."""
    assert refused(receiver(), signed_anyhow(raw, kind), raw)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"reqBody":[]}'),
        ("application/json", b'{"reqBody":{"type":"qrCode"}}'),
        ("application/json", b'{"reqBody":{"botcode":7,"type":"qrCode"}}'),
        ("application/json", b'{"reqBody":{"botcode":"zhao","type":"sendStatus","msgid":"7"}}'),
        ("application/json", b'{"reqBody":{"botcode":"zhao","type":["qrCode"]}}'),
        ("application/x-www-form-urlencoded", b"reqHead={}"),
        ("application/x-www-form-urlencoded", b"reqHead={}&reqBody=7"),
        ("application/x-www-form-urlencoded", b"reqBody[type]=qrCode"),
        ("application/x-www-form-urlencoded", b"reqBody" + b"[x]" * 1000 + b"=1"),
        ("application/x-www-form-urlencoded", b"reqBody[a]=1&reqBody[a][b]=1"),
        ("application/x-www-form-urlencoded", b"&".join(b"reqBody[%d]=1" % n for n in range(10_000))),
        ("application/x-www-form-urlencoded", b"=1"),
    ],
    ids=range(13),
)
def test_what_cannot_be_read_is_refused(kind: str, raw: bytes) -> None:
    """A signed body of the wrong shape is refused in a sentence, without a traceback of something else."""
    with pytest.raises(CallbackRefused, match="callback"):
        receiver().receive(signed_anyhow(raw, kind), raw)


def signed_anyhow(raw: bytes, kind: str) -> dict[str, str]:
    """Sign any body."""
    callback = Sent(webhook_id="w", body={})
    encoded = encode(callback)
    headers = signature_headers(
        callback,
        type(encoded)(content_type=kind, body=raw, signed_text=""),
        timestamp=NOW,
        channel_key=KEY,
        webhook_secrets=[SECRET],
    )
    return {"content-type": kind} | headers


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError),
        ({"keys": [""]}, ValueError),
        ({"webhook_secrets": ["whsec_"]}, ValueError),
        ({"webhook_secrets": ["no secret"]}, ValueError),
        ({"webhook_secrets": SECRET}, TypeError),
        ({"keys": KEY}, TypeError),
    ],
)
def test_a_receiver_that_would_check_nothing_is_not_made(options: dict[str, Any], error: type[Exception]) -> None:
    """Without anything to check against there is no receiver."""
    with pytest.raises(error):
        CallbackReceiver(**options)


def test_no_secret_is_shown() -> None:
    """Neither a receiver nor a refusal shows what it knows."""
    checking = receiver(webhook_secrets=[SECRET], keys=[KEY])
    headers, raw = posted(STATUS)
    with pytest.raises(CallbackRefused) as refusal:
        checking.receive(headers, raw + b" ")

    assert SECRET not in repr(checking)
    assert KEY not in repr(checking)
    assert [] == [each for each in (SECRET, KEY, json.dumps(STATUS)) if each in str(refusal.value)]
