"""One attempt to post one callback, safely; when to try and what to do about the outcome is the core's business.

The order of things: write the body down, sign it, check the URL, take a connection that was opened under this
channel's policy (or open one, see `network.py`), post, read a little, judge (see `answer.py`). All that happens at
the far end comes back as an outcome; only cancellation passes through.

Nothing is queued here: every attempt gets a connection at once, so that no receiver can keep another one waiting, and
the signed timestamp is never older than the attempt. How many attempts run at once is up to the caller.
"""

import os
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import anyio
import httpcore
from attrs import Attribute, field, frozen

from wxrc_core.channel import CallbackFormat
from wxrc_webhook.answer import Answer, Outcome, judge
from wxrc_webhook.errors import CallbackUrlError, WebhookError
from wxrc_webhook.guard import AllowPrivate, Target, checked_target
from wxrc_webhook.network import CheckedBackend, Resolver, system_resolver
from wxrc_webhook.pools import IDLE_CONNECTIONS, KEEP_ALIVE_S, PoolKey, Pools
from wxrc_webhook.signing import Callback, encode, secret_bytes, signature_headers

TIME_LIMIT_S: Final = 5.0
ANSWER_LIMIT_BYTES: Final = 64 * 1024


def _visible_ascii(_attempt: object, _attribute: "Attribute[str]", value: str) -> None:
    if not (0 < len(value) <= 256 and value.isascii() and value.isprintable() and " " not in value):
        raise ValueError("webhook_id must be 1 to 256 visible ASCII characters.")


def _not_empty(_attempt: object, attribute: "Attribute[Any]", value: object) -> None:
    if not value:
        raise ValueError(f"{attribute.name} must not be empty: a callback is never sent unsigned.")


def _usable_secrets(_attempt: object, _attribute: "Attribute[tuple[str, ...]]", value: tuple[str, ...]) -> None:
    for secret in value:
        secret_bytes(secret)


@frozen(kw_only=True)
class Attempt:
    """One attempt to post one callback. Its repr shows neither secrets nor texts nor the URL, which may hold a token.

    Attributes:
        url: The channel's callback URL.
        webhook_id: The same over all attempts of one delivery; 1 to 256 visible ASCII characters.
        body: `reqBody` (wire.md, section 3).
        format: `form` (default), `json` or `bracket`.
        channel_key: The channel's KEY, for the MD5 signature.
        webhook_secrets: The channel's webhook secrets (`whsec_…`), newest first; at least one.
        timestamp: The time of this attempt, in epoch seconds.
        allow_private: Whether this channel may be called in private networks, or in which ones.

    Raises:
        WebhookSecretError: A webhook secret is malformed.
        ValueError: `webhook_id` cannot be a header value, or there is nothing to sign with.
    """

    url: str = field(repr=False)
    webhook_id: str = field(validator=_visible_ascii)
    body: Mapping[str, Any] = field(repr=False)
    format: CallbackFormat = "form"
    channel_key: str = field(repr=False, validator=_not_empty)
    webhook_secrets: tuple[str, ...] = field(repr=False, validator=[_not_empty, _usable_secrets])
    timestamp: int
    allow_private: AllowPrivate = False


