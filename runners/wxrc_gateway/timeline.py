"""What happened to a message, a bot or a channel, in one line of time: their own events, and those of everything that belongs to them.

A message's timeline has its bot's events while it was open (why it waited) and the callbacks that told of it. A bot's has its messages,
what people wrote, and all callbacks about it; a channel's has its messages, and all callbacks to it. A message is found by its number;
for the others the log is read backwards, at most `SCAN` events, and the answer says up to where that went.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from wxrc_core import bot, channel, codec, delivery
from wxrc_core.bot import QrCodeIssued
from wxrc_core.delivery import DeliveryAnswered, DeliveryDue
from wxrc_core.errors import Refusal
from wxrc_core.inbound import MessageReceived
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Recorded, event_as
from wxrc_core.message import ENDED, MessageQueued
from wxrc_core.operation import OperationAccepted
from wxrc_gateway._requests import NO_MESSAGE
from wxrc_gateway.gateway import Gateway
from wxrc_gateway.moments import moment
from wxrc_store.port import Store

PAGE = 500
"""So many events are read at once."""

SCAN = 100_000
"""So many positions are looked at for one answer, at most."""

AROUND = 100
"""So many of its bot's events stand in the timeline of a message, at most: the newest."""

About: TypeAlias = Literal["bot", "message", "callback", "channel", "request", "inbound"]

_HIDDEN = {"at", "digest", "image_url", "body", "options_id"}
"""Fields that tell a reader nothing, or that let whoever reads them act: a QR code's links, what a callback says."""


