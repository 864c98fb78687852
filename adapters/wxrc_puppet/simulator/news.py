"""How a change in the world reaches whoever waits for one: at once inside this process, within a second from another."""

import anyio

POLL = 1.0
"""Seconds after which a waiter looks again although nobody told it: another process may have written."""


class News:
    """A number that rises with every change, and a way to wait until it has risen."""

    def __init__(self) -> None:
        self.number = 0
        self._waiting: set[anyio.Event] = set()

    def tell(self) -> None:
        """Say that something has changed, and wake all who wait. To be called where the event loop runs."""
        self.number += 1
        waiting, self._waiting = self._waiting, set()
        for event in waiting:
            event.set()

    async def after(self, number: int, within: float = POLL) -> None:
        """Return once the number is above `number`, or after `within` seconds (at most `POLL`): then look, too."""
        if self.number > number or within <= 0:
            return
        event = anyio.Event()
        self._waiting.add(event)
        try:
            with anyio.move_on_after(min(within, POLL)):
                await event.wait()
        finally:
            self._waiting.discard(event)
