"""The contract of the log: appending and reading."""

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrc_core.errors import InvalidValue
from wxrc_core.log import Appended, Conflict, Entry, Event, Recorded
from wxrc_core.testing.store_contract._words import (
    PROPERTY,
    STREAMS,
    Model,
    OpenStore,
    Store,
    StorePart,
    attempted,
    check_log,
    queued,
    whole_log,
)

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


class LogContract(StorePart):
    """Appending and reading."""

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
            Entry("bad", 0, [queued(5)]),  # type: ignore[arg-type]
            Entry("bad", 0, [attempted(1.5)]),  # type: ignore[arg-type]
            Entry("bad", 0, [object()]),  # type: ignore[list-item]
        ],
        ids=[
            "no events",
            "surrogate in the name",
            "surrogate in the event",
            "a number as text",
            "a fraction",
            "no event",
        ],
    )
    async def test_what_cannot_be_kept_fails_its_own_caller_only(self, open_store: OpenStore, bad: Entry) -> None:
        """An entry that is no entry is an error, nothing of its batch is written, and others go on."""
        outcomes = []

        async def other(store: Store) -> None:
            outcomes.extend(await store.append([Entry("other", 0, [queued()])]))

        async with open_store("log") as store:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other, store)
                with pytest.raises((ValueError, KeyError, InvalidValue)):
                    await store.append([Entry("good", 0, [queued()]), bad])
            log = await store.read_all()

        assert [Appended(1)] == outcomes
        assert ["other"] == [each.stream for each in log]

    @PROPERTY
    @given(text=st.text(), attempt=st.integers(1, 2**53 - 1))
    async def test_events_survive_whole(self, open_store: OpenStore, text: str, attempt: int) -> None:
        """Any text and any number come back the same, after opening again too."""
        name = f"whole{StorePart.fresh()}"
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
            await store.append([Entry("s", first, events[first : first + 500]) for first in range(0, 2500, 500)])
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

    # -- all of it --------------------------------------------------------------------------------------------------------------

    @PROPERTY
    @given(steps=st.lists(_steps, max_size=25))
    async def test_it_is_a_list(self, open_store: OpenStore, steps: list[tuple[str, Any]]) -> None:
        """Whatever is done to it, a store answers as a plain list would."""
        name = f"model{StorePart.fresh()}"
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
