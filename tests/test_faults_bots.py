"""The gateway while puppets fail, logins come to nothing, and receivers are away. On both event loops."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faulty import Faulty, events_of, login_events
from tests.receiver import Answer, Receiver
from tests.test_gateway import ROOM, log_in, running, until
from wxrc_core import bot, delivery, message
from wxrc_core.message import MessageState
from wxrc_core.puppet import Outgoing, SendOutcome
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.admin import options_name
from wxrc_puppet.port import Puppet, PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


# -- puppets and logins ------------------------------------------------------------------------------------------------------------


async def test_codes_that_nobody_scans_come_to_an_end(tmp_path: Path) -> None:
    """A code that expires is reissued as often as the puppet is told to, then the login has failed; nothing goes on after that."""
    with Receiver() as receiver:
        async with Faulty(tmp_path, {"qr_lifetime_ms": "60", "qr_codes": "3"}) as (gateway, _, _):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            happened = await login_events(gateway, bot.LoginFailed)
            told = await receiver.arrived_until(lambda got: any("botStatus" in each.req_body for each in got))
            await until(gateway, lambda: not gateway.world.deliveries)
            state = gateway.bot("demo")

    assert [bot.BotAdded, bot.LoginRequested, *[bot.QrCodeIssued] * 3, bot.LoginFailed] == happened
    assert ["loginerr"] == [each.req_body["botStatus"] for each in told if each.req_body["type"] == "botStatus"]
    assert len(told) <= 4
    assert state is not None
    assert bot.BotState.LOGOUT is state.state


async def test_a_login_refused_on_the_phone(tmp_path: Path) -> None:
    """A refusal on the phone ends the login with its reason, and the next login starts afresh."""
    async with Faulty(tmp_path) as (gateway, world, _):
        await gateway.login("demo")
        await until(gateway, lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
        code = world.logins.open_code("demo")
        assert code is not None
        world.logins.scan(code.token)
        world.logins.refuse(code.token)
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        refused = gateway.bot("demo")
        await log_in(gateway, world)

    assert refused is not None
    assert "refused" in refused.reason


async def test_a_room_is_decided_about_once_the_list_is_whole(tmp_path: Path) -> None:
    """While rooms are still being synced a missing one is waited for; then it is decided once."""
    async with Faulty(tmp_path, {"sync_ms": "300", "rooms": "甲,乙"}) as (gateway, world, _):
        late = await gateway.send_text("demo", "晚", room="乙")
        missing = await gateway.send_text("demo", "无", room="丙")
        await log_in(gateway, world)
        await until(gateway, lambda: not gateway.world.messages)
        order = [type(event) for event in await events_of(gateway, bot.RoomsChanged, message.MessageRoomNotFound)]
        ended = [await gateway.message(each.msgid) for each in (late, missing)]

    assert [bot.RoomsChanged, bot.RoomsChanged, message.MessageRoomNotFound] == order
    assert ["1", "2"] == [message.send_status(each.message)[0] for each in ended if each]


async def test_a_puppet_of_an_unknown_kind(tmp_path: Path) -> None:
    """A bot whose kind of puppet this gateway does not have is told not to log in, and why."""
    async with running(tmp_path):
        pass
    async with Faulty(tmp_path, puppets={}) as (gateway, _, _):
        happened = await login_events(gateway, bot.LoginFailed)
        state = gateway.bot("demo")

    assert [bot.BotAdded, bot.LoginRequested, bot.LoginFailed] == happened
    assert state is not None
    assert "'simulator'" in state.reason


async def test_a_logged_in_bot_whose_kind_is_gone_says_why(tmp_path: Path) -> None:
    """A bot that was logged in stays so, cannot be reached, and tells the reason; its queue is held."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
    async with Faulty(tmp_path, puppets={}) as (gateway, _, _):
        await until(gateway, lambda: "'simulator'" in gateway.bot("demo").reason)  # type: ignore[union-attr]
        held = await gateway.send_text("demo", "一", room=ROOM, wait_s=0.1)
        state = gateway.bot("demo")

    assert state is not None
    assert (bot.BotState.LOGIN, False) == (state.state, state.link)
    assert MessageState.QUEUED == held.message.state


async def test_options_that_have_become_invalid(tmp_path: Path) -> None:
    """Options that this release does not take any more end the login with a sentence that names the option."""
    async with Faulty(tmp_path) as (gateway, _, store):
        await store.vault.put(options_name("demo", gateway.bot("demo").added.options_id), b'{"startup_ms": "soon"}')
        await login_events(gateway, bot.LoginFailed)
        invalid = gateway.bot("demo")
        await store.vault.put(options_name("demo", gateway.bot("demo").added.options_id), b"nonsense")
        await gateway.login("demo")
        await until(gateway, lambda: "DecodeError" in gateway.bot("demo").reason)  # type: ignore[union-attr]

    assert invalid is not None
    assert "startup_ms" in invalid.reason


