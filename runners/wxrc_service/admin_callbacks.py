"""The admin API for callbacks and for the export: what `wxrc callbacks` and `wxrc export` do."""

import logging
from typing import Annotated, TypeAlias, TypedDict

from msgspec import Meta, Struct

from wxrc_gateway.callbacks import CallbackHealth, CallbackView, Selection
from wxrc_service.admin_http import AdminCall, AdminRoute, Pieces, read_query
from wxrc_service.exporting import exported

log = logging.getLogger("wxrc.admin")

NotNegative: TypeAlias = Annotated[int, Meta(ge=0)]

EXPORT_TYPE = "application/x-ndjson"
"""JSON lines."""


class Chosen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which callbacks are meant, in a query; see `Selection`.

    Attributes:
        channel: Of this channel.
        bot: About this bot.
        since: Due at this time or later (epoch ms).
    """

    channel: str | None = None
    bot: str | None = None
    since: NotNegative | None = None

    def selection(self) -> Selection:
        """Return it as the gateway takes it."""
        return Selection(chid=self.channel, botcode=self.bot, since=self.since)


class Callbacks(Struct, frozen=True, kw_only=True):
    """How every channel's callback URL stands, and what waits, the oldest first."""

    channels: list[CallbackHealth]
    waiting: list[CallbackView]


class DeadLetters(Struct, frozen=True, kw_only=True):
    """The dead letters, in the order in which they were given up."""

    dead: list[CallbackView]


class Retried(Struct, frozen=True, kw_only=True):
    """How many callbacks wait for a channel, which are tried again at once."""

    chid: str
    waiting: int


class Replayed(Struct, frozen=True, kw_only=True):
    """How many callbacks are due again."""

    replayed: int


class Replay(TypedDict, total=False):
    """Which callbacks are to be delivered once more: by their ids, by a selection (times in epoch ms), or all dead letters."""

    ids: list[str]
    channel: str
    bot: str
    since: NotNegative
    until: NotNegative
    from_seq: NotNegative
    to_seq: NotNegative
    all: bool
    delivered: bool


class Export(TypedDict, total=False):
    """From which position on, and the passphrase that seals the secrets; without one they are left out."""

    since: NotNegative
    passphrase: str


async def list_callbacks(call: AdminCall) -> object:
    """Return how callbacks stand; the query may have `channel`, `bot` and `since` (epoch ms)."""
    chosen, desk = read_query(Chosen, call.query), call.gateway.callbacks
    health = [each for each in desk.health() if chosen.channel in (None, each.chid)]
    return Callbacks(channels=health, waiting=desk.waiting(chosen.selection()))


async def list_dead(call: AdminCall) -> object:
    """Return the dead letters; the query as in `list_callbacks`."""
    return DeadLetters(dead=await call.gateway.callbacks.dead(read_query(Chosen, call.query).selection()))


async def show_callback(call: AdminCall) -> object:
    """Return what happened to one callback."""
    return await call.gateway.callbacks.history(call.path["id"])


async def retry(call: AdminCall) -> object:
    """Have everything that waits for a channel posted at once; a URL that was disabled is used again."""
    chid = call.path["chid"]
    return Retried(chid=chid, waiting=await call.gateway.callbacks.retry(chid, by=call.by))


async def replay(call: AdminCall) -> object:
    """Have callbacks delivered once more, under their own ids."""
    body: Replay = call.body
    selection = Selection(
        chid=body.get("channel"),
        botcode=body.get("bot"),
        since=body.get("since"),
        until=body.get("until"),
        first=body.get("from_seq"),
        last=body.get("to_seq"),
    )
    count = await call.gateway.callbacks.replay_chosen(
        body.get("ids", []),
        selection,
        everything=body.get("all", False),
        delivered=body.get("delivered", False),
        by=call.by,
    )
    return Replayed(replayed=count)


async def export(call: AdminCall) -> object:
    """Give out the log as `wxrc export` does."""
    body: Export = call.body
    passphrase = body.get("passphrase")
    log.warning("the log is exported by %s, %s secrets", call.by, "without" if passphrase is None else "with")
    lines = exported(
        call.gateway.store,
        call.gateway.vault,
        after=body.get("since", 0),
        passphrase=None if passphrase is None else passphrase.encode(),
    )
    return Pieces(lines, EXPORT_TYPE)


CALLBACK_ROUTES = (
    AdminRoute("GET", "/callbacks", "viewer", list_callbacks),
    AdminRoute("GET", "/callbacks/dead", "viewer", list_dead),
    AdminRoute("POST", "/callbacks/replay", "operator", replay, Replay),
    AdminRoute("GET", "/callbacks/{id}", "viewer", show_callback),
    AdminRoute("POST", "/channels/{chid}/callbacks/retry", "operator", retry),
    AdminRoute("POST", "/export", "admin", export, Export),
)
