"""The simulator's puppet beyond the contract: digits, used-up codes, faults, two clients at once, and death."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import apsw
import pytest

from wxrc_core.puppet import (
    Accepted,
    NotConnected,
    Outgoing,
    Rejected,
    ReportContacts,
    ReportDigitsWanted,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportMessage,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
    Unconfirmed,
    UserMissing,
)
from wxrc_core.testing.puppet_driver import Client, MemorySlot, running
from wxrc_puppet import PuppetContext, PuppetError
from wxrc_puppet.simulator import BadOption, SimulatedPuppet, SimulatedWeChat
from wxrc_puppet.simulator.wechat import wall_clock

pytestmark = pytest.mark.anyio

QUICK = {"startup_ms": "0", "sync_ms": "0"}


@pytest.fixture
def wechat(tmp_path: Path) -> Iterator[SimulatedWeChat]:
    """Return a new WeChat."""
    with SimulatedWeChat(tmp_path / "simulator.db") as wechat:
        yield wechat


def make(
    wechat: SimulatedWeChat, session: MemorySlot | None = None, kind: str = "web", **options: str
) -> SimulatedPuppet:
    """Make a client of the bot `demo`."""
    context = PuppetContext(
        botcode="demo",
        options={**QUICK, **options},
        session=session or MemorySlot(),
        clock=wall_clock,
        login_kind=kind,
        public_url="https://bots.example",
    )
    return SimulatedPuppet(context, wechat)


def token(code: ReportQrCode) -> str:
    """Return what makes the code's URL unguessable."""
    return code.text.removeprefix("https://bots.example/sim/qr/")


async def let_in(wechat: SimulatedWeChat, client: Client) -> None:
    """Confirm the client's code and wait for its rooms."""
    wechat.logins.confirm(token(await client.until(ReportQrCode)))
    await client.until(ReportRooms, lambda report: report.complete)


async def test_a_login_is_told_step_by_step(wechat: SimulatedWeChat) -> None:
    """A code, its scan, the login, and the rooms are reported, in this order."""
    async with running(make(wechat, sync_ms="5")) as client:
        wechat.logins.scan(token(await client.until(ReportQrCode)))
        await client.until(ReportScanned)
        await let_in(wechat, client)

        await client.until(ReportContacts, lambda report: report.complete)

        expected = [
            *(ReportQrCode, ReportScanned, ReportLoggedIn),
            *(ReportRooms, ReportContacts, ReportRooms, ReportContacts),
        ]
        assert expected == [type(report) for report in client.reports]
        assert [False, True] == [report.complete for report in client.all(ReportRooms)]


async def test_digits_are_asked_for_until_they_are_right(wechat: SimulatedWeChat) -> None:
    """With `digits=on` the phone shows digits; wrong ones are reported as wrong, the right ones log in."""
    puppet = make(wechat, digits="on")
    async with running(puppet) as client:
        code = wechat.logins.confirm(token(await client.until(ReportQrCode)))
        assert code is not None
        await client.until(ReportDigitsWanted)
        await puppet.submit_digits("nonsense")
        await client.until(ReportDigitsWanted, lambda report: report.wrong)
        await puppet.submit_digits(code.digits)
        await client.until(ReportLoggedIn)

        assert [False, True] == [report.wrong for report in client.all(ReportDigitsWanted)]
        assert 6 == len(code.digits)


async def test_digits_wrong_too_often_bring_a_new_code(wechat: SimulatedWeChat) -> None:
    """After the third wrong try the code is blocked and another one is shown."""
    puppet = make(wechat, digits="on")
    async with running(puppet) as client:
        first = await client.until(ReportQrCode)
        wechat.logins.confirm(token(first))
        for _ in range(3):
            await puppet.submit_digits("")
        await client.until(ReportQrCode, lambda code: code.text != first.text)

        code = wechat.logins.code(token(first))
        assert code is not None
        assert "blocked" == code.state


async def test_a_login_that_nobody_confirms_ends(wechat: SimulatedWeChat) -> None:
    """After the last of its codes has expired the client reports that it gave up, and ends."""
    async with running(make(wechat, qr_codes="3", qr_lifetime_ms="50")) as client:
        await client.ended.wait()

        codes = client.all(ReportQrCode)
        assert 3 == len({code.text for code in codes})
        assert [ReportLoginFailed] == [type(client.reports[-1])]
        assert [50, 50, 50] == [code.expires_at - code.at for code in codes]