class TalkativePuppet(SimulatedPuppet):
    """A puppet whose faults tell what they should not."""

    async def send(self, message: Outgoing) -> SendOutcome:
        """Fail with the text of the message."""
        raise RuntimeError(f"cannot send {message.text}")


async def test_what_a_fault_says_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A puppet's own fault is logged by its kind and place, never with its text (invariant 16); the message is in doubt."""
    caplog.set_level(logging.DEBUG)
    with SimulatedWeChat(tmp_path / "simulator.db") as world:

        def create(context: PuppetContext) -> Puppet:
            return TalkativePuppet(context, world)

        kind = PuppetKind(create, SimulatedPuppet.capabilities)
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets={"simulator": kind}) as gateway:
            await gateway.add_bot("demo", "simulator")
            await log_in(gateway, world)
            doubtful = await gateway.send_text("demo", "保密的内容", room=ROOM, wait_s=10)
            for each in caplog.records:
                with suppress(AttributeError):
                    assert each.exc_info is None

    assert ("-1", "unconfirmed") == message.send_status(doubtful.message)
    assert "RuntimeError in send (test_faults_bots.py" in caplog.text
    assert "保密的内容" not in caplog.text


async def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """When the clock jumps back an hour, what comes from then on is sent and told as ever."""
    now = 1_800_000_000_000

    def clock() -> int:
        nonlocal now
        now += 1
        return now

    with Receiver() as receiver:
        async with Faulty(tmp_path, clock=clock) as (gateway, world, _):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            await log_in(gateway, world)
            await receiver.arrived_until(lambda got: len(got) >= 2)
            await until(gateway, lambda: not gateway.world.deliveries)
            now -= 3_600_000
            sent = await gateway.send_text("demo", "一", room=ROOM, wait_s=10)
            await gateway.stop("demo")
            told = await receiver.arrived_until(lambda got: got[-1].req_body.get("botStatus") == "off")

    assert MessageState.SENT == sent.message.state
    assert 3 == len(told)


# -- receivers ---------------------------------------------------------------------------------------------------------------------


async def test_a_failing_receiver_holds_up_nobody_else(tmp_path: Path) -> None:
    """While one channel's receiver hangs, fails or is gone, the other channels are told everything at once."""
    hanging, failing, gone = Answer(delay_s=60), Answer(status=500), Answer(status=410)
    with Receiver() as slow, Receiver() as broken, Receiver() as closed, Receiver() as healthy:
        slow.default, broken.default, closed.default = hanging, failing, gone
        async with Faulty(tmp_path, drain_limit_s=0.1) as (gateway, world, _):
            for chid, receiver in (("slow", slow), ("broken", broken), ("closed", closed), ("healthy", healthy)):
                await gateway.add_channel(chid, callback_url=receiver.url, allow_private=True)
                await gateway.grant_bot(chid, "demo")
            await log_in(gateway, world)
            for number in range(5):
                world.messages.say("demo", f"@demo {number}", room=ROOM, sender="赵立伟")
            told = await healthy.arrived(7)
            await until(gateway, lambda: "closed" not in gateway.world.bots["demo"].deliveries.channels())
            given_up = await events_of(gateway, delivery.DeliveryGivenUp)

    assert ["qrCode", "botStatus", *["userMsg"] * 5] == [each.req_body["type"] for each in told]
    assert 7 == len(given_up)  # 410 stops at once, for whatever else is due as well
    assert 1 == len(closed.received)


@pytest.mark.slow
async def test_a_receiver_that_comes_back(tmp_path: Path) -> None:
    """A receiver that was dead for a while gets what it missed, under the same ids; `Retry-After` puts the next attempt off."""
    with Receiver() as receiver:
        receiver.answer_next(
            Answer(status=503), Answer(status=500), Answer(status=429, headers=[("Retry-After", "600")])
        )
        async with Faulty(tmp_path) as (gateway, _, _):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            await gateway.login("demo")  # its first callback: at once, at once again, after 5 s
            got = await receiver.arrived(3)
            await until(gateway, lambda: not gateway.world.deliveries)
            postponed = await events_of(gateway, delivery.DeliveryPostponed, delivery.DeliveryExpired)

    assert 1 == len({each.webhook_id for each in got})
    assert [0, 5] == [(each.not_before - each.at) // 1000 for each in postponed[:2]]
    assert isinstance(postponed[2], delivery.DeliveryExpired)  # in 600 s the QR code is long gone
