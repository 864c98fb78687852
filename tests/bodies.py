"""Bodies of requests that are wrong in one field."""

from typing import Any


def wrong(code: str, name: str, *values: Any, **rest: Any) -> list[tuple[object, str, str]]:
    """Return a body for each wrong value of one field, with the code that it gets and the field's name."""
    return [({**rest, name: value}, code, name) for value in values]
