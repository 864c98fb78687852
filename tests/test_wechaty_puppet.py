"""The Wechaty puppet over the real gateway: reaching it, and the login. asyncio only, as the puppet is."""

import logging
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.wechaty import TOKEN, GatewayProcess, certificates, own_gateway, shared_gateway
from tests.wechaty_life import ORDERS, living, online, text
from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
)

pytestmark = pytest.mark.anyio


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
            assert isinstance(await life.puppet.send(text("too late")), NotConnected)
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
