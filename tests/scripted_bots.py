"""Bot `demo` with a scripted client, in virtual time."""

from typing import Any

import anyio

from wxrc_core.testing.scripted import ScriptedClient
from wxrc_gateway import Gateway, PuppetKind


def kinds(client: ScriptedClient) -> dict[str, PuppetKind]:
    """Return the scripted client as a kind of puppet."""
    return {"scripted": PuppetKind(client.create, client.capabilities)}


async def until(there: Any) -> None:
    """Wait until something is so, at most for an hour of virtual time."""
    with anyio.fail_after(300):
        while not there():
            await anyio.sleep(0.1)


async def up(gateway: Gateway) -> None:
    """Have bot `demo` made and logged in, with its rooms."""
    if gateway.bot("demo") is None:
        await gateway.add_bot("demo", "scripted")
    await gateway.login("demo")
    await ready(gateway)


async def ready(gateway: Gateway) -> None:
    """Wait until bot `demo` can send."""
    await until(lambda: (found := gateway.bot("demo")) is not None and found.ready and found.rooms_complete)


def texts(client: ScriptedClient) -> list[str]:
    """Return what was handed over, in order."""
    return [handed.outgoing.text for handed in client.handed]
