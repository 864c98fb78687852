"""Events as they stand in the log: names for ever, bytes there and back, and what older and newer releases wrote."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import examples, values
from wxrc_core import codec, message

NAMES = {
    "bot": "added client_restarted digits_wanted link_lost link_restored logged_in logged_out login_failed login_repeated"
    " login_requested logout_requested qr_code_issued qr_code_scanned rooms_changed signed_out stop_requested stopped",
    "channel": "added bot_granted callback_moved",
    "delivery": "attempted delivered due expired given_up postponed",
    "inbound": "received",
    "message": "attempted cancelled expired failed in_doubt queued rejected requeued room_not_found sent",
    "operation": "accepted",
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
    """Every event comes back from its bytes as it was."""
    event = data.draw(values(kind))
    name, schema, written = codec.encode(event)

    assert (codec.NAMES[kind], codec.known[name]) == (name, schema)
    assert event == codec.decode(name, schema, written)


def test_bytes_are_plain_json() -> None:
    """What is written can be read by any tool."""
    event = message.MessageSent(at=1, attempt=2, receipt="wx3")

    name, schema, written = codec.encode(event)

    assert ("message.sent", 1) == (name, schema)
    assert {"at": 1, "attempt": 2, "receipt": "wx3", "mention": "ok", "answered": False} == json.loads(written)


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
