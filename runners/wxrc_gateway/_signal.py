"""A wake-up call for one loop."""

import anyio
import anyio.lowlevel


class Signal:
    """Set by anybody, awaited by one loop. The loop clears it *before* it looks what is to be done, so that no call gets lost."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake the loop, now or when it waits next."""
        self._event.set()

    def clear(self) -> None:
        """Forget earlier calls."""
        if self._event.is_set():
            self._event = anyio.Event()

    async def wait(self, ms: int | None = None) -> None:
        """Wait for a call, at most for so long (ms); None = without limit."""
        if ms is None:
            await self._event.wait()
        elif ms <= 0:
            await anyio.lowlevel.checkpoint()
        else:
            with anyio.move_on_after(ms / 1000):
                await self._event.wait()
