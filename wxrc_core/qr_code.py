"""A QR code that logs an account in, and what names it.

Whoever knows its text, or sees its image, can take over a login. So neither is in an event: the log has the id of the code, and the
vault has the code, under a name that the id leads to, while it may be scanned. The id follows from the secret part of the image's
address by a hash, so that a request for an image is matched without the vault, and the log leads to no image.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

PREFIX = "bot/"
_PART = "/qr/"


class QrCode(Struct, frozen=True):
    """A QR code, as the vault has it.

    Attributes:
        text: What it encodes.
        image_url: The unguessable URL under which it can be seen as an image.
        expires_at: When it stops working (epoch ms).
    """

    text: str
    image_url: str
    expires_at: int

    def told(self) -> dict[str, Any]:
        """Return what a channel is told of it (wire.md, qrCode)."""
        return {"qrcodeImageUrl": self.image_url, "qrcode": self.text}


def image_name(token: str) -> str:
    """Return the last part of the image's URL; `token` is secret and random."""
    return f"{token}.png"


def id_of(name: str) -> str:
    """Return the id of the code whose image has this name."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def vault_name(botcode: str, code_id: str) -> str:
    """Return the name under which the vault has a code."""
    return f"{PREFIX}{botcode}{_PART}{code_id}"


def is_vault_name(name: str) -> bool:
    """Return whether the vault has a code under this name."""
    return name.startswith(PREFIX) and _PART in name


def encode(code: QrCode) -> bytes:
    """Return a code as the vault keeps it."""
    return msgspec.json.encode(code)


def decode(secret: bytes) -> QrCode:
    """Return the code that `encode` wrote.

    Raises:
        msgspec.DecodeError: It is damaged.
    """
    return msgspec.json.decode(secret, type=QrCode)
