"""Receivers that stay away, and what an operator sees and does: health, disabled URLs, dead letters, retry, replay. In virtual time."""

import logging
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any

import anyio
import pytest

from wxrc_core import channel, delivery, message
from wxrc_core.callback_health import DISABLED_AFTER_MS
from wxrc_core.delivery import DeliveryReplayed
from wxrc_core.delivery_schedule import SCHEDULE_S
from wxrc_core.errors import NotFound, Refusal
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.callbacks import Selection
from wxrc_simulation.fixture import Virtual
from wxrc_store import MemoryStore
from wxrc_webhook import Acknowledged, CallbackRequest, Failed

HOUR, DAY = 3_600, 86_400
NUMBERS = count(1)


class Away:
    """A receiver that can be away, and what it got: the ids of all attempts with their times, and of those that it acknowledged."""

    def __init__(self, virtual: Virtual) -> None:
        self.answer: Failed | None = None
        self.attempts: list[tuple[float, str]] = []
        self.acknowledged: list[str] = []
        virtual.receiver = self

    def __call__(self, request: CallbackRequest) -> Acknowledged | Failed:
        """Answer a callback; control notices are always taken."""
        if request.body["type"] != "sendStatus":
            return Acknowledged()
        self.attempts.append((anyio.current_time(), request.webhook_id))
        if self.answer is not None:
            return self.answer
        self.acknowledged.append(request.webhook_id)
        return Acknowledged()


@pytest.fixture
def away(virtual: Virtual) -> Away:
    """A receiver that is there. Memberships last for an hour: days pass in seconds where nobody renews one all the time."""
    virtual.store = MemoryStore(shards=4, lifetime=3_600)
    return Away(virtual)


async def until(there: Callable[[], object], limit_s: float = 90) -> None:
    """Wait until something is so, in virtual time."""
    with anyio.fail_after(limit_s):
        while not there():
            await anyio.sleep(max(0.1, limit_s / 2_000))


async def started(virtual: Virtual, client: ScriptedClient) -> Gateway:
    """Start a gateway with a bot that is logged in, and a channel `crm` that may use it."""
    gateway = await virtual.start({"scripted": PuppetKind(client.create, client.capabilities)})
    await gateway.add_channel("crm", callback_url="http://127.0.0.1:1/", allow_private=True)
    await gateway.add_bot("demo", "scripted")
    await gateway.grant_bot("crm", "demo")
    await gateway.login("demo")
    await until(lambda: (the_bot := gateway.bot("demo")) and the_bot.ready and the_bot.rooms_complete)
    return gateway


async def ends(gateway: Gateway, number_of: int = 1) -> None:
    """Have so many messages of channel `crm` come to their ends, which are told by callback."""
    for _ in range(number_of):
        number = next(NUMBERS)
        queued = message.MessageQueued(
            at=gateway.clock(),
            chid="crm",
            botcode="demo",
            txcode=f"tx{number}",
            interface="roomSendText",
            digest=message.digest("roomSendText", "demo", {"text": number}),
            room_topic="一群",
            text=f"{number}",
        )
        msgid, _ = await gateway.queue(message.stream_name("crm", "20260101", queued.txcode), queued, 0)
    await until(lambda: gateway.world.position > msgid and not gateway.world.messages, 600)


async def events_of(gateway: Gateway, kind: type) -> Sequence[Any]:
    """Return the events of a kind in the log."""
    return [each.event for each in await gateway.store.read_all(0, 10_000) if isinstance(each.event, kind)]


