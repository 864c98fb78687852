"""The simulated WeChat itself: what it keeps, whom it lets in, and what it answers to a wrong wish."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wxrc_core.puppet import Outgoing
from wxrc_puppet.simulator import BadOption, SimulatedWeChat, SimulatorError, SimulatorOptions, read_options
from wxrc_puppet.simulator.mentions import is_mentioned
from wxrc_puppet.simulator.model import Login


@pytest.fixture
def wechat(tmp_path: Path) -> Iterator[SimulatedWeChat]:
    """Return a new WeChat with the account of the bot `demo`."""
    with SimulatedWeChat(tmp_path / "data" / "simulator.db") as wechat:
        wechat.ensure_account("demo", {})
        yield wechat


def log_in(wechat: SimulatedWeChat, bot: str = "demo") -> Login:
    """Log a client in by code."""
    code = wechat.logins.issue(bot, lifetime_ms=60_000, digits=False)
    wechat.logins.confirm(code.token)
    login = wechat.logins.log_in(code, "web")
    assert login is not None
    return login


def test_new_account_is_named_after_its_bot_and_has_rooms_and_people(wechat: SimulatedWeChat) -> None:
    """A new account has the bot's code as nickname, a wxid, rooms with members, and people to write to."""
    account = wechat.ensure_account("demo", {})
    rooms = wechat.directory.rooms("demo")

    assert ("demo", False, "") == (account.name, account.logged_in, account.ended)
    assert account.wxid.startswith("wxid_")
    assert ["客服一群", "客服二群", "测试群", "项目沟通群"] == [room.topic for room in rooms]
    assert "赵立伟" in [person.name for person in wechat.directory.members("demo", rooms[0].id)]
    assert "陈静" not in [person.name for person in wechat.directory.members("demo", rooms[0].id)]
    assert "陈静" in [person.name for person in wechat.directory.people("demo")]


def test_ensuring_an_account_again_changes_nothing(wechat: SimulatedWeChat) -> None:
    """The same account with the same rooms is there when it is asked for a second time."""
    rooms = wechat.directory.rooms("demo")
    again = wechat.ensure_account("demo", {})

    assert wechat.account("demo") == again
    assert rooms == wechat.directory.rooms("demo")


def test_a_dissolved_room_does_not_come_back(wechat: SimulatedWeChat) -> None:
    """Only new options add rooms: a restart with the same ones leaves a dissolved room alone."""
    wechat.directory.dissolve_room("demo", wechat.directory.rooms("demo")[0].id)
    wechat.ensure_account("demo", {})

    assert 3 == len(wechat.directory.rooms("demo"))

    wechat.ensure_account("demo", {"rooms": "客服一群,客服一群,新群", "faults": "新群:hang"})

    assert 2 == [room.topic for room in wechat.directory.rooms("demo")].count("客服一群")
    assert "hang" == wechat.directory.find_room("demo", "新群").fault


def test_everything_is_there_again_after_a_restart(wechat: SimulatedWeChat, tmp_path: Path) -> None:
    """A second WeChat on the same file has the account, its session, its rooms and its record."""
    login = log_in(wechat)
    room = wechat.directory.rooms("demo")[0]
    sent = wechat.messages.deliver("demo", login.client, Outgoing(msgid=7, attempt=2, room_id=room.id, text="在"))
    wechat.messages.say("demo", "收到", room=room.id, sender="赵立伟")
    wechat.close()
    with SimulatedWeChat(tmp_path / "data" / "simulator.db") as again:
        assert [sent] == again.messages.record("demo")
        assert (7, 2) == (sent.msgid, sent.attempt)
        assert ["收到"] == [message.text for message in again.messages.waiting("demo")]
        assert room in again.directory.rooms("demo")
        assert again.logins.resume("demo", login.session, "web") is not None
        assert again.logins.resume("demo", "something else", "web") is None