class WebhookSender:
    """Posts callbacks; an async context manager that works the same under asyncio and trio.

    Connections are kept alive for a few seconds and shared only among channels with the same receiver and the same policy
    on private networks, since each was checked under that policy when it was opened. No proxy is taken from the
    environment.
    """

    def __init__(
        self,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        answer_limit: int = ANSWER_LIMIT_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        """Set the limits.

        Args:
            time_limit_s: For resolving, connecting, posting and reading the answer, in all, in seconds (wire.md: 5).
            answer_limit: How much of an answer is read, head and body together, in bytes.
            ssl_context: Which certificates are trusted; by default the usual public authorities. It must be one that
                checks certificates and names.
            resolve: How names become addresses; by default the operating system's way.
        """
        self._time_limit_s = time_limit_s
        self._answer_limit = answer_limit
        self._ssl_context = ssl_context
        self._resolve = resolve
        self._pools: Pools | None = None

    async def __aenter__(self) -> Self:
        """Get ready to post."""
        ssl_context = self._ssl_context or httpcore.default_ssl_context()
        resolve = self._resolve or system_resolver()

        def make(allow_private: AllowPrivate) -> httpcore.AsyncConnectionPool:
            # No limit on connections: whoever waited for one would send a stale timestamp.
            return httpcore.AsyncConnectionPool(
                ssl_context=ssl_context,
                max_connections=None,
                max_keepalive_connections=IDLE_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
                network_backend=CheckedBackend(
                    allow_private=allow_private, resolve=resolve, answer_limit=self._answer_limit
                ),
            )

        self._pools = Pools(make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections. Attempts still under way fail."""
        pools, self._pools = self._pools, None
        with anyio.CancelScope(shield=True):
            if pools is not None:
                await pools.aclose()

    async def post(self, attempt: Attempt) -> Outcome:
        """Post a callback once and say how it ended; it takes no longer than the time limit.

        Returns:
            `Acknowledged`, or `Failed` with the reason, whatever the receiver does.

        Raises:
            TypeError: The body holds something that JSON has no word for.
            RuntimeError: The sender is not open.
        """
        if self._pools is None:
            raise RuntimeError("The sender is not open; use it with `async with WebhookSender() as sender`.")
        callback = Callback(webhook_id=attempt.webhook_id, body=attempt.body, format=attempt.format)
        encoded = encode(callback)
        headers = signature_headers(
            callback,
            encoded,
            timestamp=attempt.timestamp,
            channel_key=attempt.channel_key,
            webhook_secrets=attempt.webhook_secrets,
        )
        headers["Content-Type"] = encoded.content_type
        answer = Answer()
        try:
            target = checked_target(attempt.url, attempt.allow_private)
        except CallbackUrlError as error:
            answer.trouble = str(error)
        else:
            key = PoolKey(attempt.allow_private, target.scheme, target.host, target.port)
            with anyio.move_on_after(self._time_limit_s) as limit:
                async with self._pools.use(key) as pool:
                    await _exchange(pool, target, headers, encoded.body, answer)
            if limit.cancelled_caught:
                whole = "complete " if answer.status else ""
                answer.trouble = f"no {whole}answer in {self._time_limit_s:g} s"
        return judge(answer, now=attempt.timestamp)


async def _exchange(
    pool: httpcore.AsyncConnectionPool, target: Target, headers: Mapping[str, str], body: bytes, answer: Answer
) -> None:
    """Post and read, noting in `answer` what arrives and why no more does."""
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    all_headers = {
        "Host": target.host_header,
        "User-Agent": "wxrc",
        "Accept": "application/json, text/plain",
        "Accept-Encoding": "identity",
        "Content-Length": str(len(body)),
        **headers,
    }
    try:
        async with pool.stream("POST", url, headers=[*all_headers.items()], content=body) as response:
            answer.status, answer.headers = response.status, response.headers
            async for piece in response.aiter_stream():
                answer.body += piece
            answer.complete = True
    except WebhookError as error:
        answer.trouble = str(error)
    except (
        Exception
    ) as error:  # Whatever a far end does is an outcome; it must not end the task that serves other receivers.
        answer.trouble = _in_words(error, target)


def _in_words(error: Exception, target: Target) -> str:
    """Say what went wrong on the network. Nothing that the far end sent is repeated."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    match error, cause:
        case httpcore.ConnectError(), ssl.SSLCertVerificationError():
            return f"the certificate of {target.host} is not valid: {cause.verify_message}"
        case httpcore.ConnectError(), ssl.SSLError():
            return f"no TLS connection to {target.host_header}: {cause.reason or 'the handshake failed'}"
        case httpcore.ConnectError(), _:
            origin = cause.__cause__ if isinstance(cause.__cause__, OSError) else cause
            why = (
                os.strerror(origin.errno)
                if isinstance(origin, OSError) and origin.errno
                else "the connection broke off"
            )
            return f"could not connect to {target.host_header}: {why}"
        case httpcore.RemoteProtocolError(), _ if "without sending a response" in str(error):
            return "the connection was closed without a proper answer"
        case httpcore.ProtocolError(), _:
            return "the answer is not proper HTTP"
        case ((httpcore.NetworkError() | OSError()), _):
            return "the connection broke before the answer was complete"
    return f"the attempt broke off ({type(error).__name__})"