async def test_a_login_that_is_called_off_ends(wechat: SimulatedWeChat) -> None:
    """Signing out while a code is shown takes the code back and ends the login."""
    puppet = make(wechat)
    async with running(puppet) as client:
        code = await client.until(ReportQrCode)
        await puppet.sign_out()
        await client.until(ReportLoginFailed)
        await client.ended.wait()

        shown = wechat.logins.code(token(code))
        assert shown is not None
        assert "withdrawn" == shown.state


async def test_a_client_that_goes_takes_its_code_along(wechat: SimulatedWeChat) -> None:
    """Once the client is cancelled its code cannot be confirmed any more."""
    async with running(make(wechat)) as client:
        code = await client.until(ReportQrCode)
    confirmed = wechat.logins.confirm(token(code))

    assert confirmed is not None
    assert "withdrawn" == confirmed.state


async def test_a_newer_client_sends_the_older_one_away(wechat: SimulatedWeChat) -> None:
    """When a second client logs in to the account the first is logged out, and the session stays with the second."""
    session = MemorySlot()
    async with running(make(wechat, session)) as older:
        await let_in(wechat, older)
        async with running(make(wechat, session)) as newer:
            await newer.until(ReportLoggedIn)
            out = await older.until(ReportLoggedOut)
            await older.ended.wait()

            assert "newer client" in out.reason
            assert session.credentials is not None
            room = wechat.directory.rooms("demo")[0]
            outgoing = Outgoing(msgid=1, attempt=1, room_id=room.id, text="哪个客户端")
            assert isinstance(await older.puppet.send(outgoing), NotConnected)
            assert isinstance(await newer.puppet.send(outgoing), Accepted)
    account = wechat.account("demo")

    assert account is not None
    assert account.logged_in


async def test_signing_out_on_the_phone_is_told(wechat: SimulatedWeChat) -> None:
    """Log out on the phone's page ends the client, with that reason."""
    session = MemorySlot()
    async with running(make(wechat, session)) as client:
        await let_in(wechat, client)
        assert wechat.logins.sign_out_on_phone("demo")
        out = await client.until(ReportLoggedOut)
        await client.ended.wait()

        assert "on its phone" in out.reason
        assert session.credentials is None
        assert not wechat.logins.sign_out_on_phone("demo")


async def test_the_room_list_follows(wechat: SimulatedWeChat) -> None:
    """New, renamed and dissolved rooms are reported at once."""
    async with running(make(wechat)) as client:
        await let_in(wechat, client)
        room = wechat.directory.add_room("demo", "新群")
        await client.until(ReportRooms, lambda report: "新群" in [room.topic for room in report.rooms])
        wechat.directory.change_room("demo", room.id, topic="改名群")
        await client.until(ReportRooms, lambda report: "改名群" in [room.topic for room in report.rooms])
        wechat.directory.dissolve_room("demo", room.id)
        await client.until(ReportRooms, lambda report: report is client.reports[-1] and len(report.rooms) == 4)


@pytest.mark.parametrize(("fault", "outcome", "arrives"), [("rejected", Rejected, 0), ("no_receipt", Unconfirmed, 1)])
async def test_rooms_that_answer_badly(wechat: SimulatedWeChat, fault: str, outcome: type, arrives: int) -> None:
    """A room can be set to refuse what is sent, or to take it without a receipt."""
    async with running(make(wechat, faults=f"测试群:{fault}")) as client:
        await let_in(wechat, client)
        room = wechat.directory.find_room("demo", "测试群")
        answer = await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="喂"))

        assert isinstance(answer, outcome)
        assert arrives == len(wechat.messages.record("demo"))


@pytest.mark.parametrize(("fault", "arrives"), [("hang", 1), ("lost", 0)])
async def test_rooms_that_do_not_answer(wechat: SimulatedWeChat, fault: str, arrives: int) -> None:
    """A room can be set never to answer, whether the message arrives or not."""
    async with running(make(wechat, faults=f"测试群:{fault}")) as client:
        await let_in(wechat, client)
        room = wechat.directory.find_room("demo", "测试群")
        with anyio.move_on_after(0.05) as limit:
            await client.puppet.send(Outgoing(msgid=1, attempt=1, room_id=room.id, text="喂"))

        assert limit.cancelled_caught
        assert arrives == len(wechat.messages.record("demo"))


