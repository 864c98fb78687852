"""How a change reaches whatever waits for one: at once inside this process, within a second from another."""

import math

import anyio

POLL_S = 1.0
"""Seconds after which a waiter looks again without having been told: another process may have written."""


class News:
    """A number that rises with every change, and a way to wait until it has risen.

    Pages wait for any change; a bot's client waits only for what concerns it (`of`), so that a message of one bot does not wake the clients
    of all.

    Args:
        poll_s: Seconds after which a waiter looks again anyway.
    """

    def __init__(self, poll_s: float = POLL_S) -> None:
        self.number = 0
        self._poll_s = poll_s
        self._waiting: set[anyio.Event] = set()
        self._bots: dict[str, News] = {}

    def of(self, bot: str) -> "News":
        """Return the news that concern the client of a bot."""
        found = self._bots.get(bot)
        if found is None:
            found = self._bots[bot] = News(self._poll_s)
        return found

    def tell(self, *bots: str) -> None:
        """Say that something has changed, and which bots' clients it concerns. To be called where the event loop runs."""
        for bot in bots:
            self.of(bot).tell()
        self.number += 1
        waiting, self._waiting = self._waiting, set()
        for event in waiting:
            event.set()

    def tell_all(self) -> None:
        """Wake everything that waits."""
        self.tell(*self._bots)

    async def after(self, number: int, within: float = math.inf) -> None:
        """Return once the number is above `number`, after `within` seconds, or when it is time to look again anyway."""
        if self.number > number or within <= 0:
            return
        event = anyio.Event()
        self._waiting.add(event)
        try:
            with anyio.move_on_after(min(within, self._poll_s)):
                await event.wait()
        finally:
            self._waiting.discard(event)
