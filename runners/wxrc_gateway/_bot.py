"""One bot that this gateway owns: its five loops, side by side in one task group.

- `_client`: its WeChat client, started and started again, its reports.
- `_images`: what its queued messages name is fetched and stored.
- `_sending`: its queue, one hand-over at a time.
- `_callbacks`: what channels are told about it.
- the records loop, here: whatever is to be recorded without anything outside being asked: operations, ends, notices, outcomes of callbacks.

Each loop asks the bot's world what is to be done now, does it, and waits until it is woken or something falls due.
"""

import logging
from collections.abc import Callable

import anyio

from wxrc_core.bot_world import BotWorld
from wxrc_core.effects import Decide, Wait, Wake, WakeClient, WakeDeliveries, WakeQueue, WakeRecords
from wxrc_core.errors import Unavailable
from wxrc_core.log import Fence
from wxrc_gateway._append import ShardLost
from wxrc_gateway._callbacks import Callbacks
from wxrc_gateway._client import BotClient
from wxrc_gateway._images import Images
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._sending import Sending
from wxrc_gateway._signal import Signal

log = logging.getLogger("wxrc.gateway")

RETRY_MS = 500
"""How long to wait before something is recorded again after the store failed (ms)."""


class OwnedBot:
    """The loops of one bot, under one epoch.

    Attributes:
        world: What is to be done.
        fence: The epoch of its shard under which the loops run.
        scope: Cancel it to end the loops; what they began and did not record is left to the next owner.
        ended: Set when they have ended.
    """

    def __init__(self, runtime: Runtime, world: BotWorld, fence: Fence, lost: Callable[[int], None]) -> None:
        self.world = world
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.fence = fence
        self._runtime, self._lost = runtime, lost
        self._records = Signal()
        self.client = BotClient(runtime, world, fence)
        self.images = Images(runtime, world, fence)
        self.sending = Sending(runtime, world, fence, self.client)
        self.callbacks = Callbacks(runtime, world, self._records)

    async def run(self) -> None:
        """Run the loops until cancelled, or until another member has the shard."""
        try:
            with self.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._record)
                    tasks.start_soon(self.client.run)
                    tasks.start_soon(self.images.run)
                    tasks.start_soon(self.sending.run)
                    tasks.start_soon(self.callbacks.run, tasks)
        except* ShardLost as lost:
            log.info("bot %s: %s", self.world.botcode, lost.exceptions[0])
            self._lost(self.fence.shard)
        finally:
            self.ended.set()

    async def leave(self, limit_s: float) -> None:
        """End the loops, once a send that is under way has ended, or has taken too long (seconds)."""
        self.sending.leaving = True
        with anyio.move_on_after(limit_s):
            async with self.sending.under_way:
                pass
        self.scope.cancel()
        await self.ended.wait()

    def wake(self, wake: Wake) -> None:
        """Wake the loop that this concerns; one that has ended takes no notice."""
        match wake:
            case WakeClient():
                self.client.signal.set()
                self._records.set()
            case WakeQueue():
                self.images.signal.set()
                self.sending.signal.set()
                self._records.set()
            case WakeRecords():
                self._records.set()
            case WakeDeliveries(chid) if not (self.ended.is_set() or self.scope.cancel_called):
                self.callbacks.wake(chid)  # which may start a loop

    async def _record(self) -> None:
        """Record what is to be recorded now, everything in one append."""
        runtime, world = self._runtime, self.world
        while True:
            self._records.clear()
            found = world.next_records(runtime.now())
            outcomes = self.callbacks.unrecorded()
            steps = [Decide(outcome.stream, outcome.command) for outcome in outcomes]
            steps += self.callbacks.to_disable()
            steps += found if isinstance(found, list) else []
            if not steps:
                await self._records.wait(found.ms if isinstance(found, Wait) else None)
                continue
            runtime.begin()
            try:
                recorded = await runtime.ledger.execute_all(steps, self.fence)
                self.callbacks.recorded(outcomes)
            except Unavailable as error:
                log.info("bot %s: the store is unavailable, retrying: %s", world.botcode, error)
                recorded = False
            finally:
                runtime.end()
            if not recorded:
                # Not woken: what stood in the way is in the log already and will be folded, or the store has to come back.
                with anyio.move_on_after(RETRY_MS / 1000):
                    await runtime.ledger.progressed()
