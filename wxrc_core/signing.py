"""Signatures as pure functions (wire.md, sections 1 and 3): what the gateway checks and what clients compute, written once.

Which of them a channel accepts, and comparing in constant time without telling which channels exist, is the business of the adapters.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

WITH_INTERFACE: Final = "HMAC-SHA256-V2"
"""The type that covers the interface's name as well."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the marker of a secret, not one
SECRET_MIN_BYTES: Final = 24
SECRET_MAX_BYTES: Final = 64


def md5_hex(text: bytes, key: bytes) -> str:
    """Return the v0.1 signature: hex MD5 of T followed by the KEY."""
    return hashlib.md5(text + key, usedforsecurity=False).hexdigest()


def hmac_sha256_hex(text: bytes, key: bytes) -> str:
    """Return hex HMAC-SHA256 of a text under the KEY."""
    return hmac.digest(key, text, "sha256").hex()


SIGN: Final[Mapping[str, Callable[[bytes, bytes], str]]] = {
    "MD5": md5_hex,
    "HMAC-SHA256": hmac_sha256_hex,
    WITH_INTERFACE: hmac_sha256_hex,
}
"""The types that are made with a KEY, by name: of what they cover, and the KEY."""


def covered(kind: str, interface: str, text: bytes) -> bytes:
    """Return what a signature of this type covers: T, with the interface's name and a line feed before it for the newest type."""
    if kind == WITH_INTERFACE:
        return interface.encode("utf-8", "surrogatepass") + b"\n" + text
    return text


def rsa_text(chid: str, botcode: str, txcode: str, txtime: str) -> bytes:
    """Return what an RSA signature is made of: the head's four fields, and nothing of the body.

    Signed are the 32 bytes of this text's hex MD5, padded as PKCS#1 v1.5 type 1 has it and without the name of a digest.
    """
    return f"chid={chid}&botcode={botcode}&txcode={txcode}&txtime={txtime}".encode()


def webhook_secret_bytes(secret: str) -> bytes:
    """Return the key that a webhook secret stands for (Standard Webhooks 1.0, symmetric secrets).

    Raises:
        ValueError: It is not `whsec_` and the Base64 text of 24 to 64 bytes. The secret itself is never repeated.
    """
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("The webhook secret must start with whsec_.")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # The original error may quote the secret.
        raise ValueError("The webhook secret must be Base64 text, with its padding, after whsec_.") from None
    if not SECRET_MIN_BYTES <= len(key) <= SECRET_MAX_BYTES:
        limits = f"{SECRET_MIN_BYTES} to {SECRET_MAX_BYTES}"
        raise ValueError(f"The webhook secret must stand for {limits} bytes, not for {len(key)}.")
    return key


def webhook_signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Return one signature of a callback, `v1,…` (Standard Webhooks 1.0).

    Args:
        key: What `webhook_secret_bytes` gave.
        webhook_id: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`, epoch seconds.
        body: The body as it is sent.
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
