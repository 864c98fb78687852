"""Several gateways on one JetStream cluster (`tests.replicas`): who takes over, and that nothing is sent twice."""

import os
from pathlib import Path

import anyio
import pytest

from tests.nats import NatsCluster
from tests.replicas import end_owner, handle, judge, kinds, log_in, progress, replicas, send_on
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_gateway import Gateway

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ENDS = ("kill", "terminate") if "WXRC_KILLS" in os.environ else ("kill",)
"""How the owner ends, one after the other. What a gateway does when it is told to end is the same on every store."""


@pytest.fixture
def anyio_backend() -> str:
    """Replicas are processes of their own; what runs them is chosen there."""
    return "asyncio"


async def test_takeover(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    """A replica that is killed with -9 under load is followed by another within one and a half lifetimes, and so is one that is told
    to end (`make soak`); nothing is sent twice, and what the killed one was handing over is in doubt.
    """
    url, handed, sent = nats_cluster.url(), tmp_path / "handed", []
    left = ["one", "two", "three"][: len(ENDS) + 1]
    with replicas(url, handed, *left) as processes:
        async with Gateway(store=handle(url), puppets=kinds(ScriptedClient()), passive=True) as gateway:
            await log_in(gateway)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, gateway, sent)
                for end in ENDS:
                    name = await end_owner(gateway, processes, left, sent, end)
                await progress(sent)
                tasks.cancel_scope.cancel()
            doubtful = await judge(gateway, sent, handed)
        if ENDS[-1] == "terminate":
            assert 0 == processes[name].wait(60)

    assert doubtful <= 1
