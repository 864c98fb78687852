"""What only a bot's owner needs: its queue, its operations, its deliveries, and what is to be done about them now.

Each question (`next_records`, `next_claim`, `next_post`) is answered from what has been folded so far and changes nothing. Whoever
asks again after a crash gets the same answer, so nothing has to be remembered but the log.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from wxrc_core import bot, channel, delivery, message
from wxrc_core.bot import REMOVED, Bot, RemovedState
from wxrc_core.channel import Channel
from wxrc_core.delivery_queue import DeliveryQueues
from wxrc_core.effects import Claim, Decide, Moment, Notify, Wait
from wxrc_core.log import Recorded
from wxrc_core.message import Message, MessageState
from wxrc_core.message_queue import MessageQueue
from wxrc_core.operation import OperationAccepted
from wxrc_core.view import StreamState, View

AT_ONCE = 256
"""How many messages of a bot that was removed are ended in one go."""


class BotWorld:
    """The fold of what one bot's owner has to do.

    Attributes:
        botcode: The bot.
        queue: Its messages that wait or are being sent.
        deliveries: Callbacks about it.
        operations: What was asked of it and is not carried out yet, by position.
        attempted: Its messages with an open attempt, by stream.
        epoch: The epoch under which `resume` was asked last; 0 = never.
    """

    def __init__(self, botcode: str, view: View) -> None:
        self.botcode = botcode
        self.queue = MessageQueue(botcode, lambda chid: view.own_pace(botcode, chid))
        self.deliveries = DeliveryQueues(botcode, view.removed)
        self.operations: dict[int, OperationAccepted] = {}
        self.attempted: dict[str, StreamState[Message]] = {}
        self.epoch = 0
        self._view = view
        self._cancelled: dict[str, None] = {}  # queued messages whose channel was removed
        self._inherited_run: int | None = None

    @property
    def bot(self) -> Bot | None:
        """The bot's state; None before its first event."""
        known = self._view.bots.get(self.botcode)
        return known.state if known else None

    def channel(self, chid: str) -> Channel | None:
        """Return a channel; None where there is none of that name, as for an operator."""
        known = self._view.channels.get(chid)
        return known.state if known else None

    # -- taking over ------------------------------------------------------------------------------------------------------------

    def resume(self, epoch: int, mono: int) -> None:
        """Take over from the former owner, under this epoch. What it left undone shows in `next_records` from now on.

        Its client is gone with it, its open attempts have nobody who will report their outcome, and its wall clock cannot be compared
        with ours: what it sent last counts as sent just now.

        Args:
            epoch: Of the bot's shard.
            mono: Now (`Moment.mono`).
        """
        self.epoch = epoch
        the_bot = self.bot
        self._inherited_run = the_bot.run if the_bot is not None and the_bot.running else None
        self.queue.resume(mono)
        self.deliveries.resume(mono)

    def wanted_client(self) -> Bot | None:
        """Return the bot where its client is to run or to leave now; None where there is nothing to do for a client."""
        the_bot = self.bot
        if the_bot is None or not (the_bot.running or the_bot.pending_exit):
            return None
        if self._inherits_client(the_bot):
            return None  # first the log says that a new client is started
        return the_bot

    def inherits(self) -> bool:
        """Return whether the log still tells of a client or a send of the former owner as if they went on."""
        the_bot = self.bot
        return (the_bot is not None and self._inherits_client(the_bot)) or any(
            attempted.state.epoch < self.epoch for attempted in self.attempted.values()
        )

    def _inherits_client(self, the_bot: Bot) -> bool:
        if self._inherited_run != the_bot.run or not the_bot.running or the_bot.pending_exit:
            self._inherited_run = None
        return self._inherited_run is not None

    # -- what is to be done -----------------------------------------------------------------------------------------------------

    def next_records(self, now: Moment) -> list[Decide] | Wait | None:
        """Return what is to be recorded now, a time to wait for, or None = wait until woken. The steps are for different streams."""
        the_bot = self.bot
        if the_bot is None:
            return None
        steps = list(self._own_steps(the_bot, now))
        if self._inherits_client(the_bot):
            return steps  # nothing else is decided on what a client said that is gone
        waits: list[int] = []
        of_queue = None if the_bot.removed else self.queue.next_record(the_bot, now)
        for found in (of_queue, self.deliveries.next_records(now)):
            if isinstance(found, Wait):
                waits.append(found.ms)
            elif isinstance(found, Decide):
                steps.append(found)
            elif found is not None:
                steps += found
        return steps or (Wait(min(waits)) if waits else None)

    def _own_steps(self, the_bot: Bot, now: Moment) -> Iterator[Decide]:
        stream = bot.stream_name(self.botcode)
        if self._inherits_client(the_bot):
            yield Decide(stream, bot.RestartClient(at=now.wall, run=the_bot.run))
        elif not the_bot.pending_exit:
            # One operation after the other: a login that is asked for during a logout comes after it.
            for position, accepted in self.operations.items():
                command = bot.CarryOut(
                    at=now.wall,
                    operation=position,
                    kind=accepted.kind,
                    login_kind=accepted.login_kind,
                    secret_id=accepted.secret_id,
                )
                yield Decide(stream, command)
                break
        for stream, attempted in self.attempted.items():
            if attempted.state.epoch < self.epoch:
                resend = the_bot.added.deduplicates
                abandon = message.AbandonAttempt(at=now.wall, attempt=attempted.state.attempt, resend=resend)
                yield Decide(stream, abandon)
        for stream in self._cancelled:
            yield Decide(stream, message.Cancel(at=now.wall))
        if isinstance(the_bot.where, RemovedState):
            yield from self._removal_steps(the_bot, the_bot.where, now)

    def _removal_steps(self, the_bot: Bot, where: RemovedState, now: Moment) -> Iterator[Decide]:
        """Give out what a removal leads to: nothing that waits is sent, and once the client is gone and channels are told, grants end."""
        waiting = (stream for stream in self.queue.streams() if stream not in self._cancelled)
        for stream in islice(waiting, AT_ONCE):
            yield Decide(
                stream, message.Fail(at=now.wall, reason="failed", detail=f"{REMOVED} before it could be sent")
            )
        if not the_bot.pending_exit:
            for chid, _ in self._view.grants(self.botcode):
                revoked = channel.BotRevoked(at=now.wall, botcode=self.botcode, by=where.by)
                yield Decide(channel.stream_name(chid), channel.Alter((revoked,)))

    def next_claim(self, now: Moment) -> Claim | Wait | None:
        """Return the next message to claim and hand over, a time to wait for, or None = wait until woken."""
        the_bot = self.bot
        if the_bot is None or self.attempted or self._inherits_client(the_bot):
            return None
        return self.queue.next_claim(the_bot, now)

    def last_look(self, claimed: Message, claimed_mono: int, now: Moment) -> str:
        """Return why a claimed message must not be handed over at this moment; empty = hand it over."""
        the_bot = self.bot
        assert the_bot is not None
        return self.queue.last_look(the_bot, claimed, claimed_mono, now)

    # -- folding ----------------------------------------------------------------------------------------------------------------

    def fold_message(
        self, stream: str, open_message: StreamState[Message], event: message.MessageEvent, mono: int
    ) -> None:
        """Take in an event of one of its messages; `open_message` has the state after it."""
        the_bot = self.bot
        self.queue.fold(
            stream, open_message.position, open_message.state, event, the_bot.wxid if the_bot is not None else "", mono
        )
        if open_message.state.state is MessageState.ATTEMPTED:
            self.attempted[stream] = open_message
        else:
            self.attempted.pop(stream, None)
        self._note_removed(stream, open_message.state)

    def _note_removed(self, stream: str, state: Message) -> None:
        if state.state is MessageState.QUEUED and self._view.removed(state.queued.chid):
            self._cancelled[stream] = None
        else:
            self._cancelled.pop(stream, None)

    def channel_removed(self, chid: str, messages: Iterable[tuple[str, Message]]) -> None:
        """Take in that a channel was removed: its queued messages, and what is due to it, are to be recorded as cancelled.

        Args:
            chid: The channel.
            messages: Its open messages to this bot, by stream.
        """
        for stream, state in messages:
            self._note_removed(stream, state)
        self.deliveries.cancel(chid)

    def restore_messages(
        self, messages: Mapping[str, StreamState[Message]], open_messages: Iterable[tuple[str, int, Message]]
    ) -> None:
        """Take in the open messages of a snapshot: which are being sent, which are to be cancelled."""
        for stream, _, state in open_messages:
            if state.state is MessageState.ATTEMPTED:
                self.attempted[stream] = messages[stream]
            self._note_removed(stream, state)

    def removed(self) -> None:
        """Take in that the bot was removed: what was asked of it is carried out no more."""
        self.operations.clear()

    def fold_operation(self, position: int, accepted: OperationAccepted) -> None:
        """Take in an operation that was asked of the bot."""
        if not self._view.bot_removed(self.botcode):
            self.operations[position] = accepted

    def expect(self, notify: Notify, recorded: Recorded, mono: int) -> list[str]:
        """Have channels told of an event; return those that will be."""
        chids = [notify.chid] if notify.chid else [chid for chid, _ in self._view.grants(self.botcode)]
        told = []
        for chid in chids:
            channel = self._view.channels.get(chid)
            if channel is None or not channel.state.settings.callback_url:
                continue
            at = recorded.event.at
            body = {"botcode": self.botcode, "type": notify.kind, **notify.body, "seq": recorded.position, "time": at}
            due = delivery.DeliveryDue(
                at=at,
                chid=chid,
                botcode=self.botcode,
                kind=notify.kind,
                body=msgspec.json.encode(body).decode(),
                expires_at=notify.expires_at,
                code_id=notify.code_id,
            )
            stream = delivery.stream_name(recorded.position, chid)
            self.deliveries.expect(stream, delivery.Create(due), recorded.position, mono + notify.answer_ms)
            told.append(chid)
        return told
