"""The part of the puppets' contract that is about rooms and messages; `puppet_contract` says which checks apply."""

import anyio
from attrs import evolve

from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    Outgoing,
    Report,
    ReportMessage,
    ReportQrCode,
    ReportRooms,
    Room,
    RoomMissing,
)
from wxrc_core.testing.puppet_driver import (
    FAKE_MENTION_END,
    LIMIT,
    MemorySlot,
    WeChatDriver,
    Written,
    logged_in,
    running,
)

# -- rooms and sending -----------------------------------------------------------------------------


async def reports_the_rooms(driver: WeChatDriver) -> None:
    """After login the rooms are reported, whole in the end, with ids and topics."""
    async with logged_in(driver, MemorySlot()) as client:
        rooms = await client.until(ReportRooms, lambda report: report.complete)

        assert driver.room in rooms.rooms
        assert len(rooms.rooms) == len({room.id for room in rooms.rooms})


async def sends_text_to_a_room_once(driver: WeChatDriver) -> None:
    """A text is accepted with a receipt and stands in WeChat's record once, under that receipt."""
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=driver.room.id, text="wxrc: to a room"))
        written = await _written(driver, "wxrc: to a room")

        assert isinstance(outcome, Accepted), outcome
        assert outcome.receipt
        assert "ok" == outcome.mention
        assert [Written(receipt=outcome.receipt, text="wxrc: to a room", room_id=driver.room.id)] == written


async def keeps_every_character(driver: WeChatDriver) -> None:
    """Chinese, emoji, line ends, quotes, markup and marks of direction arrive as they were handed over."""
    text = 'wxrc: 您好，订单 №42 已发货 🚚👨‍👩‍👧\n\t「引号」 "q" <img src=x onerror=alert(1)> \u202e\u200f\\ %s {{7*7}}'
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(Outgoing(msgid=2, attempt=1, room_id=driver.room.id, text=text))

        assert isinstance(outcome, Accepted), outcome
        assert [text] == [written.text for written in await _written(driver, "wxrc: 您好")]


async def keeps_the_order(driver: WeChatDriver) -> None:
    """Messages sent one after the other arrive in that order, each with a receipt of its own."""
    texts = [f"wxrc: number {number}" for number in range(5)]
    async with logged_in(driver, MemorySlot()) as client:
        outcomes = [
            await client.puppet.send(Outgoing(msgid=10 + number, attempt=1, room_id=driver.room.id, text=text))
            for number, text in enumerate(texts)
        ]
        receipts = [outcome.receipt for outcome in outcomes if isinstance(outcome, Accepted)]

        assert texts == [written.text for written in await _written(driver, "wxrc: number")]
        assert receipts == [written.receipt for written in await _written(driver, "wxrc: number")]
        assert len(texts) == len(set(receipts))


async def is_not_connected_before_login(driver: WeChatDriver) -> None:
    """A message that is handed over before the login is answered with `NotConnected`: for certain nothing was sent."""
    message = Outgoing(msgid=3, attempt=1, room_id=driver.room.id, text="wxrc: too early")
    async with running(driver.puppet(MemorySlot())) as client:
        await client.until(ReportQrCode)
        outcome = await client.puppet.send(message)

        assert isinstance(outcome, NotConnected), outcome
        assert outcome.reason
        assert [] == await _written(driver, "wxrc: too early")


async def accepts_nothing_for_an_unknown_room(driver: WeChatDriver) -> None:
    """A room that does not exist is answered with `RoomMissing` and a reason, and nothing is recorded."""
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(Outgoing(msgid=3, attempt=1, room_id="0@no-such-room", text="wxrc: nowhere"))

        assert isinstance(outcome, RoomMissing), outcome
        assert outcome.reason
        assert [] == await _written(driver, "wxrc: nowhere")


async def sends_text_to_a_person(driver: WeChatDriver) -> None:
    """A text to a person is accepted with a receipt and recorded once."""
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(Outgoing(msgid=4, attempt=1, user_id=driver.member.id, text="wxrc: to you"))

        assert isinstance(outcome, Accepted), outcome
        expected = [Written(receipt=outcome.receipt, text="wxrc: to you", user_id=driver.member.id)]
        assert expected == await _written(driver, "wxrc: to you")


async def mentions_a_member_by_name(driver: WeChatDriver) -> None:
    """A display name that is in the room becomes a real mention."""
    await _mentions_the_member(driver, Outgoing(msgid=5, attempt=1, mention_names=(driver.member.name,)))


async def mentions_a_member_by_id(driver: WeChatDriver) -> None:
    """A WeChat id that is in the room becomes a real mention."""
    await _mentions_the_member(driver, Outgoing(msgid=6, attempt=1, mention_id=driver.member.id))


async def _mentions_the_member(driver: WeChatDriver, message: Outgoing) -> None:
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(evolve(message, room_id=driver.room.id, text="wxrc: look here"))
        [written] = await _written(driver, "wxrc: look here")

        assert Accepted(written.receipt, "ok") == outcome
        assert (driver.member.id,) == written.mentions


