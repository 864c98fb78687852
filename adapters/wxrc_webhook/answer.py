"""How one attempt ended: what a receiver's answer means (wire.md, section 3)."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from attrs import define, field, frozen

RETRY_AFTER_CAP_S: Final = 24 * 3600

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@frozen
class Acknowledged:
    """The receiver has taken the callback: HTTP 2xx and the agreed words."""


@frozen
class Failed:
    """The receiver has not acknowledged the callback, or cannot be asked.

    Attributes:
        reason: What happened, in plain words, without anything from the callback or the answer's text.
        retry_after_s: How long the receiver asks to be left alone, in seconds (0 to 86,400), where it said so.
        gone: The receiver said 410: it wants no more callbacks at all.
    """

    reason: str
    retry_after_s: int | None = None
    gone: bool = False


Outcome = Acknowledged | Failed


@define
class Answer:
    """What has arrived of an answer so far. It is filled while reading, so that a time limit leaves what is known.

    Attributes:
        status: The HTTP status, once the head is there.
        headers: The header fields as received.
        body: The answer's body as far as it was read.
        complete: Whether the body was read to its end.
        trouble: Why it will not get any further, as words that can follow "answered 200, but".
    """

    status: int | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytearray = field(factory=bytearray)
    complete: bool = False
    trouble: str = "there was no answer"


def judge(answer: Answer, *, now: int) -> Outcome:
    """Say how an attempt ended.

    Args:
        answer: What was received, whole or not.
        now: The time of the attempt in epoch seconds; a date in `Retry-After` counts from there.
    """
    status = answer.status
    if status is None:
        return Failed(reason=answer.trouble)
    if 200 <= status < 300 and answer.complete and _acknowledges(bytes(answer.body)):
        return Acknowledged()
    return Failed(
        reason=_reason(status, answer), retry_after_s=_retry_after_s(answer.headers, now=now), gone=status == 410
    )


def _reason(status: int, answer: Answer) -> str:
    if status in _REDIRECTS:
        return f"redirected ({status}); redirects are not followed"
    if not 200 <= status < 300:
        return f"answered {status}"
    if not answer.complete:
        return f"answered {status}, but {answer.trouble}"
    return f'answered {status} but not {{"result": "success"}}'


def _acknowledges(body: bytes) -> bool:
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if text == b"success":
        return True
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    inner = document.get("resBody")
    return document.get("result") == "success" or (isinstance(inner, dict) and inner.get("result") == "success")


def _retry_after_s(headers: Sequence[tuple[bytes, bytes]], *, now: int) -> int | None:
    """Read `Retry-After` (RFC 9110, 10.2.3), seconds or a date; nonsense counts as absent."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:20]), RETRY_AFTER_CAP_S)
    try:
        date = parsedate_to_datetime(text)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.fromtimestamp(now, UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(int(wait.total_seconds()), 0), RETRY_AFTER_CAP_S)
