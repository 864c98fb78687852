"""A token: the right of a person or program to use the admin API, in a role.

The log has only the token's hash (SHA-256 of 256 random bits, so nothing can be guessed from it), never the token. A token that was
removed stays removed: its name is not used again, so that what stands in the log as done by it means one holder.
"""

from typing import Literal, TypeAlias

from attrs import frozen
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.errors import AlreadyTaken, NotFound
from wxrc_core.localized import LocalizedText

Role: TypeAlias = Literal["viewer", "operator", "admin"]
"""What a token may do: look; also run bots, messages and callbacks; also change channels, bots and tokens."""

RANKS: dict[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}
"""Each role may do what those of a lower rank may."""


@frozen(kw_only=True)
class TokenAdded:
    """The token exists.

    Attributes:
        at: When (epoch ms).
        name: Its name, which stands in the log as `by` of whatever is done with it.
        role: What it may do.
        digest: SHA-256 of the token, hex.
        by: Who did it.
    """

    at: int
    name: str
    role: Role
    digest: str
    by: str = ""


@frozen(kw_only=True)
class TokenRemoved:
    """The token is no longer valid."""

    at: int
    by: str = ""


TokenEvent: TypeAlias = TokenAdded | TokenRemoved


class Token(Struct, frozen=True):
    """The fold of a token's events."""

    added: TokenAdded
    removed: bool = False


@frozen
class Add:
    """Make the token: `added` is the event to record."""

    added: TokenAdded


@frozen
class Remove:
    """End the token: `removed` is the event to record."""

    removed: TokenRemoved


Command: TypeAlias = Add | Remove


def stream_name(name: str) -> str:
    """Return the stream of a token."""
    return f"token/{name}"


def decide(token: Token | None, command: Command) -> tuple[TokenEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if token is None:
        if isinstance(command, Add):
            return (command.added,)
        raise NotFound(LocalizedText("没有这个令牌", "there is no such token"))
    if isinstance(command, Add):
        text = LocalizedText(
            "令牌名 '{name}' 已用过；请换一个", "the token name '{name}' was used before; choose another"
        )
        raise AlreadyTaken(text.filled(name=command.added.name))
    return () if token.removed else (command.removed,)


def evolve(token: Token | None, event: TokenEvent) -> Token:
    """Return the token after an event. Total: a recorded fact is never refused."""
    if token is None:
        assert isinstance(event, TokenAdded), "a token's first event is `added`"
        return Token(event)
    return replace(token, removed=True) if isinstance(event, TokenRemoved) else token
