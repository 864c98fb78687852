"""The queue of one bot: which of its messages may be claimed now, and which have come to their end without being sent.

Messages to one conversation, a room or a person, go in the order in which they were accepted, whether they name it by id or by name,
whatever it is renamed to, and also when they come back to the queue. A name says which one is meant only once the list of rooms, or of
contacts, is complete: until then a message that has only a name waits, and no younger message to a room, or to a person, overtakes it.
A message whose image is still to be fetched keeps its place: it holds up its own conversation, and no other. So does one whose channel
has used up the pace of its grant.

Every question costs O(log n): conversations whose oldest message may go stand in a heap by accept order, the others by the time
from when on it may.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import Any

from wxrc_core.address_book import AddressBook, book_of_people, book_of_rooms
from wxrc_core.bot import REMOVED, Bot
from wxrc_core.bot_pace import BotPace
from wxrc_core.effects import Claim, Decide, FetchImage, Moment, Wait
from wxrc_core.message import (
    Expire,
    Fail,
    Message,
    MessageAttempted,
    MessageEvent,
    MessageImageStored,
    MessageRequeued,
    MessageState,
    NoRoom,
    awaits_image,
    fetch_of,
    is_to_person,
)
from wxrc_core.pace import PACES, Pace, PaceLedger
from wxrc_core.puppet import conversation
from wxrc_core.queue_item import Item as Item
from wxrc_core.queue_item import QueueSnapshot as QueueSnapshot
from wxrc_core.timers import Timers

CLAIM_LIFETIME_MS = 5_000
"""A claim that took longer to become durable is put back (ms)."""

LOOK_AGAIN_MS = 30_000
"""How long an expiry is waited for at once (ms): wall clocks are set, and nobody is to wait for the jump."""


class MessageQueue:
    """The queued messages of one bot.

    Args:
        botcode: The bot.
        pace_of: Tells how many messages of a channel may go in any minute by its grant; 0 = no limit of its own.

    """

    def __init__(self, botcode: str, pace_of: Callable[[str], int] = lambda chid: 0) -> None:
        self.botcode = botcode
        self._paces = BotPace(pace_of)
        self._items: dict[str, Item] = {}
        self._accounts: dict[str, str] = {}  # of messages that are being sent: they may come back
        self._expiries: Timers[str] = Timers()
        self._conversations: dict[str, list[tuple[int, str]]] = {}  # for each a heap of (msgid, stream)
        self._waiting: Timers[str] = (
            Timers()
        )  # conversations whose oldest message may go at a time; then it is in `ready` of its book
        self._absent: dict[str, None] = {}  # conversations with whom is not in the list yet
        self._unsendable: dict[str, str] = {}  # no such room or person (empty), or why else it cannot be sent
        self._unfetched: dict[str, None] = {}  # messages whose image is still to be fetched
        self._own_account = ""  # every queued message is for this account
        self._rooms = book_of_rooms()
        self._people = book_of_people()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def pace(self) -> PaceLedger:
        """Its latest sends."""
        return self._paces.ledger

    def streams(self) -> Iterable[str]:
        """Return the streams of all that are queued."""
        return self._items

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
            self._paces.claimed(event, message.queued.chid)
            self._accounts[stream] = self._items[stream].account if stream in self._items else account
            self._remove(stream)
            return
        if isinstance(event, MessageImageStored) and stream in self._items:
            item = self._items[stream]
            item.message = message
            self._unfetched.pop(stream, None)
            self._look_at(item.conversation)
            return
        if isinstance(event, MessageRequeued) and event.held and stream in self._accounts:
            self._paces.put_back(message.queued.chid)
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
        if item.message.queued.expires_at is not None:
            self._expiries.set(stream, item.message.queued.expires_at)
        if awaits_image(item.message):
            self._unfetched[stream] = None
        book, _, name = self._address(item)
        book.add(stream, name)
        self._place(stream, item)

    def _remove(self, stream: str) -> None:
        item = self._items.pop(stream, None)
        if item is None:
            return
        self._expiries.cancel(stream)
        self._unsendable.pop(stream, None)
        self._unfetched.pop(stream, None)
        book, _, name = self._address(item)
        book.remove(stream, name)
        self._look_at(item.conversation)

    def _address(self, item: Item) -> tuple[AddressBook[Any], str, str]:
        """Return the book that a message's address is in, and the id or else the name in it."""
        queued = item.message.queued
        if is_to_person(queued):
            return self._people, queued.user_id, "" if queued.user_id else queued.user_name
        return self._rooms, queued.room_id, "" if queued.room_id else queued.room_topic

    # -- rooms and people -------------------------------------------------------------------------------------------------------

    def lists_changed(self, bot: Bot) -> None:
        """Take in a change of the bot: its rooms and contacts, and whether they are all known."""
        absent, self._absent = self._absent, {}
        for each in absent:
            self._look_at(each)
        for streams, changed in (
            self._rooms.take(bot.rooms, bot.rooms_complete),
            self._people.take(bot.contacts, bot.contacts_complete),
        ):
            affected = [*streams]
            for each in changed:
                affected += [stream for _, stream in self._conversations.get(each, ())]
            if changed:
                affected += [stream for stream, why in self._unsendable.items() if not why]
            self._place_again(dict.fromkeys(affected))

    def _place_again(self, streams: Iterable[str]) -> None:
        for stream in list(streams):
            item = self._items.get(stream)
            if item is not None:
                old, item.conversation = item.conversation, ""
                self._unsendable.pop(stream, None)
                self._look_at(old)
                self._place(stream, item)

    def _place(self, stream: str, item: Item) -> None:
        """Put a message into its conversation's queue, or where it belongs while the conversation is not known."""
        book, peer, name = self._address(item)
        if not peer:
            if not book.complete:
                book.hold(item.msgid, stream)
                return
            peer, why = book.resolve(name)
            if not peer:
                self._unsendable[stream] = why
                return
        elif book.complete and peer not in book.entries:
            self._unsendable[stream] = ""
            return
        item.peer, item.conversation = peer, book.key(peer)
        heapq.heappush(self._conversations.setdefault(item.conversation, []), (item.msgid, stream))
        self._look_at(item.conversation)

    def _head(self, name: str) -> tuple[str, Item] | None:
        """Return the oldest message of a conversation; what has left its queue leaves its heap here."""
        heap = self._conversations.get(name)
        while heap:
            msgid, stream = heap[0]
            item = self._items.get(stream)
            if item is not None and item.msgid == msgid and item.conversation == name:
                return stream, item
            heapq.heappop(heap)
        self._conversations.pop(name, None)
        return None

    def _look_at(self, name: str) -> None:
        """Find out anew from when on the oldest message of a conversation may go."""
        if not name:
            return
        head = self._head(name)
        if head is None or awaits_image(head[1].message):
            self._waiting.cancel(name)
        else:
            self._waiting.set(name, head[1].ready_at)

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
        if bot.ready:
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

    def next_fetches(self) -> list[FetchImage]:
        """Return the images that are still to be fetched, the oldest message's first."""
        waiting = sorted((self._items[stream].msgid, stream) for stream in self._unfetched)
        return [fetch_of(stream, self._items[stream].message, msgid) for msgid, stream in waiting]

    # -- what may be claimed ----------------------------------------------------------------------------------------------------

    def next_claim(self, bot: Bot, now: Moment) -> Claim | Wait | None:
        """Return the oldest message that may go now, a time to wait for, or None = wait for news."""
        if not bot.ready or self._of_other_account(bot.wxid):
            return None  # what is for another account ends first: see `next_record`
        limits = PACES[bot.added.pace]
        while (due := self._waiting.pop_due(now.mono)) is not None:
            head = self._head(due)
            if head is not None:
                book, _, _ = self._address(head[1])
                heapq.heappush(book.ready, (head[1].msgid, due))
        found = self._oldest_ready(limits, now)
        if found is not None:
            return found
        waiting = self._waiting.next()
        times = [self._paces.own_free_at(chid) for book in self._books for chid, heap in book.paced.items() if heap]
        times += [waiting[0]] if waiting is not None else []
        times = [at for at in times if at > now.mono]
        return Wait(min(times) - now.mono) if times else None

    def _oldest_ready(self, limits: Pace | None, now: Moment) -> Claim | Wait | None:
        books = self._books
        ready = any(book.ready or any(book.paced.values()) for book in books)
        if limits is not None and now.mono < (free_at := self.pace.bot_free_at(limits)):
            return Wait(free_at - now.mono) if ready or self._waiting.next() else None
        if limits is not None and now.mono < (switch_at := self.pace.switch_at(limits)):
            claim = self._claim_in(self.pace.last_conversation, limits, now)
            return claim if claim is not None or not ready else Wait(switch_at - now.mono)
        claims = [
            claim
            for book in books
            for ready_ones in self._ready_ones(book, limits, now)
            if (claim := self._oldest_of(book, ready_ones, limits, now)) is not None
        ]
        return min(claims, key=lambda claim: claim.msgid, default=None)

    def _ready_ones(self, book: AddressBook[Any], limits: Pace | None, now: Moment) -> Iterable[list[tuple[int, str]]]:
        """Give out the heaps of a book from which something may go: those of channels that have used up their own pace are left out.

        The common one comes first: it may turn out that what stands on top of it belongs into another one.
        """
        yield book.ready
        for chid, heap in list(book.paced.items()):
            if not heap:
                del book.paced[chid]
            elif self._paces.own_free_at(chid) <= now.mono:
                yield heap

    @property
    def _books(self) -> tuple[AddressBook[Any], ...]:
        return self._rooms, self._people

    def _oldest_of(
        self, book: AddressBook[Any], ready: list[tuple[int, str]], limits: Pace | None, now: Moment
    ) -> Claim | None:
        """Return the claim of the oldest message that may go to a room, or to a person, of those in this heap."""
        while ready:
            msgid, name = ready[0]
            head = self._head(name)
            if head is None or head[1].msgid != msgid or name in self._waiting:
                heapq.heappop(ready)  # it has ended, or another one is the oldest of its conversation now
                continue
            chid = head[1].message.queued.chid
            if ready is book.ready and self._paces.limited(chid):
                heapq.heappush(book.paced.setdefault(chid, []), heapq.heappop(ready))
                continue
            free_at = self.pace.own_gap_over_at(limits, name) if limits is not None else 0
            if free_at > now.mono:
                heapq.heappop(ready)
                self._waiting.set(name, free_at)
                continue
            if head[1].peer not in book.entries:
                heapq.heappop(ready)
                self._absent[name] = None  # the list is not complete yet: looked at again when it changes
                continue
            oldest = book.oldest_held(self._is_held)
            if oldest and oldest < msgid:
                return None  # its name may turn out to be that of this room or person
            return self._claim(*head)
        return None

    def _claim(self, stream: str, item: Item) -> Claim:
        to_person = is_to_person(item.message.queued)
        room_id, user_id = ("", item.peer) if to_person else (item.peer, "")
        return Claim(stream, item.msgid, item.message.attempt + 1, room_id, user_id)

    def _claim_in(self, name: str, limits: Pace, now: Moment) -> Claim | None:
        """Return the claim of the oldest message of one conversation, if it may go now."""
        head = self._head(name)
        if head is None or name in self._waiting or awaits_image(head[1].message):
            return None
        book, _, _ = self._address(head[1])
        oldest = book.oldest_held(self._is_held)
        if head[1].peer not in book.entries or (oldest and oldest < head[1].msgid):
            return None
        earliest = max(self.pace.earliest(limits, name), self._paces.own_free_at(head[1].message.queued.chid))
        return self._claim(*head) if earliest <= now.mono else None

    def _is_held(self, msgid: int, stream: str) -> bool:
        """Return whether a message still waits for the list to be complete."""
        item = self._items.get(stream)
        return item is not None and item.msgid == msgid and not item.conversation and stream not in self._unsendable

    # -- around a hand-over -----------------------------------------------------------------------------------------------------

    def last_look(self, bot: Bot, message: Message, claimed_mono: int, now: Moment) -> str:
        """Return why a claimed message must not be handed over at this moment; empty = hand it over."""
        expires_at = message.queued.expires_at
        if bot.removed:
            return REMOVED
        if expires_at is not None and now.wall >= expires_at:
            return "its time is over"
        if now.mono - claimed_mono > CLAIM_LIFETIME_MS:
            return "the store took too long to confirm the claim"
        if any(account not in ("", bot.wxid) for account in self._accounts.values()):
            return "another account has logged in"
        name = conversation(message.room_id, message.user_id)
        return self._paces.hindrance(PACES[bot.added.pace], name, message.queued.chid, now.mono)

    def allowance(self, bot: Bot, wall: int, chid: str = "") -> tuple[int | None, int]:
        """Return how many more sends the pace allows within a minute of now (None = no limit), and from when on the next (epoch ms).

        `chid`: by the pace of this channel's grant too.

        For people to look at: it is worked out from the log, by wall clocks, and so says the same on every replica.
        """
        return self._paces.allowance(bot, wall, chid)

    def resume(self, mono: int) -> None:
        """Begin as the bot's owner: the latest send counts as one of just now."""
        self.pace.rebase(mono)

    # -- snapshots --------------------------------------------------------------------------------------------------------------

    def to_snapshot(self) -> QueueSnapshot:
        """Return what is not in the messages themselves."""
        accounts = {stream: item.account for stream, item in self._items.items()} | self._accounts
        return QueueSnapshot(
            {name: account for name, account in sorted(accounts.items()) if account},
            *self._paces.to_snapshot(),
        )

    def restore(self, snapshot: QueueSnapshot, messages: Iterable[tuple[str, int, Message]], mono: int) -> None:
        """Take in a snapshot, and the bot's open messages (stream, msgid, state)."""
        self._paces.restore(snapshot.sends, snapshot.claimed_at, snapshot.own_sends)
        for stream, msgid, message in messages:
            account = snapshot.accounts.get(stream, "")
            if message.state is MessageState.QUEUED:
                self._add(stream, Item(msgid, message, account, mono + message.wait_ms))
            else:
                self._accounts[stream] = account
