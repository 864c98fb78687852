"""When the SDK sends a request again: one operation, whatever gets lost, at whatever hour. No I/O and no real clock here."""

import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import field, mutable
from hypothesis import given
from hypothesis import strategies as st

from wxrc_client import Clock, Credentials, HttpRequest, Limits, NoAnswer, NotAnEnvelope, signed
from wxrc_client._repetition import Lost, Post, Reply, Wait, day, steps

NOW = 1_795_431_600_000  # 2026-11-23 19:00:00 in Shanghai
CREDENTIALS = Credentials(chid="crm", key="6f1d7a0c5b9e4e2f8a3c")
DONE = Reply(status=200, content=b'{"resHead":{},"resBody":{"rtCode":"0","rtMsg":"ok","msgid":7}}')
BUSY = Reply(status=503, content=b"{}")
LOST = Lost(why="the connection broke", arrived=True)
UNSENT = Lost(why="connection refused", arrived=False)


@mutable
class Story:
    """A call in a time of our own: each try takes `try_takes_s`, waits take as long as they say.

    Attributes:
        outcomes: What becomes of each try; the last one for all that follow.
        now_ms: The wall clock.
        passed_s: The monotonic clock.
        posts: The tries.
        waits: The waits between them (seconds).
    """

    outcomes: Sequence[Reply | Lost]
    now_ms: int = NOW
    try_takes_s: float = 1.0
    limits: Limits = field(factory=Limits)
    chance: float = 0.0
    passed_s: float = 0.0
    posts: list[Post] = field(factory=list)
    waits: list[float] = field(factory=list)

    def run(self, zone: str = "Asia/Shanghai") -> Any:
        """Make the call; return the envelope that it got."""

        def write(txtime: str) -> HttpRequest:
            return signed(CREDENTIALS, "roomSendText", "zhao", {"text": "你好"}, txcode="T1", txtime=txtime)

        clock = Clock(now_ms=lambda: self.now_ms, monotonic=lambda: self.passed_s, chance=lambda: self.chance)
        todo = steps(write, clock, self.limits, zone)
        found: Reply | Lost | None = None
        while True:
            try:
                step = todo.send(found)
            except StopIteration as end:
                return end.value
            if isinstance(step, Wait):
                self.waits.append(step.seconds)
                self._pass(step.seconds)
                found = None
            else:
                found = self.outcomes[min(len(self.posts), len(self.outcomes) - 1)]
                self.posts.append(step)
                self._pass(min(self.try_takes_s, step.limit_s))

    def _pass(self, seconds: float) -> None:
        self.passed_s += seconds
        self.now_ms += int(seconds * 1000)

    @property
    def heads(self) -> list[dict[str, str]]:
        """`reqHead` of each try."""
        return [json.loads(post.request.content)["reqHead"] for post in self.posts]


def test_an_answer_at_once_is_asked_for_once() -> None:
    """Where nothing is lost, there is one try."""
    story = Story([DONE])

    assert ("0", False) == ((answer := story.run()).rt_code, answer.maybe_accepted)
    assert (1, []) == (len(story.posts), story.waits)


@pytest.mark.parametrize("lost", [LOST, BUSY, Reply(status=502, content=b"<html>"), Reply(status=408, content=b"")])
def test_a_lost_answer_is_asked_for_again(lost: Reply | Lost) -> None:
    """The repetition has the same txcode and body, a fresh txtime, and a signature of its own."""
    story = Story([lost, lost, DONE])
    answer = story.run()

    assert ("0", True) == (answer.rt_code, answer.maybe_accepted)
    assert ["T1"] * 3 == [head["txcode"] for head in story.heads]
    assert 3 == len({head["txtime"] for head in story.heads})
    assert 3 == len({post.request.headers["X-Ecaspsplus-Signature"] for post in story.posts})
    assert 1 == len({json.dumps(json.loads(post.request.content)["reqBody"]) for post in story.posts})


def test_waits_grow_and_differ_between_clients() -> None:
    """Between tries stands a growing wait with chance in it."""
    calm, hasty = Story([LOST] * 7 + [DONE], chance=1.0), Story([LOST] * 7 + [DONE], chance=0.0)
    calm.run()
    hasty.run()

    assert [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0] == calm.waits
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5] == hasty.waits


