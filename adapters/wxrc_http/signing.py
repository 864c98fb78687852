"""Signatures of requests (wire.md, section 1, "Signatures").

A wrong signature, an unknown channel and a type that the channel does not accept take the same path: for the types with a KEY, two digests
over the same text are computed and compared in constant time, with KEYs of our own where the channel has fewer; for RSA, one signature is
opened, with a public key of our own where the channel has none.
"""

import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from wxrc_core.signing import SIGN, md5_hex

RSA: Final = "RSA"
MIN_RSA_BITS: Final = 1024
MAX_RSA_BITS: Final = 8192

# Nobody can sign with these: what they yield is thrown away.
_NOBODYS_KEYS: Final = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
_NOBODYS_PUBLIC_KEY: Final = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAs22IZ0fTUsfKvtpB7wm+
teWttCgHBNVsNCJeyWpGgvYr3rbqCo3y8ngQJlEeZQiyYWEOkWocLVa7z/pxkqIH
SFsDENaRzBSE/744C+3FbyoyuXPx4GaTMRoo6kSW3HxcApouPy5Ysn93im08iFOA
vkE8gFlGB8RqMdiDphp78CskPLY06Y+n6QPmwIGBnrdgtrnxgP1DuRPmBl9v3LS8
uI5ki8sQMqGIWUhdKDLjfLIQtaEZ7yAuICDj4ImReFAjPKssEDpkAymV2ZBKzBgx
ieObCdDS9TGq/E84Csn0pPqN2MGx1YoptGZrGQrqteLdy3dkJEOYq7Md4r7pIOnB
NwIDAQAB
-----END PUBLIC KEY-----
"""


def verify(kind: str, text: bytes, signature: bytes, keys: Sequence[str], accepted: Sequence[str]) -> bool:
    """Tell whether a signature that was made with a KEY is right.

    Args:
        kind: Its type, as the request names it.
        text: What it covers (see `covered`).
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


def verify_rsa(text: bytes, signature: bytes, public_key: str, accepted: Sequence[str]) -> bool:
    """Tell whether an RSA signature is right: Base64 of PKCS#1 v1.5 type 1 over the bare hex MD5 of the head's four fields.

    Args:
        text: What it covers (see `rsa_text`).
        signature: As sent.
        public_key: The channel's public key (PEM); empty = none.
        accepted: The types that the channel accepts.
    """
    try:
        raw = binascii.a2b_base64(signature, strict_mode=True)
    except binascii.Error:
        raw = b""
    right = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
    try:
        # "Private encrypt": the padded block has the 32 characters themselves and no name of a digest.
        found = rsa_key(public_key or _NOBODYS_PUBLIC_KEY).recover_data_from_signature(raw, PKCS1v15(), None)
    except InvalidSignature:
        return False
    return hmac.compare_digest(right, found) and bool(public_key) and RSA in accepted


@lru_cache(maxsize=64)
def rsa_key(pem: str) -> RSAPublicKey:
    """Return a public key. Whoever registers one calls this first.

    Raises:
        ValueError: It is no RSA public key in PEM with 1,024 to 8,192 bits; the sentence says so.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except Exception as error:  # what is raised depends on what is wrong, and on the library's version
        raise ValueError("the public key is not a PEM text that begins with -----BEGIN PUBLIC KEY-----") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is not one for RSA")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"the RSA key has {key.key_size} bits; it must have {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    return key
