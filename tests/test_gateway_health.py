"""What a gateway knows of itself: whether its store works, without traffic; and a wrong order of calls, said in a sentence."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from wxrc_core.errors import Unavailable
from wxrc_core.log import Entry, Recorded
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_core.testing.store_contract import queued
from wxrc_gateway import Gateway, NotEntered, PuppetKind
from wxrc_store import MemoryStore, StoreError

pytestmark = pytest.mark.anyio

LIMIT_S = 20
FULL = "The store /var/lib/wxrc/wxrc.db cannot be used now: the disk is full."


class Probed(MemoryStore):
    """A store whose probe does what a test says."""

    answer: Callable[[], Awaitable[None]] | None = None
    probes = 0
    unreadable = False

    async def probe(self) -> None:
        """See `Store.probe`."""
        self.probes += 1
        if self.answer is not None:
            await self.answer()

    async def read_all(self, after: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """See `Store.read_all`."""
        if self.unreadable:
            raise StoreError("the database does not answer")
        return await super().read_all(after, limit)


async def full() -> None:
    """Answer as on a full disk."""
    raise StoreError(FULL)


async def broken() -> None:
    """Fail in a way that no store should."""
    raise ZeroDivisionError("a secret")


def gateway_on(store: MemoryStore) -> Gateway:
    """Return a gateway whose store is asked often."""
    client = ScriptedClient()
    return Gateway(
        store=store, puppets={"scripted": PuppetKind(client.create, client.capabilities)}, probe_every_s=0.01
    )


async def until(there: Callable[[], bool]) -> None:
    """Wait until this is true."""
    with anyio.fail_after(LIMIT_S):
        while not there():
            await anyio.sleep(0.005)


# -- health -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (full, FULL),
        (broken, "the store failed in a way that it should not (ZeroDivisionError in broken"),
        (anyio.sleep_forever, "the store did not answer within 0.9 s"),
    ],
)
async def test_a_failing_store(
    answer: Callable[[], Awaitable[None]], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure shows in `health` without traffic, with its reason; one WARNING says that it began, and another that it is over."""
    caplog.set_level(logging.WARNING, "wxrc.gateway")
    store = Probed()
    async with gateway_on(store) as gateway:
        well = gateway.health()
        store.answer = answer
        await until(lambda: gateway.health().status == "failing")
        failing, probes = gateway.health(), store.probes
        await until(lambda: store.probes > probes + (1 if answer is anyio.sleep_forever else 5))
        later = gateway.health()
        store.answer = None
        await until(lambda: gateway.health().status == "ok")

    assert ("ok", "") == (well.status, well.reason)
    assert failing.reason.startswith(reason)
    assert well.since <= failing.since
    assert failing.since == later.since
    began, over = (record.getMessage() for record in caplog.records)
    assert began.startswith("the store fails since ")
    assert reason in began
    assert over.startswith("the store works again; it failed for ")
    assert "a secret" not in began


@pytest.mark.slow
async def test_a_log_that_cannot_be_read_shows_too() -> None:
    """A store that can be written to and not read is no healthy one."""
    store = Probed()
    async with gateway_on(store) as gateway:
        store.unreadable = True
        await store.append([Entry("s", 0, [queued()])])  # wakes the follower
        await until(lambda: gateway.health().status == "failing")
        reason = gateway.health().reason
        store.unreadable = False
        await until(lambda: gateway.health().status == "ok")

    assert "the database does not answer" == reason


async def test_the_phases_of_a_life() -> None:
    """Made, starting, up, draining, left: each is told, and since when."""
    seen: list[str] = []

    class Slow(MemoryStore):
        async def __aenter__(self) -> "Slow":
            seen.append(gateway.health().status)
            return await super().__aenter__()

        async def __aexit__(self, *error: object) -> None:
            seen.append(gateway.health().status)
            await super().__aexit__(None, None, None)

    gateway = gateway_on(Slow())
    seen.append(gateway.health().status)
    async with gateway:
        seen.append(gateway.health().status)
    seen.append(gateway.health().status)

    assert ["stopped", "starting", "ok", "draining", "stopped"] == seen


# -- a wrong order of calls ---------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Gateway], Awaitable[object]]] = {
    "login": lambda gateway: gateway.login("demo"),
    "logout": lambda gateway: gateway.logout("demo"),
    "stop": lambda gateway: gateway.stop("demo"),
    "send_text": lambda gateway: gateway.send_text("demo", "你好", room="一群"),
    "add_bot": lambda gateway: gateway.add_bot("demo", "scripted"),
    "add_channel": lambda gateway: gateway.add_channel("crm"),
    "grant_bot": lambda gateway: gateway.grant_bot("crm", "demo"),
    "move_callback": lambda gateway: gateway.move_callback("crm", ""),
    "execute": lambda gateway: gateway.execute("bot/demo", None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_call_outside(call: Callable[[Gateway], Awaitable[object]]) -> None:
    """Before the gateway is entered and after it was left, a call says so and what to do."""
    gateway = gateway_on(MemoryStore())
    with pytest.raises(NotEntered, match="not running; enter it first, with `async with gateway"):
        await call(gateway)
    async with gateway:
        pass
    with pytest.raises(NotEntered, match="was left and runs no more"):
        await call(gateway)


async def test_looking_before_entering() -> None:
    """What is looked up before the log was read is refused in the same way; afterwards it shows how things stood at the end."""
    gateway = gateway_on(MemoryStore())
    for look in (lambda: gateway.view, lambda: gateway.world, lambda: gateway.bot("demo"), lambda: gateway.events()):
        with pytest.raises(NotEntered, match="not running"):
            look()
    async with gateway:
        await gateway.add_bot("demo", "scripted")

    assert gateway.bot("demo") is not None


async def test_entered_twice() -> None:
    """A gateway that is entered already says so and goes on; one that was left can be entered again."""
    gateway = gateway_on(MemoryStore())
    async with gateway:
        with pytest.raises(NotEntered, match="entered already"):
            await gateway.__aenter__()
        await gateway.add_bot("demo", "scripted")
    async with gateway:
        again = gateway.bot("demo")

    assert again is not None


async def test_an_event_stream_ends_with_its_gateway() -> None:
    """Who iterates over the events is not left waiting for ever when the gateway goes."""
    ended = anyio.Event()
    gateway = gateway_on(MemoryStore())

    async def follow() -> None:
        async for _ in gateway.events():
            pass
        ended.set()

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks, gateway:
            tasks.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
        assert ended.is_set()


async def test_a_call_while_it_goes_down() -> None:
    """While the gateway is coming up or going down a call is to be tried again: it is unavailable, not wrong."""
    refused: list[str] = []

    class Asked(MemoryStore):
        async def __aexit__(self, *error: object) -> None:
            try:
                await gateway.login("demo")
            except Unavailable as unavailable:
                refused.append(str(unavailable))
            await super().__aexit__(None, None, None)

    gateway = gateway_on(Asked())
    async with gateway:
        pass

    assert ["the gateway is shutting down; try again shortly"] == refused
