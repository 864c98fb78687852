"""The core takes the same steps as a real `transitions.Machine` made from the same declaration."""

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transitions import Machine, MachineError

from wxrc_core import bot, delivery, message
from wxrc_core.errors import IllegalTransition
from wxrc_core.table import Table, event_name
from wxrc_core.testing.strategies import folded as fold
from wxrc_core.testing.strategies import histories, values

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

STATES: dict[Any, Any] = {bot: bot.BotState, message: message.MessageState, delivery: delivery.DeliveryState}
AGGREGATES = pytest.mark.parametrize("module", list(STATES), ids=lambda module: module.TABLE.aggregate)


class Model:
    """What `transitions` moves from state to state."""


def oracle(module: Any, state: str = "new") -> Any:
    """Return a model in this state, with the triggers of the aggregate's declaration."""
    model = Model()
    Machine(
        model=model,
        states=[str(state) for state in STATES[module]],
        transitions=[dict(transition) for transition in module.TRANSITIONS],
        initial=str(state),
        auto_transitions=False,
    )
    return model


@AGGREGATES
def test_table_agrees_everywhere(module: Any) -> None:
    """For every state and every event, the compiled table and the real machine give the same answer."""
    for event, trigger in module.TABLE.triggers.items():
        for state in STATES[module]:
            model = oracle(module, state)
            after = module.TABLE.next[event].get(state)
            if after is None:
                with pytest.raises(MachineError):
                    model.trigger(trigger)
                with pytest.raises(IllegalTransition):
                    module.TABLE.check(state, event)
            else:
                model.trigger(trigger)
                module.TABLE.check(state, event)

                assert model.state == after


@AGGREGATES
@examples
@given(data=st.data())
def test_walks_agree(module: Any, data: st.DataObject) -> None:
    """On any walk, legal steps and illegal ones mixed, the machine and the core stay together."""
    model, state = oracle(module), None
    for _ in range(data.draw(st.integers(1, 12))):
        event = data.draw(values(data.draw(st.sampled_from(list(module.TABLE.next)))))
        here = "new" if state is None else state.state
        try:
            model.trigger(module.TABLE.triggers[type(event)])
        except MachineError:
            with pytest.raises(IllegalTransition):
                module.TABLE.check(here, type(event))
        else:
            module.TABLE.check(here, type(event))
            state = module.evolve(state, event)

        assert model.state == ("new" if state is None else state.state)


@AGGREGATES
@examples
@given(data=st.data())
def test_evolve_is_total(module: Any, data: st.DataObject) -> None:
    """A recorded fact is never refused: any event in any state gives a state, the old one where the table has no such step."""
    state = fold(module, data.draw(histories(module)))
    event = data.draw(values(data.draw(st.sampled_from(list(module.TABLE.next)[1:]))))

    after = module.evolve(state, event)

    assert module.TABLE.next[type(event)].get(state.state, state.state) == after.state


def test_an_illegal_event_names_itself_and_the_state() -> None:
    """The error says which event met which state, in words and as data; the state is as it was."""
    sent = fold(
        message,
        [
            message.MessageQueued(
                at=1, chid="ch", botcode="b", txcode="t", interface="roomSendText", digest="d", text="hi"
            ),
            message.MessageAttempted(at=2, attempt=1, room_id="r"),
            message.MessageSent(at=3, attempt=1, receipt="wx1"),
        ],
    )
    before = repr(sent)
    with pytest.raises(IllegalTransition, match="a message in state 'sent' cannot take 'room_not_found'") as raised:
        message.decide(sent, message.NoRoom(at=4))

    assert ("sent", "room_not_found") == (raised.value.state, raised.value.trigger)
    assert before == repr(sent)


class Light(StrEnum):
    """The states of a small aggregate."""

    NEW = "new"
    ON = "on"


class LightSwitched:
    """Its only event."""


def test_a_declaration_and_its_events_must_fit() -> None:
    """A trigger without an event class, or a transition to nowhere, is found when the module is imported."""
    with pytest.raises(ValueError, match="light: event classes and triggers differ: blown, switched"):
        Table("light", Light, [{"trigger": "blown", "source": "new", "dest": "on"}], LightSwitched)
    with pytest.raises(ValueError, match="off"):
        Table("light", Light, [{"trigger": "switched", "source": "new", "dest": "off"}], LightSwitched)


def test_an_events_name_comes_from_its_class() -> None:
    """An event is declared once: its name in the table and in the log is its class's, without the aggregate's."""
    assert "switched" == event_name(LightSwitched, "light")
    assert "qr_code_issued" == event_name(bot.QrCodeIssued, "bot")
