"""Hypothesis strategies for everything that the core takes: any event, command, report or outcome, and any legal history.

    from wxrc_core import bot
    from wxrc_core.testing.strategies import commands, folded, histories

    @given(history=histories(bot), command=commands(bot))
    def test_my_rule(history, command):
        state = folded(bot, history)
        ...

All of them are made from the aggregates' own unions and fields: a new event, command or field is drawn as soon as it is declared.
Histories of a whole log, with several bots and channels, are in `wxrc_core.testing.logs`.
"""

import types
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from wxrc_core import aggregate
from wxrc_core.aggregate import Command, State
from wxrc_core.errors import Refusal
from wxrc_core.log import Event
from wxrc_core.puppet import BotReport, Report, SendOutcome

SMALL = {
    "attempt": st.integers(0, 4),
    "epoch": st.integers(0, 4),
    "operation": st.integers(0, 4),
    "retry_after_s": st.integers(0, 100_000),
    "run": st.integers(0, 4),
}
"""Integers that mean something only while they are small, by the name of their field."""

_INTEGERS = st.integers(0, 2**53 - 1)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


# -- values of any type ---------------------------------------------------------------------------------------------------------


@cache
def values(wanted: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a type as the core uses types: attrs classes, unions, literals, tuples and the plain ones.

    Args:
        wanted: The type.
        name: The name of the field that it is for, if any.
    """
    if wanted is int:
        return SMALL.get(name, _INTEGERS)
    if wanted is str:
        return _TEXTS
    if wanted is float:
        return st.floats(0, 1)
    if attrs.has(wanted):
        hints = get_type_hints(wanted)
        fields = {field.name: values(hints[field.name], field.name) for field in attrs.fields(wanted)}
        return st.builds(wanted, **fields)
    match get_origin(wanted):
        case origin if origin is Literal:
            return st.sampled_from(get_args(wanted))
        case origin if origin in (Union, types.UnionType):
            return st.one_of(*(values(option, name) for option in get_args(wanted)))
        case origin if origin is tuple:
            return st.lists(values(get_args(wanted)[0]), max_size=3).map(tuple)
    return st.from_type(wanted)


def any_of(union: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a union of attrs classes, such as `bot.Command`: first a class, then its fields."""
    return st.sampled_from(get_args(union) or (union,)).flatmap(values)


def reports() -> st.SearchStrategy[Report]:
    """Return a strategy for anything that a puppet may report."""
    return any_of(Report)


def bot_reports() -> st.SearchStrategy[BotReport]:
    """Return a strategy for what a puppet may report of the account itself."""
    return any_of(BotReport)


def outcomes() -> st.SearchStrategy[SendOutcome]:
    """Return a strategy for any outcome of a hand-over."""
    return any_of(SendOutcome)


# -- events and commands --------------------------------------------------------------------------------------------------------


def events(module: ModuleType | None = None) -> st.SearchStrategy[Event]:
    """Return a strategy for the events of an aggregate, such as `wxrc_core.bot`; of all of them where none is given."""
    return st.sampled_from(_classes(aggregate.EVENTS, module)).flatmap(values)


def commands(module: ModuleType | None = None) -> st.SearchStrategy[Command]:
    """Return a strategy for the commands to an aggregate, such as `wxrc_core.bot`; to all of them where none is given."""
    return st.sampled_from(_classes(aggregate.COMMANDS, module)).flatmap(values)


def _classes(known: dict[str, tuple[type, ...]], module: ModuleType | None) -> list[type]:
    if module is not None:
        return list(known[_name(module)])
    return [each for classes in known.values() for each in classes]


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


# -- histories ------------------------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn, module: ModuleType, min_size: int = 1, max_size: int = 8) -> list[Event]:
    """Draw the events of a legal walk through an aggregate's table, from its beginning; what stands in their fields is arbitrary.

    An aggregate without a table begins with the first event of its union; any other may follow, where it has any.

    Args:
        draw: Hypothesis gives it.
        module: The aggregate's module, such as `wxrc_core.bot`.
        min_size: The fewest steps.
        max_size: The most steps.
    """
    steps = draw(st.integers(min_size, max_size))
    if not hasattr(module, "TABLE"):
        first, *others = aggregate.EVENTS[_name(module)]
        length = steps if others else min(steps, 1)
        return [draw(values(first if number == 0 else draw(st.sampled_from(others)))) for number in range(length)]
    state, walk = "new", []
    for _ in range(steps):
        possible = [kind for kind, row in module.TABLE.next.items() if state in row]
        if not possible:
            break
        event = draw(values(draw(st.sampled_from(possible))))
        walk.append(event)
        state = module.TABLE.next[type(event)][state]
    return walk


@st.composite
def decided(draw: st.DrawFn, module: ModuleType, max_size: int = 12) -> list[Event]:
    """Draw a history that commands led to: what stands in its events is what `decide` puts there.

    It begins with a command that makes the aggregate; those that are refused after it lead to nothing.

    Args:
        draw: Hypothesis gives it.
        module: The aggregate's module, such as `wxrc_core.message`.
        max_size: The most commands.
    """
    creating = [command for command in aggregate.COMMANDS[_name(module)] if command in aggregate.CREATING]
    state: State | None = None
    history: list[Event] = []
    first = draw(values(draw(st.sampled_from(creating))))
    others = draw(st.lists(commands(module), max_size=max_size - 1))
    for command in [first, *others]:
        try:
            found = aggregate.decide(state, command)
        except Refusal:
            continue
        for event in found:
            state = aggregate.evolve(state, event)
        history += found
    return history


def folded(module: ModuleType, events: Iterable[Event]) -> Any:
    """Return the state that events lead to: the `given` of a test. None where there are none."""
    state = None
    for event in events:
        state = module.evolve(state, event)
    return state
