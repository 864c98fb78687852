"""A Wechaty puppet that runs against the test gateway, for the tests of the puppet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

from tests.wechaty import GatewayProcess
from wxrc_core.puppet import Outgoing, ReportLoggedIn, ReportQrCode, ReportRooms, Room
from wxrc_core.testing.puppet_driver import LIMIT, Client, MemorySlot
from wxrc_puppet.port import PuppetContext, PuppetError
from wxrc_puppet.wechaty import WechatyPuppet

ORDERS = Room("1001@chatroom", "订单群")
DUTY = Room("1002@chatroom", "值班群")


@define
class Life(Client):
    """A running puppet, with what its `run` raised."""

    failure: PuppetError | None = field(default=None)

    async def failed(self) -> str:
        """Wait until `run` has raised, and return the sentence."""
        await self.ended.wait()
        assert self.failure is not None
        return str(self.failure)


def puppet(options: dict[str, str]) -> WechatyPuppet:
    """Make a puppet with these options and a clock of its own."""
    clock = iter(range(1_700_000_000_000, 1_800_000_000_000)).__next__
    context = PuppetContext(
        botcode="bot",
        options=options,
        session=MemorySlot(),
        clock=clock,
        login_kind="web",
        public_url="http://127.0.0.1:8080",
    )
    return WechatyPuppet(context)


@asynccontextmanager
async def living(options: dict[str, str], **more: str) -> AsyncIterator[Life]:
    """Run a puppet with these options; what it raises is kept."""
    life = Life(puppet(options | more))

    async def run() -> None:
        try:
            await life.puppet.run(life.take)
        except PuppetError as failure:
            life.failure = failure
        life.ended.set()

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield life
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def online(gateway: GatewayProcess, **more: str) -> AsyncIterator[Life]:
    """Run a puppet and wait until it is logged in and its rooms are known."""
    async with living(gateway.options, **more) as life:
        if isinstance(await life.until_any(ReportQrCode, ReportLoggedIn), ReportQrCode):
            gateway.do("confirm")
        await life.until(ReportRooms, lambda rooms: rooms.complete)
        yield life


def text(words: str, **more: Any) -> Outgoing:
    """A text on its way to the room of orders."""
    return Outgoing(**({"msgid": 1, "attempt": 1, "room_id": ORDERS.id, "text": words} | more))
