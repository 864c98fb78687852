"""A puppet that does what a test tells it: it reports, answers, raises, hangs, flaps or talks nonsense, and keeps what it was handed.

    client = ScriptedClient()
    client.at_start(ReportLoggedIn(at=0, wxid="wxid_b", name="Bot"), ReportRooms(at=0, rooms=(Room("r1", "一群"),), complete=True))
    client.answers(Unconfirmed("no answer"), RuntimeError("out of order"), HANG)

    kinds = {"scripted": PuppetKind(client.create, client.capabilities)}
    async with Gateway(store=MemoryStore(), puppets=kinds) as gateway:
        ...
        assert ["你好"] == [handed.outgoing.text for handed in client.handed]

One `ScriptedClient` stands for all clients of one bot, one after the other. It has the calls of `wxrc_puppet.port.Puppet`, said again here
since the core knows no adapter, and runs under asyncio and trio.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import ClassVar, Literal, Protocol, TypeAlias

import anyio
from attrs import evolve, field, frozen, mutable

from wxrc_core.puppet import (
    Accepted,
    Capabilities,
    NotConnected,
    Outgoing,
    Report,
    ReportLoggedIn,
    ReportRooms,
    Room,
    SendOutcome,
)
from wxrc_core.testing.puppet_driver import Slot


class Hang(Enum):
    """The type of `HANG`."""

    HANG = "hang"


HANG: Literal[Hang.HANG] = Hang.HANG
"""As an answer: no answer comes, until the caller's time limit is over."""

ReportTo: TypeAlias = Callable[[Report], Awaitable[None]]


@frozen
class Nonsense:
    """As an answer: this value, which is no outcome."""

    value: object


Reaction: TypeAlias = SendOutcome | Exception | Nonsense | Literal[Hang.HANG] | Callable[[Outgoing], SendOutcome]
"""How a hand-over is answered; a function is asked for the outcome."""


@frozen
class HandedOver:
    """A call of `send`: by which run of the client, when (epoch ms), and what."""

    run: int
    at: int
    outgoing: Outgoing


class ScriptedContext(Protocol):
    """What a runner gives to a new puppet, as far as it is used here (`wxrc_puppet.port.PuppetContext`)."""

    @property
    def botcode(self) -> str:
        """The bot that it is for."""

    @property
    def session(self) -> Slot:
        """The stored session."""

    @property
    def clock(self) -> Callable[[], int]:
        """Now, in epoch milliseconds."""


def receipt(outgoing: Outgoing) -> SendOutcome:
    """Accept a message under a receipt that says which one, and which attempt of it."""
    return Accepted(f"receipt-{outgoing.msgid}-{outgoing.attempt}")


