"""QR codes: who is to scan one gets it, and neither the log nor the database has it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import msgspec
import pytest

from tests.receiver import Receiver
from wxrc_core import bot, codec, delivery, qr_code, snapshot
from wxrc_core.effects import Wait
from wxrc_core.log import Entry
from wxrc_core.puppet import ReportLoggedIn, ReportLoginFailed, ReportQrCode, ReportScanned
from wxrc_core.qr_code import QrCode
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_core.testing.story import Story
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.export import export_log
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_service.puppets import simulator_kind
from wxrc_simulation.fixture import START, Virtual
from wxrc_store.sqlite import SqliteStore
from wxrc_webhook import Failed

LIFETIME_MS = 120_000


def kinds(client: ScriptedClient) -> dict[str, PuppetKind]:
    """Return the scripted client as a kind of puppet, of two kinds of login."""
    client.capabilities = type(client.capabilities)(login_kinds=("web", "mac"), pace="none")
    return {"scripted": PuppetKind(client.create, client.capabilities)}


async def until(there: Callable[[], Any]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(60):
        while not there():
            await anyio.sleep(0.05)


def code(text: str, at: int = START) -> ReportQrCode:
    """Return the report of a code."""
    return ReportQrCode(at=at, text=text, expires_at=at + LIFETIME_MS)


async def show(gateway: Gateway, client: ScriptedClient, text: str = "weixin://one") -> None:
    """Have bot `demo` show a code."""
    if gateway.bot("demo") is None:
        await gateway.add_bot("demo", "scripted")
        await gateway.login("demo")
    await client.report(code(text))
    assert text == await shown(gateway)


async def shown(gateway: Gateway) -> str:
    """Return the text of the code that bot `demo` shows; empty = it shows none."""
    found = await gateway.qr_code("demo")
    return found.text if found is not None else ""


def kept(virtual: Virtual) -> list[str]:
    """Return the names of the QR codes in the vault."""
    return [name for name in virtual.store.vault._secrets if qr_code.is_vault_name(name)]


# -- who may read what ----------------------------------------------------------------------------------------------------------


def files(folder: Path) -> bytes:
    """Return everything that the database has."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("wxrc.db*")))


@pytest.mark.wire("attack.vault")
@pytest.mark.anyio
async def test_a_reader_of_the_database_learns_no_code(tmp_path: Path) -> None:
    """The channel gets text and image of a code; log, snapshot, export and the database's own files have neither, now or later."""

    async def secret_in(where: str, data: bytes) -> None:
        for what in (told["qrcode"], told["qrcode"].rpartition("/")[2], told["qrcodeImageUrl"].rpartition("/")[2][:48]):
            assert what.encode() not in data, f"{what} is in {where}"

    with Receiver() as receiver, SimulatedWeChat(tmp_path / "simulator.db") as world:
        puppets = {"simulator": simulator_kind(world)}
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=puppets) as gateway:
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.add_bot("demo", "simulator", options={"startup_ms": "0"})
            await gateway.grant_bot("crm", "demo")
            await gateway.login("demo")
            [callback] = await receiver.arrived(1)
            told = callback.req_body
            issued = gateway.bot("demo").qr  # type: ignore[union-attr]
            assert issued is not None
            shown_now = await gateway.qr_code("demo")
            log = b"".join(codec.encode(each.event)[2] for each in await gateway.store.read_all(0, 10_000))
            export = export_log(gateway.store, gateway.vault, time="now", release="1", passphrase=b"correct horse")
            exported = b"".join([line async for line in export])
            await gateway.store.save(gateway.world.position, snapshot.SCHEMA, snapshot.encode(gateway.world))
            while_shown = {
                "the log": log,
                "a snapshot": snapshot.encode(gateway.world),
                "an export": exported,
                "the database": files(tmp_path),
            }
            world.logins.confirm(told["qrcode"].rpartition("/")[2])
            await until(lambda: gateway.bot("demo").rooms_complete)  # type: ignore[union-attr]
        while_shown["the closed database"] = files(tmp_path)

    assert QrCode(told["qrcode"], told["qrcodeImageUrl"], told["expiresAt"]) == shown_now
    for where, data in while_shown.items():
        assert issued.code_id.encode() in data or where == "the closed database", f"nothing was looked at in {where}"
        await secret_in(where, data)


