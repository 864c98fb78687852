"""Callbacks and the export over the admin API: the same calls as those of `wxrc callbacks` and `wxrc export`, with roles."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from tests.test_admin_api import Client, admin
from wxrc_core import delivery
from wxrc_core.delivery import DeliveryDue, DeliveryGivenUp, DeliveryPostponed
from wxrc_core.errors import Refusal
from wxrc_core.log import Entry
from wxrc_gateway.restore import import_log
from wxrc_service import admin_callbacks
from wxrc_service.admin_api import admin_mount
from wxrc_service.admin_callbacks import CALLBACK_ROUTES
from wxrc_service.exporting import exported
from wxrc_store import MemoryStore

pytestmark = pytest.mark.anyio

AT = 1_790_000_000_000
PASSPHRASE = "correct horse battery"


async def letters(client: Client, count: int = 3) -> list[str]:
    """Write dead letters of channel `crm`; return their ids when the gateway knows of them."""
    ids = []
    for number in range(1, count + 1):
        due = DeliveryDue(at=AT + number, chid="crm", botcode="zhao", kind="sendStatus", body='{"text":"秘密"}')
        failed = DeliveryPostponed(at=AT + 10, attempt=1, reason="answered 502", not_before=AT + 20)
        dead = DeliveryGivenUp(at=AT + 30, attempt=2, reason="answered 503")
        stream = delivery.stream_name(number, "crm")
        await client.gateway.store.append([Entry(stream, 0, [due, failed, dead])])
        ids.append(delivery.webhook_id(stream))
    with anyio.fail_after(30):
        while await client.gateway.store.read_all(client.gateway.world.position, 1):
            await anyio.sleep(0.01)
    return ids


async def look(client: Client, path: str) -> Any:
    """Return what a look at something answers."""
    answer = await client.ask("GET", path, role="viewer")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def due(client: Client) -> list[str]:
    """Return the ids of the callbacks that wait."""
    return [each["id"] for each in (await look(client, "/callbacks"))["waiting"]]


async def test_dead_letters_are_listed_looked_at_and_replayed() -> None:
    """One by its id, a range, all; the log says who asked for it, and no text is shown."""
    async with admin() as client:
        first, second, third = await letters(client)
        dead = (await look(client, f"/callbacks/dead?channel=crm&since={AT + 2}"))["dead"]
        one = await look(client, f"/callbacks/{first}")
        by_id = await client.do("/callbacks/replay", {"ids": [first]}, role="operator")
        waiting = await due(client)
        by_range = await client.do("/callbacks/replay", {"from_seq": 2, "to_seq": 2}, role="operator")
        everything = await client.do("/callbacks/replay", {"all": True}, role="operator")
        again = await client.do("/callbacks/replay", {"all": True}, role="operator")
        everybody = await due(client)
        replayed = await look(client, f"/callbacks/{first}")

    assert [second, third] == [each["id"] for each in dead]
    assert ("dead", 2, "answered 503") == tuple(one["callback"][name] for name in ("state", "attempts", "reason"))
    assert [("delivery.due", 0), ("delivery.postponed", 1), ("delivery.given_up", 2)] == [
        (step["event"], step["attempt"]) for step in one["steps"]
    ]
    assert "秘密" not in json.dumps([dead, one], ensure_ascii=False)
    assert [1, 1, 1, 0] == [each["replayed"] for each in (by_id, by_range, everything, again)]
    assert ([first], [first, second, third]) == (waiting, everybody)
    assert ("due", "ope") == (replayed["callback"]["state"], replayed["steps"][3]["by"])


async def test_what_waits_is_shown_and_tried_again() -> None:
    """The state of each channel's URL, what waits, and having it tried at once."""
    async with admin() as client:
        await client.gateway.add_channel("shop")
        [first] = await letters(client, 1)
        await client.gateway.callbacks.replay_ids([first])
        seen = await look(client, "/callbacks?bot=zhao")
        shop = await look(client, "/callbacks?channel=shop")
        retried = await client.do("/channels/crm/callbacks/retry", role="operator")
        no_url = await client.fault("/channels/shop/callbacks/retry", role="operator")
        by = [each.event.by for each in await client.gateway.store.read("channel/crm")]

    assert ["crm", "shop"] == [each["chid"] for each in seen["channels"]]
    assert [first] == [each["id"] for each in seen["waiting"]]
    assert ([("shop", "none")], []) == ([(each["chid"], each["state"]) for each in shop["channels"]], shop["waiting"])
    assert ({"chid": "crm", "waiting": 1}, "ope") == (retried, by[-1])
    assert (409, "refused", "") == no_url


WRONG: list[tuple[str, Any, tuple[int, str, str]]] = [
    ("/callbacks/replay", {}, (400, "invalid_value", "")),
    ("/callbacks/replay", {"delivered": True}, (400, "invalid_value", "")),
    ("/callbacks/replay", {"ids": ["evt_1_crm"], "all": True}, (400, "invalid_value", "")),
    ("/callbacks/replay", {"ids": "evt_1_crm"}, (400, "invalid_value", "ids")),
    ("/callbacks/replay", {"ids": ["none"]}, (404, "not_found", "")),
    ("/callbacks/replay", {"ids": ["\x00\n"]}, (400, "invalid_value", "ids")),
    ("/callbacks/replay", {"since": -1}, (400, "invalid_value", "since")),
    ("/callbacks/replay", {"chid": "crm"}, (400, "invalid_value", "chid")),
    ("/callbacks/replay", {"channel": "none"}, (404, "not_found", "")),
    ("/channels/none/callbacks/retry", None, (404, "not_found", "")),
    ("/export", {"since": -1}, (400, "invalid_value", "since")),
    ("/export", {"passphrase": "short"}, (409, "refused", "")),
    ("/export", {"passphrase": "\ud800" * 12}, (400, "invalid_value", "")),
]


