"""A delivery: given what happened, when a post ends, then this is recorded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import examples, fold
from wxrc_core import delivery

DUE = (delivery.DeliveryDue(at=1_000, chid="ch", botcode="b", kind="sendStatus", body="{}"),)
BRIEF = (delivery.DeliveryDue(at=1_000, chid="ch", botcode="b", kind="qrCode", body="{}", expires_at=4_000),)
FIRST = delivery.DeliveryAttempted(at=2_000, attempt=1)
SECOND = delivery.DeliveryAttempted(at=2_500, attempt=2)
POSTPONED = delivery.DeliveryPostponed(at=2_100, attempt=1, reason="HTTP 500", not_before=2_100)
DELIVERED = delivery.DeliveryDelivered(at=2_200, attempt=1)


def _miss(at: int, attempt: int, **fields: Any) -> delivery.Miss:
    return delivery.Miss(at=at, attempt=attempt, reason="HTTP 500", **fields)


CASES: list[tuple[str, tuple[Any, ...], Any, tuple[Any, ...]]] = [
    ("due", (), delivery.Create(DUE[0]), DUE),
    ("due, made again", DUE, delivery.Create(DUE[0]), ()),
    ("posted", DUE, delivery.Attempt(at=2_000, attempt=1), (FIRST,)),
    ("posted, claimed again", (*DUE, FIRST), delivery.Attempt(at=2_000, attempt=1), ()),
    ("posted again after a crash", (*DUE, FIRST), delivery.Attempt(at=2_500, attempt=2), (SECOND,)),
    ("posted after its end", (*DUE, FIRST, DELIVERED), delivery.Attempt(at=2_500, attempt=2), ()),
    ("too late to post", BRIEF, delivery.Attempt(at=4_000, attempt=1), (delivery.DeliveryExpired(at=4_000),)),
    (
        "acknowledged",
        (*DUE, FIRST),
        delivery.Succeed(at=2_200, attempt=1),
        (DELIVERED,),
    ),
    ("acknowledged, told again", (*DUE, FIRST, DELIVERED), delivery.Succeed(at=2_300, attempt=1), ()),
    ("not acknowledged", (*DUE, FIRST), _miss(2_100, 1), (POSTPONED,)),
    ("not acknowledged, told again", (*DUE, FIRST, POSTPONED), _miss(2_100, 1), ()),
    ("not acknowledged, an earlier attempt", (*DUE, FIRST, SECOND), _miss(2_600, 1), ()),
    (
        "the second time, with jitter",
        (*DUE, FIRST, POSTPONED, SECOND),
        _miss(3_000, 2, jitter=0.5),
        (delivery.DeliveryPostponed(at=3_000, attempt=2, reason="HTTP 500", not_before=8_250),),
    ),
    (
        "the receiver asks for longer",
        (*DUE, FIRST),
        _miss(3_000, 1, retry_after_s=600),
        (delivery.DeliveryPostponed(at=3_000, attempt=1, reason="HTTP 500", not_before=603_000),),
    ),
    (
        "gone",
        (*DUE, FIRST),
        _miss(3_000, 1, gone=True),
        (delivery.DeliveryGivenUp(at=3_000, attempt=1, reason="HTTP 500"),),
    ),
    (
        "no time left for another attempt",
        (*BRIEF, FIRST, POSTPONED, SECOND),
        _miss(3_000, 2),
        (delivery.DeliveryExpired(at=3_000),),
    ),
    ("nothing is there", (), delivery.Succeed(at=1, attempt=1), ()),
]


@pytest.mark.parametrize(
    ("history", "when", "then"), [case[1:] for case in CASES], ids=[case[0].replace(" ", "_") for case in CASES]
)
def test_decide(history: tuple[Any, ...], when: Any, then: tuple[Any, ...]) -> None:
    """Each command leads to its events, or to none where it has happened or no longer matters."""
    assert then == delivery.decide(fold(delivery, history), when)


@examples
@given(jitters=st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_the_schedule(jitters: list[float]) -> None:
    """It waits as wire.md says, a little longer each time by chance, and is a dead letter after the last attempt."""
    state, waits = fold(delivery, DUE), []
    for jitter in jitters:
        [attempted] = delivery.decide(state, delivery.Attempt(at=0, attempt=state.attempt + 1))
        state = delivery.evolve(state, attempted)
        [ended] = delivery.decide(state, _miss(0, state.attempt, jitter=jitter))
        state = delivery.evolve(state, ended)
        if state.state is delivery.DeliveryState.DEAD:
            break
        waits.append(ended.not_before / 1000)

    assert delivery.DeliveryState.DEAD is state.state
    assert len(delivery.SCHEDULE_S) == len(waits)
    for wait, planned in zip(waits, delivery.SCHEDULE_S, strict=True):
        assert planned <= wait <= planned * (1 + delivery.JITTER)


def test_the_webhook_id_is_the_name_of_its_cause_and_channel() -> None:
    """It follows from the event that caused it, so it is the same over all attempts and restarts."""
    stream = delivery.stream_name(17, "ch")

    assert "delivery/evt_17_ch" == stream
    assert "evt_17_ch" == delivery.webhook_id(stream)
