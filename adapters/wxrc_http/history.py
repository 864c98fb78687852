"""A message's events as the channel may read them (wire.md, msgStatus): no text, no content."""

from typing import Any, Final

from wxrc_core.log import Recorded
from wxrc_core.message import TABLE

_PUBLIC: Final = (
    ("attempt", "attempt"),
    ("room_id", "roomId"),
    ("user_id", "userId"),
    ("media_type", "mediaType"),
    ("size", "size"),
    ("receipt", "receipt"),
    ("mention", "mention"),
    ("reason", "reason"),
    ("detail", "detail"),
    ("not_before", "notBefore"),
)


def public_event(recorded: Recorded) -> dict[str, Any]:
    """Return one event: `event` (its name), `time` (epoch ms), and what is known of it besides."""
    event = recorded.event
    trigger = TABLE.triggers[event.__class__]
    found: dict[str, Any] = {"event": trigger, "time": event.at}
    if trigger == "queued":
        return found  # what was asked for is the channel's own
    for field, name in _PUBLIC:
        value = getattr(event, field, None)
        if value not in (None, ""):
            found[name] = value
    return found