async def test_sending_before_login_and_to_nobody(wechat: SimulatedWeChat) -> None:
    """Before login, and to a person who does not exist, nothing is sent and the answer says so."""
    puppet = make(wechat)
    message = Outgoing(msgid=1, attempt=1, user_id="wxid_nobody", text="喂")

    assert NotConnected("The simulator's client is not logged in yet.") == await puppet.send(message)
    async with running(puppet) as client:
        await let_in(wechat, client)
        answer = await puppet.send(message)

        assert UserMissing("The account knows no such person.") == answer


async def test_a_message_is_reported_with_mention_and_topic(wechat: SimulatedWeChat) -> None:
    """`@demo 你好` in a room is reported as a mention, with the text as it was written."""
    async with running(make(wechat)) as client:
        await let_in(wechat, client)
        said = wechat.messages.say("demo", "@demo 你好", room="测试群", sender="赵立伟")
        message = await client.until(ReportMessage)

        expected = (said.id, "@demo 你好", "赵立伟", "测试群", True)
        got = (message.message_id, message.text, message.from_name, message.room_topic, message.mentioned)
        assert expected == got


@pytest.mark.parametrize("stored", [b"", b"\xff", b"[]", b"{}", b'{"session": 5}', b'{"session": "old"}'])
async def test_a_stored_session_that_holds_no_more_is_forgotten(wechat: SimulatedWeChat, stored: bytes) -> None:
    """Whatever stands in the stored session, a client that cannot use it shows a code."""
    session = MemorySlot(stored)
    async with running(make(wechat, session)) as client:
        await client.until(ReportQrCode)

        assert session.credentials is None


async def test_a_kind_of_client_that_there_is_not_is_refused(wechat: SimulatedWeChat) -> None:
    """Another kind of login than those declared is refused by name, as is a wrong option."""
    with pytest.raises(PuppetError, match="'pad'; it has web, mac"):
        make(wechat, kind="pad")
    with pytest.raises(BadOption, match="send_ms"):
        make(wechat, send_ms="x")


@pytest.mark.slow
async def test_what_is_said_in_another_process_arrives(wechat: SimulatedWeChat, tmp_path: Path) -> None:
    """A message that another process wrote into the same file is reported without anybody telling this one."""
    async with running(make(wechat)) as client:
        await let_in(wechat, client)
        with SimulatedWeChat(tmp_path / "simulator.db") as other:
            other.messages.say("demo", "从别处来", room="测试群", sender="赵立伟")
        message = await client.until(ReportMessage)

        assert "从别处来" == message.text


SENDER = """
import sys, anyio
from wxrc_core.puppet import Outgoing, ReportQrCode, ReportRooms
from wxrc_core.testing.puppet_driver import MemorySlot, running
from wxrc_puppet import PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat

async def main():
    wechat = SimulatedWeChat(sys.argv[1])
    options = {"startup_ms": "0", "sync_ms": "0", "faults": "测试群:hang"}
    context = PuppetContext(botcode="demo", options=options, session=MemorySlot(), clock=lambda: 1, login_kind="web", public_url="x")
    async with running(SimulatedPuppet(context, wechat)) as client:
        wechat.logins.confirm((await client.until(ReportQrCode)).text.rpartition("/")[2])
        await client.until(ReportRooms)
        room = wechat.directory.find_room("demo", "测试群")
        await client.puppet.send(Outgoing(msgid=42, attempt=1, room_id=room.id, text="最后的话"))

anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.slow
async def test_a_send_is_on_record_when_its_client_is_killed(tmp_path: Path, anyio_backend_name: str) -> None:
    """A client killed with -9 while it waits for WeChat's answer has its message on record, once, and is still logged in."""
    path = tmp_path / "simulator.db"
    sender = subprocess.Popen([sys.executable, "-c", SENDER, str(path), anyio_backend_name])
    with anyio.fail_after(60):
        while not _recorded(path):
            await anyio.sleep(0.02)
    os.kill(sender.pid, signal.SIGKILL)
    sender.wait()
    with SimulatedWeChat(path) as wechat:
        account = wechat.account("demo")

        assert [(42, "最后的话")] == [(message.msgid, message.text) for message in wechat.messages.record("demo")]
        assert account is not None
        assert account.logged_in


def _recorded(path: Path) -> bool:
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            return bool(db.execute("SELECT count(*) FROM message").get)
    except apsw.Error:  # not laid out yet
        return False
