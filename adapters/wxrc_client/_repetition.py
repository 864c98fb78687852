"""When a request is sent again, and when to give up; no I/O, and no clock but what comes in.

The gateway knows an operation by (channel, day of txtime, txcode). So a request whose answer was lost is repeated with the same txcode and
body, and it is done once. Two things would break that, and are kept from happening here: a second txcode, and a txtime that a repetition
after midnight would put into another day. Each try has a fresh txtime, but within the quarter of an hour in which the first one was made:
in every time zone a day begins with a quarter.
"""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Final
from zoneinfo import ZoneInfo

from attrs import evolve, field, frozen
from attrs.validators import gt

from wxrc_client._envelope import Answered, HttpRequest, read
from wxrc_client._errors import NoAnswer, NotAnEnvelope

QUARTER_MS: Final = 900_000
FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 5.0


@frozen(kw_only=True)
class Limits:
    """How long a call may take.

    Attributes:
        total_s: All tries and waits together (seconds). Beyond the channel's window (300 s) a repetition is refused anyway.
        try_s: One try (seconds).
    """

    total_s: float = field(default=60.0, validator=gt(0.0))
    try_s: float = field(default=30.0, validator=gt(0.0))


@frozen(kw_only=True)
class Clock:
    """What the repetition knows of time and chance.

    Attributes:
        now_ms: The time (epoch ms), for txtime.
        monotonic: Seconds that only grow.
        chance: A number from 0 to 1, so that many clients do not repeat at the same moment.
    """

    now_ms: Callable[[], int]
    monotonic: Callable[[], float]
    chance: Callable[[], float]


@frozen
class Post:
    """Send this, and answer with `Reply` or `Lost` within the time (seconds)."""

    request: HttpRequest
    limit_s: float


@frozen
class Wait:
    """Wait so long (seconds)."""

    seconds: float


@frozen(kw_only=True)
class Reply:
    """An HTTP answer.

    Attributes:
        status: Its status.
        content: Its body.
        retry_after: The header Retry-After; empty = not there.
    """

    status: int
    content: bytes = field(repr=False)
    retry_after: str = ""


@frozen(kw_only=True)
class Lost:
    """No HTTP answer came.

    Attributes:
        why: In a few words.
        arrived: Whether the request may have reached the gateway.
    """

    why: str
    arrived: bool


Steps = Generator[Post | Wait, Reply | Lost | None, Answered]
"""What a client drives: it sends or waits as it is told, and hands in what came of it."""


def steps(write: Callable[[str], HttpRequest], clock: Clock, limits: Limits, zone: str) -> Steps:
    """Yield what to do until there is an answer.

    Args:
        write: Writes and signs the request for a txtime.
        clock: Time and chance.
        limits: How long it may take.
        zone: The channel's time zone, for `NoAnswer.txdate`.

    Raises:
        NoAnswer: The time is over.
        NotAnEnvelope: What answers is not the gateway.
    """
    begun, first_ms = clock.monotonic(), clock.now_ms()
    quarter = first_ms - first_ms % QUARTER_MS
    maybe_accepted = False
    for number in count(1):
        txtime = min(max(clock.now_ms(), quarter), quarter + QUARTER_MS - 1)
        request = write(str(txtime))
        left = limits.total_s - (clock.monotonic() - begun)
        found = yield Post(request, min(limits.try_s, max(left, 0.001)))
        assert isinstance(found, Reply | Lost), "a Post is answered with what came of it"
        retry_after: float | None = None
        if isinstance(found, Lost):
            why, maybe_accepted = found.why, maybe_accepted or found.arrived
        else:
            try:
                answered = _settled(found)
            except NotAnEnvelope as error:
                error.maybe_accepted = maybe_accepted
                raise
            if answered is not None:
                return evolve(answered, maybe_accepted=maybe_accepted)
            why, retry_after = f"HTTP {found.status}", _seconds(found.retry_after, clock.now_ms())
            # 429 turns a request away before it is looked at; behind any other may stand one that was accepted.
            maybe_accepted = maybe_accepted or found.status != 429
        pause = (retry_after or 0.0) + _backoff(number, clock.chance())
        if clock.monotonic() - begun + pause >= limits.total_s:
            raise NoAnswer(
                why,
                txcode=request.txcode,
                txdate=day(first_ms, zone),
                tries=number,
                maybe_accepted=maybe_accepted,
                retry_after=retry_after,
            )
        yield Wait(pause)
    raise AssertionError("unreachable")


def day(at_ms: int, zone: str) -> str:
    """Return the day (`yyyymmdd`) of a moment (epoch ms) in a time zone."""
    # Most channels are in this one, and it needs no zone data: Windows has none.
    known = timezone(timedelta(hours=8)) if zone == "Asia/Shanghai" else ZoneInfo(zone)
    return datetime.fromtimestamp(at_ms / 1000, known).strftime("%Y%m%d")


def _settled(reply: Reply) -> Answered | None:
    """Return the answer; None = the same request is to be sent again."""
    if reply.status in (408, 429) or reply.status >= 500:
        return None
    if reply.status in (200, 405, 413, 431):
        return read(reply.status, reply.content)
    raise NotAnEnvelope(f"HTTP {reply.status}; the gateway answers 200")


def _backoff(tries: int, chance: float) -> float:
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 10))
    return longest * (0.5 + chance / 2)


def _seconds(retry_after: str, now_ms: int) -> float | None:
    """Return what a Retry-After means (RFC 9110, section 10.2.3); None = nothing."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)
