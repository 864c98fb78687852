"""A wake-up call for one loop."""

import anyio
import anyio.lowlevel


class Signal:
    """Set by anybody, awaited by one loop. The loop clears it *before* it looks what is to be done, so that no call gets lost.

    Calls are many and waits are few: an event is made only for a wait.
    """

    def __init__(self) -> None:
        self._called = False
        self._event: anyio.Event | None = None

    def set(self) -> None:
        """Wake the loop, now or when it waits next."""
        self._called = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Forget earlier calls."""
        self._called = False

    async def wait(self, ms: int | None = None) -> None:
        """Wait for a call, at most for so long (ms); None = without limit."""
        if self._called or (ms is not None and ms <= 0):
            await anyio.lowlevel.checkpoint()
            return
        event = self._event = anyio.Event()
        try:
            if ms is None:
                await event.wait()
            else:
                with anyio.move_on_after(ms / 1000):
                    await event.wait()
        finally:
            self._event = None
