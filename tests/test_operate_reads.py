"""Reading the log for an operator: listings that lose nothing between their pages, timelines that say how far they looked."""

from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted_bots import kinds, until, up
from wxrc_core import codec
from wxrc_core.errors import Refusal
from wxrc_core.puppet import Rejected, Unconfirmed
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_core.testing.strategies import values
from wxrc_gateway import listing, timeline
from wxrc_gateway.moments import moment
from wxrc_gateway.overview import overview
from wxrc_gateway.timeline import TimelineEntry
from wxrc_service.event_texts import TEXTS, event_text
from wxrc_service.language import language
from wxrc_service.layout import columns, wrapped
from wxrc_simulation.fixture import Virtual

APART = {"shard.taken", "shard.freed", "token.added", "token.removed"}
"""The events that stand in no timeline."""


async def everything(gateway: Any, **wanted: Any) -> list[int]:
    """Return the numbers of all messages that a listing gives, page by page."""
    numbers: list[int] = []
    before = 0
    while True:
        found = await listing.messages(gateway, listing.Wanted(before=before, limit=3, **wanted))
        numbers += [entry.msgid for entry in found.messages]
        if found.complete:
            return numbers
        assert found.before < before or not before, "the pages go on"
        before = found.before


@pytest.mark.parametrize(("page", "scan"), [(2_000, 200_000), (7, 200_000), (7, 20)])
def test_pages_lose_nothing(
    page: int, scan: int, virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the sizes are, page by page each message comes once, the newest first, and filters leave what fits."""
    monkeypatch.setattr(listing, "PAGE", page)
    monkeypatch.setattr(listing, "SCAN", scan)
    client.answers(*[Unconfirmed("?"), Rejected("no")] * 4)

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        sent = [await gateway.send_text("demo", f"{number}", room="一群", wait_s=9) for number in range(15)]
        waiting = [await gateway.send_text("demo", "x", room="一群") for _ in range(5)]
        numbers = [each.msgid for each in (*sent, *waiting)][::-1]
        await until(lambda: gateway.world.position >= numbers[0])
        by_state = {
            state: [each.msgid for each in sent if each.message.state == state][::-1]
            for state in ("in_doubt", "rejected", "sent")
        }
        assert numbers == await everything(gateway)
        for state, wanted in by_state.items():
            assert wanted
            assert wanted == [each for each in await everything(gateway, state=state) if each <= sent[-1].msgid]
        assert numbers == await everything(gateway, botcode="demo", chid="-")
        assert [] == await everything(gateway, since=gateway.clock() + 1)
        found = await overview(gateway, served=True)
        assert by_state["in_doubt"] == [each.msgid for each in found.doubts]
        assert (len(by_state["in_doubt"]), 0) == (found.in_doubt, found.due)
        with pytest.raises(Refusal, match="there are: demo"):
            await listing.messages(gateway, listing.Wanted(botcode="other"))
        await until(lambda: not gateway.world.messages)

    virtual.run(flow)


def test_what_was_not_looked_at_is_said(
    virtual: Virtual, client: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the reading ends at its bound, the listing and the timeline say so, and the bot's own events are there all the same."""
    monkeypatch.setattr(listing, "SCAN", 10)
    monkeypatch.setattr(timeline, "SCAN", 10)

    async def flow() -> None:
        gateway = await virtual.start(kinds(client))
        await up(gateway)
        for number in range(10):
            await gateway.send_text("demo", f"{number}", room="一群", wait_s=9)
            await anyio.sleep(1)
        found = await listing.messages(gateway, listing.Wanted())
        line = await timeline.timeline(gateway, "demo")
        assert not found.complete
        assert found.looked_back_to is not None
        assert found.before > 1
        assert not line.complete
        assert line.looked_back_to is not None
        assert "bot.added" == line.entries[0].event
        assert "message.sent" == line.entries[-1].event

    virtual.run(flow)


# -- words ----------------------------------------------------------------------------------------------------------------------


def test_every_event_has_its_words() -> None:
    """An event that is new in the log gets a sentence in both languages, or stands in this list."""
    assert set(codec.NAMES.values()) - APART == set(TEXTS)


@pytest.mark.parametrize("lang", ["en", "zh"])
@settings(max_examples=100, deadline=None)
@given(event=st.sampled_from(list(codec.NAMES)).flatmap(values))
def test_whatever_an_event_says_it_can_be_told(lang: str, event: Any) -> None:
    """Odd texts break no line and no sentence."""
    fields = msgspec.to_builtins(event)
    entry = TimelineEntry(
        position=1, time=moment(0), about="bot", subject="x", event=codec.NAMES[type(event)], fields=fields
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WXRC_LANG", lang)
        said = event_text(entry)

    assert said
    assert said.isprintable()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "C", "WXRC_LANG": "zh"}, "zh"),
        ({"WXRC_LANG": "", "LANG": "ZH"}, "zh"),
    ],
)
def test_the_language(environ: dict[str, str], wanted: str) -> None:
    """WXRC_LANG goes first, then what every program goes by."""
    assert wanted == language(environ)


@given(
    text=st.text(st.sampled_from("ab c，。中文字é\u0301"), max_size=200), first=st.sampled_from(["", "why: ", "原因："])
)
def test_lines_keep_to_the_width(text: str, first: str) -> None:
    """A text is broken between words and Chinese characters, fits, and loses nothing but spaces."""
    found = list(wrapped(text.replace("b", "b "), first))

    assert [] == [line for line in found if columns(line) > 82]  # a stop that may not begin a line may hang over
    assert "".join((first + text).split()) == "".join("".join(found).split())
