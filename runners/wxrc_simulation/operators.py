"""What operators do in a run."""

from typing import TYPE_CHECKING, Literal

from wxrc_core import message
from wxrc_core.errors import WxrcError
from wxrc_gateway.callbacks import Selection
from wxrc_gateway.doubts import resolve
from wxrc_simulation.clients import DAY
from wxrc_simulation.records import ChannelFact, GrantFact
from wxrc_simulation.replica import Replica
from wxrc_simulation.schedule import (
    ABOUT_BOTS,
    AT_THE_DOOR,
    Operate,
)

if TYPE_CHECKING:
    from wxrc_simulation.run import Stage


async def carry_out(stage: "Stage", item: Operate, replica: Replica) -> None:
    """Do what an operator was to do, by way of this replica, and take it down for the judges; what does not work is left."""
    gateway, at = replica.gateway, stage.now()
    assert gateway is not None
    try:
        if item.action == "grant":
            generous = bool(int(item.value) % 2)
            on_doubt: Literal["leave", "resend"] = "resend" if generous else "leave"
            inbound: Literal["addressed", "all"] = "all" if generous else "addressed"
            number = len(stage.run.grants)
            stage.run.grants.append(GrantFact(at, item.chid, item.botcode, on_doubt, inbound, None))
            await gateway.grant_bot(item.chid, item.botcode, on_doubt=on_doubt, inbound=inbound)
            stage.run.grants[number] = GrantFact(at, item.chid, item.botcode, on_doubt, inbound, stage.now())
        elif item.action == "move" and item.chid in stage.network.receivers:
            url, number = stage.host(item.chid), len(stage.run.channels)
            stage.run.channels.append(ChannelFact(at, item.chid, url, None))
            await gateway.move_callback(item.chid, url, allow_private=True)
            stage.run.channels[number] = ChannelFact(at, item.chid, url, stage.now())
        elif item.action in AT_THE_DOOR + ABOUT_BOTS:
            await stage.door.change(item, gateway)
        elif item.action == "restore":
            await stage.door.restore(gateway)
        elif item.action == "channel":
            await gateway.add_channel(f"new{item.value}")
        elif item.action == "bot":
            await gateway.add_bot(f"spare{item.value}", "simulated")
        elif item.action == "retry":
            await gateway.callbacks.retry(item.chid)
        elif item.action == "replay":
            await gateway.callbacks.replay(Selection(chid=item.chid), delivered=int(item.value) % 3 > 0)
        elif item.action == "cancel":
            stream = message.stream_name(item.chid, DAY, item.txcode)
            stage.run.cancelled.add(stream)
            await gateway.execute(stream, message.Cancel(at=gateway.clock()))
        elif item.action == "resend":
            for stream in list(gateway.world.doubts)[:1]:
                stage.run.resends.add(stream)
                await resolve(gateway, gateway.world.doubts[stream][0], "resend", by="ops")
        elif item.action == "fail":
            for stream in list(gateway.world.doubts)[:1]:
                stage.run.given_up.add(stream)
                await resolve(gateway, gateway.world.doubts[stream][0], "failed", by="ops")
        elif item.action == "confirm":
            for stream in list(gateway.world.doubts)[:1]:
                stage.run.vouched.add(stream)
                await resolve(gateway, gateway.world.doubts[stream][0], "sent", by="ops")
    except WxrcError as error:
        stage.run.trace.append(f"{stage.now()} operator: {type(error).__name__}")
