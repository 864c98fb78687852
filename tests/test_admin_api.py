"""The admin API over HTTP, on a real gateway: tokens, roles, what changes, and every error with the field at fault."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.openapi import admin_place, errors
from wxrc_core.puppet import Capabilities
from wxrc_gateway import Gateway, PuppetKind
from wxrc_service.admin_api import ROUTES, admin_mount
from wxrc_service.admin_http import BODY_LIMIT
from wxrc_store import MemoryStore

pytestmark = pytest.mark.anyio

KINDS = {"scripted": PuppetKind(lambda context: None, Capabilities())}  # type: ignore[arg-type, return-value]

SAMPLE_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class Client:
    """Somebody who calls the admin API."""

    def __init__(self, gateway: Gateway, tokens: dict[str, str]) -> None:
        self.gateway, self.tokens = gateway, tokens
        self._http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(admin_mount(gateway)), base_url="http://wxrc.example"
        )

    async def ask(
        self, method: str, path: str, body: object = None, *, role: str = "admin", **headers: str
    ) -> httpx2.Response:
        """Call it, with the token of a role; a body that is no bytes is written as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        said = {"Authorization": f"Bearer {self.tokens[role]}", "Accept-Language": "en"} | headers
        answer = await self._http.request(method, f"/admin/api{path}", content=content, headers=said)
        if method in ("GET", "POST"):
            assert [] == errors(admin_place(method, path.partition("?")[0], answer.status_code), answer.json())
        return answer

    async def do(self, path: str, body: object = None, **further: Any) -> Any:
        """Post, and return what a success answers."""
        answer = await self.ask("POST", path, body, **further)

        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def fault(self, path: str, body: object = None, **further: Any) -> tuple[int, str, str]:
        """Post, and return an error's status, kind and field."""
        answer = await self.ask("POST", path, body, **further)
        error = answer.json()["error"]

        assert error["message"]
        return answer.status_code, error["kind"], error["field"]


@asynccontextmanager
async def admin() -> AsyncIterator[Client]:
    """Run a gateway with a token for each role, a channel and a bot."""
    async with Gateway(store=MemoryStore(), puppets=KINDS) as gateway:
        tokens = {role: (await gateway.add_token(role[:3], role)).token for role in ("viewer", "operator", "admin")}  # type: ignore[arg-type]
        await gateway.add_channel("crm", callback_url="https://crm.example/")
        await gateway.add_bot("zhao", "scripted")
        yield Client(gateway, tokens)


async def who(gateway: Gateway, stream: str) -> list[str]:
    """Return who made each change of a stream."""
    return [recorded.event.by for recorded in await gateway.store.read(stream)]


async def test_everything_that_can_be_changed_of_a_channel() -> None:
    """A channel is made, granted, set, rotated, suspended, resumed, revoked and removed; the log says by which token."""
    async with admin() as client:
        made = await client.do("/channels", {"chid": "shop", "window_s": 60})
        granted = await client.do("/channels/shop/grants/zhao", {"interfaces": ["botStatus"], "on_doubt": "resend"})
        changed = await client.do(
            "/channels/shop/settings", {"requests_per_minute": 10, "callback_url": "https://s.example/"}
        )
        key = await client.do("/channels/shop/keys")
        secret = await client.do("/channels/shop/secrets")
        ended = await client.do(f"/channels/shop/keys/{key['valid'][1]}/end")
        await client.do(f"/channels/shop/secrets/{secret['valid'][1]}/end")
        suspended = await client.do("/channels/shop/suspend", {"reason": "unpaid"}, role="operator")
        resumed = await client.do("/channels/shop/resume", role="operator")
        revoked = await client.do("/channels/shop/grants/zhao/revoke")
        removed = await client.do("/channels/shop/remove")
        listed = (await client.ask("GET", "/channels", role="viewer")).json()
        by = await who(client.gateway, "channel/shop")

    assert (60, "shop") == (made["channel"]["window_s"], made["channel"]["chid"])
    assert [["botStatus"], "resend"] == [granted["grants"][0][name] for name in ("interfaces", "on_doubt")]
    assert (10, "https://s.example/", 60) == tuple(
        changed[name] for name in ("requests_per_minute", "callback_url", "window_s")
    )
    assert [key["id"]] == ended["key_ids"]
    assert ("suspended", "unpaid", "ope") == tuple(
        suspended[name] for name in ("state", "suspended_reason", "suspended_by")
    )
    assert ("active", [], "removed") == (resumed["state"], revoked["grants"], removed["state"])
    assert ["crm"] == [each["chid"] for each in listed["channels"]]
    assert ["adm"] * 8 + ["ope"] * 2 + ["adm"] * 2 == by


