"""Encryption at rest for vaults: AES-256-GCM, the name as associated data, and the file that holds the key.

Sealed form: 12 bytes of random nonce, then ciphertext and tag. Random 96-bit nonces are good for 2^32 secrets under one key
(NIST SP 800-38D, 8.3); a vault sees a few thousand.
"""

import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wxrc_store.port import StoreError

KEY_BYTES = 32
NONCE_BYTES = 12


class Sealer:
    """Seals and opens secrets with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"A vault key has {KEY_BYTES} bytes; this one has {len(key)}.")
        self._cipher = AESGCM(key)

    def seal(self, name: str, secret: bytes) -> bytes:
        """Encrypt a secret; it opens only under the same name."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Decrypt a secret.

        Raises:
            StoreError: It was sealed with another key or under another name, or it was changed.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise StoreError(
                "The vault does not open with this key. Put back the key that belongs to this database "
                "(vault.key beside it, unless another was given)."
            ) from None


KEY_CHECK = ""
"""The name of a vault's first row. It is sealed with the key when the vault is made, and tells a wrong key at opening."""


class SealedVault:
    """The vault of a store in a database, sealed with AES-256-GCM; see `wxrc_store.port.Vault`. It is usable while the store is open."""

    def __init__(
        self,
        sealer: Callable[[], Sealer],
        keep: Callable[[str, bytes | None], Awaitable[None]],
        find: Callable[[str], Awaitable[bytes | None]],
        names: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """Make it.

        Args:
            sealer: Returns what seals; known once the store is open.
            keep: Keeps a sealed secret under a name; None takes it out.
            find: Returns a sealed secret, or None.
            names: Returns the names of all secrets, sorted.
        """
        self._sealer, self._keep, self._find, self._names = sealer, keep, find, names

    async def put(self, name: str, secret: bytes) -> None:
        """See `Vault.put`."""
        await self._keep(name, self._sealer().seal(name, secret))

    async def get(self, name: str) -> bytes | None:
        """See `Vault.get`."""
        sealed = await self._find(name)
        return None if sealed is None else self._sealer().open(name, sealed)

    async def delete(self, name: str) -> None:
        """See `Vault.delete`."""
        await self._keep(name, None)

    async def names(self) -> Sequence[str]:
        """See `Vault.names`."""
        return await self._names()


def unlock(key: bytes | Path, check: bytes | None, database: str) -> tuple[Sealer, bytes]:
    """Return what seals a vault, and what its row `KEY_CHECK` is to have. The caller holds the database's write lock.

    Args:
        key: The key, or its file, which is made where the vault is new.
        check: What that row has; None = the vault is new.
        database: What to call the database.

    Raises:
        StoreError: The key is missing, damaged, or another vault's.
    """
    if isinstance(key, Path):
        found = read_key(key)
        if found is None and check is not None:
            raise StoreError(f"The vault key {key} is missing; put back the one of {database}.")
        key = found or create_key(key)
    sealer = Sealer(key)
    if check is None:
        return sealer, sealer.seal(KEY_CHECK, b"")
    sealer.open(KEY_CHECK, check)
    return sealer, check


def read_key(path: Path) -> bytes | None:
    """Return the key in a file (64 hexadecimal digits), or None where there is no such file.

    Raises:
        StoreError: The file cannot be read, or has no key in it.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The vault key {path} cannot be read: {error.strerror}.") from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"The vault key {path} is damaged: it should be {2 * KEY_BYTES} hexadecimal digits.")
    return key


def create_key(path: Path) -> bytes:
    """Write a new random key, readable by its owner only, and return it. A crash leaves the whole file or none.

    The caller holds the database's write lock, so that no two processes come here at once.
    """
    key = secrets.token_bytes(KEY_BYTES)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, key.hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise StoreError(f"The vault key {path} cannot be written: {error.strerror}.") from error
    return key
