"""How cost grows with the number of bots: messages a second through a whole gateway, from acceptance to the recorded receipt.

The store is in memory and the puppet answers at once, so that what is measured is the gateway: append, follow, dispatch, hand over, settle.

    python bench/bench_bots.py [--messages N] [--passes N]
"""

import argparse
import os
import platform
import resource
import statistics
import time
from typing import ClassVar

import anyio

from wxrc_core.puppet import Accepted, Capabilities, Outgoing, ReportLoggedIn, ReportRooms, Room, SendOutcome
from wxrc_gateway import Gateway, PuppetKind
from wxrc_puppet.port import PuppetContext, ReportTo
from wxrc_store import MemoryStore


class InstantPuppet:
    """A WeChat that accepts everything at once."""

    capabilities: ClassVar[Capabilities] = Capabilities(pace="none")

    def __init__(self, context: PuppetContext) -> None:
        self._context = context

    async def run(self, report: ReportTo) -> None:
        """Log in at once, with one room."""
        await report(ReportLoggedIn(at=1, wxid=self._context.botcode, name=self._context.botcode))
        await report(ReportRooms(at=1, rooms=(Room("1@chatroom", "room"),), complete=True))
        await anyio.sleep_forever()

    async def send(self, message: Outgoing) -> SendOutcome:
        """Accept."""
        return Accepted(str(message.msgid))

    async def submit_digits(self, digits: str) -> None:
        """Nothing asks for digits."""

    async def sign_out(self) -> None:
        """Nothing is kept."""

    async def release(self) -> None:
        """Nothing is kept."""


async def measure(bots: int, messages: int) -> float:
    """Send so many messages, spread over so many bots; return messages a second."""
    kind = PuppetKind(InstantPuppet, InstantPuppet.capabilities)
    async with Gateway(store=MemoryStore(), puppets={"instant": kind}) as gateway:
        names = [f"bot{number}" for number in range(bots)]
        for name in names:
            await gateway.add_bot(name, "instant")
            await gateway.login(name)
        async for _ in gateway.events(after=0):
            if (
                all(held.state.client.rooms_complete for held in gateway.world.bots.values())
                and len(gateway.world.bots) == bots
            ):
                break
        begun = time.perf_counter()
        turn = iter(range(messages))

        async def channel() -> None:
            for number in turn:
                await gateway.send_text(names[number % bots], "你好", room="room", wait_s=60)

        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(channel)
        return messages / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--passes", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    first = 0.0
    for bots in (1, 10, 100, 1_000):
        rate = statistics.median(anyio.run(measure, bots, arguments.messages) for _ in range(arguments.passes))
        first = first or rate
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{bots:>5} bots   median {rate:>7,.0f} messages/s   {rate / first:4.2f} of one bot   peak {peak:,.0f} MiB so far"
        )


if __name__ == "__main__":
    main()