async def tells_that_the_mentioned_is_not_in_the_room(driver: WeChatDriver) -> None:
    """A known person who is not in the room gets a mention in the text only, and the outcome says so."""
    message = Outgoing(
        msgid=7, attempt=1, room_id=driver.room.id, text="wxrc: elsewhere", mention_names=(driver.outsider.name,)
    )
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(message)
        [written] = await _written(driver, "wxrc: elsewhere")

        assert Accepted(written.receipt, "not_in_room") == outcome
        assert () == written.mentions
        assert f"@{driver.outsider.name}{FAKE_MENTION_END}wxrc: elsewhere" == written.text


async def fakes_a_mention_of_nobody(driver: WeChatDriver) -> None:
    """A name that nobody has is put before the text; a puppet with real mentions says that there is no such person."""
    message = Outgoing(msgid=8, attempt=1, room_id=driver.room.id, text="wxrc: hello", mention_names=("查无此人",))
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(message)
        [written] = await _written(driver, "wxrc: hello")

        assert isinstance(outcome, Accepted), outcome
        assert () == written.mentions
        assert f"@查无此人{FAKE_MENTION_END}wxrc: hello" == written.text
        if client.puppet.capabilities.mentions:
            assert "unknown" == outcome.mention


async def deduplicates(driver: WeChatDriver) -> None:
    """Handing over the same message a second time reaches WeChat once and brings the same receipt."""
    message = Outgoing(msgid=9, attempt=1, room_id=driver.room.id, text="wxrc: only once")
    async with logged_in(driver, MemorySlot()) as client:
        first = await client.puppet.send(message)
        second = await client.puppet.send(evolve(message, attempt=2))

        assert first == second
        assert 1 == len(await _written(driver, "wxrc: only once"))


async def _written(driver: WeChatDriver, text: str) -> list[Written]:
    return [written for written in await driver.record() if text in written.text]


# -- what people write -----------------------------------------------------------------------------


async def reports_a_room_message_once(driver: WeChatDriver) -> None:
    """What a member writes in a room is reported once, with ids, names and no mention."""
    async with logged_in(driver, MemorySlot()) as client:
        await driver.say("wxrc: 在吗？", room_id=driver.room.id)
        await driver.say("wxrc: later", room_id=driver.room.id)
        message = await client.until_message("wxrc: 在吗？")
        later = await client.until_message("wxrc: later")

        assert ("text", "wxrc: 在吗？") == (message.kind, message.text)
        assert (driver.member.id, driver.member.name) == (message.from_id, message.from_name)
        assert driver.room == Room(message.room_id, message.room_topic)
        assert not message.mentioned
        assert message.message_id
        assert message.message_id != later.message_id
        assert [message, later] == client.all(ReportMessage)


async def reports_a_mention(driver: WeChatDriver) -> None:
    """A message that mentions the account says so."""
    async with logged_in(driver, MemorySlot()) as client:
        await driver.say("wxrc: 请帮忙", room_id=driver.room.id, mention=True)
        message = await client.until_message("wxrc: 请帮忙")

        assert message.mentioned
        assert driver.room.id == message.room_id


async def reports_a_direct_message(driver: WeChatDriver) -> None:
    """What a person writes to the account directly has no room."""
    async with logged_in(driver, MemorySlot()) as client:
        await driver.say("wxrc: 单独问一下")
        message = await client.until_message("wxrc: 单独问一下")

        assert ("", "") == (message.room_id, message.room_topic)
        assert driver.member.id == message.from_id


async def keeps_quiet_about_own_messages(driver: WeChatDriver) -> None:
    """Neither what the puppet sent nor what the account wrote on its phone is reported as somebody's message."""
    async with logged_in(driver, MemorySlot()) as client:
        await client.puppet.send(Outgoing(msgid=20, attempt=1, room_id=driver.room.id, text="wxrc: from the puppet"))
        await driver.say("wxrc: from my phone", room_id=driver.room.id, own=True)
        await driver.say("wxrc: from somebody", room_id=driver.room.id)
        message = await client.until_message("wxrc: from somebody")

        assert [message] == client.all(ReportMessage)


async def reports_again_what_was_not_taken(driver: WeChatDriver) -> None:
    """A message whose report did not return before the client went is reported again, with the same id."""
    session = MemorySlot()
    async with logged_in(driver, session):
        pass
    puppet, seen, given = driver.puppet(session), [], anyio.Event()

    async def never_durable(report: Report) -> None:
        if isinstance(report, ReportMessage):
            seen.append(report.message_id)
            given.set()
            await anyio.sleep_forever()

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(puppet.run, never_durable)
            await driver.say("wxrc: do not lose me", room_id=driver.room.id)
            await given.wait()
            tasks.cancel_scope.cancel()
    async with logged_in(driver, session) as client:
        message = await client.until_message("wxrc: do not lose me")

        assert seen == [message.message_id]


async def reports_what_was_said_meanwhile(driver: WeChatDriver) -> None:
    """What was said while no client was there is reported at the next login, in order; what was taken is not again."""
    session = MemorySlot()
    async with logged_in(driver, session) as client:
        await driver.say("wxrc: taken", room_id=driver.room.id)
        await client.until_message("wxrc: taken")
    for number in range(3):
        await driver.say(f"wxrc: meanwhile {number}", room_id=driver.room.id)
    async with logged_in(driver, session) as client:
        await client.until_message("wxrc: meanwhile 2")

        expected = [f"wxrc: meanwhile {number}" for number in range(3)]
        assert expected == [message.text for message in client.all(ReportMessage) if "meanwhile" in message.text]
