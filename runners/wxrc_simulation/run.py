"""One seed: set the stage, let everybody act while things go wrong, let it come to rest, check."""

import hashlib
import traceback
from collections import defaultdict
from random import Random

from attrs import frozen

from wxrc_core import aggregate, bot, channel
from wxrc_core.log import Entry
from wxrc_simulation.clients import Request, Site, write
from wxrc_simulation.invariants import Evidence, broken
from wxrc_simulation.receiver import Receivers
from wxrc_simulation.rules import Rule, without
from wxrc_simulation.scheduler import Steps
from wxrc_simulation.stage import START, Note, Stage
from wxrc_simulation.wechat import Account, WeChat

TOPICS = ("客服一群", "客服二群", "Ops 🚨", "老板群", "客服一群")  # two rooms of one name: ambiguous
STEPS_AT_MOST = 400_000


@frozen
class Run:
    """How a run went.

    Attributes:
        seed: Its seed.
        broken: What does not hold: (number of the invariant, sentence). Number 0: something raised an exception that it must not.
        events: How many events the log has.
        messages: How many messages were accepted.
        crashes: How often the gateway crashed.
        faults: The kinds of fault that struck.
        trace: What happened, in order.
    """

    seed: int
    broken: tuple[tuple[int, str], ...]
    events: int
    messages: int
    crashes: int
    faults: frozenset[str]
    trace: tuple[Note, ...]

    def digest(self) -> str:
        """Return a fingerprint of the whole trace (invariant 17)."""
        return hashlib.sha256("\n".join(map(str, self.trace)).encode()).hexdigest()


def simulate(seed: int, off: Rule | None = None) -> Run:
    """Run one seed, with a rule switched off or with all of them."""
    play = Play(seed, off)
    try:
        at_rest = play.perform()
        found = broken(play.evidence(at_rest=at_rest))
    except Exception:
        # Whatever escapes from the core or from a loop of the gateway would have taken the process with it.
        found = [(0, traceback.format_exc())]
    trace = tuple(play.stage.trace)
    return Run(
        seed=seed,
        broken=tuple(found),
        events=len(play.stage.log.events),
        messages=sum(stream.startswith("message/") for stream in play.stage.log.streams),
        crashes=sum(note.what == "crash" for note in trace),
        faults=frozenset(play.stage.faults.struck),
        trace=trace,
    )


