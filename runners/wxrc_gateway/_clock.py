"""The clock that is never set."""

import anyio


def mono() -> int:
    """Return milliseconds on the event loop's own clock (`Moment.mono`)."""
    return int(anyio.current_time() * 1000)
