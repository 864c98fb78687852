"""A bot is removed on a real gateway: its account, its secrets, its requests, its messages, its channels' grants; on both event loops."""

from collections.abc import Callable
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.receiver import Receiver
from tests.test_gateway_channels import code, until
from wxrc_core import bot, message
from wxrc_core.bot import BotState
from wxrc_core.channel import BotRevoked
from wxrc_core.errors import AlreadyTaken, NotFound, Refusal
from wxrc_core.puppet import Accepted, Unconfirmed
from wxrc_core.testing.scripted import HANG, ScriptedClient
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.admin_views import all_bots, one_channel
from wxrc_gateway.overview import bot_overview
from wxrc_gateway.timeline import timeline
from wxrc_http import Api
from wxrc_http.testing import a_head, dumps, signed
from wxrc_store import MemoryStore
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def kinds(client: ScriptedClient) -> dict[str, PuppetKind]:
    """Return the scripted client as a kind of puppet."""
    return {"scripted": PuppetKind(client.create, client.capabilities)}


async def up(gateway: Gateway, callback_url: str = "") -> str:
    """Have bot `demo` logged in and granted to `crm`; return the channel's KEY."""
    await gateway.add_bot("demo", "scripted", options={"token": "geheim"})
    made = await gateway.add_channel("crm", callback_url=callback_url, allow_private=True)
    await gateway.grant_bot("crm", "demo")
    await gateway.login("demo")
    await until(lambda: (found := gateway.bot("demo")) is not None and found.ready and found.rooms_complete)
    return made.key


def state(gateway: Gateway) -> bot.Bot:
    """Return bot `demo`, removed or not."""
    return gateway.view.bots["demo"].state


def gone(gateway: Gateway) -> Callable[[], bool]:
    """Return what tells whether the removal is done, to the end of the last grant."""
    return lambda: state(gateway).removed and not state(gateway).pending_exit and not list(gateway.view.grants("demo"))


async def secrets_of(gateway: Gateway) -> list[str]:
    """Return what the vault has of bot `demo`."""
    return [name for name in await gateway.vault.names() if name.startswith("bot/demo/")]


async def test_a_removed_bot_leaves_nothing_behind(client: ScriptedClient) -> None:
    """Its account is signed out once, its secrets go, its grants end, and it shows nowhere but where one asks for it by name."""
    async with Gateway(store=MemoryStore(), puppets=kinds(client)) as gateway:
        key = await up(gateway)
        await gateway.vault.put("bot/demo/session", b"cookies")
        before, allowed = await secrets_of(gateway), await code(gateway, key)
        await gateway.remove_bot("demo", by="li")
        refused = await code(gateway, key)
        shown = one_channel(gateway.view, "crm").grants
        await until(gone(gateway))
        await gateway.remove_bot("demo", by="wang")
        kept = await secrets_of(gateway)
        entries = (await timeline(gateway, "demo")).entries
        revoked = [each.event for each in await gateway.store.read("channel/crm") if isinstance(each.event, BotRevoked)]
        overview = bot_overview(gateway, "demo", served=True)

        assert 2 == len(before)
        assert ("0", "21") == (allowed, refused)
        assert () == shown
        assert [] == kept
        assert 1 == client.signed_out
        assert 0 == client.released
        assert ["bot.removed", "bot.signed_out"] == [each.event for each in entries[-2:]]
        assert "li" == entries[-2].fields["by"]
        assert ["li"] == [each.by for each in revoked]
        assert ("removed", "none", "") == (overview.state, overview.action, overview.leaving)
        assert [] == all_bots(gateway.view)
        assert gateway.bot("demo") is None


async def test_its_name_is_not_used_again(client: ScriptedClient) -> None:
    """Neither a bot of that name nor a grant, a login or a message is taken; each sentence says why, in both languages."""
    async with Gateway(store=MemoryStore(), puppets=kinds(client)) as gateway:
        await up(gateway)
        await gateway.remove_bot("demo")
        with pytest.raises(AlreadyTaken, match="'demo' was removed, and its name cannot be used again") as taken:
            await gateway.add_bot("demo", "scripted")
        with pytest.raises(Refusal, match="'demo' was removed and cannot be used"):
            await gateway.grant_bot("crm", "demo")
        for ask in (gateway.login, gateway.logout, gateway.stop):
            with pytest.raises(NotFound, match="bot 'demo' was removed"):
                await ask("demo")
        with pytest.raises(NotFound, match="bot 'demo' was removed"):
            await gateway.send_text("demo", "x", room="一群")
        with pytest.raises(NotFound, match="no bot 'none'"):
            await gateway.remove_bot("none")
        await until(gone(gateway))

    assert "已被移除" in taken.value.localized.zh


