"""What people and programs are shown of channels, bots and tokens: plain data, the same from the command line and the admin API.

No secret is in any of it: KEYs and webhook secrets by their ids, tokens by their names.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from wxrc_core.bot import Bot, user_action
from wxrc_core.channel import BotGranted, Channel
from wxrc_core.errors import NotFound
from wxrc_core.localized import LocalizedText
from wxrc_core.token import Role, Token
from wxrc_core.view import View


class GrantView(Struct, frozen=True, kw_only=True):
    """On what terms a channel may use a bot (`wxrc_core.channel.BotGranted`); `at` in epoch ms."""

    botcode: str
    at: int
    by: str
    room_id: str
    room_topic: str
    on_doubt: str
    inbound: str
    interfaces: tuple[str, ...]
    least_evidence: str
    pace: int


class ChannelView(Struct, frozen=True, kw_only=True):
    """A channel: its settings (`wxrc_core.channel.ChannelAdded`), its grants, and whether its requests are taken; times in epoch ms."""

    chid: str
    state: Literal["active", "suspended", "removed"]
    suspended_at: int | None
    suspended_by: str
    suspended_reason: str
    added_at: int
    added_by: str
    key_ids: tuple[str, ...]
    webhook_secret_ids: tuple[str, ...]
    callback_url: str
    callback_format: str
    allow_private: bool
    private_networks: tuple[str, ...]
    signature_types: tuple[str, ...]
    rsa_public_key: str
    allowed_addresses: tuple[str, ...]
    timezone: str
    window_s: int
    requests_per_minute: int
    burst: int
    grants: tuple[GrantView, ...]


class BotView(Struct, frozen=True, kw_only=True):
    """A bot: where it stands since when (epoch ms) and why, what a person is to do, and which channels may use it."""

    botcode: str
    puppet: str
    pace: str
    state: str
    since: int
    link: bool
    reason: str
    user_action: str
    wxid: str
    name: str
    rooms: int
    added_at: int
    added_by: str
    channels: tuple[str, ...]


class TokenView(Struct, frozen=True, kw_only=True):
    """A token of the admin API; `added_at` in epoch ms."""

    name: str
    role: Role
    added_at: int
    added_by: str


def grant_view(granted: BotGranted) -> GrantView:
    """Return what is shown of a grant."""
    return GrantView(**{name: getattr(granted, name) for name in GrantView.__struct_fields__})


_OWN = (
    "state",
    "suspended_at",
    "suspended_by",
    "suspended_reason",
    "added_at",
    "added_by",
    "key_ids",
    "webhook_secret_ids",
    "grants",
)


def channel_view(view: View, channel: Channel) -> ChannelView:
    """Return what is shown of a channel. Grants for bots that were removed are in force no more."""
    settings, suspended = channel.settings, channel.suspended
    return ChannelView(
        state="removed" if channel.removed else "suspended" if suspended else "active",
        suspended_at=suspended.at if suspended else None,
        suspended_by=suspended.by if suspended else "",
        suspended_reason=suspended.reason if suspended else "",
        added_at=settings.at,
        added_by=settings.by,
        key_ids=channel.key_ids,
        webhook_secret_ids=channel.webhook_secret_ids,
        grants=tuple(grant_view(each) for code, each in channel.grants.items() if not view.bot_removed(code)),
        **{name: getattr(settings, name) for name in ChannelView.__struct_fields__ if name not in _OWN},
    )


def bot_view(bot: Bot, channels: tuple[str, ...]) -> BotView:
    """Return what is shown of a bot that these channels may use."""
    added = bot.added
    return BotView(
        botcode=added.botcode,
        puppet=added.puppet,
        pace=added.pace,
        state=str(bot.state),
        since=bot.since,
        link=bot.link,
        reason=bot.reason,
        user_action=user_action(bot),
        wxid=bot.wxid,
        name=bot.name,
        rooms=len(bot.rooms),
        added_at=added.at,
        added_by=added.by,
        channels=channels,
    )


def token_view(token: Token) -> TokenView:
    """Return what is shown of a token."""
    added = token.added
    return TokenView(name=added.name, role=added.role, added_at=added.at, added_by=added.by)


# -- looking up -----------------------------------------------------------------------------------------------------------------


def all_channels(view: View) -> list[ChannelView]:
    """Return every channel, in the order in which they were added, without those that were removed."""
    return [channel_view(view, known.state) for known in view.channels.values() if not known.state.removed]


def one_channel(view: View, chid: str) -> ChannelView:
    """Return a channel, also one that was removed. Raises NotFound."""
    known = view.channels.get(chid)
    if known is None:
        raise NotFound(
            _missing("渠道", "channel", chid, [name for name, each in view.channels.items() if not each.state.removed])
        )
    return channel_view(view, known.state)


def all_bots(view: View) -> list[BotView]:
    """Return every bot, in the order in which they were added, without those that were removed."""
    return [_bot(view, botcode) for botcode in _there(view)]


def one_bot(view: View, botcode: str) -> BotView:
    """Return a bot, also one that was removed. Raises NotFound."""
    known_bot(view, botcode)
    return _bot(view, botcode)


def known_bot(view: View, botcode: str) -> Bot:
    """Return the state of a bot, also of one that was removed. Raises NotFound."""
    known = view.bots.get(botcode)
    if known is None:
        raise NotFound(_missing("机器人", "bot", botcode, _there(view)))
    return known.state


def usable_bot(view: View, botcode: str) -> Bot:
    """Return the state of a bot that is there. Raises NotFound, also where it was removed."""
    found = known_bot(view, botcode)
    if found.removed:
        gone = LocalizedText("机器人 '{botcode}' 已被移除", "bot '{botcode}' was removed")
        raise NotFound(gone.filled(botcode=botcode))
    return found


def all_tokens(view: View) -> list[TokenView]:
    """Return every token that is valid."""
    return [token_view(known.state) for known in view.tokens.values() if not known.state.removed]


def _there(view: View) -> list[str]:
    return [botcode for botcode, known in view.bots.items() if not known.state.removed]


def _bot(view: View, botcode: str) -> BotView:
    return bot_view(
        view.bots[botcode].state, () if view.bot_removed(botcode) else tuple(chid for chid, _ in view.grants(botcode))
    )


def _missing(zh: str, en: str, name: str, there: Iterable[str]) -> LocalizedText:
    names = ", ".join(there)
    return LocalizedText(
        f"没有{zh} '{name}'；现有：{names or '无'}", f"there is no {en} '{name}'; there are: {names or 'none'}"
    )