async def test_a_bot_is_made_and_the_state_is_shown() -> None:
    """A new bot shows in the list and in the state; who made it stands in the log."""
    async with admin() as client:
        made = await client.do("/bots", {"botcode": "li", "puppet": "scripted", "pace": "none"})
        state = (await client.ask("GET", "/status", role="viewer")).json()
        by = await who(client.gateway, "bot/li")

    assert ("li", "none", "adm") == (made["botcode"], made["pace"], made["added_by"])
    assert ["li", "zhao"] == [each["botcode"] for each in state["bots"]]
    assert (0, 0, 0) == tuple(state[name] for name in ("queued", "attempted", "in_doubt"))
    assert ["adm"] == by


async def test_tokens_are_hashed_and_end_at_once() -> None:
    """A token is shown once, the log and the list have none of it, and once ended it opens nothing."""
    async with admin() as client:
        made = await client.do("/tokens", {"name": "ci", "role": "operator"})
        client.tokens["ci"] = made["token"]
        before = await client.ask("GET", "/whoami", role="ci")
        await client.do("/tokens/ci/remove")
        after = await client.ask("GET", "/whoami", role="ci")
        listed = (await client.ask("GET", "/tokens")).text
        log = repr(await client.gateway.store.read_all(0, 1_000))
        again = await client.fault("/tokens", {"name": "ci", "role": "operator"})

    assert ("ci", "operator") == (before.json()["name"], before.json()["role"])
    assert 401 == after.status_code
    assert made["token"] not in listed + log
    assert "ci" not in listed
    assert (409, "taken", "") == again


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Authorization": "Bearer wxrc_0"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer " + "x" * 9_999},
    ],
)
async def test_without_a_valid_token_nothing_is_told(said: dict[str, str]) -> None:
    """The answer is 401, the same whatever was asked for."""
    async with admin() as client:
        http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(admin_mount(client.gateway)), base_url="http://wxrc.example"
        )
        answers = [
            await http.request(method, f"/admin/api{path}", headers=said)
            for method, path in (("GET", "/channels/crm"), ("GET", "/channels/none"), ("POST", "/channels"))
        ]

    assert {401} == {each.status_code for each in answers}
    assert {"Bearer"} == {each.headers["www-authenticate"] for each in answers}
    assert 1 == len({each.text for each in answers})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_each_route_takes_its_role(route: Any) -> None:
    """A token of a lower role gets 403 and changes nothing; without one it is 401."""
    lower = {"viewer": None, "operator": "viewer", "admin": "operator"}[route.role]
    path = route.path.format(chid="crm", botcode="zhao", id="k", name="adm")
    async with admin() as client:
        position = client.gateway.world.position
        answer = await client.ask(route.method, path, role=lower) if lower else None
        open_to_all = await client._http.request(route.method, f"/admin/api{path}")

        assert answer is None or 403 == answer.status_code
        assert 401 == open_to_all.status_code
        assert position == client.gateway.world.position


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/channels", {}, (400, "invalid_value", "chid")),
        ("/channels", b"{", (400, "invalid_value", "")),
        ("/channels", b"[]", (400, "invalid_value", "")),
        ("/channels", b"\xff", (400, "invalid_value", "")),
        ("/channels", b'{"chid":"a","x":' + b"[" * 5_000, (400, "invalid_value", "")),
        ("/channels", {"chid": "a", "windows": 1}, (400, "invalid_value", "windows")),
        ("/channels", {"chid": 5}, (400, "invalid_value", "chid")),
        ("/channels", {"chid": "a/b"}, (400, "invalid_value", "chid")),
        ("/channels", {"chid": "a", "window_s": 5}, (400, "invalid_value", "window_s")),
        ("/channels", {"chid": "a", "window_s": "60"}, (400, "invalid_value", "window_s")),
        ("/channels", {"chid": "a", "timezone": "Mars"}, (400, "invalid_value", "timezone")),
        ("/channels", {"chid": "a", "timezone": "../../etc/passwd"}, (400, "invalid_value", "timezone")),
        ("/channels", {"chid": "a", "allowed_addresses": ["10.0.0.1/8"]}, (400, "invalid_value", "allowed_addresses")),
        ("/channels", {"chid": "a", "signature_types": []}, (400, "invalid_value", "signature_types")),
        ("/channels", {"chid": "a", "signature_types": ["RSA"]}, (400, "invalid_value", "rsa_public_key")),
        ("/channels", {"chid": "a", "rsa_public_key": "-----BEGIN PRIVATE KEY-----"}, (400, "invalid_value", "rsa_public_key")),
        ("/channels", {"chid": "a", "burst": 5}, (400, "invalid_value", "burst")),
        ("/channels", {"chid": "a", "callback_url": "http://10.0.0.5/"}, (400, "invalid_value", "callback_url")),
        ("/channels", {"chid": "a", "callback_url": "a\x00"}, (400, "invalid_value", "callback_url")),
        ("/channels", {"chid": "a", "key": ""}, (400, "invalid_value", "key")),
        ("/channels", {"chid": "a", "key": "short"}, (400, "invalid_value", "key")),
        ("/channels", {"chid": "a", "key": "6f1d7a0c5b9e4e2f8a3c"}, (400, "invalid_value", "key")),
        ("/channels", {"chid": "a", "webhook_secret": SAMPLE_SECRET}, (400, "invalid_value", "webhook_secret")),
        ("/channels", {"chid": "crm"}, (409, "taken", "")),
        ("/channels/none/suspend", {}, (404, "not_found", "")),
        ("/channels/none/suspend", {"why": "x"}, (400, "invalid_value", "why")),
        ("/channels/crm/grants/none", {}, (404, "not_found", "")),
        ("/channels/crm/grants/zhao/revoke", None, (404, "not_found", "")),
        ("/channels/crm/grants/zhao", {"interfaces": ["fly"]}, (400, "invalid_value", "interfaces")),
        ("/channels/crm/grants/zhao", {"room_id": "1", "room_topic": "x"}, (400, "invalid_value", "room_id")),
        ("/channels/crm/keys/none/end", None, (404, "not_found", "")),
        ("/bots", {"botcode": "b", "puppet": "none"}, (404, "not_found", "")),
        ("/bots", {"botcode": "b", "puppet": "scripted", "options": {"a": 1}}, (400, "invalid_value", "options[...]")),
        ("/tokens", {"name": "x", "role": "root"}, (400, "invalid_value", "role")),
        ("/tokens/none/remove", None, (404, "not_found", "")),
        ("/nowhere", None, (404, "not_found", "")),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(path: str, body: object, expected: tuple[int, str, str]) -> None:
    """Each fault is an error object with kind, field and sentence; nothing is changed by any of them."""
    async with admin() as client:
        position = client.gateway.world.position

        assert expected == await client.fault(path, body)
        assert position == client.gateway.world.position


