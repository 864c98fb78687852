"""Figures of the core: `python bench/bench_core.py [--lives N]`.

How many events a second `evolve` takes, how many commands `decide`, and how many recorded events a `World` folds (live, with what must be
done about them; and in a replay), in one process, on one thread. The mix is that of a busy gateway: messages on their whole way (most
are sent, some are retried, rejected, in doubt, not found), one delivery for each, and now and then a bot that logs in, syncs its rooms and
drops. Medians of interleaved passes.
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from wxrc_core import aggregate, bot, channel, delivery, message
from wxrc_core.log import Recorded
from wxrc_core.puppet import (
    Accepted,
    NotSent,
    Rejected,
    ReportLinkLost,
    ReportLoggedIn,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
    Room,
    Unconfirmed,
)
from wxrc_core.world import World

PASSES = 9
GOALS = {"evolve": 800_000, "decide": 500_000}
"""What is asked for, per second."""

Step = tuple[str, Any]
"""A stream and the command that it takes."""


def message_life(number: int) -> Iterator[Step]:
    """Give out the commands of one message: 80 in 100 are simply sent."""
    stream = message.stream_name("shop", "20261124", f"tx{number:012d}")
    kind = number % 100
    at = 1_790_000_000_000 + number
    queued = message.MessageQueued(
        at=at,
        chid="shop",
        botcode="bot1",
        txcode=f"tx{number:012d}",
        interface="roomSendText",
        digest="0123456789abcdef" * 4,
        room_topic="客服一群",
        text=f"您好，您的订单 {number} 已经发货，预计明天送达。",
        on_doubt="resend" if kind == 99 else "leave",
    )
    yield stream, message.Queue(queued)
    if kind >= 97:
        yield stream, message.NoRoom(at=at)
        return
    yield stream, message.Attempt(at=at, attempt=1, room_id="r1")
    if kind >= 95:
        yield stream, message.Settle(at=at, attempt=1, outcome=Rejected("this content is not liked"))
        return
    if kind >= 92:
        yield stream, message.Settle(at=at, attempt=1, outcome=Unconfirmed("no answer"))
        yield stream, message.Confirm(at=at, receipt=f"wx{number}")
        return
    attempt = 1
    if kind >= 80:
        yield stream, message.Settle(at=at, attempt=1, outcome=NotSent("not connected", retry=True))
        yield stream, message.Attempt(at=at, attempt=2, room_id="r1")
        attempt = 2
    if number % 10 == 0:
        yield stream, message.Queue(queued)  # the channel asks again
    yield stream, message.Settle(at=at, attempt=attempt, outcome=Accepted(f"wx{number}"))


def delivery_life(number: int) -> Iterator[Step]:
    """Give out the commands of one callback: every fifth is not acknowledged at first."""
    stream, at = delivery.stream_name(number, "shop"), 1_790_000_000_000 + number
    body = f'{{"botcode":"bot1","type":"sendStatus","msgid":{number},"sendStatus":"1","seq":{number},"time":{at}}}'
    due = delivery.DeliveryDue(at=at, chid="shop", botcode="bot1", kind="sendStatus", body=body)
    yield stream, delivery.Create(due)
    attempt = 1
    if number % 5 == 0:
        yield stream, delivery.Attempt(at=at, attempt=1)
        yield stream, delivery.Miss(at=at, attempt=1, reason="HTTP 500", jitter=0.5)
        attempt = 2
    yield stream, delivery.Attempt(at=at, attempt=attempt)
    yield stream, delivery.Succeed(at=at, attempt=attempt)


def bot_life(number: int) -> Iterator[Step]:
    """Give out the commands of one bot: added, logged in by scan, rooms, dropped and back."""
    botcode, at = f"bot{number}", 1_790_000_000_000 + number
    stream = bot.stream_name(botcode)
    rooms = tuple(Room(f"{index}@chatroom", f"客服 {index} 群") for index in range(50))
    yield stream, bot.Add(bot.BotAdded(at=at, botcode=botcode, puppet="simulator", pace="none"))
    yield stream, bot.RequestLogin(at=at, operation=number + 1)
    report = ReportQrCode(at=at, text="https://wx.example/qr/1", expires_at=at + 120_000)
    yield stream, bot.ShowQrCode(report=report, image_url="/qr/1.png")
    yield stream, ReportScanned(at=at)
    yield stream, ReportLoggedIn(at=at, wxid=f"wxid_{number}", name="客服")
    yield stream, ReportRooms(at=at, rooms=rooms, complete=True)
    yield stream, ReportLinkLost(at=at, reason="the connection broke")
    yield stream, ReportLoggedIn(at=at, wxid=f"wxid_{number}", name="客服")
    yield stream, ReportRooms(at=at, rooms=rooms, complete=True)


def script(lives: int) -> Iterator[Step]:
    """Give out all commands: a bot for every 200 messages and their deliveries."""
    for number in range(lives):
        if number % 200 == 0:
            yield from bot_life(number // 200)
        yield from message_life(number)
        yield from delivery_life(number)


def play(lives: int) -> tuple[list[Recorded], list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """Play the script once; return the log, (state, event) for each evolve and (state, command) for each decide."""
    added = channel.ChannelAdded(
        at=0, chid="shop", key_id="k", webhook_secret_id="w", callback_url="https://shop.example/"
    )
    granted = channel.BotGranted(at=0, botcode="bot1")
    log = [Recorded(1, "channel/shop", 1, added), Recorded(2, "channel/shop", 2, granted)]
    states: dict[str, tuple[Any, int]] = {}
    evolves, decides = [], []
    for stream, command in script(lives):
        state, version = states.get(stream, (None, 0))
        decides.append((state, command))
        for event in aggregate.decide(state, command):
            version += 1
            evolves.append((state, event))
            state = aggregate.evolve(state, event)
            log.append(Recorded(len(log) + 1, stream, version, event))
        states[stream] = state, version
    return log, evolves, decides


def rate(function: Callable[[Any, Any], object], pairs: list[tuple[Any, Any]]) -> float:
    """Return calls a second."""
    start = time.perf_counter()
    for state, what in pairs:
        function(state, what)
    return len(pairs) / (time.perf_counter() - start)


def fold_rate(log: list[Recorded], *, replay: bool) -> float:
    """Return events a second that a new world folds."""
    world = World()
    start = time.perf_counter()
    if replay:
        world.replay(log)
    else:
        for recorded in log:
            world.fold(recorded)
    return len(log) / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Figures of the core.")
    parser.add_argument("--lives", type=int, default=20_000, help="messages, each with a delivery (default 20,000)")
    lives: int = parser.parse_args().lives
    log, evolves, decides = play(lives)
    rates: dict[str, list[float]] = {"evolve": [], "decide": [], "World.fold": [], "World.replay": []}
    gc.collect()
    gc.freeze()
    for _ in range(PASSES):
        rates["evolve"].append(rate(aggregate.evolve, evolves))
        rates["decide"].append(rate(aggregate.decide, decides))
        rates["World.fold"].append(fold_rate(log, replay=False))
        rates["World.replay"].append(fold_rate(log, replay=True))
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"{lives} messages: {len(log)} events, {len(decides)} commands; medians of {PASSES} passes, per second")
    for name, passes in rates.items():
        median = statistics.median(passes)
        goal = GOALS.get(name)
        verdict = f"goal {goal:,}: {'reached' if median >= goal else 'MISSED'}" if goal else ""
        print(f"{name:<14} {median:>12,.0f}   (from {min(passes):,.0f} to {max(passes):,.0f})   {verdict}".rstrip())


if __name__ == "__main__":
    main()
