"""Channels on a real gateway: rotation with both sides in use, suspension, removal, weak secrets, wrong arguments; on both event loops."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.receiver import Answer, Receiver
from wxrc_core import channel, delivery
from wxrc_core.errors import InvalidValue, NotFound, Refusal, WxrcError
from wxrc_core.puppet import Capabilities
from wxrc_gateway import Gateway, PuppetKind, admin
from wxrc_http import Api
from wxrc_http.testing import a_head, dumps, signed
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_service.puppets import simulator_kind
from wxrc_store import MemoryStore
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

KINDS = {"scripted": PuppetKind(lambda context: None, Capabilities())}  # type: ignore[arg-type, return-value]


async def code(gateway: Gateway, key: str, chid: str = "crm") -> str:
    """Ask for the bot's status, signed with this KEY; return the answer's code."""
    head = a_head(chid=chid, botcode="demo", txtime=str(gateway.clock()))
    raw = dumps({"reqHead": head, "reqBody": {}}).encode()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(Api(gateway)), base_url="http://wxrc.example") as http:
        answer = await http.post(
            "/api/botStatus", content=raw, headers=signed(raw, key) | {"Content-Type": "application/json"}
        )
    return str(answer.json()["resBody"]["rtCode"])


async def until(there: Callable[[], object]) -> None:
    """Wait until this is so."""
    with anyio.fail_after(20):
        while not there():
            await anyio.sleep(0.01)


async def set_up(gateway: Gateway) -> str:
    """Make bot `demo` and channel `crm`, which may use it; return its KEY."""
    await gateway.add_bot("demo", "scripted")
    made = await gateway.add_channel("crm")
    await gateway.grant_bot("crm", "demo")
    return made.key


async def test_a_key_is_rotated_without_a_gap() -> None:
    """Old and new KEY are valid together; the one that was ended is refused and gone from the vault, also when it is ended again."""
    async with Gateway(store=MemoryStore(), puppets=KINDS) as gateway:
        old = await set_up(gateway)
        [old_id] = gateway.channel("crm").key_ids  # type: ignore[union-attr]
        new = await gateway.rotate_key("crm", by="li")
        both = [await code(gateway, old), await code(gateway, new.secret)]
        await gateway.end_key("crm", old_id)
        await gateway.end_key("crm", old_id)
        after = [await code(gateway, old), await code(gateway, new.secret)]
        kept = await gateway.vault.get(channel.key_name("crm", old_id))

    assert ["0", "0"] == both
    assert ["13", "0"] == after
    assert (new.id, old_id) == new.valid
    assert kept is None
    assert new.secret not in repr(new)


async def test_callbacks_during_a_rotation(tmp_path: Path) -> None:
    """While secrets are rotated callbacks carry both signatures, and their MD5 signature is that of the old KEY until that is ended."""
    with SimulatedWeChat(tmp_path / "simulator.db") as world, Receiver() as receiver:
        store = SqliteStore(tmp_path / "wxrc.db")
        async with Gateway(store=store, puppets={"simulator": simulator_kind(world)}) as gateway:
            await gateway.add_bot("demo", "simulator", options={"startup_ms": "0"})
            made = await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            receiver.key, receiver.secrets = made.key, [made.webhook_secret]
            key, secret = await gateway.rotate_key("crm"), await gateway.rotate_secret("crm")
            await gateway.login("demo")
            await receiver.arrived(1)
            await gateway.end_key("crm", key.valid[1])
            await gateway.end_secret("crm", secret.valid[1])
            receiver.key, receiver.secrets = key.secret, [secret.secret]
            await gateway.stop("demo")
            await until(lambda: len(receiver.received) >= 2)
            during, after = receiver.received[0], receiver.received[-1]

    assert during.verified
    assert 2 == len(during.headers["webhook-signature"].split())
    assert after.verified
    assert 1 == len(after.headers["webhook-signature"].split())


async def test_a_channel_is_suspended_and_resumed_from_another_process(tmp_path: Path) -> None:
    """What another process changes on the same file holds as soon as this gateway has read it; who did it stands in the log."""
    async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=KINDS) as gateway:
        key = await set_up(gateway)
        async with SqliteStore(tmp_path / "wxrc.db") as other:
            await admin.suspend(other, "crm", at=1, by="cli:li", reason="unpaid")
            await until(lambda: gateway.channel("crm").suspended is not None)  # type: ignore[union-attr]
            refused = await code(gateway, key)
            await admin.resume(other, "crm", at=2, by="cli:li")
            await until(lambda: gateway.channel("crm").suspended is None)  # type: ignore[union-attr]
            taken = await code(gateway, key)
            events = [recorded.event for recorded in await other.read(channel.stream_name("crm"))]

    assert ("21", "0") == (refused, taken)
    assert ["application", "application", "cli:li", "cli:li"] == [event.by for event in events]


async def test_a_removed_channel_is_as_if_unknown(tmp_path: Path) -> None:
    """Its requests get 13, its callbacks end as cancelled, its secrets are gone, its name cannot be used again."""
    with SimulatedWeChat(tmp_path / "simulator.db") as world, Receiver() as receiver:
        receiver.default = Answer(status=500)
        async with Gateway(store=MemoryStore(), puppets={"simulator": simulator_kind(world)}) as gateway:
            await gateway.add_bot("demo", "simulator", options={"startup_ms": "0"})
            made = await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            await gateway.login("demo")
            await until(lambda: receiver.received)
            [key_id] = gateway.channel("crm").key_ids  # type: ignore[union-attr]
            await gateway.remove_channel("crm")
            await gateway.remove_channel("crm")
            await until(lambda: not gateway.world.deliveries)
            answer = await code(gateway, made.key)
            kept = await gateway.vault.get(channel.key_name("crm", key_id))
            log = await gateway.store.read_all(0, 1_000)
            with pytest.raises(Refusal, match="choose another chid"):
                await gateway.add_channel("crm")

    ends = {type(each.event) for each in log if each.stream.startswith("delivery/")}
    assert "13" == answer
    assert None is kept
    assert delivery.DeliveryCancelled in ends
    assert not {delivery.DeliveryDelivered, delivery.DeliveryGivenUp} & ends


@pytest.mark.parametrize(
    "weak", ["6f1d7a0c5b9e4e2f8a3c", "short", "", "aaaaaaaaaaaaaaaaaaaaaaaa", "change-me-change-me-9"]
)
@pytest.mark.wire("attack.sample_secrets")
async def test_a_gateway_does_not_serve_a_weak_key(tmp_path: Path, weak: str) -> None:
    """With an empty, short or sample KEY in the vault a gateway refuses to start; one that only looks starts, so that it can be rotated."""
    path = tmp_path / "wxrc.db"
    async with Gateway(store=SqliteStore(path), puppets=KINDS) as gateway:
        await set_up(gateway)
        [key_id] = gateway.channel("crm").key_ids  # type: ignore[union-attr]
        await gateway.vault.put(channel.key_name("crm", key_id), weak.encode())
    with pytest.raises(WxrcError, match="channel 'crm' cannot be served with its KEY") as refused:
        async with Gateway(store=SqliteStore(path), puppets=KINDS):
            pass
    async with Gateway(store=SqliteStore(path), puppets=KINDS, passive=True) as gateway:
        await gateway.rotate_key("crm")
        await gateway.end_key("crm", key_id)
    async with Gateway(store=SqliteStore(path), puppets=KINDS) as gateway:
        served = gateway.channel("crm")

    assert served is not None
    assert not weak or weak not in str(refused.value)
    assert "rotate-key" in str(refused.value)


async def test_two_rotations_at_once_make_two_keys() -> None:
    """Of several rotations at the same time one succeeds and the others are refused; no secret of theirs stays in the vault."""
    store = MemoryStore()
    async with Gateway(store=store, puppets=KINDS) as gateway:
        await set_up(gateway)
        made: list[object] = []

        async def rotate() -> None:
            try:
                made.append(await gateway.rotate_key("crm"))
            except Refusal as refusal:
                made.append(refusal)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(rotate)
        known = gateway.channel("crm")

    assert known is not None
    assert 2 == len(known.key_ids)
    assert 3 == sum(isinstance(each, Refusal) for each in made)


Call = Callable[[Gateway], Coroutine[Any, Any, object]]


@pytest.mark.parametrize(
    ("call", "kind", "field"),
    [
        (lambda gateway: gateway.add_channel("a/b"), InvalidValue, "chid"),
        (lambda gateway: gateway.add_channel(5), InvalidValue, "chid"),
        (lambda gateway: gateway.add_channel("x", window=5), InvalidValue, "window"),
        (lambda gateway: gateway.add_channel("x", window_s=5.5), InvalidValue, "window_s"),
        (lambda gateway: gateway.add_channel("x", callback_url="a\udcff"), InvalidValue, "callback_url"),
        (lambda gateway: gateway.add_channel("x", key=""), InvalidValue, "key"),
        (lambda gateway: gateway.add_channel("x", webhook_secret="whsec_AAAA"), InvalidValue, "webhook_secret"),
        (lambda gateway: gateway.change_channel("crm", timezone="Mars"), InvalidValue, "timezone"),
        (lambda gateway: gateway.change_channel("none", window_s=60), NotFound, ""),
        (lambda gateway: gateway.grant_bot("crm", "demo", on_doubt="maybe"), InvalidValue, "on_doubt"),
        (lambda gateway: gateway.grant_bot("crm", "demo", interfaces=["fly"]), InvalidValue, "interfaces"),
        (lambda gateway: gateway.grant_bot("crm", "none"), NotFound, ""),
        (lambda gateway: gateway.revoke("crm", "none"), NotFound, ""),
        (lambda gateway: gateway.suspend("crm", reason=5), InvalidValue, "reason"),
        (lambda gateway: gateway.suspend("none"), NotFound, ""),
        (lambda gateway: gateway.end_key("crm", "none"), NotFound, ""),
        (lambda gateway: gateway.add_token("x", "root"), InvalidValue, "role"),
        (lambda gateway: gateway.remove_token("x"), NotFound, ""),
    ],
)
async def test_wrong_arguments_are_named(call: Call, kind: type[Refusal], field: str) -> None:
    """What an embedding program passes is checked before anything is written; the error names the field."""
    async with Gateway(store=MemoryStore(), puppets=KINDS) as gateway:
        await set_up(gateway)
        position = gateway.world.position
        with pytest.raises(kind) as refused:
            await call(gateway)

        assert field == getattr(refused.value, "field", "")
        assert field.replace("_", " ") in str(refused.value).lower().replace("_", " ")
        assert position == gateway.world.position
