"""The contract that holds for every event store and every vault (design.md, Stores).

Subclass it and say how your store is opened; the same name means the same log, another name an empty one:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda name: MyStore(tmp_path / name)

Every test runs under asyncio and under trio. Nothing here waits for time to pass; `LIMIT` only ends a test that hangs.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any, ClassVar, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxrc_core.log import Appended, Conflict, Entry, Event, Outcome, Recorded
from wxrc_core.message import MessageAttempted, MessageQueued

Store: TypeAlias = Any
"""A `wxrc_store.port.Store`; the port stands above the core, so it cannot be named here."""

Vault: TypeAlias = Any
"""A `wxrc_store.port.Vault`."""

OpenStore: TypeAlias = Callable[[str], AbstractAsyncContextManager[Store]]
OpenVault: TypeAlias = Callable[[str], AbstractAsyncContextManager[Vault]]

LIMIT = 60
"""How long a test may wait for something that must come (seconds)."""

PROPERTY = settings(
    max_examples=25,
    deadline=None,
    # The fixture only names files, and every example takes a new name; each subclass runs the same property.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)

STREAMS = ("a", "A", "a ", "a/1", "a%", "a'\"", "客服群", "\N{PILE OF POO}")
"""Names that a careless store would mix up."""


def queued(text: str = "您好") -> MessageQueued:
    """Return an event with a text."""
    return MessageQueued(
        at=1_790_000_000_000, chid="shop", botcode="bot", txcode="tx", interface="roomSendText", digest="d", text=text
    )


def attempted(attempt: int) -> MessageAttempted:
    """Return an event with a number."""
    return MessageAttempted(at=1_790_000_000_000, attempt=attempt, room_id="r@chatroom")


async def whole_log(store: Store, page: int = 1000) -> list[Recorded]:
    """Read a log from its beginning to its end."""
    log: list[Recorded] = []
    while found := await store.read_all(len(log), page):
        log += found
    return log


def check_log(log: Sequence[Recorded]) -> None:
    """Check that positions are 1..n and that the versions of each stream are 1..m."""
    assert [each.position for each in log] == list(range(1, len(log) + 1))

    versions: dict[str, int] = {}
    for each in log:
        assert each.version == versions.get(each.stream, 0) + 1

        versions[each.stream] = each.version


@define
class Model:
    """What a log is, without any store: a list."""

    log: list[Recorded] = field(factory=list)

    def read(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return the events of a stream after a version."""
        return [each for each in self.log if each.stream == stream and each.version > after]

    def append(self, entry: Entry) -> Outcome:
        """Append an entry, or not."""
        actual = len(self.read(entry.stream))
        if actual != entry.expected:
            return Conflict(actual)
        first = len(self.log) + 1
        for number, event in enumerate(entry.events):
            self.log.append(Recorded(first + number, entry.stream, actual + 1 + number, event))
        return Appended(first)


# -- what the properties draw ---------------------------------------------------------------------------------------------------

_events: st.SearchStrategy[Event] = st.builds(queued, st.text(max_size=20)) | st.builds(
    attempted, st.integers(min_value=1, max_value=2**53 - 1)
)
# (stream, how far the expected version is off, events)
_entries = st.tuples(
    st.sampled_from(STREAMS[:3]), st.sampled_from([0, 0, 0, -1, 1]), st.lists(_events, min_size=1, max_size=3)
)
_steps = st.one_of(
    st.tuples(st.just("append"), st.lists(_entries, max_size=4)),
    st.tuples(st.just("read"), st.tuples(st.sampled_from(STREAMS[:3]), st.integers(0, 5))),
    st.tuples(st.just("read_all"), st.tuples(st.integers(0, 20), st.integers(1, 10))),
    st.tuples(st.just("at"), st.integers(0, 20)),
    st.tuples(st.just("reopen"), st.none()),
)


