"""The queue of one bot: which of its messages may be claimed now, and which have come to their end without being sent.

Messages to one room go in the order in which they were accepted, whether they name the room by id or by topic, whatever it is
renamed to, and also when they come back to the queue. A topic says which room is meant only once the room list is complete: until
then a message that names one waits, and no younger message of the bot overtakes it.

Every question costs O(log n): rooms whose oldest message may go stand in one heap by accept order, the others by the time from
when on it may.
"""

import heapq
from collections.abc import Iterable

from attrs import define
from msgspec import Struct

from wxrc_core.bot import Bot
from wxrc_core.effects import Claim, Decide, Moment, Wait
from wxrc_core.message import (
    Expire,
    Fail,
    Message,
    MessageAttempted,
    MessageEvent,
    MessageRequeued,
    MessageState,
    NoRoom,
)
from wxrc_core.pace import PACES, Pace, PaceLedger
from wxrc_core.timers import Timers

CLAIM_LIFETIME_MS = 5_000
"""A claim that took longer to become durable is put back (ms)."""

LOOK_AGAIN_MS = 30_000
"""How long an expiry is waited for at once (ms): wall clocks are set, and nobody is to wait for the jump."""


@define
class Item:
    """A queued message: its msgid, its state, the account that was logged in when it was accepted, and from when on it may go
    (mono, ms).
    """

    msgid: int
    message: Message
    account: str
    ready_at: int
    room: str = ""


class QueueSnapshot(Struct, frozen=True):
    """What a snapshot keeps of a queue beside its open messages: their accounts, and the sends that count for the pace."""

    accounts: dict[str, str]
    sends: list[tuple[int, str]]


