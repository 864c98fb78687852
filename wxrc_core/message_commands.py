"""What a message can be asked to do.

The second part of the message aggregate, between `wxrc_core.message_events` and `wxrc_core.message`, which offers all of these names too.
"""

from typing import Literal, TypeAlias

from attrs import frozen

from wxrc_core.content import Image
from wxrc_core.message_events import FailReason, MessageQueued
from wxrc_core.puppet import SendOutcome

Verdict: TypeAlias = Literal["sent", "failed", "resend"]


@frozen
class Queue:
    """Accept a request: `queued` is the event to record if the stream is new."""

    queued: MessageQueued


@frozen(kw_only=True)
class StoreImage:
    """The message's image is in the media store now; `image` says what it is."""

    at: int
    image: Image


@frozen(kw_only=True)
class ClaimAttempt:
    """Claim the message for one hand-over, as its attempt of this number; the fields are those of `MessageAttempted`."""

    at: int
    attempt: int
    room_id: str
    user_id: str = ""
    epoch: int
    gap_ms: int = -1


@frozen(kw_only=True)
class RecordOutcome:
    """Record how a hand-over ended.

    Attributes:
        at: Now (epoch ms).
        attempt: The attempt that ended.
        outcome: What the puppet answered.
        resend: Policy allows to resend what is in doubt (the puppet deduplicates).
        rooms_complete: The bot's room list is known to be complete now.
        contacts_complete: The bot's contact list is.
    """

    at: int
    attempt: int
    outcome: SendOutcome
    resend: bool = False
    rooms_complete: bool = True
    contacts_complete: bool = True


@frozen(kw_only=True)
class PutBack:
    """Return a claimed message to its place: for certain it was not handed over, and why."""

    at: int
    attempt: int
    detail: str


@frozen(kw_only=True)
class AbandonAttempt:
    """The owner that made this attempt is gone, and its outcome will not be reported. `resend` as in `RecordOutcome`."""

    at: int
    attempt: int
    resend: bool = False


@frozen(kw_only=True)
class NoRoom:
    """The complete list has no such room, or no such person."""

    at: int


@frozen(kw_only=True)
class Fail:
    """It cannot be sent: `reason` and `detail` as in `MessageFailed`."""

    at: int
    reason: FailReason
    detail: str


@frozen(kw_only=True)
class Expire:
    """Its time may be over; nothing happens if it is not, or if it is no longer queued."""

    at: int


@frozen(kw_only=True)
class Cancel:
    """Take it back."""

    at: int


@frozen(kw_only=True)
class Confirm:
    """A late fact: it has turned up in WeChat, under this receipt."""

    at: int
    receipt: str


@frozen(kw_only=True)
class Resolve:
    """An operator says what has become of a message in doubt, or is to become of it.

    Attributes:
        at: Now (epoch ms).
        verdict: `sent`: it arrived; `failed`: it did not, and is not to be sent again; `resend`: send it once more.
        by: Who says so.
    """

    at: int
    verdict: Verdict
    by: str


Command: TypeAlias = (
    Queue
    | StoreImage
    | ClaimAttempt
    | RecordOutcome
    | PutBack
    | AbandonAttempt
    | NoRoom
    | Fail
    | Expire
    | Cancel
    | Confirm
    | Resolve
)
