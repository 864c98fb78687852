"""Which bots this gateway acts for: it joins the store as a member, takes the shards that are free, and starts and ends the loops
of their bots.

Safety does not rest on this file: whatever only an owner may do carries a fence, and the store checks it. This file sees to it that every
shard has an owner soon, and that effects begin only while the membership lasts.
"""

import logging
from collections.abc import Iterable, Sequence

import anyio
import anyio.abc

from wxrc_core import shard
from wxrc_core.bot import BotAdded
from wxrc_core.channel import CallbackDisabled, CallbackMoved, CallbackRetried
from wxrc_core.effects import Wake
from wxrc_core.errors import Unavailable
from wxrc_core.log import Fence, Lease, Member, Recorded
from wxrc_core.shard import ShardFreed
from wxrc_gateway._bot import OwnedBot
from wxrc_gateway._clock import mono
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_store.port import Lapsed

log = logging.getLogger("wxrc.gateway")

HEARTBEATS = 4
"""How often a membership is renewed within its lifetime."""

RETRY_S = 0.5
"""How long to wait before the store is asked again after it failed (seconds)."""


class Ownership:
    """The shards that this gateway owns, and the loops of their bots.

    Attributes:
        leases: The shards, by number.
        bots: The bots whose loops run, by botcode.
    """

    def __init__(self, runtime: Runtime, name: str, tasks: anyio.abc.TaskGroup) -> None:
        self.leases: dict[int, Lease] = {}
        self.bots: dict[str, OwnedBot] = {}
        self._runtime, self._name, self._tasks = runtime, name, tasks
        self._changed = Signal()

    # -- membership -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join, take what is free, and have what is no longer so recorded before anything else begins."""
        try:
            await self._join()
            await self._acquire()
        except (Unavailable, Lapsed) as error:
            log.warning("no shard could be taken at the start, retrying: %s", error)

    async def settled(self) -> None:
        """Wait until the log says of every owned bot what is no longer so: a client that ran, a send that was under way."""
        while any(owned.world.inherits() for owned in self.bots.values()):
            await self._runtime.ledger.progressed()

    async def run(self) -> None:
        """Keep the membership alive and take every shard that becomes free, until cancelled."""
        runtime = self._runtime
        while True:
            self._changed.clear()
            try:
                if runtime.member is None:
                    await self._join()
                else:
                    runtime.member = await self._renew(runtime.member)
                await self._acquire()
            except Lapsed:
                log.warning(
                    "this gateway was away for longer than its membership lasts; it gives up its bots and joins anew"
                )
                self._lose_all()
                continue
            except Unavailable as error:
                log.info("the membership could not be renewed: %s", error)
                await anyio.sleep(min(RETRY_S, runtime.store.lifetime / HEARTBEATS / 2))
                continue
            await self._changed.wait(int(runtime.store.lifetime * 1000 / HEARTBEATS))

    async def _join(self) -> None:
        self._runtime.member = await self._runtime.store.join(self._name)

    async def _renew(self, member: Member) -> Member:
        # A store that does not answer must not keep us from noticing that the membership has run out.
        with anyio.move_on_after(self._runtime.store.lifetime):
            return await self._runtime.store.renew(member)
        return member

    async def end_bots(self) -> None:
        """End the loops of all bots, and wait until they have ended; accounts stay logged in."""
        owned = list(self.bots.values())
        self._end(self.bots)
        for each in owned:
            await each.ended.wait()

    async def leave(self) -> None:
        """Let go of every shard at once, so that others take them now and not after the lifetime."""
        member, self._runtime.member = self._runtime.member, None
        leases, self.leases = list(self.leases.values()), {}
        if member is None:
            return
        try:
            await self._runtime.store.release(leases, self._runtime.clock())
            await self._runtime.store.leave(member)
        except (Unavailable, Lapsed) as error:
            log.info("the shards could not be released, others take them after the lifetime: %s", error)

    # -- what the log says ------------------------------------------------------------------------------------------------------

    def wake(self, recorded: Recorded, wakes: Sequence[Wake]) -> None:
        """Take in an event, and wake the loops that it concerns where they run here."""
        event = recorded.event
        if isinstance(event, BotAdded):
            self._bot_added(event.botcode)
        elif isinstance(event, CallbackMoved | CallbackRetried | CallbackDisabled):
            self._callback_changed(recorded.stream.partition("/")[2], event)
        elif isinstance(event, ShardFreed):
            self._changed.set()  # it may be ours now
        for wake in wakes:
            owned = self.bots.get(wake.botcode)
            if owned is not None:
                owned.wake(wake)

    def _callback_changed(self, chid: str, event: CallbackMoved | CallbackRetried | CallbackDisabled) -> None:
        """Take in that a channel's callbacks go elsewhere, or are to be tried again, or nowhere for now."""
        endpoint = self._runtime.endpoint(chid)
        if isinstance(event, CallbackDisabled):
            endpoint.disable(event.reason)
            return
        if endpoint.gone:
            log.warning("channel %s: its callback URL is used again", chid)
        endpoint.moved()

    def wake_channel(self, chid: str) -> None:
        """Wake every queue of callbacks to a channel: its endpoint is up again, or has gone down."""
        for owned in self.bots.values():
            owned.callbacks.wake_waiting(chid)

    # -- shards -----------------------------------------------------------------------------------------------------------------

    async def _acquire(self) -> None:
        runtime = self._runtime
        wanted = [number for number in range(runtime.store.shards) if number not in self.leases]
        if not wanted or runtime.draining or runtime.member is None:
            return
        mine = runtime.member.id
        owners = await runtime.store.owners()
        # Our own shards stay in: the answer to an earlier call may have been lost.
        held = {number for number, owner in owners.items() if owner.member not in ("", mine) and owner.alive}
        wanted = [number for number in wanted if number not in held]
        if not wanted:
            return
        taken = await runtime.store.acquire(runtime.member, wanted, runtime.clock())
        if not taken:
            return
        # What an earlier epoch wrote lies below the lease: nothing is done before it is folded.
        await runtime.ledger.reached(max(lease.position for lease in taken.values()))
        self.leases.update(taken)
        log.info("took %d of %d shards", len(taken), runtime.store.shards)
        for botcode in list(runtime.ledger.world.view.bots):
            lease = taken.get(shard.shard_of(botcode, runtime.store.shards))
            if lease is not None:
                self._start(botcode, lease.fence)

    def _bot_added(self, botcode: str) -> None:
        """Start the loops of a new bot, if its shard is ours."""
        lease = self.leases.get(shard.shard_of(botcode, self._runtime.store.shards))
        if lease is not None and botcode not in self.bots:
            self._start(botcode, lease.fence)

    def _start(self, botcode: str, fence: Fence) -> None:
        before = self.bots.get(botcode)
        world = self._runtime.ledger.world.bot_world(botcode)
        world.resume(fence.epoch, mono())
        owned = self.bots[botcode] = OwnedBot(self._runtime, world, fence, self._lost)
        self._tasks.start_soon(self._run, owned, before)

    async def _run(self, owned: OwnedBot, before: OwnedBot | None) -> None:
        if before is not None:
            before.scope.cancel()
            await before.ended.wait()  # two clients of one account would throw each other out
        try:
            await owned.run()
        finally:
            if self.bots.get(owned.world.botcode) is owned:
                del self.bots[owned.world.botcode]

    def _lost(self, number: int) -> None:
        """End the loops of a shard that another member owns now."""
        lease = self.leases.pop(number, None)
        if lease is not None:
            log.warning("another process has taken shard %d; its bots are left to it", number)
        self._end(
            botcode for botcode in list(self.bots) if shard.shard_of(botcode, self._runtime.store.shards) == number
        )
        self._changed.set()

    def _lose_all(self) -> None:
        self._runtime.member = None
        self.leases.clear()
        self._end(list(self.bots))

    def _end(self, botcodes: Iterable[str]) -> None:
        for botcode in botcodes:
            self.bots[botcode].scope.cancel()
