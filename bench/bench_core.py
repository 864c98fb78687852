"""Figures of the core: `python bench/bench_core.py [--lives N]`.

How many events a second `evolve` takes, how many commands `decide`, and how many recorded events a `World` folds, in one process, on one
thread. The mix is that of a busy gateway: messages on their whole way (most are sent, some are retried, rejected, in doubt, not found),
one delivery for each, and now and then a bot that logs in, syncs its rooms and drops. Then what must not grow: `next_claim` with one
room waiting and with 5,000, and the fold of what somebody says with one channel and with 5,000. Medians of interleaved passes.
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from wxrc_core import aggregate, message
from wxrc_core.aggregate import Command, State
from wxrc_core.effects import Claim, Post, Wake
from wxrc_core.log import Event, Recorded
from wxrc_core.puppet import (
    NotSent,
    Rejected,
    ReportLinkLost,
    ReportMessage,
    ReportQrCode,
    ReportScanned,
    Room,
    Unconfirmed,
)
from wxrc_core.testing.story import Story
from wxrc_core.world import World

PASSES = 9
MANY = 5_000
GOALS = {"evolve": 3_000_000, "decide": 500_000}
"""What is asked for, per second."""


class Script(Story):
    """A story that notes what was evolved and decided, with the state that it began from."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Begin."""
        self.evolves: list[tuple[State | None, Event]] = []
        self.decides: list[tuple[State | None, Command]] = []
        super().__init__(*args, **options)

    def do(self, stream: str, command: Command) -> list[Wake]:
        """Do it, and note it."""
        self.decides.append((self.state(stream), command))
        return super().do(stream, command)

    def record(self, stream: str, *events: Event) -> list[Wake]:
        """Record, and note it."""
        state = self.state(stream)
        for event in events:
            self.evolves.append((state, event))
            state = aggregate.evolve(state, event)
        return super().record(stream, *events)

    def bot_life(self, botcode: str) -> None:
        """Tell a bot's life: added, logged in by scan, rooms, dropped and back."""
        rooms = [Room(f"{index}@chatroom", f"客服 {index} 群") for index in range(50)]
        self.add_bot(botcode)
        self.grant(botcode=botcode)
        self.take_over(botcode)
        self.operate("login", f"login-{botcode}", botcode=botcode)
        self.settle(botcode)
        self.report(ReportQrCode(at=self.wall, text="https://wx.example/qr/1", expires_at=self.wall + 120_000), botcode)
        self.report(ReportScanned(at=self.wall), botcode)
        self.log_in(botcode, rooms=rooms)
        self.report(ReportLinkLost(at=self.wall, reason="the connection broke"), botcode)
        self.log_in(botcode, rooms=rooms)

    def message_life(self, number: int, botcode: str) -> None:
        """Tell a message's life and that of its callback: 80 in 100 are simply sent."""
        kind, txcode = number % 100, f"tx{number:012d}"
        on_doubt, topic = ("resend" if kind == 99 else "leave"), ("没有这个群" if kind >= 97 else "")
        self.queue(txcode, botcode=botcode, room_id="" if topic else "1@chatroom", room_topic=topic, on_doubt=on_doubt)
        if kind >= 97:
            pass
        elif kind >= 95:
            self.send(Rejected("this content is not liked"), botcode)
        elif kind >= 92:
            claim = self.send(Unconfirmed("no answer"), botcode)
            self.do(claim.stream, message.Confirm(at=self.wall, receipt=f"wx{number}"))
        elif kind >= 80:
            self.send(NotSent("not connected", retry=True), botcode)
            self.wait(60_000)
            self.send(None, botcode)
        else:
            if number % 10 == 0:
                self.queue(txcode, botcode=botcode, room_id="1@chatroom")  # the channel asks again
            self.send(None, botcode)
        self.settle(botcode)
        self.callbacks(botcode, fail=number % 5 == 0)

    def callbacks(self, botcode: str, *, fail: bool) -> None:
        """Post what is due; `fail`: the first attempt is not acknowledged."""
        for control in (True, False):
            while isinstance(self.next_post(control=control, botcode=botcode), Post):
                post = self.begin_post(control=control, botcode=botcode)
                if fail:
                    self.miss(post)
                    self.wait(3_600_000)
                else:
                    self.acknowledge(post)
                fail = False


def script(lives: int) -> Script:
    """Tell it all: a bot for every 200 messages and their deliveries."""
    told = Script(wall=1_790_000_000_000, mono=1)
    told.add_channel()
    for number in range(lives):
        if number % 200 == 0:
            told.bot_life(f"bot{number // 200}")
        told.message_life(number, f"bot{number // 200}")
        told.wait(1)
    return told


def rate(function: Callable[[Any, Any], object], pairs: list[tuple[Any, Any]]) -> float:
    """Return calls a second."""
    start = time.perf_counter()
    for state, what in pairs:
        function(state, what)
    return len(pairs) / (time.perf_counter() - start)


def fold_rate(log: list[Recorded]) -> float:
    """Return events a second that a new world folds."""
    world = World()
    start = time.perf_counter()
    for recorded in log:
        world.fold(recorded, 1)
    return len(log) / (time.perf_counter() - start)


def claim_us(rooms: int) -> float:
    """Return how long `next_claim` takes with a message waiting in each of so many rooms, in us: a median over 1,000 that are sent."""
    told = Story.with_bot()
    told.log_in(rooms=[Room(f"r{index}", f"{index} 群") for index in range(rooms)])
    for number in range(max(rooms, 2_000)):
        told.queue(f"{number}", room_id=f"r{number % rooms}")
    took = []
    for _ in range(1_000):
        start = time.perf_counter()
        claim = told.next_claim()
        took.append(time.perf_counter() - start)
        assert isinstance(claim, Claim)
        told.send()
    return statistics.median(took) * 1e6


def inbound_us(channels: int) -> float:
    """Return how long the fold of what somebody says takes, with one channel that may use the bot among so many, in us."""
    told = Story.with_bot()
    for number in range(channels - 1):
        told.add_channel(f"ch{number}")
    told.log_in()
    took = []
    for number in range(2_000):
        said = ReportMessage(at=told.wall, message_id=f"m{number}", kind="text", from_id="u1", text="在吗")
        start = time.perf_counter()
        told.report(said)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Figures of the core.")
    parser.add_argument("--lives", type=int, default=20_000, help="messages, each with a delivery (default 20,000)")
    lives: int = parser.parse_args().lives
    told = script(lives)
    rates: dict[str, list[float]] = {"evolve": [], "decide": [], "World.fold": []}
    gc.collect()
    gc.freeze()
    for _ in range(PASSES):
        rates["evolve"].append(rate(aggregate.evolve, told.evolves))
        rates["decide"].append(rate(aggregate.decide, told.decides))
        rates["World.fold"].append(fold_rate(told.log))
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"{lives} messages: {len(told.log)} events, {len(told.decides)} commands; medians of {PASSES} passes, per s")
    for name, passes in rates.items():
        median = statistics.median(passes)
        goal = GOALS.get(name)
        verdict = f"goal {goal:,}: {'reached' if median >= goal else 'MISSED'}" if goal else ""
        print(f"{name:<14} {median:>12,.0f}   (from {min(passes):,.0f} to {max(passes):,.0f})   {verdict}".rstrip())
    for name, measure in {"next_claim, rooms": claim_us, "inbound, channels": inbound_us}.items():
        few, many = measure(1), measure(MANY)
        print(f"{name:<20} 1: {few:.1f} us   {MANY:,}: {many:.1f} us   difference {many - few:+.1f} us")


if __name__ == "__main__":
    main()
