"""Events as they stand in the log: names for ever, bytes there and back, and what older and newer releases wrote."""

import json
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxrc_core import bot, codec, message
from wxrc_core.errors import InvalidValue
from wxrc_core.puppet import Room
from wxrc_core.testing.strategies import values

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = {
    "bot": "added client_restarted contacts_changed digits_submitted digits_wanted link_lost link_restored logged_in logged_out"
    " login_failed login_repeated login_requested logout_requested qr_code_issued qr_code_scanned removed rooms_changed signed_out"
    " stop_requested stopped",
    "channel": "added bot_granted bot_revoked callback_disabled callback_moved callback_retried key_added key_ended removed"
    " resumed secret_added secret_ended settings_changed suspended",
    "delivery": "answered attempted cancelled delivered due expired given_up postponed replayed superseded",
    "inbound": "received",
    "message": "attempted cancelled expired failed image_stored in_doubt queued rejected requeued room_not_found sent",
    "operation": "accepted",
    "shard": "freed taken",
    "token": "added removed",
}
"""What stands in logs that exist. A name may be added here, never changed or taken away."""


def test_names_are_stable() -> None:
    """An event type keeps its name: logs have it."""
    names = {f"{aggregate}.{event}" for aggregate, events in NAMES.items() for event in events.split()}

    assert names == set(codec.NAMES.values())
    assert names == set(codec.known)


@pytest.mark.parametrize("kind", list(codec.NAMES), ids=list(codec.NAMES.values()))
@examples
@given(data=st.data())
def test_there_and_back(kind: type, data: st.DataObject) -> None:
    """Every event comes back from its bytes as it was (promise 18)."""
    event = data.draw(values(kind))
    name, schema, written = codec.encode(event)

    assert (codec.NAMES[kind], codec.known[name]) == (name, schema)
    assert event == codec.decode(name, schema, written)


def test_bytes_are_plain_json() -> None:
    """What is written can be read by any tool."""
    event = message.MessageSent(at=1, attempt=2, receipt="wx3")

    name, schema, written = codec.encode(event)

    assert ("message.sent", 1) == (name, schema)
    assert {"at": 1, "attempt": 2, "receipt": "wx3", "mention": "ok", "answered": False, "by": ""} == json.loads(
        written
    )


def test_an_older_event_without_a_newer_field() -> None:
    """A field that was added with a default needs no upcast."""
    written = b'{"at":1,"chid":"ch","botcode":"b","txcode":"t","interface":"roomSendText","digest":"d","text":"hi"}'
    event = codec.decode("message.queued", 1, written)

    assert (None, "leave", ()) == (event.expires_at, event.on_doubt, event.mention_names)


def test_an_event_with_a_field_that_is_gone() -> None:
    """A field that was dropped since is passed over."""
    assert message.MessageCancelled(at=1) == codec.decode("message.cancelled", 1, b'{"at":1,"by":"operator"}')


@pytest.mark.parametrize(("name", "schema"), [("message.recalled", 1), ("message.sent", 2), ("message.sent", 0)])
def test_what_a_newer_release_wrote_is_refused_loudly(name: str, schema: int) -> None:
    """An unknown type or schema version is never skipped; the error names it and says what to do."""
    with pytest.raises(codec.UnknownEvent, match="use that release or later") as raised:
        codec.decode(name, schema, b"{}")

    assert (name, schema) == (raised.value.type, raised.value.schema)
    assert name in str(raised.value)


def test_an_older_schema_is_upcast_step_by_step() -> None:
    """Fields of version 1 go through every version in between before the event is made of them."""
    upcasts = {
        ("message.sent", 1): lambda fields: {**fields, "receipt": fields["id"]},
        ("message.sent", 2): lambda fields: {**fields, "attempt": fields["attempt"] + 1},
    }
    event = codec.upcast("message.sent", 1, b'{"at":1,"attempt":0,"id":"wx1"}', newest=3, upcasts=upcasts)

    assert message.MessageSent(at=1, attempt=1, receipt="wx1") == event