def test_a_file_of_a_newer_release_is_refused(wechat: SimulatedWeChat, tmp_path: Path) -> None:
    """A file in a format that this release does not know is left alone, and the sentence says so."""
    wechat._db.pragma("user_version", 99)

    with pytest.raises(SimulatorError, match="format 99"):
        SimulatedWeChat(tmp_path / "data" / "simulator.db")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"qr_lifetime": "5"}, "no option 'qr_lifetime'.*qr_lifetime_ms"),
        ({"startup_ms": "-1"}, "startup_ms must be a whole number from 0"),
        ({"startup_ms": "１"}, "startup_ms must be"),
        ({"startup_ms": "9" * 9999}, "startup_ms must be"),
        ({"qr_codes": "0"}, "qr_codes must be a whole number from 1"),
        ({"qr_lifetime_ms": "soon"}, "qr_lifetime_ms .* not 'soon'"),
        ({"digits": "yes"}, "digits must be on or off, not 'yes'"),
        ({"deduplicates": ""}, "deduplicates must be on or off"),
        ({"rooms": "a,,b"}, "rooms must be"),
        ({"rooms": "x" * 65}, "rooms must be"),
        ({"faults": "测试群:gone"}, "faults must be TOPIC:FAULT"),
        ({"faults": "没有这个群:hang"}, "faults must be TOPIC:FAULT"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, str], said: str) -> None:
    """An option that is unknown or has a wrong value is refused in a sentence that names it and what would be right."""
    with pytest.raises(BadOption, match=said):
        read_options(options)


def test_options_are_read() -> None:
    """Each option has the value that was given, or its default."""
    expected = SimulatorOptions(
        rooms=("甲群", "乙群", "甲群"), digits=True, qr_lifetime_ms=500, faults=(("乙群", "rejected"),)
    )
    given = {"rooms": "甲群， 乙群,甲群", "digits": "on", "qr_lifetime_ms": "500", "faults": "乙群:rejected"}

    assert expected == read_options(given)
    assert SimulatorOptions() == read_options({})


@pytest.mark.parametrize("bot", ["", "api", "qr", "a/b", "x" * 65, "\n"])
def test_a_bot_needs_a_code_that_its_pages_can_have(wechat: SimulatedWeChat, bot: str) -> None:
    """A code that could not stand in the pages' addresses is refused."""
    with pytest.raises(BadOption, match="code must be"):
        wechat.ensure_account(bot, {})


def test_a_code_works_once(wechat: SimulatedWeChat) -> None:
    """A confirmed code logs one client in; after that, and when it is unknown, it is worth nothing."""
    code = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    wechat.logins.confirm(code.token)

    assert wechat.logins.log_in(code, "web") is not None
    assert wechat.logins.log_in(code, "web") is None
    assert wechat.logins.confirm("guessed") is None


def test_a_new_code_ends_the_one_before(wechat: SimulatedWeChat) -> None:
    """Only the newest code of a bot can be confirmed."""
    first = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    second = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    wechat.logins.confirm(first.token)

    assert wechat.logins.log_in(first, "web") is None
    assert second == wechat.logins.open_code("demo")
    assert first.token != second.token
    assert len(first.token) >= 32


def test_a_client_that_is_out_delivers_nothing(wechat: SimulatedWeChat) -> None:
    """After a kick, and after a newer login, the older client's messages do not reach WeChat."""
    login = log_in(wechat)
    room = wechat.directory.rooms("demo")[0]
    log_in(wechat)

    with pytest.raises(SimulatorError, match="not logged in"):
        wechat.messages.deliver("demo", login.client, Outgoing(msgid=1, attempt=1, room_id=room.id, text="x"))
    assert [] == wechat.messages.record("demo")


def test_a_room_is_found_by_id_and_by_a_topic_of_its_own(wechat: SimulatedWeChat) -> None:
    """A topic that two rooms have names none of them; an id always does; each bot has rooms of its own."""
    first = wechat.directory.find_room("demo", "测试群")
    second = wechat.directory.add_room("demo", "测试群")

    with pytest.raises(SimulatorError, match=f"2 rooms have this topic.*{first.id}, {second.id}"):
        wechat.directory.find_room("demo", "测试群")
    assert second == wechat.directory.find_room("demo", second.id)

    wechat.ensure_account("other", {})
    with pytest.raises(SimulatorError, match="no such room") as caught:
        wechat.directory.find_room("other", second.id)
    assert caught.value.missing


