"""Given what happened, when something is asked, then this is recorded: rules of the core as one sentence each.

    given(ADDED, REQUESTED).when(bot.TakeReport(run=1, report=code)).then(bot.QrCodeIssued(...))
    given(ADDED).when(bot.Add(ADDED)).refused("is there already")
    given(QUEUED, ATTEMPTED, SENT).when(message.Confirm(at=9, receipt="wx1")).nothing()

Which aggregate it is follows from the events and the command. What `then` has checked is part of the history from then on, so that a
sentence can go on: `given(...).when(...).then(...).when(...).nothing()`.
"""

import re
from collections.abc import Sequence
from typing import Self

from attrs import frozen

from wxrc_core import aggregate, codec
from wxrc_core.aggregate import Command, State
from wxrc_core.errors import Refusal
from wxrc_core.log import Event


def given(*events: Event) -> "Scenario":
    """Begin with what has happened to one aggregate; no events = it is not there yet."""
    return Scenario(events)


@frozen
class Scenario:
    """An aggregate with this history."""

    history: tuple[Event, ...]

    @property
    def state(self) -> State | None:
        """The state that the history leads to; None = not there yet."""
        state: State | None = None
        for event in self.history:
            state = aggregate.evolve(state, event)
        return state

    def when(self, command: Command) -> "Decided":
        """Hand a command to the aggregate; nothing but a `Refusal` may come out of it."""
        try:
            return Decided(self.history, tuple(aggregate.decide(self.state, command)), None)
        except Refusal as refusal:
            return Decided(self.history, (), refusal)

    def has(self, **fields: object) -> Self:
        """Check attributes of the state: `has(state="login", link=True)`."""
        state = self.state
        found = {name: getattr(state, name) for name in fields}

        assert fields == found
        return self


@frozen
class Decided:
    """What came of a command: events, or a refusal."""

    history: tuple[Event, ...]
    events: tuple[Event, ...]
    refusal: Refusal | None

    def then(self, *expected: Event) -> Scenario:
        """Check that exactly these events are to be recorded and can be read back; go on from there."""
        assert self.refusal is None, f"refused: {self.refusal}"
        assert expected == self.events
        assert [] == [event for event in self.events if codec.decode(*codec.encode(event)) != event]
        return Scenario((*self.history, *self.events))

    def then_kinds(self, *expected: type) -> Scenario:
        """Check the classes of the events only; go on from there."""
        assert self.refusal is None, f"refused: {self.refusal}"
        assert list(expected) == _classes(self.events)
        return Scenario((*self.history, *self.events))

    def nothing(self) -> Scenario:
        """Check that nothing is to be recorded, and that it was no refusal either."""
        return self.then()

    def refused(self, match: str = "") -> Scenario:
        """Check that it was refused with a sentence in which this pattern is found."""
        assert self.refusal is not None, f"not refused: {_classes(self.events)}"
        assert re.search(match, str(self.refusal)), f"'{match}' is not in: {self.refusal}"
        return Scenario(self.history)


def _classes(events: Sequence[Event]) -> list[type]:
    return [event.__class__ for event in events]