@pytest.mark.parametrize(
    "written", [b"", b"{", b"[]", b'{"at":"yesterday"}', b'{"at":1,"attempt":1}', b'{"at":1,"attempt":1,"receipt":2}']
)
def test_damaged_bytes_are_refused(written: bytes) -> None:
    """Bytes that are no such event raise; they never become one with holes in it."""
    with pytest.raises(msgspec.DecodeError):
        codec.decode("message.sent", 1, written)


def test_only_events_are_written() -> None:
    """What is no event has no name."""
    with pytest.raises(KeyError):
        codec.encode(message.Cancel(at=1))


QUEUED = {"chid": "ch", "botcode": "b", "txcode": "t", "interface": "roomSendText", "digest": "d", "text": "hi"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: message.MessageCancelled(at=1.5),
            "at of MessageCancelled must be an integer, not a number with a fraction",
        ),
        (
            lambda: message.MessageCancelled(at=1.0),
            "at of MessageCancelled must be an integer, not a number with a fraction",
        ),
        (lambda: message.MessageCancelled(at=True), "at of MessageCancelled must be an integer, not true or false"),
        (lambda: message.MessageCancelled(at=None), "at of MessageCancelled must be an integer, not None"),
        (
            lambda: message.MessageSent(at=1, attempt=1, receipt=3),
            "receipt of MessageSent must be a string, not an integer",
        ),
        (
            lambda: message.MessageSent(at=1, attempt=1, receipt=b"wx1"),
            "receipt of MessageSent must be a string, not bytes",
        ),
        (
            lambda: message.MessageSent(at=1, attempt=1, receipt=object()),
            "receipt of MessageSent cannot be written: it is or has a value of a wrong type (object)",
        ),
        (
            lambda: message.MessageQueued(at=1, **QUEUED, expires_at=1.5),
            "expires_at of MessageQueued must be an integer or None, not a number with a fraction",
        ),
        (
            lambda: message.MessageQueued(at=1, **QUEUED, mention_names=["a"]),
            "mention_names of MessageQueued must be a tuple, not list",
        ),
        (
            lambda: message.MessageQueued(at=1, **QUEUED, mention_names=("a", 1)),
            "mention_names[1] of MessageQueued must be a string, not an integer",
        ),
        (lambda: bot.LoggedOut(at=1, reason="half \ud83d"), "reason of LoggedOut must be valid Unicode"),
        (
            lambda: bot.RoomsChanged(at=1, joined=(Room("r", 5),), left=(), complete=True),
            "joined[0].topic of RoomsChanged must be a string, not an integer",
        ),
        (
            lambda: bot.BotAdded(at=1, botcode="b", puppet="p", pace="fast"),
            "pace of BotAdded has a wrong value: Invalid enum value 'fast'",
        ),
        (
            lambda: bot.LoggedOut(at=1, reason="x" * codec.EVENT_LIMIT),
            "LoggedOut must take no more than 16,777,216 bytes",
        ),
    ],
)
def test_what_could_not_be_read_back_is_not_written(make: Callable[[], Any], sentence: str) -> None:
    """An event with a value of a wrong type is refused before it reaches a store; the sentence names the field (promise 18)."""
    with pytest.raises(InvalidValue) as refused:
        codec.encode(make())

    assert str(refused.value).startswith(sentence)


@examples
@given(kind=st.sampled_from(list(codec.NAMES)), data=st.data())
def test_any_value_in_any_field(kind: type, data: st.DataObject) -> None:
    """Whatever stands in a field, an event is written so that it is the same when read, or it is refused."""
    event = data.draw(values(kind))
    field = data.draw(st.sampled_from([each.name for each in attrs.fields(kind)]))
    odd = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
    )
    event = attrs.evolve(event, **{field: data.draw(odd)})
    problem, written = "", None
    try:
        written = codec.encode(event)
    except InvalidValue as refused:
        problem = str(refused)

    assert field in problem if written is None else event == codec.decode(*written)
