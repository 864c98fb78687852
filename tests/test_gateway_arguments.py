"""What an embedding program passes and the command hands on: a wrong value is refused in words that name it and say what would be right."""

import pytest

from wxrc_core.errors import InvalidValue
from wxrc_gateway._options import Options, TextArguments, checked

OPTIONS = {
    "name": "g",
    "public_url": "https://x.example",
    "send_limit_s": 1.0,
    "drain_limit_s": 1.0,
    "passive": False,
    "probe_every_s": 1.0,
}
TEXT = {
    "botcode": "b",
    "text": "x",
    "room": "r",
    "room_id": "",
    "mention": (),
    "txcode": None,
    "expires_at": None,
    "wait_s": 0.0,
}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("public_url", "shop.example", "public_url of Gateway must start with http:// or https://"),
        ("name", "", "name of Gateway must not be empty"),
        ("send_limit_s", 0, "send_limit_s of Gateway must be more than 0"),
        ("drain_limit_s", 9_999_999, "drain_limit_s of Gateway must be at most 3600"),
        ("passive", "yes", "passive of Gateway must be True or False, not a text"),
        ("probe_every_s", None, "probe_every_s of Gateway must be a number, not None"),
    ],
)
def test_an_option(field: str, value: object, sentence: str) -> None:
    """Options of a gateway."""
    with pytest.raises(InvalidValue) as caught:
        checked(Options, "Gateway", **(OPTIONS | {field: value}))

    assert sentence == str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("text", "", "text of send_text must not be empty"),
        ("text", "x" * 4001, "text of send_text must have at most 4,000 characters"),
        ("text", 5, "text of send_text must be a text, not a whole number"),
        ("text", "\ud800", "text of send_text must be proper text, without bytes that are no characters"),
        ("text", "a\0", "text of send_text must not have a NUL in it"),
        ("txcode", "a b", "txcode of send_text must consist of visible ASCII characters"),
        ("expires_at", 1.5, "expires_at of send_text must be a whole number or None, not a number"),
        ("mention", ("a", 5), "mention[1] of send_text must be a text, not a whole number"),
        ("wait_s", -1, "wait_s of send_text must be at least 0"),
    ],
)
def test_an_argument(field: str, value: object, sentence: str) -> None:
    """Arguments of a call."""
    with pytest.raises(InvalidValue) as caught:
        checked(TextArguments, "send_text", **(TEXT | {field: value}))

    assert sentence == str(caught.value)
