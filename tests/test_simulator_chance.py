"""The simulator under a seed, in memory, and what its record outlives."""

from pathlib import Path
from random import Random

import anyio
import pytest

from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    Outgoing,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportQrCode,
    ReportRooms,
    RoomMissing,
)
from wxrc_core.testing.puppet_driver import MemorySlot, running
from wxrc_puppet import PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat
from wxrc_puppet.simulator.news import News

pytestmark = pytest.mark.anyio


def _puppet(wechat: SimulatedWeChat, session: MemorySlot | None = None) -> SimulatedPuppet:
    context = PuppetContext(
        botcode="demo",
        options={"startup_ms": "0", "sync_ms": "0", "digits": "off"},
        session=session or MemorySlot(),
        clock=lambda: 1_795_000_000_000,
        login_kind="web",
        public_url="http://sim.test",
    )
    return SimulatedPuppet(context, wechat)


async def _story(seed: int) -> list[str]:
    """Log in, send and be written to; return everything that was reported and recorded."""
    with SimulatedWeChat(":memory:", clock=lambda: 1_795_000_000_000, chance=Random(seed)) as wechat:
        session = MemorySlot()
        async with running(_puppet(wechat, session)) as client:
            code = await client.until(ReportQrCode)
            wechat.logins.confirm(code.text.rpartition("/")[2])
            await client.until(ReportRooms)
            room = wechat.directory.rooms("demo")[0]
            outcome = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="你好"))
            wechat.messages.say("demo", "在吗", room=room.id, sender="新来的人")
            await client.until_message("在吗")

            return [*map(repr, client.reports), repr(outcome), repr(session.credentials)]


async def test_the_same_seed_gives_the_same_story() -> None:
    """All ids, codes and sessions come from one source of chance (promise 17)."""
    assert await _story(1) == await _story(1)
    assert await _story(1) != await _story(2)


async def test_a_dissolved_room_is_missing() -> None:
    """A message to a room that was dissolved is answered with `RoomMissing`, before the client has heard of it as well."""
    with SimulatedWeChat(":memory:") as wechat:
        async with running(_puppet(wechat)) as client:
            wechat.logins.confirm((await client.until(ReportQrCode)).text.rpartition("/")[2])
            await client.until(ReportRooms)
            room = wechat.directory.rooms("demo")[0]
            wechat.directory.dissolve_room("demo", room.id)
            outcome = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="你好"))

            assert isinstance(outcome, RoomMissing)
            assert [] == wechat.messages.record("demo")


async def test_a_client_that_is_out_is_not_connected() -> None:
    """Once the account is kicked, a message is answered with `NotConnected`, also before the client has reported it."""
    with SimulatedWeChat(":memory:") as wechat:
        async with running(_puppet(wechat)) as client:
            wechat.logins.confirm((await client.until(ReportQrCode)).text.rpartition("/")[2])
            await client.until(ReportLoggedIn)
            room = wechat.directory.rooms("demo")[0]
            wechat.logins.kick("demo")
            outcome = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="你好"))
            await client.until(ReportLoggedOut)

            assert isinstance(outcome, NotConnected)
            assert [] == wechat.messages.record("demo")


async def test_a_send_wakes_no_client() -> None:
    """What one bot's client sends concerns neither its own loop nor those of the other bots; what people write concerns one."""
    with SimulatedWeChat(":memory:") as wechat:
        async with running(_puppet(wechat)) as client:
            wechat.ensure_account("other", {})
            wechat.logins.confirm((await client.until(ReportQrCode)).text.rpartition("/")[2])
            await client.until(ReportRooms)
            mine, other, pages = wechat.news.of("demo").number, wechat.news.of("other").number, wechat.news.number
            room = wechat.directory.rooms("demo")[0]
            outcome = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="你好"))

            assert isinstance(outcome, Accepted)
            assert (mine, other) == (wechat.news.of("demo").number, wechat.news.of("other").number)
            assert pages < wechat.news.number

            wechat.messages.say("demo", "在吗", room=room.id, sender="赵立伟")

            assert mine < wechat.news.of("demo").number
            assert other == wechat.news.of("other").number


async def test_closing_wakes_every_waiter() -> None:
    """Whatever waits for news, of one bot or of all, is woken when the simulator closes."""
    news, woken = News(), []

    async def wait(of: News) -> None:
        await of.after(of.number)
        woken.append(of)

    with anyio.fail_after(0.9):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, news)
            tasks.start_soon(wait, news.of("demo"))
            await anyio.wait_all_tasks_blocked()
            news.tell_all()

    assert 2 == len(woken)


def test_the_record_is_in_the_file_without_closing(tmp_path: Path) -> None:
    """What a call wrote can be read by another process at once, which is why it outlives a kill of this one."""
    wechat = SimulatedWeChat(tmp_path / "simulator.db")
    wechat.ensure_account("demo", {})
    room = wechat.directory.rooms("demo")[0]
    wechat.messages.say("demo", "在吗", room=room.id, sender="赵立伟")
    with SimulatedWeChat(tmp_path / "simulator.db") as other:
        assert ["在吗"] == [message.text for message in other.messages.waiting("demo")]
    wechat.close()
