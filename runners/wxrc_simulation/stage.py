"""What outlives the gateway's process and everybody shares: chance, time, faults, the log and the trace."""

from collections.abc import Sequence
from random import Random

from attrs import frozen

from wxrc_core.log import Appended, Conflict, Entry, Outcome, Recorded
from wxrc_simulation.scheduler import Scheduler

START = 1_795_500_000_000
"""When every simulation begins (epoch ms)."""

WORST: dict[str, float] = {
    # before any one step of the gateway
    "crash": 0.02,
    # per append
    "store refuses": 0.05,
    "store does not answer": 0.05,
    # per request of a channel
    "request lost": 0.2,
    "answer lost": 0.3,
    # per start of a client
    "client cannot start": 0.4,
    "login refused": 0.3,
    "digits wanted": 0.3,
    "nobody scans": 0.4,
    "rooms come late": 0.5,
    # per hand-over
    "refused for now": 0.4,
    "refused": 0.1,
    "content rejected": 0.1,
    "lost on the way": 0.15,
    "no answer": 0.2,
    "hangs": 0.1,
    "no receipt": 0.2,
    # per inbound message, per callback
    "told twice": 0.5,
    "callback fails": 0.6,
    "callback not acknowledged": 0.3,
    "receiver gone": 0.05,
}
"""Every kind of fault, and how likely it is where it is worst."""


class Faults:
    """Chance with an off switch. Every seed has its own mix: some faults often, some seldom, some never.

    Attributes:
        on: Things may go wrong.
        struck: What did.
    """

    def __init__(self, random: Random) -> None:
        self.on = True
        self.struck: set[str] = set()
        self._random = random
        self._rates = {name: worst * random.random() if random.random() < 0.6 else 0.0 for name, worst in WORST.items()}

    def strike(self, name: str) -> bool:
        """Tell whether this fault happens here and now."""
        rate = self._rates[name]
        if rate == 0.0 or not self.on or self._random.random() >= rate:
            return False
        self.struck.add(name)
        return True


class Log:
    """An event log in memory. An append is atomic and durable: whatever crashes, it has happened or it has not."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.events: list[Recorded] = []
        self.streams: dict[str, list[Recorded]] = {}
        self.news = scheduler.signal()
        self._scheduler = scheduler

    def append(self, entry: Entry) -> Outcome:
        """Append events to one stream, all or none."""
        stream = self.streams.get(entry.stream, [])
        if len(stream) != entry.expected:
            return Conflict(len(stream))
        position = len(self.events)
        recorded = [
            Recorded(position + number, entry.stream, entry.expected + number, event)
            for number, event in enumerate(entry.events, 1)
        ]
        self.streams.setdefault(entry.stream, stream).extend(recorded)
        self.events.extend(recorded)
        self.news.set()
        self.news = self._scheduler.signal()
        return Appended(position + 1)

    def read(self, stream: str) -> Sequence[Recorded]:
        """Return the events of a stream, in order."""
        return tuple(self.streams.get(stream, ()))


@frozen
class Note:
    """One line of the trace, written out only when somebody reads it. The values must not change afterwards."""

    at: int
    what: str
    values: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.at - START:>10} {self.what} {' '.join(map(str, self.values))}".rstrip()


class Stage:
    """Everything shared.

    Attributes:
        random: The one source of chance.
        scheduler: Time.
        faults: What goes wrong.
        log: The event log.
        trace: What happened, in order.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - it has to be predictable
        self.scheduler = Scheduler(self.random, START)
        self.faults = Faults(self.random)
        self.log = Log(self.scheduler)
        self.trace: list[Note] = []

    @property
    def now(self) -> int:
        """The time (epoch ms)."""
        return self.scheduler.now

    def delay(self, shortest: int, longest: int) -> int:
        """Return a random while (ms)."""
        return shortest + int(self.random.random() * (longest - shortest + 1))

    def note(self, what: str, *values: object) -> None:
        """Add a line to the trace."""
        self.trace.append(Note(self.scheduler.now, what, values))