@pytest.mark.parametrize(
    ("said", "least"),
    [
        ("2", 2.0),
        ("Mon, 23 Nov 2026 11:00:05 GMT", 4.0),  # one second has passed in the try
        ("Mon, 23 Nov 2026 10:59:00 GMT", 0.0),
        ("-1", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("٣", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status: int, said: str, least: float) -> None:
    """Seconds and dates count; what cannot be read counts as nothing."""
    story = Story([Reply(status=status, content=b"{}", retry_after=said), DONE])
    story.run()

    assert [least + 0.1] == [pytest.approx(each) for each in story.waits]


def test_a_retry_after_beyond_the_limit_ends_the_call_at_once() -> None:
    """Nobody waits for what cannot come in time; the caller learns when to come back."""
    story = Story([Reply(status=429, content=b"{}", retry_after="600")])
    with pytest.raises(NoAnswer) as end:
        story.run()

    assert (1, 600.0, False, 1.0) == (end.value.tries, end.value.retry_after, end.value.maybe_accepted, story.passed_s)


@pytest.mark.parametrize(
    ("outcomes", "maybe"),
    [
        ([LOST], True),
        ([UNSENT], False),
        ([BUSY], True),
        ([Reply(status=429, content=b"{}")], False),
        ([LOST, UNSENT], True),
        ([UNSENT, LOST, Reply(status=429, content=b"{}")], True),
    ],
)
def test_giving_up_tells_what_is_known(outcomes: Sequence[Reply | Lost], maybe: bool) -> None:
    """All tries fit into the total time, and the error says whether one of them may have been accepted, and how to find out."""
    story = Story(outcomes, limits=Limits(total_s=20.0, try_s=5.0), try_takes_s=7.0)
    with pytest.raises(NoAnswer) as end:
        story.run()

    assert (maybe, "T1", "20261123") == (end.value.maybe_accepted, end.value.txcode, end.value.txdate)
    assert ("may have been" if maybe else "was not accepted") in str(end.value)
    assert story.passed_s <= 20.0
    assert len(story.posts) >= 3


@given(st.floats(0.5, 290), st.floats(0.1, 100), st.floats(0.0, 200), st.floats(0, 1))
def test_the_total_time_is_never_exceeded(total_s: float, try_s: float, takes_s: float, chance: float) -> None:
    """Whatever the limits and the speed, a call ends in time."""
    story = Story([LOST], limits=Limits(total_s=total_s, try_s=try_s), try_takes_s=takes_s, chance=chance)
    with pytest.raises(NoAnswer):
        story.run()

    assert story.passed_s <= total_s + 0.002


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "UTC"])
def test_midnight_makes_no_second_operation(zone: str) -> None:
    """A repetition after midnight, in whatever zone, still has the first try's day: another day would be another message."""
    midnight = NOW - NOW % 86_400_000
    while day(midnight, zone) == day(midnight - 1, zone):
        midnight += 900_000
    story = Story([LOST] * 6 + [DONE], now_ms=midnight - 500, try_takes_s=8.0)
    story.run(zone)

    assert 1 == len({day(int(head["txtime"]), zone) for head in story.heads})
    assert story.now_ms > midnight + 40_000
    assert ZoneInfo(zone).key == zone


def test_a_clock_set_back_makes_no_second_operation() -> None:
    """Nor does a clock that falls back over midnight between two tries."""
    midnight = 1_795_449_600_000
    story = Story([LOST, DONE], now_ms=midnight + 10)
    assert ["20261123", "20261124"] == [day(each, "Asia/Shanghai") for each in (midnight - 1, midnight)]
    story.try_takes_s = -60.0
    story.run()

    assert ["20261124"] * 2 == [day(int(head["txtime"]), "Asia/Shanghai") for head in story.heads]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=200, content=b"<html>"),
        Reply(status=200, content=b""),
        Reply(status=200, content=b"[]"),
        Reply(status=200, content=b'{"resBody":{}}'),
        Reply(status=200, content=b'{"resBody":{"rtCode":0}}'),
        Reply(status=200, content=b'{"resBody":' * 100_000),
        Reply(status=200, content=b'\xff{"resBody":{"rtCode":"0"}}'),
        Reply(status=301, content=b""),
        Reply(status=404, content=b"not found"),
        Reply(status=401, content=b'{"resBody":{"rtCode":"0"}}'),
    ],
    ids=lambda reply: f"{reply.status} {reply.content[:20]!r}",
)
@pytest.mark.parametrize("before", [[], [LOST]], ids=["first", "after a lost one"])
def test_what_is_no_gateway_is_not_asked_again(reply: Reply, before: list[Lost]) -> None:
    """An answer of something else ends the call; whether an earlier try may have been accepted is kept."""
    story = Story([*before, reply])
    with pytest.raises(NotAnEnvelope) as end:
        story.run()

    assert len(before) + 1 == len(story.posts)
    assert bool(before) == end.value.maybe_accepted


@pytest.mark.parametrize("limits", [{"total_s": 0}, {"total_s": -1.0}, {"try_s": 0.0}])
def test_a_limit_of_nothing_is_refused(limits: dict[str, float]) -> None:
    """A call that could not make one try is not configured."""
    with pytest.raises(ValueError, match=r"_s"):
        Limits(**limits)
