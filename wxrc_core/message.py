"""A message to WeChat, from the accepted request to its end.

Everything that decides about a message stands in four files: `wxrc_core.message_events` has the states, the steps between them and
the events; `wxrc_core.message_commands` what can be asked; `wxrc_core.message_state` what events lead to; this one what is done about
commands and events. It offers all of their names.

In the order of a message's life: it is *queued*, durably, before the channel gets its answer. When its bot can send, an owner claims
it for one hand-over; the puppet's outcome ends it, or returns it to the queue where it is certain that nothing left the house. Where
it is unknown whether it arrived, it is *in doubt*, and nothing but a late fact, an operator or an explicit policy takes it out of
there: a message is never called sent without a receipt, and never sent again by mistake.

The stream of a message is named after the request (`stream_name`), so that the same txcode meets itself there, on every store. Its number
(msgid) is the position of its first event.
"""

import hashlib
from typing import assert_never

import msgspec

from wxrc_core.effects import Effect, Notify, WakeQueue, WakeRecords
from wxrc_core.errors import Refusal, TxcodeReused
from wxrc_core.localized import LocalizedText
from wxrc_core.message_commands import AbandonAttempt as AbandonAttempt
from wxrc_core.message_commands import Cancel as Cancel
from wxrc_core.message_commands import ClaimAttempt as ClaimAttempt
from wxrc_core.message_commands import Command as Command
from wxrc_core.message_commands import Confirm as Confirm
from wxrc_core.message_commands import Expire as Expire
from wxrc_core.message_commands import Fail as Fail
from wxrc_core.message_commands import NoRoom as NoRoom
from wxrc_core.message_commands import PutBack as PutBack
from wxrc_core.message_commands import Queue as Queue
from wxrc_core.message_commands import RecordOutcome as RecordOutcome
from wxrc_core.message_commands import Resolve as Resolve
from wxrc_core.message_commands import StoreImage as StoreImage
from wxrc_core.message_commands import Verdict as Verdict
from wxrc_core.message_events import ENDED as ENDED
from wxrc_core.message_events import FINAL as FINAL
from wxrc_core.message_events import OPERATOR as OPERATOR
from wxrc_core.message_events import TABLE as TABLE
from wxrc_core.message_events import TRANSITIONS as TRANSITIONS
from wxrc_core.message_events import FailReason as FailReason
from wxrc_core.message_events import MessageAttempted as MessageAttempted
from wxrc_core.message_events import MessageCancelled as MessageCancelled
from wxrc_core.message_events import MessageEvent as MessageEvent
from wxrc_core.message_events import MessageExpired as MessageExpired
from wxrc_core.message_events import MessageFailed as MessageFailed
from wxrc_core.message_events import MessageImageStored as MessageImageStored
from wxrc_core.message_events import MessageInDoubt as MessageInDoubt
from wxrc_core.message_events import MessageQueued as MessageQueued
from wxrc_core.message_events import MessageRejected as MessageRejected
from wxrc_core.message_events import MessageRequeued as MessageRequeued
from wxrc_core.message_events import MessageRoomNotFound as MessageRoomNotFound
from wxrc_core.message_events import MessageSent as MessageSent
from wxrc_core.message_events import MessageState as MessageState
from wxrc_core.message_state import Message as Message
from wxrc_core.message_state import awaits_image as awaits_image
from wxrc_core.message_state import content as content
from wxrc_core.message_state import evidence as evidence
from wxrc_core.message_state import evolve as evolve
from wxrc_core.message_state import fetch_of as fetch_of
from wxrc_core.message_state import is_to_person as is_to_person
from wxrc_core.message_state import outgoing as outgoing
from wxrc_core.message_state import send_status as send_status
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    NotSent,
    Rejected,
    RoomMissing,
    Unconfirmed,
    UserMissing,
)

MAX_ATTEMPTS = 3
"""How often a message is handed over at most, when each time it is certain that nothing left the house."""

RETRY_MS = (0, 1_000, 5_000)
"""How long a message waits after its 1st, 2nd, ... attempt that failed for certain (ms)."""

RECONNECT_MS = 1_000
"""How long a message waits before it is claimed again after the client turned out not to be connected (ms)."""

LONGEST_ANSWER_MS = 60_000
"""The longest that a callback is held back for a request that may still tell the end in its answer (ms)."""

ANSWER_SLACK_MS = 200
"""How long after the end of a request's wait its answer may still be on its way into the log (ms)."""


def stream_name(chid: str, day: str, txcode: str) -> str:
    """Return the stream of what (channel, day of txtime as `yyyymmdd`, txcode) names: a message or an operation."""
    return f"message/{chid}/{day}/{txcode}"