_STANDS = (
    *(bot.BotAdded, bot.LoginRequested, bot.LoggedIn, bot.LoginFailed, bot.LoggedOut, bot.LinkLost, bot.LinkRestored),
    *(bot.ClientRestarted, bot.SignedOut, bot.Stopped, bot.BotRemoved),
)
"""The events that say where a bot stands: the last one before a message is where its timeline begins."""


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        position: Where it stands in the log.
        time: When it happened.
        about: What it happened to.
        subject: Which one: a bot's or channel's name, a message's number, a callback's `webhook-id`, the position of a request.
        event: The event's name in the log.
        fields: What it says, without what is secret; for a bot or a channel without the texts of messages too.
    """

    position: int
    time: datetime
    about: About
    subject: str
    event: str
    fields: dict[str, Any]


class Timeline(Struct, frozen=True, kw_only=True):
    """What happened, the oldest first.

    Attributes:
        of: `message`, `bot` or `channel`.
        name: Its number or name.
        entries: What happened.
        complete: There is nothing earlier.
        looked_back_to: The time of the earliest event that was looked at; None = all that is wanted was found.
    """

    of: Literal["message", "bot", "channel"]
    name: str
    entries: tuple[TimelineEntry, ...]
    complete: bool
    looked_back_to: datetime | None


async def timeline(gateway: Gateway, what: str, *, limit: int = 100) -> Timeline:
    """Return what happened.

    Args:
        gateway: Any gateway on the log.
        what: A message's number, or a bot's or channel's name. Where both have that name the bot is meant; `bot:NAME` and
            `channel:NAME` say which.
        limit: At most so many events of a bot or channel, the newest.

    Raises:
        Refusal: There is nothing of that number or name.
        StoreError: The log cannot be read.
    """
    if what.isdecimal() and len(what) < 19 and (record := await gateway.message(int(what))) is not None:
        return await _of_message(gateway, record.history)
    kind, colon, name = what.partition(":")
    if not colon or kind not in ("bot", "channel"):
        kind, name = "", what
    if kind != "channel" and name in gateway.view.bots:
        return await _of(gateway, "bot", name, bot.stream_name(name), limit)
    if kind != "bot" and name in gateway.view.channels:
        return await _of(gateway, "channel", name, channel.stream_name(name), limit)
    if what.isdecimal():
        raise Refusal(NO_MESSAGE.filled(msgid=what))
    known = [*gateway.view.bots, *(f"channel:{chid}" for chid in gateway.view.channels)]
    listed = ", ".join(known)
    raise Refusal(
        LocalizedText(
            f"没有机器人或渠道 '{name}'；现有：{listed or '无'}",
            f"there is no bot or channel '{name}'; there are: {listed or 'none'}",
        )
    )


async def _of_message(gateway: Gateway, history: Sequence[Recorded]) -> Timeline:
    store, first, last = gateway.store, history[0], history[-1]
    queued = event_as(MessageQueued, first)
    events = list(history)
    for recorded in history:
        events += await store.read(delivery.stream_name(recorded.position, queued.chid))
    record = await gateway.message_in(first.stream)
    ended = record is not None and record.message.state in ENDED
    of_bot = await store.read(bot.stream_name(queued.botcode))
    before = [each for each in of_bot if each.position < first.position and isinstance(each.event, _STANDS)][-1:]
    meanwhile = [
        each for each in of_bot if first.position < each.position and (not ended or each.position < last.position)
    ]
    events += before + meanwhile[-AROUND:]
    names = _Names(store)
    entries = [await names.entry(each, texts=True) for each in sorted(events, key=lambda each: each.position)]
    return Timeline(
        of="message",
        name=str(first.position),
        entries=tuple(entries),
        complete=len(meanwhile) <= AROUND,
        looked_back_to=None,
    )


async def _of(gateway: Gateway, of: Literal["bot", "channel"], name: str, stream: str, limit: int) -> Timeline:
    store, names = gateway.store, _Names(gateway.store)
    own = list(await store.read(stream))
    found: dict[int, Recorded] = {each.position: each for each in own[-limit:]}
    cut = len(own) > limit
    top = end = gateway.world.position
    stop = max(0, end - SCAN)
    earliest = None
    others = 0
    while top > stop and others < limit:
        after = max(stop, top - PAGE)
        page = [each for each in await store.read_all(after, top - after) if each.position <= top]
        for recorded in page:
            belongs = await names.owner(recorded)
            if belongs is not None and belongs[of == "bot"] == name and recorded.position not in found:
                found[recorded.position] = recorded
                others += 1
        top = after
        if page:
            earliest = moment(page[0].event.at)
    newest = [found[position] for position in sorted(found)]
    enough = len(newest) > limit
    bounded = top > 0 and not enough
    return Timeline(
        of=of,
        name=name,
        entries=tuple([await names.entry(each, texts=False) for each in newest[-limit:]]),
        complete=not (enough or bounded or cut),
        looked_back_to=earliest if bounded else None,
    )


class _Names:
    """What each stream is about. A stream's first event says so, and is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first: dict[str, Recorded | None] = {}

    async def first(self, recorded: Recorded) -> Recorded | None:
        """Return the first event of its stream; None where it was pruned meanwhile."""
        stream = recorded.stream
        if recorded.version == 1:
            self._first[stream] = recorded
        elif stream not in self._first:
            self._first[stream] = next(iter(await self._store.read(stream)), None)
        return self._first[stream]

    async def owner(self, recorded: Recorded) -> tuple[str, str] | None:
        """Return channel and bot that an event belongs to, or None."""
        kind, _, name = recorded.stream.partition("/")
        if kind == "bot":
            return "", name
        if kind == "channel":
            return name, ""
        if kind not in ("message", "delivery", "inbound"):
            return None
        first = await self.first(recorded)
        event = first.event if first is not None else None
        if isinstance(event, MessageQueued | OperationAccepted | DeliveryDue | DeliveryAnswered):
            return event.chid, event.botcode
        return ("", event.botcode) if isinstance(event, MessageReceived) else None

    async def entry(self, recorded: Recorded, *, texts: bool) -> TimelineEntry:
        """Return an event as a timeline shows it."""
        event = recorded.event
        kind, _, name = recorded.stream.partition("/")
        first = await self.first(recorded) if kind in ("message", "delivery") else recorded
        start = first if first is not None else recorded
        about: About = "bot"
        subject = name
        extra: dict[str, Any] = {}
        if kind == "message":
            about = "request" if isinstance(start.event, OperationAccepted) else "message"
            subject = str(start.position)
        elif kind == "delivery":
            about, subject = "callback", delivery.webhook_id(recorded.stream)
            due = start.event
            if isinstance(due, DeliveryDue | DeliveryAnswered):
                extra = {"chid": due.chid, "kind": due.kind if isinstance(due, DeliveryDue) else "sendStatus"}
        elif kind == "inbound":
            about, subject = "inbound", name.partition("/")[2]
        elif kind == "channel":
            about = "channel"
        hidden = _HIDDEN if texts else _HIDDEN | {"text"}
        if isinstance(event, QrCodeIssued):
            hidden = _HIDDEN | {"text"}
        fields = {key: value for key, value in msgspec.to_builtins(event).items() if key not in hidden}
        return TimelineEntry(
            position=recorded.position,
            time=moment(event.at),
            about=about,
            subject=subject,
            event=codec.NAMES[type(event)],
            fields=extra | fields,
        )
