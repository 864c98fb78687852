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
from wxrc_webhook.connection import Connection
from wxrc_webhook.errors import CallbackUrlError, ClosedWithoutAnswer, WebhookError
from wxrc_webhook.guard import AllowPrivate, Target, checked_target
from wxrc_webhook.network import Connector, close
from wxrc_webhook.pools import IdleConnections, PoolKey
from wxrc_webhook.resolver import Resolver, system_resolver
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
class CallbackRequest:
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
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Set the limits.

        Args:
            time_limit_s: For resolving, connecting, posting and reading the answer, in all, in seconds (wire.md: 5).
            answer_limit: How much of an answer is read, head and body together, in bytes.
            ssl_context: Which certificates are trusted; by default the usual public authorities. It must be one that
                checks certificates and names.
            resolve: How names become addresses; by default the operating system's way.
            network: What opens connections to checked addresses; by default the operating system's network.
        """
        self._time_limit_s = time_limit_s
        self._answer_limit = answer_limit
        self._ssl_context = ssl_context
        self._resolve = resolve
        self._network = network
        self._connector: Connector | None = None
        self._idle = IdleConnections()
        self._open: set[Connection] = set()

    async def __aenter__(self) -> Self:
        """Get ready to post."""
        ssl_context = self._ssl_context or httpcore.default_ssl_context()
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._connector = Connector(
            resolve=self._resolve or system_resolver(), ssl_context=ssl_context, network=self._network
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections. Attempts still under way fail."""
        self._connector = None
        self._idle = IdleConnections()
        while self._open:
            await close(self._open.pop().stream)

    async def post(self, attempt: CallbackRequest) -> Outcome:
        """Post a callback once and say how it ended; it takes no longer than the time limit.

        Returns:
            `Acknowledged`, or `Failed` with the reason, whatever the receiver does.

        Raises:
            TypeError: The body holds something that JSON has no word for.
            RuntimeError: The sender is not open.
        """
        if self._connector is None:
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
        answer = Answer()
        try:
            target = checked_target(attempt.url, attempt.allow_private)
        except CallbackUrlError as error:
            answer.trouble = str(error)
        else:
            request = _request(target, encoded.content_type, headers, encoded.body)
            with anyio.move_on_after(self._time_limit_s) as limit:
                await self._exchange(self._connector, target, attempt.allow_private, request, answer)
            if limit.cancelled_caught:
                whole = "complete " if answer.status else ""
                answer.trouble = f"no {whole}answer in {self._time_limit_s:g} s"
        return judge(answer, now=attempt.timestamp)

    async def _exchange(
        self, connector: Connector, target: Target, allow_private: AllowPrivate, request: bytes, answer: Answer
    ) -> None:
        """Post and read, noting in `answer` what arrives and why no more does."""
        key = PoolKey(allow_private, target.scheme, target.host, target.port)
        try:
            while True:
                connection = await self._kept(key) or await self._new(connector, target, allow_private)
                try:
                    await connection.exchange(request, answer)
                    return
                except (ClosedWithoutAnswer, httpcore.NetworkError):
                    # The receiver closed a kept connection as the request went out: it is no failure of the receiver's.
                    if not connection.used or answer.status is not None:
                        raise
                finally:
                    if not (
                        connection.reusable
                        and connection in self._open
                        and self._idle.give(key, connection, anyio.current_time())
                    ):
                        await self._close(connection)
        except WebhookError as error:
            answer.trouble = str(error)
        except (
            Exception
        ) as error:  # Whatever a far end does is an outcome; it must not end the task that serves other receivers.
            answer.trouble = _in_words(error, target)

    async def _kept(self, key: PoolKey) -> Connection | None:
        for outdated in self._idle.outdated(anyio.current_time()):
            await self._close(outdated)
        while (connection := self._idle.take(key)) is not None and not connection.fresh():
            await self._close(connection)
        return connection

    async def _new(self, connector: Connector, target: Target, allow_private: AllowPrivate) -> Connection:
        connection = Connection(await connector.connect(target, allow_private), self._answer_limit)
        self._open.add(connection)
        return connection

    async def _close(self, connection: Connection) -> None:
        self._open.discard(connection)
        await close(connection.stream)


def _request(target: Target, content_type: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Write a request down. Nothing in it can break out of its line: URL, id and signatures were checked or made here."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\nUser-Agent: wxrc\r\n"
        "Accept: application/json, text/plain\r\nAccept-Encoding: identity\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    )
    return head.encode("ascii") + body


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
        case ((httpcore.NetworkError() | OSError()), _):
            return "the connection broke before the answer was complete"
    return f"the attempt broke off ({type(error).__name__})"
