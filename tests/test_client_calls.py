"""The two clients over HTTP: the same calls, sync and async (asyncio and trio), against answers of every kind and real sockets."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

from tests.receiver import Answer, Receiver
from wxrc_client import (
    AsyncClient,
    BodyRefused,
    BotList,
    BotStatus,
    CannotDo,
    Client,
    ClientError,
    ContactList,
    GatewayFault,
    HeadRefused,
    Limits,
    ListRequest,
    Login,
    MsgStatus,
    NoAnswer,
    NotAllowed,
    NotAnEnvelope,
    Refused,
    Request,
    RoomList,
    RoomSendText,
    SignatureRefused,
    Taken,
    TxcodeReused,
)
from wxrc_http.answers import Code

KEY = "6f1d7a0c5b9e4e2f8a3c"
SENT = {"msgid": 7, "sendStatus": "1", "sendReason": ""}
TEXT = RoomSendText(text="你好", room_topic="客服一群")

Handler = Callable[[httpx2.Request], httpx2.Response]


class Caller:
    """Makes calls with one of the clients."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def call(self, request: Request[Any], base: str | Handler, txcode: str = "", **options: Any) -> Any:
        """Call an interface of a real server, or of a handler."""

        async def asynchronously() -> Any:
            url, http = (base, None) if isinstance(base, str) else (URL, _async_http(base))
            async with AsyncClient(url, "crm", KEY, botcode="zhao", http=http, **options) as wxrc:
                return await wxrc.call(request, txcode=txcode)

        if self._kind != "sync":
            return anyio.run(asynchronously, backend=self._kind)
        url, http = (base, None) if isinstance(base, str) else (URL, _sync_http(base))
        with Client(url, "crm", KEY, botcode="zhao", http=http, **options) as wxrc:
            return wxrc.call(request, txcode=txcode)

    def each(self, request: ListRequest[Any], handler: Handler) -> list[Any]:
        """Return all entries of a list."""

        async def asynchronously() -> list[Any]:
            wxrc = AsyncClient(URL, "crm", KEY, botcode="zhao", http=_async_http(handler))
            return [item async for item in wxrc.each(request)]

        if self._kind != "sync":
            return anyio.run(asynchronously, backend=self._kind)
        return list(Client(URL, "crm", KEY, botcode="zhao", http=_sync_http(handler)).each(request))


URL = "https://wxrc.example/wechat/"


def _sync_http(handler: Handler) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(handler))


def _async_http(handler: Handler) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(handler))


