"""A channel: a business system, what it may do and where it is told what happened.

It has no table of states: it is there, perhaps suspended, and in the end removed for ever. `wxrc_core.channel_events` has its events; this
file what they lead to and what is done about commands. It offers all of their names.

Its secrets (KEYs, webhook secrets) are not in the log, which is never changed: the log has their ids, the vault has the secrets under
`key_name` and `webhook_secret_name`. Two KEYs may be valid together, and two webhook secrets: that is how they are rotated without
downtime.
"""

from typing import Any, TypeAlias, assert_never

from attrs import evolve as evolve_attrs
from attrs import frozen
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.channel_events import SIGNATURE_TYPES as SIGNATURE_TYPES
from wxrc_core.channel_events import BotGranted as BotGranted
from wxrc_core.channel_events import BotRevoked as BotRevoked
from wxrc_core.channel_events import CallbackDisabled as CallbackDisabled
from wxrc_core.channel_events import CallbackFormat as CallbackFormat
from wxrc_core.channel_events import CallbackMoved as CallbackMoved
from wxrc_core.channel_events import CallbackRetried as CallbackRetried
from wxrc_core.channel_events import Change as Change
from wxrc_core.channel_events import ChannelAdded as ChannelAdded
from wxrc_core.channel_events import ChannelEvent as ChannelEvent
from wxrc_core.channel_events import ChannelRemoved as ChannelRemoved
from wxrc_core.channel_events import ChannelResumed as ChannelResumed
from wxrc_core.channel_events import ChannelSuspended as ChannelSuspended
from wxrc_core.channel_events import Evidence as Evidence
from wxrc_core.channel_events import Inbound as Inbound
from wxrc_core.channel_events import KeyAdded as KeyAdded
from wxrc_core.channel_events import KeyEnded as KeyEnded
from wxrc_core.channel_events import OnDoubt as OnDoubt
from wxrc_core.channel_events import SecretAdded as SecretAdded
from wxrc_core.channel_events import SecretEnded as SecretEnded
from wxrc_core.channel_events import SettingsChanged as SettingsChanged
from wxrc_core.channel_events import SignatureType as SignatureType
from wxrc_core.errors import AlreadyTaken, NotFound, Refusal
from wxrc_core.localized import LocalizedText

MOST_SECRETS = 2
"""How many KEYs are valid together at most, and how many webhook secrets."""

# -- state, and how events change it --------------------------------------------------------------------------------------------


class Channel(Struct, frozen=True):
    """The fold of a channel's events.

    Attributes:
        settings: What it was added with, or has changed to. A channel that is removed has no callback.
        key_ids: The ids of the KEYs that are valid now, the newest first.
        webhook_secret_ids: The ids of the secrets that its callbacks are signed with now, the newest first.
        grants: By botcode; never changed in place. A channel that is removed has none.
        suspended: Since when and why its requests are refused; None = they are not.
        removed: It is gone for ever.
        disabled: Since when and why nothing is posted to its callback URL; None = it is used.
    """

    settings: ChannelAdded
    key_ids: tuple[str, ...]
    webhook_secret_ids: tuple[str, ...]
    grants: dict[str, BotGranted] = {}
    suspended: ChannelSuspended | None = None
    removed: bool = False
    disabled: CallbackDisabled | None = None


def evolve(channel: Channel | None, event: ChannelEvent) -> Channel:
    """Return the channel after an event. Total: a recorded fact is never refused."""
    if channel is None:
        assert isinstance(event, ChannelAdded), "a channel's first event is `added`"
        return Channel(event, (event.key_id,), (event.webhook_secret_id,))
    match event:
        case ChannelAdded():
            return channel
        case BotGranted(botcode=botcode):
            return replace(channel, grants=channel.grants | {botcode: event})
        case BotRevoked(botcode=botcode):
            return replace(channel, grants={code: each for code, each in channel.grants.items() if code != botcode})
        case CallbackMoved():
            settings = evolve_attrs(channel.settings, **_changed(channel.settings, event))
            return replace(channel, settings=settings, disabled=None)
        case SettingsChanged():
            return replace(channel, settings=evolve_attrs(channel.settings, **_changed(channel.settings, event)))
        case CallbackDisabled():
            return replace(channel, disabled=event)
        case CallbackRetried():
            return replace(channel, disabled=None)
        case KeyAdded(key_id=key_id):
            return replace(channel, key_ids=(key_id, *channel.key_ids))
        case KeyEnded(key_id=key_id):
            return replace(channel, key_ids=_without(channel.key_ids, key_id))
        case SecretAdded(secret_id=secret_id):
            return replace(channel, webhook_secret_ids=(secret_id, *channel.webhook_secret_ids))
        case SecretEnded(secret_id=secret_id):
            return replace(channel, webhook_secret_ids=_without(channel.webhook_secret_ids, secret_id))
        case ChannelSuspended():
            return replace(channel, suspended=event)
        case ChannelResumed():
            return replace(channel, suspended=None)
        case ChannelRemoved():
            settings = evolve_attrs(channel.settings, callback_url="")
            return replace(channel, settings=settings, key_ids=(), webhook_secret_ids=(), grants={}, removed=True)
        case _:
            assert_never(event)


_MOVED = ("callback_url", "callback_format", "allow_private", "private_networks")
_SET = (
    "signature_types", "rsa_public_key", "allowed_addresses", "timezone", "window_s", "requests_per_minute", "burst",
)  # fmt: skip


def _without(ids: tuple[str, ...], ended: str) -> tuple[str, ...]:
    return tuple(each for each in ids if each != ended)