class _Contract:
    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Name the event loop."""
        return str(request.param)


class StoreContract(_Contract):
    """What every store does. Override the fixture `open_store`."""

    fresh: ClassVar[Callable[[], int]] = count().__next__

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return what makes a store, not yet entered, for the log of a name."""
        raise NotImplementedError("a subclass of StoreContract overrides the fixture open_store")

    # -- append -----------------------------------------------------------------------------------------------------------------

    async def test_an_appended_entry_is_read_back(self, open_store: OpenStore) -> None:
        """Events come back as they went in, with stream, versions and positions."""
        async with open_store("log") as store:
            (outcome,) = await store.append([Entry("s", 0, [queued(), attempted(1)])])
            log = await store.read_all()

        assert Appended(1) == outcome
        assert [Recorded(1, "s", 1, queued()), Recorded(2, "s", 2, attempted(1))] == log

    @pytest.mark.parametrize("expected", [0, 1, 3, -1, 2**63])
    async def test_a_wrong_expected_version_conflicts(self, open_store: OpenStore, expected: int) -> None:
        """An entry for another version than the stream has is answered with the actual one and writes nothing."""
        async with open_store("log") as store:
            await store.append([Entry("s", 0, [queued(), attempted(1)])])
            (outcome,) = await store.append([Entry("s", expected, [attempted(2), attempted(3)])])
            log = await store.read_all()

        assert Conflict(2) == outcome
        assert 2 == len(log)

    async def test_a_stream_that_is_not_there_has_version_0(self, open_store: OpenStore) -> None:
        """Whoever expects events in a stream that has none is told 0."""
        async with open_store("log") as store:
            (outcome,) = await store.append([Entry("s", 1, [queued()])])

        assert Conflict(0) == outcome

    async def test_entries_stand_alone(self, open_store: OpenStore) -> None:
        """A conflict in the middle of a batch leaves no gap and does not touch its neighbours."""
        async with open_store("log") as store:
            outcomes = await store.append(
                [
                    Entry("a", 0, [queued("a1"), queued("a2")]),
                    Entry("b", 7, [queued("b1"), queued("b2")]),
                    Entry("c", 0, [queued("c1")]),
                ]
            )
            log = await store.read_all()

        assert [Appended(1), Conflict(0), Appended(3)] == outcomes
        assert ["a1", "a2", "c1"] == [each.event.text for each in log]

    async def test_entries_for_one_stream_are_taken_in_order(self, open_store: OpenStore) -> None:
        """A later entry of a batch sees the version that an earlier one made, and a conflict makes none."""
        async with open_store("log") as store:
            outcomes = await store.append(
                [
                    Entry("s", 0, [queued(), attempted(1)]),
                    Entry("s", 0, [queued()]),
                    Entry("s", 2, [attempted(2)]),
                    Entry("s", 2, [attempted(3)]),
                ]
            )
            log = await store.read_all()

        assert [Appended(1), Conflict(2), Appended(3), Conflict(3)] == outcomes
        assert [1, 2, 3] == [each.version for each in log]

    async def test_an_empty_batch_is_nothing(self, open_store: OpenStore) -> None:
        """No entries, no outcomes."""
        async with open_store("log") as store:
            outcomes = await store.append([])

        assert [] == list(outcomes)

    @pytest.mark.parametrize(
        "bad",
        [
            Entry("bad", 0, []),
            Entry("bad\ud800", 0, [queued()]),
            Entry("bad", 0, [queued("\ud800")]),
            Entry("bad", 0, [object()]),
        ],
        ids=["no events", "surrogate in the name", "surrogate in the event", "no event"],
    )
    async def test_what_cannot_be_kept_fails_its_own_caller_only(self, open_store: OpenStore, bad: Entry) -> None:
        """An entry that is no entry is an error, nothing of its batch is written, and others go on."""
        outcomes = []

        async def other(store: Store) -> None:
            outcomes.extend(await store.append([Entry("other", 0, [queued()])]))

        async with open_store("log") as store:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other, store)
                with pytest.raises((ValueError, KeyError)):
                    await store.append([Entry("good", 0, [queued()]), bad])
            log = await store.read_all()

        assert [Appended(1)] == outcomes
        assert ["other"] == [each.stream for each in log]

    @PROPERTY
    @given(text=st.text(), attempt=st.integers(1, 2**53 - 1))
    async def test_events_survive_whole(self, open_store: OpenStore, text: str, attempt: int) -> None:
        """Any text and any number come back the same, after opening again too."""
        name = f"whole{StoreContract.fresh()}"
        async with open_store(name) as store:
            await store.append([Entry("s", 0, [queued(text), attempted(attempt)])])
        async with open_store(name) as store:
            log = await store.read_all()

        assert [queued(text), attempted(attempt)] == [each.event for each in log]

    # -- reading ----------------------------------------------------------------------------------------------------------------

    async def test_read_one_stream(self, open_store: OpenStore) -> None:
        """A stream is read from any version on, and holds nothing of its neighbours."""
        async with open_store("log") as store:
            for number, stream in enumerate(STREAMS):
                await store.append([Entry(stream, 0, [queued(stream), attempted(number + 1)])])
            streams = [await store.read(stream) for stream in STREAMS]
            tails = [await store.read("a", after) for after in (0, 1, 2, 3)]
            missing = await store.read("b")

        for number, stream in enumerate(STREAMS):
            first = 2 * number + 1
            assert [
                Recorded(first, stream, 1, queued(stream)),
                Recorded(first + 1, stream, 2, attempted(number + 1)),
            ] == streams[number]
        assert [2, 1, 0, 0] == [len(tail) for tail in tails]
        assert [] == missing

    async def test_a_long_stream_and_big_pages(self, open_store: OpenStore) -> None:
        """Thousands of events come whole and in order, in one page or many."""
        events = [attempted(number) for number in range(1, 2501)]
        async with open_store("log") as store:
            await store.append([Entry("s", 0, events)])
            stream = await store.read("s")
            tail = await store.read("s", 2400)
            pages = [await whole_log(store, page) for page in (7, 63, 64, 65, 1000, 5000)]

        assert events == [each.event for each in stream]
        assert events[2400:] == [each.event for each in tail]
        assert [stream] * 6 == pages

    async def test_read_all_and_at(self, open_store: OpenStore) -> None:
        """A page ends at its limit or at the end of the log; beyond it there is nothing."""
        async with open_store("log") as store:
            await store.append([Entry("s", 0, [attempted(number) for number in range(1, 11)])])
            pages = [
                await store.read_all(after, limit) for after, limit in ((0, 3), (3, 100), (9, 1), (10, 5), (99, 5))
            ]
            each = [await store.at(position) for position in (-1, 0, 1, 10, 11)]

        assert [[1, 2, 3], list(range(4, 11)), [10], [], []] == [[one.position for one in page] for page in pages]
        assert [None, None, Recorded(1, "s", 1, attempted(1)), Recorded(10, "s", 10, attempted(10)), None] == each

    async def test_an_empty_log(self, open_store: OpenStore) -> None:
        """There is nothing to read in a new log."""
        async with open_store("log") as store:
            found = await store.read_all(), await store.read("s"), await store.at(1)

        assert ([], [], None) == found

    async def test_opening_again(self, open_store: OpenStore) -> None:
        """What was appended is there after closing, and the log goes on from it."""
        async with open_store("log") as store:
            await store.append([Entry("s", 0, [queued()])])
        async with open_store("log") as store:
            outcomes = await store.append([Entry("s", 0, [queued()]), Entry("s", 1, [attempted(1)])])
            log = await store.read_all()

        assert [Conflict(1), Appended(2)] == outcomes
        check_log(log)

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

    # -- all of it --------------------------------------------------------------------------------------------------------------

    @PROPERTY
    @given(steps=st.lists(_steps, max_size=25))
    async def test_it_is_a_list(self, open_store: OpenStore, steps: list[tuple[str, Any]]) -> None:
        """Whatever is done to it, a store answers as a plain list would."""
        name = f"model{StoreContract.fresh()}"
        model = Model()
        segments: list[list[tuple[str, Any]]] = [[]]
        for step in steps:
            if step[0] == "reopen":
                segments.append([])
            else:
                segments[-1].append(step)
        for segment in segments:
            async with open_store(name) as store:
                for what, values in segment:
                    await self._same(store, model, what, values)

                assert model.log == await whole_log(store)

    async def _same(self, store: Store, model: Model, what: str, values: Any) -> None:
        if what == "append":
            versions = {stream: len(model.read(stream)) for stream in STREAMS}
            batch = [Entry(stream, versions[stream] + off, events) for stream, off, events in values]

            assert [model.append(entry) for entry in batch] == list(await store.append(batch))
        elif what == "read":
            assert model.read(*values) == await store.read(*values)
        elif what == "read_all":
            after, limit = values
            assert model.log[after : after + limit] == await store.read_all(after, limit)
        else:
            assert next((each for each in model.log if each.position == values), None) == await store.at(values)