class Play:
    """One run's setting and plot, all drawn from its seed."""

    def __init__(self, seed: int, off: Rule | None) -> None:
        self.stage = Stage(seed)
        self.wechat = WeChat(self.stage)
        self.receivers = Receivers(self.stage)
        self.site = Site(self.stage, self.wechat, self.receivers, without(off))
        self.requests: dict[str, list[Request]] = defaultdict(list)
        self._random: Random = self.stage.random
        self._grants: list[tuple[str, str]] = []
        self._length = self.stage.delay(5_000, 60_000)
        self._set_up()
        self._plot()

    # -- the setting ------------------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        draw = self._random
        for number in range(1 + (draw.random() < 0.4)):
            self._add_bot(f"bot{number}")
        for number in range(1 + (draw.random() < 0.4)):
            self._add_channel(f"ch{number}")

    def _append(self, stream: str, command: object) -> None:
        """Record something as a `wxrc` command would, before the gateway runs."""
        history = self.stage.log.read(stream)
        state, version = aggregate.fold(history)
        self.stage.log.append(Entry(stream, version, aggregate.decide(state, command)))

    def _add_bot(self, botcode: str) -> None:
        draw = self._random
        added = bot.BotAdded(
            at=START,
            botcode=botcode,
            puppet="simulated",
            pace="customary" if draw.random() < 0.3 else "none",
            deduplicates=draw.random() < 0.2,
        )
        self._append(bot.stream_name(botcode), bot.Add(added))
        rooms = {f"{number}@{botcode}": topic for number, topic in enumerate(TOPICS[: draw.randint(1, 5)])}
        self.wechat.accounts[botcode] = Account(botcode, added.deduplicates, rooms)

    def _add_channel(self, chid: str) -> None:
        draw = self._random
        added = channel.ChannelAdded(
            at=START,
            chid=chid,
            key_id="k",
            webhook_secret_id="w",  # noqa: S106 - a name
            callback_url="" if draw.random() < 0.1 else f"https://{chid}.example/",
        )
        self._append(channel.stream_name(chid), channel.Add(added))
        for botcode in self.wechat.accounts:
            if draw.random() < 0.8 or chid == "ch0":
                granted = channel.BotGranted(
                    at=START,
                    botcode=botcode,
                    on_doubt="resend" if draw.random() < 0.2 else "leave",
                    inbound="all" if draw.random() < 0.3 else "addressed",
                )
                self._append(channel.stream_name(chid), channel.Grant(granted))
                self._grants.append((chid, botcode))

    # -- the plot ---------------------------------------------------------------------------------------------------------------

    def _sometime(self) -> int:
        return int(self._random.random() * self._length)

    def _later(self, steps: Steps[None], after: int) -> None:
        self.stage.scheduler.spawn(steps, after=after)

    def _plot(self) -> None:
        draw = self._random
        self._later(self.site.keep_running(), 0)
        for botcode in self.wechat.accounts:
            self._operate(botcode, "login", self.stage.delay(0, 3_000))
            hectic = draw.random() < 0.15  # somebody who cannot make up his mind
            for _ in range(14 if hectic else int(draw.random() * 6)):
                after = self.stage.delay(0, 8_000) if hectic else self._sometime()
                self._operate(botcode, draw.choice(("login", "login", "logout", "stop")), after)
            for _ in range(int(draw.random() * 8)):
                self._later(self._happen(botcode), self._sometime())
        for number in range(draw.randint(2, 36)):
            self._send(number)
        for _ in range(int(draw.random() * 3)):
            self._later(self.site.resend_something(), self._sometime())

    def _ask(self, request: Request, after: int) -> None:
        self.requests[request.name].append(request)
        self._later(self.site.ask(request), after)

    def _operate(self, botcode: str, interface: str, after: int) -> None:
        chid = next(chid for chid, granted in self._grants if granted == botcode)
        txcode = f"op{len(self.requests)}"
        if self._random.random() < 0.1 and self.requests:
            # A channel that uses one txcode for two things.
            taken = self._random.choice([requests[0] for requests in self.requests.values()])
            chid, txcode = taken.chid, taken.txcode
        request = Request(chid=chid, day="20261124", txcode=txcode, botcode=botcode, interface=interface)  # type: ignore[arg-type]
        self._ask(request, after)
        if self._random.random() < 0.2:
            self._ask(request, after + self.stage.delay(0, 3_000))

    def _send(self, number: int) -> None:
        draw = self._random
        chid, botcode = draw.choice(self._grants)
        rooms = self.wechat.accounts[botcode].rooms
        kind = draw.random()
        room_id, topic = draw.choice(list(rooms.items()))
        if kind < 0.1:
            room_id, topic = "", "no such room"
        elif kind < 0.15:
            room_id, topic = "nowhere@x", ""
        elif kind < 0.5:
            topic = ""
        else:
            room_id = ""
        request = Request(
            chid=chid,
            day="20261124" if draw.random() < 0.9 else "20261125",
            txcode=f"tx{number}" if draw.random() < 0.95 else "tx0",
            botcode=botcode,
            room_id=room_id,
            room_topic=topic,
            text=f"text {number}",
            lifetime_ms=self.stage.delay(1_000, 30_000) if draw.random() < 0.15 else None,
            wait_ms=300 if draw.random() < 0.6 else 0,
        )
        after = self._sometime()
        self._ask(request, after)
        repeat = draw.random()
        if repeat < 0.2:  # on two connections at once
            self._ask(request, after + self.stage.delay(0, 30))
        elif repeat < 0.35:  # long after it was answered
            self._ask(request, after + self.stage.delay(500, 60_000))
        elif repeat < 0.45:  # the txcode for something else
            other = Request(
                chid=chid,
                day=request.day,
                txcode=request.txcode,
                botcode=botcode,
                room_id=room_id,
                room_topic=topic,
                text=f"other {number}",
            )
            self._ask(other, max(0, after + self.stage.delay(-100, 1_000)))
        if draw.random() < 0.08:
            self._later(self.site.cancel(request), after + self.stage.delay(0, 5_000))

    def _happen(self, botcode: str) -> Steps[None]:
        """Let something happen on the WeChat side."""
        account, kind = self.wechat.accounts[botcode], self._random.random()
        if not self.stage.faults.on:
            return
        if kind < 0.2:
            self.stage.note("kicked", botcode)
            account.session = False
            account.tell_client("kicked")
        elif kind < 0.45:
            self.stage.note("connection broken", botcode)
            account.tell_client("link")
        elif kind < 0.6:
            left = next(iter(account.rooms))
            account.rooms[f"{self.stage.now}@{botcode}"] = account.rooms.pop(left)  # dissolved, and founded anew
            account.tell_client("rooms")
        else:
            draw = self._random.random
            write(self.stage, account, "你好", mentioned=draw() < 0.5, direct=draw() < 0.3)
        yield 0

    # -- the performance --------------------------------------------------------------------------------------------------------

    def perform(self) -> bool:
        """Run while things go wrong, then until all is quiet; return whether it became quiet."""
        scheduler = self.stage.scheduler
        if not scheduler.run(START + self._length, STEPS_AT_MOST):
            return False
        self.stage.faults.on = False
        self.stage.note("faults over")
        logged_out_stays = self._random.random() < 0.2
        for round_number in range(6):
            if not scheduler.run(limit=STEPS_AT_MOST):
                return False
            bots = [botcode for botcode in self.wechat.accounts if self.site.needs_login(botcode)]
            if not bots or logged_out_stays:
                break
            for botcode in bots:
                chid = next(chid for chid, granted in self._grants if granted == botcode)
                request = Request(
                    chid=chid,
                    day="20261125",
                    txcode=f"again{round_number}-{botcode}",
                    botcode=botcode,
                    interface="login",
                )
                self._ask(request, 0)
        return True

    def evidence(self, *, at_rest: bool) -> Evidence:
        """Return what the run left behind."""
        return Evidence(
            log=self.stage.log.events,
            streams=self.stage.log.streams,
            world=self.site.process.world,
            given=self.site.given,
            arrived=self.site.arrived,
            requests=self.requests,
            arrivals=self.wechat.arrivals,
            handed=self.wechat.handed,
            said=self.wechat.said,
            receipts=self.wechat.receipts,
            inboxes={botcode: account.inbox for botcode, account in self.wechat.accounts.items()},
            received=self.receivers.received,
            resent=frozenset(self.site.resent),
            decided_on=self.site.decided_on,
            ended_at=self.stage.now,
            at_rest=at_rest,
        )
