"""A log that broke a promise shows it, by number; a sound one shows nothing."""

from collections.abc import Callable

import attrs
import pytest

from wxrc_core import delivery, message, shard
from wxrc_core.log import Recorded
from wxrc_core.puppet import ReportLinkLost, RoomMissing, Unconfirmed
from wxrc_core.testing.promises import check_log
from wxrc_core.testing.story import BOTCODE, CHID, Story, stream

SHARD = shard.stream_name(shard.shard_of(BOTCODE, shard.SHARDS))


def _sound() -> Story:
    """Return a story with a bit of everything."""
    told = Story.with_bot().log_in()
    for txcode in ("1", "2", "3", "4"):
        told.queue(txcode, answer_by=told.wall + 100 if txcode == "4" else 0)
    told.send()
    told.send(Unconfirmed("no answer"))
    told.send(RoomMissing("dissolved"))
    told.settle()
    told.post(control=True)
    told.post()
    return told


def test_a_sound_log_shows_nothing() -> None:
    """Neither before nor after a crash."""
    told = _sound()

    assert [] == check_log(told.log)
    assert [] == check_log(told.restarted().log)


def _two_queued(told: Story) -> None:
    told.record(stream("1"), told.history(stream("1"))[0].event)


def _operation_again(told: Story) -> None:
    [requested] = [r for r in told.log if getattr(r.event, "operation", 0)]
    told.record(requested.stream, attrs.evolve(requested.event))


def _sent_after_the_end(told: Story) -> None:
    told.record(stream("3"), message.MessageSent(at=9, attempt=1, receipt="wx"))


def _second_claim_with_the_first_number(told: Story) -> None:
    told.record(stream("4"), message.MessageAttempted(at=1, attempt=2, room_id="r1"))


def _sent_again_out_of_doubt(told: Story) -> None:
    told.claim()
    told.record(stream("4"), message.MessageInDoubt(at=1, attempt=1, detail="", resend=True))


def _sent_without_a_receipt(told: Story) -> None:
    told.claim()
    told.record(stream("4"), message.MessageSent(at=1, attempt=1, receipt=""))


def _claimed_under_an_epoch_that_is_over(told: Story) -> None:
    told.record(SHARD, shard.ShardFreed(at=1, member="m"))
    told.claim()


def _no_room_on_an_incomplete_list(told: Story) -> None:
    told.report(ReportLinkLost(at=1, reason="broke"))
    told.queue("5", room_id="r9")
    told.record(stream("5"), message.MessageRoomNotFound(at=1))


def _overtaken(told: Story) -> None:
    told.queue("5")
    told.record(stream("5"), message.MessageAttempted(at=1, attempt=1, room_id="r1", epoch=1))


def _claimed_while_the_bot_cannot_send(told: Story) -> None:
    told.report(ReportLinkLost(at=1, reason="broke"))
    told.queue("5", room_id="r2")
    told.record(stream("5"), message.MessageAttempted(at=1, attempt=1, room_id="r2", epoch=1))


def _due_without_a_cause(told: Story) -> None:
    due = delivery.DeliveryDue(at=1, chid=CHID, botcode=BOTCODE, kind="botStatus", body='{"seq": 900}')
    told.record(delivery.stream_name(900, CHID), due)


def _not_to_be_read_back(told: Story) -> None:
    told.log.append(
        Recorded(len(told.log) + 1, SHARD, len(told.history(SHARD)) + 1, shard.ShardFreed(at=1.5, member="m"))
    )  # type: ignore[arg-type]


def _answered_before_its_end(told: Story) -> None:
    first = told.history(stream("4"))[0]
    answered = delivery.DeliveryAnswered(at=1, chid=CHID, botcode=BOTCODE, msgid=first.position)
    told.record(delivery.stream_name(first.position, CHID), answered)


@pytest.mark.parametrize(
    ("number", "spoil"),
    [
        (1, _two_queued),
        (2, _operation_again),
        (3, _sent_after_the_end),
        (5, _second_claim_with_the_first_number),
        (6, _sent_again_out_of_doubt),
        (7, _sent_without_a_receipt),
        (8, _claimed_under_an_epoch_that_is_over),
        (9, _sent_after_the_end),
        (9, _no_room_on_an_incomplete_list),
        (10, _overtaken),
        (10, _claimed_while_the_bot_cannot_send),
        (12, _due_without_a_cause),
        (18, _not_to_be_read_back),
        (20, _answered_before_its_end),
    ],
)
def test_a_broken_promise_is_named(number: int, spoil: Callable[[Story], None]) -> None:
    """Each of them is found by the check of its number."""
    told = _sound()
    spoil(told)

    assert number in {broken.number for broken in check_log(told.log)}


def test_versions_and_positions() -> None:
    """An event that is missing, or stands in the wrong place, is noticed."""
    log = _sound().log
    swapped = [*log[:5], log[6], log[5], *log[7:]]
    missing = [recorded for recorded in log if recorded.position != 9]

    assert 4 in {broken.number for broken in check_log(swapped)}
    assert 3 in {broken.number for broken in check_log(missing)}


def test_a_pruned_log_is_no_broken_promise() -> None:
    """Whole streams that have come to their end may be gone."""
    told = _sound()
    kept = [recorded for recorded in told.log if recorded.stream not in (stream("1"), stream("3"))]

    assert [] == check_log(kept)
