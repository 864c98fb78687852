"""The pace of one bot as its queue asks about it: the bot's own, and what a grant sets for its channel's messages on top of it."""

from collections.abc import Callable

from wxrc_core.bot import Bot
from wxrc_core.message_events import MessageAttempted
from wxrc_core.pace import PACES, Pace, PaceLedger, own_pace
from wxrc_core.puppet import conversation


class BotPace:
    """What a bot has sent, and when it may send again.

    Args:
        pace_of: Tells how many messages of a channel may go in any minute by its grant; 0 = no limit of its own.

    Attributes:
        ledger: The sends, by the owner's clock.
    """

    def __init__(self, pace_of: Callable[[str], int]) -> None:
        self.ledger = PaceLedger()
        self._recorded = PaceLedger()  # the same as the log tells it, which knows no hand-over's exact time
        self._claimed_at = 0
        self._pace_of = pace_of

    def claimed(self, event: MessageAttempted, chid: str) -> None:
        """Take in a claim of a message of this channel."""
        for ledger in (self.ledger, self._recorded):
            ledger.claimed(conversation(event.room_id, event.user_id), event.gap_ms, chid)
        self._claimed_at = event.at

    def put_back(self, chid: str) -> None:
        """Forget the latest claim, of a message of this channel: it was not handed over."""
        for ledger in (self.ledger, self._recorded):
            ledger.put_back(chid)

    def limited(self, chid: str) -> bool:
        """Return whether the channel's grant has a pace of its own."""
        return self._pace_of(chid) > 0

    def own_free_at(self, chid: str) -> int:
        """Return from when on one more message of this channel keeps the pace of its grant (mono, ms)."""
        own = own_pace(self._pace_of(chid))
        return self.ledger.own_free_at(own, chid) if own is not None else 0

    def hindrance(self, limits: Pace | None, name: str, chid: str, mono: int) -> str:
        """Return why the latest claim, to this conversation, must not be handed over now; empty = nothing is in its way."""
        before, own = self.ledger.without_latest(), own_pace(self._pace_of(chid))
        if limits is not None and before.earliest(limits, name) > mono:
            return "the pace does not allow it yet"
        if own is not None and before.own_free_at(own, chid) > mono:
            return "the pace of the channel's grant does not allow it yet"
        return ""

    def allowance(self, bot: Bot, wall: int, chid: str) -> tuple[int | None, int]:
        """Return what `MessageQueue.allowance` does."""
        limits, own, ledger = PACES[bot.added.pace], own_pace(self._pace_of(chid)), self._recorded
        now = ledger.latest_at + max(0, wall - self._claimed_at)
        left, free_at = [], now
        if limits is not None:
            left.append(ledger.sends_left(limits, now))
            free_at = max(free_at, ledger.bot_free_at(limits))
        if own is not None:
            left.append(ledger.own_sends_left(own, chid, now))
            free_at = max(free_at, ledger.own_free_at(own, chid))
        return min(left, default=None), wall + free_at - now

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    def to_snapshot(self) -> tuple[list[tuple[int, str]], int, dict[str, list[int]]]:
        """Return the sends that count, when the latest was claimed (epoch ms), and the sends that count for the paces of grants."""
        return self._recorded.sends(), self._claimed_at, self._recorded.own_sends()

    def restore(self, sends: list[tuple[int, str]], claimed_at: int, own_sends: dict[str, list[int]]) -> None:
        """Take in a snapshot."""
        self.ledger, self._recorded = (PaceLedger(sends, own_sends) for _ in range(2))
        self._claimed_at = claimed_at
