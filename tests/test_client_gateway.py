"""The SDK against the real service: every interface, and the callbacks that come of them, from login to logout."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from attrs import field, frozen

from tests.live import SIGNATURE_TYPE, Service, cli_json, say, scan_and_confirm
from tests.receiver import Received, Receiver
from wxrc_client import (
    REQUESTS,
    App,
    AsyncClient,
    BodyRefused,
    BotList,
    BotStatus,
    BotStatusChanged,
    Callback,
    CallbackReceiver,
    CannotDo,
    Client,
    ContactList,
    Login,
    LoginCode,
    Logout,
    MacLogin,
    MessageEnded,
    MsgCancel,
    MsgStatus,
    QrCode,
    Request,
    RoomList,
    RoomSendApp,
    RoomSendImg,
    RoomSendText,
    SignatureRefused,
    Stop,
    TxcodeReused,
    UserMessage,
    UserSendApp,
    UserSendImg,
    UserSendText,
    WebLogin,
    data_url,
)
from wxrc_http import INTERFACES

ROOM, PERSON = "客服一群", "陈静"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
)
CARD = App(title="工单", pagepath="pages/index", appid="wx0123456789abcdef")
WITHIN_S = 30.0

CallbackT = TypeVar("CallbackT", bound=Callback)


@frozen
class Crm:
    """Channel `crm` with bot `zhao` on the simulator, and what receives its callbacks."""

    url: str
    key: str = field(repr=False)
    receiver: Receiver
    checks: CallbackReceiver

    def client(self, **options: Any) -> Client:
        """Return a client of the channel."""
        return Client(self.url, "crm", self.key, **{"botcode": "zhao", "signature_type": SIGNATURE_TYPE} | options)

    def callback(self, kind: type[CallbackT], fits: Callable[[CallbackT], bool] = lambda _: True) -> CallbackT:
        """Wait for the first callback of a kind that fits; all callbacks before it must be genuine."""
        found: list[CallbackT] = []

        def look(received: list[Received]) -> bool:
            told = [self.checks.receive(each.headers, each.raw_body).callback for each in received]
            found[:] = [each for each in told if isinstance(each, kind) and fits(each)]
            return bool(found)

        self.receiver.wait_until(look, WITHIN_S, kind.__name__)
        return found[0]


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    """Run the service; log the bot in with nothing but the SDK, as a person scans the code."""
    data = tmp_path_factory.mktemp("sdk") / "data"
    with Receiver() as receiver, Service(data, arguments=["--answer-wait-ms", "20000"]) as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        checks = CallbackReceiver(webhook_secrets=[made["webhook_secret"]], keys=[made["key"]])
        crm = Crm(service.url, made["key"], receiver, checks)
        with crm.client() as wxrc:
            wxrc.call(Login())
        scan_and_confirm(crm.callback(QrCode).qrcode)
        crm.callback(BotStatusChanged, lambda told: told.bot_status == "login")
        yield crm
        assert service.stop() == 0


def sent(answer: Any) -> bool:
    """Tell whether a message was sent and has a number."""
    return bool(answer.send_status == "1" and answer.msgid > 0)


# What each interface is asked, and what is right: a check of the answer, or the refusal that a logged-in simulated bot gives.
CALLS: list[tuple[Request[Any], Callable[[Any], bool] | type[Exception]]] = [
    (Login(), lambda answer: bool(answer.rt_msg)),
    (MacLogin(), lambda answer: bool(answer.rt_msg)),
    (WebLogin(), lambda answer: bool(answer.rt_msg)),
    (LoginCode(code="0412"), CannotDo),
    (BotStatus(), lambda answer: ("login", "none") == (answer.bot_status, answer.user_action)),
    (RoomSendText(text="你好", room_topic=ROOM), sent),
    (RoomSendApp(app=CARD, room_topic=ROOM), sent),
    (RoomSendImg(file=data_url(PNG, "image/png"), room_topic=ROOM), sent),
    (UserSendText(text="您好", user_name=PERSON), sent),
    (UserSendApp(app=CARD, user_name=PERSON), sent),
    (UserSendImg(file=data_url(PNG, "image/png"), user_name=PERSON), sent),
    (MsgStatus(msgid=2**53 - 1), BodyRefused),
    (MsgCancel(msgid=2**53 - 1), BodyRefused),
    (RoomList(), lambda answer: answer.complete and ROOM in [room.room_topic for room in answer.items]),
    (ContactList(limit=500), lambda answer: PERSON in [each.user_name for each in answer.items]),
    (
        BotList(),
        lambda answer: (
            [("zhao", "login", True)]
            == [(each.botcode, each.bot_status, "text" in each.capabilities.content) for each in answer.items]
        ),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "right"), CALLS, ids=[request.interface for request, _ in CALLS])
def test_every_interface(crm: Crm, request_: Request[Any], right: Callable[[Any], bool] | type[Exception]) -> None:
    """Each interface is called, and its answer is typed."""
    with crm.client() as wxrc:
        if isinstance(right, type):
            with pytest.raises(right):
                wxrc.call(request_)
        else:
            answer = wxrc.call(request_)
            assert right(answer), answer


def test_no_interface_is_forgotten() -> None:
    """The SDK has every interface, and every interface has its call here."""
    names = {request.interface for request in REQUESTS}

    assert set(INTERFACES) == names
    assert names - {"logout", "stop"} == {request.interface for request, _ in CALLS}


@pytest.mark.slow
def test_a_repeated_call_is_one_message(crm: Crm) -> None:
    """The same txcode is the same message; with another text it is refused; and msgStatus finds it by that txcode."""
    txcode = f"order-{time.time_ns()}"
    text = RoomSendText(text=f"一次 {txcode}", room_topic=ROOM)
    with crm.client() as wxrc:
        first, second = (wxrc.call(text, txcode=txcode) for _ in range(2))
        with pytest.raises(TxcodeReused) as refusal:
            wxrc.call(RoomSendText(text="另一条", room_topic=ROOM), txcode=txcode)
        found = wxrc.call(MsgStatus(msgid=first.msgid))

    assert first.msgid == second.msgid == found.msgid
    assert ("sent", txcode, "zhao", "queued") == (found.state, found.txcode, found.botcode, found.history[0].event)
    assert txcode == refusal.value.txcode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MD5", "HMAC-SHA256"])
def test_older_signatures(crm: Crm, kind: str) -> None:
    """The service takes the other signatures that are made with a KEY, and no wrong one."""
    with crm.client(signature_type=kind) as wxrc:
        assert "login" == wxrc.call(BotStatus()).bot_status
    with Client(crm.url, "crm", "x" * 40, botcode="zhao", signature_type=kind) as wxrc, pytest.raises(SignatureRefused):  # type: ignore[arg-type]
        wxrc.call(BotStatus())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_many_at_once(crm: Crm, backend: str) -> None:
    """Async calls run side by side, each with its own answer; all rooms come page by page."""
    numbers: list[int] = []

    async def run() -> list[str]:
        async with AsyncClient(crm.url, "crm", crm.key, botcode="zhao", signature_type=SIGNATURE_TYPE) as wxrc:

            async def send(number: int) -> None:
                text = RoomSendText(text=f"{backend} {number}", room_topic=ROOM)
                numbers.append((await wxrc.call(text)).msgid)

            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(send, number)
            return [room.room_topic async for room in wxrc.each(RoomList(limit=1))]

    topics = anyio.run(partial(run), backend=backend)

    assert 5 == len(set(numbers))
    assert ROOM in topics
    assert 1 < len(topics)


@pytest.mark.slow
def test_a_message_of_a_person(crm: Crm) -> None:
    """What somebody writes in a room arrives as a typed callback."""
    said = f"在吗 {time.time_ns()}"
    say(crm.url, "zhao", f"@zhao {said}", room=ROOM, sender="赵立伟")
    told = crm.callback(UserMessage, lambda told: said in told.msg_data.text)

    assert ("zhao", "text", "赵立伟", ROOM, True) == (
        told.botcode,
        told.msg_type,
        told.msg_data.from_name,
        told.msg_data.room_topic,
        told.msg_data.mentioned,
    )


@pytest.mark.slow
def test_an_end_by_callback(tmp_path: Path) -> None:
    """A message that was answered with 0 ends by a callback with its msgid and txcode; stop and logout are told too."""
    data = tmp_path / "data"
    with Receiver() as receiver, Service(data, arguments=["--answer-wait-ms", "0"]) as service:
        made = cli_json("channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        crm = Crm(service.url, made["key"], receiver, CallbackReceiver(webhook_secrets=[made["webhook_secret"]]))
        with crm.client() as wxrc:
            queued = wxrc.call(RoomSendText(text="等登录", room_topic=ROOM), txcode="T1")
            wxrc.call(Login())
            scan_and_confirm(crm.callback(QrCode).qrcode)
            ended = crm.callback(MessageEnded)
            wxrc.call(Stop())
            crm.callback(BotStatusChanged, lambda told: told.bot_status == "off")
            wxrc.call(Logout())
            crm.callback(BotStatusChanged, lambda told: told.bot_status == "logout")

    assert not queued.final
    assert (queued.msgid, "1", "T1") == (ended.msgid, ended.send_status, ended.txcode)
