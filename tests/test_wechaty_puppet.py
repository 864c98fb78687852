"""The Wechaty puppet against the real gateway, beyond the contract: faults, rooms, mentions, doubts. asyncio only, as the puppet is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

from tests.wechaty import TOKEN, GatewayProcess, certificates, own_gateway, shared_gateway
from wxrc_core.puppet import (
    Accepted,
    NotSent,
    Outgoing,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    ReportScanned,
    Room,
    Unconfirmed,
)
from wxrc_core.testing.puppet_driver import LIMIT, Client, MemorySlot
from wxrc_puppet.port import PuppetContext, PuppetError
from wxrc_puppet.wechaty import WechatyPuppet

pytestmark = pytest.mark.anyio

ORDERS = Room("1001@chatroom", "订单群")
DUTY = Room("1002@chatroom", "值班群")


@pytest.fixture
def anyio_backend() -> str:
    """The puppet runs under asyncio only."""
    return "asyncio"


@pytest.fixture
def gateway() -> Iterator[GatewayProcess]:
    """A fresh gateway: logged out, nothing recorded."""
    gateway = shared_gateway()
    gateway.open()
    yield gateway
    gateway.do("close")


@define
class Life(Client):
    """A running puppet, with what its `run` raised."""

    failure: PuppetError | None = field(default=None)

    async def failed(self) -> str:
        """Wait until `run` has raised, and return the sentence."""
        await self.ended.wait()
        assert self.failure is not None
        return str(self.failure)


def puppet(options: dict[str, str]) -> WechatyPuppet:
    """Make a puppet with these options and a clock of its own."""
    clock = iter(range(1_700_000_000_000, 1_800_000_000_000)).__next__
    context = PuppetContext(
        botcode="bot",
        options=options,
        session=MemorySlot(),
        clock=clock,
        login_kind="web",
        public_url="http://127.0.0.1:8080",
    )
    return WechatyPuppet(context)


@asynccontextmanager
async def living(options: dict[str, str], **more: str) -> AsyncIterator[Life]:
    """Run a puppet with these options; what it raises is kept."""
    life = Life(puppet(options | more))

    async def run() -> None:
        try:
            await life.puppet.run(life.take)
        except PuppetError as failure:
            life.failure = failure
        life.ended.set()

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield life
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def online(gateway: GatewayProcess, **more: str) -> AsyncIterator[Life]:
    """Run a puppet and wait until it is logged in and its rooms are known."""
    async with living(gateway.options, **more) as life:
        if isinstance(await life.until_any(ReportQrCode, ReportLoggedIn), ReportQrCode):
            gateway.do("confirm")
        await life.until(ReportRooms, lambda rooms: rooms.complete)
        yield life


def text(words: str, **more: Any) -> Outgoing:
    """A text on its way to the room of orders."""
    return Outgoing(**({"msgid": 1, "attempt": 1, "room_id": ORDERS.id, "text": words} | more))


# -- reaching the gateway --------------------------------------------------------------------------


async def test_built_in_certificate(gateway: GatewayProcess, tmp_path: Path) -> None:
    """A gateway with its built-in certificate is reached by naming its authority and its name, and not otherwise."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(gateway.open(tls="built-in") or "")
    options = {"endpoint": f"127.0.0.1:{gateway.port}", "token": TOKEN}
    async with living(options, ca_file=str(ca_file), server_name="insecure") as life:
        await life.until(ReportQrCode)
    for wrong in ({}, {"ca_file": str(ca_file)}):
        async with living(options | wrong) as life:
            sentence = await life.failed()

        assert "showed no certificate that can be trusted" in sentence


async def test_own_certificate(gateway: GatewayProcess, tmp_path: Path) -> None:
    """A gateway with a certificate for its address is reached with its authority; another authority is not enough."""
    ours, others = certificates(), certificates()
    for name, made in (("ours", ours), ("others", others)):
        (tmp_path / name).write_text(made.authority)
    gateway.open(tls={"cert": ours.certificate, "key": ours.key})
    options = {"endpoint": f"127.0.0.1:{gateway.port}", "token": TOKEN, "tls": "on"}
    async with living(options, ca_file=str(tmp_path / "ours")) as life:
        await life.until(ReportQrCode)
    async with living(options, ca_file=str(tmp_path / "others")) as life:
        assert "ca_file" in await life.failed()


