"""The admin API for channels, grants, bots and tokens: the same calls as those of `wxrc channel`, `wxrc bot` and `wxrc token`.

Every change answers with how things are after it. A new KEY, webhook secret or token is in the answer that made it and nowhere else.
"""

from typing import Literal, Required, TypedDict

from starlette.routing import Mount

from wxrc_core.token import Role
from wxrc_gateway import ChannelSettings, Gateway, GrantTerms
from wxrc_gateway.admin_views import ChannelView, all_bots, all_channels, all_tokens, one_bot, one_channel
from wxrc_service.admin_callbacks import CALLBACK_ROUTES
from wxrc_service.admin_http import AdminCall, AdminRoute, admin_app
from wxrc_service.admin_operate import OPERATE_ROUTES

# -- bodies ---------------------------------------------------------------------------------------------------------------------


class NewChannel(ChannelSettings, total=False):
    """A channel to be made: its name, its settings, and its secrets where they are not to be made here."""

    chid: Required[str]
    key: str
    webhook_secret: str


class NewKey(TypedDict, total=False):
    """A rotation of the KEY; without one a new KEY is made."""

    key: str


class NewSecret(TypedDict, total=False):
    """A rotation of the webhook secret; without one a new secret is made."""

    webhook_secret: str


class Suspension(TypedDict, total=False):
    """Why a channel is suspended."""

    reason: str


class NewBot(TypedDict, total=False):
    """A bot to be made."""

    botcode: Required[str]
    puppet: Required[str]
    options: dict[str, str]
    pace: Literal["customary", "none"]


class NewToken(TypedDict):
    """A token to be made."""

    name: str
    role: Role


# -- who asks -------------------------------------------------------------------------------------------------------------------


async def whoami(call: AdminCall) -> object:
    """Return the token's name and role."""
    return next(each for each in all_tokens(call.gateway.view) if each.name == call.by)


# -- channels -------------------------------------------------------------------------------------------------------------------


def _after(call: AdminCall) -> ChannelView:
    return one_channel(call.gateway.view, call.path["chid"])


async def list_channels(call: AdminCall) -> object:
    """Return all channels."""
    return {"channels": all_channels(call.gateway.view)}


async def show_channel(call: AdminCall) -> object:
    """Return one channel."""
    return _after(call)


async def add_channel(call: AdminCall) -> object:
    """Make a channel; the answer has its KEY and webhook secret, this once."""
    made = await call.gateway.add_channel(by=call.by, **call.body)
    channel = one_channel(call.gateway.view, made.chid)
    return {"channel": channel, "key": made.key, "webhook_secret": made.webhook_secret}


async def set_channel(call: AdminCall) -> object:
    """Change settings; those that are left out stay as they are."""
    await call.gateway.change_channel(call.path["chid"], by=call.by, **call.body)
    return _after(call)


async def rotate_key(call: AdminCall) -> object:
    """Make one more KEY valid; the answer has it, this once."""
    made = await call.gateway.rotate_key(call.path["chid"], by=call.by, **call.body)
    return {"id": made.id, "key": made.secret, "valid": made.valid}


async def end_key(call: AdminCall) -> object:
    """End a KEY."""
    await call.gateway.end_key(call.path["chid"], call.path["id"], by=call.by)
    return _after(call)


async def rotate_secret(call: AdminCall) -> object:
    """Sign callbacks with one more webhook secret; the answer has it, this once."""
    made = await call.gateway.rotate_secret(call.path["chid"], by=call.by, **call.body)
    return {"id": made.id, "webhook_secret": made.secret, "valid": made.valid}


async def end_secret(call: AdminCall) -> object:
    """End a webhook secret."""
    await call.gateway.end_secret(call.path["chid"], call.path["id"], by=call.by)
    return _after(call)


async def suspend(call: AdminCall) -> object:
    """Refuse the channel's requests."""
    await call.gateway.suspend(call.path["chid"], by=call.by, **call.body)
    return _after(call)


async def resume(call: AdminCall) -> object:
    """Take the channel's requests again."""
    await call.gateway.resume(call.path["chid"], by=call.by)
    return _after(call)


async def remove_channel(call: AdminCall) -> object:
    """Remove the channel for ever."""
    await call.gateway.remove_channel(call.path["chid"], by=call.by)
    return _after(call)


