"""Everything that is open, folded from the log in position order, and what must be done about it.

A runner hands the log as it finds it to `replay`; asks `resume` once for what a crash may have left undone; and from
then on folds each new event and carries out the effects that this returns. All that the runner adds is time, chance and the calls to the
outside.

What has come to its end is dropped from here: the log still has it.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from attrs import define, field

from wxrc_core import bot, channel, delivery, inbound, message, operation, pace
from wxrc_core.effects import Decide, Dispatch, Effect, Flush, Notify, Post, ReleasePuppet, SignOut, Wait
from wxrc_core.log import Recorded
from wxrc_core.message import MessageState

USER_MESSAGE_LIFETIME_MS = 300_000
"""How long a `userMsg` callback is worth telling (ms; wire.md, section 3)."""


@define
class Held:
    """One open aggregate: its state, its stream's version, and the position of its first event (for a message: its msgid)."""

    state: Any
    version: int
    position: int


@define
class Queue:
    """The open messages of one bot: by room as the channel named it, each room in accept order.

    Attributes:
        rooms: Room id or name -> its messages by stream; the first is the next one.
        expiries: A heap of (expires at, stream).
        in_flight: The stream of the one being sent.
        attempts: (time, room id) of the latest attempts, for the pace.
    """

    rooms: dict[tuple[str, str], OrderedDict[str, Held]] = field(factory=dict)
    expiries: list[tuple[int, str]] = field(factory=list)
    in_flight: str = ""
    attempts: deque[tuple[int, str]] = field(factory=lambda: deque(maxlen=64))


@define
class Lane:
    """The open deliveries to one channel about one bot, as a heap of (not before, position, stream); the one being posted."""

    waiting: list[tuple[int, int, str]] = field(factory=list)
    in_flight: str = ""


def _accepted_at(head: tuple[str, Held]) -> int:
    return head[1].position


