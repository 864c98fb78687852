"""How a JetStream cluster is reached: one connection on an event loop in a thread of its own, time limits, and errors as sentences.

nats-py needs asyncio; what uses the store may run under trio. So the connection lives in a thread with a loop, and a call from outside
(`run`, `wait`) is carried out there. Everything else in this file runs on that loop.
"""

import asyncio
import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import nats.errors
from nats.aio.msg import Msg

from wxrc_store._jetstream_answers import (
    EXPECTED,
    NO_JETSTREAM,
    NO_MESSAGE,
    NO_STREAM,
    SOON,
    Answer,
    NoAnswer,
    Stored,
    code_of,
    taken,
    words,
)
from wxrc_store._jetstream_client import Client
from wxrc_store._jetstream_url import Place
from wxrc_store._writer import CLOSED, call_into_loop
from wxrc_store.port import StoreError

TRY = 2.0
"""How long one try of a call may take (seconds): then it is made again, perhaps to another server."""

PAUSE = 0.05
"""How long to wait before a call that failed at once is made again (seconds)."""

PARALLEL = 64
"""So many calls of one piece of work are under way at once."""

A = TypeVar("A")
T = TypeVar("T")


class Link:
    """The thread, its loop and the connection.

    Attributes:
        name: What to call the log in sentences.
        limit: How long one call may take, with all its tries (seconds).
        payload: The most bytes that a message may have; known once connected.
        server: The server that was connected first, without user and password; likewise.
    """

    def __init__(self, place: Place, limit: float) -> None:
        self.name, self.limit, self.payload, self.server = place.shown, limit, 0, ""
        self._place, self._try = place, min(TRY, limit)
        self._failed = ""  # why the last try to connect failed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"wxrc-store {self.name} connection", daemon=True)
        self._thread.start()

    # -- from outside -----------------------------------------------------------------------------------------------------------

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have work done on the loop, for a task under asyncio or trio; when that is cancelled, so is the work."""
        done, call = anyio.Event(), call_into_loop()

        def finished(_: object) -> None:
            with suppress(RuntimeError):  # the loop that waited is gone
                call(done.set)

        future = self._start(work)
        future.add_done_callback(finished)
        try:
            await done.wait()
        finally:
            future.cancel()
        return _result(future)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Have work done on the loop, for another thread."""
        return _result(self._start(work))

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:  # the loop has ended
            work.close()
            raise StoreError(CLOSED) from error

    def close(self) -> None:
        """Close the connection and end the thread; it does not wait for that."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._client = Client()
        try:
            self._loop.run_forever()
            with suppress(Exception, asyncio.CancelledError):
                self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        """Close the connection, and end what still runs: its callers are told that the store is closed."""
        with suppress(Exception, asyncio.CancelledError):  # it ends what it waits for by cancelling it
            await asyncio.wait_for(self._client.close(), TRY)
        self._client.disconnect()  # one that was never connected keeps what it tried
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=TRY)

    # -- connecting -------------------------------------------------------------------------------------------------------------

    async def connect(self) -> tuple[int, int]:
        """Connect; return the version (major, minor) of the server.

        Raises:
            StoreError: No server can be reached within the limit, or it is not one with JetStream.
        """
        connecting = self._client.connect(
            self._place.servers,
            name="wxrc",
            error_cb=self._note,
            connect_timeout=int(TRY),
            max_reconnect_attempts=-1,
            reconnect_time_wait=PAUSE,  # type: ignore[arg-type]
            ping_interval=2,
            max_outstanding_pings=2,
            pending_size=64 << 20,
            **self._place.login,
        )
        try:
            await asyncio.wait_for(connecting, self.limit)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = self._failed or words(error)
            raise StoreError(f"The JetStream store {self.name} cannot be reached: {reason}.") from error
        self.payload = self._client.max_payload
        connected = self._client.connected_url
        self.server = f"{connected.hostname}:{connected.port}" if connected else self.name
        answer = await self.ask("INFO")
        if code := code_of(answer):
            if code in NO_JETSTREAM:
                raise StoreError(
                    f"The NATS server of {self.name} runs without JetStream; set jetstream in its configuration."
                )
            raise self.error(answer)
        version = self._client.connected_server_version
        return version.major, version.minor

    async def _note(self, error: Exception) -> None:
        self._failed = words(error)

    # -- calls ------------------------------------------------------------------------------------------------------------------

    async def request(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> Msg:
        """Send a message and return the answer to it.

        Raises:
            NoAnswer: None came.
        """
        try:
            return await self._client.request(subject, data, self._try, headers=dict(headers) if headers else None)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            if not isinstance(error, asyncio.TimeoutError):  # it failed at once
                await asyncio.sleep(PAUSE)
            raise NoAnswer(words(error)) from error

    async def send(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a message; nothing is known of what becomes of it.

        Raises:
            NoAnswer: It could not be sent.
        """
        try:
            await self._client.publish(subject, data, headers=dict(headers) if headers else None)
        except (OSError, nats.errors.Error) as error:
            raise NoAnswer(words(error)) from error

    def tries(self) -> Iterator[None]:
        """Yield for each further try of a call until its time limit is reached.

        Raises:
            StoreError: It is.
        """
        deadline = time.monotonic() + self.limit
        while True:
            yield
            if time.monotonic() > deadline:
                raise StoreError(
                    f"The JetStream store {self.name} does not answer: {self._failed or 'no leader, or no majority of its servers'}."
                )

    async def ask(self, what: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Call the JetStream API until it answers; a refusal is an answer, "not now" is none."""
        data = b"" if body is None else json.dumps(body).encode()
        for _ in self.tries():
            with suppress(NoAnswer):
                answer: Answer = json.loads((await self.request(f"$JS.API.{what}", data)).data)
                if code_of(answer) not in SOON:
                    return answer
                await asyncio.sleep(PAUSE)
        raise AssertionError("unreachable")

    async def call(self, what: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Call the JetStream API; a refusal is an error."""
        answer = await self.ask(what, body)
        if code_of(answer):
            raise self.error(answer)
        return answer

    async def get(self, stream: str, **body: object) -> Stored | None:
        """Return a message as the stream's leader has it: it is never behind. None = there is none, or no such stream."""
        answer = await self.ask(f"STREAM.MSG.GET.{stream}", body)
        if code := code_of(answer):
            if code in (NO_MESSAGE, NO_STREAM):
                return None
            raise self.error(answer)
        found = answer["message"]
        return Stored(found["seq"], found["subject"], base64.b64decode(found.get("data", "")), found["time"])

    async def subjects(self, stream: str, pattern: str) -> list[str]:
        """Return the subjects of all messages that fit a pattern, in no order; none where there is no such stream."""
        found: list[str] = []
        while True:
            answer = await self.ask(f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": len(found)})
            if code := code_of(answer):
                if code == NO_STREAM:
                    return []
                raise self.error(answer)
            page = answer["state"].get("subjects") or {}
            found += page
            if not page or len(found) >= answer.get("total", 0):
                return found

    async def purge(self, stream: str, pattern: str, upto: int = 0) -> int:
        """Delete all messages that fit a pattern, in one step; return how many. `upto`: only those up to this sequence."""
        body: dict[str, object] = {"filter": pattern}
        if upto:
            body["seq"] = upto + 1
        answer = await self.ask(f"STREAM.PURGE.{stream}", body)
        if (code := code_of(answer)) and code != NO_STREAM:
            raise self.error(answer)
        return int(answer.get("purged", 0))

    async def put(self, subject: str, data: bytes) -> int:
        """Keep a message, in place of an earlier one on its subject; return its sequence."""
        for _ in self.tries():
            with suppress(NoAnswer):
                answer = await self.publish(subject, data, None)
                if not code_of(answer):
                    return int(answer["seq"])
                if code_of(answer) not in SOON:
                    raise self.error(answer)
                await asyncio.sleep(PAUSE)
        raise AssertionError("unreachable")

    async def swap(self, stream: str, subject: str, data: bytes, last: int) -> int | None:
        """Keep a message if the last one on its subject has this sequence (0 = there is none); return its own, None = it has not.

        Args:
            stream: The stream.
            subject: The subject.
            data: Unlike every other on this subject, so that it is known again where an answer was lost.
            last: The sequence.
        """
        for _ in self.tries():
            with suppress(NoAnswer):
                answer = await self.publish(subject, data, {EXPECTED: str(last)})
                code = code_of(answer)
                if not code:
                    return int(answer["seq"])
                if taken(answer):
                    found = await self.get(stream, last_by_subj=subject)
                    return found.sequence if found and found.data == data else None
                if code not in SOON:
                    raise self.error(answer)
                await asyncio.sleep(PAUSE)
        raise AssertionError("unreachable")

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Try once to keep a message; return the answer.

        Raises:
            NoAnswer: None came.
        """
        answer: Answer = json.loads((await self.request(subject, data, headers)).data)
        return answer

    # -- pages ------------------------------------------------------------------------------------------------------------------

    async def page(self, stream: str, pattern: str, first: int, count: int) -> list[Stored]:
        """Return up to `count` messages from a sequence on, as any server of the stream has them: the end may be missing."""
        body = json.dumps({"seq": first, "next_by_subj": pattern, "batch": count}).encode()
        for _ in self.tries():
            with suppress(NoAnswer):
                return await self._page(f"$JS.API.DIRECT.GET.{stream}", body)
        raise AssertionError("unreachable")

    async def together(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        """Return the last message on each subject, all as they were at one moment on one server, which may be behind."""
        body = json.dumps({"multi_last": subjects}).encode()
        for _ in self.tries():
            with suppress(NoAnswer):
                return await self._page(f"$JS.API.DIRECT.GET.{stream}", body)
        raise AssertionError("unreachable")

    async def _page(self, subject: str, body: bytes) -> list[Stored]:
        found: list[Stored] = []
        async with self._inbox(found) as (inbox, ended):
            await self._client.publish(subject, body, reply=inbox)
            seen = -1
            while not ended.done():
                if seen == len(found):
                    raise NoAnswer("a page of the log did not come")
                seen = len(found)
                await asyncio.wait([ended], timeout=TRY)
        if (status := ended.result()) == "503":
            await asyncio.sleep(PAUSE)
            raise NoAnswer("nobody has the page")
        if status not in ("204", "404"):
            raise StoreError(f"The JetStream store {self.name} gave no page of the log (status {status}).")
        return found

    @asynccontextmanager
    async def _inbox(self, found: list[Stored]) -> AsyncIterator[tuple[str, "asyncio.Future[str]"]]:
        ended = self._loop.create_future()

        async def arrived(message: Msg) -> None:
            headers = message.headers or {}
            if (status := headers.get("Status")) is None:
                found.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, ""))
            elif not ended.done():
                ended.set_result(status)

        try:
            inbox = self._client.new_inbox()
            subscription = await self._client.subscribe(
                inbox, cb=arrived, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
            try:
                yield inbox, ended
            finally:
                with suppress(nats.errors.Error, OSError):
                    await subscription.unsubscribe()
        except (OSError, nats.errors.Error) as error:
            raise NoAnswer(words(error)) from error

    async def hear(self, subject: str, heard: Any) -> None:
        """Have a function called with each message on a subject, from now on."""

        async def arrived(message: Msg) -> None:
            heard(message.data)

        await self._client.subscribe(subject, cb=arrived)

    # -- errors -----------------------------------------------------------------------------------------------------------------

    def error(self, answer: Answer) -> StoreError:
        """Return a refusal as an error."""
        description = answer["error"].get("description", "unknown")
        return StoreError(f"The JetStream store {self.name} refused a call: {description} ({code_of(answer)}).")


def _result(future: "Future[T]") -> T:
    try:
        return future.result()
    except CancelledError as error:  # the loop has ended, and not the caller given up
        raise StoreError(CLOSED) from error
    except NoAnswer as error:
        raise StoreError(f"The JetStream store does not answer: {error}.") from error


async def gathered(function: Callable[[A], Awaitable[T]], arguments: Iterable[A], parallel: int = PARALLEL) -> list[T]:
    """Call a function with each argument, some at once; return its results in order. The first failure ends all, and is raised."""
    gate = asyncio.Semaphore(parallel)

    async def one(argument: A) -> T:
        async with gate:
            return await function(argument)

    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(argument)) for argument in arguments]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    return [each.result() for each in running]