@pytest.fixture(params=["sync", "asyncio", "trio"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Make calls with each client."""
    return Caller(request.param)


def envelope(rt_code: str = "0", rt_msg: str = "成功", **fields: Any) -> bytes:
    """Return an answer of the gateway."""
    return json.dumps({"resHead": {}, "resBody": {"rtCode": rt_code, "rtMsg": rt_msg, **fields}}).encode()


def answering(content: bytes, status: int = 200) -> Handler:
    """Return a server that always answers this."""
    return lambda request: httpx2.Response(status, content=content)


# -- answers ------------------------------------------------------------------------------------------------------------------


def test_a_call(caller: Caller) -> None:
    """A call goes to the interface below the base URL, signed; its answer is typed."""
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content=envelope(**SENT, hints=["atlist: atList?"], somethingNew={"x": 1}))

    answer = caller.call(TEXT, handler, txcode="T1", language="en")

    assert (7, "1", "", True, ("atlist: atList?",)) == (
        answer.msgid,
        answer.send_status,
        answer.send_reason,
        answer.final,
        answer.hints,
    )
    [request] = seen
    assert ("POST", "https://wxrc.example/wechat/api/roomSendText") == (request.method, str(request.url))
    assert ("HMAC-SHA256-V2", "en") == (
        request.headers["X-Ecaspsplus-SignatureType"],
        request.headers["Accept-Language"],
    )
    assert "T1" == json.loads(request.content)["reqHead"]["txcode"]


def test_every_call_has_its_own_txcode(caller: Caller) -> None:
    """Two calls are two operations."""
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content)["reqHead"]["txcode"])
        return httpx2.Response(200, content=envelope(**SENT))

    for _ in range(2):
        caller.call(TEXT, handler)

    assert [20, 20] == [len(txcode) for txcode in set(seen)]


def test_a_messages_history(caller: Caller) -> None:
    """What msgStatus says is typed to the last event."""
    content = envelope(
        **SENT,
        state="sent",
        evidence="receipt",
        history=[{"event": "queued", "time": 1}, {"event": "sent", "time": 2, "attempt": 1, "receipt": "r"}],
    )
    answer = caller.call(MsgStatus(msgid=7), answering(content))

    assert ("sent", "receipt", "r", 1) == (
        answer.state,
        answer.evidence,
        answer.history[-1].receipt,
        answer.history[-1].attempt,
    )


def test_where_a_bot_stands(caller: Caller) -> None:
    """What botStatus says is typed; fields that are not there are empty."""
    content = envelope(botStatus="logout", botState="awaiting_qr", since=5, userAction="scan", qrcodeImageUrl="u")
    answer = caller.call(BotStatus(), answering(content))

    assert ("logout", "awaiting_qr", 5, "scan", "u", "") == (
        answer.bot_status,
        answer.bot_state,
        answer.since,
        answer.user_action,
        answer.qrcode_image_url,
        answer.wxid,
    )


@pytest.mark.parametrize(
    ("request_", "field", "entries", "read"),
    [
        (
            RoomList(limit=1),
            "rooms",
            [{"roomId": f"{n}@chatroom", "roomTopic": f"群{n}"} for n in range(3)],
            "room_topic",
        ),
        (
            ContactList(limit=1),
            "contacts",
            [{"userId": f"{n}", "userName": "李", "remark": f"备注{n}"} for n in range(3)],
            "remark",
        ),
        (
            BotList(limit=1),
            "bots",
            [{"botcode": f"b{n}", "botStatus": "login", "sendsLeft": 3} for n in range(3)],
            "botcode",
        ),
    ],
    ids=["rooms", "contacts", "bots"],
)
def test_all_pages_of_a_list(
    caller: Caller, request_: ListRequest[Any], field: str, entries: list[dict[str, Any]], read: str
) -> None:
    """Going through a list asks for page after page, and yields typed entries in order."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)["reqBody"]
        assert 1 == body["limit"]
        at = int(body.get("cursor", "0"))
        following = {"cursor": str(at + 1)} if at < 2 else {}
        return httpx2.Response(200, content=envelope(**{field: [entries[at]]}, complete=True, **following))

    found = caller.each(request_, handler)

    wire = {"room_topic": "roomTopic"}.get(read, read)
    assert [entry[wire] for entry in entries] == [getattr(each, read) for each in found]


# -- refusals -----------------------------------------------------------------------------------------------------------------

FAMILIES: dict[str, type[Refused]] = {
    "10": HeadRefused,
    "11": HeadRefused,
    "12": TxcodeReused,
    "13": SignatureRefused,
    "20": NotAllowed,
    "21": NotAllowed,
    "22": GatewayFault,
    "23": GatewayFault,
    "30": BodyRefused,
    "31": BodyRefused,
    "32": BodyRefused,
    "33": Taken,
    "34": CannotDo,
}


@pytest.mark.parametrize("code", [*(str(code) for code in Code if code != "0"), "99"])
def test_refusals(code: str) -> None:
    """Each code is an error of its family with the gateway's sentence, and it says what to do; an unknown code is a refusal too."""
    with pytest.raises(Refused) as refusal:
        Caller("sync").call(TEXT, answering(envelope(code, "reqBody.text 的值不对")), txcode="T1")
    error = refusal.value

    assert FAMILIES.get(code, Refused) is type(error)
    assert (code, "reqBody.text 的值不对", "T1") == (error.rt_code, error.rt_msg, error.txcode)
    assert (code in ("22", "23")) == error.maybe_accepted
    assert error.what_to_do.en
    assert error.what_to_do.zh


def test_every_code_has_its_family() -> None:
    """No code of wire.md is without an error of its own."""
    assert {str(code) for code in Code} - {"0"} == set(FAMILIES)


@pytest.mark.parametrize("status", [413, 431, 405])
def test_a_refusal_by_the_transport(caller: Caller, status: int) -> None:
    """What a repetition cannot help is raised at once, with the sentence of its envelope."""
    with pytest.raises(BodyRefused, match="太大"):
        caller.call(TEXT, answering(envelope("32", "请求体太大"), status))


def test_a_refusal_after_a_lost_answer_says_so(caller: Caller) -> None:
    """Where the first try may have been accepted, the refusal of the second one does not hide that."""
    answers = iter([httpx2.Response(502), httpx2.Response(200, content=envelope("13", "签名错误"))])
    with pytest.raises(SignatureRefused) as refusal:
        caller.call(TEXT, lambda request: next(answers))

    assert refusal.value.maybe_accepted


@pytest.mark.parametrize("fields", [{}, {"msgid": "7", "sendStatus": "1"}, {"msgid": 7}])
def test_an_answer_of_another_shape(caller: Caller, fields: dict[str, Any]) -> None:
    """An answer without its fields is no answer: the message may have been accepted, and the error says so."""
    with pytest.raises(NotAnEnvelope, match="roomSendText was accepted") as end:
        caller.call(TEXT, answering(envelope(**fields)))

    assert end.value.maybe_accepted


def test_errors_can_be_caught_together() -> None:
    """All errors of the package have one base, and none shows the KEY."""
    assert all(issubclass(each, ClientError) for each in (Refused, NoAnswer, NotAnEnvelope))


# -- real sockets -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Receiver]:
    """A server whose answers can be programmed."""
    with Receiver() as server:
        server.default = Answer(body=envelope(**SENT))
        yield server


def bodies(server: Receiver) -> list[dict[str, Any]]:
    """Return the requests that arrived."""
    return [json.loads(each.raw_body) for each in server.received]


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        Answer(close=True),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
        Answer(raw=b"SSH-2.0-OpenSSH\r\n"),
        Answer(status=503, headers=(("Retry-After", "0"),)),
        Answer(status=429, headers=(("Retry-After", "0"),)),
    ],
    ids=["closed", "cut", "not http", "503", "429"],
)
def test_a_broken_answer_is_asked_for_again(caller: Caller, server: Receiver, broken: Answer) -> None:
    """Whatever broke, the second try has the same txcode and body, and its answer counts."""
    server.answer_next(broken)
    answer = caller.call(TEXT, server.url.removesuffix("/callback"))
    first, second = bodies(server)

    assert 7 == answer.msgid
    assert (first["reqHead"]["txcode"], first["reqBody"]) == (second["reqHead"]["txcode"], second["reqBody"])
    assert "/api/roomSendText" == server.received[0].path


