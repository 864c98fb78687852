"""The contract of restoring events that come from another log."""

import anyio
import pytest

from wxrc_core.errors import Refusal
from wxrc_core.log import Appended, Entry, Recorded
from wxrc_core.testing.store_contract._words import LIMIT, OpenStore, StorePart, attempted, queued

RECORDS = [
    Recorded(3, "a", 1, queued("甲")),
    Recorded(4, "b", 1, queued("乙")),
    Recorded(9, "a", 2, attempted(1)),
    Recorded(12, "b", 2, attempted(2)),
]
"""Part of a log from which streams were deleted."""


class RestoreContract(StorePart):
    """Restoring."""

    async def test_positions_are_kept(self, open_store: OpenStore) -> None:
        """Restored events have the positions and versions that they had, gaps included, and the log goes on behind them."""
        async with open_store("log") as store:
            await store.restore(RECORDS[:2])
            await store.restore(RECORDS[2:])
        async with open_store("log") as store:
            log = await store.read_all()
            one, gap = await store.at(9), await store.at(8)
            stream = await store.read("b")
            (outcome,) = await store.append([Entry("b", 2, [attempted(3)])])

        assert RECORDS == log
        assert (RECORDS[2], None) == (one, gap)
        assert [RECORDS[1], RECORDS[3]] == stream
        assert Appended(13) == outcome

    @pytest.mark.parametrize(
        "bad",
        [
            [Recorded(12, "c", 1, queued())],
            [Recorded(5, "c", 1, queued())],
            [Recorded(14, "c", 1, queued()), Recorded(14, "d", 1, queued())],
            [Recorded(13, "c", 2, queued())],
            [Recorded(13, "a", 2, queued())],
            [Recorded(13, "a", 3, queued()), Recorded(14, "a", 5, queued())],
        ],
        ids=["position taken", "position below the end", "position twice", "version missing", "version twice", "gap"],
    )
    async def test_what_does_not_follow(self, open_store: OpenStore, bad: list[Recorded]) -> None:
        """Where one position or version does not follow, nothing is written, and the store goes on."""
        async with open_store("log") as store:
            await store.restore(RECORDS)
            with pytest.raises(Refusal, match=f"position {bad[-1].position}"):
                await store.restore(bad)
            log = await store.read_all()
            (outcome,) = await store.append([Entry("e", 0, [queued()])])

        assert RECORDS == log
        assert Appended(13) == outcome

    async def test_readers_see_it(self, open_store: OpenStore) -> None:
        """One who waits for news sees what was restored, also on another handle."""
        seen: list[Recorded] = []
        async with open_store("log") as one, open_store("log") as two:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:

                    async def follow() -> None:
                        while len(seen) < len(RECORDS):
                            after = seen[-1].position if seen else 0
                            await two.changed(after)
                            seen.extend(await two.read_all(after))

                    tasks.start_soon(follow)
                    for each in RECORDS:
                        await one.restore([each])

        assert RECORDS == seen

    async def test_nothing_to_restore(self, open_store: OpenStore) -> None:
        """No events are no change."""
        async with open_store("log") as store:
            await store.restore([])

            assert [] == await store.read_all()
