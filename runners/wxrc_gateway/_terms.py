"""The keyword arguments of a gateway's calls that end up as fields of an event; a test keeps them in step with those fields."""

from typing import Literal, TypedDict

from wxrc_core.channel import CallbackFormat


class CallbackTerms(TypedDict, total=False):
    """How callbacks are written and where they may go (`wxrc_core.channel.CallbackMoved`)."""

    callback_format: CallbackFormat
    allow_private: bool


class ChannelTerms(CallbackTerms, total=False):
    """What a channel is made with (`wxrc_gateway.admin.add_channel`)."""

    callback_url: str
    key: str | None
    webhook_secret: str | None


class GrantTerms(TypedDict, total=False):
    """On which terms a channel may use a bot (`wxrc_core.channel.BotGranted`)."""

    room_id: str
    room_topic: str
    on_doubt: Literal["leave", "resend"]
    inbound: Literal["addressed", "all"]