async def test_what_is_open_ends_truthfully(client: ScriptedClient) -> None:
    """A send that hangs ends as unconfirmed, what waits as failed with the reason, and the channel is told both, and of the logout."""
    client.answers(HANG)
    with Receiver() as receiver:
        async with Gateway(store=MemoryStore(), puppets=kinds(client), send_limit_s=1.0) as gateway:
            key = await up(gateway, receiver.url)
            receiver.key = key
            first = await ask(gateway, key, "roomSendText", "T1", {"text": "1", "roomTopic": "一群"})
            await client.until_handed(1)
            second = await ask(gateway, key, "roomSendText", "T2", {"text": "2", "roomTopic": "一群"})
            await gateway.remove_bot("demo")
            third = await ask(gateway, key, "roomSendText", "T3", {"text": "3", "roomTopic": "一群"})
            await until(gone(gateway))
            await until(lambda: not gateway.world.messages and not gateway.world.deliveries)
            told = {
                each.req_body["txcode"]: each.req_body
                for each in receiver.received
                if each.req_body["type"] == "sendStatus"
            }
            status = [each.req_body for each in receiver.received if each.req_body["type"] == "botStatus"]

    assert ("0", "0", "21") == (first["rtCode"], second["rtCode"], third["rtCode"])
    assert ("-1", "unconfirmed") == (told["T1"]["sendStatus"], told["T1"]["sendReason"])
    assert ("-1", "failed") == (told["T2"]["sendStatus"], told["T2"]["sendReason"])
    assert "the bot was removed before it could be sent" == told["T2"]["detail"]
    assert ("logout", "the bot was removed") == (status[-1]["botStatus"], status[-1]["reason"])
    assert ["1"] == [each.outgoing.text for each in client.handed]


async def test_removed_while_no_service_runs(client: ScriptedClient, tmp_path: Path) -> None:
    """A removal by a gateway that runs no bots is finished by the service when it starts: a stored session is used to sign out."""
    path = tmp_path / "wxrc.db"
    async with Gateway(store=SqliteStore(path), puppets=kinds(client)) as gateway:
        await up(gateway)
        await gateway.vault.put("bot/demo/session", b"cookies")
    async with Gateway(store=SqliteStore(path), puppets={}, passive=True) as passive:
        await passive.remove_bot("demo")
        waiting = bot_overview(passive, "demo", served=False)
        shown = all_bots(passive.view), one_channel(passive.view, "crm").grants
    async with Gateway(store=SqliteStore(path), puppets=kinds(client)) as gateway:
        await until(gone(gateway))
        kept = await secrets_of(gateway)

    assert ("removed", "wait", "remove") == (waiting.state, waiting.action, waiting.leaving)
    assert ([], ()) == shown
    assert [] == kept
    assert 1 == client.signed_out


async def test_a_logout_that_was_under_way_does_not_end_the_removal(client: ScriptedClient) -> None:
    """Removed while it stops, its options and session go all the same: the removal is not taken for done."""
    async with Gateway(store=MemoryStore(), puppets=kinds(client)) as gateway:
        await up(gateway)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.stop, "demo")
            tasks.start_soon(gateway.remove_bot, "demo")
        await until(gone(gateway))

        assert [] == await secrets_of(gateway)
        assert state(gateway).state is BotState.REMOVED
        assert {} == gateway.world.bot_world("demo").operations


async def test_a_message_in_doubt_can_still_be_resolved(client: ScriptedClient) -> None:
    """The doubt outlives the bot, and an operator can still say what has become of it."""
    client.answers(Unconfirmed("no answer"), Accepted("r"))
    async with Gateway(store=MemoryStore(), puppets=kinds(client)) as gateway:
        await up(gateway)
        doubted = await gateway.send_text("demo", "1", room="一群", wait_s=5)
        await gateway.remove_bot("demo")
        await until(gone(gateway))
        await gateway.execute(doubted.history[0].stream, message.Resolve(at=gateway.clock(), verdict="sent", by="li"))
        found = await gateway.message(doubted.msgid)

    assert ("-1", "unconfirmed") == message.send_status(doubted.message)
    assert found is not None
    assert ("1", "operator") == (message.send_status(found.message)[0], message.evidence(found.message))


@pytest.mark.parametrize("least", ["receipt", "echo"])
async def test_a_grant_asks_for_evidence_that_the_bot_cannot_give(client: ScriptedClient, least: str) -> None:
    """It is refused at the request by name, in both languages, and nothing is queued; what was accepted before keeps its msgid."""
    async with Gateway(store=MemoryStore(), puppets=kinds(client)) as gateway:
        key = await up(gateway)
        body = {"text": "1", "roomTopic": "一群"}
        before = await ask(gateway, key, "roomSendText", "T1", body)
        await gateway.grant_bot("crm", "demo", least_evidence=least)  # type: ignore[arg-type]
        again = await ask(gateway, key, "roomSendText", "T1", body)
        zh = await ask(gateway, key, "roomSendText", "T2", body)
        en = await ask(gateway, key, "roomSendText", "T3", body, language="en")
        queued = [each for each in await gateway.store.read_all() if isinstance(each.event, message.MessageQueued)]

    assert before["msgid"] == again["msgid"]
    if least == "receipt":
        assert ("0", "0", 3) == (zh["rtCode"], en["rtCode"], len(queued))
    else:
        assert ("34", "34", 1) == (zh["rtCode"], en["rtCode"], len(queued))
        assert "至少有 echo 证据" in str(zh["rtMsg"])
        assert "asks for the evidence 'echo' at least" in str(en["rtMsg"])


async def ask(
    gateway: Gateway, key: str, interface: str, txcode: str, body: dict[str, str], language: str = "zh"
) -> dict[str, object]:
    """Send a signed request; return its resBody."""
    raw = dumps(
        {"reqHead": a_head(botcode="demo", txcode=txcode, txtime=str(gateway.clock())), "reqBody": body}
    ).encode()
    headers = signed(raw, key) | {"Content-Type": "application/json", "Accept-Language": language}
    api = Api(gateway, answer_wait_ms=0)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://wxrc.example") as http:
        answer: dict[str, object] = (await http.post(f"/api/{interface}", content=raw, headers=headers)).json()[
            "resBody"
        ]
    return answer
