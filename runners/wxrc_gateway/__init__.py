"""The anyio runner: what other applications embed, and what the service is made of.

    async with Gateway(store=SqliteStore("wxrc.db"), puppets={"simulator": kind}) as gateway:
        await gateway.add_bot("demo", "simulator")
        await gateway.login("demo")
        record = await gateway.send_text("demo", "你好", room="客服一群", wait_s=5)

It runs the same under asyncio and trio. To follow a message: `gateway`, `message_calls` and `_requests` accept it, `_ledger` folds it,
`_images` fetches its image, `_sending` claims it and hands it to the puppet that `_client` runs, `_callbacks` tells the channel; `_bot`
has the loops of one bot, `_ownership` says which bots are ours.
"""

from wxrc_gateway._health import Health, NotEntered
from wxrc_gateway.admin import ChannelSecrets, NewSecret, PuppetKind, add_bot, add_channel, grant_bot
from wxrc_gateway.admin_token import NewToken
from wxrc_gateway.admin_values import ChannelSettings, GrantTerms
from wxrc_gateway.gateway import Gateway

__all__ = [
    "ChannelSecrets",
    "ChannelSettings",
    "Gateway",
    "GrantTerms",
    "Health",
    "NewSecret",
    "NewToken",
    "NotEntered",
    "PuppetKind",
    "add_bot",
    "add_channel",
    "grant_bot",
]
