"""What the numbers and JSON payloads of a Wechaty gateway mean. Gateways fill them as they like: nothing here trusts them."""

from enum import IntEnum
from typing import Any

import msgspec
from attrs import frozen


class EventType(IntEnum):
    """The events that we use. Unknown numbers occur."""

    MESSAGE = 2
    ROOM_JOIN = 19
    ROOM_LEAVE = 20
    ROOM_TOPIC = 21
    SCAN = 22
    READY = 23
    LOGIN = 25
    LOGOUT = 26
    DIRTY = 27


class ScanStatus(IntEnum):
    """What became of a QR code."""

    UNKNOWN = 0
    CANCEL = 1
    WAITING = 2
    SCANNED = 3
    CONFIRMED = 4
    TIMEOUT = 5


class DirtyType(IntEnum):
    """What the gateway says has changed."""

    CONTACT = 2
    ROOM = 3
    MEMBER = 4


KINDS = {
    1: "file",
    2: "voice",
    3: "contact",
    4: "history",
    5: "emoticon",
    6: "image",
    7: "text",
    8: "location",
    9: "app",
    13: "recalled",
    14: "link",
    15: "video",
    16: "post",
}
"""`ReportMessage.kind` for the message types on the wire, which are the puppets' and not those of the published proto files."""

RESTARTED = "puppet stop()"
"""What a gateway gives as the reason of a LOGOUT when it only restarts its own client."""


@frozen
class ServerEvent:
    """One event of the gateway."""

    type: int
    payload: dict[str, Any]


def decode(payload: str) -> dict[str, Any]:
    """Return the payload of an event; empty where it is no JSON object."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def text_of(payload: dict[str, Any], key: str) -> str:
    """Return a field that should be a text; empty where it is something else."""
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def list_of(payload: dict[str, Any], key: str) -> list[Any]:
    """Return a field that should be a list; empty where it is something else."""
    value = payload.get(key)
    return value if isinstance(value, list) else []


def short(text: str) -> str:
    """Return the first line of a gateway's text, printable and of limited length, for logs and reasons."""
    return "".join(each if each.isprintable() else " " for each in text.partition("\n")[0])[:120].strip()
