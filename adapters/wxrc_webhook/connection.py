"""One connection to a receiver: a request goes out in one piece, and its answer is read, no more of it than is needed.

One request at a time. The answer is taken apart by llhttp (httptools), the parser of Node.js: a general client takes several times as long
for a callback, nearly all of it for what a callback has no use for.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import httpcore
import httptools

from wxrc_webhook.answer import Answer
from wxrc_webhook.errors import AnswerNotHttp, AnswerTooLong, ClosedWithoutAnswer

_READ_BYTES: Final = 65_536


class Connection:
    """A connection, and what has arrived of the answer to the request that is under way.

    Attributes:
        stream: What carries it.
        reusable: It can take another request.
        used: It has taken one before.
        idle_since: When its latest answer had arrived (seconds).
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream, answer_limit: int) -> None:
        self.stream = stream
        self.reusable = False
        self.used = False
        self.idle_since = 0.0
        self._answer_limit = answer_limit
        self._answer = Answer()
        self._headers: list[tuple[bytes, bytes]] = []
        self._sized = False
        self._surplus = False
        self._keep_alive = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)

    def fresh(self) -> bool:
        """Return whether an idle connection can still be used: nothing has arrived on it, neither bytes nor its end."""
        return not self.stream.get_extra_info("is_readable")

    async def exchange(self, request: bytes, answer: Answer) -> None:
        """Send a request and read its answer, noting in `answer` what arrives.

        Raises:
            ClosedWithoutAnswer: It was closed before the head of the answer was complete.
            AnswerNotHttp: What arrives is no answer, or its end is missing.
            AnswerTooLong: The answer is longer than the limit.
            httpcore.NetworkError: The connection broke.
        """
        self.reusable = False
        self._answer = answer
        self._headers = []
        self._sized = False
        await self.stream.write(request)
        await self._read(self.stream.read, answer)
        self.used = True
        self.reusable = self._keep_alive and not self._surplus

    async def _read(self, read: Callable[[int], Awaitable[bytes]], answer: Answer) -> None:
        left = self._answer_limit
        while not answer.complete:
            if left <= 0:
                raise AnswerTooLong(f"the answer is longer than {self._answer_limit} bytes")
            data = await read(min(_READ_BYTES, left))
            left -= len(data)
            if not data:
                self._end_of_stream(answer)
                return
            if not self._parse(data) and not answer.complete:
                raise AnswerNotHttp("the answer is not proper HTTP")

    def _parse(self, data: bytes) -> bool:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._surplus = True
            return False
        return True

    def _end_of_stream(self, answer: Answer) -> None:
        self._surplus = True
        if answer.status is None:
            raise ClosedWithoutAnswer("the connection was closed without a proper answer")
        if self._sized:
            raise AnswerNotHttp("the answer is not proper HTTP")
        answer.complete = True  # an answer without a length ends with the connection

    # -- called by the parser ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; after a complete one it belongs to no request."""
        self._surplus = self._answer.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field has arrived."""
        self._headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        """The head has arrived; that of an interim answer (1xx) says nothing."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._answer.complete:
            self._answer.status, self._answer.headers = status, self._headers
            self._keep_alive = self._parser.should_keep_alive()
        self._headers = []

    def on_body(self, data: bytes) -> None:
        """A part of the body has arrived."""
        if not self._answer.complete:
            self._answer.body += data

    def on_message_complete(self) -> None:
        """The answer has arrived, or an interim one."""
        self._answer.complete = self._answer.status is not None
        if not self._answer.complete:
            self._sized = False
