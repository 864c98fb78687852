"""How much a bot may send. It limits volume; it does not disguise anything (design.md, Sending).

All times are those of a clock that is never set (`Moment.mono`), and what counts is the moment of the hand-over.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from attrs import frozen

MINUTE_MS = 60_000

HIGHEST_PER_MINUTE = 64
"""So many sends are remembered for each bot; no pace allows more in a minute."""


@frozen
class Pace:
    """Limits on the sends of one bot.

    Attributes:
        per_minute: Sends in any 60 seconds.
        room_gap_ms: Least time between two sends to the same room or person (ms).
        switch_gap_ms: Least time between two sends to different ones (ms).
    """

    per_minute: int
    room_gap_ms: int
    switch_gap_ms: int


def own_pace(per_minute: int) -> Pace | None:
    """Return the limits that a grant sets for its channel's messages (`BotGranted.pace`); None = it sets none."""
    return Pace(min(per_minute, HIGHEST_PER_MINUTE), room_gap_ms=0, switch_gap_ms=0) if per_minute > 0 else None


CUSTOMARY = Pace(per_minute=20, room_gap_ms=3_000, switch_gap_ms=4_000)
PACES: dict[str, Pace | None] = {"customary": CUSTOMARY, "none": None}


class PaceLedger:
    """When a bot sent to which conversation (`wxrc_core.puppet.conversation`), as much of it as the pace needs, the latest last.

    To the pace a person is a conversation like a room.

    Times are milliseconds from an origin of their own. Each claim in the log says how long the hand-over before it was ago
    (`MessageAttempted.gap_ms`), measured on a clock that is never set, so the distances hold however wall clocks are set and
    whoever reads the log. An owner moves the origin to its own clock (`rebase`) and from then on tells the exact time of each
    hand-over.

    What each channel sent is kept beside, for the paces of grants: others may send so much that the bot's latest sends do not tell.
    """

    def __init__(self, sends: Iterable[tuple[int, str]] = (), own: Mapping[str, Iterable[int]] | None = None) -> None:
        self._sends: deque[tuple[int, str]] = deque(sends, maxlen=HIGHEST_PER_MINUTE)
        self._own = {chid: deque(times, maxlen=HIGHEST_PER_MINUTE) for chid, times in (own or {}).items()}
        self._latest_chid = ""  # whose the latest claim is

    def claimed(self, conversation: str, gap_ms: int, chid: str = "") -> None:
        """Take in a claim: from now on it counts as a send, at the earliest time that it may be handed over; `chid` is the channel's."""
        at = self.latest_at + max(0, gap_ms)
        self._sends.append((at, conversation))
        own = self._own.setdefault(chid, deque(maxlen=HIGHEST_PER_MINUTE))
        while own and own[0] <= at - MINUTE_MS:
            own.popleft()
        own.append(at)
        self._latest_chid = chid

    def handed_over(self, mono: int) -> None:
        """Give the latest claim the time of its hand-over."""
        self._sends[-1] = (mono, self._sends[-1][1])
        self._own[self._latest_chid][-1] = mono

    def put_back(self, chid: str = "") -> None:
        """Forget the latest claim, of this channel's message: it was not handed over."""
        self._sends.pop()
        if own := self._own.get(chid):
            own.pop()

    def rebase(self, mono: int) -> None:
        """Count the latest send as one of just now, and the others by as much later: how long ago it was is not known."""
        if self._sends:
            shift = mono - self._sends[-1][0]
            self._sends = deque(((at + shift, each) for at, each in self._sends), maxlen=HIGHEST_PER_MINUTE)
            for chid, own in self._own.items():
                self._own[chid] = deque((at + shift for at in own), maxlen=HIGHEST_PER_MINUTE)

    def gap_ms(self, mono: int) -> int:
        """Return how long ago the latest send was."""
        return max(0, mono - self._sends[-1][0]) if self._sends else 0

    @property
    def latest_at(self) -> int:
        """When the latest send was; 0 = there is none."""
        return self._sends[-1][0] if self._sends else 0

    @property
    def last_conversation(self) -> str:
        """The conversation of the latest send; empty = none."""
        return self._sends[-1][1] if self._sends else ""

    def bot_free_at(self, limits: Pace) -> int:
        """Return from when on the bot may send to the conversation of its latest send, or to any."""
        if not self._sends:
            return 0
        at = self._sends[-1][0] + min(limits.room_gap_ms, limits.switch_gap_ms)
        if len(self._sends) >= limits.per_minute:
            at = max(at, self._sends[-limits.per_minute][0] + MINUTE_MS)
        return at

    def switch_at(self, limits: Pace) -> int:
        """Return from when on the bot may send to another conversation than that of its latest send."""
        return max(self.bot_free_at(limits), self._sends[-1][0] + limits.switch_gap_ms) if self._sends else 0

    def own_gap_over_at(self, limits: Pace, conversation: str) -> int:
        """Return from when on this conversation's own gap is over."""
        for at, each in reversed(self._sends):
            if each == conversation:
                return at + limits.room_gap_ms
        return 0

    def own_free_at(self, limits: Pace, chid: str) -> int:
        """Return from when on one more message of this channel keeps the pace of its grant."""
        own = self._own.get(chid, ())
        return own[-limits.per_minute] + MINUTE_MS if len(own) >= limits.per_minute else 0

    def own_sends_left(self, limits: Pace, chid: str, now: int) -> int:
        """Return how many more sends of this channel its grant leaves room for in the last minute; `now` is on the ledger's own clock."""
        return max(0, limits.per_minute - sum(1 for at in self._own.get(chid, ()) if at > now - MINUTE_MS))

    def earliest(self, limits: Pace, conversation: str) -> int:
        """Return from when on a send to this conversation keeps the whole pace."""
        free = self.bot_free_at(limits) if conversation == self.last_conversation else self.switch_at(limits)
        return max(free, self.own_gap_over_at(limits, conversation))

    def sends_left(self, limits: Pace, now: int) -> int:
        """Return how many more sends the last minute leaves room for; `now` is on the ledger's own clock."""
        recent = sum(1 for at, _ in self._sends if at > now - MINUTE_MS)
        return max(0, limits.per_minute - recent)

    def without_latest(self) -> "PaceLedger":
        """Return the sends before the latest claim: what that claim itself has to keep."""
        own = dict(self._own)
        if self._latest_chid in own:
            own[self._latest_chid] = deque(list(own[self._latest_chid])[:-1])
        return PaceLedger(list(self._sends)[:-1], own)

    def sends(self) -> list[tuple[int, str]]:
        """Return (time, conversation) of the sends that count, with the latest at 0."""
        last = self._sends[-1][0] if self._sends else 0
        return [(at - last, conversation) for at, conversation in self._sends]

    def own_sends(self) -> dict[str, list[int]]:
        """Return the times of each channel's sends, with the bot's latest send at 0."""
        last = self.latest_at
        return {chid: [at - last for at in own] for chid, own in sorted(self._own.items()) if own}
