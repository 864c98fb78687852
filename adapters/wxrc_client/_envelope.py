"""A request as bytes, and an answer from bytes; no I/O (wire.md, section 1).

What is signed is what is sent, byte for byte: the text is written once.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from urllib.parse import urlencode

import msgspec
from attrs import field, frozen
from attrs.validators import in_

from wxrc_client._errors import NotAnEnvelope
from wxrc_core.signing import SIGN, covered, rsa_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

SignatureType = Literal["HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA"]
Carrier = Literal["json", "form", "query"]


@frozen(kw_only=True)
class Credentials:
    """Who signs, and how.

    Attributes:
        chid: The channel.
        key: Its KEY; for `RSA` the private key, as PEM.
        signature_type: `HMAC-SHA256-V2` is recommended. `RSA` leaves the body unprotected and needs the package `cryptography`.
    """

    chid: str
    key: str = field(repr=False)
    signature_type: SignatureType = field(default="HMAC-SHA256-V2", validator=in_(get_args(SignatureType)))

    def __attrs_post_init__(self) -> None:
        if not self.key:
            raise ValueError("the KEY of the channel is empty")
        if self.signature_type == "RSA":
            _private_key(self.key)

    def sign(self, interface: str, head: Mapping[str, str], text: bytes) -> str:
        """Return the signature of a request.

        Args:
            interface: The interface's name.
            head: `reqHead`.
            text: T.
        """
        kind = self.signature_type
        if kind == "RSA":
            return _rsa(self.key, rsa_text(head["chid"], head["botcode"], head["txcode"], head["txtime"]))
        return SIGN[kind](covered(kind, interface, text), self.key.encode())


@frozen(kw_only=True)
class HttpRequest:
    """A signed request, ready to be sent (again).

    Attributes:
        method: `POST`, or `GET` for the carrier `query`.
        path: The path below the base URL.
        query: What follows `?`; empty = nothing.
        headers: The header fields.
        content: The body.
        txcode: The serial number.
    """

    method: Literal["GET", "POST"]
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    txcode: str


def signed(
    credentials: Credentials,
    interface: str,
    botcode: str,
    body: Mapping[str, Any] | None,
    *,
    txcode: str,
    txtime: str,
    carrier: Carrier = "json",
    language: str = "zh",
) -> HttpRequest:
    """Write a request down and sign it.

    Args:
        credentials: Who signs.
        interface: The interface's name.
        botcode: The bot.
        body: `reqBody`; None leaves it out.
        txcode: The serial number: one for each operation, however often it is repeated.
        txtime: Now: 13 digits of epoch ms, or `yyyymmddhhmmss` in the channel's time zone.
        carrier: `json`, `form` or `query`.
        language: What the answer's sentences are to be written in.
    """
    head = {"chid": credentials.chid, "botcode": botcode, "txcode": txcode, "txtime": txtime}
    parts: dict[str, Mapping[str, Any]] = {"reqHead": head} | ({} if body is None else {"reqBody": body})
    headers = {"Accept": "application/json", "Accept-Language": language}
    content, query = b"", ""
    if carrier == "json":
        text = content = _json_text(parts)
        headers["Content-Type"] = "application/json"
    else:
        texts = {name: _json_text(part) for name, part in parts.items()}
        text, fields = b"".join(texts.values()), urlencode(texts)
        if carrier == "query":
            query = fields
        else:
            content = fields.encode("ascii")
            headers["Content-Type"] = "application/x-www-form-urlencoded"
    headers["X-Ecaspsplus-SignatureType"] = credentials.signature_type
    headers["X-Ecaspsplus-Signature"] = credentials.sign(interface, head, text)
    return HttpRequest(
        method="GET" if carrier == "query" else "POST",
        path=f"/api/{interface}",
        query=query,
        headers=headers,
        content=content,
        txcode=txcode,
    )


class _Envelope(msgspec.Struct):
    resBody: msgspec.Raw


class _Outcome(msgspec.Struct):
    rtCode: str
    rtMsg: str = ""


@frozen
class Answered:
    """An answer's envelope.

    Attributes:
        rt_code: The response code.
        rt_msg: Its sentence.
        res_body: The JSON text of `resBody`.
        maybe_accepted: Whether an earlier try of the same request, whose answer was lost, may have been accepted.
    """

    rt_code: str
    rt_msg: str
    res_body: bytes = field(repr=False)
    maybe_accepted: bool = False


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_OUTCOME: Final = msgspec.json.Decoder(_Outcome)


def read(status: int, content: bytes) -> Answered:
    """Read the envelope of an answer.

    Args:
        status: The HTTP status; only named in the error.
        content: The body.

    Raises:
        NotAnEnvelope: It has none.
    """
    try:
        res_body = bytes(_ENVELOPE.decode(content).resBody)
        outcome = _OUTCOME.decode(res_body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAnEnvelope(f"HTTP {status} without an answer of WXRC in it") from None
    return Answered(outcome.rtCode, outcome.rtMsg, res_body)


def _json_text(value: Mapping[str, Any]) -> bytes:
    write = partial(json.dumps, value, separators=(",", ":"), allow_nan=False)
    try:
        return write(ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8 form. Escaped it goes over, and the gateway says which field has it.
        return write().encode()


def _rsa(pem: str, text: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric import padding, utils

    digest = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
    return base64.b64encode(_private_key(pem).sign(digest, padding.PKCS1v15(), utils.NoDigestInfo())).decode("ascii")


@lru_cache(maxsize=8)
def _private_key(pem: str) -> "rsa.RSAPrivateKey":
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError:
        raise RuntimeError("signing with RSA needs the package cryptography; HMAC-SHA256-V2 needs nothing") from None
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError):
        # The original error may quote the key.
        raise ValueError("the private key must be an unencrypted RSA key as PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key must be an unencrypted RSA key as PEM")
    return key