async def grant(call: AdminCall) -> object:
    """Let the channel use a bot on these terms."""
    await call.gateway.grant_bot(call.path["chid"], call.path["botcode"], by=call.by, **call.body)
    return _after(call)


async def revoke(call: AdminCall) -> object:
    """Take a grant back."""
    await call.gateway.revoke(call.path["chid"], call.path["botcode"], by=call.by)
    return _after(call)


# -- bots -----------------------------------------------------------------------------------------------------------------------


async def list_bots(call: AdminCall) -> object:
    """Return all bots."""
    return {"bots": all_bots(call.gateway.view)}


async def show_bot(call: AdminCall) -> object:
    """Return one bot."""
    return one_bot(call.gateway.view, call.path["botcode"])


async def add_bot(call: AdminCall) -> object:
    """Make a bot."""
    await call.gateway.add_bot(by=call.by, **call.body)
    return one_bot(call.gateway.view, call.body["botcode"])


async def remove_bot(call: AdminCall) -> object:
    """Remove a bot for ever."""
    await call.gateway.remove_bot(call.path["botcode"], by=call.by)
    return one_bot(call.gateway.view, call.path["botcode"])


# -- tokens ---------------------------------------------------------------------------------------------------------------------


async def list_tokens(call: AdminCall) -> object:
    """Return all tokens, without the tokens themselves."""
    return {"tokens": all_tokens(call.gateway.view)}


async def add_token(call: AdminCall) -> object:
    """Make a token; the answer has it, this once."""
    made = await call.gateway.add_token(call.body["name"], call.body["role"], by=call.by)
    return {"name": made.name, "role": made.role, "token": made.token}


async def remove_token(call: AdminCall) -> object:
    """End a token."""
    await call.gateway.remove_token(call.path["name"], by=call.by)
    return {"name": call.path["name"], "removed": True}


ROUTES = (
    AdminRoute("GET", "/whoami", "viewer", whoami),
    AdminRoute("GET", "/channels", "viewer", list_channels),
    AdminRoute("POST", "/channels", "admin", add_channel, NewChannel, 201),
    AdminRoute("GET", "/channels/{chid}", "viewer", show_channel),
    AdminRoute("POST", "/channels/{chid}/settings", "admin", set_channel, ChannelSettings),
    AdminRoute("POST", "/channels/{chid}/keys", "admin", rotate_key, NewKey, 201),
    AdminRoute("POST", "/channels/{chid}/keys/{id}/end", "admin", end_key),
    AdminRoute("POST", "/channels/{chid}/secrets", "admin", rotate_secret, NewSecret, 201),
    AdminRoute("POST", "/channels/{chid}/secrets/{id}/end", "admin", end_secret),
    AdminRoute("POST", "/channels/{chid}/suspend", "operator", suspend, Suspension),
    AdminRoute("POST", "/channels/{chid}/resume", "operator", resume),
    AdminRoute("POST", "/channels/{chid}/remove", "admin", remove_channel),
    AdminRoute("POST", "/channels/{chid}/grants/{botcode}", "admin", grant, GrantTerms),
    AdminRoute("POST", "/channels/{chid}/grants/{botcode}/revoke", "admin", revoke),
    AdminRoute("GET", "/bots", "viewer", list_bots),
    AdminRoute("POST", "/bots", "admin", add_bot, NewBot, 201),
    AdminRoute("GET", "/bots/{botcode}", "viewer", show_bot),
    AdminRoute("POST", "/bots/{botcode}/remove", "admin", remove_bot),
    AdminRoute("GET", "/tokens", "admin", list_tokens),
    AdminRoute("POST", "/tokens", "admin", add_token, NewToken, 201),
    AdminRoute("POST", "/tokens/{name}/remove", "admin", remove_token),
)
"""What these files offer. Further ones have routes of their own, which are added in `ADMIN_ROUTES`."""


ADMIN_ROUTES = (*ROUTES, *OPERATE_ROUTES, *CALLBACK_ROUTES)
"""The whole admin API."""


def admin_mount(gateway: Gateway) -> Mount:
    """Return the whole admin API of a gateway, mounted where it belongs."""
    return Mount("/admin/api", admin_app(gateway, ADMIN_ROUTES))
