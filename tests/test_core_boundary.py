"""What comes from outside is checked by name: reports, outcomes and clocks (promise 18)."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxrc_core import bot, codec, inbound
from wxrc_core.boundary import LIMIT, LIMITS, checked_clock, checked_outcome, checked_report
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    NotSent,
    ReportLinkLost,
    ReportLoggedIn,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    Room,
    RoomMissing,
    Unconfirmed,
)
from wxrc_core.testing.strategies import folded, histories, outcomes, reports

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MESSAGE = ReportMessage(at=1, message_id="m", kind="text", text="hi", from_id="w")


class LikeNotSent(NotSent):
    """A class of somebody else's, which the core knows nothing of."""


BAD_REPORTS: list[tuple[Any, str]] = [
    (ReportLinkLost(at=1.5, reason="x"), "at of ReportLinkLost must be an integer, not a number with a fraction"),  # type: ignore[arg-type]
    (ReportLinkLost(at=True, reason="x"), "at of ReportLinkLost must be an integer, not true or false"),
    (ReportLinkLost(at=-1, reason="x"), "at of ReportLinkLost must be from 0 to 2**53 - 1"),
    (ReportLinkLost(at=2**53, reason="x"), "at of ReportLinkLost must be from 0 to 2**53 - 1"),
    (ReportLinkLost(at=10**400, reason="x"), "at of ReportLinkLost must be from 0 to 2**53 - 1"),
    (
        ReportLinkLost(at=1, reason="half \ud83d"),
        "reason of ReportLinkLost must be valid Unicode, without lone surrogates",
    ),
    (ReportLinkLost(at=1, reason="x" * 1_000_000), "ReportLinkLost must take no more than 65,536 bytes, not 1,000,"),
    (ReportLinkLost(at=1, reason=ValueError("x")), "reason of ReportLinkLost cannot be written"),  # type: ignore[arg-type]
    (ReportReceipt(at=1, msgid=2, receipt=77), "receipt of ReportReceipt must be a string, not an integer"),  # type: ignore[arg-type]
    (ReportQrCode(at=1, text="q", expires_at=None), "expires_at of ReportQrCode must be an integer, not None"),  # type: ignore[arg-type]
    (ReportLoggedIn(at=1, wxid=b"w", name="n"), "wxid of ReportLoggedIn must be a string, not bytes"),  # type: ignore[arg-type]
    (ReportRooms(at=1, rooms=[Room("r", "t")], complete=True), "rooms of ReportRooms must be a tuple"),  # type: ignore[arg-type]
    (ReportRooms(at=1, rooms=(Room("r", None),), complete=True), "rooms[0].topic of ReportRooms must be a string"),  # type: ignore[arg-type]
    (ReportRooms(at=1, rooms=(("r", "t"),), complete=True), "rooms[0] of ReportRooms must be an object, not a list"),  # type: ignore[arg-type]
    (attrs.evolve(MESSAGE, text="x" * 300_000), "ReportMessage must take no more than 262,144 bytes"),
    (attrs.evolve(MESSAGE, message_id=""), "message_id of ReportMessage must have 1 to 512 characters"),
    (attrs.evolve(MESSAGE, message_id="x" * 513), "message_id of ReportMessage must have 1 to 512 characters"),
    ("logged in", "expected one of the reports in wxrc_core.puppet, not a value of the type str"),
    (None, "expected one of the reports in wxrc_core.puppet, not a value of the type NoneType"),
    (Accepted("wx1"), "expected one of the reports in wxrc_core.puppet, not a value of the type Accepted"),
]
BAD_OUTCOMES: list[tuple[Any, str]] = [
    (Accepted(3), "receipt of Accepted must be a string, not an integer"),  # type: ignore[arg-type]
    (Accepted(""), "receipt of Accepted must not be empty"),
    (Accepted("wx1", "perhaps"), "mention of Accepted has a wrong value: Invalid enum value 'perhaps'"),  # type: ignore[arg-type]
    (NotSent("x", retry=1), "retry of NotSent must be true or false, not an integer"),  # type: ignore[arg-type]
    (Unconfirmed("\ud800"), "reason of Unconfirmed must be valid Unicode"),
    (NotConnected("x" * 70_000), "NotConnected must take no more than 65,536 bytes"),
    (RoomMissing(None), "reason of RoomMissing must be a string, not None"),  # type: ignore[arg-type]
    (LikeNotSent("x"), "expected one of the outcomes in wxrc_core.puppet, not a value of the type LikeNotSent"),
    (True, "expected one of the outcomes in wxrc_core.puppet, not a value of the type bool"),
]


