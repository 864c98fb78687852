"""The file in which a simulated WeChat keeps itself.

WAL with `synchronous=NORMAL`: what a call has written outlives this process however it ends, and a power cut leaves the file whole but may
cost the newest of it. To be a judge of what reached WeChat it must outlive the gateway, not the machine, and a commit must not cost a sync
for every message on the gateway's event loop.
"""

import os
from pathlib import Path

import apsw

from wxrc_puppet.simulator.model import SimulatorError

VERSION = 2

TABLES = """
CREATE TABLE account (
    bot TEXT PRIMARY KEY, wxid TEXT NOT NULL, name TEXT NOT NULL, options TEXT NOT NULL,
    session TEXT NOT NULL DEFAULT '',       -- SHA-256 of the credentials of the client that is logged in
    since INTEGER NOT NULL, client INTEGER NOT NULL DEFAULT 0, kind TEXT NOT NULL DEFAULT '',
    ended TEXT NOT NULL DEFAULT '', taken INTEGER NOT NULL DEFAULT 0, deduplicates INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE person (
    bot TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, nr INTEGER NOT NULL, remark TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (bot, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE room (
    bot TEXT NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, fault TEXT NOT NULL DEFAULT '', nr INTEGER NOT NULL,
    PRIMARY KEY (bot, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE member (
    bot TEXT NOT NULL, room_id TEXT NOT NULL, person_id TEXT NOT NULL, PRIMARY KEY (bot, room_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, bot TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL, user_id TEXT NOT NULL, place TEXT NOT NULL, from_id TEXT NOT NULL, from_name TEXT NOT NULL,
    via TEXT NOT NULL, text TEXT NOT NULL, mentions TEXT NOT NULL, time INTEGER NOT NULL,
    msgid INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, mention TEXT NOT NULL DEFAULT 'ok',
    card TEXT NOT NULL DEFAULT '',          -- JSON, of a mini-program card
    picture TEXT NOT NULL DEFAULT ''        -- digest, of an image
) STRICT;
CREATE TABLE picture (
    digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX message_chat ON message (bot, room_id, user_id, seq);
CREATE INDEX message_via ON message (bot, via, seq);
CREATE INDEX message_msgid ON message (bot, msgid) WHERE msgid <> 0;
CREATE TABLE code (
    token TEXT PRIMARY KEY, bot TEXT NOT NULL, state TEXT NOT NULL, expires_at INTEGER NOT NULL,
    digits TEXT NOT NULL DEFAULT '', wrong INTEGER NOT NULL DEFAULT 0, nr INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX code_bot ON code (bot, nr);
"""


FROM_1 = """
ALTER TABLE person ADD COLUMN remark TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN card TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN picture TEXT NOT NULL DEFAULT '';
CREATE TABLE picture (
    digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""
"""What makes a file of format 1 one of format 2."""

IN_MEMORY = ":memory:"
"""The path of a simulated WeChat without a file."""


def open_file(path: Path | str) -> apsw.Connection:
    """Open the file of a simulated WeChat, and lay it out where it is new.

    Raises:
        SimulatorError: It was written by a newer release.
    """
    if path != IN_MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds what people wrote
    db = apsw.Connection(str(path))
    db.set_busy_timeout(2000)
    db.transaction_mode = "IMMEDIATE"
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    with db:
        found = db.pragma("user_version")
        if found == 0:
            db.execute(TABLES)
            db.pragma("user_version", VERSION)
        elif found == 1:
            db.execute(FROM_1)
            db.pragma("user_version", VERSION)
    if found > VERSION:
        db.close()
        raise SimulatorError(
            f"The simulator's file {Path(path).name} has format {found}; this release knows {VERSION}: use a newer one."
        )
    return db