def _changed(settings: ChannelAdded, event: CallbackMoved | SettingsChanged) -> dict[str, Any]:
    """Return the settings that an event gives another value."""
    names = _MOVED if isinstance(event, CallbackMoved) else _SET
    found = {name: getattr(event, name) for name in names}
    return {name: value for name, value in found.items() if value is not None and value != getattr(settings, name)}


# -- names ----------------------------------------------------------------------------------------------------------------------


def stream_name(chid: str) -> str:
    """Return the stream of a channel."""
    return f"channel/{chid}"


def key_name(chid: str, key_id: str) -> str:
    """Return the name under which the vault has a KEY."""
    return f"channel/{chid}/key/{key_id}"


def webhook_secret_name(chid: str, secret_id: str) -> str:
    """Return the name under which the vault has a webhook secret."""
    return f"channel/{chid}/webhook_secret/{secret_id}"


# -- commands and decide --------------------------------------------------------------------------------------------------------


@frozen
class Add:
    """Make the channel: `added` is the event to record."""

    added: ChannelAdded


@frozen
class Alter:
    """Change the channel: `changes` are the events to record, all of them that change something, or none where one is refused."""

    changes: tuple[Change, ...]


Command: TypeAlias = Add | Alter


def decide(channel: Channel | None, command: Command) -> tuple[ChannelEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if channel is None:
        if isinstance(command, Add):
            return (command.added,)
        raise NotFound(
            LocalizedText("没有这个渠道；请先用 wxrc channel add 添加", "there is no such channel; add it first")
        )
    if isinstance(command, Add):
        raise AlreadyTaken(_TAKEN.filled(chid=command.added.chid))
    events: list[ChannelEvent] = []
    for change in command.changes:
        if _is_new(channel, change):
            events.append(change)
            channel = evolve(channel, change)
    return tuple(events)


_TAKEN = LocalizedText(
    "渠道 '{chid}' 已经存在；请换一个 chid", "channel '{chid}' is there already; choose another chid"
)
_REMOVED = LocalizedText(
    "渠道 '{chid}' 已被移除，不能再更改；请用另一个 chid 新建渠道",
    "channel '{chid}' was removed and cannot be changed; add a channel with another chid",
)
_TOO_MANY = LocalizedText(
    "渠道 '{chid}' 已有两个有效的{what}（{ids}）；请先结束其中一个",
    "channel '{chid}' has two valid {what} ({ids}); end one of them first",
)
_LAST = LocalizedText(
    "'{ended}' 是渠道 '{chid}' 唯一有效的{what}；请先轮换，再结束它",
    "'{ended}' is the only valid one of the {what} of channel '{chid}'; rotate first, then end it",
)
_NOWHERE = LocalizedText(
    "渠道 '{chid}' 没有回调地址；请先设置：wxrc channel callback {chid} URL",
    "channel '{chid}' has no callback URL; set one first: wxrc channel callback {chid} URL",
)
_KEYS, _SECRETS = LocalizedText("KEY", "KEYs"), LocalizedText("回调密钥", "webhook secrets")


def _is_new(channel: Channel, change: Change) -> bool:
    """Return whether a change is still to be recorded; refuse one that cannot be."""
    if channel.removed:
        if isinstance(change, ChannelRemoved):
            return False
        raise Refusal(_REMOVED.filled(chid=channel.settings.chid))
    match change:
        case BotGranted(botcode=botcode):
            known = channel.grants.get(botcode)
            return known is None or evolve_attrs(known, at=change.at, by=change.by) != change
        case BotRevoked(botcode=botcode):
            return botcode in channel.grants
        case CallbackMoved():
            return bool(_changed(channel.settings, change)) or channel.disabled is not None
        case SettingsChanged():
            return bool(_changed(channel.settings, change))
        case CallbackDisabled(callback_url=url):
            return channel.disabled is None and url == channel.settings.callback_url
        case CallbackRetried():
            if not channel.settings.callback_url:
                raise Refusal(_NOWHERE.filled(chid=channel.settings.chid))
            return True
        case KeyAdded(key_id=key_id):
            return _may_add(channel, channel.key_ids, key_id, _KEYS)
        case KeyEnded(key_id=key_id):
            return _may_end(channel, channel.key_ids, key_id, _KEYS)
        case SecretAdded(secret_id=secret_id):
            return _may_add(channel, channel.webhook_secret_ids, secret_id, _SECRETS)
        case SecretEnded(secret_id=secret_id):
            return _may_end(channel, channel.webhook_secret_ids, secret_id, _SECRETS)
        case ChannelSuspended(reason=reason):
            return channel.suspended is None or channel.suspended.reason != reason
        case ChannelResumed():
            return channel.suspended is not None
        case ChannelRemoved():
            return True
        case _:
            assert_never(change)


def _may_add(channel: Channel, ids: tuple[str, ...], added: str, what: LocalizedText) -> bool:
    if added in ids:
        return False
    if len(ids) >= MOST_SECRETS:
        raise Refusal(_filled(_TOO_MANY, what, chid=channel.settings.chid, ids=", ".join(ids)))
    return True


def _may_end(channel: Channel, ids: tuple[str, ...], ended: str, what: LocalizedText) -> bool:
    if ended not in ids:
        return False
    if len(ids) == 1:
        raise Refusal(_filled(_LAST, what, chid=channel.settings.chid, ended=ended))
    return True


def _filled(text: LocalizedText, what: LocalizedText, **values: object) -> LocalizedText:
    return LocalizedText(text.zh.format(what=what.zh, **values), text.en.format(what=what.en, **values))
