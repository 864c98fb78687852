"""A channel: a business system, what it may do and where it is told what happened.

Its secrets (KEYs, webhook secrets) are not in the log, which is never changed: the log has their ids, the vault has the secrets under
`key_name` and `webhook_secret_name`.
"""

from typing import Literal, TypeAlias, assert_never

from attrs import evolve as evolve_attrs
from attrs import frozen
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.errors import AlreadyTaken, Refusal

SignatureType: TypeAlias = Literal["HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA"]
CallbackFormat: TypeAlias = Literal["form", "json", "bracket"]

# -- events ---------------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class ChannelAdded:
    """The channel exists.

    Attributes:
        at: When (epoch ms).
        chid: Its name.
        key_id: Which KEY it signs with.
        webhook_secret_id: Which secret its callbacks are signed with.
        callback_url: Where callbacks go; empty = nowhere.
        callback_format: How they are written.
        allow_private: Callbacks may go to private and loopback addresses.
        signature_types: The types that it accepts; `RSA` only together with a public key.
        timezone: The zone of its txtime and of its day.
        window_s: How far txtime may be from now, either way (seconds).
        rsa_public_key: The key (PEM) that its RSA signatures are checked with; empty = none.
    """

    at: int
    chid: str
    key_id: str
    webhook_secret_id: str
    callback_url: str = ""
    callback_format: CallbackFormat = "form"
    allow_private: bool = False
    signature_types: tuple[SignatureType, ...] = ("HMAC-SHA256-V2", "HMAC-SHA256", "MD5")
    timezone: str = "Asia/Shanghai"
    window_s: int = 300
    rsa_public_key: str = ""


@frozen(kw_only=True)
class BotGranted:
    """The channel may use this bot; a later grant for the same bot replaces the earlier.

    Attributes:
        at: When (epoch ms).
        botcode: The bot.
        room_id: Default room by id; or
        room_topic: default room by name; both empty = none.
        on_doubt: What happens to messages in doubt: `leave` or `resend` them.
        inbound: What people say is passed on: `addressed` (mentions and direct messages) or `all`.
    """

    at: int
    botcode: str
    room_id: str = ""
    room_topic: str = ""
    on_doubt: Literal["leave", "resend"] = "leave"
    inbound: Literal["addressed", "all"] = "addressed"


@frozen(kw_only=True)
class CallbackMoved:
    """Callbacks go elsewhere from now on, those included that are under way; the fields are those of `ChannelAdded`."""

    at: int
    callback_url: str
    callback_format: CallbackFormat = "form"
    allow_private: bool = False


ChannelEvent: TypeAlias = ChannelAdded | BotGranted | CallbackMoved

# -- state ----------------------------------------------------------------------------------------------------------------------


class Channel(Struct, frozen=True):
    """The fold of a channel's events.

    Attributes:
        settings: What it was added with, or has changed to.
        key_ids: The ids of the KEYs that are valid now.
        webhook_secret_ids: The ids of the secrets that its callbacks are signed with now.
        grants: By botcode; never changed in place.
    """

    settings: ChannelAdded
    key_ids: tuple[str, ...]
    webhook_secret_ids: tuple[str, ...]
    grants: dict[str, BotGranted] = {}


def stream_name(chid: str) -> str:
    """Return the stream of a channel."""
    return f"channel/{chid}"


def key_name(chid: str, key_id: str) -> str:
    """Return the name under which the vault has a KEY."""
    return f"channel/{chid}/key/{key_id}"


def webhook_secret_name(chid: str, secret_id: str) -> str:
    """Return the name under which the vault has a webhook secret."""
    return f"channel/{chid}/webhook_secret/{secret_id}"


# -- commands, decide, evolve ---------------------------------------------------------------------------------------------------


@frozen
class Add:
    """Make the channel: `added` is the event to record."""

    added: ChannelAdded


@frozen
class Grant:
    """Let the channel use a bot: `granted` is the event to record."""

    granted: BotGranted


@frozen
class MoveCallback:
    """Have callbacks go elsewhere: `moved` is the event to record."""

    moved: CallbackMoved


Command: TypeAlias = Add | Grant | MoveCallback


def decide(channel: Channel | None, command: Command) -> tuple[ChannelEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if channel is None:
        if isinstance(command, Add):
            return (command.added,)
        raise Refusal("there is no such channel")
    match command:
        case Add(added):
            raise AlreadyTaken(f"channel '{added.chid}' is there already; choose another chid")
        case Grant(granted):
            known = channel.grants.get(granted.botcode)
            return () if known is not None and _at(known, granted.at) == granted else (granted,)
        case MoveCallback(moved):
            return () if _moved(channel.settings, moved) == channel.settings else (moved,)
        case _:
            assert_never(command)


def evolve(channel: Channel | None, event: ChannelEvent) -> Channel:
    """Return the channel after an event. Total: a recorded fact is never refused."""
    if channel is None:
        assert isinstance(event, ChannelAdded), "a channel's first event is `added`"
        return Channel(event, (event.key_id,), (event.webhook_secret_id,))
    match event:
        case BotGranted():
            return replace(channel, grants=channel.grants | {event.botcode: event})
        case CallbackMoved():
            return replace(channel, settings=_moved(channel.settings, event))
        case ChannelAdded():
            return channel
        case _:
            assert_never(event)


def _moved(settings: ChannelAdded, moved: CallbackMoved) -> ChannelAdded:
    return evolve_attrs(
        settings,
        callback_url=moved.callback_url,
        callback_format=moved.callback_format,
        allow_private=moved.allow_private,
    )


def _at(granted: BotGranted, at: int) -> BotGranted:
    return evolve_attrs(granted, at=at)
