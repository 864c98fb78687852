"""A person is a conversation like a room; an image waits at its place in the queue until it is stored."""

import pytest

from wxrc_core import codec, message, operation
from wxrc_core.content import Card, Image
from wxrc_core.effects import Claim, Wait
from wxrc_core.errors import Refusal
from wxrc_core.message import MessageQueued, MessageState, send_status
from wxrc_core.puppet import Accepted, Contact, Rejected, ReportContacts, ReportRooms, UserMissing
from wxrc_core.testing.story import BOTCODE, CONTACTS, ROOMS, Story, stream

IMAGE = Image(source="https://img.example/1.png")
CARD = Card(title="订单", page_path="p", appid="wx1")


def told(**settings: str) -> Story:
    """Return a story of a bot that is logged in and knows its rooms and contacts."""
    return Story.with_bot(**settings).log_in(contacts=CONTACTS)


# -- who is meant ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "user_id"),
    [
        ({"user_id": "u1"}, "u1"),
        ({"user_name": "小王"}, "u1"),
        ({"user_name": "王总"}, "u2"),
        ({"user_name": "Lily"}, "u2"),
    ],
)
def test_a_person_by_id_remark_or_nickname(target: dict[str, str], user_id: str) -> None:
    """By id; by remark before nickname; by nickname also where there is a remark."""
    story = told()
    story.queue("1", **target)  # type: ignore[arg-type]
    claim = story.send()

    assert ("", user_id) == (claim.room_id, claim.user_id)
    assert user_id == story.handed[0].user_id


def test_nobody_and_more_than_one() -> None:
    """A person who is not there is sendStatus 2; a nickname of several fails with a sentence; neither is handed over."""
    story = told()
    for txcode, target in (("1", {"user_id": "nobody"}), ("2", {"user_name": "没有"}), ("3", {"user_name": "同名"})):
        story.queue(txcode, **target)  # type: ignore[arg-type]
    story.settle()

    assert [("2", ""), ("2", ""), ("-1", "failed")] == [send_status(story.message(each)) for each in ("1", "2", "3")]
    assert "there is no such person" == story.message("1").detail
    assert "2 people have this name" in story.message("3").detail
    assert [] == story.handed


def test_a_name_waits_for_the_whole_list_and_holds_up_people_only() -> None:
    """While the contacts are not all known, a message by name holds up younger ones to people, and none to rooms."""
    story = Story.with_bot().log_in()
    story.report(ReportContacts(at=0, contacts=CONTACTS[:1], complete=False))
    story.queue("1", user_name="小王")
    story.queue("2", user_id="u1")
    story.queue("3", room_id="r1")

    assert stream("3") == story.send().stream
    assert story.next_claim() is None
    story.report(ReportContacts(at=0, contacts=CONTACTS, complete=True))
    assert [stream("1"), stream("2")] == [story.send().stream, story.send().stream]


def test_a_room_by_name_does_not_hold_up_people() -> None:
    """And the other way round."""
    story = Story.with_bot().log_in(complete=False)
    story.report(ReportContacts(at=0, contacts=CONTACTS, complete=True))
    story.queue("1", room_topic="一群")
    story.queue("2", user_id="u1")

    assert stream("2") == story.send().stream
    story.report(ReportRooms(at=0, rooms=ROOMS, complete=True))
    assert stream("1") == story.send().stream


def test_a_renamed_person_keeps_the_order() -> None:
    """Messages by id and by name to the same person go in accept order, also when the name changes in between."""
    story = told()
    story.queue("1", user_id="u1")
    story.queue("2", user_name="老板")
    story.settle()
    assert MessageState.ROOM_NOT_FOUND == story.message("2").state

    renamed = (Contact("u1", "小王", "老板"), *CONTACTS[1:])
    story.report(ReportContacts(at=0, contacts=renamed, complete=True))
    story.queue("3", user_name="老板")
    story.queue("4", user_id="u1")
    assert [stream("1"), stream("3"), stream("4")] == [story.send().stream for _ in range(3)]


def test_a_removed_contact_is_decided_by_a_complete_list() -> None:
    """A person who is gone from the whole list is not found; from a part of it nothing follows."""
    story = told()
    story.queue("1", user_id="u1")
    story.report(ReportContacts(at=0, contacts=CONTACTS[1:], complete=False))
    story.settle()
    assert MessageState.QUEUED is story.message("1").state

    story.report(ReportContacts(at=0, contacts=CONTACTS[1:], complete=True))
    story.settle()
    assert MessageState.ROOM_NOT_FOUND is story.message("1").state