@pytest.mark.wire("callback.order")
def test_away_for_an_hour(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """When it is back everything that is due comes within about a minute, in order, under the ids of the failed attempts."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        away.answer = Failed("no answer in 5 s")
        began = anyio.current_time()
        for _ in range(10):
            await ends(gateway, 3)
            await anyio.sleep(300)
        await anyio.sleep(began + HOUR - anyio.current_time())
        waiting = [each.id for each in gateway.callbacks.waiting()]
        away.answer, back = None, anyio.current_time()
        await until(lambda: len(away.acknowledged) == 30, 70)
        assert anyio.current_time() - back <= 70
        assert waiting == sorted(waiting, key=lambda each: delivery.cause(f"delivery/{each}"))
        assert 30 == len(waiting)
        probe, *rest = away.acknowledged
        assert [each for each in waiting if each != probe] == rest, "after the probe, in order"
        assert {name for _, name in away.attempts} == set(waiting)
        await until(lambda: not gateway.world.deliveries)
        assert ("healthy", 0) == (gateway.callbacks.health()[0].state, gateway.callbacks.health()[0].waiting)

    virtual.run(flow)


@pytest.mark.wire("callback.retries")
def test_one_callback_follows_the_schedule(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """At once, after 5 s, 5 min, 30 min, 2 h, 5 h, with jitter of a tenth at most."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        away.answer = Failed("answered 500")
        await ends(gateway)
        await until(lambda: len(away.attempts) > 6, DAY)
        waits = [after - before for before, after in pairwise(at for at, _ in away.attempts)]
        for planned, waited in zip(SCHEDULE_S[:6], waits, strict=True):
            assert planned <= waited <= planned * 1.1 + 31

    virtual.run(flow)


@pytest.mark.wire("callback.dead")
def test_five_days_away(virtual: Virtual, client: ScriptedClient, away: Away, caplog: pytest.LogCaptureFixture) -> None:
    """After five days the URL is disabled, in the log and told; what waits is dead; `retry` and `replay` have all of it delivered."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        away.answer = Failed("answered 502")
        began = gateway.clock()
        for _ in range(11):
            await ends(gateway)
            await anyio.sleep(12 * HOUR)
        [health] = gateway.callbacks.health()
        assert ("disabled", "answered 502", 0) == (health.state, health.reason, health.waiting)
        [disabled] = await events_of(gateway, channel.CallbackDisabled)
        assert DISABLED_AFTER_MS <= disabled.at - began <= DISABLED_AFTER_MS + 13 * HOUR * 1000
        assert 0 <= disabled.since - began <= 60_000
        before = len(away.attempts)
        await ends(gateway)
        await anyio.sleep(DAY)
        assert before == len(away.attempts), "nothing goes to a URL that is disabled"
        dead = await gateway.callbacks.dead()
        assert 12 == len(dead)
        with pytest.raises(Refusal, match="is disabled"):
            await gateway.callbacks.replay(Selection(chid="crm"))

        away.answer = None
        await gateway.callbacks.retry("crm", by="cli:ann")
        assert 12 == await gateway.callbacks.replay(by="cli:ann")
        await until(lambda: len(away.acknowledged) == 12)
        assert [each.id for each in sorted(dead, key=lambda each: each.seq)] == away.acknowledged, "in order, same ids"
        await until(lambda: not gateway.world.deliveries)
        assert ("healthy", []) == (gateway.callbacks.health()[0].state, await gateway.callbacks.dead())
        assert {"cli:ann"} == {each.by for each in await events_of(gateway, DeliveryReplayed)}

    with caplog.at_level(logging.WARNING, "wxrc.gateway"):
        virtual.run(flow)
    said = "\n".join(each.getMessage() for each in caplog.records if "channel crm" in each.getMessage())

    assert 1 == said.count("its callback URL fails since now: answered 502; next try in 0 s")
    assert 1 == said.count("its callback URL is disabled: answered 502, failing since 20")
    assert 1 == said.count("its callback URL is used again")


@pytest.mark.wire("callback.retries")
def test_gone(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """A 410 disables the URL at once, also for a gateway that starts later; another URL ends it."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        away.answer = Failed("answered 410", gone=True)
        await ends(gateway, 3)
        await until(lambda: gateway.callbacks.health()[0].state == "disabled" and not gateway.world.deliveries)
        assert 1 == len(away.attempts)
        assert 3 == len(await gateway.callbacks.dead())
        passive = await virtual.start({}, passive=True)
        assert gateway.callbacks.health() == passive.callbacks.health()
        away.answer = None
        await gateway.move_callback("crm", "http://127.0.0.1:2/", allow_private=True)
        await ends(gateway)
        await until(lambda: len(away.acknowledged) == 1)
        assert "healthy" == gateway.callbacks.health()[0].state

    virtual.run(flow)


def test_health_on_every_gateway(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """Since when, why and how many are the same everywhere; when the next try is only the owner says."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        passive = await virtual.start({}, passive=True)
        away.answer = Failed("answered 500")
        await ends(gateway, 2)
        await anyio.sleep(60)
        [ours], [theirs] = gateway.callbacks.health(), passive.callbacks.health()
        assert ("failing", "answered 500", 2) == (theirs.state, theirs.reason, theirs.waiting)
        assert (ours.since, ours.last_failure) == (theirs.since, theirs.last_failure)
        assert theirs.next_try is None
        assert ours.next_try is not None
        before = len(away.attempts)
        await until(lambda: len(away.attempts) > before, 400)
        assert abs(virtual.clock() - ours.next_try) < 35_000
        late = await virtual.start({}, passive=True)
        assert theirs.since == late.callbacks.health()[0].since, "from the log alone"

    virtual.run(flow)


@pytest.mark.wire("callback.dead")
def test_replay(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """One by its id, a range, or all; same ids, same texts, no new facts; what is due or a code is left alone."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        await ends(gateway, 5)
        await until(lambda: len(away.acknowledged) == 5 and not gateway.world.deliveries)
        first, *rest = list(away.acknowledged)
        texts = {each["seq"]: each for each in virtual.callbacks}
        facts = (
            len(await events_of(gateway, message.MessageQueued)),
            len(await events_of(gateway, delivery.DeliveryDue)),
        )

        assert 1 == await gateway.callbacks.replay_ids([first])
        await until(lambda: away.acknowledged[5:] == [first] and not gateway.world.deliveries)
        seqs = [delivery.cause(f"delivery/{each}") for each in rest]
        assert 0 == await gateway.callbacks.replay(Selection(first=seqs[1], last=seqs[2])), "they are no dead letters"
        assert 2 == await gateway.callbacks.replay(Selection(first=seqs[1], last=seqs[2]), delivered=True)
        await until(lambda: away.acknowledged[6:] == rest[1:3] and not gateway.world.deliveries)
        assert 0 == await gateway.callbacks.replay(Selection(since=gateway.clock() + 1), delivered=True)
        assert 0 == await gateway.callbacks.replay(Selection(botcode="other"), delivered=True)
        with pytest.raises(NotFound, match="no callback 'evt_1_x'"):
            await gateway.callbacks.replay_ids([first, "evt_1_x"])
        assert not gateway.world.deliveries, "of several, all are replayed or none"
        with pytest.raises(NotFound, match="no channel 'x'"):
            await gateway.callbacks.retry("x")
        assert all(texts[each["seq"]] == each for each in virtual.callbacks)
        assert facts == (
            len(await events_of(gateway, message.MessageQueued)), len(await events_of(gateway, delivery.DeliveryDue)),
        )  # fmt: skip

    virtual.run(flow)


def test_retry_does_not_wait(virtual: Virtual, client: ScriptedClient, away: Away) -> None:
    """`retry` has what waits for hours posted at once, in order."""

    async def flow() -> None:
        gateway = await started(virtual, client)
        away.answer = Failed("answered 500", retry_after_s=40_000)
        await ends(gateway, 3)
        await anyio.sleep(600)
        away.answer = None
        assert 3 == await gateway.callbacks.retry("crm")
        await until(lambda: len(away.acknowledged) == 3, 5)
        assert sorted(away.acknowledged, key=lambda each: delivery.cause(f"delivery/{each}")) == away.acknowledged

    virtual.run(flow)
