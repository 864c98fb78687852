"""One run: everybody acts while things go wrong; then nothing goes wrong any more, and it must come to rest; then it is judged."""

import asyncio
import gc
import logging
import sys
import traceback
from random import Random

from wxrc_core.channel import CallbackFormat
from wxrc_core.puppet import Capabilities
from wxrc_gateway import PuppetKind, admin
from wxrc_simulation.chance import Faults
from wxrc_simulation.clients import Clients
from wxrc_simulation.door import Door
from wxrc_simulation.loop import VirtualLoop
from wxrc_simulation.network import Network
from wxrc_simulation.operators import carry_out
from wxrc_simulation.records import BotFact, ChannelFact, Fault, GrantFact, Run
from wxrc_simulation.replica import START, Replica
from wxrc_simulation.schedule import (
    ABOUT_BOTS,
    AT_THE_DOOR,
    UNLENT,
    Ask,
    Happen,
    Item,
    Mood,
    Operate,
    Schedule,
    Strike,
    draw,
)
from wxrc_simulation.wechat import WeChat
from wxrc_store import MemoryStore

SHARDS = 4
LIFETIME_S = 10.0
REST_S = 1_500.0
"""How long a run may take to come to rest (virtual seconds)."""

STAYS_OUT_S = 120.0
"""How long a run in which no person logs the bots in again goes on at least (virtual seconds)."""

LOGINS = 40
"""How often a person logs in a bot that is not."""

FORMATS: tuple[CallbackFormat, ...] = ("form", "json", "bracket")
"""How callbacks are written, one after the other by seed and channel."""

MOVE_AFTER_S = 700.0
"""After so long an operator sets every callback URL anew, as one does with a receiver that is back."""


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def simulate(seed: int) -> Run:
    """Run one seed."""
    return play(draw(seed))


def play(schedule: Schedule) -> Run:
    """Run one plan; what it breaks stands in the result's `broken`."""
    stage = Stage(schedule)
    lines = _Lines(stage.run.log_lines)
    logger = logging.getLogger("wxrc")
    before = logger.level, logger.propagate
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    unraisable, sys.unraisablehook = sys.unraisablehook, lambda _: None
    collects = gc.isenabled()
    gc.disable()  # dead processes must not be collected while the run goes on: their `finally` blocks would run
    try:
        stage.loop.run_until_complete(stage.main())
    except Exception:
        stage.run.escaped.append(traceback.format_exc())
    finally:
        stage.collect()
        stage.end()
        logger.removeHandler(lines)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        from wxrc_simulation.promises import broken

        stage.run.broken = broken(stage.run)
        stage.loop.forget_tasks()
        asyncio.set_event_loop(None)
        if collects:
            gc.enable()
        sys.unraisablehook = unraisable
    return stage.run