def test_the_client_says_that_a_person_is_missing() -> None:
    """`UserMissing` ends the message where the list is complete, and returns it to the queue where it is not."""
    story = told()
    story.queue("1", user_id="u1")
    story.send(UserMissing("deleted us"))
    story.report(ReportContacts(at=0, contacts=CONTACTS, complete=False))
    story.queue("2", user_id="u1")
    story.send(UserMissing("deleted us"))

    assert [MessageState.ROOM_NOT_FOUND, MessageState.QUEUED] == [story.message(each).state for each in ("1", "2")]


def test_another_account_has_other_contacts() -> None:
    """The contacts of another account are not those of this one."""
    story = told()
    assert "u1" in story.bot().contacts
    story.log_in(wxid="wxid_other", rooms=())

    assert ({}, False) == (story.bot().contacts, story.bot().contacts_complete)


def test_pace_and_order_hold_for_people() -> None:
    """The gaps of the pace hold between people as between rooms, and within one conversation."""
    story = told(pace="customary")
    for txcode, target in (("1", {"user_id": "u1"}), ("2", {"user_id": "u1"}), ("3", {"room_id": "r1"})):
        story.queue(txcode, **target)  # type: ignore[arg-type]
    story.send()

    assert Wait(3_000) == story.next_claim()
    story.wait(3_000)
    assert stream("2") == story.send().stream
    story.wait(3_999)
    assert not isinstance(story.next_claim(), Claim)
    story.wait(1)
    assert stream("3") == story.send().stream


def test_what_the_pace_leaves() -> None:
    """Sends left within a minute, and when the next may go, are worked out from the log alone."""
    story = told(pace="customary")
    story.queue("1", user_id="u1")
    story.send()
    queue, wall = story.own(BOTCODE).queue, story.wall

    assert (19, wall + 3_000) == queue.allowance(story.bot(), wall)
    assert (20, wall + 61_000) == queue.allowance(story.bot(), wall + 61_000)
    again = story.restarted()
    assert (19, wall + 3_000) == again.own(BOTCODE).queue.allowance(again.bot(), wall)


# -- cards and images -----------------------------------------------------------------------------------------------------------


def test_a_card_is_handed_over_as_asked() -> None:
    """Every field of it; a refused one is 3 with a reason, and a refused text -1."""
    story = told()
    story.queue("1", card=CARD)
    story.queue("2", card=CARD)
    story.queue("3")
    story.send()
    story.send(Rejected("no"))
    story.send(Rejected("no"))

    assert [CARD, CARD, None] == [each.card for each in story.handed]
    expected = [("1", ""), ("3", "rejected"), ("-1", "rejected")]
    assert expected == [send_status(story.message(each)) for each in ("1", "2", "3")]


def test_an_image_holds_up_its_own_conversation() -> None:
    """Until it is stored nothing younger goes to the same room, and everything else does; then it goes in its turn."""
    story = told()
    story.queue("1", image=IMAGE)
    story.queue("2")
    story.queue("3", user_id="u1")

    assert stream("3") == story.send().stream
    assert story.next_claim() is None
    [fetch] = story.store_images()
    assert ("https://img.example/1.png", "ch") == (fetch.source, fetch.chid)
    assert [] == story.own().queue.next_fetches()
    assert [stream("1"), stream("2")] == [story.send().stream, story.send().stream]
    image = story.handed[1].image
    assert image is not None
    assert b"bytes of the image" == image.data


def test_an_image_that_is_not_there() -> None:
    """It ends as 3 with a reason, and what waited behind it goes."""
    story = told()
    story.queue("1", image=IMAGE)
    story.queue("2")
    story.do(stream("1"), message.Fail(at=1, reason="no_file", detail="HTTP 404"))

    assert ("3", "failed") == send_status(story.message("1"))
    assert "HTTP 404" == story.message("1").detail
    assert stream("2") == story.send().stream


def test_an_image_is_stored_once_and_after_a_crash_not_again() -> None:
    """The second report of the same image changes nothing; a new owner finds it stored, and still to be sent by the same account."""
    story = told()
    story.queue("1", image=IMAGE)
    story.store_images()
    length = len(story.log)
    stored = Image(source="x", digest="other", media_type="image/png", size=1)
    story.do(stream("1"), message.StoreImage(at=1, image=stored))
    assert length == len(story.log)

    again = story.restarted()
    assert [] == again.own().queue.next_fetches()


