"""Which messages there are, for an operator: those that are open from what is folded, older ones by reading the log backwards.

The log has no index by bot or state. Messages that wait, are being sent or are in doubt are all known; the others are found by reading
at most `SCAN` events backwards, and the answer says up to where that went.
"""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from wxrc_core import message
from wxrc_core.log import Recorded
from wxrc_core.message import OPERATOR, MessageQueued, MessageState
from wxrc_gateway.admin_views import known_bot, one_channel
from wxrc_gateway.gateway import Gateway
from wxrc_gateway.moments import moment
from wxrc_http.port import MessageRecord

PAGE = 2_000
"""So many events are read at once."""

SCAN = 200_000
"""So many positions are looked at for one answer, at most."""

SKEW_MS = 600_000
"""So far back in time a reading goes on behind the time asked for: clocks of several writers differ, and may be set."""

KNOWN = frozenset({MessageState.QUEUED, MessageState.ATTEMPTED, MessageState.IN_DOUBT})
"""The states in which every message is known without reading the log."""

StateName: TypeAlias = Literal[
    "queued", "attempted", "sent", "room_not_found", "rejected", "failed", "expired", "cancelled", "in_doubt"
]


class MessageEntry(Struct, frozen=True, kw_only=True):
    """One message, without its text.

    Attributes:
        msgid: Its number.
        state: Where it stands.
        since: Since when.
        reason: Why, in a sentence; empty where there is nothing to say.
        accepted: When it was accepted.
        botcode: Its bot.
        chid: The channel that asked for it; `-` = an operator or the embedding application.
        txcode: The channel's serial number.
        target: Where it goes: a room's name or id, or a person's.
        attempts: How often it was handed over.
        evidence: What shows that it arrived (`receipt`, `operator`); empty = nothing.
        action: What an operator is to do: `resolve` for a message in doubt, otherwise `none`.
    """

    msgid: int
    state: str
    since: datetime
    reason: str
    accepted: datetime
    botcode: str
    chid: str
    txcode: str
    target: str
    attempts: int
    evidence: str
    action: Literal["none", "resolve"]


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages are wanted.

    Attributes:
        botcode: Of this bot; empty = of any.
        chid: Of this channel; empty = of any.
        state: In this state; None = in any.
        since: Accepted at or after this time (epoch ms); 0 = at any time.
        before: With a lower number than this, to go on with an earlier answer; 0 = all.
        limit: At most so many, the newest ones.
    """

    botcode: str = ""
    chid: str = ""
    state: StateName | None = None
    since: Annotated[int, Meta(ge=0)] = 0
    before: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class Listing(Struct, frozen=True, kw_only=True):
    """Messages, the newest first.

    Attributes:
        messages: What was found.
        complete: There are no others; otherwise older ones may follow.
        before: Where a further listing goes on (`Wanted.before`); 0 = there is nothing more.
        looked_back_to: The time of the earliest event that was looked at; None = the log was not read to an end of its own.
    """

    messages: tuple[MessageEntry, ...]
    complete: bool
    before: int
    looked_back_to: datetime | None


def message_entry(record: MessageRecord) -> MessageEntry:
    """Return a message as a listing shows it."""
    found = record.message
    queued = found.queued
    doubtful = found.state is MessageState.IN_DOUBT
    return MessageEntry(
        msgid=record.msgid,
        state=found.state,
        since=moment(record.history[-1].event.at),
        reason=found.detail,
        accepted=moment(queued.at),
        botcode=queued.botcode,
        chid=queued.chid,
        txcode=queued.txcode,
        target=queued.room_topic or queued.room_id or queued.user_name or queued.user_id,
        attempts=found.attempt,
        evidence=message.evidence(found),
        action="resolve" if doubtful else "none",
    )


async def messages(gateway: Gateway, wanted: Wanted) -> Listing:
    """Return messages, the newest first.

    Raises:
        NotFound: There is no such bot or channel.
        StoreError: The log cannot be read.
    """
    if wanted.botcode:
        known_bot(gateway.view, wanted.botcode)
    if wanted.chid not in ("", OPERATOR):
        one_channel(gateway.view, wanted.chid)
    if wanted.state in KNOWN:
        return await _known(gateway, wanted)
    return await _read_back(gateway, wanted)


async def _known(gateway: Gateway, wanted: Wanted) -> Listing:
    """Return messages that are open or in doubt: all of them are known."""
    world = gateway.world
    streams = [(each.position, stream) for stream, each in world.messages.items() if each.state.state == wanted.state]
    if wanted.state == "in_doubt":
        streams = [(msgid, stream) for stream, (msgid, _) in world.doubts.items()]
    found = _Found(wanted)
    for msgid, stream in sorted(streams, reverse=True):
        if not wanted.before or msgid < wanted.before:
            found.take(await gateway.message_in(stream))
            if found.full:
                break
    return found.listing(0, None)


async def _read_back(gateway: Gateway, wanted: Wanted) -> Listing:
    """Return messages that were accepted in the last part of the log, or in the part before `wanted.before`."""
    found = _Found(wanted)
    newer: dict[str, MessageState] = {}  # what the streams are now whose later events have been seen
    end = gateway.world.position
    top = min(end, wanted.before - 1) if wanted.before else end
    stop = max(0, top - SCAN)
    earliest = None
    while top > stop:
        after = max(stop, top - PAGE)
        page = [each for each in await gateway.store.read_all(after, top - after) if each.position <= top]
        for recorded in reversed(page):
            event = recorded.event
            if not isinstance(event, MessageQueued):
                _note_state(newer, recorded)
            elif _may_fit(event, None if wanted.before else newer.pop(recorded.stream, MessageState.QUEUED), wanted):
                found.take(await gateway.message_in(recorded.stream))
                if found.full:
                    return found.listing(0, None)
        top = after
        if page:
            earliest = moment(page[0].event.at)
            if max(recorded.event.at for recorded in page) < wanted.since - SKEW_MS:
                return found.listing(0, None)
    return found.listing(stop + 1, earliest) if stop else found.listing(0, None)


def _note_state(newer: dict[str, MessageState], recorded: Recorded) -> None:
    row = message.TABLE.next.get(type(recorded.event))
    # An event that leaves the state as it was says nothing about it.
    if row and len(set(row.values())) == 1 and recorded.stream not in newer:
        newer[recorded.stream] = next(iter(row.values()))


def _may_fit(event: MessageQueued, state: MessageState | None, wanted: Wanted) -> bool:
    return (
        (wanted.state is None or state is None or state == wanted.state)
        and wanted.botcode in ("", event.botcode)
        and wanted.chid in ("", event.chid)
        and event.at >= wanted.since
    )


class _Found:
    """The messages that were found; one more than wanted, so that it is known whether there are more."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._entries: list[MessageEntry] = []

    @property
    def full(self) -> bool:
        """Nothing more has to be found."""
        return len(self._entries) > self._wanted.limit

    def take(self, record: MessageRecord | None) -> None:
        """Take a message in, if it is wanted."""
        if record is not None and _may_fit(record.message.queued, record.message.state, self._wanted):
            self._entries.append(message_entry(record))

    def listing(self, rest: int, looked_back_to: datetime | None) -> Listing:
        """Return what was found; `rest`: nothing below this position was looked at."""
        entries = self._entries[: self._wanted.limit]
        before = entries[-1].msgid if self.full else rest
        return Listing(messages=tuple(entries), complete=not before, before=before, looked_back_to=looked_back_to)
