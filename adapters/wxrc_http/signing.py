"""Signatures of requests (wire.md, section 1, "Signatures").

A wrong signature, an unknown channel and a type that the channel does not accept take the same path: two digests over the same text are
computed and compared in constant time, with KEYs of our own where the channel has fewer.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final

# Nobody can sign with these: what they yield is thrown away.
_NOBODYS_KEYS: Final = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")


def md5_hex(text: bytes, key: bytes) -> str:
    """Return the v0.1 signature: hex MD5 of T followed by the KEY."""
    return hashlib.md5(text + key, usedforsecurity=False).hexdigest()


def hmac_sha256_hex(text: bytes, key: bytes) -> str:
    """Return the recommended signature: hex HMAC-SHA256 of T under the KEY."""
    return hmac.digest(key, text, "sha256").hex()


SIGN: Final[Mapping[str, Callable[[bytes, bytes], str]]] = {"MD5": md5_hex, "HMAC-SHA256": hmac_sha256_hex}
"""The types that can be checked here, by name."""


def verify(kind: str, text: bytes, signature: bytes, keys: Sequence[str], accepted: Sequence[str]) -> bool:
    """Tell whether a signature is right.

    Args:
        kind: Its type, as the request names it.
        text: T.
        signature: As sent.
        keys: The KEYs that the channel may sign with now; none for an unknown channel.
        accepted: The types that the channel accepts.
    """
    sign = SIGN.get(kind, md5_hex)
    given = signature.lower()
    for key in keys:
        if hmac.compare_digest(sign(text, key.encode()).encode(), given):
            # Who gets here has the KEY, and may know by the time it took that it was the first of two.
            return kind in accepted and kind in SIGN
    for key in _NOBODYS_KEYS[len(keys) :]:
        hmac.compare_digest(sign(text, key.encode()).encode(), given)
    return False
