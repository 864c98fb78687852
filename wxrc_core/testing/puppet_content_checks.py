"""The part of the puppets' contract that is about people, cards, images and digits; `puppet_contract` says which checks apply."""

import hashlib

from attrs import evolve

from wxrc_core.content import Card
from wxrc_core.puppet import (
    Accepted,
    ImageFile,
    Outgoing,
    ReportContacts,
    ReportDigitsWanted,
    ReportLoggedIn,
    ReportQrCode,
    UserMissing,
)
from wxrc_core.testing.puppet_driver import MemorySlot, WeChatDriver, Written, logged_in, running

CARD = Card(
    title="wxrc: 订单 №42", page_path="pages/order?id=42&from=wxrc", appid="wx0123456789abcdef", username="gh_1@app",
    description="已发货 🚚", thumb_url="https://img.example/42.png", thumb_key="k",
)  # fmt: skip
"""A card with everything that a card can have."""

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
IMAGE = ImageFile(name="wxrc.png", media_type="image/png", data=PNG)
"""A real PNG of one pixel."""


async def reports_the_contacts(driver: WeChatDriver) -> None:
    """After login the contacts are reported, whole in the end, with ids and names."""
    async with logged_in(driver, MemorySlot()) as client:
        report = await client.until(ReportContacts, lambda report: report.complete)
        known = {contact.id: contact for contact in report.contacts}

        assert len(known) == len(report.contacts)
        assert driver.member.name in (known[driver.member.id].name, known[driver.member.id].remark)


async def accepts_nothing_for_an_unknown_person(driver: WeChatDriver) -> None:
    """A person who does not exist is answered with `UserMissing` and a reason, and nothing is recorded."""
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(
            Outgoing(msgid=30, attempt=1, user_id="0-no-such-person", text="wxrc: nobody")
        )

        assert isinstance(outcome, UserMissing), outcome
        assert outcome.reason
        assert not [written for written in await driver.record() if "wxrc: nobody" in written.text]


async def sends_a_card_to_a_room(driver: WeChatDriver) -> None:
    """A card is accepted with a receipt and stands in WeChat's record once, with every field as it was handed over."""
    await _sends_card(driver, Outgoing(msgid=31, attempt=1, room_id=driver.room.id, card=CARD))


async def sends_a_card_to_a_person(driver: WeChatDriver) -> None:
    """The same, to a person."""
    await _sends_card(driver, Outgoing(msgid=32, attempt=1, user_id=driver.member.id, card=CARD))


async def sends_an_image_to_a_room(driver: WeChatDriver) -> None:
    """An image is accepted with a receipt and arrives once, byte by byte."""
    await _sends_image(driver, Outgoing(msgid=33, attempt=1, room_id=driver.room.id, image=IMAGE))


async def sends_an_image_to_a_person(driver: WeChatDriver) -> None:
    """The same, to a person."""
    await _sends_image(driver, Outgoing(msgid=34, attempt=1, user_id=driver.member.id, image=IMAGE))


async def sends_a_large_image(driver: WeChatDriver) -> None:
    """An image of 6 MB arrives whole."""
    large = evolve(IMAGE, data=PNG + bytes(range(256)) * 24_000)
    await _sends_image(driver, Outgoing(msgid=35, attempt=1, room_id=driver.room.id, image=large))


async def _sends_card(driver: WeChatDriver, message: Outgoing) -> None:
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(message)
        written = [each for each in await driver.record() if each.card is not None]

        assert isinstance(outcome, Accepted), outcome
        assert "ok" == outcome.mention
        expected = Written(outcome.receipt, "", message.room_id, message.user_id, card=message.card)
        assert [expected] == written


async def _sends_image(driver: WeChatDriver, message: Outgoing) -> None:
    assert message.image is not None
    async with logged_in(driver, MemorySlot()) as client:
        outcome = await client.puppet.send(message)
        written = [each for each in await driver.record() if each.image]

        assert isinstance(outcome, Accepted), outcome
        digest = hashlib.sha256(message.image.data).hexdigest()
        assert [Written(outcome.receipt, "", message.room_id, message.user_id, image=digest)] == written


async def takes_the_digits(driver: WeChatDriver) -> None:
    """Digits that the phone shows are asked for; wrong ones are reported as wrong, the right ones log in."""
    async with running(driver.puppet(MemorySlot())) as client:
        code = await client.until(ReportQrCode)
        await driver.confirm(code.text)
        first = await client.until(ReportDigitsWanted)

        assert not first.wrong
        assert [] == client.all(ReportLoggedIn)

        right = await driver.digits(code.text)
        wrong = f"{(int(right) + 1) % 10 ** len(right):0{len(right)}}"
        await client.puppet.submit_digits(wrong)
        await client.until(ReportDigitsWanted, lambda report: report.wrong)
        await client.puppet.submit_digits(right)
        await client.until(ReportLoggedIn)
