"""People, cards, images, cancelling and digits, as an application embeds the gateway: a real store, the simulator, a real web server."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tests.images import png
from tests.test_gateway import kinds, log_in, running, until
from tests.test_webhook_fetch import ANSWERS, server, url  # noqa: F401 - a fixture
from wxrc_core import bot, message
from wxrc_core.content import Card
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.message import MessageState, send_status
from wxrc_gateway import Gateway
from wxrc_puppet.simulator import SimulatedWeChat
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

ROOM = "客服一群"
CARD = Card(
    title="订单 №42", page_path="pages/order?id=42", appid="wx1", description="已发货", thumb_url="https://x/1.png"
)
PNG = png()


@asynccontextmanager
async def at_work(folder: Path, **settings: object) -> AsyncIterator[tuple[Gateway, SimulatedWeChat]]:
    """Run a gateway whose bot `demo` is logged in and knows its contacts."""
    async with running(folder, **settings) as (gateway, world):
        await log_in(gateway, world)
        await until(gateway, lambda: gateway.bot("demo").contacts_complete)  # type: ignore[union-attr]
        yield gateway, world


async def test_texts_and_cards_to_rooms_and_people(tmp_path: Path) -> None:
    """A room by its name, a person by nickname, by remark and by id; what arrives is what was sent."""
    async with at_work(tmp_path) as (gateway, world):
        person = world.directory.person("demo", "赵立伟")
        world.directory.set_remark("demo", person.id, "赵经理")
        await until(gateway, lambda: gateway.bot("demo").contacts[person.id].remark == "赵经理")  # type: ignore[union-attr]
        sent = [
            await gateway.send_text("demo", "你好", user="钱多多", wait_s=10),
            await gateway.send_text("demo", "您好", user="赵经理", wait_s=10),
            await gateway.send_app("demo", CARD, user_id=person.id, wait_s=10),
            await gateway.send_app("demo", CARD, room=ROOM, wait_s=10),
        ]
        missing = await gateway.send_text("demo", "?", user="没有这个人", wait_s=10)
        record = world.messages.record("demo")

    assert [("1", "")] * 4 == [send_status(each.message) for each in sent]
    assert ("2", "") == send_status(missing.message)
    assert [("钱多多", "你好", None), ("赵立伟", "您好", None), ("赵立伟", "", CARD), (ROOM, "", CARD)] == [
        (each.place, each.text, each.card) for each in record
    ]


async def test_images_from_bytes_folder_and_url(tmp_path: Path, server: Any) -> None:  # noqa: F811
    """Bytes, a name in the media folder and a URL: each arrives byte by byte, in the order in which they were accepted."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(10, 10))
    ANSWERS["/b.png"] = (200, {"Content-Type": "text/plain"}, png(20, 20))
    async with at_work(tmp_path, media_folder=folder) as (gateway, world):
        asked = [
            await gateway.send_image("demo", url(server, "/b.png"), room=ROOM),
            await gateway.send_image("demo", "a.png", room=ROOM),
            await gateway.send_image("demo", PNG, room=ROOM),
            await gateway.send_text("demo", "最后", room=ROOM, wait_s=20),
        ]
        pictures = [world.messages.picture(each.picture) for each in world.messages.record("demo") if each.picture]
        ends = [await gateway.message(each.msgid) for each in asked]

    assert [("1", "")] * 4 == [send_status(end.message) for end in ends if end is not None]
    assert [("image/png", png(20, 20)), ("image/png", png(10, 10)), ("image/png", PNG)] == pictures
    assert 1 == len([path for path, _ in server.seen if path == "/b.png"])