@mutable(eq=False)
class ScriptedClient:
    """The script, and what came of it.

    Attributes:
        capabilities: What its clients can do.
        default: The answer to hand-overs for which no other was told.
        handed: What was handed over, in order.
        sending: How many calls of `send` run now.
        most_sending: How many ran at the same time at most.
        runs: How many clients were started.
        signed_out: How often a client was asked to sign out.
        released: How often a client was asked to leave and keep its session.
        digits: What was handed over as digits.
    """

    capabilities: Capabilities = field(factory=lambda: Capabilities(pace="none"))
    default: Reaction = receipt
    handed: list[HandedOver] = field(factory=list)
    sending: int = 0
    most_sending: int = 0
    runs: int = 0
    signed_out: int = 0
    released: int = 0
    digits: list[str] = field(factory=list)
    _start: tuple[Report, ...] = ()
    _answers: deque[Reaction] = field(factory=deque)
    _failures: deque[Exception] = field(factory=deque)
    _current: "ScriptedPuppet | None" = None
    _news: anyio.Event = field(factory=anyio.Event)

    # -- the script -------------------------------------------------------------------------------------------------------------

    def at_start(self, *reports: Report) -> None:
        """Have each client that starts from now on report this; `at` is then."""
        self._start = reports

    def logs_in(self, *topics: str, wxid: str = "wxid_scripted", name: str = "Scripted") -> None:
        """Have each client log in by itself, with rooms of these names (their ids are `room-1`, `room-2`, ...)."""
        rooms = tuple(Room(f"room-{number}", topic) for number, topic in enumerate(topics, 1))
        self.at_start(ReportLoggedIn(at=0, wxid=wxid, name=name), ReportRooms(at=0, rooms=rooms, complete=True))

    def answers(self, *reactions: Reaction) -> None:
        """Answer the next hand-overs like this, in order; then as by default."""
        self._answers.extend(reactions)

    def fails(self, *errors: Exception) -> None:
        """Have the next clients raise this when they start, in order."""
        self._failures.extend(errors)

    async def report(self, *reports: Report) -> None:
        """Have the client that runs report this; it returns when it is taken. Waits for a client where none runs."""
        while self._current is None:
            await self._news.wait()
        for report in reports:
            await self._current.tell(report)

    async def drop(self, error: Exception | None = None) -> None:
        """End the client that runs: with this error, or as if it had nothing more to say. Waits for a client where none runs."""
        while self._current is None:
            await self._news.wait()
        self._current.end(error)
        await anyio.lowlevel.checkpoint()

    async def until_handed(self, count: int) -> None:
        """Wait until so many messages were handed over in all."""
        while len(self.handed) < count:
            await self._news.wait()

    # -- the runner's side ------------------------------------------------------------------------------------------------------

    def create(self, context: ScriptedContext) -> "ScriptedPuppet":
        """Make the next client: a `wxrc_puppet.port.PuppetFactory`."""
        return ScriptedPuppet(self, context)

    def started(self, puppet: "ScriptedPuppet") -> None:
        """Take note that a client runs; raise what it was told to raise."""
        self.runs += 1
        puppet.run_number = self.runs
        if self._failures:
            raise self._failures.popleft()
        self._current = puppet
        self.changed()

    def ended(self, puppet: "ScriptedPuppet") -> None:
        """Take note that a client no longer runs."""
        if self._current is puppet:
            self._current = None

    def changed(self) -> None:
        """Wake those who wait for news."""
        self._news.set()
        self._news = anyio.Event()

    def beginning(self, at: int) -> list[Report]:
        """Return what a client reports first."""
        return [evolve(report, at=at) for report in self._start]

    def reaction(self) -> Reaction:
        """Return the answer to the next hand-over."""
        return self._answers.popleft() if self._answers else self.default


class ScriptedPuppet:
    """One client: what a runner calls."""

    capabilities: ClassVar[Capabilities] = Capabilities(pace="none")

    def __init__(self, script: ScriptedClient, context: ScriptedContext) -> None:
        self.run_number = 0
        self._script, self._context = script, context
        self._ended = anyio.Event()
        self._error: Exception | None = None
        self._report: ReportTo | None = None

    async def run(self, report: ReportTo) -> None:
        """Report what clients report at their start; then wait until the script ends the client."""
        self._report = report
        self._script.started(self)
        try:
            for each in self._script.beginning(self._context.clock()):
                await report(each)
            await self._ended.wait()
        finally:
            self._script.ended(self)
        if self._error is not None:
            raise self._error

    async def tell(self, report: Report) -> None:
        """Report something."""
        assert self._report is not None
        await self._report(report)

    def end(self, error: Exception | None) -> None:
        """End the client."""
        self._error = error
        self._ended.set()

    async def send(self, message: Outgoing) -> SendOutcome:
        """Keep the message, and answer as the script says."""
        script = self._script
        reaction = script.reaction()  # taken before anybody hears of the hand-over, and may kill who made it
        script.handed.append(HandedOver(self.run_number, self._context.clock(), message))
        script.sending += 1
        script.most_sending = max(script.most_sending, script.sending)
        script.changed()
        try:
            await anyio.lowlevel.checkpoint()
            return await self._react(reaction, message)
        finally:
            script.sending -= 1

    async def _react(self, reaction: Reaction, message: Outgoing) -> SendOutcome:
        if self._ended.is_set():
            return NotConnected("the client has ended")
        if isinstance(reaction, Exception):
            raise reaction
        if isinstance(reaction, Nonsense):
            return reaction.value  # type: ignore[return-value]
        if reaction is HANG:
            await anyio.sleep_forever()
        if callable(reaction):
            return reaction(message)
        return reaction  # type: ignore[return-value]

    async def submit_digits(self, digits: str) -> None:
        """Keep the digits."""
        self._script.digits.append(digits)

    async def sign_out(self) -> None:
        """Forget the session and end."""
        self._script.signed_out += 1
        await self._context.session.clear()
        self.end(None)

    async def release(self) -> None:
        """End, and keep the session."""
        self._script.released += 1
        self.end(None)
