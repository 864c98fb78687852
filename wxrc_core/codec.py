"""Events to bytes and back: msgspec JSON, one decoder per event type, the type's name and schema version in columns of their own.

A change to an event class that adds a field with a default needs nothing: older events decode with the default. Any other change raises the
type's schema version in `SCHEMAS` and adds a function to `UPCASTS` that turns the older fields into the newer ones.

Nothing is written that could not be read back: `encode` decodes what it wrote and compares. Type annotations alone keep no float out of an
event, and one such event in the log would end every later start.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
import msgspec

from wxrc_core.aggregate import EVENTS
from wxrc_core.errors import InvalidValue, WxrcError
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Event
from wxrc_core.table import event_name


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


_CALLED = {"inbound": "message"}  # an inbound `MessageReceived` is `inbound.received`

NAMES: dict[type, str] = {
    event: f"{aggregate}.{event_name(event, _CALLED.get(aggregate, aggregate))}"
    for aggregate, events in EVENTS.items()
    for event in events
}
"""The name of each event type in the log: `message.queued`, `bot.logged_in`, ..."""

SCHEMAS: dict[str, int] = {}
"""Schema versions above 1."""

Upcasts: TypeAlias = Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]
UPCASTS: Upcasts = {}
"""(type, older schema version) -> what turns its fields into those of the next version."""

known: Mapping[str, int] = {name: SCHEMAS.get(name, 1) for name in NAMES.values()}
"""The newest schema version of every event type."""

EVENT_LIMIT = 16 * 1024 * 1024
"""The most that one event may take (bytes). Room lists are the largest, and `wxrc_core.boundary` stops them at half of it."""

_TAGS: dict[type, tuple[str, int]] = {event: (name, known[name]) for event, name in NAMES.items()}
_ENCODER = msgspec.json.Encoder()
_DECODE: dict[tuple[str, int], Callable[[bytes], Event]] = {
    (name, known[name]): msgspec.json.Decoder(event).decode for event, name in NAMES.items()
}
_CLASSES: dict[str, type] = {name: event for event, name in NAMES.items()}


# -- events ---------------------------------------------------------------------------------------------------------------------


def encode(event: Event) -> tuple[str, int, bytes]:
    """Return an event's type name, schema version and bytes.

    Raises:
        KeyError: It is no event.
        InvalidValue: It could not be read back; the text names the field.
    """
    tag = _TAGS[event.__class__]
    return *tag, checked(event, _DECODE[tag], EVENT_LIMIT)


def decode(type: str, schema: int, data: bytes) -> Event:  # noqa: A002 - the column's own name
    """Return the event that `encode` made, of whatever schema version it was.

    Raises:
        UnknownEvent: Newer code wrote it.
        msgspec.DecodeError: The bytes are damaged.
    """
    decoder = _DECODE.get((type, schema))
    if decoder is None:
        return upcast(type, schema, data, newest=known.get(type, 0), upcasts=UPCASTS)
    return decoder(data)


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
    event: Event = msgspec.convert(fields, _CLASSES[name])
    return event


# -- the check ------------------------------------------------------------------------------------------------------------------


def checked(value: object, decoder: Callable[[bytes], object], limit: int) -> bytes:
    """Return the bytes of an attrs object, having made sure that they can be read back as the same object.

    Args:
        value: The object.
        decoder: What reads the bytes of its class.
        limit: The most bytes that it may take.

    Raises:
        InvalidValue: It cannot be written and read back, or is too large; the text names the class and the field.
    """
    name = value.__class__.__name__
    try:
        written = _ENCODER.encode(value)
    except Exception as error:
        raise InvalidValue(_unusable(_unwritable(value, error))) from None
    if len(written) > limit:
        text = LocalizedText(
            "{name} 最多 {limit} 字节，实际 {size} 字节", "{name} must take no more than {limit} bytes, not {size}"
        )
        raise InvalidValue(text.filled(name=name, limit=f"{limit:,}", size=f"{len(written):,}"))
    try:
        again = decoder(written)
    except msgspec.DecodeError as error:
        raise InvalidValue(_unusable(_unreadable(name, str(error)))) from None
    # The encoder writes bytes, sets and dates as strings and lists, which may be read back, but as something else.
    if again == value:
        return written
    raise InvalidValue(_unusable(_changed(value, again)))


def _unusable(what: str) -> LocalizedText:
    return LocalizedText(f"值不能使用：{what}", what)


_TYPES = {
    "int": "an integer",
    "float": "a number with a fraction",
    "str": "a string",
    "bool": "true or false",
    "null": "None",
    "NoneType": "None",
    "array": "a list",
    "tuple": "a tuple",
    "object": "an object",
    "bytes": "bytes",
}
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<found>[^`]+)`(?: - at `\$\.?(?P<field>[^`]*)`)?")
_AT = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<field>[^`]*)`")


def _type(name: str) -> str:
    return " or ".join(_TYPES.get(option, option) for option in name.split(" | "))


def _unreadable(name: str, problem: str) -> str:
    if found := _EXPECTED.fullmatch(problem):
        return f"{_of(found['field'], name)} must be {_type(found['wanted'])}, not {_type(found['found'])}"
    if found := _AT.fullmatch(problem):
        return f"{_of(found['field'], name)} has a wrong value: {found['problem']}"
    return f"{name} has a wrong value: {problem}"


def _of(field: str | None, name: str) -> str:
    return f"{field} of {name}" if field else name


def _unwritable(value: object, error: Exception) -> str:
    name = value.__class__.__name__
    for field, found in _fields(value):
        try:
            _ENCODER.encode(found)
        except UnicodeError:
            return f"{field} of {name} must be valid Unicode, without lone surrogates"
        except Exception:
            return f"{field} of {name} cannot be written: it is or has a value of a wrong type ({found.__class__.__name__})"
    return f"{name} cannot be written ({error.__class__.__name__})"


def _changed(value: object, again: object) -> str:
    name = value.__class__.__name__
    after = dict(_fields(again))
    for field, found in _fields(value):
        if found != after.get(field):
            wanted, wrong = after.get(field).__class__.__name__, found.__class__.__name__
            if wanted == wrong:
                return f"{field} of {name} has a value of a wrong type in it"
            return f"{field} of {name} must be {_type(wanted)}, not {_type(wrong)}"
    return f"{name} is not the same when it is read back"


def _fields(value: object) -> list[tuple[str, object]]:
    if not attrs.has(value.__class__):
        return []
    return [(field.name, getattr(value, field.name, None)) for field in attrs.fields(value.__class__)]
