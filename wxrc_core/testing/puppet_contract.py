"""The contract that holds for every puppet, ours and other people's (design.md, Puppets).

A test supplies a `WeChatDriver`, which moves the WeChat side: it scans codes, kicks, writes as a person would, and
reads what arrived. `checks` names the checks that apply to a puppet with given capabilities; one that does not apply is
not in that list, so nothing is ever skipped in silence:

    @pytest.mark.parametrize("check", checks(MyPuppet.capabilities, MyDriver.abilities), ids=lambda each: each.__name__)
    async def test_contract(check: Check, driver: MyDriver) -> None:
        await check(driver)

Each check wants an account that is logged out and no puppet that runs. Nothing here waits for time to pass: what must
not happen is checked once something later has happened. `LIMIT` only ends a check that hangs.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from attrs import evolve

from wxrc_core.puppet import (
    Accepted,
    Capabilities,
    Outgoing,
    Report,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportRooms,
    Room,
)
from wxrc_core.testing.puppet_driver import (
    FAKE_MENTION_END,
    LIMIT,
    Ability,
    MemorySlot,
    Slot,
    WeChatDriver,
    Written,
    logged_in,
    running,
)

Check: TypeAlias = Callable[[WeChatDriver], Awaitable[None]]


def checks(capabilities: Capabilities, abilities: frozenset[Ability]) -> list[Check]:
    """Return the checks that apply to a puppet with these capabilities under a driver with these abilities."""
    apply: list[Check] = [
        logs_in_by_code,
        logs_in_from_the_stored_session,
        stays_logged_in_when_cancelled,
        stays_logged_in_when_released,
        signs_out,
        needs_a_code_after_signing_out,
    ]
    if "refuse" in abilities:
        apply += [reports_a_refusal]
    if "expire" in abilities:
        apply += [issues_a_new_code_for_an_expired_one]
    if "kick" in abilities:
        apply += [reports_being_kicked]
    if capabilities.rooms:
        apply += [reports_the_rooms]
    if capabilities.rooms and "text" in capabilities.content:
        apply += [sends_text_to_a_room_once, keeps_every_character, keeps_the_order, fakes_a_mention_of_nobody]
        if "unknown_room" in abilities:
            apply += [accepts_nothing_for_an_unknown_room]
        if capabilities.mentions:
            apply += [mentions_a_member_by_name, mentions_a_member_by_id]
            if "outsider" in abilities:
                apply += [tells_that_the_mentioned_is_not_in_the_room]
        if capabilities.deduplicates:
            apply += [deduplicates]
    if capabilities.contacts and "text" in capabilities.content:
        apply += [sends_text_to_a_person]
    if capabilities.inbound and capabilities.rooms:
        apply += [reports_a_room_message_once, reports_a_mention]
        if "own" in abilities:
            apply += [keeps_quiet_about_own_messages]
    if capabilities.inbound and capabilities.contacts:
        apply += [reports_a_direct_message]
    if capabilities.inbound and capabilities.rooms and "redeliver" in abilities:
        apply += [reports_again_what_was_not_taken, reports_what_was_said_meanwhile]
    return apply


# -- login -----------------------------------------------------------------------------------------


async def logs_in_by_code(driver: WeChatDriver) -> None:
    """A client without a session shows a code; once it is confirmed the account is logged in, with id and name."""
    async with running(driver.puppet(MemorySlot())) as client:
        code = await client.until(ReportQrCode)

        assert code.text
        assert code.expires_at > code.at
        assert [] == client.all(ReportLoggedIn)

        await driver.confirm(code.text)
        account = await client.until(ReportLoggedIn)

        assert account.wxid
        assert account.name


async def reports_a_refusal(driver: WeChatDriver) -> None:
    """A login refused on the phone is reported with a reason and ends the run."""
    async with running(driver.puppet(MemorySlot())) as client:
        await driver.refuse((await client.until(ReportQrCode)).text)
        failed = await client.until(ReportLoginFailed)
        await client.ended.wait()

        assert failed.reason
        assert [] == client.all(ReportLoggedIn)


async def issues_a_new_code_for_an_expired_one(driver: WeChatDriver) -> None:
    """A code that expires is followed by another one, and that one logs in."""
    async with running(driver.puppet(MemorySlot())) as client:
        first = await client.until(ReportQrCode)
        await driver.expire(first.text)
        second = await client.until(ReportQrCode, lambda code: code.text != first.text)
        await driver.confirm(second.text)

        await client.until(ReportLoggedIn)


async def logs_in_from_the_stored_session(driver: WeChatDriver) -> None:
    """A second client with the stored session logs in to the same account without showing a code."""
    session = MemorySlot()
    async with logged_in(driver, session) as first:
        account = await first.until(ReportLoggedIn)
    await _logs_in_without_a_code(driver, session, account)


async def stays_logged_in_when_cancelled(driver: WeChatDriver) -> None:
    """Cancelling `run` again and again leaves the account logged in."""
    session = MemorySlot()
    async with logged_in(driver, session) as first:
        account = await first.until(ReportLoggedIn)
    for _ in range(2):
        await _logs_in_without_a_code(driver, session, account)


async def stays_logged_in_when_released(driver: WeChatDriver) -> None:
    """`release` stops the client and keeps the session: the next login needs no scan."""
    session = MemorySlot()
    async with logged_in(driver, session) as first:
        account = await first.until(ReportLoggedIn)
        await first.puppet.release()

        assert [] == first.all(ReportLoggedOut)

    await _logs_in_without_a_code(driver, session, account)


async def _logs_in_without_a_code(driver: WeChatDriver, session: Slot, account: ReportLoggedIn) -> None:
    async with running(driver.puppet(session)) as client:
        again = await client.until(ReportLoggedIn)

        assert [] == client.all(ReportQrCode)
        assert (account.wxid, account.name) == (again.wxid, again.name)


async def signs_out(driver: WeChatDriver) -> None:
    """`sign_out` ends the session: it is reported with a reason, `run` returns, the stored session is gone."""
    session = MemorySlot()
    async with logged_in(driver, session) as client:
        await client.puppet.sign_out()
        out = await client.until(ReportLoggedOut)
        await client.ended.wait()

        assert out.reason
        assert session.credentials is None


async def needs_a_code_after_signing_out(driver: WeChatDriver) -> None:
    """After `sign_out` a new client with the same stored session shows a code again."""
    session = MemorySlot()
    async with logged_in(driver, session) as client:
        await client.puppet.sign_out()
        await client.ended.wait()
    async with running(driver.puppet(session)) as again:
        await again.until(ReportQrCode)

        assert [] == again.all(ReportLoggedIn)


async def reports_being_kicked(driver: WeChatDriver) -> None:
    """A client that is kicked by another device reports it with a reason, ends, and needs a code the next time."""
    session = MemorySlot()
    async with logged_in(driver, session) as client:
        await driver.kick()
        out = await client.until(ReportLoggedOut)
        await client.ended.wait()

        assert out.reason
    async with running(driver.puppet(session)) as again:
        await again.until(ReportQrCode)


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


async def accepts_nothing_for_an_unknown_room(driver: WeChatDriver) -> None:
    """A room that does not exist is refused with a reason, and nothing is recorded."""
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(Outgoing(msgid=3, attempt=1, room_id="0@no-such-room", text="wxrc: nowhere"))

        assert not isinstance(outcome, Accepted)
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
