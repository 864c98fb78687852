"""The gateway while things around it fail: the store away or slow, puppets that fail, logins that come to nothing, going down at the
worst moment. A real store and the simulator; only the faults are ours. On both event loops.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.receiver import Answer, Receiver
from tests.test_gateway import ROOM, kinds, log_in, record, running, until
from tests.test_store_sqlite import write_foreign_event
from wxrc_core import aggregate, bot, delivery, inbound, message, operation
from wxrc_core.errors import Unavailable
from wxrc_core.log import Entry, Outcome, Recorded
from wxrc_core.message import MessageState
from wxrc_core.puppet import Outgoing, SendOutcome
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.admin import options_name
from wxrc_puppet.port import Puppet, PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat
from wxrc_store.port import NewerEvents, StoreError
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

AWAY = "the disk is full"


async def at_once() -> None:
    """Hold nothing up."""


class FaultyStore(SqliteStore):
    """The store with faults that a test switches on.

    Attributes:
        away: What fails now: `append`, `read`, `vault`.
        times: How often it still fails; less than 0 = until it is switched off.
        before: Awaited before each append, with its entries.
        after: Awaited after each read of a stream, before its answer is given.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.away: set[str] = set()
        self.times = -1
        self.before: Callable[[Sequence[Entry]], Any] = lambda batch: at_once()
        self.after: Callable[[str], Any] = lambda stream: at_once()

    def _fail(self, what: str) -> None:
        if what in self.away and self.times:
            self.times -= 1
            raise StoreError(AWAY)

    async def append(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        """Append, or fail."""
        await self.before(batch)
        self._fail("append")
        return await super().append(batch)

    async def read(self, stream: str, after: int = 0) -> Sequence[Recorded]:
        """Read a stream, or fail; answer late."""
        self._fail("read")
        found = await super().read(stream, after)
        await self.after(stream)
        return found

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """Read the log, or fail."""
        self._fail("read")
        return await super().read_all(after, limit)

    async def _keep(self, name: str, secret: bytes | None) -> None:
        self._fail("vault")
        await super()._keep(name, secret)

    async def _kept(self, name: str) -> bytes | None:
        self._fail("vault")
        return await super()._kept(name)


class Faulty:
    """A gateway on a `FaultyStore` with bot `demo`, as `running` gives one on a sound store."""

    def __init__(self, folder: Path, options: dict[str, str] | None = None, **settings: Any) -> None:
        self._world = SimulatedWeChat(folder / "simulator.db")
        self.store = FaultyStore(folder / "wxrc.db")
        self._options = {"startup_ms": "0"} | (options or {})
        settings = {"puppets": kinds(self._world)} | settings
        self.gateway = Gateway(store=self.store, **settings)

    async def __aenter__(self) -> tuple[Gateway, SimulatedWeChat, FaultyStore]:
        await self.gateway.__aenter__()
        if self.gateway.bot("demo") is None:
            await self.gateway.add_bot("demo", "simulator", options=self._options)
        return self.gateway, self._world, self.store

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self.gateway.__aexit__(*error)
        finally:
            self._world.close()


async def events_of(gateway: Gateway, *types: type) -> list[Any]:
    """Return the events of these types in the log."""
    return [each.event for each in await gateway.store.read_all(0, 10_000) if isinstance(each.event, types)]


async def login_events(gateway: Gateway, end: type) -> list[type]:
    """Ask for login, wait for this end, and return what happened to the bot."""
    await gateway.login("demo")
    with anyio.fail_after(20):
        async for recorded in gateway.events(after=0):
            if isinstance(recorded.event, end):
                break
    return [type(event) for event in await events_of(gateway, *aggregate.EVENTS["bot"])]


# -- the store ---------------------------------------------------------------------------------------------------------------------


async def test_a_store_that_cannot_be_written_takes_nothing_in_and_sends_nothing(tmp_path: Path) -> None:
    """While appends fail a request is refused and what waits is not sent; then everything goes on by itself."""
    async with Faulty(tmp_path) as (gateway, world, store):
        waiting = await gateway.send_text("demo", "一", room=ROOM)
        await log_in(gateway, world)
        await until(gateway, lambda: not gateway.world.messages)
        store.away = {"append"}
        with pytest.raises(Unavailable, match=AWAY):
            await gateway.send_text("demo", "二", room=ROOM, txcode="t2")
        world.messages.say("demo", "@demo 在吗", room=ROOM, sender="赵立伟")
        await anyio.sleep(0.2)
        before = record(world)
        store.away = set()
        sent = await gateway.send_text("demo", "二", room=ROOM, txcode="t2", wait_s=10)
        await until(gateway, lambda: True)
        after = record(world)

    assert MessageState.QUEUED == waiting.message.state
    assert ["一"] == before
    assert MessageState.SENT == sent.message.state
    assert ["一", "二"] == after


async def test_an_outcome_outlives_a_store_that_is_away(tmp_path: Path) -> None:
    """What the puppet answered is recorded once the store is back: sent stays sent, and nothing goes out twice."""
    async with Faulty(tmp_path, {"send_ms": "100"}) as (gateway, world, store):
        await log_in(gateway, world)
        held = await gateway.send_text("demo", "一次", room=ROOM)
        await until(gateway, lambda: any(each.state.attempt for each in gateway.world.messages.values()))
        store.away, store.times = {"append"}, 3
        await until(gateway, lambda: not gateway.world.messages)
        ended = await gateway.message(held.msgid)
        reached = record(world)

    assert ended is not None
    assert (MessageState.SENT, 1) == (ended.message.state, ended.message.attempt)
    assert ["一次"] == reached


async def test_a_log_that_cannot_be_read_makes_the_gateway_unavailable(tmp_path: Path) -> None:
    """Whoever cannot read the log says so and takes nothing in, until it can."""
    async with Faulty(tmp_path) as (gateway, _, store), SqliteStore(tmp_path / "wxrc.db") as other:
        store.away = {"read"}
        await other.append([Entry("inbound/demo/1", 0, [_heard()])])  # wakes the follower
        with anyio.fail_after(20):
            while not gateway.unavailable():
                await anyio.sleep(0.01)
        reason = gateway.unavailable()
        store.away = set()
        with anyio.fail_after(20):
            while gateway.unavailable():
                await anyio.sleep(0.01)
        taken = await gateway.send_text("demo", "一", room=ROOM)

    assert "the log cannot be read just now; try again shortly" == reason
    assert AWAY not in reason  # it may name files of this machine
    assert MessageState.QUEUED == taken.message.state


def _heard() -> inbound.MessageReceived:
    return inbound.MessageReceived(at=1, botcode="demo", message_id="1", kind="text", text="hi", from_id="wxid_1")


async def test_events_of_a_newer_release_end_the_gateway(tmp_path: Path) -> None:
    """A gateway that meets what it cannot understand stops and says so, rather than go on half blind."""
    with pytest.raises(BaseExceptionGroup) as ended:  # noqa: PT012
        async with running(tmp_path, drain_limit_s=0.1):
            await anyio.to_thread.run_sync(write_foreign_event, tmp_path / "wxrc.db", "message.teleported", 1, "9.9.9")
            with anyio.fail_after(20):
                await anyio.sleep_forever()
    newer = ended.value.subgroup(NewerEvents)

    assert newer is not None
    assert "message.teleported" in str(newer.exceptions[0])


async def test_secrets_that_cannot_be_read_do_not_end_the_gateway(tmp_path: Path) -> None:
    """A callback whose secrets cannot be read counts as missed, and is posted when they can be."""

    async def about_to_post(batch: Sequence[Entry]) -> None:
        if any(isinstance(event, delivery.DeliveryDue) for entry in batch for event in entry.events):
            store.before = lambda batch: at_once()
            store.away, store.times = {"vault"}, 1

    with Receiver() as receiver:
        async with Faulty(tmp_path) as (gateway, _, store):
            await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
            await gateway.grant_bot("crm", "demo")
            store.before = about_to_post
            await gateway.login("demo")
            await receiver.arrived(1)
            missed = await events_of(gateway, delivery.DeliveryPostponed)

    assert [AWAY] == [each.reason for each in missed]


async def test_a_logout_outlives_a_store_that_is_away(tmp_path: Path) -> None:
    """The stored session is forgotten once the store is back, and only then is the account logged out."""
    async with Faulty(tmp_path) as (gateway, world, store):
        await log_in(gateway, world)
        store.away, store.times = {"vault"}, 3
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        session = await store.vault.get("bot/demo/session")

    assert session is None


# -- who waits for an end, and going down ------------------------------------------------------------------------------------------


async def _told(gateway: Gateway) -> list[str]:
    """Return how channels were told of messages' ends: `due` or `answered`."""
    told = await events_of(gateway, delivery.DeliveryDue, delivery.DeliveryAnswered)
    return ["answered" if isinstance(each, delivery.DeliveryAnswered) else each.kind for each in told]


def _queued(gateway: Gateway) -> message.MessageQueued:
    return message.MessageQueued(
        at=gateway.clock(),
        chid="crm",
        botcode="demo",
        txcode="t",
        interface="x",
        digest="d",
        room_topic=ROOM,
        text="早",
    )


async def test_an_end_is_told_once_by_answer_or_by_callback(tmp_path: Path) -> None:
    """An end that came in time is the answer and no callback; one whose request has gone, or was answered before, is a callback."""
    stream = message.stream_name("crm", "20261124", "t")
    told: dict[str, list[str]] = {}
    answers: dict[str, MessageState] = {}
    for how in ("in time", "gone", "repeated"):
        (tmp_path / how).mkdir()
        with Receiver() as receiver:
            async with Faulty(tmp_path / how, {"send_ms": "200"}) as (gateway, world, _):
                await gateway.add_channel("crm", callback_url=receiver.url, allow_private=True)
                await log_in(gateway, world)
                await gateway.grant_bot("crm", "demo")
                if how == "in time":
                    _, answered = await gateway.queue(stream, _queued(gateway), 10_000)
                    answers[how] = answered.state
                elif how == "gone":
                    with anyio.move_on_after(0.1):
                        await gateway.queue(stream, _queued(gateway), 10_000)
                else:
                    _, answered = await gateway.queue(stream, _queued(gateway), 0)
                    answers[how] = answered.state
                    with anyio.move_on_after(0.1):  # asked again by a client that goes while it waits
                        await gateway.queue(stream, _queued(gateway), 10_000)
                await until(gateway, lambda: not gateway.world.messages and not gateway.world.deliveries)
                told[how] = await _told(gateway)

    assert {"in time": ["answered"], "gone": ["sendStatus"], "repeated": ["sendStatus"]} == told
    assert {"in time": MessageState.SENT, "repeated": MessageState.QUEUED} == answers


async def test_going_down_while_an_attempt_is_being_recorded(tmp_path: Path) -> None:
    """An attempt on its way into the log when the gateway goes down is sent; it is not left in doubt."""
    recording = anyio.Event()

    async def watch(batch: Sequence[Entry]) -> None:
        if any(isinstance(event, message.MessageAttempted) for entry in batch for event in entry.events):
            recording.set()

    async with Faulty(tmp_path) as (gateway, world, store):
        await log_in(gateway, world)
        store.before = watch
        held = [await gateway.send_text("demo", text, room=ROOM) for text in ("一", "二", "三")]
        await recording.wait()
    async with running(tmp_path) as (gateway, world):
        await until(gateway, lambda: not gateway.world.messages)
        ended = [await gateway.message(each.msgid) for each in held]
        reached = record(world)

    assert [(MessageState.SENT, 1)] * 3 == [(each.message.state, each.message.attempt) for each in ended if each]
    assert ["一", "二", "三"] == reached


async def test_going_down_answers_who_waits(tmp_path: Path) -> None:
    """Who waits for the end of a message that cannot be sent is answered at once when the gateway goes down."""
    answers: list[MessageState] = []

    async def ask(gateway: Gateway) -> None:
        answers.append((await gateway.send_text("demo", "一", room=ROOM, wait_s=600)).message.state)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, running(tmp_path, drain_limit_s=600) as (gateway, _):
            tasks.start_soon(ask, gateway)
            await until(gateway, lambda: bool(gateway.world.messages))

    assert [MessageState.QUEUED] == answers


async def test_going_down_finishes_a_logout(tmp_path: Path) -> None:
    """A logout that has begun is finished on the way down: the account is signed out in WeChat too."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
        await gateway.logout("demo")
        await until(gateway, lambda: gateway.bot("demo").pending_exit == "logout")  # type: ignore[union-attr]
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        account = world.account("demo")

    assert account is not None
    assert not account.logged_in


async def test_a_logout_while_the_client_is_coming_up(tmp_path: Path) -> None:
    """A logout that meets a client that is still coming up signs the account out, and loses nothing that somebody wrote meanwhile."""
    async with running(tmp_path) as (gateway, world):
        await log_in(gateway, world)
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        world.messages.say("demo", "@demo 还在吗", room=ROOM, sender="赵立伟")
    asked = operation.OperationAccepted(
        at=1, chid="-", botcode="demo", txcode="t", interface="logout", digest="d", kind="logout"
    )
    async with SqliteStore(tmp_path / "wxrc.db") as store:
        await store.append([Entry(message.stream_name("-", "20261124", "t"), 0, [asked])])
    async with running(tmp_path) as (gateway, world):
        await until(gateway, lambda: gateway.bot("demo").state is bot.BotState.LOGOUT)  # type: ignore[union-attr]
        heard = await events_of(gateway, inbound.MessageReceived)
        waiting = world.messages.waiting("demo", limit=20)  # for the next login
        account = world.account("demo")

    assert {"@demo 还在吗"} == {each.text for each in (*heard, *waiting)}
    assert account is not None
    assert not account.logged_in


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
    assert "RuntimeError in send (test_faults.py" in caplog.text
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