def test_the_callback_has_what_the_vault_has(virtual: Virtual, client: ScriptedClient) -> None:
    """What is posted is the code in full, under an image address whose hash is the id in the log."""
    client.at_start()

    async def flow() -> str:
        gateway = await virtual.start(kinds(client), public_url="https://wxrc.example")
        await gateway.add_channel("crm", callback_url="https://crm.example/")
        await gateway.add_bot("demo", "scripted")
        await gateway.grant_bot("crm", "demo")
        await gateway.login("demo")
        await show(gateway, client)
        await until(lambda: virtual.callbacks)
        return gateway.bot("demo").qr.code_id  # type: ignore[union-attr]

    code_id = virtual.run(flow)
    [told] = virtual.callbacks
    base, _, name = told["qrcodeImageUrl"].rpartition("/")

    assert ("qrCode", "weixin://one", START + LIFETIME_MS) == (told["type"], told["qrcode"], told["expiresAt"])
    assert "https://wxrc.example/qr" == base
    assert code_id == hashlib.sha256(name.encode()).hexdigest()


def test_another_replica_shows_the_code(client: ScriptedClient) -> None:
    """A replica that does not run the bot has its code too; after a crash the code of the dead client is over, everywhere."""
    virtual = Virtual("asyncio")
    client.at_start()

    async def flow() -> None:
        owner = await virtual.start(kinds(client))
        other = await virtual.start(kinds(client))
        await show(owner, client)
        await until(lambda: (the_bot := other.bot("demo")) is not None and the_bot.qr is not None)
        assert "weixin://one" == await shown(other)
        [first] = kept(virtual)
        virtual.crash(owner)
        await until(lambda: other.owns("demo") and client.runs == 2)
        assert "" == await shown(other)
        await until(lambda: first not in kept(virtual))
        await show(other, client, "weixin://two")
        assert 1 == len(kept(virtual))

    virtual.run(flow)


# -- when it is over ------------------------------------------------------------------------------------------------------------

ENDS: dict[str, tuple[Any, ...]] = {
    "scanned and confirmed": (ReportScanned(at=START), ReportLoggedIn(at=START, wxid="wxid_1", name="一")),
    "refused": (ReportLoginFailed(at=START, reason="refused"),),
    "the next code": (code("weixin://two"),),
}


@pytest.mark.parametrize("reports", ENDS.values(), ids=ENDS)
def test_the_vault_forgets_a_code_that_is_over(virtual: Virtual, client: ScriptedClient, reports: Any) -> None:
    """It is gone from the vault soon after it can no longer be scanned."""
    client.at_start()

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await show(gateway, client)
        [name] = kept(virtual)
        await client.report(*reports)
        assert "weixin://one" != await shown(gateway)
        await until(lambda: name not in kept(virtual))

    virtual.run(flow)


@pytest.mark.parametrize("how", ["stop", "logout", "another kind", "time"])
def test_the_vault_forgets_a_code_that_nobody_wants(virtual: Virtual, client: ScriptedClient, how: str) -> None:
    """A code ends with the login that it was for, and where nobody has scanned it in time."""
    client.at_start()

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await show(gateway, client)
        [name] = kept(virtual)
        if how == "another kind":
            asked = bot.CarryOut(at=START, operation=gateway.world.position + 1, kind="login", login_kind="mac")
            await gateway.execute("bot/demo", asked)
        elif how == "time":
            await anyio.sleep(LIFETIME_MS / 1000)
        else:
            await getattr(gateway, how)("demo")
        await until(lambda: name not in kept(virtual))
        assert "" == await shown(gateway)

    virtual.run(flow)


def test_the_same_code_shown_again_is_one(virtual: Virtual, client: ScriptedClient) -> None:
    """A client that shows its code once more changes nothing; its address stays."""
    client.at_start()

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await show(gateway, client)
        before, names = await gateway.qr_code("demo"), kept(virtual)
        await client.report(code("weixin://one", START + 5))
        log = await gateway.store.read("bot/demo")
        assert 1 == sum(isinstance(each.event, bot.QrCodeIssued) for each in log)
        assert (before, names) == (await gateway.qr_code("demo"), kept(virtual))

    virtual.run(flow)


def test_what_a_killed_gateway_left_is_cleared_away(virtual: Virtual, client: ScriptedClient) -> None:
    """A start removes codes that stopped working long ago; younger ones, and other secrets, stay."""

    async def flow() -> None:
        vault = virtual.store.vault
        for name, expires_at in (("old", START - 3_700_000), ("young", START - 1)):
            found = QrCode("weixin://x", "https://wxrc.example/qr/x.png", expires_at)
            await vault.put(qr_code.vault_name("demo", name), qr_code.encode(found))
        await vault.put("bot/demo/session", b"session")
        await virtual.start(kinds(client))
        await until(lambda: len(kept(virtual)) == 1)
        assert ["bot/demo/qr/young", "bot/demo/session"] == await vault.names()

    virtual.run(flow)


