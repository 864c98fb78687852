"""The wire out: makes one attempt to post one callback to a channel and says how it ended (wire.md, section 3).

Schedule, order, durability and retries are decided in the core and driven by a runner.
"""

from wxrc_webhook.answer import Acknowledged, Failed, Outcome
from wxrc_webhook.errors import CallbackUrlError, WebhookError, WebhookSecretError
from wxrc_webhook.fetch import FETCH_LIMIT_S, FetchFailed, FileFetcher
from wxrc_webhook.guard import AllowPrivate, Network, check_url, networks
from wxrc_webhook.resolver import Resolver
from wxrc_webhook.sender import ANSWER_LIMIT_BYTES, TIME_LIMIT_S, CallbackRequest, WebhookSender
from wxrc_webhook.signing import (
    Callback,
    Encoded,
    encode,
    new_webhook_secret,
    secret_bytes,
    signature_headers,
)

__all__ = [
    "ANSWER_LIMIT_BYTES",
    "FETCH_LIMIT_S",
    "TIME_LIMIT_S",
    "Acknowledged",
    "AllowPrivate",
    "Callback",
    "CallbackRequest",
    "CallbackUrlError",
    "Encoded",
    "Failed",
    "FetchFailed",
    "FileFetcher",
    "Network",
    "Outcome",
    "Resolver",
    "WebhookError",
    "WebhookSecretError",
    "WebhookSender",
    "check_url",
    "encode",
    "networks",
    "new_webhook_secret",
    "secret_bytes",
    "signature_headers",
]
