"""What channels and embedding programs ask for: accept it durably, wait for a message's end, answer once.

How a channel learns of a message's end is decided in the stream of that end's delivery: its first event is `DeliveryAnswered` where
the request that made the message was still waiting, or else `DeliveryDue`. Whoever appends first wins, so an end that is recorded
as answered was the answer, and otherwise a callback is due (invariant 20).
"""

import attrs

from wxrc_core import delivery, message, operation
from wxrc_core.aggregate import fold
from wxrc_core.delivery import Answer, DeliveryAnswered
from wxrc_core.errors import Refusal, TxcodeReused
from wxrc_core.localized import LocalizedText
from wxrc_core.message import Message, MessageQueued
from wxrc_core.operation import Operation, OperationAccepted, digits_name
from wxrc_gateway._append import append
from wxrc_gateway._runtime import Runtime
from wxrc_http.port import MessageRecord

NO_MESSAGE = LocalizedText("没有编号为 {msgid} 的消息", "there is no message with the number {msgid}")


async def queue(runtime: Runtime, stream: str, queued: MessageQueued, wait_ms: int) -> tuple[int, Message]:
    """Accept a message durably, then wait a while for its end (see `wxrc_http.port.Backend.queue`)."""
    if wait_ms:
        queued = attrs.evolve(queued, answer_by=runtime.clock() + wait_ms)
    written = await append(runtime.store, stream, message.Queue(queued), found=(None, 0))
    if not written.events:
        # A repeated request. It gets the current state and claims nothing: the request that made the message may still be waiting.
        record = await message_in(runtime, stream)
        if record is None:
            raise TxcodeReused
        return record.msgid, record.message
    msgid, accepted = written.position, message.evolve(None, queued)
    if not wait_ms:
        return msgid, accepted
    position = await runtime.ledger.ended(stream, msgid, wait_ms)
    if position and await _claim_answer(runtime, position, msgid, queued):
        state, _ = fold(await runtime.store.read(stream))
        assert isinstance(state, Message)
        return msgid, state
    return msgid, accepted


async def _claim_answer(runtime: Runtime, position: int, msgid: int, queued: MessageQueued) -> bool:
    """Claim that the answer tells the channel of the end at this position; False where a callback is due already."""
    channel = runtime.ledger.world.view.channels.get(queued.chid)
    if channel is None or not channel.state.settings.callback_url:
        return True  # there is nothing else that could tell it
    answered = DeliveryAnswered(at=runtime.clock(), chid=queued.chid, botcode=queued.botcode, msgid=msgid)
    written = await append(
        runtime.store, delivery.stream_name(position, queued.chid), Answer(answered), found=(None, 0)
    )
    return bool(written.events)


async def operate(runtime: Runtime, stream: str, accepted: OperationAccepted) -> None:
    """Accept an operation durably (see `wxrc_http.port.Backend.operate`)."""
    written = await append(runtime.store, stream, operation.Accept(accepted), found=(None, 0))
    if not written.events:
        state, _ = fold(await runtime.store.read(stream))
        if not isinstance(state, Operation):
            raise TxcodeReused


async def operation_in(runtime: Runtime, stream: str) -> Operation | None:
    """Return the operation that has this stream, or None."""
    found, _ = fold(await runtime.store.read(stream))
    return found if isinstance(found, Operation) else None


async def submit_digits(runtime: Runtime, stream: str, accepted: OperationAccepted, digits: str) -> None:
    """Accept the digits of a login (see `wxrc_http.port.Backend.submit_digits`). The vault has them, the log only their name there."""
    name = digits_name(accepted.botcode, accepted.secret_id)
    await runtime.vault.put(name, digits.encode())  # first: whoever carries the operation out must find them
    try:
        written = await append(runtime.store, stream, operation.Accept(accepted), found=(None, 0))
    except TxcodeReused:
        await runtime.vault.delete(name)
        raise
    if not written.events:
        await runtime.vault.delete(name)


async def cancel(runtime: Runtime, msgid: int) -> MessageRecord:
    """Cancel a queued message (see `wxrc_http.port.Backend.cancel`)."""
    record = await message_at(runtime, msgid)
    if record is None:
        raise Refusal(NO_MESSAGE.filled(msgid=msgid))
    stream = record.history[0].stream
    await append(runtime.store, stream, message.Cancel(at=runtime.clock()))
    cancelled = await message_in(runtime, stream)
    assert cancelled is not None
    return cancelled


async def message_at(runtime: Runtime, msgid: int) -> MessageRecord | None:
    """Return the message with this number, or None."""
    recorded = await runtime.store.at(msgid) if msgid > 0 else None
    if recorded is None or not isinstance(recorded.event, MessageQueued):
        return None
    return await message_in(runtime, recorded.stream)


async def message_in(runtime: Runtime, stream: str) -> MessageRecord | None:
    """Return the message that has this stream, or None."""
    history = await runtime.store.read(stream)
    found, _ = fold(history)
    return MessageRecord(history[0].position, found, history) if isinstance(found, Message) else None
