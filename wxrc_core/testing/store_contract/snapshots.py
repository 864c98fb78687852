"""The contract of what stands beside the log: snapshots, pruning, and how far channels were told."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrc_core.log import Appended, Conflict, Entry, Recorded
from wxrc_core.testing.store_contract._words import (
    LIMIT,
    OpenStore,
    Store,
    StorePart,
    attempted,
    queued,
    whole_log,
)


class SnapshotContract(StorePart):
    """Snapshots, `forget`, `told_to`."""

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    async def test_the_newest_snapshot_that_is_understood(self, open_store: OpenStore) -> None:
        """It is the one at the highest position among the schemas that were asked for, in whatever order they were saved."""
        async with open_store("log") as one, open_store("log") as two:
            empty = await one.newest(["a", "b"])
            for position, schema in ((30, "a"), (10, "a"), (20, "b"), (40, "c")):
                await one.save(position, schema, f"{schema}{position}".encode())
            found = [await two.newest(schemas) for schemas in (["a", "b"], ["b"], ["c", "a"], ["d"], [])]

        assert empty is None
        assert [(30, "a", b"a30"), (20, "b", b"b20"), (40, "c", b"c40"), None, None] == found

    async def test_snapshots_outlive_closing(self, open_store: OpenStore) -> None:
        """A big one, of several megabytes, and an empty one come back as they were; a later one of a position replaces it."""
        blob = bytes(range(256)) * 12_345
        async with open_store("log") as store:
            await store.save(5, "big", b"before")
            await store.save(5, "big", blob)
            await store.save(5, "empty", b"")
        async with open_store("log") as store:
            found = await store.newest(["big"]), await store.newest(["empty"])

        assert ((5, "big", blob), (5, "empty", b"")) == found

    async def test_an_interrupted_snapshot_is_none(self, open_store: OpenStore) -> None:
        """A save that is cancelled at any moment leaves the one before it, or is there as a whole."""
        blobs = {position: bytes([position]) * 3_000_000 for position in range(1, 9)}
        async with open_store("log") as store:
            await store.save(1, "a", blobs[1])
            for position in range(2, 9):
                with anyio.move_on_after(position * 0.002):
                    await store.save(position, "a", blobs[position])
                found = await store.newest(["a"])

                assert found is not None
                assert found == (found[0], "a", blobs[found[0]])

    async def test_saving_holds_up_no_appends(self, open_store: OpenStore) -> None:
        """Appends go on while snapshots are written and read."""

        async def save(store: Store) -> None:
            for position in range(1, 6):
                await store.save(position, "a", bytes(2_000_000))
                await store.newest(["a"])

        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(save, store)
                    for number in range(20):
                        await store.append([Entry(f"s{number}", 0, [queued()])])
            log = await whole_log(store)

        assert 20 == len(log)

    # -- forgetting -------------------------------------------------------------------------------------------------------------

    async def test_forgotten_streams(self, open_store: OpenStore) -> None:
        """They are gone as a whole; what is left keeps its position, and the log goes on from its end."""
        async with open_store("log") as one, open_store("log") as two:
            for number in range(6):
                await one.append([Entry(f"s{number % 3}", 2 * (number // 3), [queued(), attempted(number + 1)])])
            deleted = await one.forget({"s0": 4, "s1": 4})
            seen = await two.at(1), await two.at(5), await two.read("s0"), await two.read("s2", 3)
            page = [each.position for each in await one.read_all(0, 3)], await one.read_all(11)
            (outcome,) = await two.append([Entry("s2", 4, [queued()])])
            log = await one.read_all()

        assert 2 == deleted
        assert (None, Recorded(5, "s2", 1, queued()), [], [Recorded(12, "s2", 4, attempted(6))]) == seen
        assert ([5, 6, 11], [Recorded(12, "s2", 4, attempted(6))]) == page
        assert isinstance(outcome, Appended)
        assert outcome.position > 12  # a store may have taken positions for what it deleted
        assert [5, 6, 11, 12, outcome.position] == [each.position for each in log]

    async def test_what_is_not_forgotten(self, open_store: OpenStore) -> None:
        """Left alone are a stream that grew meanwhile, one that is not there, the one with the newest event, and shards."""
        async with open_store("log") as store:
            for name in ("grown", "newest"):
                await store.append([Entry(name, 0, [queued(), attempted(1)])])
            deleted = await store.forget({"grown": 1, "missing": 0, "absent": 3, "newest": 2})
            with pytest.raises(ValueError, match="epoch"):
                await store.forget({"grown": 2, "shard/1": 1})
            log = await whole_log(store)

        assert 0 == deleted
        assert 4 == len(log)

    async def test_a_forgotten_stream_begins_anew(self, open_store: OpenStore) -> None:
        """Its name is as good as one that was never used."""
        async with open_store("log") as store:
            await store.append([Entry("old", 0, [queued(), attempted(1)]), Entry("other", 0, [queued()])])
            await store.forget({"old": 2})
            outcomes = await store.append([Entry("old", 2, [queued()]), Entry("old", 0, [queued("new")])])
            stream = await store.read("old")

        conflict, appended = outcomes
        assert Conflict(0) == conflict
        assert isinstance(appended, Appended)
        assert appended.position > 3
        assert [Recorded(appended.position, "old", 1, queued("new"))] == stream

    async def test_forgetting_beside_writers(self, open_store: OpenStore) -> None:
        """While many streams are deleted others are appended to, and a reader that follows misses none of those."""
        old = {f"old/{number}": 1 for number in range(500)}
        seen: list[Recorded] = []

        async def write(store: Store) -> None:
            for number in range(50):
                (outcome,) = await store.append([Entry(f"new/{number}", 0, [queued()])])
                assert isinstance(outcome, Appended)

        async def follow(store: Store) -> None:
            while len(seen) < 50:
                after = seen[-1].position if seen else 501
                await store.changed(after)
                seen.extend(await store.read_all(after, 7))

        async with open_store("log") as one, open_store("log") as two:
            await one.append([Entry(stream, 0, [queued()]) for stream in old])
            await one.append([Entry("kept", 0, [queued()])])
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow, two)
                    tasks.start_soon(write, two)
                    deleted = await one.forget(old)
                # A store on several servers may ask one that has not heard of it yet.
                while len(log := await one.read_all(0, 1000)) > 51:
                    await checkpoint()

        assert 500 == deleted
        assert ["kept", *(f"new/{number}" for number in range(50))] == [each.stream for each in log]
        assert log[1:] == seen

    # -- how far channels were told ---------------------------------------------------------------------------------------------

    async def test_told_to_only_rises(self, open_store: OpenStore) -> None:
        """It is 0 at first, never falls, and outlives closing."""
        async with open_store("log") as one, open_store("log") as two:
            found = [await one.told_to()]
            for position in (7, 3, 9):
                await one.set_told_to(position)
                found.append(await two.told_to())
        async with open_store("log") as store:
            found.append(await store.told_to())

        assert [0, 7, 7, 9, 9] == found

    async def test_gaps_are_known(self, open_store: OpenStore) -> None:
        """Whatever positions a deletion has taken, above `gaps_to` there is none that is empty; it never falls, and outlives closing."""
        async with open_store("log") as one, open_store("log") as two:
            for name in ("old", "older", "last"):
                await one.append([Entry(name, 0, [queued()])])
            await one.forget({"old": 1, "older": 1})
            (outcome,) = await one.append([Entry("next", 0, [queued()])])
            taken = await two.gaps_to()
            for position in (70, 30):
                await one.set_gaps_to(position)
        async with open_store("log") as store:
            found = await store.gaps_to()

        assert max(3, taken) + 1 == outcome.position
        assert 70 == found
