"""A log that is written by hand, the world that follows it, and the clocks: what a `wxrc_core.testing.story.Story` stands on."""

from collections.abc import Sequence
from typing import TypeVar

from wxrc_core import aggregate, bot, snapshot
from wxrc_core.aggregate import Command, State
from wxrc_core.effects import Moment, Wake
from wxrc_core.log import Event, Recorded
from wxrc_core.world import World

E = TypeVar("E")


class LogStory:
    """A log that is told command by command, and the world that follows it.

    Attributes:
        log: All events.
        world: The fold of the log.
        wall: Epoch ms; may be set.
        mono: Ms on the clock that is never set; move it with `wait`.
    """

    def __init__(
        self, log: Sequence[Recorded] = (), *, wall: int = 0, mono: int = 0, kept: bytes | None = None
    ) -> None:
        """Fold a log, or what follows in it after a snapshot; loops are not woken for what is past."""
        self.log: list[Recorded] = []
        self._streams: dict[str, list[Recorded]] = {}
        self.world = snapshot.decode(kept, mono) if kept is not None else World()
        self.wall, self.mono = wall, mono
        for recorded in log:
            self._fold(recorded)

    @property
    def now(self) -> Moment:
        """Now, on both clocks."""
        return Moment(self.wall, self.mono)

    def wait(self, ms: int) -> None:
        """Let time pass, on both clocks."""
        self.wall += ms
        self.mono += ms

    # -- the log ----------------------------------------------------------------------------------------------------------------

    def history(self, stream: str) -> list[Recorded]:
        """Return the events of one stream."""
        return self._streams.get(stream, [])

    def events(self, kind: type[E]) -> list[E]:
        """Return all events of a class, in order."""
        return [recorded.event for recorded in self.log if isinstance(recorded.event, kind)]

    def state(self, stream: str) -> State | None:
        """Return the state of a stream, folded from its beginning."""
        return aggregate.fold(self.history(stream))[0]

    def do(self, stream: str, command: Command) -> list[Wake]:
        """Hand a command to a stream's aggregate; record and fold what happens; return the loops that wake.

        Raises:
            Refusal: It cannot be done.
        """
        return self.record(stream, *aggregate.decide(self.state(stream), command))

    def record(self, stream: str, *events: Event) -> list[Wake]:
        """Record and fold events; return the loops that wake."""
        version, wakes = len(self.history(stream)), list[Wake]()
        for number, event in enumerate(events, 1):
            wakes += self._fold(Recorded(len(self.log) + 1, stream, version + number, event))
        return wakes

    def remove_bot(self, botcode: str = "b", *, by: str = "ops") -> list[Wake]:
        """Remove a bot for ever; its client is still to leave (`leave`)."""
        return self.do(bot.stream_name(botcode), bot.Remove(at=self.wall, by=by))

    def leave(self, botcode: str = "b") -> list[Wake]:
        """Have the client leave, as it was asked to."""
        leaving = self.state(bot.stream_name(botcode))
        assert isinstance(leaving, bot.Bot)
        finished = bot.FinishExit(at=self.wall, operation=leaving.operation, exit=leaving.pending_exit)
        return self.do(bot.stream_name(botcode), finished)

    def _fold(self, recorded: Recorded) -> Sequence[Wake]:
        if recorded.stream in self.world.doubts and recorded.position > self.world.position:
            self.world.recall(recorded.stream, self.history(recorded.stream))
        self.log.append(recorded)
        self._streams.setdefault(recorded.stream, []).append(recorded)
        return self.world.fold(recorded, self.mono) if recorded.position > self.world.position else ()