class Stage:
    """Everybody and everything of one run."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.loop = VirtualLoop(Random(f"order {schedule.seed}"))  # noqa: S311
        asyncio.set_event_loop(None)
        self.run = Run(schedule.seed, schedule.encode())
        self.faults = Faults(schedule.seed, schedule.rates, lambda name: self._fault(name))
        self.wechat = WeChat(self.loop, self.run, self.faults.at("wechat"))
        self.network = Network(self.loop, self.run, self.faults.at("network"))
        self.store = MemoryStore(shards=SHARDS, lifetime=LIFETIME_S, clock=self.loop.time)
        self.run.store = self.store
        self.replicas = [
            Replica(
                f"r{number}",
                loop=self.loop,
                run=self.run,
                faults=self.faults,
                store=self.store,
                wechat=self.wechat,
                network=self.network,
                drift_ppm=schedule.drifts[number],
                answer_wait_ms=schedule.answer_wait_ms,
                appended=self._appended,
            )
            for number in range(schedule.replicas)
        ]
        self.clients = Clients(self.loop, self.run, self.faults, self.replicas)
        self.door = Door(schedule, self.run, self.clients, self.network)
        self.door.restored = not any(
            isinstance(each, Operate) and each.action in AT_THE_DOOR + ABOUT_BOTS for each in schedule.items
        )
        self._hosts = 0
        self.wechat.read_digits = self._type_digits
        self.clients.shown = lambda botcode: self.wechat.phones[botcode].digits
        self._typed = 0

    def now(self) -> int:
        """True ms since the run began."""
        return int(self.loop.time() * 1000)

    def _fault(self, kind: str, detail: str = "") -> None:
        self.run.faults.append(Fault(self.now(), kind, detail))

    def _appended(self, position: int, count: int, author: str = "", seen: int = 0, begun: float = 0.0) -> None:
        for each in range(position, position + count):
            if each not in self.run.appended:
                self.run.appended[each] = self.now()
                self.run.authors[each] = author
                self.run.seen[each] = seen
                self.run.begun[each] = int(begun * 1000)

    # -- the plot ---------------------------------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Play the plan."""
        await self.store.__aenter__()  # never closed: what is on its way arrives by it
        await self._set_up(self.store)
        for replica in self.replicas:
            replica.start()
        for item in self.schedule.items:
            self.loop.outside(item.at / 1000, self._begin, item)
        await asyncio.sleep(self.schedule.length / 1000)
        self._heal()
        self.run.healed_at = self.now()
        self.run.quiet = await self._rest()

    def collect(self) -> None:
        """Take down how things stand at the end, also where it came early."""
        self.run.ended_at = self.now()
        self.run.log = [each for each in self.store._data.log if each is not None]
        self.run.shards = SHARDS
        self.run.vault = list(self.store.vault._secrets)
        self.run.snapshots = [each for kept in self.store._data.snapshots.values() for each in kept]
        self.run.worlds = [
            (each.process.name, each.gateway.world) for each in self.replicas if each.serving and each.gateway
        ]

    async def _set_up(self, store: MemoryStore) -> None:
        vault, chance = store.vault, Random(f"setting {self.schedule.seed}")  # noqa: S311
        for plan in self.schedule.bots:
            self.wechat.add(plan)
            can = Capabilities(contacts=True, pace=plan.pace, deduplicates=plan.deduplicates)
            kind = PuppetKind(lambda context: None, can)  # type: ignore[arg-type, return-value]
            await admin.add_bot(store, vault, plan.botcode, "simulated", kind, at=START, chance=chance)
            self.run.bots[plan.botcode] = BotFact(
                plan.botcode,
                plan.pace,
                plan.deduplicates,
                f"wxid_{plan.botcode}",
            )
        await admin.add_bot(store, vault, UNLENT, "simulated", kind, at=START, chance=chance)
        for number, channel in enumerate(self.schedule.channels):
            form = FORMATS[(self.schedule.seed + number) % len(FORMATS)]
            url = self.host(channel.chid) if channel.callback else ""
            made = await admin.add_channel(
                store,
                vault,
                channel.chid,
                at=START,
                callback_url=url,
                callback_format=form,
                allow_private=True,
                chance=chance,
            )
            receiver = self.network.receivers.get(channel.chid)
            if receiver is not None:
                receiver.keys, receiver.webhook_secrets = [made.key], [made.webhook_secret]
            self.run.made |= {f"{channel.chid} key": made.key, f"{channel.chid} secret": made.webhook_secret}
            self.clients.keys[channel.chid] = made.key
            self.run.secrets += [made.key, made.webhook_secret]
            self.run.channels.append(ChannelFact(0, channel.chid, url, 0))
            for botcode, on_doubt, inbound in channel.grants:
                await admin.grant_bot(store, channel.chid, botcode, at=START, on_doubt=on_doubt, inbound=inbound)  # type: ignore[arg-type]
                self.run.grants.append(GrantFact(0, channel.chid, botcode, on_doubt, inbound, 0))  # type: ignore[arg-type]
        self._appended(1, len(store._data.log))

    def host(self, chid: str) -> str:
        """Return the URL of a new place for a channel's receiver."""
        self._hosts += 1
        host = f"{chid}-{self._hosts}.example"
        self.network.add(chid, host)
        return f"http://{host}/"

    def _begin(self, item: Item) -> None:
        match item:
            case Ask():
                self.loop.spawn(self.clients.ask(item))
                for after in item.repeats:
                    self.loop.outside(after / 1000, lambda: self.loop.spawn(self.clients.ask(item)))
            case Happen(botcode=botcode, how=how, room=room):
                self._fault(how, botcode)
                self.wechat.happen(botcode, how, room)
            case Mood(chid=chid, how=how, lasts=lasts):
                receiver = self.network.receivers.get(chid)
                if receiver is not None:
                    self._fault(f"receiver {how}", chid)
                    receiver.mood = how
                    self.loop.outside(lasts / 1000, self._cheer_up, chid, how)
            case Strike():
                self._strike(item)
            case Operate():
                self.loop.spawn(self._operate(item))

    def _type_digits(self, botcode: str, digits: str) -> None:
        """A person reads digits off a phone and has the business system hand them over, mistyped sometimes."""
        self._typed += 1
        chance = self.faults.at(f"digits {self._typed}")
        typed = f"{(int(digits) + 1) % 1_000_000:06}" if chance.strikes("wrong digits") else digits
        item = Ask(self.now(), self._holder(botcode), botcode, "loginCode", f"digits{self._typed}", typed)
        self.loop.outside(chance.seconds(0.2, 3.0), lambda: self.loop.spawn(self.clients.ask(item)))

    def _cheer_up(self, chid: str, how: str) -> None:
        receiver = self.network.receivers[chid]
        if receiver.mood == how:
            receiver.mood = ""

    def _strike(self, strike: Strike) -> None:
        replica = self.replicas[strike.replica]
        process, seconds = replica.process, strike.amount / 1000
        self._fault(strike.how, replica.name)
        if strike.how == "step":
            replica.offset += strike.amount
        elif strike.how == "cut off":
            replica.cut_off(True)
            self.loop.outside(seconds, replica.cut_off, False)
        elif strike.how == "deaf":
            replica.deafen(True)
            self.loop.outside(seconds, replica.deafen, False)
        elif strike.how == "stall":
            replica.stall(seconds, "claim" if strike.amount % 2 else "any")
        elif strike.how == "freeze":
            replica.freeze(seconds)
        elif not process.alive:
            return
        elif strike.how == "crash":
            process.countdown = strike.amount
        elif strike.how == "pause":
            process.paused = True
            self.loop.outside(seconds, self.loop.go_on, process)
        elif strike.how == "leave":
            replica.leave()

    async def _operate(self, item: Operate) -> None:
        """Have an operator do something by way of a replica that serves; what does not work is left."""
        serving = [each for each in self.replicas if each.serving and each.process.alive]
        if serving:
            replica = serving[int(item.value) % len(serving)]
            self._fault(f"operator {item.action}")
            self.loop.spawn(carry_out(self, item, replica), replica.process)

    # -- coming to rest ---------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """Nothing goes wrong any more."""
        self.faults.on = False
        for receiver in self.network.receivers.values():
            receiver.mood = ""
        for replica in self.replicas:
            replica.offset = 0
            replica.cut_off(False)
            replica.deafen(False)
            if replica.store is not None:
                replica.store.stall = replica.store.freeze = None
            replica.process.countdown = None
            if replica.process.paused:
                self.loop.go_on(replica.process)

    async def _rest(self) -> bool:
        """Wait until nothing is left to do; return whether it came to that."""
        began, rounds, moved = self.loop.time(), 0, False
        stays_out = self.schedule.seed % 7 == 0
        while self.loop.time() - began < REST_S:
            await asyncio.sleep(2)
            if not all(each.serving for each in self.replicas) or self.clients.asking:
                continue
            if not self.door.restored:
                await self._operate(Operate(0, "restore", value="0"))
                continue
            bots = [code for code in self.wechat.phones if not self._ready(code) and not self._removed(code)]
            if bots and not stays_out and rounds < LOGINS:
                rounds += 1
                for botcode in bots:
                    self._begin(Ask(0, self._holder(botcode), botcode, "login", f"again{rounds}-{botcode}"))
                await asyncio.sleep(15)
                continue
            if stays_out and self.loop.time() - began < STAYS_OUT_S:
                continue  # a client that is meant to run may still come back
            if self._quiet():
                await asyncio.sleep(13)  # what was decided while things still went wrong may come only now
                if self._quiet() and (stays_out or rounds >= LOGINS or not bots):
                    return True
            if not moved and self.loop.time() - began > MOVE_AFTER_S:
                moved = True
                for chid in self.network.receivers:
                    await self._operate(Operate(0, "move", chid, value="0"))
        return False

    def _holder(self, botcode: str) -> str:
        return next(each.chid for each in self.schedule.channels if any(grant[0] == botcode for grant in each.grants))

    def _ready(self, botcode: str) -> bool:
        gateway = self.replicas[0].gateway
        the_bot = gateway.bot(botcode) if gateway is not None else None
        return the_bot is not None and the_bot.ready and the_bot.rooms_complete

    def _removed(self, botcode: str) -> bool:
        gateway = self.replicas[0].gateway
        return gateway is not None and gateway.view.bot_removed(botcode)

    def _quiet(self) -> bool:
        head = len(self.store._data.log)
        for replica in self.replicas:
            assert replica.gateway is not None
            world = replica.gateway.world
            if world.position != head or world.deliveries:
                return False
            if any(each.operations for each in world.bots.values()):
                return False
            for open_message in world.messages.values():
                botcode = open_message.state.queued.botcode
                if self._ready(botcode) or self._removed(botcode):
                    return False
            for botcode in filter(self._removed, self.wechat.phones):
                if world.view.bots[botcode].state.pending_exit or any(world.view.grants(botcode)):
                    return False
        return True

    def end(self) -> None:
        """Kill everything that still runs."""
        for replica in self.replicas:
            replica.process.on_crash = lambda: None
            replica.process.kill()
        self.loop.close()
