"""How everything is, for an operator: each bot, each channel and its callbacks, what waits and what is in doubt. Each with since when,
why, and what to do.

It is made of what this gateway has folded, and a few reads of the log. What nobody can know here is None, and shown as unknown: whether
an endpoint is up is known to the gateway that posts to it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from wxrc_core import bot
from wxrc_core.delivery_queue import DueDelivery
from wxrc_core.message import MessageState
from wxrc_gateway.gateway import Gateway
from wxrc_gateway.listing import MessageEntry, message_entry
from wxrc_gateway.moments import moment, moment_or_none

DOUBTS = 20
"""So many messages in doubt are listed, the newest ones; `listing` has the others."""

BotAction: TypeAlias = Literal["none", "scan", "confirm", "enter_code", "relogin", "wait"]


class BotOverview(Struct, frozen=True, kw_only=True):
    """One bot.

    Attributes:
        botcode: Its name.
        puppet: The kind of its client.
        state: `logout`, `awaiting_qr`, `login` or `removed`.
        reachable: Its client can be used; None = no service runs, so it cannot be, and nobody looks.
        since: Since when it is in this state.
        reason: Why, in a sentence; empty where there is nothing to say.
        action: What a person must do now.
        leaving: A `logout` or `stop` that was asked for and is under way, or `remove`: it was removed and its account is still to be
            signed out; empty = none.
        wxid: The account that is or was logged in; empty before the first login.
        name: Its nickname.
        rooms: How many rooms it knows.
        queued: How many messages wait for it.
        in_doubt: How many of its messages are in doubt.
    """

    botcode: str
    puppet: str
    state: str
    reachable: bool | None
    since: datetime
    reason: str
    action: BotAction
    leaving: str
    wxid: str
    name: str
    rooms: int
    queued: int
    in_doubt: int


class CallbackOverview(Struct, frozen=True, kw_only=True):
    """A channel's callbacks.

    Attributes:
        url: Where they go; empty = nowhere.
        due: How many are due.
        oldest: Since when the oldest of them is due.
        failed: How many of them were tried and not acknowledged.
        health: `up` (no failure since the last acknowledgement), `failing`, or `disabled` (410, or failures for 5 days); None = it has
            no URL.
        failing_since: Since when it fails.
        last_failure: When the latest attempt failed.
        reason: Why that one failed.
        next_try: When the next of the failed ones is due again by its own schedule; None = unknown. While all of them fail, the service
            tries one at a time.
    """

    url: str
    due: int
    oldest: datetime | None = None
    failed: int = 0
    health: Literal["up", "failing", "disabled"] | None = None
    failing_since: datetime | None = None
    last_failure: datetime | None = None
    reason: str = ""
    next_try: datetime | None = None


class ChannelOverview(Struct, frozen=True, kw_only=True):
    """One channel.

    Attributes:
        chid: Its name.
        state: `active`, `suspended` (its requests are refused) or `removed`.
        since: Since when it is suspended; None = it is not.
        reason: Why it is suspended.
        bots: The bots that it may use.
        callbacks: How its callbacks are.
    """

    chid: str
    state: Literal["active", "suspended", "removed"]
    since: datetime | None
    reason: str
    bots: tuple[str, ...]
    callbacks: CallbackOverview


class Overview(Struct, frozen=True, kw_only=True):
    """Everything.

    Attributes:
        time: When this was so.
        position: Up to where the log was folded.
        bots: By name.
        channels: By name.
        queued: How many messages wait.
        attempted: How many are being sent.
        in_doubt: How many are in doubt.
        doubts: The newest of those.
        due: How many callbacks are due.
    """

    time: datetime
    position: int
    bots: tuple[BotOverview, ...]
    channels: tuple[ChannelOverview, ...]
    queued: int
    attempted: int
    in_doubt: int
    doubts: tuple[MessageEntry, ...]
    due: int


async def overview(gateway: Gateway, *, served: bool) -> Overview:
    """Return how everything is.

    Args:
        gateway: Any gateway on the log, passive ones too.
        served: Some service runs the bots.

    Raises:
        StoreError: The log cannot be read.
    """
    world = gateway.world
    waiting = list(world.messages.values())
    doubts = sorted(world.doubts.items(), key=lambda each: -each[1][0])
    entries = [await gateway.message_in(stream) for stream, _ in doubts[:DOUBTS]]
    due = list(_due(gateway))
    return Overview(
        time=moment(gateway.clock()),
        position=world.position,
        bots=tuple(bot_overview(gateway, botcode, served=served) for botcode in sorted(gateway.view.bots)),
        channels=tuple(
            [
                ChannelOverview(
                    chid=chid,
                    state="removed" if found.state.removed else "suspended" if found.state.suspended else "active",
                    since=moment_or_none(found.state.suspended.at if found.state.suspended else None),
                    reason=found.state.suspended.reason if found.state.suspended else "",
                    bots=tuple(code for code in found.state.grants if not gateway.view.bot_removed(code)),
                    callbacks=_callbacks(gateway, chid, [each for each in due if each.state.chid == chid]),
                )
                for chid, found in sorted(gateway.view.channels.items())
            ]
        ),
        queued=sum(each.state.state is MessageState.QUEUED for each in waiting),
        attempted=sum(each.state.state is MessageState.ATTEMPTED for each in waiting),
        in_doubt=len(doubts),
        doubts=tuple(message_entry(entry) for entry in entries if entry is not None),
        due=world.deliveries,
    )


def bot_overview(gateway: Gateway, botcode: str, *, served: bool) -> BotOverview:
    """Return how a bot is.

    Raises:
        KeyError: There is no such bot.
    """
    the_bot, where = gateway.view.bots[botcode].state, gateway.view.bots[botcode].state.where
    down = isinstance(where, bot.LoginState) and not where.link
    action: BotAction = bot.user_action(the_bot)  # type: ignore[assignment]  # the wire's word for it
    if the_bot.state is bot.BotState.LOGOUT:
        action = "relogin"
    elif the_bot.removed:
        action = "wait" if the_bot.pending_exit and not served else "none"
    elif not served or down:
        action = "wait"
    return BotOverview(
        botcode=botcode,
        puppet=the_bot.added.puppet,
        state=the_bot.state,
        reachable=the_bot.link if served else None,
        since=moment(where.link_since if isinstance(where, bot.LoginState) and down else the_bot.since),
        reason=the_bot.reason,
        action=action,
        leaving=the_bot.pending_exit,
        wxid=the_bot.wxid,
        name=the_bot.name,
        rooms=len(the_bot.rooms),
        queued=sum(each.state.queued.botcode == botcode for each in gateway.world.messages.values()),
        in_doubt=sum(code == botcode for _, code in gateway.world.doubts.values()),
    )


def _due(gateway: Gateway) -> Iterator[DueDelivery]:
    for each in gateway.world.bots.values():
        yield from each.deliveries.to_snapshot().due


_HEALTH: dict[str, Literal["up", "failing", "disabled"] | None] = {
    "healthy": "up",
    "failing": "failing",
    "disabled": "disabled",
    "none": None,
}


def _callbacks(gateway: Gateway, chid: str, due: list[DueDelivery]) -> CallbackOverview:
    state = gateway.view.channels[chid].state
    known = gateway.callbacks.health_of(state)
    tried = [each.state for each in due if each.state.attempts]
    nexts = [each.failed_at + each.wait_ms for each in tried]
    return CallbackOverview(
        url=state.settings.callback_url,
        due=len(due),
        oldest=moment_or_none(min((each.state.at for each in due), default=None)),
        failed=len(tried),
        health=_HEALTH[known.state],
        failing_since=moment_or_none(known.since),
        last_failure=moment_or_none(known.last_failure),
        reason=known.reason,
        next_try=moment_or_none(min((each for each in nexts if each > gateway.clock()), default=None)),
    )
