"""What happens to a channel.

The first part of the channel aggregate; `wxrc_core.channel` offers all of these names too. Every event says when (`at`, epoch ms) and who
did it (`by`: an operator's name, a token's name, `cli:<user>`, `application`; empty in logs of earlier releases).
"""

from typing import Literal, TypeAlias

from attrs import frozen

SignatureType: TypeAlias = Literal["HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA"]
CallbackFormat: TypeAlias = Literal["form", "json", "bracket"]
OnDoubt: TypeAlias = Literal["leave", "resend"]
Inbound: TypeAlias = Literal["addressed", "all"]
Evidence: TypeAlias = Literal["receipt", "echo"]

SIGNATURE_TYPES: tuple[SignatureType, ...] = ("HMAC-SHA256-V2", "HMAC-SHA256", "MD5")
"""The types that a channel accepts by default: all but `RSA`, which leaves the body unprotected (wire.md, Signatures)."""


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
        private_networks: Callbacks may go to these private networks.
        signature_types: The types that it accepts.
        timezone: The zone of its txtime and of its day.
        window_s: How far txtime may be from now, either way (seconds).
        rsa_public_key: What checks its `RSA` signatures, as PEM; empty = none is registered.
        allowed_addresses: The addresses and networks from which it may call; empty = from anywhere.
        requests_per_minute: Its quota; 0 = none.
        burst: How many requests it may make at once within its quota; 0 = as many as in a minute.
        by: Who did it.
    """

    at: int
    chid: str
    key_id: str
    webhook_secret_id: str
    callback_url: str = ""
    callback_format: CallbackFormat = "form"
    allow_private: bool = False
    signature_types: tuple[SignatureType, ...] = SIGNATURE_TYPES
    timezone: str = "Asia/Shanghai"
    window_s: int = 300
    rsa_public_key: str = ""
    allowed_addresses: tuple[str, ...] = ()
    requests_per_minute: int = 0
    burst: int = 0
    private_networks: tuple[str, ...] = ()
    by: str = ""


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
        interfaces: The interfaces that it may call; empty = all.
        least_evidence: What a message of it must have before it is called sent.
        pace: How many of its messages may go to this bot in any minute, on top of the bot's pace; 0 = no limit of its own.
        by: Who did it.
    """

    at: int
    botcode: str
    room_id: str = ""
    room_topic: str = ""
    on_doubt: OnDoubt = "leave"
    inbound: Inbound = "addressed"
    interfaces: tuple[str, ...] = ()
    least_evidence: Evidence = "receipt"
    pace: int = 0
    by: str = ""


@frozen(kw_only=True)
class BotRevoked:
    """The channel may no longer use this bot. What it has accepted from it goes on, and its end is told."""

    at: int
    botcode: str
    by: str = ""


@frozen(kw_only=True)
class CallbackMoved:
    """Callbacks go elsewhere from now on, those included that are under way; the fields are those of `ChannelAdded`."""

    at: int
    callback_url: str
    callback_format: CallbackFormat = "form"
    allow_private: bool = False
    private_networks: tuple[str, ...] = ()
    by: str = ""


@frozen(kw_only=True)
class SettingsChanged:
    """Settings changed; the fields are those of `ChannelAdded`, None = as before."""

    at: int
    signature_types: tuple[SignatureType, ...] | None = None
    rsa_public_key: str | None = None
    allowed_addresses: tuple[str, ...] | None = None
    timezone: str | None = None
    window_s: int | None = None
    requests_per_minute: int | None = None
    burst: int | None = None
    by: str = ""


@frozen(kw_only=True)
class KeyAdded:
    """One more KEY is valid, beside the one before, until one of them is ended."""

    at: int
    key_id: str
    by: str = ""


@frozen(kw_only=True)
class KeyEnded:
    """This KEY is no longer valid."""

    at: int
    key_id: str
    by: str = ""


@frozen(kw_only=True)
class SecretAdded:
    """Callbacks are signed with one more webhook secret, beside the one before, until one of them is ended."""

    at: int
    secret_id: str
    by: str = ""


@frozen(kw_only=True)
class SecretEnded:
    """Callbacks are no longer signed with this webhook secret."""

    at: int
    secret_id: str
    by: str = ""


@frozen(kw_only=True)
class ChannelSuspended:
    """Its requests are refused from now on, and why. What was accepted before goes on, and callbacks still go out."""

    at: int
    reason: str = ""
    by: str = ""


@frozen(kw_only=True)
class ChannelResumed:
    """Its requests are accepted again."""

    at: int
    by: str = ""


@frozen(kw_only=True)
class ChannelRemoved:
    """The channel is gone for ever: its requests get what an unknown channel gets, its queued messages and its callbacks are cancelled."""

    at: int
    by: str = ""


@frozen(kw_only=True)
class CallbackDisabled:
    """Nothing is posted to this callback URL any more: its receiver is gone (410), or has failed for days.

    What waits and what comes becomes a dead letter. Another URL, or `CallbackRetried`, ends it.

    Attributes:
        at: When (epoch ms).
        since: Since when it has failed (epoch ms).
        reason: Why the latest attempt failed.
        callback_url: The URL that it is about.
        by: Who did it; empty = the gateway.
    """

    at: int
    since: int
    reason: str
    callback_url: str
    by: str = ""


@frozen(kw_only=True)
class CallbackRetried:
    """An operator has everything that waits posted at once, and the callback URL used again where it was disabled."""

    at: int
    by: str = ""


Change: TypeAlias = (
    BotGranted
    | BotRevoked
    | CallbackMoved
    | SettingsChanged
    | KeyAdded
    | KeyEnded
    | SecretAdded
    | SecretEnded
    | ChannelSuspended
    | ChannelResumed
    | ChannelRemoved
    | CallbackDisabled
    | CallbackRetried
)
"""What can happen to a channel that is there."""

ChannelEvent: TypeAlias = ChannelAdded | Change