def digest(interface: str, botcode: str, body: object) -> str:
    """Return the fingerprint of a request: equal for equal interface, botcode and body, however the JSON was spelled."""
    return hashlib.sha256(msgspec.json.encode([interface, botcode, body], order="deterministic")).hexdigest()


# -- decide ---------------------------------------------------------------------------------------------------------------------


_NO_MESSAGE = LocalizedText("没有这条消息", "there is no such message")
_OPERATION = LocalizedText(
    "这个 txcode 属于一个操作，不是消息", "this txcode belongs to an operation, not to a message"
)
_NOT_QUEUED = LocalizedText(
    "只有排队中的消息可以取消；这条的状态是 '{state}'", "only a queued message can be cancelled; this one is '{state}'"
)
_NOT_IN_DOUBT = LocalizedText(
    "只有存疑的消息可以裁定；这条的状态是 '{state}'", "only a message in doubt can be resolved; this one is '{state}'"
)


def decide(message: Message | None, command: Command) -> tuple[MessageEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if isinstance(command, Queue):
        return _queue(message, command)
    if message is None:
        raise Refusal(_NO_MESSAGE)
    if not isinstance(message, Message):
        raise Refusal(_OPERATION)
    state = message.state
    match command:
        case ClaimAttempt():
            if command.attempt != message.attempt + 1:
                return ()  # made before: a store whose answer was lost must not turn one claim into two
            TABLE.check(state, MessageAttempted)
            return (
                MessageAttempted(
                    at=command.at, attempt=command.attempt, room_id=command.room_id, user_id=command.user_id,
                    epoch=command.epoch, gap_ms=command.gap_ms,
                ),
            )  # fmt: skip
        case StoreImage(at=at, image=image):
            if state is not MessageState.QUEUED or not awaits_image(message) or not image.digest:
                return ()  # it has ended, or another one stored it
            return (MessageImageStored(at=at, digest=image.digest, media_type=image.media_type, size=image.size),)
        case RecordOutcome():
            return _record_outcome(message, command)
        case PutBack(at=at, attempt=attempt, detail=detail):
            return (_held(at, detail, 0),) if _is_open(message, attempt) else ()
        case AbandonAttempt(at=at, attempt=attempt, resend=resend):
            why = "the gateway stopped while the message was being sent"
            return _doubt(message, at, why, resend=resend) if _is_open(message, attempt) else ()
        case NoRoom() | Fail() if state is MessageState.ATTEMPTED:
            return ()  # it has been claimed meanwhile: the outcome of the hand-over decides
        case NoRoom(at=at):
            TABLE.check(state, MessageRoomNotFound)
            what = "person" if is_to_person(message.queued) else "room"
            return _not_sent(message, MessageRoomNotFound(at=at), f"there is no such {what}")
        case Fail(at=at, reason=reason, detail=detail):
            TABLE.check(state, MessageFailed)
            failed = MessageFailed(at=at, reason=reason, detail=detail)
            # Of a message in doubt it is an operator's word.
            return (failed,) if state is MessageState.IN_DOUBT else _not_sent(message, failed, detail)
        case Expire(at=at):
            expires_at = message.queued.expires_at
            if state is not MessageState.QUEUED or expires_at is None or at < expires_at:
                return ()
            return _not_sent(message, MessageExpired(at=at), "its time is over")
        case Cancel(at=at):
            if state is MessageState.CANCELLED:
                return ()
            if state is not MessageState.QUEUED:
                raise Refusal(_NOT_QUEUED.filled(state=state))
            return _not_sent(message, MessageCancelled(at=at), "it was cancelled")
        case Confirm(at=at, receipt=receipt):
            if state not in TABLE.next[MessageSent] or not message.attempt:
                return ()
            return (MessageSent(at=at, attempt=message.attempt, receipt=receipt),)
        case Resolve():
            return _resolve(message, command)
        case _:
            assert_never(command)


def _queue(message: Message | None, command: Queue) -> tuple[MessageEvent, ...]:
    if message is None:
        return (command.queued,)
    # The stream may belong to an operation: a txcode names one thing only, whichever interface it was used with.
    if not isinstance(message, Message) or message.queued.digest != command.queued.digest:
        raise TxcodeReused
    return ()


def _resolve(message: Message, command: Resolve) -> tuple[MessageEvent, ...]:
    at, by = command.at, command.by
    if command.verdict == message.state:
        return ()  # said before, or known by now
    if message.state is not MessageState.IN_DOUBT:
        raise Refusal(_NOT_IN_DOUBT.filled(state=message.state))
    match command.verdict:
        case "sent":
            return (MessageSent(at=at, attempt=message.attempt, receipt="", by=by),)
        case "failed":
            return (MessageFailed(at=at, reason="failed", detail="an operator says that it did not arrive", by=by),)
        case "resend":
            return (MessageRequeued(at=at, detail="resent by an operator", not_before=at, by=by),)
        case _:
            assert_never(command.verdict)


def _is_open(message: Message, attempt: int) -> bool:
    return message.state is MessageState.ATTEMPTED and attempt == message.attempt


def _record_outcome(message: Message, command: RecordOutcome) -> tuple[MessageEvent, ...]:
    at, outcome = command.at, command.outcome
    if isinstance(outcome, Accepted) and outcome.receipt:
        if message.state in FINAL or not message.attempt:
            return ()  # the same fact again changes nothing, and a final state stays
        sent = MessageSent(at=at, attempt=command.attempt, receipt=outcome.receipt, mention=outcome.mention)
        return (sent,)
    if not _is_open(message, command.attempt):
        return ()  # about an attempt that is no longer the open one; only a receipt could still tell something new
    match outcome:
        case Accepted():
            return _doubt(message, at, "accepted without a receipt", resend=command.resend)
        case Unconfirmed(reason):
            return _doubt(message, at, reason, resend=command.resend)
        case NotConnected(reason):
            return (_held(at, reason, RECONNECT_MS),)
        case RoomMissing(reason) if command.rooms_complete:
            return _not_sent(message, MessageRoomNotFound(at=at), reason)
        case UserMissing(reason) if command.contacts_complete:
            return _not_sent(message, MessageRoomNotFound(at=at), reason)
        case RoomMissing(reason) | UserMissing(reason):
            return (_held(at, reason, RECONNECT_MS),)  # decided when the room list is complete (invariant 9)
        case Rejected(reason):
            return _not_sent(message, MessageRejected(at=at, attempt=command.attempt, detail=reason), reason)
        case NotSent(reason, retry=True) if message.tries < MAX_ATTEMPTS:
            return (MessageRequeued(at=at, detail=reason, not_before=at + RETRY_MS[message.tries]),)
        case NotSent(reason):
            return _not_sent(message, MessageFailed(at=at, reason="failed", detail=reason), reason)
        case _:
            assert_never(outcome)


def _held(at: int, detail: str, wait_ms: int) -> MessageRequeued:
    return MessageRequeued(at=at, detail=detail, not_before=at + wait_ms, held=True)


def _doubt(message: Message, at: int, detail: str, *, resend: bool) -> tuple[MessageEvent, ...]:
    # A resend is limited too: a message that ends in doubt every time must not be sent for ever.
    resend = (resend or message.queued.on_doubt == "resend") and message.tries < MAX_ATTEMPTS
    in_doubt = MessageInDoubt(at=at, attempt=message.attempt, detail=detail, resend=resend)
    if not resend:
        return (in_doubt,)
    return (in_doubt, MessageRequeued(at=at, detail="resent by policy", not_before=at + RETRY_MS[message.tries]))


def _not_sent(
    message: Message,
    event: MessageRoomNotFound | MessageRejected | MessageFailed | MessageExpired | MessageCancelled,
    why: str,
) -> tuple[MessageEvent, ...]:
    """Return an end that says "it was not sent"; unless an earlier attempt may have arrived: then that cannot be said."""
    if not message.doubted:
        return (event,)
    detail = f"an earlier attempt may have arrived, and it will not be sent again: {why}"
    return (MessageInDoubt(at=event.at, attempt=message.attempt, detail=detail),)


# -- react ----------------------------------------------------------------------------------------------------------------------


def react(message: Message, event: MessageEvent, stream: str, msgid: int) -> tuple[Effect, ...]:
    """Return what follows now that the event is recorded; `message` is the state after it."""
    queued = message.queued
    wakes = (WakeQueue(queued.botcode), WakeRecords(queued.botcode))
    match event:
        case (
            MessageQueued()
            | MessageImageStored()
            | MessageRequeued()
            | MessageAttempted()
            | MessageInDoubt(resend=True)
        ):
            return wakes
        case _ if event.answered:
            return wakes
        case _:
            status, reason = send_status(message)
            body = {
                "msgid": msgid,
                "sendStatus": status,
                "sendReason": reason,
                "txcode": queued.txcode,
                "detail": message.detail,
                "evidence": evidence(message),
            }
            # For so long the request that made the message may still tell it in its answer. The two clocks may differ, so it is bounded.
            answer_ms = min(
                max(0, queued.answer_by - event.at), max(0, queued.answer_by - queued.at), LONGEST_ANSWER_MS
            )
            if answer_ms:
                answer_ms += ANSWER_SLACK_MS
            notify = Notify(queued.botcode, "sendStatus", body, chid=queued.chid, answer_ms=answer_ms)
            return (*wakes, notify)