@pytest.mark.slow
@pytest.mark.parametrize(
    "slow",
    [Answer(delay_s=60.0), Answer(body=envelope(**SENT, filling="x" * 1000), drip_s=0.05)],
    ids=["silent", "dripping"],
)
def test_a_slow_answer_costs_one_try(caller: Caller, server: Receiver, slow: Answer) -> None:
    """A try has its own limit; the next one is answered."""
    server.answer_next(slow)
    begun = time.monotonic()
    answer = caller.call(TEXT, server.url.removesuffix("/callback"), limits=Limits(total_s=30.0, try_s=0.3))

    assert 7 == answer.msgid
    assert 2 == len(server.received)
    assert time.monotonic() - begun < 20.0


@pytest.mark.slow
def test_a_dead_server_ends_in_time(caller: Caller, server: Receiver) -> None:
    """The total time bounds the call, and nobody says that the message was not accepted."""
    server.default = Answer(delay_s=60.0)
    with pytest.raises(NoAnswer) as end:
        caller.call(TEXT, server.url.removesuffix("/callback"), limits=Limits(total_s=1.5, try_s=0.4))

    assert end.value.maybe_accepted
    assert len(server.received) == end.value.tries >= 2
    assert 1 == len({body["reqHead"]["txcode"] for body in bodies(server)})


@pytest.mark.slow
def test_nobody_listens(caller: Caller) -> None:
    """Where no connection was made, nothing was accepted, and the error says so without the KEY."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NoAnswer) as end:
            caller.call(Login(), url, limits=Limits(total_s=1.0))

    assert not end.value.maybe_accepted
    assert KEY not in str(end.value)


def test_an_endless_answer_is_not_read_to_its_end(caller: Caller, server: Receiver) -> None:
    """What is far too long for an answer is refused after a bounded part of it."""
    server.default = Answer(body=b"x" * 1_048_576, times=200)
    with pytest.raises(NotAnEnvelope):
        caller.call(TEXT, server.url.removesuffix("/callback"))

    assert 1 == len(server.received)


def test_a_redirect_is_not_followed(caller: Caller, server: Receiver) -> None:
    """A signed request goes to the base URL and nowhere else."""
    server.default = Answer(status=307, headers=(("Location", server.url),))
    with pytest.raises(NotAnEnvelope, match="307"):
        caller.call(TEXT, server.url.removesuffix("/callback"))

    assert 1 == len(server.received)


def test_threads_share_a_client(server: Receiver) -> None:
    """One client serves many threads; each call gets its own answer."""
    with Client(server.url.removesuffix("/callback"), "crm", KEY, botcode="zhao") as wxrc:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(wxrc.call(TEXT).msgid)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert [7] * 16 == found
    assert 16 == len({body["reqHead"]["txcode"] for body in bodies(server)})


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_can_be_cancelled(backend: str, server: Receiver) -> None:
    """Cancelling a call ends it at once; the client is good for the next one."""
    server.answer_next(Answer(delay_s=60.0))

    async def cancelled_then_called() -> tuple[bool, int]:
        async with AsyncClient(server.url.removesuffix("/callback"), "crm", KEY, botcode="zhao") as wxrc:
            with anyio.move_on_after(0.2) as scope:
                await wxrc.call(TEXT)
            return scope.cancelled_caught, (await wxrc.call(TEXT)).msgid

    assert (True, 7) == anyio.run(partial(cancelled_then_called), backend=backend)


def test_a_given_http_client_is_left_open() -> None:
    """Who brings an HTTP client closes it."""
    http = _sync_http(answering(envelope(**SENT)))
    with Client(URL, "crm", KEY, botcode="zhao", http=http) as wxrc:
        wxrc.call(TEXT)

    assert not http.is_closed
    http.close()