class World:
    """The fold of the whole log, as far as it is open."""

    def __init__(self) -> None:
        self.position = 0
        self.bots: dict[str, Held] = {}
        self.channels: dict[str, Held] = {}
        self.messages: dict[str, Held] = {}
        self.deliveries: dict[str, Held] = {}
        self._queues: dict[str, Queue] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._operations: dict[str, dict[int, operation.OperationAccepted]] = {}
        self._uncreated: dict[str, delivery.Create] = {}
        self._replaying = False
        self._topics: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {}
        self._folds: dict[type, Callable[[Recorded], Sequence[Effect]]] = {
            **dict.fromkeys(bot.TRIGGERS, self._fold_bot),
            **dict.fromkeys(channel.TRIGGERS, self._fold_channel),
            **dict.fromkeys(delivery.TRIGGERS, self._fold_delivery),
            **dict.fromkeys(inbound.TRIGGERS, self._fold_inbound),
            **dict.fromkeys(message.TRIGGERS, self._fold_message),
            **dict.fromkeys(operation.TRIGGERS, self._fold_operation),
        }

    def fold(self, recorded: Recorded) -> Sequence[Effect]:
        """Take in the next event of the log and return what must be done about it."""
        self.position = recorded.position
        return self._folds[recorded.event.__class__](recorded)

    def replay(self, page: Iterable[Recorded]) -> None:
        """Take in events that happened before this runner came up; nothing is done about them before `resume` is asked."""
        folds = self._folds
        self._replaying = True
        for recorded in page:
            self.position = recorded.position
            folds[recorded.event.__class__](recorded)
        self._replaying = False

    def held(self, stream: str) -> Held | None:
        """Return the open aggregate that has this stream, or None: it is closed, or not there."""
        kind, _, name = stream.partition("/")
        if kind == "message":
            return self.messages.get(stream)
        if kind == "delivery":
            return self.deliveries.get(stream)
        return {"bot": self.bots, "channel": self.channels}.get(kind, {}).get(name)

    def resume(self, now: int) -> list[Effect]:
        """Return what must be done by a runner that has just replayed the log, because nobody else is doing it any more."""
        return list(self._resume(now))

    def _resume(self, now: int) -> Iterator[Effect]:
        for botcode, held in self.bots.items():
            if held.state.ending:
                finish = SignOut if held.state.ending == "logout" else ReleasePuppet
                yield finish(botcode, held.state.operation)
            elif held.state.running:
                # What was asked for in the meantime comes after it: nobody must be told "online" on the word of the old process.
                yield Decide(bot.stream_name(botcode), bot.RestartClient(at=now, starts=held.state.starts))
            else:
                yield from self._next_operation(botcode)
        for stream, held in self.messages.items():
            if held.state.state is MessageState.ATTEMPTED:
                resend = self._deduplicates(held.state.queued.botcode)
                yield Decide(stream, message.Lose(at=now, attempt=held.state.attempt, resend=resend))
        for stream, create in self._uncreated.items():
            yield Decide(stream, create)
        for botcode in self._queues:
            yield Dispatch(botcode)
        for lane in self._lanes.values():
            # Whoever was posting is gone. At least once: it is posted again.
            if lane.in_flight:
                held = self.deliveries[lane.in_flight]
                heapq.heappush(lane.waiting, (held.state.not_before, held.position, lane.in_flight))
                lane.in_flight = ""
        for chid, botcode in self._lanes:
            yield Flush(chid, botcode)

    # -- bots, and the operations that they are asked for -----------------------------------------------------------------------

    def _fold_bot(self, recorded: Recorded) -> Sequence[Effect]:
        botcode = recorded.stream.partition("/")[2]
        held = self.bots.get(botcode)
        event = recorded.event
        state = bot.evolve(held.state if held else None, event)
        self.bots[botcode] = Held(state, recorded.version, held.position if held else recorded.position)
        effects = self._resolve(bot.react(state, event), recorded)
        if getattr(event, "operation", 0):
            self._operations.get(botcode, {}).pop(event.operation, None)
            effects += self._next_operation(botcode)
        elif isinstance(event, bot.SignedOut | bot.Stopped | bot.ClientRestarted):
            effects += self._next_operation(botcode)
        return effects

    def _fold_operation(self, recorded: Recorded) -> Sequence[Effect]:
        accepted = recorded.event
        waiting = self._operations.setdefault(accepted.botcode, {})
        waiting[recorded.position] = accepted
        return self._next_operation(accepted.botcode) if len(waiting) == 1 else ()

    def _next_operation(self, botcode: str) -> Sequence[Effect]:
        """Operations on a bot are carried out one after the other: a login asked for during a logout comes after it."""
        held = self.bots.get(botcode)
        waiting = self._operations.get(botcode)
        if not waiting or held is None or held.state.ending:
            return ()
        position, accepted = next(iter(waiting.items()))
        command: bot.Command
        if accepted.kind == "login":
            command = bot.RequestLogin(at=accepted.at, operation=position, kind=accepted.login_kind)
        elif accepted.kind == "logout":
            command = bot.RequestLogout(at=accepted.at, operation=position)
        else:
            command = bot.RequestStop(at=accepted.at, operation=position)
        return (Decide(bot.stream_name(botcode), command),)

    def _deduplicates(self, botcode: str) -> bool:
        held = self.bots.get(botcode)
        return held is not None and held.state.added.deduplicates

    # -- messages ---------------------------------------------------------------------------------------------------------------

    def _fold_message(self, recorded: Recorded) -> Sequence[Effect]:
        stream, event = recorded.stream, recorded.event
        held = self.messages.get(stream)
        if held is None:
            if type(event) is not message.MessageQueued:
                return ()  # closed; a final state stays final whatever else is recorded
            held = self.messages[stream] = Held(message.evolve(None, event), recorded.version, recorded.position)
        else:
            held.state = message.evolve(held.state, event)
            held.version = recorded.version
        state: message.Message = held.state
        queue = self._queues.get(state.queued.botcode)
        if queue is None:
            queue = self._queues[state.queued.botcode] = Queue()
        place = (state.queued.room_id, state.queued.room_topic)
        if state.state is MessageState.QUEUED:
            queue.rooms.setdefault(place, OrderedDict()).setdefault(stream, held)  # one that comes back keeps its place
            if state.queued.expires_at is not None:
                heapq.heappush(queue.expiries, (state.queued.expires_at, stream))
        elif state.state is MessageState.ATTEMPTED:
            queue.in_flight = stream
            queue.attempts.append((event.at, event.room_id))
        elif not getattr(event, "resend", False) and place in queue.rooms:
            queue.rooms[place].pop(stream, None)
            if not queue.rooms[place]:
                del queue.rooms[place]
        if state.state is not MessageState.ATTEMPTED and queue.in_flight == stream:
            queue.in_flight = ""
        if state.state in message.FINAL:
            del self.messages[stream]
        if self._replaying and (state.state not in message.ENDED or event.answered):
            return ()  # nobody is to be told of it, and nothing else is done during a replay
        return self._resolve(message.react(state, event, stream, held.position), recorded)

    def next_message(self, botcode: str, now: int) -> Decide | Wait | None:
        """Return the next thing to do for a bot's queue: a command for a message, a time to wait for, or None = wait for news."""
        queue, held = self._queues.get(botcode), self.bots.get(botcode)
        if queue is None or held is None:
            return None
        the_bot: bot.Bot = held.state
        while queue.expiries:
            expires_at, stream = queue.expiries[0]
            item = self.messages.get(stream)
            if item is not None and item.state.state is MessageState.QUEUED and expires_at <= now:
                return Decide(stream, message.Expire(at=now))
            if expires_at > now:
                break
            heapq.heappop(queue.expiries)  # it has ended since, or is being sent: then it is too late to stop it
        wait = queue.expiries[0][0] if queue.expiries else None
        if the_bot.ready and not queue.in_flight:
            step = self._next_send(the_bot, queue, now)
            if isinstance(step, Decide):
                return step
            if step is not None:
                wait = step.until if wait is None else min(wait, step.until)
        return Wait(wait) if wait is not None else None

    def _next_send(self, the_bot: bot.Bot, queue: Queue, now: int) -> Decide | Wait | None:
        """Return what to do with the oldest message that may go: within a room none overtakes another."""
        limits = pace.PACES[the_bot.added.pace]
        wait: int | None = None
        blocked: set[str] = set()
        heads = [next(iter(room.items())) for room in queue.rooms.values()]
        for stream, item in sorted(heads, key=_accepted_at) if len(heads) > 1 else heads:
            room_ids = self._find_room(the_bot, item.state.queued)
            if not the_bot.client.rooms_complete and (not room_ids or not item.state.queued.room_id):
                blocked.update(room_ids)
                continue  # rooms are still being synced, and another one may have this name too: decide once they are known
            if not room_ids:
                return Decide(stream, message.NoRoom(at=now))
            if len(room_ids) > 1:
                detail = f"{len(room_ids)} rooms have this name; name the room by roomId"
                return Decide(stream, message.Fail(at=now, reason="failed", detail=detail))
            room_id = room_ids[0]
            if room_id in blocked:
                continue  # the same room, named in another way
            when = item.state.last.not_before if isinstance(item.state.last, message.MessageRequeued) else 0
            if limits is not None:
                when = max(when, pace.earliest(limits, queue.attempts, room_id))
            if when <= now:
                return Decide(stream, message.Attempt(at=now, attempt=item.state.attempt + 1, room_id=room_id))
            blocked.add(room_id)
            wait = when if wait is None else min(wait, when)
        return Wait(wait) if wait is not None else None

    def _find_room(self, the_bot: bot.Bot, queued: message.MessageQueued) -> list[str]:
        if queued.room_id:
            return [queued.room_id] if queued.room_id in the_bot.client.rooms else []
        return self.rooms_named(the_bot, queued.room_topic)

    def rooms_named(self, the_bot: bot.Bot, topic: str) -> list[str]:
        """Return the ids of the rooms with exactly this topic."""
        rooms = the_bot.client.rooms
        known = self._topics.get(the_bot.added.botcode)
        if known is None or known[0] is not rooms:
            index: dict[str, list[str]] = {}
            for room_id, name in rooms.items():
                index.setdefault(name, []).append(room_id)
            known = self._topics[the_bot.added.botcode] = (rooms, index)
        return known[1].get(topic, [])

    # -- what people say --------------------------------------------------------------------------------------------------------

    def _fold_inbound(self, recorded: Recorded) -> Sequence[Effect]:
        event: inbound.MessageReceived = recorded.event
        data = {
            "text": event.text,
            "fromId": event.from_id,
            "roomId": event.room_id,
            "fromName": event.from_name,
            "roomTopic": event.room_topic,
            "messageId": event.message_id,
            "mentioned": event.mentioned,
        }
        addressed = event.mentioned or not event.room_id
        return [
            effect
            for chid, grant in self._grants(event.botcode)
            if addressed or grant.inbound == "all"
            for effect in self._due(
                chid,
                Notify(
                    event.botcode,
                    "userMsg",
                    {"msgType": event.kind, "msgData": data},
                    expires_at=event.at + USER_MESSAGE_LIFETIME_MS,
                ),
                recorded,
            )
        ]

    # -- channels and their callbacks -------------------------------------------------------------------------------------------

    def _fold_channel(self, recorded: Recorded) -> Sequence[Effect]:
        chid = recorded.stream.partition("/")[2]
        held = self.channels.get(chid)
        state = channel.evolve(held.state if held else None, recorded.event)
        self.channels[chid] = Held(state, recorded.version, held.position if held else recorded.position)
        return ()

    def _grants(self, botcode: str) -> Iterator[tuple[str, channel.BotGranted]]:
        for chid, held in self.channels.items():
            grant = held.state.grants.get(botcode)
            if grant is not None:
                yield chid, grant

    def wants_everything(self, botcode: str) -> bool:
        """Tell whether some channel asks for everything that is said where the bot can read it."""
        return any(grant.inbound == "all" for _, grant in self._grants(botcode))

    def _resolve(self, effects: Iterable[Effect | Notify], recorded: Recorded) -> list[Effect]:
        resolved: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, Notify):
                resolved.append(effect)
            elif effect.chid:
                resolved += self._due(effect.chid, effect, recorded)
            else:
                for chid, _ in self._grants(effect.botcode):
                    resolved += self._due(chid, effect, recorded)
        return resolved

    def _due(self, chid: str, notify: Notify, recorded: Recorded) -> list[Effect]:
        held = self.channels.get(chid)
        if held is None or not held.state.settings.callback_url:
            return []
        at = recorded.event.at
        body = {"botcode": notify.botcode, "type": notify.kind, **notify.body, "seq": recorded.position, "time": at}
        due = delivery.DeliveryDue(
            at=at,
            chid=chid,
            botcode=notify.botcode,
            kind=notify.kind,
            body=msgspec.json.encode(body).decode(),
            expires_at=notify.expires_at,
        )
        stream = delivery.stream_name(recorded.position, chid)
        create = self._uncreated[stream] = delivery.Create(due)
        return [Decide(stream, create)]

    def _fold_delivery(self, recorded: Recorded) -> Sequence[Effect]:
        stream, event = recorded.stream, recorded.event
        held = self.deliveries.get(stream)
        if held is None:
            if type(event) is not delivery.DeliveryDue:
                return ()
            self._uncreated.pop(stream, None)
            held = self.deliveries[stream] = Held(delivery.evolve(None, event), recorded.version, recorded.position)
        else:
            held.state = delivery.evolve(held.state, event)
            held.version = recorded.version
        state: delivery.Delivery = held.state
        due = state.due
        lane = self._lanes.setdefault((due.chid, due.botcode), Lane())
        if state.state is delivery.DeliveryState.ATTEMPTED:
            lane.in_flight = stream
            return (Post(stream, due.chid, state.attempt, due.body),)
        if lane.in_flight == stream:
            lane.in_flight = ""
        if state.state in delivery.FINAL:
            del self.deliveries[stream]
        else:
            heapq.heappush(lane.waiting, (state.not_before, held.position, stream))
        return (Flush(due.chid, due.botcode),)

    def next_delivery(self, chid: str, botcode: str, now: int) -> Decide | Wait | None:
        """Return the next thing to do for a channel's callbacks about a bot: a command, a time to wait for, or None = wait for news.

        They go out one at a time, in the order in which they are due; one that was not acknowledged does not hold up those behind it.
        """
        lane = self._lanes.get((chid, botcode))
        if lane is None or lane.in_flight:
            return None
        while lane.waiting:
            not_before, _, stream = lane.waiting[0]
            held = self.deliveries.get(stream)
            if held is None or held.state.not_before != not_before:
                heapq.heappop(lane.waiting)  # ended, or put off since
            elif not_before > now:
                return Wait(not_before)
            else:
                # It leaves the heap once that is recorded and has ended.
                return Decide(stream, delivery.Attempt(at=now, attempt=held.state.attempt + 1))
        return None