async def test_tls_on_one_side_only(gateway: GatewayProcess) -> None:
    """TLS on one side only is told apart from a gateway that runs: the sentence names the option."""
    async with living(gateway.options | {"tls": "on"}) as life:
        assert "tls" in await life.failed()
    gateway.open(tls="built-in")
    async with living(gateway.options) as life:
        assert "tls" in await life.failed()


async def test_wrong_token(gateway: GatewayProcess, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong token is told in a sentence; the token is in neither the sentence, its causes, nor the log."""
    caplog.set_level(logging.DEBUG)
    async with living(gateway.options, token="insecure_wrong") as life:
        sentence = await life.failed()

    assert "refuses the token" in sentence
    assert life.failure
    assert life.failure.__cause__ is None
    assert life.failure.__suppress_context__
    assert "insecure_wrong" not in sentence + caplog.text
    assert [] == life.reports


async def test_nobody_listens(gateway: GatewayProcess) -> None:
    """Where nothing listens, the sentence says where it was looked for."""
    port = gateway.port
    gateway.do("close")
    async with living(gateway.options) as life:
        assert f"127.0.0.1:{port} cannot be reached" in await life.failed()


async def test_somebody_else_listens() -> None:
    """A listener that never answers, or one that speaks something else, is not waited for without end."""

    async def say_nothing(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async def say_something_else(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    for handler in (say_nothing, say_something_else):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, handler)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with living(
                {"endpoint": f"127.0.0.1:{port}", "token": TOKEN, "tls": "off", "answer_ms": "300"}
            ) as life:
                assert "cannot be reached" in await life.failed()
            tasks.cancel_scope.cancel()


@pytest.mark.slow
async def test_second_client(gateway: GatewayProcess) -> None:
    """A gateway serves one client: the second is told so, the first lives on."""
    async with online(gateway) as first:
        async with living(gateway.options) as second:
            assert "serves another client already" in await second.failed()
        gateway.do("say", room=ORDERS.id, text="still there?")

        await first.until_message("still there?")


async def test_reconnecting_at_once(gateway: GatewayProcess) -> None:
    """A puppet that takes the place of one just cancelled gets the stream, every time."""
    async with online(gateway):
        pass
    for _ in range(30):
        async with living(gateway.options) as life:
            await life.until(ReportLoggedIn)


@pytest.mark.slow
async def test_killed_and_started_again() -> None:
    """A gateway that is killed ends the run; once it is back, with its session, a new puppet needs no code."""
    with own_gateway() as gateway:
        async with online(gateway) as life:
            gateway.process.kill()

            assert "cannot be reached" in await life.failed()
            assert isinstance(await life.puppet.send(text("too late")), NotSent)
        options, port = gateway.options, gateway.port
    with own_gateway() as again:
        again.open(port=port)
        again.do("session")
        async with living(options) as life:
            await life.until(ReportRooms, lambda rooms: rooms.complete)

            assert life.all(ReportQrCode) == []


async def test_hung(gateway: GatewayProcess) -> None:
    """A gateway that hangs while its connection stays open ends the run by the watchdog."""
    async with online(gateway, silence_ms="200", answer_ms="300") as life:
        gateway.hang()
        try:
            sentence = await life.failed()
        finally:
            gateway.go_on()

    assert "did not answer Ding within 300 ms" in sentence


async def test_silent_stream(gateway: GatewayProcess) -> None:
    """A gateway that answers calls but sends no event any more ends the run too."""
    async with online(gateway, silence_ms="30") as life:
        assert "has sent no event" in await life.failed()


async def test_restarting_its_client(gateway: GatewayProcess) -> None:
    """A gateway that restarts its own client has not logged the account out: the run fails and the next one is logged in."""
    async with online(gateway) as life:
        gateway.do("reset")

        assert "restarting its WeChat client" in await life.failed()
        assert life.all(ReportLoggedOut) == []
    async with living(gateway.options) as life:
        await life.until(ReportLoggedIn)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_uvloop(gateway: GatewayProcess) -> None:
    """The service's event loop suits it too."""
    async with online(gateway) as life:
        assert isinstance(await life.puppet.send(text("hello")), Accepted)


# -- login -----------------------------------------------------------------------------------------


async def test_scanned_and_confirmed(gateway: GatewayProcess) -> None:
    """Scan and login are reported in order, with the account's id and name; the code's lifetime is the option's."""
    async with living(gateway.options, qr_lifetime_ms="90000") as life:
        code = await life.until(ReportQrCode)
        gateway.do("rescan", status=2)  # the same code once more: no news
        gateway.do("scanned")
        await life.until(ReportScanned)
        gateway.do("confirm")
        account = await life.until(ReportLoggedIn)

        assert code.at + 90_000 == code.expires_at
        assert ("wxid_bot", "demo") == (account.wxid, account.name)
        assert [ReportQrCode, ReportScanned, ReportLoggedIn] == [type(report) for report in life.reports[:3]]


async def test_code_runs_out(gateway: GatewayProcess) -> None:
    """Where nobody scans and the gateway shows no other code, the login has failed."""
    gateway.do("quiet", on=False)
    async with living(gateway.options, qr_lifetime_ms="100", login_wait_ms="100") as life:
        await life.until(ReportQrCode)
        failed = await life.until(ReportLoginFailed)
        await life.ended.wait()

        assert "expired" in failed.reason
        assert life.failure is None


async def test_no_code(gateway: GatewayProcess) -> None:
    """A gateway that shows neither a code nor a login is not waited for without end."""
    gateway.do("quiet")
    async with living(gateway.options, login_wait_ms="100") as life:
        assert "neither a QR code nor a login" in await life.failed()


@pytest.mark.parametrize("status", [0, 1, 3, 4, 5])
async def test_stale_news_of_a_code(gateway: GatewayProcess, status: int) -> None:
    """What became of an earlier code, said again on connecting, is no news of this login."""
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
    gateway.do("rescan", status=status, code="" if status == 0 else "https://wechat.test/old")
    async with living(gateway.options) as life:
        await anyio.wait_all_tasks_blocked()
        gateway.do("rescan", status=2, code="https://wechat.test/new")
        code = await life.until(ReportQrCode)

        assert "https://wechat.test/new" == code.text
        assert [code] == life.reports


async def test_signing_out_before_login(gateway: GatewayProcess) -> None:
    """Signing out while a code waits ends the run too."""
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
        await life.puppet.sign_out()
        out = await life.until(ReportLoggedOut)
        await life.ended.wait()

        assert "on request" in out.reason


async def test_kicked_says_why(gateway: GatewayProcess) -> None:
    """The reason of a logout is passed on, one line of it."""
    async with online(gateway) as life:
        gateway.do("kick", reason="在别的设备登录\n    at Function.stack (secret.js:1:1)")
        out = await life.until(ReportLoggedOut)

        assert "WeChat ended the login: 在别的设备登录" == out.reason


# -- rooms -----------------------------------------------------------------------------------------


async def test_rooms_are_complete_only_when_ready(gateway: GatewayProcess) -> None:
    """Until the gateway says that it is ready, the list does not count as whole, and a send to a strange room is tried."""
    gateway.do("ready_by_itself", on=False)
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
        gateway.do("confirm")
        rooms = await life.until(ReportRooms)

        assert (rooms.rooms, rooms.complete) == ((ORDERS, DUTY), False)
        outcome = await life.puppet.send(text("where?", room_id="9@chatroom"))
        assert isinstance(outcome, Unconfirmed)
        assert "could not do MessageSendText (UNKNOWN)" in outcome.reason

        gateway.do("ready")
        await life.until(ReportRooms, lambda rooms: rooms.complete)
        gateway.do("ready")
        assert isinstance(await life.puppet.send(text("where?", room_id="9@chatroom")), NotSent)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")
        assert 2 == len(life.all(ReportRooms))


async def rename(gateway: GatewayProcess) -> None:
    """A member renames the room."""
    gateway.do("rename", room=DUTY.id, topic="夜班群")


async def rename_in_silence(gateway: GatewayProcess) -> None:
    """The topic changes, and the gateway only says that something has."""
    gateway.do("topic", room=DUTY.id, topic="夜班群")
    gateway.do("dirty", type=3, id=DUTY.id)


async def enter(gateway: GatewayProcess) -> None:
    """The account is taken into a new room."""
    gateway.do("create_room", room="1003@chatroom", topic="新群", members=["wxid_bob"])


async def leave(gateway: GatewayProcess) -> None:
    """The account is removed from a room."""
    gateway.do("leave", room=DUTY.id, who="wxid_bot")


async def leave_and_stay_listed(gateway: GatewayProcess) -> None:
    """The account is removed from a room that the gateway goes on listing."""
    gateway.do("event", name="room-leave", payload={"roomId": DUTY.id, "removeeIdList": ["wxid_bot"], "removerId": "x"})


@pytest.mark.parametrize(
    ("change", "rooms"),
    [
        (rename, (ORDERS, Room(DUTY.id, "夜班群"))),
        (rename_in_silence, (ORDERS, Room(DUTY.id, "夜班群"))),
        (enter, (ORDERS, DUTY, Room("1003@chatroom", "新群"))),
        (leave, (ORDERS,)),
        (leave_and_stay_listed, (ORDERS,)),
    ],
)
async def test_the_room_list_follows(
    gateway: GatewayProcess, change: Callable[[GatewayProcess], Awaitable[None]], rooms: tuple[Room, ...]
) -> None:
    """What changes in a room changes the list, which stays whole."""
    async with online(gateway) as life:
        await change(gateway)
        report = await life.until(ReportRooms, lambda report: report.rooms != (ORDERS, DUTY))

        assert (rooms, True) == (report.rooms, report.complete)


async def test_a_room_that_cannot_be_read(gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with a room that cannot be read is not whole, so that no room is called missing; it is read again later."""
    monkeypatch.setattr("wxrc_puppet.wechaty._rooms.FIRST_AGAIN_S", 0.05)
    gateway.do("break_room", room=DUTY.id)
    async with living(gateway.options) as life:
        await life.until(ReportQrCode)
        gateway.do("confirm")
        await life.until(ReportRooms, lambda rooms: rooms.rooms == (ORDERS,))
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert not any(rooms.complete for rooms in life.all(ReportRooms))

        gateway.do("mend_room", room=DUTY.id)
        rooms = await life.until(ReportRooms, lambda rooms: rooms.complete)
        assert (ORDERS, DUTY) == rooms.rooms


# -- sending ---------------------------------------------------------------------------------------


async def test_mentions(gateway: GatewayProcess) -> None:
    """Names in the room are mentioned for real and shown; the worst of what was not found is told."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="仓库")
    cases = [
        ({"mention_names": ("仓库",)}, "@仓库\u2005hello", ["wxid_bob"], "ok"),
        ({"mention_names": ("老王", "Alice")}, "@老王\u2005@Alice\u2005hello", ["wxid_bob", "wxid_alice"], "ok"),
        ({"mention_names": ("Alice", "Carol")}, "@Alice\u2005@Carol\u2005hello", ["wxid_alice"], "not_in_room"),
        ({"mention_names": ("Carol", "谁")}, "@Carol\u2005@谁\u2005hello", [], "unknown"),
        ({"mention_id": "wxid_bob"}, "@仓库\u2005hello", ["wxid_bob"], "ok"),
        ({"mention_id": "wxid_carol"}, "hello", [], "not_in_room"),
        ({"mention_id": "wxid_nobody"}, "hello", [], "unknown"),
        ({"mention_names": ("Alice",), "mention_id": "wxid_alice"}, "@Alice\u2005hello", ["wxid_alice"], "ok"),
    ]
    async with online(gateway) as life:
        for number, (fields, shown, ids, found) in enumerate(cases, start=1):
            outcome = await life.puppet.send(text("hello", msgid=number, **fields))
            sent = gateway.record()[-1]

            assert Accepted(f"msg-{number}", found) == outcome
            assert (shown, ids) == (sent["text"], sent["mentions"])


async def test_two_of_the_same_name(gateway: GatewayProcess) -> None:
    """Where two in the room have the name, neither is mentioned for real; a change of names is noticed."""
    async with online(gateway) as life:
        await life.puppet.send(text("one", mention_names=("Alice",)))
        gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="Alice")
        gateway.do("dirty", type=4, id=ORDERS.id)
        gateway.do("say", room=ORDERS.id, text="names have changed")
        await life.until_message("names have changed")
        outcome = await life.puppet.send(text("two", mention_names=("Alice",)))

        assert isinstance(outcome, Accepted)
        assert "ok" == outcome.mention
        assert [["wxid_alice"], []] == [sent["mentions"] for sent in gateway.record()]


async def test_an_empty_id_is_no_receipt(gateway: GatewayProcess) -> None:
    """A send without an id is unconfirmed; the account's own message, seen later, is its receipt, once."""
    async with online(gateway) as life:
        gateway.do("sending", receipt=False)
        outcome = await life.puppet.send(text("hello", msgid=7))
        gateway.do("echo")
        gateway.do("echo")
        receipt = await life.until(ReportReceipt)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert Unconfirmed("the Wechaty gateway gave no message id") == outcome
        assert 7 == receipt.msgid
        assert receipt.receipt
        assert [receipt] == life.all(ReportReceipt)
        assert 1 == len(life.all(ReportMessage))


async def test_an_echo_that_could_be_another(gateway: GatewayProcess) -> None:
    """Where two messages have the same text, where it went elsewhere, or was confirmed: no echo proves anything."""
    async with online(gateway) as life:
        await life.puppet.send(text("confirmed", msgid=1))
        gateway.do("sending", receipt=False)
        await life.puppet.send(text("twice", msgid=2))
        await life.puppet.send(text("twice", msgid=3))
        await life.puppet.send(text("confirmed", msgid=4))
        await life.puppet.send(text("elsewhere", msgid=5))
        gateway.do("echo", text="twice", conversation=ORDERS.id)
        gateway.do("echo", text="confirmed", conversation=ORDERS.id)
        gateway.do("echo", text="elsewhere", conversation=DUTY.id)
        gateway.do("echo", text="from the phone", conversation=ORDERS.id)
        gateway.do("say", room=ORDERS.id, text="last")
        await life.until_message("last")

        assert life.all(ReportReceipt) == []


async def test_cut_off_with_the_echo_seen(gateway: GatewayProcess) -> None:
    """A send that the runner gives up, after its echo had come, gets its receipt late."""
    gateway.do("sending", hang=True, echo=True)
    async with online(gateway) as life:
        with anyio.move_on_after(0.5) as limit:
            await life.puppet.send(text("hello", msgid=8))
        receipt = await life.until(ReportReceipt)

        assert limit.cancelled_caught
        assert 8 == receipt.msgid


@pytest.mark.slow
async def test_killed_while_sending() -> None:
    """A gateway that dies with a message in hand leaves it in doubt; what was not handed over yet is not sent."""
    with own_gateway() as gateway:
        gateway.do("sending", hang=True)
        outcomes = []
        async with online(gateway) as life, anyio.create_task_group() as tasks:

            async def send() -> None:
                outcomes.append(await life.puppet.send(text("hello")))

            tasks.start_soon(send)
            while not gateway.record():
                await anyio.sleep(0.01)
            gateway.process.kill()
            await life.failed()
        outcomes.append(await life.puppet.send(text("again")))

    assert [Unconfirmed, NotSent] == [type(outcome) for outcome in outcomes]
    assert outcomes[1].retry


async def test_cancelled_while_sending(gateway: GatewayProcess) -> None:
    """When `run` is cancelled, a send that is under way ends in doubt and not as if its own task had been cancelled."""
    gateway.do("sending", hang=True)
    outcomes = []
    async with online(gateway) as life:
        sending = asyncio.create_task(life.puppet.send(text("hello")))
        while not gateway.record():
            await anyio.sleep(0.01)
    with anyio.fail_after(LIMIT):
        outcomes.append(await sending)

    assert [Unconfirmed("The connection to the Wechaty gateway was closed.")] == outcomes


async def test_errors_of_the_gateway_are_not_forwarded(
    gateway: GatewayProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """An application error is in doubt, in a sentence of ours: none of its text, and no message text, goes anywhere."""
    caplog.set_level(logging.DEBUG)
    gateway.do("sending", error="boom at secret.js")
    async with online(gateway) as life:
        outcome = await life.puppet.send(text("confidential", mention_names=("Alice",)))
        gateway.do("event", name="message", payload={"messageId": "msg-unreadable"})
        gateway.do("say", room=ORDERS.id, text="confidential too")
        await life.until_message("confidential too")

    assert isinstance(outcome, Unconfirmed)
    assert "(UNKNOWN)" in outcome.reason
    assert "msg-unreadable" in caplog.text
    for secret in ("boom", "secret.js", "confidential", TOKEN):
        assert secret not in outcome.reason + caplog.text


async def test_half_a_character(gateway: GatewayProcess) -> None:
    """A text that cannot be encoded certainly did not go."""
    async with online(gateway) as life:
        assert isinstance(await life.puppet.send(text("\ud83d")), NotSent)
        assert isinstance(await life.puppet.send(text("hello", mention_names=("\ud83d",))), NotSent)
        assert [] == gateway.record()


# -- what people write -----------------------------------------------------------------------------


async def test_mentioned(gateway: GatewayProcess) -> None:
    """A mention counts by its ids; where there are none, by the account's name or room alias in the text."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bot", alias="订单助手")
    cases = [
        ("请看 1", ["wxid_bot"], True),
        ("@demo\u2005请看 2", ["wxid_alice"], False),
        ("@demo\u2005请看 3", [], True),
        ("@demo 请看 4", [], True),
        ("请看 5 @demo", [], True),
        ("@demo2 @订单助手\u2005请看 6", [], True),
        ("@demo2\u2005请看 7", [], False),
        ("demo\u2005请看 8", [], False),
        ("a@demo.example 请看 9", [], False),
    ]
    async with online(gateway) as life:
        for words, mention, _ in cases:
            gateway.do("say", room=ORDERS.id, text=words, mention=mention)
        await life.until_message(cases[-1][0])

        assert [expected for *_, expected in cases] == [message.mentioned for message in life.all(ReportMessage)]


async def test_who_wrote_what_where(gateway: GatewayProcess) -> None:
    """The names are those that the room shows; a direct message has no room; kinds follow the puppets' own numbers."""
    gateway.do("alias", room=ORDERS.id, who="wxid_bob", alias="仓库")
    async with online(gateway) as life:
        gateway.do("say", room=ORDERS.id, text="one", **{"from": "wxid_bob"})
        gateway.do("say", text="two")
        for number, kind in enumerate((6, 1, 9, 13, 99, -1)):
            payload = {"id": f"kind-{number}", "type": kind, "talkerId": "wxid_alice", "roomId": DUTY.id}
            gateway.do("message", payload=payload)
        await life.until(ReportMessage, lambda message: message.message_id == "kind-5")
        one, two, *rest = life.all(ReportMessage)

        assert ("wxid_bob", "仓库", ORDERS) == (one.from_id, one.from_name, Room(one.room_id, one.room_topic))
        assert ("wxid_alice", "Alice", "", "") == (two.from_id, two.from_name, two.room_id, two.room_topic)
        assert ["image", "file", "app", "recalled", "other", "other"] == [message.kind for message in rest]


async def test_odd_events(gateway: GatewayProcess) -> None:
    """Events whose payload is not what it should be do no harm."""
    odd: tuple[Any, ...] = (7, [], "x", {}, {"roomId": 7, "inviteeIdList": 7, "removeeIdList": None})
    async with online(gateway) as life:
        for payload in (*odd, {"messageId": ["x"], "contactId": {}, "status": {}, "payloadType": "3", "payloadId": 3}):
            for name in ("scan", "login", "message", "room-join", "room-leave", "room-topic", "ready", "dong", "post"):
                gateway.do("event", name=name, payload=payload)
        gateway.do("say", room=ORDERS.id, text="last")
        message = await life.until_message("last")

        assert [message] == life.all(ReportMessage)
        assert life.failure is None
