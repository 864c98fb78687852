"""What the JetStream store refuses, each with a sentence: servers, URLs, streams, logs that went back, events of newer releases."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import nats
import pytest

from tests.live import free_port
from tests.nats import DEBIAN, NatsCluster
from wxrc_core.log import Appended, Entry, Owner
from wxrc_core.testing.store_contract import LIMIT, Store, queued
from wxrc_store import NewerEvents, StoreError
from wxrc_store._jetstream_url import parse
from wxrc_store.jetstream import JetStreamStore

pytestmark = pytest.mark.anyio

KEY = b"k" * 32


@pytest.fixture
def anyio_backend() -> str:
    """What is refused is refused before any loop matters."""
    return "asyncio"


def handle(url: str, **settings: object) -> JetStreamStore:
    """Return a handle on the log."""
    return JetStreamStore(url, **({"vault_key": KEY, "limit": 5} | settings))  # type: ignore[arg-type]


async def refused(store: Store, sentence: str) -> str:
    """Check that a store cannot be opened, and why; return the whole sentence."""
    with anyio.fail_after(LIMIT):
        with pytest.raises(StoreError, match=sentence) as raised:
            await store.__aenter__()
    return str(raised.value)


async def ask(cluster: NatsCluster, what: str, body: object = None) -> dict[str, object]:
    """Call the JetStream API."""
    client = await nats.connect(f"nats://127.0.0.1:{cluster.ports[0]}")
    answer: dict[str, object] = json.loads(
        (await client.request(f"$JS.API.{what}", json.dumps(body).encode() if body else b"", 10)).data
    )
    await client.close()
    assert "error" not in answer
    return answer


# -- servers --------------------------------------------------------------------------------------------------------------------


async def test_servers_that_do_not_wait_for_their_disks() -> None:
    """They are refused, with the setting that is missing; whoever says so uses them all the same, on one server too."""
    with NatsCluster(1, sync="") as cluster:
        sentence = await refused(handle(cluster.url("log")), "does not wait for its disk: set sync_interval: always")
        async with handle(cluster.url("log", sync="unchecked")) as store:
            outcomes = await store.append([Entry("s", 0, [queued()])])
        await refused(handle(cluster.url("other", sync="unchecked", replicas=3)), "fewer than 3 servers")

    assert "?sync=unchecked" in sentence
    assert [Appended(1)] == outcomes


async def test_servers_that_cannot_be_asked(nats_cluster: NatsCluster) -> None:
    """Where no monitoring endpoint answers it is not known whether they wait; the sentence says what can be done."""
    sentence = await refused(handle(nats_cluster.url(monitor=free_port())), "no monitoring endpoint answers at 127")

    assert "http_port: 8222" in sentence
    assert "?monitor=PORT" in sentence


@pytest.mark.slow
async def test_a_server_that_is_too_old(tmp_path: Path) -> None:
    """A release without atomic batches is refused, asked or not: here that of Debian 12."""
    assert Path(DEBIAN).exists(), "This test needs an old NATS server; run: apt-get install nats-server"
    with NatsCluster(1, sync="", binary=DEBIAN) as cluster:
        for options in ({}, {"sync": "unchecked"}):
            await refused(handle(cluster.url("log", **options)), r"is 2\.9; 2\.12 or later is needed")


async def test_no_server() -> None:
    """Servers that cannot be reached are named; no user and no password is."""
    store = handle("nats://wxrc:hunter2@127.0.0.1:1,127.0.0.1:2/log", limit=0.5)
    sentence = await refused(store, r"The JetStream store 127\.0\.0\.1:1,127\.0\.0\.1:2/log cannot be reached: .*")

    assert "hunter2" not in sentence


async def test_a_server_that_says_nothing() -> None:
    """One that takes the connection and stays silent is given up within the limit."""
    with silent_server() as port:
        await refused(handle(f"nats://127.0.0.1:{port}/log", limit=0.5), "cannot be reached")


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen, take connections, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# -- URLs -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nats://u:hunter2@", "must be written nats://user:password@host:port,host:port/name"),
        ("nats://u:hunter2@h:0/log", "must be written"),
        ("nats://u:hunter2@h:70000", "must be written"),
        ("nats://u:hunter2@h,,i", "must be written"),
        ("nats://u:hunter2@h/a.b", "the name has up to 40 letters"),
        ("nats://u:hunter2@h/log?nonsense=1", "the parameters that there are: ca, creds, monitor, replicas, sync"),
        ("nats://u:hunter2@h/log?replicas=2", "replicas is 1 or 3 or 5"),
        ("nats://u:hunter2@h/log?replicas=3,3", "replicas is 1 or 3 or 5"),
        ("nats://u:hunter2@h/log?monitor=x", "monitor is a port"),
        ("nats://u:hunter2@h,i,j/log?monitor=1,2", "one port for all servers, or one for each"),
        ("nats://u:hunter2@h/log?sync=never", "sync is always or unchecked"),
        ("nats://u:hunter2@h/log?creds=/nowhere", "file /nowhere that the store's URL names as creds"),
        ("hunter2", "must be written"),
    ],
)
def test_a_url_that_is_none(url: str, sentence: str) -> None:
    """A URL that cannot be used is refused without being shown: it may have a password in it."""
    with pytest.raises(StoreError, match=sentence) as raised:
        JetStreamStore(url, vault_key=KEY)

    assert "hunter2" not in str(raised.value)


def test_what_a_url_says() -> None:
    """Hosts, ports and names as they stand there, and what is left out."""
    place = parse("nats://us%40er:p%3A1@a,[::1]:5222,c:6222/orders?monitor=8222")
    short = parse("nats://token@a")

    assert (("a", 4222), ("::1", 5222), ("c", 6222)) == place.hosts
    assert (("a", 8222), ("::1", 8222), ("c", 8222)) == place.monitors
    assert {"user": "us@er", "password": "p:1"} == place.login
    assert ("orders", 3, True) == (place.name, place.replicas, place.sync_checked)
    assert "a:4222,[::1]:5222,c:6222/orders" == place.shown
    assert ["nats://a:4222", "nats://[::1]:5222", "nats://c:6222"] == place.servers
    assert ({"token": "token"}, "wxrc") == (short.login, short.name)


def test_a_key_of_the_wrong_length() -> None:
    """It is refused before anything is made."""
    with pytest.raises(ValueError, match="32 bytes"):
        JetStreamStore("nats://h", vault_key=b"short")


# -- streams and logs -----------------------------------------------------------------------------------------------------------


async def test_a_stream_that_was_changed(nats_cluster: NatsCluster) -> None:
    """A stream that lets events go after a while is refused: somebody set it up so by hand."""
    log = nats_cluster.fresh()
    async with handle(nats_cluster.url(log)):
        pass
    found = await ask(nats_cluster, f"STREAM.INFO.{log}_events")
    await ask(nats_cluster, f"STREAM.UPDATE.{log}_events", found["config"] | {"max_age": 10**15})  # type: ignore[operator]

    await refused(handle(nats_cluster.url(log)), "is not set up as it must be: max_age")


async def test_another_key(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """The key of another vault is refused, and so is none where there was one; of two at once one makes the key."""
    url, path = nats_cluster.url(), tmp_path / "vault.key"

    async def put(name: str) -> None:
        async with handle(url, vault_key=path) as store:
            await store.vault.put(name, b"x")

    async with anyio.create_task_group() as tasks:
        for name in ("one", "two"):
            tasks.start_soon(put, name)
    async with handle(url, vault_key=path) as store:
        names = await store.vault.names()
    await refused(handle(url), "does not open with this key")
    path.unlink()
    await refused(handle(url, vault_key=path), "is missing; put back")

    assert ["one", "two"] == names


async def test_events_of_a_newer_release(nats_cluster: NatsCluster) -> None:
    """A log that may have events which this release does not know is refused, naming the release that wrote them."""
    url = nats_cluster.url()
    async with handle(url) as store:
        await store._link.run(store._link.put(store._names.aside("type", "bot.danced", "3"), b"9.9"))
    with pytest.raises(NewerEvents, match=r"bot\.danced in version 3\. Use release 9\.9 or a later one"):
        await handle(url).__aenter__()


async def test_a_log_that_is_gone(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """Streams that were deleted, or made anew, are noticed: by a store that runs and by one that is started."""
    seen, log = tmp_path / "seen", nats_cluster.fresh()
    url = nats_cluster.url(log)
    async with handle(url, seen=seen) as store:
        await store.append([Entry("s", 0, [queued()])])
        for stream in ("events", "side"):
            await ask(nats_cluster, f"STREAM.DELETE.{log}_{stream}")
        await refused(handle(url, seen=seen), f"is gone: .* remove {seen} and start again")
        async with handle(url) as other:  # somebody begins anew
            await other.append([Entry("other", 0, [queued()])])
        with anyio.fail_after(LIMIT):
            while "is not the one that was there before" not in await failure(store):
                await anyio.sleep(0.01)
        with pytest.raises(StoreError, match="is not the one that was there before"):
            await store.append([Entry("s", 1, [queued()])])
    await refused(handle(url, seen=seen), "is not the one that was there before")


async def failure(store: Store) -> str:
    """Return what a probe says; empty = all is well."""
    try:
        await store.probe()
    except StoreError as error:
        return str(error)
    return ""


async def test_a_log_that_went_back(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """A log that is shorter than it was, or has another event where the newest one stood, is refused at the next start."""
    seen, url = tmp_path / "seen", nats_cluster.url()
    async with handle(url, seen=seen) as store:
        await store.append([Entry("s", 0, [queued(), queued()])])
    said = json.loads(seen.read_text())
    for changed, sentence in (
        ({"position": 9}, "has gone back from position 9 to 2"),
        ({"digest": "0"}, "has another event at position 2"),
    ):
        seen.write_text(json.dumps(said | changed))
        await refused(handle(url, seen=seen), sentence)
    seen.unlink()
    async with handle(url, seen=seen) as store:  # it is meant
        await store.append([Entry("s", 2, [queued()])])


async def test_who_was_away_for_long(nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that has not renewed for some lifetimes is shown as dead to a process that has only just come: a hint, no more."""
    url = nats_cluster.url()
    async with handle(url, lifetime=60.0) as one, handle(url, lifetime=60.0) as two:
        member = await one.join("one")
        await one.acquire(member, [1], 1)
        now = (await two.owners())[1]
        monkeypatch.setattr("wxrc_store._jetstream_members.AWAY", 0.0)
        later = (await two.owners())[1]
        taken = await two.acquire(await two.join("two"), [1], 1)

    assert Owner(1, member.id, True) == now
    assert Owner(1, member.id, False) == later
    assert {} == taken
