"""The contract of ownership: members, shards, epochs, fences.

It holds for stores with a server and without one. So it never asks what a handle remembers; it lets a store give one member nothing while
another owns something; and it waits for `store.lifetime` and no longer.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import anyio
import pytest

from wxrc_core.log import Appended, Conflict, Entry, Fence, Fenced, Lease, Member, Owner, event_as
from wxrc_core.message import MessageAttempted
from wxrc_core.shard import ShardFreed, ShardTaken
from wxrc_core.testing.store_contract._words import (
    LIMIT,
    OpenStore,
    Store,
    StorePart,
    attempted,
    check_log,
    queued,
    whole_log,
)

AT = 1_790_000_000_000


def expires(error: BaseException) -> bool:
    """Return whether an error is `Lapsed`; the port stands above the core, so its class cannot be named here."""
    return type(error).__name__ == "Lapsed"


async def refused(store: Store, member: Member) -> None:
    """Check that a member is dead, for good: it neither renews nor takes anything."""
    for use in (store.renew, lambda dead: store.acquire(dead, [0], AT)):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - see `expires`
            await use(member)

        assert expires(raised.value)


async def take(store: Store, member: Member, shards: Sequence[int]) -> Mapping[int, Lease]:
    """Take shards of which somebody may only just have let go: try until the store gives them."""
    with anyio.fail_after(LIMIT):
        while len(leases := await store.acquire(member, shards, AT)) < len(shards):
            await anyio.sleep(store.lifetime / 20)
            member = await store.renew(member)
    found: Mapping[int, Lease] = leases
    return found


class OwnershipContract(StorePart):
    """Members, shards, epochs, fences."""

    async def wait(self, store: Store, seconds: float) -> None:
        """Let time pass on the store's clock. Override it where that clock is a test's own."""
        await anyio.sleep(seconds)

    async def lapse(self, store: Store, member: Member) -> None:
        """Make a member die as if its process had been killed. Override it where death is no question of time."""
        await self.wait(store, 1.3 * store.lifetime)

    # -- taking and letting go --------------------------------------------------------------------------------------------------

    async def test_a_member_takes_shards(self, open_store: OpenStore) -> None:
        """Each shard gets epoch 1 and an event at the lease's position that names the member; others stay free."""
        async with open_store("log") as store:
            member = await store.join("one")
            leases = await store.acquire(member, [3, 5], AT)
            log = await store.read_all()
            owners = await store.owners()

        assert member.id.startswith("one")
        assert {3: Lease(Fence(3, 1), 1), 5: Lease(Fence(5, 1), 2)} == leases
        assert [(f"shard/{n}", 1, ShardTaken(at=AT, member=member.id)) for n in (3, 5)] == [each[1:] for each in log]
        assert Owner(1, member.id, True) == owners[5]
        assert Owner(0, "", False) == owners[0]
        assert list(range(store.shards)) == sorted(owners)

    async def test_members_are_those_who_live(self, open_store: OpenStore) -> None:
        """Whoever owns a shard and lives is a member, until it leaves or dies."""
        async with open_store("log") as store:
            gone = await store.join("one")
            await store.acquire(gone, [1], AT)
            before = await store.members()
            await store.leave(gone)
            dead = await store.join("two")
            await take(store, dead, [1])
            between = await store.members()
            await self.lapse(store, dead)
            after = await store.members()

        assert gone.id in before
        assert gone.id not in between
        assert dead.id in between
        assert [] == after

    async def test_taking_again_gives_the_same_lease(self, open_store: OpenStore) -> None:
        """A call that is repeated since its answer was lost writes nothing and has the same answer."""
        async with open_store("log") as store:
            member = await store.join("one")
            first = await store.acquire(member, [3], AT)
            second = await store.acquire(member, [3, 4], AT + 5)
            log = await store.read_all()

        assert first[3] == second[3]
        assert [1, 2] == [each.position for each in log]

    async def test_a_living_member_keeps_what_it_has(self, open_store: OpenStore) -> None:
        """A second one gets none of the shards that a first one owns, through its own handle or through the first one's."""
        async with open_store("log") as one, open_store("log") as two:
            first = await one.join("one")
            await one.acquire(first, [1, 2], AT)
            results = [await store.acquire(await store.join("two"), [1, 2], AT) for store in (one, two)]
            owners = await two.owners()
            log = await one.read_all()

        assert [{}, {}] == results
        assert Owner(1, first.id, True) == owners[1] == owners[2]
        assert 2 == len(log)

    async def test_what_is_released_is_free_at_once(self, open_store: OpenStore) -> None:
        """Letting go is an event and ends the epoch; another member takes the shard without any waiting, with a higher one."""
        async with open_store("log") as one, open_store("log") as two:
            first, second = await one.join("one"), await two.join("two")
            leases = await one.acquire(first, [1], AT)
            await one.release(list(leases.values()), AT + 1)
            freed = (await two.owners())[1]
            (outcome,) = await one.append([Entry("s", 0, [queued()], leases[1].fence)])
            taken = await take(two, second, [1])
            stream = await two.read("shard/1")

        assert Owner(2, "", False) == freed
        assert Fenced() == outcome
        assert Fence(1, 3) == taken[1].fence
        assert [ShardTaken(at=AT, member=first.id), ShardFreed(at=AT + 1, member=first.id)] == [
            each.event for each in stream[:2]
        ]

    async def test_releasing_twice(self, open_store: OpenStore) -> None:
        """A lease whose epoch is over is let go again without effect, also while another owns the shard."""
        async with open_store("log") as one, open_store("log") as two:
            first, second = await one.join("one"), await two.join("two")
            old = list((await one.acquire(first, [1], AT)).values())
            await one.release(old, AT)
            await one.release(old, AT)
            new = await take(two, second, [1])
            await one.release(old, AT)
            (outcome,) = await two.append([Entry("s", 0, [queued()], new[1].fence)])
            stream = await one.read("shard/1")

        assert isinstance(outcome, Appended)
        assert 3 == len(stream)

    async def test_who_leaves_is_followed_at_once(self, open_store: OpenStore) -> None:
        """The shards of a member that has left may be taken without any waiting; it never comes back."""
        async with open_store("log") as one, open_store("log") as two:
            first, second = await one.join("one"), await two.join("two")
            await one.acquire(first, [1], AT)
            await one.leave(first)
            left = (await two.owners())[1]
            taken = await take(two, second, [1])
            await refused(one, first)
            await one.leave(first)

        assert Owner(1, first.id, False) == left
        assert Fence(1, 2) == taken[1].fence

    async def test_no_such_shard(self, open_store: OpenStore) -> None:
        """A shard that the store does not have is an error, and none of the others is taken."""
        async with open_store("log") as store:
            member = await store.join("one")
            for shard in (-1, store.shards):
                with pytest.raises(ValueError, match="no shard"):
                    await store.acquire(member, [0, shard], AT)
            log = await store.read_all()

        assert [] == log

    # -- living and dying -------------------------------------------------------------------------------------------------------

    async def test_who_renews_lives(self, open_store: OpenStore) -> None:
        """A member that renews is followed by nobody, for longer than a lifetime, and its `until` never falls."""
        async with open_store("log") as one, open_store("log") as two:
            first, second = await one.join("one"), await two.join("two")
            await one.acquire(first, [1], AT)
            for _ in range(6):
                await self.wait(one, one.lifetime / 4)
                renewed = await one.renew(first)
                second = await two.renew(second)

                assert renewed.id == first.id
                assert renewed.until >= first.until
                assert renewed.until > one.monotonic()
                assert {} == await two.acquire(second, [1], AT)

                first = renewed

    async def test_the_dead_are_followed(self, open_store: OpenStore) -> None:
        """When a member has died its shards go to another with the next epoch; its own entries are fenced, and it stays dead."""
        async with open_store("log") as one, open_store("log") as two:
            first = await one.join("one")
            old = await one.acquire(first, [1, 2], AT)
            await self.lapse(one, first)
            new = await take(two, await two.join("two"), [1, 2])
            outcomes = await one.append([Entry("s", 0, [queued()], old[1].fence)])
            await refused(one, first)
            outcomes += await two.append([Entry("s", 0, [queued()], new[1].fence)])
            again = await one.join("one")

        assert {1: Fence(1, 2), 2: Fence(2, 2)} == {shard: lease.fence for shard, lease in new.items()}
        assert [Fenced(), Appended(new[2].position + 1)] == outcomes
        assert again.id != first.id

    async def test_dead_though_nobody_followed(self, open_store: OpenStore) -> None:
        """A member that has died does not come to life again by renewing, and what it owned is its no more."""
        async with open_store("log") as store:
            member = await store.join("one")
            await store.acquire(member, [1], AT)
            await self.lapse(store, member)
            await refused(store, member)
            leases = await take(store, await store.join("one"), [1])

        assert Fence(1, 2) == leases[1].fence

    async def test_owners_are_found_again(self, open_store: OpenStore) -> None:
        """Who owned what, and the epochs, outlive every process; nobody of those who were there is alive."""
        async with open_store("log") as store:
            first = await store.join("one")
            await store.acquire(first, [1], AT)
            await store.leave(first)
        async with open_store("log") as store:
            owners = await store.owners()
            second = await store.join("one")
            leases = await take(store, second, [1])

        assert Owner(1, first.id, False) == owners[1]
        assert second.id != first.id
        assert Fence(1, 2) == leases[1].fence

    # -- fences -----------------------------------------------------------------------------------------------------------------

    async def test_fences_in_one_batch(self, open_store: OpenStore) -> None:
        """Of a batch the entries with a fence that holds are written, and those without; stale ones are not, and leave no gap."""
        async with open_store("log") as store:
            member = await store.join("one")
            leases = await store.acquire(member, [1, 2], AT)
            await store.release([leases[1]], AT)
            outcomes = await store.append(
                [
                    Entry("a", 0, [queued("a")], leases[1].fence),
                    Entry("b", 0, [queued("b"), attempted(1)], leases[2].fence),
                    Entry("c", 0, [queued("c")]),
                    Entry("b", 2, [attempted(2)], leases[1].fence),
                    Entry("b", 2, [attempted(3)], leases[2].fence),
                    Entry("c", 0, [queued("x")], leases[2].fence),
                ]
            )
            log = await whole_log(store)

        assert [Fenced(), Appended(4), Appended(6), Fenced(), Appended(7), Conflict(1)] == outcomes
        check_log(log)

    async def test_racing_members(self, open_store: OpenStore) -> None:
        """Of members that race for one shard through two handles exactly one gets it, round after round."""
        winners: list[tuple[Store, Member, Lease]] = []

        async def race(store: Store, member: Member) -> None:
            leases = await store.acquire(member, [7], AT)
            winners.extend((store, member, lease) for lease in leases.values())

        async with open_store("log") as one, open_store("log") as two:
            for number in range(1, 6):
                members = [(store, await store.join("racer")) for store in (one, two) * 4]
                with anyio.fail_after(LIMIT):
                    while not winners:  # a store may give it to none where they hinder each other
                        async with anyio.create_task_group() as tasks:
                            for store, member in members:
                                tasks.start_soon(race, store, member)
                ((store, member, lease),) = winners
                winners.clear()

                assert Fence(7, 2 * number - 1) == lease.fence

                await store.release([lease], AT)
                for store, member in members:
                    await store.leave(member)

    async def test_a_fence_holds_under_load(self, open_store: OpenStore) -> None:
        """While writers append under a fence, the shard changes hands: nothing of an epoch stands behind the next one's beginning."""
        epochs: list[Fence] = []

        async def write(store: Store, writer: int) -> None:
            number = 0
            while len(epochs) < 6:
                fence = epochs[-1]
                stream = f"{fence.epoch}/{writer}/{number}"
                (outcome,) = await store.append([Entry(stream, 0, [attempted(fence.epoch)], fence)])

                assert not isinstance(outcome, Conflict)

                number += isinstance(outcome, Appended)

        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(open_store("log")) for _ in range(2)]
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    for number in range(6):
                        store = stores[number % 2]
                        member = await store.join("owner")
                        lease = (await take(store, member, [7]))[7]
                        epochs.append(lease.fence)
                        if number == 0:
                            for writer in range(4):
                                tasks.start_soon(write, stores[writer % 2], writer)
                        await store.append([Entry(f"mark/{number}", 0, [queued()], lease.fence)])
                        await (store.leave(member) if number % 2 else store.release([lease], AT))
            log = await whole_log(stores[0])

        check_log(log)
        epoch = 0
        for each in log:
            if each.stream == "shard/7":
                epoch = each.version
            elif not each.stream.startswith("mark/"):
                assert epoch == event_as(MessageAttempted, each).attempt
