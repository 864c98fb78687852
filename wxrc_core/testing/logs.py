"""Hypothesis strategies for whole logs: several bots and channels, and everything that a gateway records about them.

    @given(log=logs())
    def test_my_read_model(log):
        ...

Every log is one that the core wrote: each event was decided, in a world that had folded those before it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

import attrs
from hypothesis import strategies as st

from wxrc_core import message
from wxrc_core.content import Card, Image
from wxrc_core.effects import Claim, Post, Wait
from wxrc_core.errors import Refusal
from wxrc_core.log import Recorded
from wxrc_core.message import MessageState
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    NotSent,
    Rejected,
    ReportMessage,
    ReportReceipt,
    RoomMissing,
    SendOutcome,
    Unconfirmed,
    UserMissing,
)
from wxrc_core.testing.story import CONTACTS, ROOMS, Story
from wxrc_core.testing.strategies import bot_reports

OUTCOMES: list[SendOutcome] = [
    Accepted("receipt"), Accepted("receipt"), Accepted(""), Unconfirmed("no answer"), NotSent("busy", retry=True),
    NotSent("refused"), NotConnected("the connection broke"), RoomMissing("no such room"), UserMissing("no such person"),
    Rejected("content refused"),
]  # fmt: skip
TARGETS: list[dict[str, Any]] = [
    {"room_id": "r1"}, {"room_id": "r2"}, {"room_topic": "一群"}, {"room_topic": "同名"}, {"room_id": "nowhere"},
    {"user_id": "u1"}, {"user_name": "小王"}, {"user_name": "王总"}, {"user_name": "同名"}, {"user_id": "nobody"},
]  # fmt: skip
CONTENTS: list[dict[str, Any]] = [
    {}, {}, {"card": Card(title="订单", page_path="pages/order", appid="wx1")}, {"image": Image(source="https://img.example/1.png")},
]  # fmt: skip

Move = Callable[[], object]


def logs(
    bots: Sequence[str] = ("b1", "b2"), channels: Sequence[str] = ("c1", "c2"), max_steps: int = 40
) -> st.SearchStrategy[list[Recorded]]:
    """Return a strategy for logs (see `stories`)."""
    return stories(bots, channels, max_steps).map(lambda told: told.log)


@st.composite
def stories(
    draw: st.DrawFn, bots: Sequence[str] = ("b1", "b2"), channels: Sequence[str] = ("c1", "c2"), max_steps: int = 40
) -> Story:
    """Draw a story: the log and the world that follows it.

    Args:
        draw: Hypothesis gives it.
        bots: The botcodes. Every bot has an owner from the beginning.
        channels: The chids. Each may use every bot.
        max_steps: The most steps; each records up to a dozen events.
    """
    told = Story()
    for botcode in bots:
        told.add_bot(botcode, pace=draw(st.sampled_from(["none", "customary"])), deduplicates=draw(st.booleans()))
    for chid in channels:
        told.add_channel(chid)
        for botcode in bots:
            pace = draw(st.sampled_from([0, 0, 2]))
            told.grant(chid, botcode, on_doubt=draw(st.sampled_from(["leave", "resend"])), pace=pace)
    for botcode in bots:
        told.take_over(botcode)
        if draw(st.booleans()):
            told.log_in(botcode, contacts=CONTACTS)
    for number in range(draw(st.integers(0, max_steps))):
        botcode, chid = draw(st.sampled_from(bots)), draw(st.sampled_from(channels))
        try:
            _step(draw, told, botcode, chid, number)
        except Refusal:
            continue
    return told


def _step(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    moves: list[Callable[[st.DrawFn, Story, str, str, int], None]] = [
        _ask, _ask, _fetch, _send, _send, _operate, _report, _log_in, _write, _post, _take_over, _end_by_hand, _wait,
        _remove_bot,
    ]  # fmt: skip
    draw(st.sampled_from(moves))(draw, told, botcode, chid, number)
    if draw(st.integers(0, 3)):
        told.settle(botcode)


def _ask(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    lifetime = draw(st.sampled_from([None, None, 1_000]))
    told.queue(
        f"text-{number}",
        botcode=botcode,
        chid=chid,
        expires_at=None if lifetime is None else told.wall + lifetime,
        on_doubt=draw(st.sampled_from(["leave", "resend"])),
        **draw(st.sampled_from(TARGETS)),
        **draw(st.sampled_from(CONTENTS)),
    )


def _fetch(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    if draw(st.booleans()):
        told.store_images(botcode)
        return
    for fetch in told.own(botcode).queue.next_fetches():
        told.do(fetch.stream, message.Fail(at=told.wall, reason="no_file", detail="not there"))


def _send(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    if not isinstance(told.next_claim(botcode), Claim):
        return
    claim = told.claim(botcode)
    stage = draw(st.sampled_from(["recorded", "recorded", "recorded", "crashed"]))
    if not told.hand_over(claim, botcode=botcode) and stage == "recorded":
        told.end(claim, draw(st.sampled_from(OUTCOMES)), botcode)
    elif stage == "crashed":
        told.take_over(botcode)


def _operate(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    leaving = told.bot(botcode)
    if leaving.pending_exit:
        told.leave(botcode)
    else:
        told.operate(draw(st.sampled_from(["login", "logout", "stop", "code"])), f"operation-{number}", botcode=botcode)


def _report(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    told.report(attrs.evolve(draw(bot_reports()), at=told.wall), botcode)


def _log_in(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    told.settle(botcode)
    if not told.bot(botcode).pending_exit:
        told.log_in(
            botcode,
            rooms=ROOMS[: draw(st.integers(1, 4))],
            contacts=CONTACTS[: draw(st.integers(1, 5))],
            complete=draw(st.booleans()),
        )


def _write(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    name = f"m{draw(st.integers(0, number))}"
    told.report(
        ReportMessage(at=told.wall, message_id=name, kind="text", text="你好", from_id="w1", mentioned=True), botcode
    )


def _post(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    control = draw(st.booleans())
    step = told.next_post(chid, control=control, botcode=botcode)
    if isinstance(step, Wait):
        told.wait(step.ms)
    elif isinstance(step, Post):
        post = told.begin_post(chid, control=control, botcode=botcode)
        answers: list[Move] = [
            partial(told.acknowledge, post), partial(told.acknowledge, post), partial(told.miss, post), partial(told.miss, post, gone=True),
        ]  # fmt: skip
        draw(st.sampled_from(answers))()


def _take_over(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    told.take_over(botcode)


def _remove_bot(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    if not draw(st.integers(0, 3)):
        told.remove_bot(botcode)


def _end_by_hand(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    texts = [recorded for recorded in told.log if isinstance(recorded.event, message.MessageQueued)]
    if not texts:
        return
    first = draw(st.sampled_from(texts))
    state = told.state(first.stream)
    assert isinstance(state, message.Message)
    if state.state is MessageState.IN_DOUBT:
        by_hand: list[message.Command] = [
            message.Resolve(at=told.wall, verdict=verdict, by="ops") for verdict in get_args(message.Verdict)
        ]
        told.do(first.stream, draw(st.sampled_from(by_hand)))
    elif state.attempt:
        told.report(ReportReceipt(at=told.wall, msgid=first.position, receipt="late receipt"), state.queued.botcode)
    else:
        told.do(first.stream, message.Cancel(at=told.wall))


def _wait(draw: st.DrawFn, told: Story, botcode: str, chid: str, number: int) -> None:
    told.wait(draw(st.sampled_from([1, 1_000, 5_000, 61_000])))
