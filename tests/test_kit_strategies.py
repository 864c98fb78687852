"""The strategies draw everything that there is: every event, command, report and outcome, legal histories and whole logs."""

from types import ModuleType
from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from wxrc_core import aggregate, bot, channel, codec, delivery, inbound, message, operation, shard
from wxrc_core.errors import Refusal
from wxrc_core.log import Recorded
from wxrc_core.message import MessageState
from wxrc_core.puppet import Report, SendOutcome
from wxrc_core.testing import strategies
from wxrc_core.testing.logs import logs
from wxrc_core.testing.promises import check_log

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

MODULES = [bot, channel, delivery, inbound, message, operation, shard]
EVERY = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
DECIDING = pytest.mark.parametrize("module", MODULES[:-1], ids=lambda module: module.__name__)


@examples
@given(event=strategies.events())
def test_any_event_can_be_written_and_read(event: aggregate.Event) -> None:
    """Whatever is drawn as an event is one: it is written and read back as it is."""
    assert event == codec.decode(*codec.encode(event))


@pytest.mark.parametrize(
    ("strategy", "classes"),
    [
        (strategies.events(), sum(aggregate.EVENTS.values(), ())),
        (strategies.commands(), sum(aggregate.COMMANDS.values(), ())),
        (strategies.reports(), get_args(Report)),
        (strategies.outcomes(), get_args(SendOutcome)),
    ],
    ids=["events", "commands", "reports", "outcomes"],
)
def test_every_class_is_drawn(strategy: st.SearchStrategy[object], classes: tuple[type, ...]) -> None:
    """None is left out."""
    drawn = set()

    @settings(max_examples=2_000, phases=[Phase.generate], database=None, derandomize=True, deadline=None)
    @given(strategy)
    def draw(value: object) -> None:
        drawn.add(type(value))

    draw()

    assert set(classes) == drawn


@EVERY
@examples
@given(data=st.data())
def test_histories_are_legal(module: ModuleType, data: st.DataObject) -> None:
    """Every history folds to a state, and where the aggregate has a table, each step is in it."""
    history = data.draw(strategies.histories(module))
    state = strategies.folded(module, history)

    assert state is not None
    if hasattr(module, "TABLE"):
        walked = "new"
        for event in history:
            walked = module.TABLE.next[type(event)][walked]

        assert walked == state.state


@DECIDING
@examples
@given(data=st.data())
def test_decided_histories_are_what_commands_lead_to(module: ModuleType, data: st.DataObject) -> None:
    """They begin with a command that makes the aggregate, and their steps are legal."""
    history = data.draw(strategies.decided(module))

    assert history
    if hasattr(module, "TABLE"):
        state = "new"
        for event in history:
            state = module.TABLE.next[type(event)][state]


@examples
@given(history=strategies.histories(message), command=strategies.commands(message))
def test_one_step_of_a_message(history: list[message.MessageEvent], command: message.Command) -> None:
    """As in the docs: any command in any state leads to legal events or to a refusal."""
    state = strategies.folded(message, history)
    try:
        events = message.decide(state, command)
    except Refusal:
        return
    for event in events:
        message.TABLE.check(state.state, type(event))
        state = message.evolve(state, event)


@pytest.mark.slow
@examples
@given(log=logs())
def test_every_log_keeps_the_promises(log: list[Recorded]) -> None:
    """Whatever happens to two bots and two channels, the log shows no broken promise."""
    assert [] == check_log(log)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", [MessageState.SENT, MessageState.IN_DOUBT, MessageState.ROOM_NOT_FOUND, MessageState.EXPIRED]
)
def test_logs_have_ends_of_messages(wanted: MessageState) -> None:
    """The logs are worth something: messages in them are sent, in doubt, and so on."""

    def ends(log: list[Recorded]) -> bool:
        history: dict[str, message.Message | None] = {}
        for recorded in log:
            if isinstance(recorded.event, get_args(message.MessageEvent)):
                history[recorded.stream] = message.evolve(history.get(recorded.stream), recorded.event)
        return any(state is not None and state.state is wanted for state in history.values())

    assert find(
        logs(),
        ends,
        settings=settings(max_examples=2_000, phases=[Phase.generate], suppress_health_check=list(HealthCheck)),
    )
