"""The form in which a log leaves one store and enters another: JSON lines, one event a line, between a header and a footer.

    {"wxrc": "export", "format": 1, "release": "0.1.0", "time": "…", "shards": 64, "after": 0, "position": 812, "events": 800, …}
    {"position": 1, "stream": "bot/zhao", "version": 1, "type": "bot.added", "schema": 1, "data": {"at": 1790000000000, …}}
    …
    {"secret": "channel/crm/key/9f2c11d0", "sealed": "…Base64…"}
    {"end": true, "events": 800, "secrets": 5, "sha256": "…of all lines before this one…"}

`export` writes it, `restore` reads it; `maintenance.prune` writes its archive in the same event lines.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from wxrc_core import codec
from wxrc_core.log import Recorded
from wxrc_store.port import Store

FORMAT = 1
"""The number of this form. A change that older releases would misread raises it."""

PAGE = 1_000
"""So many events are read, written and restored at once."""

LINE_LIMIT = 2 * codec.EVENT_LIMIT
"""The longest line that is read (bytes)."""

UNFINISHED = "import/unfinished"
"""The vault's entry while an import is unfinished: a service refuses to start on such a log."""


class Extent(Struct, frozen=True):
    """So much of a log, and what it is: the number of its events and the SHA-256 of their lines."""

    events: int
    sha256: str


class Sealing(Struct, frozen=True):
    """How the secrets are sealed: AES-256-GCM under a key that scrypt derives from a passphrase.

    Attributes:
        salt: For scrypt (hexadecimal).
        check: Something sealed with that key (Base64): a wrong passphrase is noticed before anything is written.
    """

    salt: str
    check: bytes


class Header(Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        wxrc: Says what this is.
        format: Its form; see `FORMAT`.
        release: The release that wrote it.
        time: When (ISO 8601, with its zone).
        shards: Into how many shards that store's bots are spread.
        after: Events above this position follow; 0 = all.
        known: What the log has up to there.
        position: That of the last event.
        events: How many follow.
        told_to: See `Store.told_to`.
        gaps_to: See `Store.gaps_to`; above it and `told_to` there is no gap.
        sealing: How the secrets are sealed; None = there are none.
    """

    wxrc: Literal["export"] = "export"
    format: int = FORMAT
    release: str
    time: str
    shards: int
    after: int
    known: Extent
    position: int
    events: int
    told_to: int
    gaps_to: int = 0
    sealing: Sealing | None


class EventLine(Struct, frozen=True):
    """One event."""

    position: int
    stream: str
    version: int
    type: str
    schema: int
    data: Raw


class SecretLine(Struct, frozen=True):
    """One secret, sealed under its name."""

    secret: str
    sealed: bytes


class Footer(Struct, frozen=True, kw_only=True):
    """The last line: what has to have come before it."""

    end: Literal[True] = True
    events: int
    secrets: int
    sha256: str


class Line(Struct, frozen=True):
    """Any line but the first, as it is read: an event, a secret or the footer."""

    position: int = 0
    stream: str = ""
    version: int = 0
    type: str = ""
    schema: int = 0
    data: Raw = Raw()
    secret: str = ""
    sealed: bytes = b""
    end: bool = False
    events: int = 0
    secrets: int = 0
    sha256: str = ""


_encode = msgspec.json.Encoder().encode


def written(line: Header | EventLine | SecretLine | Footer) -> bytes:
    """Return a line, with its end."""
    return _encode(line) + b"\n"


def event_line(recorded: Recorded) -> bytes:
    """Return the line of an event."""
    name, schema, data = codec.encode(recorded.event)
    return written(EventLine(recorded.position, recorded.stream, recorded.version, name, schema, Raw(data)))


def event_lines(page: Iterable[Recorded]) -> bytes:
    """Return the lines of several events."""
    return b"".join(map(event_line, page))


async def extent(store: Store, upto: int) -> Extent:
    """Return what a log has up to a position."""
    events, digest, after = 0, hashlib.sha256(), 0
    while after < upto and (page := await store.read_all(after, PAGE)):
        after = page[-1].position
        page = [each for each in page if each.position <= upto]
        events += len(page)
        digest.update(event_lines(page))
    return Extent(events, digest.hexdigest())


def derived_key(passphrase: bytes, salt: bytes) -> bytes:
    """Return the key that seals the secrets."""
    return hashlib.scrypt(passphrase, salt=salt, n=2**15, r=8, p=1, maxmem=64 * 1024 * 1024, dklen=32)
