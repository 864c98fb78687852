"""One connection to a Wechaty puppet gateway: its calls, each with a time limit, and what their failures mean.

Source of the calls, codes and quirks: the Wechaty puppet service, see `puppet.proto`. Its application errors arrive as status UNKNOWN
with a JavaScript stack trace, and its answer to a wrong token repeats the token; so no text of the gateway's goes into an error here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

import anyio
import grpc
import grpc.aio
from attrs import frozen

from wxrc_puppet.port import PuppetError
from wxrc_puppet.wechaty import puppet_pb2 as pb
from wxrc_puppet.wechaty._options import WechatyOptions

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Result = TypeVar("Result")


@frozen
class Call(Generic[Answer]):
    """One call of the service: its name and the class of its answer."""

    name: str
    answer: type[Answer]


START = Call("Start", pb.Empty)
STOP = Call("Stop", pb.Empty)
LOGOUT = Call("Logout", pb.Empty)
EVENT = Call("Event", pb.Event)
DING = Call("Ding", pb.Empty)
DIRTY_PAYLOAD = Call("DirtyPayload", pb.Empty)
CONTACT_LIST = Call("ContactList", pb.Ids)
CONTACT_PAYLOAD = Call("ContactPayload", pb.Contact)
ROOM_LIST = Call("RoomList", pb.Ids)
ROOM_PAYLOAD = Call("RoomPayload", pb.Room)
ROOM_MEMBER_LIST = Call("RoomMemberList", pb.Ids)
ROOM_MEMBER_PAYLOAD = Call("RoomMemberPayload", pb.Member)
MESSAGE_PAYLOAD = Call("MessagePayload", pb.Message)
MESSAGE_SEND_TEXT = Call("MessageSendText", pb.Sent)
MESSAGE_SEND_MINI_PROGRAM = Call("MessageSendMiniProgram", pb.Sent)
MESSAGE_SEND_FILE = Call("MessageSendFile", pb.Sent)
UPLOAD = Call("Upload", pb.Id)


_CHUNK = 64 * 1024
_ENDING_S = 0.3
_CLOSED = "The connection to the Wechaty gateway was closed."


class CallFailed(PuppetError):
    """A call failed.

    Attributes:
        code: The gRPC status.
        refused: The gateway is alive and answered that it cannot do this; else the connection is of no more use.
    """

    def __init__(self, sentence: str, code: grpc.StatusCode) -> None:
        super().__init__(sentence)
        self.code = code
        self.refused = code not in _LOST


_LOST = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ALREADY_EXISTS,
)


class WechatyServer:
    """One connection to a gateway. It must be made where an asyncio event loop runs, and closed."""

    def __init__(self, options: WechatyOptions) -> None:
        self._options = options
        self._closed = False
        self._out: dict[Any, anyio.Event] = {}
        self._metadata = (("authorization", f"Wechaty {options.token}"),)
        settings: list[tuple[str, int | str]] = [
            # A gateway that hangs without closing its connection: noticed after 13 s also where nobody asks.
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 3_000),
            ("grpc.http2.ping_timeout_ms", 3_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            # A send must never be repeated behind our back, neither by default nor by a policy out of DNS.
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            # A connection of our own: others' failures and back-off times are not ours.
            ("grpc.use_local_subchannel_pool", 1),
            # The gateway is one's own; a proxy from the environment is meant for the web.
            ("grpc.enable_http_proxy", 0),
        ]
        if options.server_name:
            settings.append(("grpc.ssl_target_name_override", options.server_name))
        if options.tls:
            credentials = grpc.ssl_channel_credentials(options.ca_file)
            self._channel = grpc.aio.secure_channel(options.endpoint, credentials, options=settings)
        else:
            self._channel = grpc.aio.insecure_channel(options.endpoint, options=settings)

    @property
    def connected(self) -> bool:
        """Whether a call made now would go out on an open connection."""
        return not self._closed and self._channel.get_state() is grpc.ChannelConnectivity.READY

    @property
    def unreachable(self) -> str:
        """The sentence for a gateway that does not answer at all."""
        how = "with" if self._options.tls else "without"
        return (
            f"The Wechaty gateway at {self._options.endpoint} cannot be reached {how} TLS; it must be running there, and options"
            " endpoint and tls must be right."
        )

    async def call(self, call: Call[Answer], request: Any = None, *, limit_ms: int | None = None) -> Answer:
        """Make one call.

        Args:
            call: Which.
            request: What to say; None = nothing.
            limit_ms: How long it may take (ms); None = the option `answer_ms`.

        Raises:
            CallFailed: It came to nothing; whether it had an effect is not known.
        """
        method = self._channel.unary_unary(f"/wechaty.Puppet/{call.name}", _write, call.answer.FromString)  # type: ignore[attr-defined]
        return await self._ended(call, method, request or pb.Empty(), limit_ms or self._options.answer_ms)

    async def upload(self, data: bytes, *, limit_ms: int) -> str:
        """Hand a file to the gateway, in pieces; return the id under which it has it, for as long as it runs.

        Raises:
            CallFailed: It came to nothing. Nothing was sent to anybody.
        """
        pieces = (pb.Chunk(chunk=data[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK))
        method = self._channel.stream_unary(f"/wechaty.Puppet/{UPLOAD.name}", _write, UPLOAD.answer.FromString)
        return (await self._ended(UPLOAD, method, pieces, limit_ms)).id

    async def _ended(self, call: Call[Answer], method: Any, request: Any, limit_ms: int) -> Answer:
        """Begin a call and wait for its end."""
        if self._closed:
            raise CallFailed(_CLOSED, grpc.StatusCode.CANCELLED)
        out = method(request, timeout=limit_ms / 1000, metadata=self._metadata)
        # A call that is awaited and cancelled raises a CancelledError of gRPC's own making, which no cancel scope knows as its
        # own. So wait for its end beside it, and await it only then; if that wait is cancelled, the call ends by itself in time.
        self._out[out] = ended = anyio.Event()
        out.add_done_callback(lambda _: self._out.pop(out).set())
        await ended.wait()
        with anyio.CancelScope(shield=True):
            try:
                answer: Answer = await out
            except grpc.aio.AioRpcError as error:
                raise self._explain(error, call.name, limit_ms) from None
            except asyncio.CancelledError:  # `close` cancels the calls that are still out
                raise CallFailed(_CLOSED, grpc.StatusCode.CANCELLED) from None
        return answer

    async def ask(self, call: Call[Answer], request: Any = None) -> Answer | None:
        """Make one call whose answer is not vital; None = the gateway is alive and cannot say.

        Raises:
            CallFailed: The connection is of no more use.
        """
        try:
            return await self.call(call, request)
        except CallFailed as failure:
            if not failure.refused:
                raise
        return None

    async def events(self) -> AsyncGenerator[pb.Event, None]:
        """Give the gateway's events as they come, until it ends the stream.

        Raises:
            CallFailed: The stream could not be opened or broke. `ALREADY_EXISTS`: another client has it.
        """
        method = self._channel.unary_stream("/wechaty.Puppet/Event", _write, pb.Event.FromString)
        stream = method(pb.Empty(), metadata=self._metadata)
        try:
            async for event in stream:
                yield event
        except grpc.aio.AioRpcError as error:
            raise self._explain(error, EVENT.name, None) from None
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Close the connection. Calls that are still out get a moment to end, and are cancelled then.

        gRPC ends a cancelled call in a thread of its own and then tells the event loop; if the loop is gone by then, the next
        one that uses gRPC stumbles over it. So as few as possible are cancelled, and what was is waited for.
        """
        self._closed = True
        with anyio.move_on_after(_ENDING_S) as limit:
            for ended in list(self._out.values()):
                await ended.wait()
        await self._channel.close()
        await anyio.sleep(_ENDING_S if limit.cancelled_caught else 0)
        ending = [task for task in asyncio.all_tasks() if _belongs_to_a_stream(task)]
        if ending:
            await asyncio.wait(ending, timeout=_ENDING_S)

    def _explain(self, error: grpc.aio.AioRpcError, name: str, limit_ms: int | None) -> CallFailed:
        code, gateway = error.code(), f"The Wechaty gateway at {self._options.endpoint}"
        details = (error.details() or "").lower()
        if code is grpc.StatusCode.UNAUTHENTICATED:
            sentence = f"{gateway} refuses the token; option token must be the one that it was started with."
        elif code is grpc.StatusCode.ALREADY_EXISTS:
            sentence = f"{gateway} serves another client already, and it serves one at a time; stop the other one."
        elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
            sentence = f"{gateway} did not answer {name} within {limit_ms} ms."
        elif code is grpc.StatusCode.UNAVAILABLE and ("handshake" in details or "verification" in details):
            sentence = (
                f"{gateway} showed no certificate that can be trusted; options tls, ca_file and server_name must fit"
                " the certificate that it was started with."
            )
        elif code is grpc.StatusCode.UNAVAILABLE:
            sentence = self.unreachable
        else:
            sentence = f"{gateway} could not do {name} ({code.name})."
        return CallFailed(sentence, code)


async def for_each(work: Callable[[Item], Awaitable[Result]], items: Iterable[Item], at_once: int = 16) -> list[Result]:
    """Do the same for each item, several at once, and return the results in order. The first failure ends all and is raised."""
    results: dict[int, Result] = {}
    failures: list[Exception] = []
    limiter = anyio.CapacityLimiter(at_once)

    async def one(number: int, item: Item) -> None:
        try:
            async with limiter:
                results[number] = await work(item)
        except Exception as failure:  # raised below; out of a task group it would come as a group
            failures.append(failure)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for number, item in enumerate(items):
            tasks.start_soon(one, number, item)
    if failures:
        raise failures[0]
    return [results[number] for number in sorted(results)]


def _write(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _belongs_to_a_stream(task: asyncio.Task[Any]) -> bool:
    # There is no public trace of a cancelled stream that gRPC has yet to end; this task of its own is one.
    return getattr(task.get_coro(), "__qualname__", "").startswith("_AioCall.")
