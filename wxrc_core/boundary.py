"""What comes from outside is checked here before the core or the log sees it.

A puppet's reports and outcomes are made by code that we may not know, and Python does not enforce type annotations. Each check writes the
value and reads it back by its type (`wxrc_core.codec.checked`). What fails is refused in one sentence that names the field: it is the fault
of that one report or call, never the gateway's end. For a clock, which is asked all the time, the first answer decides.
"""

from collections.abc import Callable
from typing import get_args

import attrs
import msgspec

from wxrc_core.codec import checked
from wxrc_core.errors import InvalidValue
from wxrc_core.puppet import Accepted, Report, ReportContacts, ReportMessage, ReportRooms, SendOutcome

LIMIT = 64 * 1024
"""The most that a report or an outcome may take, written as JSON (bytes)."""

LIMITS: dict[type, int] = {
    ReportMessage: 256 * 1024,
    ReportRooms: 8 * 1024 * 1024,
    ReportContacts: 8 * 1024 * 1024,
}
"""The same for those that may be larger."""

LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON can represent. Times and numbers beyond it, or below zero, are refused."""

MESSAGE_ID_LENGTH = 512
"""The most characters in WeChat's id of an inbound message, which becomes part of a stream's name."""


class _Union:
    """The check for one union of attrs classes."""

    def __init__(self, wanted: str, union: object) -> None:
        self.wanted = wanted
        self.decoders: dict[type, Callable[[bytes], object]] = {
            member: msgspec.json.Decoder(member).decode for member in get_args(union)
        }

    def check(self, value: Report | SendOutcome) -> None:
        """Refuse what is not exactly of one of the classes, with fields of the right types."""
        decoder = self.decoders.get(value.__class__)
        name = value.__class__.__name__
        if decoder is None:
            raise InvalidValue(f"expected {self.wanted}, not a value of the type {name}")
        checked(value, decoder, LIMITS.get(value.__class__, LIMIT))
        for field in attrs.fields(value.__class__):
            number = getattr(value, field.name)
            if isinstance(number, int) and not 0 <= number <= LARGEST_INTEGER:
                raise InvalidValue(f"{field.name} of {name} must be from 0 to 2**53 - 1")


_REPORTS = _Union("one of the reports in wxrc_core.puppet", Report)
_OUTCOMES = _Union("one of the outcomes in wxrc_core.puppet", SendOutcome)


def checked_report(report: Report) -> Report:
    """Return a puppet's report, having made sure that it can be recorded.

    Raises:
        InvalidValue: It cannot; the text names the field.
    """
    _REPORTS.check(report)
    if isinstance(report, ReportMessage) and not 1 <= len(report.message_id) <= MESSAGE_ID_LENGTH:
        raise InvalidValue(f"message_id of ReportMessage must have 1 to {MESSAGE_ID_LENGTH} characters")
    return report


def checked_outcome(outcome: SendOutcome) -> SendOutcome:
    """Return a puppet's answer to a hand-over, having made sure that it can be recorded.

    Raises:
        InvalidValue: It cannot; the text names the field. Treat the send as `Unconfirmed`.
    """
    _OUTCOMES.check(outcome)
    if isinstance(outcome, Accepted) and not outcome.receipt:
        raise InvalidValue("receipt of Accepted must not be empty; without a receipt the outcome is Unconfirmed")
    return outcome


def checked_clock(clock: Callable[[], int]) -> Callable[[], int]:
    """Return a clock that gives epoch milliseconds and never fails.

    Args:
        clock: An embedding program's clock. It is asked once, here.

    Returns:
        A clock that asks it, and repeats the latest good answer where it fails or answers with anything but an integer.

    Raises:
        InvalidValue: Its first answer was wrong already.
    """
    try:
        latest = _epoch_ms(clock())
    except InvalidValue:
        raise
    except Exception as error:
        raise InvalidValue(f"the clock failed ({error.__class__.__name__})") from None

    def ask() -> int:
        nonlocal latest
        try:
            latest = _epoch_ms(clock())
        except Exception:
            return latest
        return latest

    return ask


def _epoch_ms(now: object) -> int:
    if type(now) is not int or not 0 <= now <= LARGEST_INTEGER:
        raise InvalidValue(
            f"the clock must return epoch milliseconds as an integer, not {now!r:.40} ({type(now).__name__})"
        )
    return now
