"""Batches of the JetStream store: what is written together, in one step or not at all."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from attrs import define

from wxrc_core.shard import stream_name
from wxrc_store._jetstream_answers import SOON, NoAnswer, code_of, taken
from wxrc_store._jetstream_link import PAUSE, Link
from wxrc_store._jetstream_messages import BATCH
from wxrc_store._rows import EncodedEntry

BATCH_BYTES = 4 << 20
"""The most bytes of events that go into one batch."""

Message: TypeAlias = tuple[str, bytes, dict[str, str]]
"""Subject, bytes and conditions."""


@define
class Plan:
    """An entry that is to be written.

    Attributes:
        index: Its number in the group.
        entry: The entry.
        id: Tells it from every other.
        bodies: Its messages.
        conflict: The version that its stream has by then, where that is not the expected one; None = it can be written.
    """

    index: int
    entry: EncodedEntry
    id: str
    bodies: list[bytes]
    conflict: int | None = None


async def publish_batch(link: Link, messages: Sequence[Message]) -> int | None:
    """Have messages stored as one atomic batch; return the sequence of the last one, or None where a condition does not hold."""
    for _ in link.tries():
        batch = secrets.token_hex(8)
        try:
            for number, (subject, body, headers) in enumerate(messages[:-1], 1):
                await link.send(subject, body, {**headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)})
            subject, body, headers = messages[-1]
            if len(messages) > 1:
                headers = {
                    **headers,
                    "Nats-Batch-Id": batch,
                    "Nats-Batch-Sequence": str(len(messages)),
                    "Nats-Batch-Commit": "1",
                }
            answer = await link.publish(subject, body, headers)
        except NoAnswer:
            continue
        if not (code := code_of(answer)):
            return int(answer["seq"])
        if taken(answer):
            return None
        if code not in SOON:
            raise link.error(answer)
        await asyncio.sleep(secrets.randbelow(1000) / 1000 * PAUSE)
    raise AssertionError("unreachable")


def parts(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Cut a group into batches: neither too large, nor with a fence behind the change of owner that it has to see."""
    part: list[Plan] = []
    count = size = 0
    written: set[str] = set()
    for plan in plans:
        fence = None if plan.entry.fence is None else stream_name(plan.entry.fence.shard)
        bytes_ = sum(map(len, plan.bodies))
        if part and (count + len(plan.bodies) > BATCH or size + bytes_ > BATCH_BYTES or fence in written):
            yield part
            part, count, size, written = [], 0, 0, set()
        part.append(plan)
        count, size = count + len(plan.bodies), size + bytes_
        written.add(plan.entry.stream)
    yield part
