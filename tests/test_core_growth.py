"""What must not grow with what is waiting: counted in calls, which no busy machine changes."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from wxrc_core.puppet import ReportMessage, Room
from wxrc_core.testing.story import Story


def calls(function: Callable[[], object]) -> int:
    """Return how many calls of Python and C functions it makes."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def claim(size: int) -> int:
    """Find the next message with one waiting in each of so many rooms."""
    told = Story.with_bot()
    told.log_in(rooms=[Room(f"r{index}", f"{index} 群") for index in range(size)])
    for number in range(size):
        told.queue(f"{number}", room_id=f"r{number}")
    told.send()
    return calls(told.next_claim)


def claim_behind(size: int) -> int:
    """Find the next message with so many that wait in one room that is held up by its pace."""
    told = Story.with_bot(pace="customary")
    told.log_in()
    for number in range(size + 1):
        told.queue(f"{number}", room_id="r1")
    told.send()
    return calls(told.next_claim)


def inbound(size: int) -> int:
    """Fold what somebody says, with so many channels, one of which may use the bot."""
    told = Story.with_bot()
    for number in range(size):
        told.add_channel(f"ch{number}")
    told.log_in()
    return calls(
        lambda: told.report(ReportMessage(at=told.wall, message_id="m", kind="text", from_id="u", text="在吗"))
    )


def post(size: int) -> int:
    """Find the next callback with so many due."""
    told = Story.with_bot()
    told.log_in()
    for number in range(size):
        told.report(ReportMessage(at=told.wall, message_id=f"m{number}", kind="text", from_id="u", text="在吗"))
    told.settle()
    told.post(control=True)
    return calls(lambda: told.next_post())


def record(size: int) -> int:
    """Find what is to be recorded, with so many messages of the past and so many that wait."""
    told = Story.with_bot()
    told.log_in()
    for number in range(size):
        told.queue(f"{number}", room_id="r1")
        told.send()
        told.settle()
    for number in range(size):
        told.queue(f"w{number}", room_id="r1", expires_at=10**9)
    return calls(told.to_record)


@pytest.mark.parametrize("measure", [claim, claim_behind, inbound, post, record])
def test_the_cost_does_not_grow(measure: Callable[[int], int]) -> None:
    """A hundred times as much waiting takes at most a handful of calls more."""
    assert measure(1_000) <= measure(10) + 10
