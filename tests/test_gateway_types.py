"""What an embedding program's type checker knows of the gateway: typed calls, and events that are a closed union."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import attrs
import pytest

from wxrc_core import channel, codec
from wxrc_core.log import Event, Recorded, event_as
from wxrc_core.message import MessageAttempted, MessageQueued
from wxrc_core.testing.store_contract import attempted
from wxrc_gateway import Gateway
from wxrc_gateway.admin_values import ChannelSettings, GrantTerms

PROGRAM = """
from typing import assert_type

from wxrc_core import bot
from wxrc_core.log import Event
from wxrc_gateway import Gateway


async def use(gateway: Gateway) -> None:
    await gateway.add_channel("crm", callback_url="https://crm.example/", allow_private=False)
    await gateway.grant_bot("crm", "demo", on_doubt="resend")
    async for recorded in gateway.events():
        assert_type(recorded.event, Event)
        if isinstance(recorded.event, bot.QrCodeIssued):
            assert_type(recorded.event.code_id, str)
        print(recorded.event.at)
"""

WRONG = {
    'gateway.grant_bot("crm", "demo", on_doubt="rescend")': 'Argument "on_doubt" to "grant_bot"',
    'gateway.grant_bot("crm", "demo", room="x")': 'Unexpected keyword argument "room"',
    'gateway.add_channel("crm", callback_uri="x")': 'Unexpected keyword argument "callback_uri"',
    'gateway.move_callback("crm", "x", allow_private="yes")': 'Argument "allow_private" to "move_callback"',
}


def fields(event: type, *without: str) -> dict[str, Any]:
    """Return the fields of an event class with their types, without those that the gateway fills in."""
    hints = get_type_hints(event)
    return {each.name: hints[each.name] for each in attrs.fields(event) if each.name not in without}


def test_the_terms_are_the_fields_of_the_events() -> None:
    """A term that an event has can be passed, with that type, and no other."""
    own = ("at", "chid", "key_id", "webhook_secret_id", "by")

    assert fields(channel.BotGranted, "at", "botcode", "by") == get_type_hints(GrantTerms)
    assert fields(channel.ChannelAdded, *own) == get_type_hints(ChannelSettings)


def test_the_union_of_events_is_what_the_codec_knows() -> None:
    """Every class that can stand in the log is in the union, and nothing else is."""
    assert set(codec.NAMES) == set(get_args(Event))


def test_no_public_call_takes_or_gives_anything() -> None:
    """No public method of the gateway has `Any` in its signature."""
    methods = {name: each for name, each in inspect.getmembers(Gateway, inspect.isfunction) if name[0] != "_"}
    said = {name: str(inspect.signature(each)) for name, each in methods.items()}

    assert len(said) > 10
    assert [] == [name for name, signature in said.items() if "Any" in signature]


def test_an_event_of_another_class_than_its_place_is_named() -> None:
    """`event_as` gives the event with its class, and fails with both names where the log has something else there."""
    recorded = Recorded(1, "message/-/20261125/x", 1, attempted(1))

    assert attempted(1) == event_as(MessageAttempted, recorded)
    with pytest.raises(AssertionError, match="has MessageAttempted where MessageQueued belongs"):
        event_as(MessageQueued, recorded)


@pytest.mark.slow
def test_a_type_checker_sees_a_slip(tmp_path: Path) -> None:
    """Mypy passes a program that embeds the gateway, and names a misspelt term, a wrong value and an unknown argument."""
    lines = [*PROGRAM.splitlines(), "", "", "async def slip(gateway: Gateway) -> None:"]
    begins = len(lines)
    (tmp_path / "embedding.py").write_text("\n".join([*lines, *(f"    await {call}" for call in WRONG)]) + "\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "pyproject.toml",
        str(tmp_path / "embedding.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]

    assert len(WRONG) == len(errors), done.stdout
    for number, (error, words) in enumerate(zip(errors, WRONG.values(), strict=True)):
        assert f":{begins + number + 1}:" in error
        assert words in error
