"""The contract that holds for every puppet, ours and other people's (design.md, Puppets).

A test supplies a `WeChatDriver`, which moves the WeChat side: it scans codes, kicks, writes as a person would, and
reads what arrived. `checks` names the checks that apply to a puppet with given capabilities; one that does not apply is
not in that list, so nothing is ever skipped in silence:

    @pytest.mark.parametrize("check", checks(MyPuppet.capabilities, MyDriver.abilities), ids=lambda each: each.__name__)
    async def test_contract(check: Check, driver: MyDriver) -> None:
        await check(driver)

A phone that shows digits makes every login ask for them, so `takes_the_digits` is for a driver of its own: `digit_checks`.

Each check wants an account that is logged out and no puppet that runs. Nothing here waits for time to pass: what must
not happen is checked once something later has happened. `LIMIT` only ends a check that hangs.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from wxrc_core.puppet import Capabilities, ReportLoggedIn, ReportLoggedOut, ReportLoginFailed, ReportQrCode
from wxrc_core.testing.puppet_checks import (
    accepts_nothing_for_an_unknown_room,
    deduplicates,
    fakes_a_mention_of_nobody,
    is_not_connected_before_login,
    keeps_every_character,
    keeps_quiet_about_own_messages,
    keeps_the_order,
    mentions_a_member_by_id,
    mentions_a_member_by_name,
    reports_a_direct_message,
    reports_a_mention,
    reports_a_room_message_once,
    reports_again_what_was_not_taken,
    reports_the_rooms,
    reports_what_was_said_meanwhile,
    sends_text_to_a_person,
    sends_text_to_a_room_once,
    tells_that_the_mentioned_is_not_in_the_room,
)
from wxrc_core.testing.puppet_content_checks import (
    accepts_nothing_for_an_unknown_person,
    reports_the_contacts,
    sends_a_card_to_a_person,
    sends_a_card_to_a_room,
    sends_a_large_image,
    sends_an_image_to_a_person,
    sends_an_image_to_a_room,
    takes_the_digits,
)
from wxrc_core.testing.puppet_driver import Ability, MemorySlot, Slot, WeChatDriver, logged_in, running

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
        apply += [
            is_not_connected_before_login,
            sends_text_to_a_room_once,
            keeps_every_character,
            keeps_the_order,
            fakes_a_mention_of_nobody,
        ]
        if "unknown_room" in abilities:
            apply += [accepts_nothing_for_an_unknown_room]
        if capabilities.mentions:
            apply += [mentions_a_member_by_name, mentions_a_member_by_id]
            if "outsider" in abilities:
                apply += [tells_that_the_mentioned_is_not_in_the_room]
        if capabilities.deduplicates:
            apply += [deduplicates]
    if capabilities.contacts:
        apply += [reports_the_contacts]
    if capabilities.contacts and "text" in capabilities.content:
        apply += [sends_text_to_a_person]
        if "unknown_user" in abilities:
            apply += [accepts_nothing_for_an_unknown_person]
    if "app" in capabilities.content:
        apply += [sends_a_card_to_a_room] if capabilities.rooms else []
        apply += [sends_a_card_to_a_person] if capabilities.contacts else []
    if "image" in capabilities.content:
        apply += [sends_an_image_to_a_room, sends_a_large_image] if capabilities.rooms else []
        apply += [sends_an_image_to_a_person] if capabilities.contacts else []
    if capabilities.inbound and capabilities.rooms:
        apply += [reports_a_room_message_once, reports_a_mention]
        if "own" in abilities:
            apply += [keeps_quiet_about_own_messages]
    if capabilities.inbound and capabilities.contacts:
        apply += [reports_a_direct_message]
    if capabilities.inbound and capabilities.rooms and "redeliver" in abilities:
        apply += [reports_again_what_was_not_taken, reports_what_was_said_meanwhile]
    return apply


def digit_checks(abilities: frozenset[Ability]) -> list[Check]:
    """Return the checks for a driver whose phone shows digits on confirmation (ability `digits`)."""
    return [takes_the_digits] if "digits" in abilities else []


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
