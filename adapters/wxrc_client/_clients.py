"""The two clients. Both drive the same steps (`_repetition`): they only send and wait, one with and one without `await`."""

import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Generic, Self, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import httpx2
import msgspec

from wxrc_client._answers import Answer, Item
from wxrc_client._envelope import Answered, Credentials, HttpRequest, SignatureType, signed
from wxrc_client._errors import Language, NotAnEnvelope, refused
from wxrc_client._repetition import Clock, Limits, Lost, Post, Reply, Steps, Wait, steps
from wxrc_client._requests import ListRequest, Request

AnswerT = TypeVar("AnswerT", bound=Answer)
Http = TypeVar("Http", httpx2.Client, httpx2.AsyncClient)

MAX_ANSWER_BYTES: Final = 16 * 1_048_576
"""How much of an answer is read; the gateway's longest, 500 contacts, is far shorter."""

SYSTEM_CLOCK: Final = Clock(now_ms=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic, chance=random.random)
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_TOO_SLOW: Final = Lost(why="the time for one try was over", arrived=True)


class _Calls(ABC, Generic[Http]):
    """What both clients know: where the gateway is, who calls, and what a call turns into."""

    def __init__(
        self,
        base_url: str,
        chid: str,
        key: str,
        *,
        botcode: str = "",
        signature_type: SignatureType = "HMAC-SHA256-V2",
        language: Language = "zh",
        limits: Limits | None = None,
        timezone: str = "Asia/Shanghai",
        http: Http | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Keep what the calls need; nothing is sent yet.

        Args:
            base_url: Where the gateway is, with the path that it is mounted under: `https://wxrc.example/wechat`.
            chid: The channel.
            key: Its KEY; for `RSA` the private key, as PEM.
            botcode: The bot that is meant where a call names none.
            signature_type: How requests are signed.
            language: What the gateway's sentences are written in.
            limits: How long a call may take; 60 s by default.
            timezone: The channel's time zone; only `NoAnswer.txdate` needs it.
            http: Sends the requests, with your own proxies and certificates; it is not closed here.
            clock: Time and chance; tests bring their own.

        Raises:
            ValueError: The URL is no http(s) URL, or the key is not one.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("the base URL must be http://… or https://…, without ? and #")
        self._base_url = base_url.rstrip("/")
        self._credentials = Credentials(chid=chid, key=key, signature_type=signature_type)
        self._botcode = botcode
        self._language = language
        self._limits = limits or Limits()
        self._timezone = timezone
        self._clock = clock
        self._owned = http is None
        self._http: Http = self._new_http() if http is None else http

    @abstractmethod
    def _new_http(self) -> Http: ...

    def _steps(self, request: Request[Any], botcode: str, txcode: str) -> Steps:
        botcode = botcode or self._botcode
        if not botcode:
            raise ValueError("name the bot: call(…, botcode=…), or once for all when the client is made")
        body: dict[str, Any] = msgspec.to_builtins(request)

        def write(txtime: str) -> HttpRequest:
            return signed(
                self._credentials,
                request.interface,
                botcode,
                body,
                txcode=txcode,
                txtime=txtime,
                language=self._language,
            )

        return steps(write, self._clock, self._limits, self._timezone)

    def _http_request(self, post: Post) -> httpx2.Request:
        return self._http.build_request(
            post.request.method,
            self._base_url + post.request.path,
            content=post.request.content,
            headers={**post.request.headers, "Accept-Encoding": "identity"},
            timeout=post.limit_s,
        )


class Client(_Calls[httpx2.Client]):
    """Calls the gateway; a context manager. Threads may share it.

    The time of a try is looked at whenever a piece of the answer's body has arrived, so a server that sends its head byte by byte can hold
    up a call; `AsyncClient` bounds that too.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if self._owned:
            self._http.close()

    def call(self, request: Request[AnswerT], *, botcode: str = "", txcode: str = "") -> AnswerT:
        """Call an interface; the request is repeated until there is an answer or the time is over.

        Args:
            request: Which interface, and its body.
            botcode: The bot; by default the client's.
            txcode: The serial number of this operation. By default a new one; bring your own (an order number, say) to be able to repeat
                the call later the same day.

        Raises:
            Refused: The gateway refused it; the class says what kind of refusal it is.
            NoAnswer: Nobody knows what became of it.
            NotAnEnvelope: What answers is not the gateway.
        """
        txcode = txcode or new_txcode()
        todo = self._steps(request, botcode, txcode)
        found: Reply | Lost | None = None
        while True:
            try:
                step = todo.send(found)
            except StopIteration as end:
                return result(request, end.value, txcode)
            match step:
                case Post():
                    found = self._post(step)
                case Wait(seconds):
                    found = None
                    time.sleep(seconds)

    def each(self, request: ListRequest[Item], *, botcode: str = "") -> Iterator[Item]:
        """Yield the entries of all pages of a list; raises as `call`."""
        while True:
            page = self.call(request, botcode=botcode)
            yield from page.items
            if not page.cursor:
                return
            request = msgspec.structs.replace(request, cursor=page.cursor)

    def _post(self, post: Post) -> Reply | Lost:
        until, content = time.monotonic() + post.limit_s, bytearray()
        try:
            response = self._http.send(self._http_request(post), stream=True, follow_redirects=False)
            try:
                for part in response.iter_bytes():
                    content += part
                    if time.monotonic() > until:
                        return _TOO_SLOW
                    if len(content) > MAX_ANSWER_BYTES:
                        break
            finally:
                response.close()
        except httpx2.RequestError as error:
            return _lost(error)
        return _reply(response, content)

    def _new_http(self) -> httpx2.Client:
        return httpx2.Client()


class AsyncClient(_Calls[httpx2.AsyncClient]):
    """As `Client`, to be awaited, on asyncio or trio; an async context manager."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if self._owned:
            await self._http.aclose()

    async def call(self, request: Request[AnswerT], *, botcode: str = "", txcode: str = "") -> AnswerT:
        """Call an interface, as `Client.call`. A call that is cancelled may have been accepted."""
        txcode = txcode or new_txcode()
        todo = self._steps(request, botcode, txcode)
        found: Reply | Lost | None = None
        while True:
            try:
                step = todo.send(found)
            except StopIteration as end:
                return result(request, end.value, txcode)
            match step:
                case Post():
                    found = await self._post(step)
                case Wait(seconds):
                    found = None
                    await anyio.sleep(seconds)

    async def each(self, request: ListRequest[Item], *, botcode: str = "") -> AsyncIterator[Item]:
        """Yield the entries of all pages of a list; raises as `call`."""
        while True:
            page = await self.call(request, botcode=botcode)
            for item in page.items:
                yield item
            if not page.cursor:
                return
            request = msgspec.structs.replace(request, cursor=page.cursor)

    async def _post(self, post: Post) -> Reply | Lost:
        content = bytearray()
        response: httpx2.Response | None = None
        with anyio.move_on_after(post.limit_s) as scope:
            try:
                response = await self._http.send(self._http_request(post), stream=True, follow_redirects=False)
                try:
                    async for part in response.aiter_bytes():
                        content += part
                        if len(content) > MAX_ANSWER_BYTES:
                            scope.cancel()  # and not `break`: trio wants the generators below to come to their end
                finally:
                    await response.aclose()
            except httpx2.RequestError as error:
                return _lost(error)
        if response is None or (scope.cancelled_caught and len(content) <= MAX_ANSWER_BYTES):
            return _TOO_SLOW
        return _reply(response, content)

    def _new_http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient()


def new_txcode() -> str:
    """Return a serial number that nobody has used: 20 random hex digits."""
    return secrets.token_hex(10)


def result(request: Request[AnswerT], answered: Answered, txcode: str) -> AnswerT:
    """Return the typed answer to a request.

    Raises:
        Refused: The gateway refused it.
        NotAnEnvelope: The answer is not what this interface answers.
    """
    if answered.rt_code != "0":
        raise refused(answered.rt_code, answered.rt_msg, txcode, answered.maybe_accepted)
    try:
        return cast(AnswerT, msgspec.json.decode(answered.res_body, type=request.answer))
    except (msgspec.DecodeError, RecursionError) as error:
        unread = NotAnEnvelope(f"{request.interface} was accepted, but its answer is not as expected: {error}")
        unread.maybe_accepted = True
        raise unread from None


def _lost(error: httpx2.RequestError) -> Lost:
    return Lost(why=str(error) or type(error).__name__, arrived=not isinstance(error, _NOT_SENT))


def _reply(response: httpx2.Response, content: bytearray) -> Reply:
    retry_after = response.headers.get("Retry-After", "")
    return Reply(status=response.status_code, content=bytes(content), retry_after=retry_after)
