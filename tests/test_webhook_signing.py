"""Bodies and signatures of callbacks: the vectors, the Standard Webhooks library as an oracle, and the three formats."""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from wxrc_core.channel import CallbackFormat
from wxrc_webhook import (
    Callback,
    WebhookSecretError,
    encode,
    new_webhook_secret,
    secret_bytes,
    signature_headers,
)

VECTOR = json.loads((Path(__file__).parent / "vectors" / "signatures.json").read_text("utf-8"))["callback"]
SECRET = new_webhook_secret(bytes(range(32)))
OTHER_SECRET = new_webhook_secret(bytes(range(24)))
USER_MSG = {
    "botcode": "zhao",
    "type": "userMsg",
    "msgData": {"text": "你好 & 再见=1 ✅", "roomId": "", "mentioned": True, "tags": ["a", {"b": 1}], "none": None},
    "empty": {},
    "seq": 7,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_vector() -> None:
    """The callback case of the vectors comes out byte for byte."""
    body = json.loads(parse_qs(VECTOR["raw_body"])["reqBody"][0])
    callback = Callback(webhook_id=VECTOR["headers"]["webhook-id"], body=body)
    encoded = encode(callback)
    headers = signature_headers(
        callback,
        encoded,
        timestamp=int(VECTOR["headers"]["webhook-timestamp"]),
        channel_key=VECTOR["channel_key"],
        webhook_secrets=[VECTOR["webhook_secret"]],
    )

    assert VECTOR["raw_body"].encode() == encoded.body
    assert VECTOR["content_type"] == encoded.content_type
    assert VECTOR["headers"] == headers


@pytest.mark.wire("callback.signatures", "callback.formats")
@pytest.mark.parametrize("form", ["form", "json", "bracket"])
@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_standard_webhooks_library_verifies(form: CallbackFormat, secret: str) -> None:
    """While a secret is rotated, the library verifies every format with the old one and with the new one."""
    callback = Callback(webhook_id="evt_1_crm", body=USER_MSG, format=form)
    encoded = encode(callback)
    headers = signature_headers(
        callback, encoded, timestamp=int(time.time()), channel_key="key", webhook_secrets=[SECRET, OTHER_SECRET]
    )

    Webhook(secret).verify(encoded.body, headers, json_parse=False)


def test_form() -> None:
    """A form callback carries two JSON texts, compact and with non-ASCII as it is, and signs them one after the other."""
    encoded = encode(Callback(webhook_id="x", body=USER_MSG))
    fields = parse_qs(encoded.body.decode(), strict_parsing=True)

    assert fields["reqHead"] == ["{}"]
    assert json.loads(fields["reqBody"][0]) == USER_MSG
    assert fields["reqHead"][0] + fields["reqBody"][0] == encoded.signed_text
    assert "你好" in encoded.signed_text
    assert ": " not in encoded.signed_text


def test_json() -> None:
    """A JSON callback is one document, and the document is what is signed."""
    encoded = encode(Callback(webhook_id="x", body=USER_MSG, format="json"))

    assert encoded.content_type == "application/json"
    assert json.loads(encoded.body) == {"reqHead": {}, "reqBody": USER_MSG}
    assert encoded.signed_text.encode() == encoded.body


def test_bracket() -> None:
    """A bracket callback has a field for each value, none for empty objects, and signs the body as sent."""
    encoded = encode(Callback(webhook_id="x", body=USER_MSG, format="bracket"))
    fields = parse_qs(encoded.body.decode(), keep_blank_values=True, strict_parsing=True)

    assert fields == {
        "reqBody[botcode]": ["zhao"],
        "reqBody[type]": ["userMsg"],
        "reqBody[msgData][text]": ["你好 & 再见=1 ✅"],
        "reqBody[msgData][roomId]": [""],
        "reqBody[msgData][mentioned]": ["true"],
        "reqBody[msgData][tags][0]": ["a"],
        "reqBody[msgData][tags][1][b]": ["1"],
        "reqBody[msgData][none]": [""],
        "reqBody[seq]": ["7"],
    }
    assert encoded.signed_text.encode() == encoded.body


@pytest.mark.wire("callback.signatures")
@pytest.mark.parametrize("form", ["form", "json", "bracket"])
def test_md5_signature(form: CallbackFormat) -> None:
    """The v0.1 signature is the MD5 of the signed text and the channel's key, in UTF-8."""
    callback = Callback(webhook_id="x", body=USER_MSG, format=form)
    encoded = encode(callback)
    headers = signature_headers(callback, encoded, timestamp=1, channel_key="钥匙", webhook_secrets=[SECRET])

    expected = hashlib.md5(encoded.signed_text.encode() + "钥匙".encode()).hexdigest()
    assert expected == headers["X-Ecaspsplus-Signature"]


@pytest.mark.parametrize("form", ["form", "json", "bracket"])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_every_body_can_be_written(form: CallbackFormat, body: dict[str, Any]) -> None:
    """Any JSON object has a body in every format, and the JSON formats read back as what was meant."""
    encoded = encode(Callback(webhook_id="x", body=body, format=form))

    if form == "json":
        assert body == json.loads(encoded.body)["reqBody"]
    if form == "form":
        assert body == json.loads(parse_qs(encoded.body.decode())["reqBody"][0])


def test_form_quoting_is_the_usual_one() -> None:
    """A form is written to the byte as the standard library writes one: every ASCII character, and others of each length."""
    body = {"text": "".join(map(chr, range(128))) + "é在😀"}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    written = encode(Callback(webhook_id="evt_1_shop", body=body)).body

    assert f"reqHead=%7B%7D&reqBody={quote_plus(text)}".encode() == written


@pytest.mark.parametrize("form", ["form", "json", "bracket"])
def test_half_a_surrogate_pair(form: CallbackFormat) -> None:
    """A text with half a surrogate pair goes out with U+FFFD in its place, signed as sent; a pair becomes its character."""
    encoded = encode(Callback(webhook_id="x", body={"text": "a\ud83d|\ud83d\ude00"}, format=form))

    sent = {} if form == "json" else parse_qs(encoded.body.decode())
    match form:
        case "json":
            text = json.loads(encoded.body)["reqBody"]["text"]
        case "form":
            text = json.loads(sent["reqBody"][0])["text"]
        case "bracket":
            [text] = sent["reqBody[text]"]

    assert text == "a\ufffd|😀"


@given(st.binary(min_size=24, max_size=64))
def test_secret_round_trip(random_bytes: bytes) -> None:
    """A new secret has the prefix and stands for the bytes it was made of."""
    secret = new_webhook_secret(random_bytes)

    assert secret.startswith("whsec_")
    assert random_bytes == secret_bytes(secret)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "must start with whsec_"),
        ("WHSEC_" + base64.b64encode(bytes(32)).decode(), "must start with whsec_"),
        ("whsec_", "24 to 64 bytes, not for 0"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "not for 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "not for 65"),
        ("whsec_!!!!" + base64.b64encode(bytes(32)).decode(), "must be Base64"),
        ("whsec_" + base64.b64encode(bytes(32)).decode().rstrip("="), "must be Base64"),
        ("whsec_密" + base64.b64encode(bytes(32)).decode(), "must be Base64"),
    ],
)
def test_malformed_secrets(secret: str, words: str) -> None:
    """A malformed secret is refused with a sentence that says what is wrong and does not repeat it."""
    with pytest.raises(WebhookSecretError, match=words) as caught:
        secret_bytes(secret)

    assert base64.b64encode(bytes(16)).decode()[:16] not in str(caught.value)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_secrets_of_the_wrong_size(size: int) -> None:
    """A secret is not made of too few or too many bytes."""
    with pytest.raises(WebhookSecretError, match=f"not for {size}"):
        new_webhook_secret(bytes(size))
