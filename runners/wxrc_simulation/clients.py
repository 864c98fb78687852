"""Those who ask: business systems that repeat themselves until they have an answer, operators, and people in WeChat."""

from typing import Literal

from attrs import frozen

from wxrc_core import bot, channel, message, operation
from wxrc_core.errors import Refusal, TxcodeReused, Unavailable
from wxrc_core.puppet import ReportMessage
from wxrc_simulation.gateway import Gateway
from wxrc_simulation.receiver import Receivers
from wxrc_simulation.rules import Core
from wxrc_simulation.scheduler import Signal, Steps
from wxrc_simulation.stage import Stage
from wxrc_simulation.wechat import Account, WeChat

GIVE_UP_MS = 2_000
"""How long a client waits for an answer before it asks again (ms)."""


@frozen(kw_only=True)
class Request:
    """What a channel asks: to send a text, or an operation on the bot."""

    chid: str
    day: str
    txcode: str
    botcode: str
    interface: Literal["roomSendText", "login", "logout", "stop"] = "roomSendText"
    room_id: str = ""
    room_topic: str = ""
    text: str = ""
    lifetime_ms: int | None = None
    wait_ms: int = 300

    @property
    def digest(self) -> str:
        """Its fingerprint."""
        return f"{self.interface}|{self.botcode}|{self.room_id}|{self.room_topic}|{self.text}"

    @property
    def name(self) -> str:
        """What must be done once only."""
        return message.stream_name(self.chid, self.day, self.txcode)


@frozen(kw_only=True)
class Answer:
    """What the gateway answered: code, and for an accepted message its number, sendStatus and sendReason.

    Attributes:
        position: Where the log ended when the gateway gave the answer.
    """

    request: Request
    code: Literal["0", "12", "22"]
    position: int
    msgid: int = 0
    status: str = ""
    reason: str = ""


class Call:
    """One request under way."""

    def __init__(self, answered: Signal) -> None:
        self.answer: Answer | None = None
        self.answered = answered


class Site:
    """The place where the gateway runs: a process that crashes is started again.

    Attributes:
        process: The process that runs, or ran last.
        given: Every answer that a process gave.
        arrived: Those that reached their client.
        resent: Streams of messages that an operator had sent again.
        decided_on: See `Gateway`.
    """

    def __init__(self, stage: Stage, wechat: WeChat, receivers: Receivers, core: Core) -> None:
        self.given: list[Answer] = []
        self.arrived: list[Answer] = []
        self.resent: set[str] = set()
        self.decided_on: dict[int, int] = {}
        self._stage, self._wechat, self._receivers, self._core = stage, wechat, receivers, core
        self.process = self._new_process()

    def _new_process(self) -> Gateway:
        return Gateway(self._stage, self._wechat, self._receivers, self._core, self.decided_on)

    def keep_running(self) -> Steps[None]:
        """Start the gateway, and start it again whenever it has crashed."""
        while True:
            self._stage.scheduler.spawn(self.process.start(), self.process)
            yield self.process.crashed, None
            yield self._stage.delay(20, 5_000)
            self.process = self._new_process()

    # -- channels ---------------------------------------------------------------------------------------------------------------

    def ask(self, request: Request) -> Steps[None]:
        """Ask, and ask again until an answer arrives."""
        stage = self._stage
        while True:
            call = Call(stage.scheduler.signal())
            yield stage.delay(0, 20)
            if self.process.serving and self.process.alive and not stage.faults.strike("request lost"):
                stage.scheduler.spawn(self._serve(self.process, request, call), self.process)
                yield call.answered, GIVE_UP_MS
            answer = call.answer
            if answer is not None and not stage.faults.strike("answer lost"):
                yield stage.delay(0, 20)
                self.arrived.append(answer)
                if answer.code != "22":
                    return
            yield stage.delay(100, 3_000)

    def _serve(self, process: Gateway, request: Request, call: Call) -> Steps[None]:
        answer = yield from self._handle(process, request)
        self.given.append(answer)
        self._stage.note("answer", request.name, answer.code, answer.msgid, answer.status, answer.reason)
        call.answer = answer
        call.answered.set()

    def _handle(self, process: Gateway, request: Request) -> Steps[Answer]:
        log = self._stage.log
        stream = self._core.stream_name(request.chid, request.day, request.txcode)
        try:
            if request.interface != "roomSendText":
                yield from process.execute(stream, operation.Accept(self._accepted(request)))
                return Answer(request=request, code="0", position=len(log.events))
            queued = self._queued(process, request)
            msgid, found = yield from process.queue(stream, queued, request.wait_ms)
        except TxcodeReused:
            return Answer(request=request, code="12", position=len(log.events))
        except Unavailable:
            return Answer(request=request, code="22", position=len(log.events))
        status, reason = message.send_status(found)
        return Answer(request=request, code="0", position=len(log.events), msgid=msgid, status=status, reason=reason)

    def _accepted(self, request: Request) -> operation.OperationAccepted:
        assert request.interface != "roomSendText"
        return operation.OperationAccepted(
            at=self._stage.now,
            chid=request.chid,
            botcode=request.botcode,
            txcode=request.txcode,
            interface=request.interface,
            digest=request.digest,
            kind=request.interface,
        )

    def _queued(self, process: Gateway, request: Request) -> message.MessageQueued:
        settings: channel.Channel = process.world.channels[request.chid].state
        now, lifetime = self._stage.now, request.lifetime_ms
        return message.MessageQueued(
            at=now,
            chid=request.chid,
            botcode=request.botcode,
            txcode=request.txcode,
            interface=request.interface,
            digest=request.digest,
            room_id=request.room_id,
            room_topic=request.room_topic,
            text=request.text,
            expires_at=None if lifetime is None else now + lifetime,
            on_doubt=settings.grants[request.botcode].on_doubt,
        )

    def cancel(self, request: Request) -> Steps[None]:
        """Try once to take a message back."""
        yield from self._try(request.name, message.Cancel(at=self._stage.now))

    # -- operators and people ---------------------------------------------------------------------------------------------------

    def resend_something(self) -> Steps[None]:
        """Have the oldest message in doubt sent again."""
        if not (self.process.serving and self.process.alive):
            return
        for stream, held in self.process.world.messages.items():
            if held.state.state is message.MessageState.IN_DOUBT:
                self.resent.add(stream)
                yield from self._try(stream, message.Resend(at=self._stage.now))
                return

    def _try(self, stream: str, command: message.Command) -> Steps[None]:
        """Hand a command to the gateway once; whoever asked does not insist."""

        def execute(process: Gateway) -> Steps[None]:
            try:
                yield from process.execute(stream, command)
            except (Refusal, Unavailable) as error:
                self._stage.note("not done", stream, error)

        if self.process.serving and self.process.alive:
            self._stage.scheduler.spawn(execute(self.process), self.process)
        yield 0

    def needs_login(self, botcode: str) -> bool:
        """Tell whether somebody has to ask for the bot's login."""
        state: bot.Bot = self.process.world.bots[botcode].state
        return not state.ready


def write(stage: Stage, account: Account, text: str, *, mentioned: bool, direct: bool) -> None:
    """Let somebody write where the bot can read it."""
    room_id, topic = next(iter(account.rooms.items()), ("", ""))
    if direct:
        room_id = topic = ""
    account.inbox.append(
        ReportMessage(
            at=stage.now,
            message_id=f"in-{account.botcode}-{len(account.inbox)}",
            kind="text",
            text=text,
            from_id="wxid_somebody",
            room_id=room_id,
            room_topic=topic,
            mentioned=mentioned,
        )
    )
    account.tell_client("inbox")
