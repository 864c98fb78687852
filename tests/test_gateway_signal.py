"""The wake-up call of the gateway's loops."""

import anyio
import anyio.lowlevel
import pytest

from wxrc_gateway._signal import Signal

pytestmark = pytest.mark.anyio


async def test_a_call_before_the_wait_is_not_lost() -> None:
    """A loop that is called while it looks what is to be done does not wait."""
    signal = Signal()
    signal.set()
    with anyio.fail_after(30):
        await signal.wait()
        await signal.wait(30_000)


async def test_a_call_ends_a_wait() -> None:
    """A loop that waits is woken, with and without a limit, and again after it has waited once."""
    signal, woken = Signal(), []

    async def loop() -> None:
        for ms in (None, 30_000, None):
            signal.clear()
            await signal.wait(ms)
            woken.append(ms)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop)
            for count in (1, 2, 3):
                await anyio.wait_all_tasks_blocked()
                signal.set()
                while len(woken) < count:
                    await anyio.lowlevel.checkpoint()

    assert [None, 30_000, None] == woken


async def test_a_cleared_call_is_forgotten() -> None:
    """A wait after `clear` ends only with its limit; a limit that is over is no wait."""
    signal = Signal()
    signal.set()
    signal.clear()
    with anyio.move_on_after(0.01) as limit:
        await signal.wait()

    assert limit.cancelled_caught

    with anyio.fail_after(30):
        await signal.wait(1)
        await signal.wait(0)
