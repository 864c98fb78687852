"""Which bots this gateway acts for: it joins the store as a member, takes its part of the shards, lets go of what is more, and starts and
ends the loops of their bots.

Safety does not rest on this file: whatever only an owner may do carries a fence, and the store checks it. This file sees to it that every
shard has an owner soon, and that effects begin only while the membership lasts.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import anyio
import anyio.abc

from wxrc_core import shard
from wxrc_core.bot import BotAdded
from wxrc_core.channel import CallbackDisabled, CallbackMoved, CallbackRetried
from wxrc_core.effects import Wake
from wxrc_core.errors import Unavailable
from wxrc_core.log import Fence, Lease, Member, Recorded
from wxrc_core.shard import ShardFreed, ShardTaken
from wxrc_gateway._bot import OwnedBot
from wxrc_gateway._clock import mono
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_store.port import Lapsed

log = logging.getLogger("wxrc.gateway")

HEARTBEATS = 4
"""How often a membership is renewed within its lifetime."""

KEEP_LIFETIMES = 10
"""How many lifetimes long shards are kept that had to be taken for another member, which lives and does not take its part."""

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
        self._giving: Sequence[int] = ()  # shards that are being let go of
        self._free_since: dict[int, int] = {}  # free shards, and since when (ms, monotonic)
        self._keep_until = 0  # nothing is let go of before (ms, monotonic)

    # -- membership -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join, take what is free, and have what is no longer so recorded before anything else begins."""
        try:
            await self._join()
            await self._balance()
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
                await self._balance()
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
        match recorded.event:
            case BotAdded(botcode=botcode):
                self._bot_added(botcode)
            case CallbackMoved() | CallbackRetried() | CallbackDisabled() as event:
                self._callback_changed(recorded.stream.partition("/")[2], event)
            case ShardFreed() | ShardTaken():
                self._changed.set()  # it may be ours now; or the next one may move
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

    async def _balance(self) -> None:
        """Take what of the free shards is ours, or let go of one where we own more than others."""
        runtime, member = self._runtime, self._runtime.member
        if runtime.draining or member is None:
            return
        mine = member.id
        owners = {number: owner.member for number, owner in (await runtime.store.owners()).items()}
        share = shard.share(owners, await runtime.store.members(), mine)
        if not runtime.may_begin():
            return  # it began to go down meanwhile, or has been away: what is free is for others
        # The answer to an earlier call may have been lost.
        unheard = {number for number, owner in owners.items() if owner == mine} - {*self.leases, *self._giving}
        if wanted := sorted({*share.take, *unheard, *self._left_lying(set(share.free) - set(share.take))}):
            await self._take(member, wanted)
        elif share.give and not share.free and not self._giving and mono() > self._keep_until:
            self._giving = self._dispensable(share.give)
            self._tasks.start_soon(self._give, self._giving)

    def _left_lying(self, free: Iterable[int]) -> Sequence[int]:
        """Return which of the shards that others should take have been free for longer than a lifetime: whoever it is, it cannot."""
        lifetime_ms, now = int(self._runtime.store.lifetime * 1000), mono()
        self._free_since = {number: self._free_since.get(number, now) for number in free}
        found = [number for number, since in self._free_since.items() if now - since > lifetime_ms]
        if found:
            self._keep_until = now + KEEP_LIFETIMES * lifetime_ms
        return found

    async def _take(self, member: Member, wanted: Sequence[int]) -> None:
        runtime = self._runtime
        taken = await runtime.store.acquire(member, wanted, runtime.clock())
        if runtime.draining and taken:
            await runtime.store.release(list(taken.values()), runtime.clock())
        if runtime.draining or not taken:
            return
        # What an earlier epoch wrote lies below the lease: nothing is done before it is folded.
        await runtime.ledger.reached(max(lease.position for lease in taken.values()))
        self.leases.update(taken)
        log.info("took %d of %d shards", len(taken), runtime.store.shards)
        for botcode in list(runtime.ledger.world.view.bots):
            lease = taken.get(shard.shard_of(botcode, runtime.store.shards))
            if lease is not None:
                self._start(botcode, lease.fence)

    def _dispensable(self, count: int) -> Sequence[int]:
        """Return which shards to let go of: those without bots at once, others one by one, so that one session moves at a time."""
        runtime = self._runtime
        bots = Counter(shard.shard_of(botcode, runtime.store.shards) for botcode in runtime.ledger.world.view.bots)
        held = sorted(self.leases, key=lambda number: (bots[number], number))
        return [number for number in held if not bots[number]][:count] or held[:1]

    async def _give(self, numbers: Sequence[int]) -> None:
        """Let go of shards that others have too few of, when the sends that are under way have ended."""
        runtime = self._runtime
        given = {number: self.leases[number] for number in numbers}
        fences = {lease.fence for lease in given.values()}
        try:
            while left := [
                owned for owned in self.bots.values() if owned.fence in fences
            ]:  # a bot may be added meanwhile
                async with anyio.create_task_group() as tasks:
                    for owned in left:
                        tasks.start_soon(owned.leave, runtime.send_limit_s)
            # Whatever was lost meanwhile, and perhaps taken again, is not what was to be given.
            leases = [lease for number, lease in given.items() if self.leases.get(number) == lease]
            for lease in leases:
                del self.leases[lease.fence.shard]
            await runtime.store.release(leases, runtime.clock())
            log.info("let go of %d of %d shards", len(leases), runtime.store.shards)
        except (Unavailable, Lapsed) as error:
            log.info("shards could not be let go of, and are taken again: %s", error)
        finally:
            self._giving = ()
            self._changed.set()

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
