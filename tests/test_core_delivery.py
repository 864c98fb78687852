"""A delivery: given what happened, when a post ends, then this is recorded."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxrc_core import delivery
from wxrc_core.delivery import DeliveryEvent, DeliveryState
from wxrc_core.delivery_schedule import JITTER, SCHEDULE_S
from wxrc_core.testing.strategies import commands, folded, histories

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOTHING: tuple[DeliveryEvent, ...] = ()
DUE = (delivery.DeliveryDue(at=1_000, chid="ch", botcode="b", kind="sendStatus", body="{}"),)
BRIEF = (delivery.DeliveryDue(at=1_000, chid="ch", botcode="b", kind="qrCode", body="{}", expires_at=8_000),)
ANSWERED = (delivery.DeliveryAnswered(at=1_000, chid="ch", botcode="b", msgid=7),)
POSTED = delivery.DeliveryAttempted(at=2_000, attempt=1)
POSTPONED = delivery.DeliveryPostponed(at=2_100, attempt=1, reason="HTTP 500", not_before=2_100)
DELIVERED = delivery.DeliveryDelivered(at=2_200, attempt=1)
EXPIRED = delivery.DeliveryExpired(at=8_000)
SUPERSEDED = delivery.DeliverySuperseded(at=3_000)
CANCELLED = delivery.DeliveryCancelled(at=3_000)
REPLAYED = delivery.DeliveryReplayed(at=9_000, chid="ch", botcode="b", kind="sendStatus", position=5, by="cli:ann")
DEAD = delivery.DeliveryGivenUp(at=3_000, attempt=1, reason="HTTP 410")

STATES: dict[DeliveryState, tuple[DeliveryEvent, ...]] = {
    DeliveryState.NEW: (),
    DeliveryState.DUE: BRIEF,
    DeliveryState.DELIVERED: (*BRIEF, DELIVERED),
    DeliveryState.EXPIRED: (*BRIEF, EXPIRED),
    DeliveryState.SUPERSEDED: (*BRIEF, SUPERSEDED),
    DeliveryState.DEAD: (*BRIEF, DEAD),
    DeliveryState.ANSWERED: ANSWERED,
    DeliveryState.CANCELLED: (*BRIEF, CANCELLED),
}
"""A history that leads to each state."""


def success(at: int = 2_200, attempt: int = 1) -> delivery.RecordSuccess:
    """Return what records an acknowledgement."""
    return delivery.RecordSuccess(at=at, attempt=attempt)


def failure(at: int = 2_100, attempt: int = 1, **fields: Any) -> delivery.RecordFailure:
    """Return what records a failure."""
    return delivery.RecordFailure(at=at, attempt=attempt, reason="HTTP 500", **fields)


COMMANDS: dict[str, tuple[delivery.Command, dict[DeliveryState, tuple[DeliveryEvent, ...]]]] = {
    "create": (delivery.Create(BRIEF[0]), {DeliveryState.NEW: BRIEF}),
    "answer": (delivery.Answer(ANSWERED[0]), {DeliveryState.NEW: ANSWERED}),
    "succeed": (success(), {DeliveryState.DUE: (DELIVERED,)}),
    "fail": (failure(), {DeliveryState.DUE: (POSTPONED,)}),
    "expire": (delivery.Expire(at=8_000), {DeliveryState.DUE: (EXPIRED,)}),
    "supersede": (delivery.Supersede(at=3_000), {DeliveryState.DUE: (SUPERSEDED,)}),
    "give_up": (
        delivery.GiveUp(at=3_000, reason="HTTP 500"),
        {DeliveryState.DUE: (delivery.DeliveryGivenUp(at=3_000, attempt=0, reason="HTTP 500"),)},
    ),
    "cancel": (delivery.Cancel(at=3_000), {DeliveryState.DUE: (CANCELLED,)}),
    "replay a QR code": (delivery.Replay(at=9_000, position=5), {}),
}
"""Each command, and what it leads to in the states where it leads to anything."""


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_every_state(state: DeliveryState, command: str) -> None:
    """A command leads to its events in the states that allow them, to nothing in the others, and to nothing a second time."""
    when, then = COMMANDS[command]
    given_state = folded(delivery, STATES[state])

    assert then.get(state, NOTHING) == delivery.decide(given_state, when)
    after = folded(delivery, (*STATES[state], *then.get(state, NOTHING)))
    assert not delivery.decide(after, when) or after is None


@pytest.mark.parametrize(
    ("history", "when", "then"),
    [
        pytest.param((*DUE, POSTED), success(), (DELIVERED,), id="an earlier release wrote that it was posted"),
        pytest.param((*DUE, POSTPONED), failure(), NOTHING, id="the same failure again"),
        pytest.param((*DUE, POSTPONED), failure(attempt=3), NOTHING, id="a failure that cannot be"),
        pytest.param((*DUE, POSTPONED), success(attempt=1), (DELIVERED,), id="the first attempt, acknowledged late"),
        pytest.param(
            (*DUE, POSTPONED),
            failure(3_000, 2, jitter=0.5),
            (delivery.DeliveryPostponed(at=3_000, attempt=2, reason="HTTP 500", not_before=8_250),),
            id="the second time, with jitter",
        ),
        pytest.param(
            DUE,
            failure(3_000, retry_after_s=600),
            (delivery.DeliveryPostponed(at=3_000, attempt=1, reason="HTTP 500", not_before=603_000),),
            id="the receiver asks for longer",
        ),
        pytest.param(
            DUE,
            failure(3_000, retry_after_s=10**9),
            (delivery.DeliveryPostponed(at=3_000, attempt=1, reason="HTTP 500", not_before=86_403_000),),
            id="the receiver asks for too long",
        ),
        pytest.param(
            DUE,
            failure(3_000, gone=True),
            (delivery.DeliveryGivenUp(at=3_000, attempt=1, reason="HTTP 500"),),
            id="the receiver is gone",
        ),
        pytest.param(
            (*BRIEF, POSTPONED),
            failure(3_000, 2),
            (delivery.DeliveryExpired(at=3_000),),
            id="no time left for another attempt",
        ),
        pytest.param(BRIEF, delivery.Expire(at=7_999), NOTHING, id="not yet expired"),
        pytest.param(DUE, delivery.Expire(at=10**12), NOTHING, id="without an end of its time"),
        pytest.param(DUE, delivery.Supersede(at=3_000), NOTHING, id="data is never superseded"),
    ],
)
def test_decide(history: tuple[DeliveryEvent, ...], when: delivery.Command, then: tuple[DeliveryEvent, ...]) -> None:
    """Each command leads to its events, or to none where it has happened or no longer matters."""
    assert then == delivery.decide(folded(delivery, history), when)


@examples
@given(history=histories(delivery), command=commands(delivery))
def test_whatever_is_decided_is_in_the_table(history: list[DeliveryEvent], command: Any) -> None:
    """Any command after any legal history leads to legal events only, and the same command again to none."""
    state = folded(delivery, history)
    for event in delivery.decide(state, command):
        delivery.TABLE.check("new" if state is None else state.state, type(event))
        state = delivery.evolve(state, event)

    assert () == delivery.decide(state, command)


@examples
@given(jitters=st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_the_schedule(jitters: list[float]) -> None:
    """It waits as wire.md says, a little longer each time by chance, and is a dead letter after the last attempt."""
    state, waits = folded(delivery, DUE), []
    for jitter in jitters:
        [ended] = delivery.decide(state, failure(0, state.attempts + 1, jitter=jitter))
        state = delivery.evolve(state, ended)
        if state.state is DeliveryState.DEAD:
            break
        waits.append(state.wait_ms / 1000)

    assert DeliveryState.DEAD is state.state
    assert len(SCHEDULE_S) == len(waits)
    for wait, planned in zip(waits, SCHEDULE_S, strict=True):
        assert planned <= wait <= planned * (1 + JITTER)


def test_the_webhook_id_is_the_name_of_its_cause_and_channel() -> None:
    """It follows from the event that caused it, so it is the same over all attempts and restarts."""
    stream = delivery.stream_name(17, "ch_1")

    assert "delivery/evt_17_ch_1" == stream
    assert "evt_17_ch_1" == delivery.webhook_id(stream)
    assert 17 == delivery.cause(stream)


@pytest.mark.parametrize(
    ("end", "then"),
    [
        pytest.param((), NOTHING, id="due"),
        pytest.param((DELIVERED,), (REPLAYED,), id="delivered"),
        pytest.param((POSTPONED, DEAD), (REPLAYED,), id="dead"),
        pytest.param((delivery.DeliveryExpired(at=3_000),), (REPLAYED,), id="expired"),
        pytest.param((CANCELLED,), NOTHING, id="cancelled"),
    ],
)
def test_replaying(end: tuple[DeliveryEvent, ...], then: tuple[DeliveryEvent, ...]) -> None:
    """What has ended is due again, with the whole schedule before it and no time at which it is over; a second time nothing happens."""
    history = (*DUE, *end)
    when = delivery.Replay(at=9_000, position=5, by="cli:ann")

    assert then == delivery.decide(folded(delivery, history), when)
    after = folded(delivery, (*history, *then))
    assert NOTHING == (delivery.decide(after, when) if then else NOTHING)
    if then:
        assert delivery.Delivery(DeliveryState.DUE, 9_000, "ch", "b", "sendStatus") == after
        assert delivery.evolve(None, REPLAYED) == after, (
            "the fold of a replica that has forgotten the delivery is the same"
        )
        assert (
            delivery.DeliveryPostponed(at=9_100, attempt=1, reason="HTTP 500", not_before=9_100),
        ) == delivery.decide(after, failure(9_100))
