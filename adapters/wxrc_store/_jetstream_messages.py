"""How a log lies in JetStream streams: their names and settings, the subjects, and what a message has in it.

Three streams carry one log. *events* has each event under a subject of its own, `<log>.e.<stream>.<version>`, and takes one message for
each subject: so the server itself refuses a second event n of a stream, and its sequences are the positions. *side* has what changes:
members, settings, the vault. *files* has what is large, in pieces; it is made when the first of it comes.
"""

from typing import Any, NamedTuple

from attrs import frozen

from wxrc_store._jetstream_answers import Stored, token, untoken
from wxrc_store._rows import Row
from wxrc_store.port import StoreError

BATCH = 1_000
"""The most messages that a server takes as one atomic batch (its limit `max_batch_size`, as it comes)."""

FORGOTTEN = "~"
"""The type of the message that closes a stream which is being deleted; it is no event."""

LARGE = "@"
"""Stands before the type of an event that is too large for a message: what is there names the file that has it."""


@frozen
class Names:
    """The names of one log's streams and subjects."""

    log: str

    @property
    def events(self) -> str:
        """The stream with the events."""
        return f"{self.log}_events"

    @property
    def side(self) -> str:
        """The stream with what changes."""
        return f"{self.log}_side"

    @property
    def files(self) -> str:
        """The stream with what is large."""
        return f"{self.log}_files"

    @property
    def every_event(self) -> str:
        """The subjects of all events."""
        return f"{self.log}.e.>"

    @property
    def every_filler(self) -> str:
        """The subjects of what only takes a position, for a moment, where a restored log has a gap."""
        return f"{self.log}.f.>"

    @property
    def news(self) -> str:
        """The subject on which processes tell each other that the log has grown. Nothing keeps it."""
        return f"{self.log}.news"

    def event(self, stream: str, version: int) -> str:
        """Return the subject of an event."""
        return f"{self.log}.e.{token(stream)}.{version}"

    def stream(self, stream: str) -> str:
        """Return the subjects of all events of a stream."""
        return f"{self.log}.e.{token(stream)}.*"

    def aside(self, kind: str, *names: str) -> str:
        """Return the subject of a thing beside the log: `alive`, `setting`, `type`, `vault`."""
        return ".".join((self.log, "s", kind, *map(token, names)))

    def file(self, kind: str, *names: str) -> str:
        """Return the subject of a piece of a file, or of what says which pieces belong together."""
        return ".".join((self.log, "b", kind, *map(token, names)))

    def configurations(self, replicas: int) -> dict[str, dict[str, Any]]:
        """Return how the streams must be set up, by name."""
        common = {"retention": "limits", "storage": "file", "num_replicas": replicas, "max_msgs_per_subject": 1, "allow_direct": True,
                  "deny_delete": True, "deny_purge": False, "duplicate_window": 100_000_000}  # fmt: skip
        new = {"discard": "new", "discard_new_per_subject": True, "allow_atomic": True}
        return {
            name: {"name": name, "subjects": [f"{self.log}.{each}.>" for each in letters]} | common | further
            for name, letters, further in (
                (self.events, "ef", new),
                (self.side, "s", {"discard": "old"}),
                (self.files, "b", {"discard": "old"}),
            )
        }


class Packed(NamedTuple):
    """What a message of the stream of events has in it.

    Attributes:
        entry: The id of the entry that it was written with: tells an append whose answer was lost that it was done.
        type: The event's type, `FORGOTTEN`, or a type behind `LARGE`.
        schema: Its schema version.
        data: Its bytes; of a large one, what names them.
    """

    entry: str
    type: str
    schema: int
    data: bytes


def pack(packed: Packed) -> bytes:
    """Return the bytes of a message: one line with all but the event itself, then that."""
    return f"{packed.entry} {packed.type} {packed.schema}\n".encode() + packed.data


def unpack(stored: Stored) -> Packed:
    """Take a message apart.

    Raises:
        StoreError: It was not written by a gateway.
    """
    line, _, data = stored.data.partition(b"\n")
    try:
        entry, kind, schema = line.decode().split(" ")
        return Packed(entry, kind, int(schema), data)
    except ValueError:
        raise StoreError(
            f"The log is damaged: what has position {stored.sequence} is no event. Restore it from a backup."
        ) from None


def place_of(subject: str) -> tuple[str, int]:
    """Return the stream and the version that an event's subject names."""
    _, _, name, version = subject.split(".")
    return untoken(name), int(version)


def row(stored: Stored, packed: Packed, data: bytes) -> Row:
    """Return an event as a row."""
    return stored.sequence, *place_of(stored.subject), packed.type.removeprefix(LARGE), packed.schema, data