async def test_a_key_that_is_refused_is_not_repeated() -> None:
    """Neither the sentence nor the log has the KEY that somebody tried to set."""
    async with admin() as client:
        answer = await client.ask("POST", "/channels", {"chid": "a", "key": "my secret pass"})

    assert "my secret pass" not in answer.text


async def test_limits_methods_and_languages() -> None:
    """A body that is too large gets 413, a wrong method 405; sentences come in the language that is asked for."""
    async with admin() as client:
        large = await client.fault("/channels", b" " * (BODY_LIMIT + 1))
        method = await client.ask("DELETE", "/channels")
        chinese = await client.ask("GET", "/channels/none", **{"Accept-Language": "zh-CN"})
        english = await client.ask("GET", "/channels/none")

    assert (413, "too_large", "") == large
    assert (405, "method_not_allowed") == (method.status_code, method.json()["error"]["kind"])
    assert "没有渠道 'none'" in chinese.json()["error"]["message"]
    assert "there is no channel 'none'" in english.json()["error"]["message"]
    assert "no-store" == english.headers["cache-control"]


async def test_while_the_store_is_away_it_says_so() -> None:
    """A gateway that cannot take anything answers 503 with `Retry-After`."""
    async with admin() as client:
        client.gateway.unavailable = lambda: "the gateway is shutting down; try again shortly"  # type: ignore[method-assign]
        answer = await client.ask("GET", "/channels")

    assert (503, "1", "unavailable") == (
        answer.status_code,
        answer.headers["retry-after"],
        answer.json()["error"]["kind"],
    )


async def test_a_bot_is_removed_for_ever() -> None:
    """It takes an admin; the answer tells how the bot is; a second time changes nothing; a grant tells its pace, which has bounds."""
    async with admin() as client:
        granted = await client.do("/channels/crm/grants/zhao", {"pace": 6})
        wrong = await client.fault("/channels/crm/grants/zhao", {"pace": 61})
        forbidden = await client.fault("/bots/zhao/remove", role="operator")
        removed = await client.do("/bots/zhao/remove")
        again = await client.do("/bots/zhao/remove")
        unknown = await client.fault("/bots/none/remove")
        refused = await client.fault("/channels/crm/grants/zhao", {})
        taken = await client.fault("/bots", {"botcode": "zhao", "puppet": "scripted"})
        listed = (await client.ask("GET", "/bots")).json()["bots"]

    assert 6 == granted["grants"][0]["pace"]
    assert (400, "invalid_value", "pace") == wrong
    assert (403, "forbidden", "") == forbidden
    assert ("removed", []) == (removed["state"], removed["channels"])
    assert removed == again
    assert (404, "not_found", "") == unknown
    assert (409, "refused", "") == refused
    assert (409, "taken", "") == taken
    assert [] == listed
