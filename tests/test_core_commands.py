"""Every command meets every state: what `decide` promises whatever comes in whatever order."""

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from wxrc_core import aggregate, bot, channel, delivery, inbound, message, operation
from wxrc_core.errors import Refusal
from wxrc_core.puppet import ReportDigitsWanted
from wxrc_core.testing.strategies import any_of, histories, values
from wxrc_core.testing.strategies import folded as fold

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WITH_TABLE = pytest.mark.parametrize("module", [bot, message, delivery], ids=lambda module: module.TABLE.aggregate)


def _decide(module: Any, state: Any, command: Any) -> tuple[Any, ...]:
    """Return the events, none where it is refused. Anything but a Refusal is a bug and fails the test."""
    try:
        events: tuple[Any, ...] = module.decide(state, command)
    except Refusal:
        return ()
    return events


def _check_legal(module: Any, state: Any, events: tuple[Any, ...]) -> Any:
    for event in events:
        module.TABLE.check("new" if state is None else state.state, type(event))
        state = module.evolve(state, event)
    return state


@WITH_TABLE
@examples
@given(data=st.data())
def test_any_command_in_any_state(module: Any, data: st.DataObject) -> None:
    """Events that the table allows, or none, or a Refusal; the state that was given is not changed."""
    state = fold(module, data.draw(histories(module, min_size=0))) if data.draw(st.integers(0, 9)) else None
    command = data.draw(any_of(module.Command))
    before = repr(state)

    _check_legal(module, state, _decide(module, state, command))

    assert before == repr(state)


@WITH_TABLE
@examples
@given(data=st.data())
def test_any_sequence_of_commands(module: Any, data: st.DataObject) -> None:
    """Whatever is asked in whatever order, each step is legal."""
    state = module.evolve(None, data.draw(values(next(iter(module.TABLE.next)))))
    for _ in range(data.draw(st.integers(1, 15))):
        command = data.draw(any_of(module.Command))
        state = _check_legal(module, state, _decide(module, state, command))


REPEATABLE: dict[Any, tuple[type, ...]] = {
    bot: tuple(command for command in aggregate.COMMANDS["bot"] if command is not bot.Add),
    message: tuple(command for command in aggregate.COMMANDS["message"] if command is not message.Resolve),
    delivery: aggregate.COMMANDS["delivery"],
}
"""The commands that do nothing when they come again. `Resolve` is an operator's word each time; a second bot of one name is refused."""


@pytest.mark.parametrize("module", list(REPEATABLE), ids=lambda module: module.TABLE.aggregate)
@examples
@given(data=st.data())
def test_the_same_command_again_does_nothing(module: Any, data: st.DataObject) -> None:
    """A command whose answer was lost may be given again: nothing happens a second time."""
    state = fold(module, data.draw(histories(module)))
    command = data.draw(values(data.draw(st.sampled_from(REPEATABLE[module]))))
    state = _check_legal(module, state, _decide(module, state, command))
    again = _decide(module, state, command)

    if isinstance(command, bot.TakeReport) and isinstance(command.report, ReportDigitsWanted) and command.report.wrong:
        return  # told again that the digits are wrong, a person must be told again
    assert () == again


@pytest.mark.parametrize("final", sorted(message.FINAL))
@examples
@given(data=st.data())
def test_a_final_message_stays_final(final: message.MessageState, data: st.DataObject) -> None:
    """Promise 9: no command of any kind moves a message out of a final state."""
    ended = replace(fold(message, data.draw(histories(message, max_size=10))), state=final)
    command = data.draw(any_of(message.Command))

    assert () == _decide(message, ended, command)


@pytest.mark.parametrize("final", sorted(delivery.FINAL))
@examples
@given(data=st.data())
def test_a_final_delivery_stays_final(final: delivery.DeliveryState, data: st.DataObject) -> None:
    """What was delivered, has expired or was given up is not posted again, unless an operator has it replayed."""
    ended = replace(fold(delivery, data.draw(histories(delivery))), state=final)
    command = data.draw(any_of(delivery.Command).filter(lambda command: not isinstance(command, delivery.Replay)))

    assert () == _decide(delivery, ended, command)


ALL_COMMANDS = [command for commands in aggregate.COMMANDS.values() for command in commands]


def test_each_command_belongs_to_one_aggregate() -> None:
    """`aggregate.decide` finds the one aggregate that takes a command."""
    assert len(ALL_COMMANDS) == len(set(ALL_COMMANDS))
    assert set(aggregate.CREATING) <= set(ALL_COMMANDS)


@pytest.mark.parametrize("kind", ALL_COMMANDS, ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
@examples
@given(data=st.data())
def test_any_command_where_nothing_is_there(kind: type, data: st.DataObject) -> None:
    """Before an aggregate's first event a command makes it, is refused, or does nothing."""
    command = data.draw(values(kind))
    try:
        events = aggregate.decide(None, command)
    except Refusal:
        assert kind not in aggregate.CREATING
        return

    assert kind in aggregate.CREATING or not events
    assert len(events) == (kind in aggregate.CREATING)


@examples
@given(queued=values(message.MessageQueued), accepted=values(operation.OperationAccepted))
def test_a_txcode_names_a_message_or_an_operation(
    queued: message.MessageQueued, accepted: operation.OperationAccepted
) -> None:
    """Messages and operations share their streams: the txcode of one is refused for the other."""
    with pytest.raises(Refusal, match="txcode"):
        aggregate.decide(aggregate.evolve(None, accepted), message.Queue(queued))
    with pytest.raises(Refusal, match="txcode"):
        aggregate.decide(aggregate.evolve(None, queued), operation.Accept(accepted))


@examples
@given(received=values(inbound.Receive), accepted=values(operation.Accept))
def test_what_is_there_once_stays_once(received: inbound.Receive, accepted: operation.Accept) -> None:
    """An inbound message and an operation are recorded once however often they come (promises 14 and 2)."""
    for command in (received, accepted):
        [event] = aggregate.decide(None, command)

        assert () == aggregate.decide(aggregate.evolve(None, event), command)


@examples
@given(added=values(channel.ChannelAdded), grants=st.lists(values(channel.BotGranted), max_size=3))
def test_a_channel_and_its_grants(added: channel.ChannelAdded, grants: list[channel.BotGranted]) -> None:
    """A channel is made once; the latest grant for a bot counts."""
    state = fold(channel, channel.decide(None, channel.Add(added)))
    for granted in grants:
        for event in channel.decide(state, channel.Alter((granted,))):
            state = channel.evolve(state, event)
        assert () == channel.decide(state, channel.Alter((granted,)))
    with pytest.raises(Refusal, match="choose another chid"):
        channel.decide(state, channel.Add(added))

    assert (added, (added.key_id,)) == (state.settings, state.key_ids)
    # The same terms once more are no news: the grant stays as it was.
    latest = {granted.botcode: attrs.evolve(granted, at=0, by="") for granted in grants}
    assert latest == {botcode: attrs.evolve(granted, at=0, by="") for botcode, granted in state.grants.items()}
