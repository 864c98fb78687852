"""What can be wrong before or during one attempt. Every text is a sentence for people without any secret in it."""

from wxrc_core.errors import WxrcError


class WebhookError(WxrcError):
    """Common to all errors of this package."""


class CallbackUrlError(WebhookError, ValueError):
    """WXRC may not call this URL. The text says what would be right: show it and ask for another URL."""


class WebhookSecretError(WebhookError, ValueError):
    """A webhook secret is malformed. Make a new one with `new_webhook_secret`, or correct the one that was given."""


class NameNotResolved(WebhookError):
    """The receiver's name leads to no address now. It may later: try again."""


class AnswerTooLong(WebhookError):
    """The receiver sent more than an acknowledgement can need. Nothing more was read."""


class AnswerNotHttp(WebhookError):
    """What the receiver sent is no HTTP answer, or breaks off."""


class ClosedWithoutAnswer(WebhookError):
    """The receiver closed the connection before it had sent the head of an answer."""