def test_an_unfetched_image_is_fetched_by_the_next_owner() -> None:
    """What a killed owner did not finish is still to be fetched."""
    story = told()
    story.queue("1", image=IMAGE)

    assert [stream("1")] == [fetch.stream for fetch in story.restarted().own().queue.next_fetches()]


def test_an_image_is_for_the_account_that_it_was_accepted_for() -> None:
    """That it is stored when another account has logged in does not make it that account's."""
    story = told()
    story.queue("1", image=IMAGE)
    story.log_in(wxid="wxid_other", contacts=CONTACTS)
    story.store_images()
    story.settle()

    assert ("-1", "failed") == send_status(story.message("1"))
    assert "another account" in story.message("1").detail


@pytest.mark.parametrize("late", [message.Cancel(at=1), message.Fail(at=1, reason="failed", detail="x")])
def test_an_image_that_comes_too_late(late: message.Command) -> None:
    """A message that has ended takes no image any more."""
    story = told()
    story.queue("1", image=IMAGE)
    story.do(stream("1"), late)
    length = len(story.log)
    story.do(stream("1"), message.StoreImage(at=1, image=Image(source="x", digest="d", media_type="image/png", size=1)))

    assert length == len(story.log)
    assert [] == story.own().queue.next_fetches()


def test_a_sent_image_goes_again_from_the_store() -> None:
    """After a doubt that is resent, the image needs no second fetch."""
    story = told()
    story.queue("1", image=IMAGE, on_doubt="resend")
    story.store_images()
    story.send(Accepted(""))

    assert [] == story.own().queue.next_fetches()
    story.wait(10_000)
    assert stream("1") == story.send().stream


# -- old logs, operations -------------------------------------------------------------------------------------------------------


def test_a_text_of_an_older_release_still_reads() -> None:
    """An event that knows of no people, cards or images is a text to a room."""
    old = (
        b'{"at":1,"chid":"c","botcode":"b","txcode":"t","interface":"roomSendText","digest":"d","room_id":"r","room_topic":"","text":"x",'
        b'"mention_names":[],"mention_id":"","expires_at":null,"on_doubt":"leave","answer_by":0}'
    )
    event = codec.decode("message.queued", 1, old)

    assert isinstance(event, MessageQueued)
    assert ("text", False) == (message.content(event), message.is_to_person(event))


def test_a_claim_of_an_older_release_still_reads() -> None:
    """It is one to a room."""
    event = codec.decode("message.attempted", 1, b'{"at":1,"attempt":1,"room_id":"r","epoch":1,"gap_ms":-1}')

    assert message.MessageAttempted(at=1, attempt=1, room_id="r", epoch=1) == event


def test_digits_reach_the_awaiting_bot_once() -> None:
    """The bot's state says which digits its client is to take, until the login goes on; logged in, they are only carried out."""
    story = Story.with_bot()
    story.operate("login", "1")
    story.settle()
    story.want_digits()
    story.do(stream("2"), _digits("2", "s1"))
    story.settle()

    digits = story.bot().digits
    assert digits is not None
    assert ("s1", 1) == (
        digits.secret_id,
        len([each for each in story.log if type(each.event).__name__ == "DigitsSubmitted"]),
    )
    story.log_in()
    assert story.bot().digits is None
    story.do(stream("3"), _digits("3", "s2"))
    story.settle()
    assert {} == story.own().operations


def _digits(txcode: str, secret_id: str) -> operation.Accept:
    return operation.Accept(
        operation.OperationAccepted(
            at=1, chid="ch", botcode=BOTCODE, txcode=txcode, interface="loginCode", digest="d", kind="code", secret_id=secret_id
        )
    )  # fmt: skip


def test_a_cancellation_is_no_operation_of_the_bot() -> None:
    """It is recorded under its txcode, and the bot has nothing to carry out."""
    story = told()
    accepted = operation.OperationAccepted(
        at=1, chid="ch", botcode=BOTCODE, txcode="9", interface="msgCancel", digest="d", kind="cancel"
    )
    story.do(stream("9"), operation.Accept(accepted))

    assert {} == story.own().operations
    with pytest.raises(Refusal):
        story.queue("9")
