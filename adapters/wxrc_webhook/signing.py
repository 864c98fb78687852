"""The body of a callback and the two signatures that it carries (wire.md, section 3).

Every callback is signed twice, since two kinds of receivers read it:

* Standard Webhooks 1.0: HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body as sent}`, once per webhook secret, so
  that a secret can be rotated without a receiver missing a callback.
* v0.1: MD5 over a text T followed by the channel's KEY, so that a client written for v0.1 checks callbacks as it signs
  requests.

What T is depends on the format of the body:

| format | body | T | | --- | --- | --- | | form | the fields `reqHead` and `reqBody`, each a JSON text | the two texts, decoded,
one right after the other | | json | one JSON document | the document as sent | | bracket | `reqBody[type]=…`, nested objects as
`reqBody[msgData][text]=…` | the body as sent, still percent-encoded |

The bracket format has no JSON text that could be signed, and a receiver cannot rebuild one from fields (numbers have
become text). So T is there what the other signature covers as well: the raw body. An empty `reqHead` has no field
there at all.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_from_bytes, urlencode

from attrs import field, frozen

from wxrc_core.channel import CallbackFormat
from wxrc_core.signing import SECRET_PREFIX, md5_hex, webhook_secret_bytes, webhook_signature
from wxrc_webhook.errors import WebhookSecretError

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


@frozen(kw_only=True)
class Callback:
    """One callback, before it is written down.

    Attributes:
        webhook_id: The same over all attempts of one delivery; 1 to 256 visible ASCII characters.
        body: `reqBody`: `botcode`, `type` and the rest of wire.md, section 3. Its order is kept.
        format: How the channel wants it.
    """

    webhook_id: str
    body: Mapping[str, Any] = field(repr=False)
    format: CallbackFormat = "form"


@frozen(kw_only=True)
class Encoded:
    """A callback as it goes over the wire.

    Attributes:
        content_type: The value of `Content-Type`.
        body: The bytes that are sent; Standard Webhooks signs them.
        signed_text: T, what the MD5 signature covers before the KEY.
    """

    content_type: str
    body: bytes = field(repr=False)
    signed_text: str = field(repr=False)


def encode(callback: Callback) -> Encoded:
    """Write a callback down in its format.

    Raises:
        TypeError: The body holds something that JSON has no word for; a mistake of the caller.
    """
    match callback.format:
        case "form":
            head, body = "{}", _json_text(callback.body)
            return Encoded(
                content_type=_FORM,
                body=f"reqHead=%7B%7D&reqBody={_quoted(body)}".encode("ascii"),
                signed_text=head + body,
            )
        case "json":
            document = f'{{"reqHead":{{}},"reqBody":{_json_text(callback.body)}}}'
            return Encoded(content_type=_JSON, body=document.encode("utf-8"), signed_text=document)
        case "bracket":
            # By way of the JSON text, so that all three formats refuse and repair the same things.
            fields = urlencode(list(_bracket_fields("reqBody", json.loads(_json_text(callback.body)))))
            return Encoded(content_type=_FORM, body=fields.encode("ascii"), signed_text=fields)


def signature_headers(
    callback: Callback, encoded: Encoded, *, timestamp: int, channel_key: str, webhook_secrets: Sequence[str]
) -> dict[str, str]:
    """Sign an encoded callback both ways.

    Args:
        callback: Gives the `webhook-id`.
        encoded: What `encode` made of it.
        timestamp: The time of this attempt, in epoch seconds.
        channel_key: The channel's KEY.
        webhook_secrets: The channel's webhook secrets, `whsec_…`, newest first; each gives a signature of its own.

    Raises:
        WebhookSecretError: A secret is malformed.
    """
    id_, at, body = callback.webhook_id, str(timestamp), encoded.body
    signatures = [webhook_signature(secret_bytes(secret), id_, at, body) for secret in webhook_secrets]
    return {
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(signatures),
        "X-Ecaspsplus-Signature": md5_hex(encoded.signed_text.encode(), channel_key.encode()),
        "X-Ecaspsplus-SignatureType": "MD5",
    }


def new_webhook_secret(random_bytes: bytes) -> str:
    """Make a webhook secret of 24 to 64 random bytes, say of `secrets.token_bytes(32)`.

    Raises:
        WebhookSecretError: There are too few bytes, or too many.
    """
    secret = SECRET_PREFIX + base64.b64encode(random_bytes).decode("ascii")
    secret_bytes(secret)
    return secret


@lru_cache(maxsize=256)
def secret_bytes(secret: str) -> bytes:
    """Return the key that a webhook secret stands for (Standard Webhooks 1.0, symmetric secrets).

    Raises:
        WebhookSecretError: It is not `whsec_` and the Base64 text of 24 to 64 bytes. The secret itself is never
        repeated.
    """
    try:
        return webhook_secret_bytes(secret)
    except ValueError as error:
        raise WebhookSecretError(str(error)) from None


def _json_text(value: Mapping[str, Any]) -> str:
    text = json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if text.isascii():
        return text
    # Half of a surrogate pair, as people's texts sometimes hold, has no UTF-8 form; U+FFFD is what a decoder would
    # show for it.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_QUOTED: Final = [quote_from_bytes(bytes([byte]), safe=" ").replace(" ", "+") for byte in range(256)]


def _quoted(text: str) -> str:
    """Return what `urllib.parse.quote_plus` returns, in half the time."""
    return text.encode().decode("latin-1").translate(_QUOTED)


def _bracket_fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields that Node's `qs` reads back as this value; an empty object or list has none."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _bracket_fields(f"{name}[{key}]", item)
        case list():
            for index, item in enumerate(value):
                yield from _bracket_fields(f"{name}[{index}]", item)
        case bool():
            yield name, "true" if value else "false"
        case None:
            yield name, ""
        case _:
            yield name, str(value)