def test_somebody_new_joins_the_room_by_writing_there(wechat: SimulatedWeChat) -> None:
    """Who writes in a room and is not known comes to be known, once, and is in the room."""
    for _ in range(2):
        message = wechat.messages.say("demo", "我是新来的", room="测试群", sender="郑新")
    room = wechat.directory.find_room("demo", "测试群")

    assert "person" == message.via
    assert 1 == [person.name for person in wechat.directory.members("demo", room.id)].count("郑新")


def test_direct_chats(wechat: SimulatedWeChat) -> None:
    """In a direct chat its person writes, whichever way the two are named, or the account itself on its phone."""
    says = [
        wechat.messages.say("demo", "甲", user="陈静"),
        wechat.messages.say("demo", "乙", user="陈静", sender="陈静"),
        wechat.messages.say("demo", "丙", user="demo", sender="陈静"),
        wechat.messages.say("demo", "丁", user="陈静", sender="demo"),
    ]
    person = wechat.directory.find_person("demo", "陈静")
    assert person is not None

    assert ["person", "person", "person", "phone"] == [message.via for message in says]
    assert says == wechat.messages.chat("demo", user_id=person.id)
    assert says[:3] == wechat.messages.waiting("demo")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"text": ""}, "text must be 1 to"),
        ({"text": "a\0b"}, "text must be .* without NUL"),
        ({"text": "x" * 10_001}, "text must be 1 to 10000"),
        ({"room": "", "user": ""}, "room or user must be given"),
        ({"user": "陈静"}, "room or user must be given"),
        ({"room": "没有"}, "no such room"),
        ({"sender": ""}, "from must be the name"),
        ({"sender": "\n"}, "from must be a name"),
        ({"room": "", "user": "demo", "sender": "demo"}, "one other person"),
        ({"room": "", "user": "陈静", "sender": "吴敏"}, "from must be the person"),
    ],
)
def test_what_cannot_be_said(wechat: SimulatedWeChat, wish: dict[str, str], said: str) -> None:
    """A wrong wish is refused in a sentence that names the field, and nothing is written."""
    given = {"text": "你好", "room": "测试群", "sender": "赵立伟", **wish}

    with pytest.raises(SimulatorError, match=said):
        wechat.messages.say("demo", **given)
    assert [] == wechat.messages.waiting("demo")


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("@demo 你好", True),
        ("@demo\u2005你好", True),
        ("你好@demo", True),
        ("请 @demo\n看一下", True),
        ("@demon 你好", False),
        ("demo 你好", False),
        ("＠demo 你好", False),
    ],
)
def test_what_counts_as_a_mention(text: str, mentioned: bool) -> None:
    """`@` and the nickname mention when white space or the end follows."""
    assert mentioned == is_mentioned("demo", text)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"mention_names": ("钱多多", "赵立伟")}, ("@钱多多\u2005@赵立伟\u2005好", ["钱多多", "赵立伟"], "ok")),
        ({"mention_names": ("陈静", "赵立伟")}, ("@陈静\u2005@赵立伟\u2005好", ["赵立伟"], "not_in_room")),
        ({"mention_names": ("谁", "陈静")}, ("@谁\u2005@陈静\u2005好", [], "unknown")),
        ({"mention_id": "wxid_nobody"}, ("好", [], "unknown")),
        ({"mention_id": "赵立伟"}, ("好", [], "unknown")),
    ],
)
def test_mentions_are_real_where_they_can_be(
    wechat: SimulatedWeChat, wish: dict[str, object], expected: tuple[object, ...]
) -> None:
    """Who is in the room is mentioned for real; others by text alone; the outcome tells of the worst case."""
    login = log_in(wechat)
    room = wechat.directory.rooms("demo")[0]
    message = wechat.messages.deliver(
        "demo",
        login.client,
        Outgoing(msgid=1, attempt=1, room_id=room.id, text="好", **wish),  # type: ignore[arg-type]
    )
    names = {person.id: person.name for person in wechat.directory.people("demo")}

    assert expected == (message.text, [names[wxid] for wxid in message.mentions], message.mention)
