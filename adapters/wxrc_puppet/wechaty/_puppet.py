"""A WeChat account behind a Wechaty gateway, as a puppet.

`run` is one life of one connection: open the event stream, have the gateway start its WeChat client, and turn events into reports until
the account is logged out or the connection breaks. Several tasks work beside each other: one reads the stream and never waits for
anything else, one takes the events in order, one keeps the room list, one asks a silent gateway whether it lives. Nothing is remembered
from one connection to the next: the gateway says again what holds (logged in, ready, a waiting QR code) and keeps the session itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, Literal, TypeAlias

import anyio
import grpc

from wxrc_core.puppet import (
    Capabilities,
    NotConnected,
    Outgoing,
    Report,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    ReportScanned,
    Room,
    SendOutcome,
)
from wxrc_puppet.port import PuppetContext, PuppetError, ReportTo
from wxrc_puppet.wechaty import puppet_pb2 as pb
from wxrc_puppet.wechaty._codes import (
    KINDS,
    RESTARTED,
    EventType,
    ScanStatus,
    ServerEvent,
    decode,
    list_of,
    short,
    text_of,
)
from wxrc_puppet.wechaty._mentions import names_in_text
from wxrc_puppet.wechaty._options import parse_options
from wxrc_puppet.wechaty._rooms import Rooms
from wxrc_puppet.wechaty._sends import LateEcho, Send, Sends, SignedOut
from wxrc_puppet.wechaty._server import DING, LOGOUT, MESSAGE_PAYLOAD, START, STOP, CallFailed, WechatyServer

log = logging.getLogger("wxrc.puppet.wechaty")

_START_MS = 20_000  # the gateway itself gives its client 15 s to start or stop
_FIRST_EVENT_S = 5.0  # gateways of other makes may give no heartbeat on connecting
_REOPEN_S = (0.1, 0.2, 0.4, 0.8, 1.6)  # a stream that was just left is not free at once
_WAITING_EVENTS = 1000
_SILENT_ROUNDS = 4


_News: TypeAlias = ServerEvent | SignedOut | LateEcho


class WechatyPuppet:
    """One WeChat account behind one Wechaty gateway. asyncio only, since gRPC for Python is.

    Args:
        context: What the runner gives; its options are those of `WechatyOptions`. The stored session is not used: the gateway keeps it.

    Raises:
        PuppetError: An option is missing, unknown or wrong.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        login_kinds=("web",),
        content=frozenset({"text", "app", "image"}),
        rooms=True,
        mentions=True,
        receipts=True,
        inbound=True,
    )

    def __init__(self, context: PuppetContext) -> None:
        self._clock = context.clock
        self._options = parse_options(context.options)
        self._called = f"The Wechaty gateway at {self._options.endpoint}"
        self._server: WechatyServer | None = None
        self._wxid = ""
        self._name = ""
        self._leaving: Literal["", "sign_out", "release"] = ""
        self._farewell = anyio.Lock()

    # -- one connection --------------------------------------------------------------------------------------------------------

    async def run(self, report: ReportTo) -> None:
        """Connect and report until the account is logged out; see `wxrc_puppet.port.Puppet.run`."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise PuppetError(
                "The wechaty puppet runs under asyncio only, since gRPC for Python does; start it there."
            ) from None
        self._server = gateway = WechatyServer(self._options)
        self._rooms = Rooms(gateway)
        self._sends = Sends(gateway, self._rooms, self._put_late)
        self._put, self._inbox = anyio.create_memory_object_stream[_News](_WAITING_EVENTS)
        self._tell, self._telling, self._ended = report, anyio.Lock(), False
        self._opened, self._online = anyio.Event(), anyio.Event()
        self._stream_failure: PuppetError | None = None
        self._code = ReportQrCode(at=0, text="", expires_at=0)
        self._heard = 0
        self._login_by = 0.0
        try:
            await self._live()
            async with self._farewell:  # whoever signs out or releases still waits for the answer on this connection
                pass
        finally:
            self._wxid, self._server = "", None
            self._put.close()
            self._inbox.close()
            with anyio.CancelScope(shield=True):
                await gateway.close()

    async def _live(self) -> None:
        failures: list[Exception] = []

        async def part(work: Callable[[], Awaitable[bool]]) -> None:
            try:
                over = await work()
            except Exception as failure:  # raised below; out of a task group it would come as a group
                failures.append(failure)
                over = True
            if over:
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for work in (self._pump, self._start, self._watch, self._keep_rooms, self._serve):
                tasks.start_soon(part, work)
        if failures:
            raise failures[0]

    async def _pump(self) -> bool:
        """Read the stream and do nothing else; when it ends, close the inbox behind the last event."""
        assert self._server
        pauses = iter(_REOPEN_S)
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._server.events()) as events:
                        async for event in events:
                            self._heard += 1
                            self._opened.set()
                            await self._put.send(ServerEvent(event.type, decode(event.payload)))
                    break
                except CallFailed as failure:
                    pause = next(pauses, None)
                    if failure.code is not grpc.StatusCode.ALREADY_EXISTS or pause is None:
                        raise
                await anyio.sleep(pause)
        except CallFailed as failure:
            self._stream_failure = failure
        self._opened.set()
        self._put.close()
        return False

    async def _start(self) -> bool:
        """Have the gateway start its client, and do not wait for a login for ever."""
        assert self._server
        with anyio.move_on_after(min(_FIRST_EVENT_S, self._options.answer_ms / 1000)):
            await self._opened.wait()
        if self._stream_failure:
            return False
        if not self._server.connected:
            raise PuppetError(self._server.unreachable)
        await self._server.call(START, limit_ms=_START_MS)
        self._progress(self._options.login_wait_ms)
        while anyio.current_time() < self._login_by:
            with anyio.CancelScope(deadline=self._login_by):
                await self._online.wait()
                return False
        if self._code.text:
            await self._report(
                ReportLoginFailed(at=self._clock(), reason="the QR code expired and the gateway showed no other"),
                last=True,
            )
            return True
        raise PuppetError(
            f"{self._called} is running but showed neither a QR code nor a login within {self._options.login_wait_ms} ms;"
            " its own log says why."
        )

    async def _watch(self) -> bool:
        """Ask a silent gateway whether it lives. A call that is not answered in time ends the connection."""
        assert self._server
        await self._opened.wait()
        silent_rounds = 0
        while silent_rounds < _SILENT_ROUNDS:
            heard = self._heard
            await anyio.sleep(self._options.silence_ms / 1000)
            if heard != self._heard or self._inbox.statistics().current_buffer_used:
                silent_rounds = 0
            else:
                silent_rounds += 1
                await self._server.ask(DING, pb.Ding(data="wxrc"))
        raise PuppetError(
            f"{self._called} answers calls but has sent no event, nor a heartbeat, for {_SILENT_ROUNDS * self._options.silence_ms} ms."
        )

    async def _keep_rooms(self) -> bool:
        async def tell(rooms: tuple[Room, ...], complete: bool) -> None:
            await self._report(ReportRooms(at=self._clock(), rooms=rooms, complete=complete))

        await self._rooms.keep(tell)
        return True

    # -- events to reports -----------------------------------------------------------------------------------------------------

    async def _serve(self) -> bool:
        """Take the events in order until one of them ends this login, or the stream ends."""
        async for news in self._inbox:
            if await self._take(news):
                return True
        if self._leaving == "release":
            return True
        raise self._stream_failure or PuppetError(f"{self._called} ended the event stream.")

    async def _take(self, news: _News) -> bool:
        if isinstance(news, SignedOut):
            return await self._logged_out("")
        if isinstance(news, LateEcho):
            await self._proven(news.send)
            return False
        payload = news.payload
        match news.type:
            case EventType.SCAN:
                return await self._scanned(payload)
            case EventType.LOGIN:
                await self._logged_in(text_of(payload, "contactId"))
            case EventType.LOGOUT:
                return await self._logged_out(text_of(payload, "data"))
            case EventType.READY:
                self._rooms.ready()
            case EventType.MESSAGE:
                await self._written(text_of(payload, "messageId"))
            case EventType.ROOM_TOPIC:
                self._rooms.renamed(text_of(payload, "roomId"))
            case EventType.ROOM_JOIN:
                self._rooms.joined(text_of(payload, "roomId"), self_too=self._wxid in list_of(payload, "inviteeIdList"))
            case EventType.ROOM_LEAVE:
                self._rooms.parted(text_of(payload, "roomId"), self_too=self._wxid in list_of(payload, "removeeIdList"))
            case EventType.DIRTY:
                self._rooms.dirty(payload.get("payloadType"), text_of(payload, "payloadId"))
        return False

    async def _scanned(self, payload: dict[str, Any]) -> bool:
        """Take news of a QR code. On connecting the gateway repeats what was last; only of a code that we showed is that news."""
        status, text, now = payload.get("status"), text_of(payload, "qrcode"), self._clock()
        self._progress(self._options.login_wait_ms)
        if status in (ScanStatus.WAITING, ScanStatus.UNKNOWN) and text:
            if text != self._code.text or now >= self._code.expires_at:
                self._code = ReportQrCode(at=now, text=text, expires_at=now + self._options.qr_lifetime_ms)
                await self._report(self._code)
            self._progress(self._code.expires_at - now + self._options.login_wait_ms)
        elif status == ScanStatus.SCANNED and self._code.text:
            await self._report(ReportScanned(at=now))
        elif status == ScanStatus.CANCEL and self._code.text:
            await self._report(ReportLoginFailed(at=now, reason="the login was refused on the phone"), last=True)
            return True
        return False

    async def _logged_in(self, wxid: str) -> None:
        if not wxid or wxid == self._wxid:
            return
        self._name = await self._rooms.contact_name(wxid)
        self._wxid = wxid  # before the report: once that is durable, the runner may send
        self._online.set()
        await self._report(ReportLoggedIn(at=self._clock(), wxid=wxid, name=self._name))
        self._rooms.logged_in()

    async def _logged_out(self, data: str) -> bool:
        if self._leaving == "sign_out":
            reason = "signed out on request"
        elif self._leaving == "release" or not self._wxid:
            return self._leaving == "release"
        elif data == RESTARTED:
            raise PuppetError(f"{self._called} is restarting its WeChat client.")
        else:
            reason = "WeChat ended the login" + (f": {short(data)}" if short(data) else "")
        self._wxid = ""
        await self._report(ReportLoggedOut(at=self._clock(), reason=reason), last=True)
        return True

    async def _written(self, message_id: str) -> None:
        assert self._server
        if not self._wxid or not message_id:
            return
        message = await self._server.ask(MESSAGE_PAYLOAD, pb.Id(id=message_id))
        if message is None:
            log.warning("the gateway announced message %s and could not give it", short(message_id))
            return
        room_id, writer, name_of = message.room_id, message.talker_id, self._rooms.member_name
        if writer == self._wxid:
            send = self._sends.echoed(room_id or message.listener_id, message.text, message_id)
            if send is not None:
                await self._proven(send)
            return
        if not writer:  # a notice of WeChat's own: nobody wrote it
            return
        mentioned = self._wxid in message.mention_ids
        if room_id and "@" in message.text and not message.mention_ids:
            mentioned = names_in_text(message.text, (self._name, await name_of(room_id, self._wxid)))
        await self._report(
            ReportMessage(
                at=self._clock(),
                message_id=message_id,
                kind=KINDS.get(message.type, "other"),
                text=message.text,
                from_id=writer,
                from_name=await (name_of(room_id, writer) if room_id else self._rooms.contact_name(writer)),
                room_id=room_id,
                room_topic=await self._rooms.topic(room_id) if room_id else "",
                mentioned=mentioned,
            )
        )

    async def _proven(self, send: Send) -> None:
        if send.state == "unconfirmed":
            send.state = "known"
            await self._report(ReportReceipt(at=self._clock(), msgid=send.msgid, receipt=send.echo))

    async def _report(self, report: Report, *, last: bool = False) -> None:
        """Report one thing after the other, and nothing after the last."""
        async with self._telling:
            if not self._ended:
                self._ended = last
                await self._tell(report)

    def _progress(self, wait_ms: int) -> None:
        self._login_by = max(self._login_by, anyio.current_time() + wait_ms / 1000)

    def _put_late(self, send: Send) -> None:
        try:
            self._put.send_nowait(LateEcho(send))
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            log.warning(
                "message %d turned up in WeChat, but the connection is over before its receipt could be told",
                send.msgid,
            )

    # -- what the runner asks for ----------------------------------------------------------------------------------------------

    async def send(self, message: Outgoing) -> SendOutcome:
        """Hand over one message; see `wxrc_puppet.port.Puppet.send`."""
        if self._server is None or not self._wxid or not self._server.connected:
            return NotConnected("not connected to the Wechaty gateway, or not logged in there")
        return await self._sends.hand_over(message)

    async def submit_digits(self, digits: str) -> None:
        """Refuse: a Wechaty gateway takes no digits.

        Raises:
            PuppetError: Always.
        """
        raise PuppetError("A Wechaty gateway takes no digits; the login is confirmed on the phone.")

    async def sign_out(self) -> None:
        """Sign the account out; `run` then reports it and ends.

        Raises:
            PuppetError: The gateway cannot be reached or could not do it.
        """
        async with self._leave("sign_out") as gateway:
            await gateway.call(LOGOUT)
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # `run` has ended already
            await self._put.send(SignedOut())  # where nobody was logged in, the gateway says nothing

    async def release(self) -> None:
        """Stop the gateway's client; it keeps the session. `run` then ends without a report.

        Raises:
            PuppetError: The gateway cannot be reached or could not do it.
        """
        async with self._leave("release") as gateway:
            await gateway.call(STOP, limit_ms=_START_MS)

    @contextlib.asynccontextmanager
    async def _leave(self, how: Literal["sign_out", "release"]) -> AsyncIterator[WechatyServer]:
        async with self._farewell:
            if self._server is None:
                raise PuppetError(f"There is no connection to {self._called[0].lower()}{self._called[1:]}.")
            self._leaving = how
            try:
                yield self._server
            except CallFailed:
                self._leaving = ""
                raise
