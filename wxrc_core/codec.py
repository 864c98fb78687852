"""Events to bytes and back: msgspec JSON, one decoder per event type, the type's name and schema version in columns of their own.

A change to an event class that adds a field with a default needs nothing: older events decode with the default. Any other change raises the
type's schema version in `SCHEMAS` and adds a function to `UPCASTS` that turns the older fields into the newer ones.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from wxrc_core import bot, channel, delivery, inbound, message, operation
from wxrc_core.errors import WxrcError
from wxrc_core.log import Event


class UnknownEvent(WxrcError):
    """The log has an event of a type or schema version that this release does not know; a newer release wrote it.

    Attributes:
        type: The event type's name.
        schema: Its schema version.
    """

    def __init__(self, type: str, schema: int) -> None:  # noqa: A002 - the field's own name
        super().__init__(
            f"the log has an event '{type}' with schema version {schema}; a newer release of WXRC wrote it, use that release or later"
        )
        self.type = type
        self.schema = schema


NAMES: dict[type, str] = {
    event: f"{aggregate}.{trigger}"
    for aggregate, triggers in (
        ("bot", bot.TRIGGERS),
        ("channel", channel.TRIGGERS),
        ("delivery", delivery.TRIGGERS),
        ("inbound", inbound.TRIGGERS),
        ("message", message.TRIGGERS),
        ("operation", operation.TRIGGERS),
    )
    for event, trigger in triggers.items()
}
"""The name of each event type in the log: `message.queued`, `bot.logged_in`, ..."""

SCHEMAS: dict[str, int] = {}
"""Schema versions above 1."""

Upcasts: TypeAlias = Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]
UPCASTS: Upcasts = {}
"""(type, older schema version) -> what turns its fields into those of the next version."""

known: Mapping[str, int] = {name: SCHEMAS.get(name, 1) for name in NAMES.values()}
"""The newest schema version of every event type."""

_TAGS: dict[type, tuple[str, int]] = {event: (name, known[name]) for event, name in NAMES.items()}
_ENCODER = msgspec.json.Encoder()
_DECODE: dict[tuple[str, int], Callable[[bytes], Event]] = {
    (name, known[name]): msgspec.json.Decoder(event).decode for event, name in NAMES.items()
}
_CLASSES: dict[str, type] = {name: event for event, name in NAMES.items()}


def encode(event: Event) -> tuple[str, int, bytes]:
    """Return an event's type name, schema version and bytes.

    Raises:
        KeyError: It is no event.
    """
    name, schema = _TAGS[event.__class__]
    return name, schema, _ENCODER.encode(event)


def decode(type: str, schema: int, data: bytes) -> Event:  # noqa: A002 - the column's own name
    """Return the event that `encode` made, of whatever schema version it was.

    Raises:
        UnknownEvent: Newer code wrote it.
        msgspec.DecodeError: The bytes are damaged.
    """
    try:
        return _DECODE[type, schema](data)
    except KeyError:
        return upcast(type, schema, data, newest=known.get(type, 0), upcasts=UPCASTS)


def upcast(name: str, schema: int, data: bytes, *, newest: int, upcasts: Upcasts) -> Event:
    """Return the event of an older schema version: its fields go through every version up to the newest.

    Raises:
        UnknownEvent: Newer code wrote it.
    """
    if not 1 <= schema <= newest:
        raise UnknownEvent(name, schema)
    fields = msgspec.json.decode(data)
    for version in range(schema, newest):
        fields = upcasts[name, version](fields)
    return msgspec.convert(fields, _CLASSES[name])