async def test_what_is_wrong_is_named() -> None:
    """A wrong body is refused by name, and nothing is done."""
    async with admin() as client:
        await letters(client, 1)
        position = client.gateway.world.position
        found = [await client.fault(path, body) for path, body, _ in WRONG]
        assert (position, []) == (client.gateway.world.position, await due(client))

    assert [expected for *_, expected in WRONG] == found


async def test_a_wrong_query() -> None:
    """A field that is unknown or wrong is named."""
    queries = ("since=x", "since=-1", "what=1", "channel=crm&chid=crm")
    async with admin() as client:
        paths = [f"/callbacks{which}?{query}" for which in ("", "/dead") for query in queries]
        answers = [await client.ask("GET", path, role="viewer") for path in paths]

    assert {400} == {answer.status_code for answer in answers}


async def test_each_route_takes_its_role() -> None:
    """A token of a lower role gets 403 and changes nothing; the export takes an admin, since it has the texts of messages."""
    lower = {"operator": "viewer", "admin": "operator"}
    async with admin() as client:
        position = client.gateway.world.position
        for route in CALLBACK_ROUTES:
            path = route.path.format(chid="crm", id="evt_1_crm")
            unknown = await client._http.request(route.method, f"/admin/api{path}")
            assert 401 == unknown.status_code, path
            if role := lower.get(route.role):
                assert 403 == (await client.ask(route.method, path, role=role)).status_code, path
        assert position == client.gateway.world.position

    assert "admin" == next(route.role for route in CALLBACK_ROUTES if route.path == "/export")


# -- the export -----------------------------------------------------------------------------------------------------------------


async def export(client: Client, body: object = None) -> bytes:
    """Return what an export gives out."""
    said = {"Authorization": f"Bearer {client.tokens['admin']}"}
    answer = await client._http.post("/admin/api/export", content=json.dumps(body or {}), headers=said)

    assert (200, "application/x-ndjson") == (answer.status_code, answer.headers["content-type"])
    assert "content-length" not in answer.headers
    return answer.content


async def imported(file: bytes, passphrase: bytes | None = None) -> MemoryStore:
    """Return a store into which a file was imported."""
    pieces = iter([file])

    async def read() -> bytes:
        return next(pieces, b"")

    store = MemoryStore()
    await store.__aenter__()
    await import_log(store, store.vault, read, passphrase=passphrase)
    return store


async def test_an_export_is_what_the_command_writes() -> None:
    """The same lines, but for the time; it can be imported, with the secrets where a passphrase seals them."""
    async with admin() as client:
        await letters(client)
        store, vault = client.gateway.store, client.gateway.vault
        with_secrets = await export(client, {"passphrase": PASSPHRASE})
        plain = await export(client)
        later = await export(client, {"since": 4})
        command = b"".join([line async for line in exported(store, vault)])
        log = await store.read_all(0, 1_000)
        names = await vault.names()
        key = await vault.get(next(name for name in names if name.startswith("channel/crm/key/")))

    assert plain.splitlines()[1:-1] == command.splitlines()[1:-1]
    assert 4 == json.loads(later.splitlines()[0])["after"]
    assert key is not None
    assert key not in with_secrets
    copy, bare = await imported(with_secrets, PASSPHRASE.encode()), await imported(plain)
    assert log == await copy.read_all(0, 1_000) == await bare.read_all(0, 1_000)
    assert (names, []) == (await copy.vault.names(), await bare.vault.names())


async def raw(client: Client, send: Any, *, gone: anyio.Event | None = None) -> None:
    """Ask for an export as a server does."""
    requests = iter([{"type": "http.request", "body": b"{}", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (request := next(requests, None)) is not None:
            return request
        await (gone or anyio.Event()).wait()
        return {"type": "http.disconnect"}

    headers = [(b"authorization", f"Bearer {client.tokens['admin']}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/admin/api/export", "headers": headers, "query_string": b""}
    await admin_mount(client.gateway)({**scope, "root_path": "", "http_version": "1.1"}, receive, send)


def endless(made: list[int], fails_after: int | None = None) -> Any:
    """Return an export that never ends, or fails; `made` counts its lines."""

    async def lines(*_: object, **__: object) -> AsyncGenerator[bytes, None]:
        while True:
            made.append(len(made))
            if len(made) == fails_after:
                raise Refusal("the log was pruned")
            yield b"{}\n"

    return lines


async def test_a_client_that_goes_ends_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are made as the client takes them, and no more of them when it is gone."""
    made: list[int] = []
    monkeypatch.setattr(admin_callbacks, "exported", endless(made))
    gone, sent = anyio.Event(), []

    async def send(piece: dict[str, Any]) -> None:
        sent.append(piece)
        if len(sent) == 20:
            gone.set()
            await anyio.sleep_forever()  # it takes nothing more

    async with admin() as client:
        with anyio.fail_after(30):
            await raw(client, send, gone=gone)

    assert (20, 19) == (len(sent), len(made))


async def test_an_export_that_fails_is_seen_to_be_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails on the way leaves the answer without an end, so that the server breaks the connection off."""
    made: list[int] = []
    monkeypatch.setattr(admin_callbacks, "exported", endless(made, fails_after=5))
    sent: list[dict[str, Any]] = []

    async def send(piece: dict[str, Any]) -> None:
        sent.append(piece)

    async with admin() as client:
        await raw(client, send)

    assert ["http.response.start", *["http.response.body"] * 4] == [piece["type"] for piece in sent]
    assert all(piece["more_body"] for piece in sent[1:])
