"""The admin API for operating: what `wxrc status`, `messages`, `log`, `resolve`, `login`, `logout` and `stop` do."""

from typing import Literal, TypedDict

from wxrc_core.errors import InvalidValue
from wxrc_core.localized import LocalizedText
from wxrc_core.message import Verdict
from wxrc_gateway import listing
from wxrc_gateway.doubts import resolve
from wxrc_gateway.overview import bot_overview, overview
from wxrc_gateway.timeline import timeline
from wxrc_service.admin_http import AdminCall, AdminRoute, read_query


class Resolution(TypedDict):
    """What has become of a message in doubt."""

    verdict: Verdict


async def status(call: AdminCall) -> object:
    """Return how everything is, with what to do."""
    return await overview(call.gateway, served=True)


async def list_messages(call: AdminCall) -> object:
    """Return messages; the query may have `bot`, `channel`, `state`, `since` (epoch ms), `before` and `limit`."""
    names = {"bot": "botcode", "channel": "chid"}
    asked = {names.get(name, name): value for name, value in call.query.items()}
    return await listing.messages(call.gateway, read_query(listing.Wanted, asked))


async def resolve_message(call: AdminCall) -> object:
    """Say what has become of a message in doubt."""
    record = await resolve(call.gateway, _number(call.path["msgid"]), call.body["verdict"], by=call.by)
    return listing.message_entry(record)


async def show_timeline(call: AdminCall) -> object:
    """Return what happened to a message, a bot or a channel."""
    limit = _number(call.query.get("limit", "100"))
    if not 1 <= limit <= 10_000:
        raise InvalidValue(LocalizedText("limit 应为 1 到 10000", "limit must be from 1 to 10000"))
    return await timeline(call.gateway, call.path["what"], limit=limit)


async def log_in(call: AdminCall) -> object:
    """Ask for login; what comes of it shows in the bot."""
    return await _asked(call, "login")


async def log_out(call: AdminCall) -> object:
    """Ask to sign the account out."""
    return await _asked(call, "logout")


async def stop(call: AdminCall) -> object:
    """Ask to release the client."""
    return await _asked(call, "stop")


async def _asked(call: AdminCall, what: Literal["login", "logout", "stop"]) -> object:
    gateway, botcode = call.gateway, call.path["botcode"]
    await {"login": gateway.login, "logout": gateway.logout, "stop": gateway.stop}[what](botcode)
    return {"asked": what, "bot": bot_overview(gateway, botcode, served=True)}


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    rule = LocalizedText("应为整数，而不是 {text}", "it must be a whole number, not {text}")
    raise InvalidValue(rule.filled(text=f"{text!r:.40}"))


OPERATE_ROUTES = (
    AdminRoute("GET", "/status", "viewer", status),
    AdminRoute("GET", "/messages", "viewer", list_messages),
    AdminRoute("POST", "/messages/{msgid}/resolve", "operator", resolve_message, Resolution),
    AdminRoute("GET", "/log/{what}", "viewer", show_timeline),
    AdminRoute("POST", "/bots/{botcode}/login", "operator", log_in),
    AdminRoute("POST", "/bots/{botcode}/logout", "operator", log_out),
    AdminRoute("POST", "/bots/{botcode}/stop", "operator", stop),
)