def test_a_vault_that_fails_loses_no_code(virtual: Virtual, client: ScriptedClient) -> None:
    """The log names a code only when the vault has it; what could not be deleted is deleted later."""
    client.at_start()

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await show(gateway, client)
        [name] = kept(virtual)
        delete, failures = virtual.store.vault.delete, iter(range(3))

        async def failing(which: str) -> None:
            if next(failures, None) is not None:
                from wxrc_store import StoreError

                raise StoreError("the vault is away")
            await delete(which)

        virtual.store.vault.delete = failing  # type: ignore[method-assign]
        await client.report(ReportLoggedIn(at=START, wxid="wxid_1", name="一"))
        await until(lambda: name not in kept(virtual))
        assert next(failures, None) is None

    virtual.run(flow)


# -- callbacks ------------------------------------------------------------------------------------------------------------------


def test_a_callback_whose_code_is_over_is_superseded() -> None:
    """Nobody is told a code that can no longer be scanned: it is not posted, and ends although nothing newer of its kind is there."""
    story = Story.with_bot()
    story.operate("login", "1")
    story.settle()
    story.report(code("weixin://one", story.wall))
    story.settle()
    [due] = [each for each in story.log if isinstance(each.event, delivery.DeliveryDue) and each.event.kind == "qrCode"]
    waiting = story.next_post(control=True)
    restarted = story.restarted(snapshot=snapshot.encode(story.world)).next_post(control=True)
    story.report(ReportLoggedIn(at=story.wall, wxid="wxid_b", name="Bot"))
    after = story.next_post(control=True)
    again = story.restarted(snapshot=snapshot.encode(story.world))
    story.settle()
    again.settle()

    assert due.stream == getattr(waiting, "stream", "")
    assert waiting == attrs.evolve(restarted, body=getattr(waiting, "body", ""))
    assert "id of weixin://one" == getattr(waiting, "code_id", "")
    assert isinstance(after, Wait)
    for each in (story, again):
        assert [delivery.DeliverySuperseded] == [type(one.event) for one in each.log if one.stream == due.stream][1:]


def test_a_receiver_that_is_back_is_told_the_newest_code_only(virtual: Virtual, client: ScriptedClient) -> None:
    """After an outage in which codes came and went the receiver learns that the bot is logged in, and no code."""
    client.at_start()
    posted: list[str] = []

    def away(request: Any) -> Failed:
        posted.append(request.body["type"])
        return Failed("the receiver is away")

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await gateway.add_channel("crm", callback_url="https://crm.example/")
        await gateway.add_bot("demo", "scripted")
        await gateway.grant_bot("crm", "demo")
        answers, virtual.receiver = virtual.receiver, away
        await gateway.login("demo")
        await show(gateway, client, "weixin://one")
        await until(lambda: posted)
        await show(gateway, client, "weixin://two")
        await client.report(ReportLoggedIn(at=START, wxid="wxid_1", name="一"))
        virtual.receiver = answers
        await until(lambda: virtual.callbacks)

    virtual.run(flow)

    assert ["botStatus"] == [told["type"] for told in virtual.callbacks]


# -- logs of earlier releases ---------------------------------------------------------------------------------------------------


def test_a_log_of_an_earlier_release(virtual: Virtual, client: ScriptedClient) -> None:
    """A code that an earlier release recorded in full can be shown, and its callback posted, as long as it waits."""
    old = {
        "at": START,
        "text": "weixin://old",
        "expires_at": START + 1_000_000,
        "image_url": "https://old.example/qr/abc.png",
    }
    events = [
        bot.BotAdded(at=START, botcode="demo", puppet="scripted"),
        bot.LoginRequested(at=START, operation=1),
        codec.decode("bot.qr_code_issued", 1, msgspec.json.encode(old)),
    ]
    body = {"botcode": "demo", "type": "qrCode", "qrcodeImageUrl": old["image_url"], "qrcode": old["text"]}
    due = {"at": START, "chid": "crm", "botcode": "demo", "kind": "qrCode", "body": msgspec.json.encode(body).decode()}

    async def flow() -> None:
        store = virtual.store.replica()
        await store.__aenter__()
        await store.append([Entry("bot/demo", 0, events)])
        follower = await virtual.start(kinds(client), passive=True)
        found = await follower.qr_code("demo")
        assert found == QrCode("weixin://old", "https://old.example/qr/abc.png", START + 1_000_000)
        assert found == await follower.qr_code_named("abc.png")
        await follower.add_channel("crm", callback_url="https://crm.example/")
        await store.append(
            [Entry("delivery/evt_3_crm", 0, [codec.decode("delivery.due", 1, msgspec.json.encode(due))])]
        )
        await virtual.start(kinds(client))
        await until(lambda: virtual.callbacks)
        assert "weixin://old" == virtual.callbacks[0]["qrcode"]

    virtual.run(flow)
