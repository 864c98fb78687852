"""The gateway's process under virtual time: the same loops as `wxrc_gateway`, the same core, its own clock and chance.

A command meets the state (`decide`), its events are appended, the follower reads them back in position order, folds them and carries out
what follows. Each `yield` is a place where others run in between and where the process may crash; then all of this is lost, and a new
process replays the log and asks `resume`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import attrs

from wxrc_core import aggregate, bot, effects, inbound, message
from wxrc_core.errors import Refusal, Unavailable
from wxrc_core.log import Appended, Entry, Event
from wxrc_core.puppet import (
    NotSent,
    Report,
    ReportLinkLost,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    SendOutcome,
    Unconfirmed,
)
from wxrc_core.world import World
from wxrc_simulation.receiver import Receivers
from wxrc_simulation.rules import Core
from wxrc_simulation.scheduler import Life, Signal, Steps
from wxrc_simulation.stage import Stage
from wxrc_simulation.wechat import Account, ClientFailed, SimulatedPuppet, WeChat

PAGE = 16
SEND_LIMIT_MS = 30_000

Key: TypeAlias = tuple[str, ...]


class Stuck(Exception):
    """A loop goes round without anything happening: the real gateway would hang."""


class Waiter:
    """Somebody who waits for a message's end, to answer a request with it."""

    def __init__(self, ended: Signal, unclaimed: Signal) -> None:
        self.users = 0
        self.claims = 0
        self.ended = ended
        self.unclaimed = unclaimed


class BotClient(Life):
    """The client of one bot for as long as it is meant to run; `puppet` is the one that runs now."""

    def __init__(self, process: Life) -> None:
        super().__init__(process)
        self.puppet: SimulatedPuppet | None = None
        self.ended = False


