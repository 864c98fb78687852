"""Ids and tokens from one source of chance, so that a simulation with a seeded source is the same each time."""

import base64
from random import Random


def new_wxid(chance: Random) -> str:
    """Return a new WeChat id."""
    return f"wxid_{chance.randbytes(7).hex()}"


def new_room_id(chance: Random) -> str:
    """Return a new id of a room."""
    return f"{chance.randrange(10**10, 10**11)}@chatroom"


def new_message_id(chance: Random) -> str:
    """Return a new id of a message."""
    return str(2**62 + chance.getrandbits(61))


def new_token(chance: Random, size: int) -> str:
    """Return this many random bytes in letters that may stand in a URL."""
    return base64.urlsafe_b64encode(chance.randbytes(size)).rstrip(b"=").decode()


def new_digits(chance: Random) -> str:
    """Return six digits."""
    return f"{chance.randrange(1_000_000):06}"