@pytest.mark.parametrize(
    ("check", "value", "sentence"),
    [
        *[(checked_report, *case) for case in BAD_REPORTS],
        *[(checked_outcome, *case) for case in BAD_OUTCOMES],
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_recorded_is_refused_by_name(check: Callable[[Any], Any], value: Any, sentence: str) -> None:
    """A value of a wrong type or size is one report's or one outcome's fault, in a sentence that names the field."""
    with pytest.raises(InvalidValue) as refused:
        check(value)

    assert str(refused.value).startswith(sentence)
    assert isinstance(refused.value, Refusal)


@examples
@given(report=reports(), outcome=outcomes())
def test_what_is_right_passes_as_it_is(report: Any, outcome: Any) -> None:
    """A report or an outcome with values of the right types is returned itself."""
    if not (isinstance(report, ReportMessage) and not report.message_id):
        assert report is checked_report(report)
    if not (isinstance(outcome, Accepted) and not outcome.receipt):
        assert outcome is checked_outcome(outcome)


@examples
@given(history=histories(bot), report=reports(), data=st.data())
def test_what_passes_can_be_written_and_read_back(history: list[Any], report: Any, data: st.DataObject) -> None:
    """Whatever stands in the fields of a report: where it passes, the events that it leads to are read back as they were."""
    field = data.draw(st.sampled_from([each.name for each in attrs.fields(type(report))]))
    odd = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
    )
    events: tuple[Any, ...] = ()
    try:
        report = checked_report(attrs.evolve(report, **{field: data.draw(odd)}))
    except InvalidValue:
        return
    the_bot = folded(bot, history)
    if isinstance(report, ReportMessage):
        events = inbound.decide(None, inbound.Receive("b", report))
    elif not isinstance(report, ReportReceipt):
        events = bot.decide(the_bot, bot.TakeReport(run=the_bot.run, report=report))
    for event in events:
        assert event == codec.decode(*codec.encode(event))


def test_the_largest_room_list() -> None:
    """An account with very many rooms is no misuse: 50,000 rooms pass, and the event fits the log's own limit."""
    rooms = tuple(Room(f"{number}@chatroom", "客服群" * 10) for number in range(50_000))
    report = checked_report(ReportRooms(at=1, rooms=rooms, complete=True))

    assert isinstance(report, ReportRooms)
    assert LIMIT < LIMITS[ReportMessage] < LIMITS[ReportRooms] * 2 <= codec.EVENT_LIMIT


# -- clocks ---------------------------------------------------------------------------------------------------------------------


def _answers(*answers: Any) -> Callable[[], Any]:
    """Return a clock with these answers, one after the other; an exception is raised."""
    left: Iterator[Any] = iter(answers)

    def ask() -> Any:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (1.5, "the clock must return epoch milliseconds as an integer, not 1.5 (float)"),
        (1_795_000_000.0, "the clock must return epoch milliseconds as an integer, not 1795000000.0 (float)"),
        (None, "the clock must return epoch milliseconds as an integer, not None (NoneType)"),
        (True, "the clock must return epoch milliseconds as an integer, not True (bool)"),
        (-1, "the clock must return epoch milliseconds as an integer, not -1 (int)"),
        ("now", "the clock must return epoch milliseconds as an integer, not 'now' (str)"),
        (OSError("no clock"), "the clock failed (OSError)"),
    ],
)
def test_a_clock_that_is_none_is_refused_at_the_start(answer: Any, sentence: str) -> None:
    """A clock whose first answer is no integer of epoch milliseconds is refused in a sentence."""
    with pytest.raises(InvalidValue) as refused:
        checked_clock(_answers(answer))

    assert sentence == str(refused.value)


@pytest.mark.parametrize("wrong", [1.5, None, "now", True, -1, OSError("gone"), 2**60])
def test_a_clock_that_goes_wrong_later_keeps_its_latest_good_answer(wrong: Any) -> None:
    """After the start a wrong answer neither reaches the log nor ends the gateway."""
    clock = checked_clock(_answers(10, 20, wrong, 30))

    assert [20, 20, 30] == [clock(), clock(), clock()]


def test_a_clock_set_back_is_taken_at_its_word() -> None:
    """A wall clock may be set back; what must last is measured on another clock."""
    clock = checked_clock(_answers(10, 20, 5))

    assert [20, 5] == [clock(), clock()]


# -- embedding programs ---------------------------------------------------------------------------------------------------------


def test_the_same_check_serves_any_attrs_class() -> None:
    """The mechanism is one: what is written and read back, for whatever class has a decoder."""

    @attrs.frozen
    class Terms:
        days: int
        kind: Literal["a", "b"] = "a"

    read = msgspec.json.Decoder(Terms).decode

    assert b'{"days":3,"kind":"a"}' == codec.checked(Terms(3), read, 100)
    with pytest.raises(InvalidValue, match="days of Terms must be an integer, not a string"):
        codec.checked(Terms("3"), read, 100)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="Terms must take no more than 10 bytes, not 21"):
        codec.checked(Terms(3), read, 10)
