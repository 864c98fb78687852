"""What the tests of the core share: any event and any command at random, states reached by legal walks, and a story to tell."""

import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from wxrc_core import aggregate, bot, channel, message, operation
from wxrc_core.effects import Decide, Effect
from wxrc_core.log import Event, Recorded
from wxrc_core.puppet import ReportLoggedIn, ReportRooms, Room
from wxrc_core.world import World

examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No test here depends on how fast the machine is."""

_INTEGERS = {
    "attempt": st.integers(0, 4),
    "operation": st.integers(0, 4),
    "starts": st.integers(0, 4),
    "retry_after_s": st.integers(0, 100_000),
}
_ANY_INTEGER = st.integers(0, 2**53 - 1)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@cache
def values(wanted: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type; numbers that mean something small (by their field's name) are small."""
    if wanted is int:
        return _INTEGERS.get(name, _ANY_INTEGER)
    if wanted is str:
        return _TEXT
    if wanted is float:
        return st.floats(0, 1)
    if attrs.has(wanted):
        hints = get_type_hints(wanted)
        return st.builds(
            wanted, **{field.name: values(hints[field.name], field.name) for field in attrs.fields(wanted)}
        )
    match get_origin(wanted):
        case origin if origin is Literal:
            return st.sampled_from(get_args(wanted))
        case origin if origin in (Union, types.UnionType):
            return st.one_of(*(values(option, name) for option in get_args(wanted)))
        case origin if origin is tuple:
            return st.lists(values(get_args(wanted)[0]), max_size=3).map(tuple)
    return st.from_type(wanted)


@st.composite
def histories(draw: st.DrawFn, module: Any, min_size: int = 1, max_size: int = 8) -> list[Event]:
    """Return the events of a legal walk through an aggregate's table, from its beginning."""
    state, events = "new", []
    for _ in range(draw(st.integers(min_size, max_size))):
        possible = [kind for kind, row in module.TABLE.next.items() if state in row]
        if not possible:
            break
        event = draw(values(draw(st.sampled_from(possible))))
        events.append(event)
        state = module.TABLE.next[type(event)][state]
    return events


def fold(module: Any, events: Sequence[Event]) -> Any:
    """Return the state that events lead to: the `given` of a test."""
    state = None
    for event in events:
        state = module.evolve(state, event)
    return state


class Story:
    """A log that is told command by command, and the world that follows it.

    Attributes:
        world: What is open.
        log: All events.
    """

    def __init__(self) -> None:
        self.world = World()
        self.log: list[Recorded] = []

    def history(self, stream: str) -> list[Recorded]:
        """Return the events of one stream."""
        return [recorded for recorded in self.log if recorded.stream == stream]

    def do(self, stream: str, command: Any) -> list[Effect]:
        """Hand a command to a stream's aggregate; record and fold what happens; return what must be done."""
        state, _ = aggregate.fold(self.history(stream))
        return self.record(stream, *aggregate.decide(state, command))

    def record(self, stream: str, *events: Event) -> list[Effect]:
        """Record and fold events; return what must be done."""
        version, effects = len(self.history(stream)), []
        for number, event in enumerate(events, 1):
            recorded = Recorded(len(self.log) + 1, stream, version + number, event)
            self.log.append(recorded)
            effects += self.world.fold(recorded)
        return effects

    def carry_out(self, effects: Sequence[Effect]) -> list[Effect]:
        """Carry out the commands among effects, and those that follow; return the other effects, in order."""
        others: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Decide):
                others += self.carry_out(self.do(effect.stream, effect.command))
            else:
                others.append(effect)
        return others

    def restarted(self) -> "Story":
        """Return the same log with a new world that has replayed it, as after a crash."""
        again = Story()
        again.log = list(self.log)
        again.world.replay(again.log)
        return again


# -- a story's usual beginning, and its usual steps ------------------------------------------------------------------------------

BOT = bot.stream_name("b")
ROOMS = (Room("r1", "一群"), Room("r2", "二群"), Room("r3", "同名"), Room("r4", "同名"))


def stream(txcode: str) -> str:
    """Return the stream of a request."""
    return message.stream_name("ch", "20261124", txcode)


def story(*, callback: str = "https://ch.example/", pace: str = "none", deduplicates: bool = False) -> Story:
    """Return the beginning: a bot, and a channel that may use it."""
    told = Story()
    added = bot.BotAdded(at=0, botcode="b", puppet="simulator", pace=pace, deduplicates=deduplicates)  # type: ignore[arg-type]
    told.do(BOT, bot.Add(added))
    settings = channel.ChannelAdded(at=0, chid="ch", key_id="k", webhook_secret_id="w", callback_url=callback)
    told.do("channel/ch", channel.Add(settings))
    told.do("channel/ch", channel.Grant(channel.BotGranted(at=0, botcode="b")))
    return told


def operate(told: Story, kind: Any, txcode: str, at: int = 0) -> list[Any]:
    """Accept an operation; return what must be done."""
    accepted = operation.OperationAccepted(
        at=at, chid="ch", botcode="b", txcode=txcode, interface=kind, digest=f"{kind} {txcode}", kind=kind
    )
    return told.do(stream(txcode), operation.Accept(accepted))


def log_in(told: Story, *, rooms: tuple[Room, ...] = ROOMS, complete: bool = True) -> Story:
    """Log the bot in, up to its room list; its callbacks are created and left alone."""
    told.carry_out(operate(told, "login", "login"))
    told.carry_out(told.do(BOT, ReportLoggedIn(at=0, wxid="wxid_b", name="Bot")))
    told.do(BOT, ReportRooms(at=0, rooms=rooms, complete=complete))
    return told


def send(told: Story, txcode: str, **fields: Any) -> list[Any]:
    """Accept a text; return what must be done."""
    known = {"room_id": "r1", "text": f"text {txcode}"} | fields
    queued = message.MessageQueued(
        at=0, chid="ch", botcode="b", txcode=txcode, interface="roomSendText", digest=repr(known), **known
    )
    return told.do(stream(txcode), message.Queue(queued))


def attempt(txcode: str, number: int = 1, room_id: str = "r1", at: int = 0) -> Decide:
    """Return what the world says when a message is next."""
    return Decide(stream(txcode), message.Attempt(at=at, attempt=number, room_id=room_id))


def follow(told: Story, step: Any) -> list[Any]:
    """Carry out what the world says is next; return what must be done."""
    assert isinstance(step, Decide)
    return told.do(step.stream, step.command)


def settle(told: Story, txcode: str, outcome: Any, number: int = 1, at: int = 0, **fields: Any) -> list[Any]:
    """Tell how a hand-over ended; return what must be done."""
    return told.do(stream(txcode), message.Settle(at=at, attempt=number, outcome=outcome, **fields))
