"""The two clients over HTTP: the same calls, sync and async (asyncio and trio), against answers of every kind and real sockets."""

import json
from typing import Any

import httpx2
import pytest

from tests.calling import SENT, TEXT, Caller, answering, envelope
from wxrc_client import (
    BodyRefused,
    BotList,
    BotStatus,
    CannotDo,
    ClientError,
    ContactList,
    GatewayFault,
    HeadRefused,
    ListRequest,
    MsgStatus,
    NoAnswer,
    NotAllowed,
    NotAnEnvelope,
    Refused,
    RoomList,
    SignatureRefused,
    Taken,
    TxcodeReused,
)
from wxrc_http.answers import Code


@pytest.fixture(params=["sync", "asyncio", "trio"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Make calls with each client."""
    return Caller(request.param)


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