class MessageQueue:
    """The queued messages of one bot.

    Attributes:
        pace: Its latest sends.
    """

    def __init__(self, botcode: str) -> None:
        self.botcode = botcode
        self.pace = PaceLedger()
        self._recorded_pace = PaceLedger()  # the same as the log tells it, which knows no hand-over's exact time
        self._items: dict[str, Item] = {}
        self._accounts: dict[str, str] = {}  # of messages that are being sent: they may come back
        self._expiries: Timers[str] = Timers()
        self._rooms: dict[str, list[tuple[int, str]]] = {}  # by room id: a heap of (msgid, stream)
        self._ready: list[tuple[int, str]] = []  # a heap of (msgid, room id): rooms whose oldest message may go
        self._waiting: Timers[str] = Timers()  # the other rooms
        self._unresolved: list[
            tuple[int, str]
        ] = []  # a heap of (msgid, stream): named by topic, and the list is not complete
        self._by_topic: dict[str, dict[str, None]] = {}
        self._absent: dict[str, None] = {}  # rooms that are not in the list yet
        self._unsendable: dict[str, str] = {}  # no such room (empty), or why else it cannot be sent
        self._bot: Bot | None = None
        self._own_account = ""  # every queued message is for this account
        self._topics: tuple[object, dict[str, list[str]]] = (None, {})

    def __len__(self) -> int:
        return len(self._items)

    # -- folding ----------------------------------------------------------------------------------------------------------------

    def fold(self, stream: str, msgid: int, message: Message, event: MessageEvent, account: str, mono: int) -> None:
        """Take in an event of one of the bot's messages; `message` is the state after it.

        Args:
            stream: The message's stream.
            msgid: Its number.
            message: Its state.
            event: The event.
            account: The wxid that is logged in now, or was last; empty = none yet.
            mono: Now (`Moment.mono`).
        """
        if isinstance(event, MessageAttempted):
            for ledger in (self.pace, self._recorded_pace):
                ledger.claimed(event.room_id, event.gap_ms)
            self._accounts[stream] = self._items[stream].account if stream in self._items else account
            self._remove(stream)
            return
        if isinstance(event, MessageRequeued) and event.held and stream in self._accounts:
            for ledger in (self.pace, self._recorded_pace):
                ledger.put_back()
        if message.state is MessageState.QUEUED:
            self._add(stream, Item(msgid, message, self._accounts.pop(stream, account), mono + message.wait_ms))
        elif not getattr(event, "resend", False):
            self._accounts.pop(stream, None)
            self._remove(stream)

    def _add(self, stream: str, item: Item) -> None:
        self._remove(stream)
        self._items[stream] = item
        if item.account not in ("", self._own_account):
            self._own_account = ""
        queued = item.message.queued
        if queued.expires_at is not None:
            self._expiries.set(stream, queued.expires_at)
        if not queued.room_id:
            self._by_topic.setdefault(queued.room_topic, {})[stream] = None
        self._place(stream, item)

    def _remove(self, stream: str) -> None:
        item = self._items.pop(stream, None)
        if item is None:
            return
        self._expiries.cancel(stream)
        self._unsendable.pop(stream, None)
        queued = item.message.queued
        if not queued.room_id:
            streams = self._by_topic[queued.room_topic]
            del streams[stream]
            if not streams:
                del self._by_topic[queued.room_topic]
        self._look_at_room(item.room)

    # -- rooms ------------------------------------------------------------------------------------------------------------------

    def rooms_changed(self, before: Bot | None, after: Bot) -> None:
        """Take in a change of the bot: its rooms, and whether they are all known."""
        self._bot = after
        absent, self._absent = self._absent, {}
        for room in absent:
            self._look_at_room(room)
        if before is None or before.rooms_complete != after.rooms_complete:
            self._place_again(list(self._items))
            return
        if before.rooms is after.rooms or not after.rooms_complete:
            return
        changed = {
            room_id
            for room_id in before.rooms.keys() | after.rooms.keys()
            if before.rooms.get(room_id) != after.rooms.get(room_id)
        }
        topics = {rooms[room_id] for rooms in (before.rooms, after.rooms) for room_id in changed if room_id in rooms}
        affected = [stream for topic in sorted(topics) for stream in self._by_topic.get(topic, ())]
        affected += [stream for room_id in sorted(changed) for _, stream in self._rooms.get(room_id, ())]
        affected += [stream for stream, why in self._unsendable.items() if not why]
        self._place_again(dict.fromkeys(affected))

    def _place_again(self, streams: Iterable[str]) -> None:
        for stream in list(streams):
            item = self._items.get(stream)
            if item is not None:
                old, item.room = item.room, ""
                self._unsendable.pop(stream, None)
                self._look_at_room(old)
                self._place(stream, item)

    def _place(self, stream: str, item: Item) -> None:
        """Put a message into its room's queue, or where it belongs while its room is not known."""
        queued, bot = item.message.queued, self._bot
        complete = bot is not None and bot.rooms_complete
        if queued.room_id:
            if complete and bot is not None and queued.room_id not in bot.rooms:
                self._unsendable[stream] = ""
                return
            item.room = queued.room_id
        elif not complete:
            heapq.heappush(self._unresolved, (item.msgid, stream))
            return
        else:
            ids = self._ids(queued.room_topic)
            if len(ids) != 1:
                self._unsendable[stream] = f"{len(ids)} rooms have this name; name the room by roomId" if ids else ""
                return
            item.room = ids[0]
        heapq.heappush(self._rooms.setdefault(item.room, []), (item.msgid, stream))
        self._look_at_room(item.room)

    def _ids(self, topic: str) -> list[str]:
        rooms = self._bot.rooms if self._bot is not None else {}
        if self._topics[0] is not rooms:
            index: dict[str, list[str]] = {}
            for room_id, name in rooms.items():
                index.setdefault(name, []).append(room_id)
            self._topics = (rooms, index)
        return self._topics[1].get(topic, [])

    def _head(self, room: str) -> tuple[str, Item] | None:
        """Return the oldest message of a room; what has left the room's queue leaves its heap here."""
        heap = self._rooms.get(room)
        while heap:
            msgid, stream = heap[0]
            item = self._items.get(stream)
            if item is not None and item.msgid == msgid and item.room == room:
                return stream, item
            heapq.heappop(heap)
        self._rooms.pop(room, None)
        return None

    def _look_at_room(self, room: str) -> None:
        """Find out anew from when on the oldest message of a room may go."""
        if not room:
            return
        head = self._head(room)
        if head is None:
            self._waiting.cancel(room)
        else:
            self._waiting.set(room, head[1].ready_at)

    # -- what is to be recorded -------------------------------------------------------------------------------------------------

    def next_record(self, bot: Bot, now: Moment) -> Decide | Wait | None:
        """Return what is to be recorded of a message that will not be sent, a time to wait for, or None = wait for news."""
        expiry = self._expiries.next()
        if expiry is not None and expiry[0] <= now.wall:
            return Decide(expiry[1], Expire(at=now.wall))
        if bot.ready and bot.wxid:
            for stream in self._of_other_account(bot.wxid):
                detail = "another account has logged in since the message was accepted; it was not sent from that one"
                return Decide(stream, Fail(at=now.wall, reason="failed", detail=detail))
        if bot.ready and bot.rooms_complete:
            for stream, why in self._unsendable.items():
                if why:
                    return Decide(stream, Fail(at=now.wall, reason="failed", detail=why))
                return Decide(stream, NoRoom(at=now.wall))
        return Wait(min(expiry[0] - now.wall, LOOK_AGAIN_MS)) if expiry is not None else None

    def _of_other_account(self, wxid: str) -> Iterable[str]:
        if self._own_account == wxid:
            return ()
        foreign = [stream for stream, item in self._items.items() if item.account not in ("", wxid)]
        if not foreign:
            self._own_account = wxid  # whatever is accepted from now on is for this account
        return foreign

    # -- what may be claimed ----------------------------------------------------------------------------------------------------

    def next_claim(self, bot: Bot, now: Moment) -> Claim | Wait | None:
        """Return the oldest message that may go now, a time to wait for, or None = wait for news."""
        if not bot.ready or self._of_other_account(bot.wxid):
            return None  # what is for another account ends first: see `next_record`
        limits = PACES[bot.added.pace]
        while (room := self._waiting.pop_due(now.mono)) is not None:
            head = self._head(room)
            if head is not None:
                heapq.heappush(self._ready, (head[1].msgid, room))
        found = self._oldest_ready(bot, limits, now)
        if found is not None:
            return found
        waiting = self._waiting.next()
        return Wait(max(1, waiting[0] - now.mono)) if waiting is not None else None

    def _oldest_ready(self, bot: Bot, limits: Pace | None, now: Moment) -> Claim | Wait | None:
        if limits is not None and now.mono < (free_at := self.pace.bot_free_at(limits)):
            return Wait(free_at - now.mono) if self._ready or self._waiting.next() else None
        only_last_room = limits is not None and now.mono < self.pace.switch_at(limits)
        if only_last_room:
            assert limits is not None
            claim = self._claim_of(self.pace.last_room, bot, limits, now)
            if claim is not None or not self._ready:
                return claim
            return Wait(self.pace.switch_at(limits) - now.mono)
        while self._ready:
            msgid, room = self._ready[0]
            head = self._head(room)
            if head is None or head[1].msgid != msgid or room in self._waiting:
                heapq.heappop(self._ready)  # it has ended, or another one is the oldest of its room now
                continue
            room_free_at = self.pace.room_free_at(limits, room) if limits is not None else 0
            if room_free_at > now.mono:
                heapq.heappop(self._ready)
                self._waiting.set(room, room_free_at)
                continue
            if room not in bot.rooms:
                heapq.heappop(self._ready)
                self._absent[room] = None  # the list is not complete yet: looked at again when it changes
                continue
            oldest = self._oldest_unresolved()
            if oldest and oldest < msgid:
                return None  # its topic may turn out to name this room
            return Claim(head[0], msgid, head[1].message.attempt + 1, room)
        return None

    def _claim_of(self, room: str, bot: Bot, limits: Pace, now: Moment) -> Claim | None:
        """Return the claim of the oldest message of one room, if it may go now."""
        head = self._head(room)
        if head is None or room not in bot.rooms or room in self._waiting:
            return None
        stream, item = head
        oldest = self._oldest_unresolved()
        if self.pace.earliest(limits, room) > now.mono or (oldest and oldest < item.msgid):
            return None
        return Claim(stream, item.msgid, item.message.attempt + 1, room)

    def _oldest_unresolved(self) -> int:
        """Return the msgid of the oldest message whose topic cannot be resolved yet; 0 = none."""
        while self._unresolved:
            msgid, stream = self._unresolved[0]
            item = self._items.get(stream)
            if item is not None and item.msgid == msgid and not item.room and stream not in self._unsendable:
                return msgid
            heapq.heappop(self._unresolved)
        return 0

    # -- around a hand-over -----------------------------------------------------------------------------------------------------

    def last_look(self, bot: Bot, message: Message, claimed_mono: int, now: Moment) -> str:
        """Return why a claimed message must not be handed over at this moment; empty = hand it over."""
        expires_at = message.queued.expires_at
        if expires_at is not None and now.wall >= expires_at:
            return "its time is over"
        if now.mono - claimed_mono > CLAIM_LIFETIME_MS:
            return "the store took too long to confirm the claim"
        if any(account not in ("", bot.wxid) for account in self._accounts.values()):
            return "another account has logged in"
        limits = PACES[bot.added.pace]
        if limits is not None and self.pace.without_latest().earliest(limits, message.room_id) > now.mono:
            return "the pace does not allow it yet"
        return ""

    def resume(self, mono: int) -> None:
        """Begin as the bot's owner: the latest send counts as one of just now."""
        self.pace.rebase(mono)

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    def to_snapshot(self) -> QueueSnapshot:
        """Return what is not in the messages themselves."""
        accounts = {stream: item.account for stream, item in self._items.items()} | self._accounts
        return QueueSnapshot(
            {name: account for name, account in sorted(accounts.items()) if account}, self._recorded_pace.sends()
        )

    def restore(self, snapshot: QueueSnapshot, messages: Iterable[tuple[str, int, Message]], mono: int) -> None:
        """Take in a snapshot, and the bot's open messages (stream, msgid, state)."""
        self.pace, self._recorded_pace = PaceLedger(snapshot.sends), PaceLedger(snapshot.sends)
        for stream, msgid, message in messages:
            account = snapshot.accounts.get(stream, "")
            if message.state is MessageState.QUEUED:
                self._add(stream, Item(msgid, message, account, mono + message.wait_ms))
            else:
                self._accounts[stream] = account