class Gateway(Life):
    """One process.

    Attributes:
        world: The fold of the log, as far as it has followed.
        serving: It has started and takes requests.
        crashed: Set when it has crashed.
        decided_on: For each event's position: up to which position the log was known to the one who decided it.
    """

    def __init__(
        self, stage: Stage, wechat: WeChat, receivers: Receivers, core: Core, decided_on: dict[int, int]
    ) -> None:
        super().__init__()
        self.world = World()
        self.serving = False
        self.crashed = stage.scheduler.signal()
        self.decided_on = decided_on
        self._stage, self._wechat, self._receivers, self._core = stage, wechat, receivers, core
        self._waiters: dict[str, Waiter] = {}
        self._clients: dict[str, BotClient] = {}
        self._wakes: dict[Key, Signal] = {}
        self._progress = stage.scheduler.signal()

    def survives(self) -> bool:
        """Crash, sometimes, before a step."""
        if self.alive and self._stage.faults.strike("crash"):
            self._stage.note("crash")
            self.end()
            self.crashed.set()
        return self.alive

    def _spawn(self, steps: Steps[Any], life: Life | None = None) -> None:
        self._stage.scheduler.spawn(steps, life or self)

    def start(self) -> Steps[None]:
        """Replay the log, take up what a crash left undone, and begin to follow."""
        yield self._stage.delay(1, 200)
        self.world.replay(self._stage.log.events)
        self._stage.note("started at", self.world.position)
        self._spawn(self._follow())
        todo = self.world.resume(self._stage.now)
        first = [effect for effect in todo if isinstance(effect, effects.Decide)]
        left = [len(first)]
        done = self._stage.scheduler.signal()
        for effect in first:
            self._spawn(self._record_and_count(effect, left, done))
        if first:
            yield done, None
        for other in todo:
            if not isinstance(other, effects.Decide):
                self._carry_out(other)
        self.serving = True

    def _record_and_count(self, effect: effects.Decide, left: list[int], done: Signal) -> Steps[None]:
        yield from self._record(effect.stream, effect.command)
        left[0] -= 1
        if not left[0]:
            done.set()

    # -- the log: follow it, append to it ---------------------------------------------------------------------------------------

    def _follow(self) -> Steps[None]:
        log = self._stage.log
        while True:
            if len(log.events) <= self.world.position:
                yield log.news, None
            yield self._stage.delay(0, 4)
            for recorded in log.events[self.world.position : self.world.position + PAGE]:
                for effect in self._core.fold(self.world, recorded):
                    self._carry_out(effect)
                waiter = self._waiters.get(recorded.stream)
                if waiter is not None:
                    held = self.world.messages.get(recorded.stream)
                    if held is None or held.state.state in message.ENDED:
                        waiter.ended.set()
            self._progress.set()
            self._progress = self._stage.scheduler.signal()

    def _append(self, entry: Entry, known: int) -> Steps[Appended | None]:
        """Append what was decided when the log was known up to this position; return None on a conflict.

        Raises:
            Unavailable: Nobody can say whether it is in the log.
        """
        stage = self._stage
        yield stage.delay(0, 5)
        if stage.faults.strike("store refuses"):
            raise Unavailable("the store is not to be had")
        outcome = stage.log.append(entry)
        if isinstance(outcome, Appended):
            for position, event in enumerate(entry.events, outcome.position):
                self.decided_on[position] = known
                stage.note("recorded", position, entry.stream, event)
        yield stage.delay(0, 5)
        if stage.faults.strike("store does not answer"):
            stage.note("lost the answer of the store", entry.stream)
            raise Unavailable("the store does not answer")
        return outcome if isinstance(outcome, Appended) else None

    def _read(self, stream: str) -> Steps[tuple[Any, int]]:
        yield self._stage.delay(0, 5)
        return aggregate.fold(self._stage.log.read(stream))

    def execute(self, stream: str, command: Any) -> Steps[Sequence[Event]]:
        """Hand a command to the aggregate that has this stream; return the events it led to, durable and folded.

        Raises:
            Refusal: It cannot be done; nothing was recorded.
            Unavailable: The store failed; read back before assuming anything.
        """
        held, known = self.world.held(stream), self.world.position
        if held is not None:
            state, version = held.state, held.version
        elif isinstance(command, aggregate.CREATING):
            state, version = None, 0
        else:
            state, version = yield from self._read(stream)
        while True:
            events = self._core.decide(state, command)
            if not events:
                return ()
            for effect in self._core.before_append(held, stream, events):
                self._carry_out(effect)
            appended = yield from self._append(Entry(stream, version, events), known)
            if appended is not None:
                last = appended.position + len(events) - 1
                while self.world.position < last:
                    yield self._progress, None
                return events
            state, version = yield from self._read(stream)

    def _record(self, stream: str, command: Any) -> Steps[None]:
        """Execute a command that must not be lost, as often as the store needs."""
        while not (yield from self._try(stream, command)):
            yield self._stage.delay(20, 5_000)

    def _try(self, stream: str, command: Any) -> Steps[bool]:
        """Execute a command once; return whether the store was to be had."""
        try:
            with self._claim(stream, command) as claimed:
                yield from self.execute(stream, claimed)
        except Refusal as refusal:
            self._stage.note("refused", stream, refusal)  # it came too late: what it was about has changed since
        except Unavailable:
            return False
        return True

    @contextmanager
    def _claim(self, stream: str, command: Any) -> Iterator[Any]:
        waiter = self._waiters.get(stream)
        if waiter is None or not hasattr(command, "answered"):
            yield command
            return
        waiter.claims += 1
        try:
            yield attrs.evolve(command, answered=True)
        finally:
            waiter.claims -= 1
            if self.alive:
                waiter.unclaimed.set()
                waiter.unclaimed = self._stage.scheduler.signal()

    # -- effects ----------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Decide(stream, command):
                self._spawn(self._record(stream, command))
            case effects.Dispatch(botcode):
                self._wake(("queue", botcode))
            case effects.Flush(chid, botcode):
                self._wake(("lane", chid, botcode))
            case effects.Send():
                self._spawn(self._send(effect))
            case effects.Post():
                self._spawn(self._post(effect))
            case effects.StartPuppet(botcode):
                self._start_client(botcode)
            case effects.StopPuppet(botcode):
                self._end_client(botcode)
            case effects.SignOut(botcode, position):
                self._spawn(self._sign_out(botcode, position))
            case effects.ReleasePuppet(botcode, position):
                self._spawn(self._release(botcode, position))

    def _wake(self, key: Key) -> None:
        wake = self._wakes.get(key)
        if wake is None:
            self._wakes[key] = self._stage.scheduler.signal()
            self._spawn(self._pump(key))
        else:
            wake.set()

    def _pump(self, key: Key) -> Steps[None]:
        """Do what the world says is next for a bot's queue or a channel's callbacks, then wait until something may be next again."""
        stage = self._stage
        last_step = -1
        while True:
            self._wakes[key] = wake = stage.scheduler.signal()
            step: effects.Decide | effects.Wait | None
            if key[0] == "queue":
                step = self._core.next_message(self.world, key[1], stage.now)
            else:
                step = self.world.next_delivery(key[1], key[2], stage.now)
            if isinstance(step, effects.Decide):
                if last_step == stage.scheduler.steps:
                    raise Stuck(f"{key}: {step} does not lead anywhere")
                last_step = stage.scheduler.steps
                # Not insisted on: when the store is back, the bot may be logged out and the time of the command long over.
                if not (yield from self._try(step.stream, step.command)):
                    yield stage.delay(20, 1_000)
                continue
            yield wake, (max(0, step.until - stage.now) if step else None)

    def _send(self, effect: effects.Send) -> Steps[None]:
        """Hand a message to the puppet, once; whatever happens, record how it ended."""
        yield self._stage.delay(0, 3)
        outcome = yield from self._hand_over(effect)
        settle = message.Settle(
            at=self._stage.now,
            attempt=effect.outgoing.attempt,
            outcome=outcome,
            resend=self.world.bots[effect.botcode].state.added.deduplicates,
        )
        yield from self._record(effect.stream, settle)

    def _hand_over(self, effect: effects.Send) -> Steps[SendOutcome]:
        client = self._clients.get(effect.botcode)
        if client is None or client.puppet is None:
            return NotSent("the bot's client is not running", retry=True)
        answered = self._stage.scheduler.signal()
        outcomes: list[SendOutcome] = []
        self._spawn(self._call(client.puppet, effect, outcomes, answered))
        yield answered, SEND_LIMIT_MS
        return outcomes[0] if outcomes else Unconfirmed("no answer in time")

    def _call(
        self, puppet: SimulatedPuppet, effect: effects.Send, outcomes: list[SendOutcome], answered: Signal
    ) -> Steps[None]:
        outcome = yield from puppet.send(effect.outgoing, len(self._stage.log.events))
        outcomes.append(outcome)
        answered.set()

    def _post(self, effect: effects.Post) -> Steps[None]:
        """Post a callback, once; record how it ended."""
        verdict = yield from self._receivers.post(effect)
        yield from self._record(effect.stream, verdict)

    # -- clients ----------------------------------------------------------------------------------------------------------------

    def _start_client(self, botcode: str) -> None:
        running = self._clients.get(botcode)
        if running is not None and running.alive and not running.ended:
            return
        client = self._clients[botcode] = BotClient(self)
        self._spawn(self._run_client(botcode, client), client)

    def _run_client(self, botcode: str, client: BotClient) -> Steps[None]:
        stage, account = self._stage, self._wechat.accounts[botcode]
        wait = 500
        while self.world.bots[botcode].state.running:
            client.puppet = SimulatedPuppet(self._wechat, account, Life(client))
            try:
                yield from client.puppet.run(lambda report: self._take(account, report))
                break
            except ClientFailed as failed:
                client.puppet.life.end()
                client.puppet = None
                if self.world.bots[botcode].state.client.link:
                    wait = 500
                lost = ReportLinkLost(at=stage.now, reason=str(failed))
                yield from self._record(bot.stream_name(botcode), lost)
                yield wait
                wait = min(wait * 2, 60_000)
        client.puppet = None
        client.ended = True

    def _take(self, account: Account, report: Report) -> Steps[None]:
        """Take a report; return when it is durable."""
        botcode = account.botcode
        match report:
            case ReportMessage():
                addressed = report.mentioned or not report.room_id
                if addressed or self.world.wants_everything(botcode):
                    stream = inbound.stream_name(botcode, report.message_id)
                    yield from self._record(stream, inbound.Receive(botcode, report))
            case ReportReceipt():
                queued = self._stage.log.events[report.msgid - 1]
                yield from self._record(queued.stream, message.Confirm(at=report.at, receipt=report.receipt))
            case ReportQrCode():
                shown = bot.ShowQrCode(report=report, image_url=f"/qr/{report.text}.png")
                yield from self._record(bot.stream_name(botcode), shown)
            case _:
                yield from self._record(bot.stream_name(botcode), report)

    def _end_client(self, botcode: str) -> None:
        client = self._clients.pop(botcode, None)
        if client is not None:
            client.end()

    def _sign_out(self, botcode: str, position: int) -> Steps[None]:
        yield self._stage.delay(1, 2_000)
        self._wechat.accounts[botcode].sign_out()
        self._end_client(botcode)
        yield from self._record(bot.stream_name(botcode), bot.FinishLogout(at=self._stage.now, operation=position))

    def _release(self, botcode: str, position: int) -> Steps[None]:
        yield self._stage.delay(1, 2_000)
        self._wechat.accounts[botcode].release()
        self._end_client(botcode)
        yield from self._record(bot.stream_name(botcode), bot.FinishStop(at=self._stage.now, operation=position))

    # -- what the request side asks for -----------------------------------------------------------------------------------------

    def queue(self, stream: str, queued: message.MessageQueued, wait_ms: int) -> Steps[tuple[int, message.Message]]:
        """Accept a message durably, then wait a while for its end; return the msgid and the message as it is then.

        Raises:
            TxcodeReused: The txcode was used today for something else.
            Unavailable: Nothing was promised.
        """
        yield from self.execute(stream, message.Queue(queued))
        if wait_ms:
            yield from self._wait_for_end(stream, wait_ms)
        history = self._stage.log.read(stream)
        found, _ = aggregate.fold(history)
        return history[0].position, found

    def _wait_for_end(self, stream: str, wait_ms: int) -> Steps[None]:
        # Only whoever was accepted waits: an end that is recorded as answered must be the answer to this very request.
        signal = self._stage.scheduler.signal
        waiter = self._waiters.setdefault(stream, Waiter(signal(), signal()))
        waiter.users += 1
        accepted, _ = aggregate.fold(self._stage.log.read(stream))
        if accepted.state not in message.ENDED:
            yield waiter.ended, wait_ms
        while waiter.claims:
            yield waiter.unclaimed, None
        waiter.users -= 1
        if not waiter.users:
            self._waiters.pop(stream, None)
