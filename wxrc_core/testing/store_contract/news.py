"""The contract of the log under many tasks: races, cancelling, news, and whether it can be written to."""

import anyio
from anyio.lowlevel import checkpoint

from wxrc_core.log import Appended, Conflict, Entry, Outcome, Recorded
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


class NewsContract(StorePart):
    """Many tasks at once, and waiting for news."""

    # -- many at once -----------------------------------------------------------------------------------------------------------

    async def test_readers_miss_nothing_under_16_writers(self, open_store: OpenStore) -> None:
        """Two readers that follow the log by position see every event, once and in order, while 16 writers append."""
        each, writers = 25, 16
        total = each * writers * 2
        seen: list[list[Recorded]] = [[], []]

        async def write(store: Store, writer: int) -> None:
            for number in range(each):
                stream = f"{writer}/{number % 3}"
                version = len(await store.read(stream))
                (outcome,) = await store.append([Entry(stream, version, [queued(), attempted(number + 1)])])
                assert isinstance(outcome, Appended)

        async def follow(store: Store, log: list[Recorded], limit: int) -> None:
            while len(log) < total:
                await store.changed(len(log))
                log += await store.read_all(len(log), limit)

        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow, store, seen[0], 7)
                    tasks.start_soon(follow, store, seen[1], 500)
                    for writer in range(writers):
                        tasks.start_soon(write, store, writer)
            log = await whole_log(store)

        check_log(log)
        assert [log, log] == seen
        assert total == len(log)

    async def test_one_of_16_wins_each_version(self, open_store: OpenStore) -> None:
        """Of writers that race for a version exactly one gets it, and the others are told what is there."""
        outcomes: list[Outcome] = []

        async def race(store: Store, version: int) -> None:
            outcomes.extend(await store.append([Entry("s", version, [attempted(version + 1)])]))

        async with open_store("log") as store:
            for version in range(10):
                async with anyio.create_task_group() as tasks:
                    for _ in range(16):
                        tasks.start_soon(race, store, version)
            log = await store.read_all()

        assert [Appended(position) for position in range(1, 11)] == [
            each for each in outcomes if isinstance(each, Appended)
        ]
        assert {Conflict(version) for version in range(1, 11)} == {
            each for each in outcomes if isinstance(each, Conflict)
        }
        check_log(log)

    async def test_a_cancelled_append_harms_no_other(self, open_store: OpenStore) -> None:
        """Appends that are cancelled at any moment are there whole or not at all; the others are all there."""
        acknowledged: list[str] = []

        async def append(store: Store, stream: str, patience: int | None) -> None:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    if patience is not None:
                        tasks.start_soon(cancel_after, scope, patience)
                    await store.append([Entry(stream, 0, [queued(), attempted(1), attempted(2)])])
                    acknowledged.append(stream)
                    tasks.cancel_scope.cancel()

        async def cancel_after(scope: anyio.CancelScope, checkpoints: int) -> None:
            for _ in range(checkpoints):
                await checkpoint()
            scope.cancel()

        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    for number in range(120):
                        patient = number % 3 == 0
                        stream = f"{'patient' if patient else 'cancelled'}/{number}"
                        tasks.start_soon(append, store, stream, None if patient else number % 20)
            (after,) = await store.append([Entry("after", 0, [queued()])])
            log = await whole_log(store)

        check_log(log)
        streams = [each.stream for each in log]
        assert {f"patient/{number}" for number in range(0, 120, 3)} <= set(acknowledged) <= set(streams)
        assert all(streams.count(stream) == 3 for stream in set(streams) - {"after"})
        assert len(log) == after.position

    # -- news -------------------------------------------------------------------------------------------------------------------

    async def test_changed_returns_at_once_when_there_is_news(self, open_store: OpenStore) -> None:
        """Who asks late does not wait, in a log that was opened again neither."""
        async with open_store("log") as store:
            await store.append([Entry("s", 0, [queued(), attempted(1)])])
            with anyio.fail_after(LIMIT):
                await store.changed(0)
                await store.changed(1)
        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                await store.changed(1)

    async def test_changed_wakes_all_who_wait(self, open_store: OpenStore) -> None:
        """Everyone who waits before the append is woken by it, and finds the event."""
        found: list[Recorded | None] = []

        async def wait(store: Store) -> None:
            await store.changed(0)
            found.append(await store.at(1))

        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    for _ in range(10):
                        tasks.start_soon(wait, store)
                    await checkpoint()
                    await store.append([Entry("s", 0, [queued()])])

        assert [Recorded(1, "s", 1, queued())] * 10 == found

    async def test_a_waiter_can_be_cancelled(self, open_store: OpenStore) -> None:
        """Who gives up waiting for news takes nothing along: the next one still gets it."""
        async with open_store("log") as store:
            with anyio.move_on_after(0.01) as scope:
                await store.changed(0)
            await store.append([Entry("s", 0, [queued()])])
            with anyio.fail_after(LIMIT):
                await store.changed(0)

        assert scope.cancelled_caught

    # -- can it be written to -----------------------------------------------------------------------------------------------------

    async def test_a_probe_writes_no_event(self, open_store: OpenStore) -> None:
        """It passes on a log that can be written to, empty or not, and takes no position and no version."""
        async with open_store("log") as store:
            with anyio.fail_after(LIMIT):
                await store.probe()
                await store.append([Entry("s", 0, [queued()])])
                await store.probe()
                (outcome,) = await store.append([Entry("s", 1, [attempted(1)])])
            log = await whole_log(store)

        assert Appended(2) == outcome
        assert [queued(), attempted(1)] == [each.event for each in log]

    async def test_probes_and_appends_at_once(self, open_store: OpenStore) -> None:
        """Probes of many handles beside appends disturb nobody, and nobody them."""
        async with open_store("log") as one, open_store("log") as other:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    for number in range(10):
                        tasks.start_soon(one.probe)
                        tasks.start_soon(other.probe)
                        tasks.start_soon(one.append, [Entry(f"s{number}", 0, [queued()])])
            log = await whole_log(other)

        check_log(log)
        assert 10 == len(log)