class VaultContract(_Contract):
    """What every vault does. Override the fixture `open_vault`."""

    @pytest.fixture
    def open_vault(self) -> OpenVault:
        """Return what opens the vault of a name, as an async context manager."""
        raise NotImplementedError("a subclass of VaultContract overrides the fixture open_vault")

    async def test_put_get_delete(self, open_vault: OpenVault) -> None:
        """A secret is kept until it is replaced or deleted."""
        async with open_vault("vault") as vault:
            before = await vault.get("key")
            await vault.put("key", b"one")
            await vault.put("other", b"\x00\xff")
            first = await vault.get("key")
            await vault.put("key", b"")
            second = await vault.get("key")
            await vault.delete("key")
            after = await vault.get("key")
            other = await vault.get("other")

        assert (None, b"one", b"", None, b"\x00\xff") == (before, first, second, after, other)

    async def test_deleting_what_is_not_there(self, open_vault: OpenVault) -> None:
        """Deleting a name without a secret does nothing."""
        async with open_vault("vault") as vault:
            await vault.delete("key")

            assert await vault.get("key") is None

    async def test_opening_again(self, open_vault: OpenVault) -> None:
        """Secrets outlive closing."""
        async with open_vault("vault") as vault:
            await vault.put("会话/bot", b"session" * 1000)
        async with open_vault("vault") as vault:
            assert b"session" * 1000 == await vault.get("会话/bot")

    async def test_many_at_once(self, open_vault: OpenVault) -> None:
        """Secrets that are put at the same moment do not mix."""
        async with open_vault("vault") as vault:
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(vault.put, f"name{number}", f"secret{number}".encode())
            found = [await vault.get(f"name{number}") for number in range(30)]

        assert [f"secret{number}".encode() for number in range(30)] == found
