"""Tokens of the admin API: made, ended, and looked up (see `admin`). A token is shown once; the log has its hash."""

import hashlib
import hmac
import random
from typing import TypedDict

from attrs import frozen

from wxrc_core import token
from wxrc_core.errors import NotFound
from wxrc_core.localized import LocalizedText
from wxrc_core.token import Role, Token
from wxrc_core.view import View
from wxrc_gateway._append import append
from wxrc_gateway._options import checked
from wxrc_gateway.admin_values import SYSTEM_CHANCE, check_name
from wxrc_store.port import Store

PREFIX = "wxrc_"
"""Every token begins with it, so that a leaked one is known for what it is."""


@frozen
class NewToken:
    """A token that was made: its name, role, and the token itself, shown this once."""

    name: str
    role: Role
    token: str
    position: int = 0

    def __repr__(self) -> str:
        return f"NewToken(name={self.name!r}, role={self.role!r})"


class _Role(TypedDict):
    role: Role


def digest(text: str) -> str:
    """Return what the log keeps of a token."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


async def add_token(
    store: Store, name: str, role: Role, *, at: int, by: str = "", chance: random.Random = SYSTEM_CHANCE
) -> NewToken:
    """Make a token.

    Raises:
        AlreadyTaken: The name is in use, or was.
        InvalidValue: Name or role cannot be used.
        StoreError: The store is unavailable.
    """
    check_name("name", name)
    checked(_Role, "add_token", role=role)
    text = PREFIX + chance.randbytes(32).hex()
    added = token.TokenAdded(at=at, name=name, role=role, digest=digest(text), by=by)
    written = await append(store, token.stream_name(name), token.Add(added))
    return NewToken(name, role, text, written.last)


async def remove_token(store: Store, name: str, *, at: int, by: str = "") -> int:
    """End a token; return the position of the event, or 0 where it was ended before.

    Raises:
        NotFound: There is no such token.
        StoreError: The store is unavailable.
    """
    check_name("name", name)
    if not await store.read(token.stream_name(name)):
        raise NotFound(LocalizedText("没有令牌 '{name}'", "there is no token '{name}'").filled(name=name))
    return (await append(store, token.stream_name(name), token.Remove(token.TokenRemoved(at=at, by=by)))).last


def authenticate(view: View, text: str) -> Token | None:
    """Return the token that this text is, or None; every token that is there is compared, in constant time."""
    given, found = digest(text), None
    for known in view.tokens.values():
        if hmac.compare_digest(known.state.added.digest, given) and not known.state.removed:
            found = known.state
    return found
