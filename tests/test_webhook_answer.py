"""What an answer means: acknowledgement, reasons, Retry-After and 410, for everything a receiver may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrc_webhook import Acknowledged, Failed
from wxrc_webhook.answer import RETRY_AFTER_CAP_S, Answer, judge

NOW = 1_795_431_600  # Mon, 23 Nov 2026 11:00:00 GMT


def whole(status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that was received to its end."""
    return Answer(status=status, headers=headers, body=bytearray(body), complete=True)


@pytest.mark.wire("callback.acknowledge")
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize(
    "body",
    [
        b'{"result":"success"}',
        b' \r\n{ "result" : "success", "more": [1, 2] }\n',
        b'\xef\xbb\xbf{"result":"success"}',
        b'{"resHead": {}, "resBody": {"result": "success"}}',
        b'{"result":"fail","resBody":{"result":"success"}}',
        b"success",
        b"success\r\n",
    ],
)
def test_acknowledged(status: int, body: bytes) -> None:
    """2xx and the agreed words, in any of the agreed places, acknowledge."""
    assert Acknowledged() == judge(whole(status, body), now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"Success",
        b"success!",
        b'"success"',
        b'{"result":"fail"}',
        b'{"result":"Success"}',
        b'{"result":true}',
        b'{"result":["success"]}',
        b'{"resBody":"success"}',
        b'{"resBody":[{"result":"success"}]}',
        b'["result","success"]',
        b'{"result":"success"',
        b"<html>success</html>",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"9" * 60_000,
    ],
)
def test_not_acknowledged(body: bytes) -> None:
    """Any other body fails, with the reason, and without repeating what was answered."""
    assert Failed('answered 200 but not {"result": "success"}') == judge(whole(200, body), now=NOW)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (300, Failed("answered 300")),
        (302, Failed("redirected (302); redirects are not followed")),
        (308, Failed("redirected (308); redirects are not followed")),
        (404, Failed("answered 404")),
        (410, Failed("answered 410", gone=True)),
        (500, Failed("answered 500")),
        (503, Failed("answered 503")),
        (101, Failed("answered 101")),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_status(status: int, outcome: Failed, complete: bool) -> None:
    """A status that is not 2xx fails whatever the body says, and whether or not the body could be read."""
    answer = Answer(status=status, body=bytearray(b"success"), complete=complete, trouble="no complete answer in 5 s")

    assert outcome == judge(answer, now=NOW)


def test_incomplete() -> None:
    """The agreed words do not count before the answer is complete."""
    answer = Answer(status=200, body=bytearray(b"success"), trouble="no complete answer in 5 s")

    assert Failed("answered 200, but no complete answer in 5 s") == judge(answer, now=NOW)


def test_no_answer() -> None:
    """Without any status the reason is the trouble."""
    assert Failed("no answer in 5 s") == judge(Answer(trouble="no answer in 5 s"), now=NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"600", 600),
        (b" 600 ", 600),
        (b"0", 0),
        (b"86401", RETRY_AFTER_CAP_S),
        (b"9" * 10_000, RETRY_AFTER_CAP_S),
        (b"Mon, 23 Nov 2026 11:10:00 GMT", 600),
        (b"Monday, 23-Nov-26 11:10:00 GMT", 600),
        (b"Mon Nov 23 11:10:00 2026", 600),
        (b"Mon, 23 Nov 2026 12:10:00 +0100", 600),
        (b"Mon, 23 Nov 2026 10:00:00 GMT", 0),
        (b"Mon, 23 Nov 2099 10:00:00 GMT", RETRY_AFTER_CAP_S),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"", None),
        (b"\xb2", None),
        (b"Mon, 99 Nov 2026 11:10:00 GMT", None),
        (b"Mon, 23 Nov 99999999999 11:10:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 500, 200])
def test_retry_after(value: bytes, seconds: int | None, status: int) -> None:
    """Retry-After counts on every failure, as seconds or as a date, up to a day; nonsense counts as absent."""
    outcome = judge(whole(status, b"busy", (b"retry-AFTER", value)), now=NOW)

    assert isinstance(outcome, Failed)
    assert seconds == outcome.retry_after_s


@given(
    status=st.none() | st.integers(100, 999),
    headers=st.lists(st.tuples(st.sampled_from([b"Retry-After", b"X"]), st.binary()), max_size=3),
    body=st.binary() | st.text().map(str.encode) | st.from_regex(rb'\A[{}\[\]":,a-z0-9]*\Z'),
    complete=st.booleans(),
)
def test_any_answer(status: int | None, headers: list[tuple[bytes, bytes]], body: bytes, complete: bool) -> None:
    """Whatever was received, there is an outcome; waiting times are within bounds."""
    answer = Answer(status=status, headers=headers, body=bytearray(body), complete=complete)
    outcome = judge(answer, now=NOW)

    assert isinstance(outcome, Acknowledged) or 0 <= (outcome.retry_after_s or 0) <= RETRY_AFTER_CAP_S


@given(
    st.dates().map(str)
    | st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} Nov \d{1,6} \d\d:\d\d:\d\d [-+A-Z0-9]{0,6}")
)
def test_any_date(text: str) -> None:
    """Whatever stands in Retry-After, it is read or passed over."""
    outcome = judge(whole(503, b"", (b"retry-after", text.encode())), now=NOW)

    assert isinstance(outcome, Failed)