async def test_images_that_cannot_be_sent(tmp_path: Path, server: Any) -> None:  # noqa: F811
    """What is not there is 3 with a reason; what is there and is no image fails; the conversation goes on."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "page.png").write_bytes(b"<html>")
    (folder / "link.png").symlink_to("/etc/passwd")
    sources = [
        "missing.png",
        "link.png",
        url(server, "/missing"),
        url(server, "/redirect"),
        "page.png",
        url(server, "/there"),
    ]
    async with at_work(tmp_path, media_folder=folder) as (gateway, world):
        for source in sources:
            await gateway.send_image("demo", source, room=ROOM)
        last = await gateway.send_text("demo", "最后", room=ROOM, wait_s=30)
        texts = [each.text for each in world.messages.record("demo")]
        history = [each.event for each in await gateway.store.read_all(0, 10_000)]

    failed = [each for each in history if isinstance(each, message.MessageFailed)]
    assert ["no_file"] * 4 + ["failed"] * 2 == sorted((each.reason for each in failed), reverse=True)
    assert MessageState.SENT is last.message.state
    assert ["最后"] == texts


async def test_an_image_of_a_stopped_gateway_is_fetched_by_the_next(tmp_path: Path, server: Any) -> None:  # noqa: F811
    """An image is fetched also while its bot is logged out, and what was stored is sent after a restart without another fetch."""
    ANSWERS["/c.png"] = (200, {}, PNG)
    async with running(tmp_path) as (gateway, world):
        asked = await gateway.send_image("demo", url(server, "/c.png"), room=ROOM)
        stream = asked.history[0].stream
        await until(gateway, lambda: bool(gateway.world.messages[stream].state.image.digest))  # type: ignore[union-attr]
    async with at_work(tmp_path) as (gateway, world):
        await until(gateway, lambda: not gateway.world.messages)
        [written] = world.messages.record("demo")

    assert hashlib.sha256(PNG).hexdigest() == written.picture
    assert 1 == len(server.seen)


async def test_a_stored_image_that_is_gone(tmp_path: Path) -> None:
    """Where the media store has lost it, the message ends as 3, and nothing is handed over."""
    async with running(tmp_path) as (gateway, world):
        asked = await gateway.send_image("demo", PNG, room=ROOM)
        for path in (tmp_path / "wxrc.db-media").iterdir():
            path.unlink()
        await log_in(gateway, world)
        await until(gateway, lambda: not gateway.world.messages)
        end = await gateway.message(asked.msgid)
        record = world.messages.record("demo")

    assert end is not None
    assert (("3", "failed"), "the stored image is gone", []) == (send_status(end.message), end.message.detail, record)


async def test_arguments_are_checked(tmp_path: Path) -> None:
    """What cannot be sent is refused by name, and nothing is recorded."""
    async with running(tmp_path) as (gateway, _):
        before = gateway.world.position
        for wrong in (
            {"room": "a", "user": "b"},
            {},
            {"room_id": "a", "user_id": "b"},
        ):
            with pytest.raises(Refusal, match="one of the four"):
                await gateway.send_text("demo", "x", **wrong)
        with pytest.raises(Refusal, match="mention"):
            await gateway.send_text("demo", "x", user="b", mention=["c"])
        with pytest.raises(InvalidValue, match="title"):
            await gateway.send_app("demo", Card(title="", page_path="p", appid="w"), room=ROOM)
        with pytest.raises(Refusal, match="appid"):
            await gateway.send_app("demo", Card(title="t", page_path="p"), room=ROOM)
        with pytest.raises(InvalidValue, match="not a PNG"):
            await gateway.send_image("demo", b"<html>", room=ROOM)
        with pytest.raises(Refusal, match="media folder"):
            await gateway.send_image("demo", "../a.png", room=ROOM)
        with pytest.raises(Refusal, match="there is no bot"):
            await gateway.send_image("nobody", PNG, room=ROOM)

        assert before == gateway.world.position


async def test_a_puppet_that_cannot(tmp_path: Path) -> None:
    """A kind of puppet without cards refuses them by name; where it loses the ability later, the queued message fails as unsupported."""
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        full = kinds(world)
        poor = {
            "simulator": attrs.evolve(
                full["simulator"],
                capabilities=attrs.evolve(full["simulator"].capabilities, content=frozenset({"text"})),
            )
        }
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=full) as gateway:
            await gateway.add_bot("demo", "simulator", options={"startup_ms": "0"})
            asked = await gateway.send_app("demo", CARD, room=ROOM)
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=poor) as gateway:
            with pytest.raises(Refusal, match="unsupported: app"):
                await gateway.send_app("demo", CARD, room=ROOM)
            await log_in(gateway, world)
            await until(gateway, lambda: not gateway.world.messages)
            end = await gateway.message(asked.msgid)

    assert end is not None
    assert ("-1", "unsupported") == send_status(end.message)


async def test_cancelling(tmp_path: Path) -> None:
    """A held message is cancelled and never goes; again is the same; one that was sent is refused."""
    async with running(tmp_path) as (gateway, world):
        held = await gateway.send_text("demo", "不要发", room=ROOM)
        cancelled = await gateway.cancel(held.msgid)
        again = await gateway.cancel(held.msgid)
        await log_in(gateway, world)
        sent = await gateway.send_text("demo", "要发", room=ROOM, wait_s=10)
        with pytest.raises(Refusal, match="only a queued message"):
            await gateway.cancel(sent.msgid)
        with pytest.raises(Refusal, match="no message"):
            await gateway.cancel(10**6)
        record = world.messages.record("demo")

    assert [("-1", "cancelled")] * 2 == [send_status(each.message) for each in (cancelled, again)]
    assert ["要发"] == [each.text for each in record]


async def test_digits_log_a_bot_in(tmp_path: Path) -> None:
    """Wrong digits are asked for again, the right ones log in; the log and the vault keep none."""
    with SimulatedWeChat(tmp_path / "simulator.db") as world:
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets=kinds(world)) as gateway:
            await gateway.add_bot("demo", "simulator", options={"startup_ms": "0", "digits": "on"})
            await gateway.login("demo")
            await until(gateway, lambda: gateway.bot("demo").qr is not None)  # type: ignore[union-attr]
            code = world.logins.open_code("demo")
            assert code is not None
            world.logins.confirm(code.token)
            await until(gateway, lambda: gateway.bot("demo").phase == "digits_wanted")  # type: ignore[union-attr]
            wrong = f"{(int(code.digits) + 1) % 1_000_000:06}"
            await gateway.submit_code("demo", wrong)
            with anyio.fail_after(20):
                async for recorded in gateway.events(after=0):
                    if isinstance(recorded.event, bot.DigitsWanted) and recorded.event.wrong:
                        break
            await gateway.submit_code("demo", code.digits)
            await until(gateway, lambda: gateway.bot("demo").ready)  # type: ignore[union-attr]
            log = repr([each.event for each in await gateway.store.read_all(0, 10_000)])
            submitted = [
                each.event
                for each in await gateway.store.read_all(0, 10_000)
                if isinstance(each.event, bot.DigitsSubmitted)
            ]
            left = [await gateway.vault.get(f"bot/demo/digits/{each.secret_id}") for each in submitted]

    assert 2 == len(submitted)
    assert [None, None] == left
    assert f"'{code.digits}'" not in log
    assert f"'{wrong}'" not in log
