"""The health of a callback URL: when may the next callback go there?"""

import pytest

from wxrc_core.delivery_schedule import JITTER, LONGEST_RETRY_AFTER_S, SCHEDULE_S
from wxrc_core.endpoint import UNTRIED_PROBE_MS, Endpoint


def fail(endpoint: Endpoint, *streams: str, now: int, retry_after_s: int | None = None, jitter: float = 0.0) -> None:
    """Post these callbacks at the same time; all of them fail."""
    for stream in streams:
        endpoint.begin(stream, now)
    for stream in streams:
        endpoint.failed(stream, now, "HTTP 500", retry_after_s, jitter)


def down(failures: int) -> Endpoint:
    """Return an endpoint that failed so often in a row, at 0, for the callback `a`."""
    endpoint = Endpoint()
    for _ in range(failures):
        fail(endpoint, "a", now=0)
    return endpoint


def test_all_go_while_it_is_up() -> None:
    """Any number of callbacks may be on their way to a receiver that is up."""
    endpoint = Endpoint()
    endpoint.begin("a", 0)

    assert endpoint.up
    assert 0 == endpoint.wait_ms("b", 0, 0)
    assert not endpoint.succeeded("a")


def test_one_probe_at_a_time() -> None:
    """While it is down, nothing goes as long as a probe is on its way, whenever that was due."""
    endpoint = down(1)
    endpoint.begin("b", 0)

    assert endpoint.wait_ms("c", 0, 10**9) is None
    endpoint.abandon("b")
    assert 0 == endpoint.wait_ms("c", 0, 0)


@pytest.mark.parametrize("failures", range(1, 14))
def test_probes_follow_the_schedule(failures: int) -> None:
    """The wait grows with the failures in a row, up to half a minute while the outage is young."""
    endpoint = down(failures)
    wait = min(SCHEDULE_S[min(failures, len(SCHEDULE_S)) - 1] * 1000, UNTRIED_PROBE_MS)

    assert wait == endpoint.wait_ms("a", failures, 0)
    assert 0 == endpoint.wait_ms("a", failures, wait)
    assert wait == endpoint.wait_ms("a", 0, 0)


@pytest.mark.parametrize(("down_s", "gap_s"), [(60, 30), (1_800, 30), (3_600, 60), (86_400, 1_440)])
def test_probes_get_rarer_with_the_outage(down_s: int, gap_s: int) -> None:
    """After an hour one a minute, after a day one in 24 minutes: a receiver that comes back is found soon, and left in peace before."""
    endpoint = down(3)
    fail(endpoint, "b", now=down_s * 1000)

    assert gap_s * 1000 == endpoint.wait_ms("a", 3, down_s * 1000)
    assert UNTRIED_PROBE_MS == endpoint.wait_ms("c", 0, down_s * 1000)


def test_probes_are_spread_by_chance() -> None:
    """A probe comes a little later by chance, as a delivery does."""
    endpoint = down(1)
    fail(endpoint, "a", now=0, jitter=1.0)

    assert SCHEDULE_S[1] * 1000 * (1 + JITTER) == endpoint.wait_ms("a", 2, 0)


def test_after_one_failure_another_callback_goes_at_once() -> None:
    """One failure may be that callback's own fault: another one shows at once whether the receiver is away."""
    endpoint = down(1)

    assert 0 == endpoint.wait_ms("b", 0, 0)
    endpoint.begin("b", 0)
    assert endpoint.succeeded("b")
    assert endpoint.up
    assert 0 == endpoint.outage, "one refused callback is no outage"


@pytest.mark.parametrize("streams", [("a", "a"), ("a", "b"), ("a", "b", "c")])
def test_an_outage_is_over(streams: tuple[str, ...]) -> None:
    """It was down if it failed at least twice in a row, for one callback or several; that it is up again is news."""
    endpoint = Endpoint()
    for stream in streams:
        fail(endpoint, stream, now=0)
    endpoint.begin("d", 0)

    assert endpoint.succeeded("d")
    assert (True, 1) == (endpoint.up, endpoint.outage)


@pytest.mark.parametrize("count", [2, 40])
def test_callbacks_that_fail_together_count_once(count: int) -> None:
    """Forty callbacks that were on their way when it went down do not put off the next probe by a day."""
    endpoint = Endpoint()
    fail(endpoint, *(f"s{number}" for number in range(count)), now=0)

    assert 1 == endpoint.failures
    assert 0 == endpoint.wait_ms("s0", 1, 0)
    endpoint.begin("s0", 0)
    assert endpoint.succeeded("s0")
    assert 1 == endpoint.outage, "several failed, so it was away"


def test_the_last_one_of_those_that_fail_together_is_news() -> None:
    """Whoever waits for those that are on their way is told when the last of them has ended."""
    endpoint = Endpoint()
    for stream in "abc":
        endpoint.begin(stream, 0)

    assert [True, False, True] == [endpoint.failed(stream, 0, "HTTP 500", None, 0.0) for stream in "abc"]


@pytest.mark.parametrize("attempts", [0, 1])
def test_retry_after(attempts: int) -> None:
    """What the receiver asks for is honoured by every callback, also by one that was never tried, but for a day at most."""
    endpoint = Endpoint()
    fail(endpoint, "a", now=0, retry_after_s=600)

    assert 600_000 == endpoint.wait_ms("b", attempts, 0)
    fail(endpoint, "b", now=600_000, retry_after_s=10**9)
    assert LONGEST_RETRY_AFTER_S * 1000 == endpoint.wait_ms("c", attempts, 600_000)
    endpoint.succeeded("c")
    assert 0 == endpoint.wait_ms("b", attempts, 600_000)


def test_another_place() -> None:
    """Of a new place nothing is known: everything may be tried, and what was on its way to the old one says nothing about it."""
    endpoint = down(5)
    for stream in "bcd":
        endpoint.begin(stream, 0)
    endpoint.moved()

    assert (True, 0, 1) == (endpoint.up, endpoint.outage, endpoint.place)
    assert not endpoint.failed("b", 0, "HTTP 500", 600, 0.0)
    assert not endpoint.closed("c", "HTTP 410")
    assert not endpoint.gone
    fail(endpoint, "e", now=0)
    assert not endpoint.succeeded("d"), "the old place's acknowledgement does not mean that the new one is up"
    assert 1 == endpoint.failures


def test_gone_until_it_is_set_anew() -> None:
    """After a 410 it is gone, whatever else comes, until callbacks go elsewhere."""
    endpoint = Endpoint()
    endpoint.begin("a", 0)
    endpoint.begin("b", 0)

    assert endpoint.closed("a", "HTTP 410")
    endpoint.succeeded("b")
    assert (True, "HTTP 410") == (endpoint.gone, endpoint.reason)
    endpoint.moved()
    assert (False, "") == (endpoint.gone, endpoint.reason)


def test_nothing_is_kept_of_what_has_ended() -> None:
    """Thousands of failures and acknowledgements leave nothing behind."""
    endpoint, fresh = Endpoint(), Endpoint()
    for number in range(2_000):
        fail(endpoint, f"a{number}", f"b{number}", now=number)
    endpoint.begin("c", 0)
    endpoint.succeeded("c")

    kept = {name: value for name, value in vars(endpoint).items() if hasattr(value, "__len__")}
    assert {name: value for name, value in vars(fresh).items() if name in kept} == kept
