"""What is checked and made when a JetStream store is opened: the servers, the streams, the identity of the log, the key of the vault."""

import asyncio
import http.client
import json
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wxrc_core.codec import known
from wxrc_store._jetstream_answers import NO_PEERS, NO_STREAM, code_of
from wxrc_store._jetstream_link import PAUSE, Link, gathered
from wxrc_store._jetstream_messages import Names
from wxrc_store._jetstream_settings import Settings
from wxrc_store._jetstream_url import UNCHECKED, Place
from wxrc_store._jetstream_works import Works
from wxrc_store._rows import newer_events
from wxrc_store._seal import KEY_CHECK, Sealer, unlock
from wxrc_store._seen import Seen
from wxrc_store.port import StoreError

OLDEST = (2, 12)
"""The first release of NATS with atomic batches."""

LOOK_S = 3.0
"""How long a monitoring endpoint may take to answer (seconds)."""

LOCK_S = 10.0
"""After so long, one who began to make a key and did not finish is taken for dead (seconds)."""

SET_UP = (
    "subjects",
    "retention",
    "storage",
    "discard",
    "max_msgs_per_subject",
    "discard_new_per_subject",
    "allow_atomic",
    "deny_delete",
)
NO_LIMIT = ("max_msgs", "max_bytes", "max_age")
"""Settings of a stream of events that decide what it promises; whoever changed them by hand is told."""


def check_version(place: Place, server: str, version: tuple[int, int]) -> None:
    """Refuse a server that is too old.

    Raises:
        StoreError: It is.
    """
    if version < OLDEST:
        raise StoreError(
            f"The NATS server {server} of {place.shown} is {version[0]}.{version[1]}; {OLDEST[0]}.{OLDEST[1]} or later is needed,"
            " since it is the first with atomic batches."
        )


def check_servers(place: Place) -> None:
    """Ask the servers' monitoring endpoints whether they are new enough and wait for their disks. It blocks.

    Raises:
        StoreError: One does not, or none can be asked.
    """
    if not place.sync_checked:
        return
    with ThreadPoolExecutor(len(place.monitors)) as pool:
        answers = list(pool.map(_varz, place.monitors))
    for (host, port), answer in zip(place.monitors, answers, strict=True):
        if answer is None:
            continue
        server = f"{host}:{port}"
        major, minor, *_ = (int(part) for part in str(answer.get("version", "0.0")).split("-")[0].split("."))
        check_version(place, server, (major, minor))
        if not (answer.get("jetstream") or {}).get("config", {}).get("sync_always"):
            raise StoreError(
                f"The NATS server whose monitoring endpoint is {server} does not wait for its disk: set sync_interval: always under"
                f" jetstream in its configuration. With ?sync={UNCHECKED} in the store's URL it is used as it is, and requests that were"
                " acknowledged can be lost when servers lose power."
            )
    if not any(answers):
        asked = ", ".join(f"{host}:{port}" for host, port in place.monitors)
        raise StoreError(
            f"Whether the servers of {place.shown} wait for their disks cannot be seen: no monitoring endpoint answers at {asked}. Set"
            " http_port: 8222 in the servers' configuration, or name the port with ?monitor=PORT in the store's URL. If you know that"
            f" sync_interval is always, say so with ?sync={UNCHECKED}."
        )


def _varz(endpoint: tuple[str, int]) -> dict[str, Any] | None:
    connection = http.client.HTTPConnection(*endpoint, timeout=LOOK_S)
    try:
        connection.request("GET", "/varz")
        found = json.loads(connection.getresponse().read(1 << 20))
        return found if isinstance(found, dict) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


async def make_streams(link: Link, names: Names, replicas: int, seen: Seen) -> None:
    """Make the streams that a log begins with, where they are not there.

    Raises:
        StoreError: They cannot be made, are set up otherwise, or should have been there.
    """

    async def make(name: str) -> None:
        wanted = names.configurations(replicas)[name]
        answer = await link.ask(f"STREAM.INFO.{name}")
        if code_of(answer) == NO_STREAM:
            if seen.read() is not None:
                raise seen.lost("is gone")
            answer = await link.ask(f"STREAM.CREATE.{name}", wanted)
            if code_of(answer) in NO_PEERS:
                raise StoreError(
                    f"The cluster {link.name} has fewer than {replicas} servers that can keep a log, or too little room on them."
                    " For a single server, say ?replicas=1 in the store's URL; what is kept there is lost with it."
                )
        if code_of(answer):
            raise link.error(answer)
        _check_stream(link, name, wanted, answer["config"])

    await gathered(make, (names.side, names.events))


def _check_stream(link: Link, name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    wrong = [key for key in SET_UP if key in wanted and found.get(key) != wanted[key]]
    wrong += [key for key in NO_LIMIT if found.get(key, -1) > 0]
    if wrong:
        raise StoreError(
            f"The stream {name} on {link.name} is not set up as it must be: {', '.join(wrong)}. Was it changed by hand?"
        )


async def settle(works: Works, settings: Settings, shards: int, seen: Seen) -> tuple[int, int]:
    """Return the number of shards and the identity of the log; see that this release knows all events that it can have.

    Raises:
        NewerEvents: It does not.
        StoreError: It is not the log that was there before.
    """
    log = await settings.get("log", secrets.randbits(48) | 1)
    before = seen.read()
    if before is not None and before[0] != log:
        raise seen.lost("is not the one that was there before")
    for kind, schema in await works.names_of("type", 2):
        if int(schema) > known.get(kind, 0):
            raise newer_events(kind, int(schema), await works.type_release(kind, schema))
    return await settings.get("shards", shards), log


async def open_vault(link: Link, names: Names, works: Works, key: bytes | Path) -> Sealer:
    """Unlock the vault; of several processes that come to a new one at once, one makes the key.

    Raises:
        StoreError: The key is missing, damaged, or another vault's.
    """
    lock = names.aside("lock")
    waited = 0.0
    while (check := await works.kept(KEY_CHECK)) is None:
        if await link.swap(names.side, lock, secrets.token_hex(8).encode(), 0) is None:
            await asyncio.sleep(PAUSE)
            waited += PAUSE
            if waited > LOCK_S:
                await link.purge(names.side, lock)
            continue
        try:
            if await works.kept(KEY_CHECK) is None:
                _, settled = await asyncio.to_thread(unlock, key, None, link.name)
                await works.keep(KEY_CHECK, settled)
        finally:
            await link.purge(names.side, lock)
    sealer, _ = await asyncio.to_thread(unlock, key, check, link.name)
    return sealer
