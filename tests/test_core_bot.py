"""A bot: given what happened, when somebody asks or the puppet reports, then this is recorded and that must be done."""

from typing import Any, get_args

import pytest

from wxrc_core import bot
from wxrc_core.effects import Notify, WakeClient, WakeQueue, WakeRecords
from wxrc_core.errors import AlreadyTaken, Refusal
from wxrc_core.operation import Kind
from wxrc_core.puppet import (
    BotReport,
    ReportDigitsWanted,
    ReportLinkLost,
    ReportLoggedIn,
    ReportLoggedOut,
    ReportLoginFailed,
    ReportQrCode,
    ReportRooms,
    ReportScanned,
    Room,
)
from wxrc_core.testing.strategies import folded as fold

ADDED = bot.BotAdded(at=1, botcode="b", puppet="simulator")
REQUESTED = bot.LoginRequested(at=2, operation=5, kind="mac")
CODE = bot.QrCodeIssued(at=3, expires_at=120_003, code_id="id of qr-1")
OLD_CODE = bot.QrCodeIssued(at=3, expires_at=120_003, text="qr-1", image_url="/qr/1.png")  # of an earlier release
SCANNED = bot.QrCodeScanned(at=4)
LOGGED_IN = bot.LoggedIn(at=5, wxid="wxid_b", name="Bot")
LOST = bot.LinkLost(at=6, reason="the connection broke")
ROOMS = bot.RoomsChanged(at=7, joined=(Room("r1", "一群"), Room("r2", "二群")), left=(), complete=True)

SAME_ACCOUNT = ReportLoggedIn(at=9, wxid="wxid_b", name="Bot")

AWAITING = (ADDED, REQUESTED)
SHOWN = (*AWAITING, CODE)
LOGIN = (*SHOWN, SCANNED, LOGGED_IN)
READY = (*LOGIN, ROOMS)
UNLINKED = (*LOGIN, LOST)
LEAVING = (*LOGIN, bot.LogoutRequested(at=8, operation=6))
STOPPING = (*LOGIN, bot.StopRequested(at=8, operation=6))


def report_code(text: str) -> ReportQrCode:
    """Return the report of a code."""
    return ReportQrCode(at=9, text=text, expires_at=99)


def _carry_out(kind: Kind, operation: int, login_kind: str = "") -> bot.CarryOut:
    return bot.CarryOut(at=9, operation=operation, kind=kind, login_kind=login_kind)


def _command(the_bot: bot.Bot | None, when: Any) -> bot.Command:
    """Return a command as it is, and a report as one of the client that runs now."""
    if isinstance(when, get_args(BotReport)):
        code_id = f"id of {when.text}" if isinstance(when, ReportQrCode) else ""
        return bot.TakeReport(run=the_bot.run if the_bot else 0, report=when, code_id=code_id)
    return when  # type: ignore[no-any-return]


CASES: list[tuple[str, tuple[Any, ...], Any, tuple[Any, ...]]] = [
    ("added", (), bot.Add(ADDED), (ADDED,)),
    (
        "login asked for",
        (ADDED,),
        _carry_out("login", 5, "mac"),
        (bot.LoginRequested(at=9, operation=5, kind="mac"),),
    ),
    (
        "asked for again while awaiting",
        SHOWN,
        _carry_out("login", 6, "mac"),
        (bot.LoginRequested(at=9, operation=6, kind="mac"),),
    ),
    (
        "another kind of client asked for while awaiting",
        SHOWN,
        _carry_out("login", 6, "web"),
        (bot.LoginRequested(at=9, operation=6, kind="web"),),
    ),
    (
        "asked for although logged in",
        LOGIN,
        _carry_out("login", 6),
        (bot.LoginRepeated(at=9, operation=6),),
    ),
    ("an operation that was carried out", LOGIN, _carry_out("login", 5), ()),
    ("logout asked for", LOGIN, _carry_out("logout", 6), (bot.LogoutRequested(at=9, operation=6),)),
    ("that logout again", LEAVING, _carry_out("logout", 6), ()),
    ("stop asked for", SHOWN, _carry_out("stop", 6), (bot.StopRequested(at=9, operation=6),)),
    ("that stop again", STOPPING, _carry_out("stop", 6), ()),
    (
        "a code",
        AWAITING,
        report_code("qr-1"),
        (bot.QrCodeIssued(at=9, expires_at=99, code_id="id of qr-1"),),
    ),
    ("the same code shown again", SHOWN, report_code("qr-1"), ()),
    (
        "the next code",
        SHOWN,
        report_code("qr-2"),
        (bot.QrCodeIssued(at=9, expires_at=99, code_id="id of qr-2"),),
    ),
    (
        "a code although we hold it to be logged in",
        UNLINKED,
        report_code("qr-2"),
        (bot.LoggedOut(at=9, reason="the stored session no longer holds"),),
    ),
    ("a code that is not waited for", (ADDED,), report_code("qr-1"), ()),
    ("scanned", SHOWN, ReportScanned(at=9), (bot.QrCodeScanned(at=9),)),
    ("scanned, told again", (*SHOWN, SCANNED), ReportScanned(at=9), ()),
    ("scanned after all is over", (ADDED,), ReportScanned(at=9), ()),
    ("digits wanted", SHOWN, ReportDigitsWanted(at=9), (bot.DigitsWanted(at=9),)),
    ("digits wanted, told again", (*SHOWN, bot.DigitsWanted(at=4)), ReportDigitsWanted(at=9), ()),
    (
        "wrong digits",
        (*SHOWN, bot.DigitsWanted(at=4)),
        ReportDigitsWanted(at=9, wrong=True),
        (bot.DigitsWanted(at=9, wrong=True),),
    ),
    (
        "logged in",
        (*SHOWN, SCANNED),
        ReportLoggedIn(at=9, wxid="w", name="n"),
        (bot.LoggedIn(at=9, wxid="w", name="n"),),
    ),
    (
        "logged in without any code",
        AWAITING,
        ReportLoggedIn(at=9, wxid="w", name="n"),
        (bot.LoggedIn(at=9, wxid="w", name="n"),),
    ),
    ("logged in, told again", LOGIN, SAME_ACCOUNT, ()),
    (
        "the link is back",
        UNLINKED,
        SAME_ACCOUNT,
        (bot.LinkRestored(at=9, wxid="wxid_b", name="Bot", quiet=True),),
    ),
    (
        "the link is back, as a channel asked",
        (*UNLINKED, bot.LoginRepeated(at=8, operation=6)),
        SAME_ACCOUNT,
        (bot.LinkRestored(at=9, wxid="wxid_b", name="Bot"),),
    ),
    (
        "the link is back for another account",
        UNLINKED,
        ReportLoggedIn(at=9, wxid="w", name="n"),
        (bot.LinkRestored(at=9, wxid="w", name="n"),),
    ),
    (
        "another account while the link is up",
        READY,
        ReportLoggedIn(at=9, wxid="w", name="n"),
        (bot.LinkRestored(at=9, wxid="w", name="n"),),
    ),
    ("logged in without a request", (ADDED,), ReportLoggedIn(at=9, wxid="w", name="n"), ()),
    ("refused", SHOWN, ReportLoginFailed(at=9, reason="refused"), (bot.LoginFailed(at=9, reason="refused"),)),
    (
        "a session that no longer holds",
        UNLINKED,
        ReportLoginFailed(at=9, reason="dead"),
        (bot.LoggedOut(at=9, reason="dead"),),
    ),
    ("kicked", LOGIN, ReportLoggedOut(at=9, reason="kicked"), (bot.LoggedOut(at=9, reason="kicked"),)),
    ("out because we asked", LEAVING, ReportLoggedOut(at=9, reason="asked"), ()),
    ("out while awaiting", SHOWN, ReportLoggedOut(at=9, reason="gone"), (bot.LoginFailed(at=9, reason="gone"),)),
    ("out, told again", (ADDED,), ReportLoggedOut(at=9, reason="gone"), ()),
    ("the link is lost", LOGIN, ReportLinkLost(at=9, reason="broke"), (bot.LinkLost(at=9, reason="broke"),)),
    ("the link is lost, told again", UNLINKED, ReportLinkLost(at=6, reason="the connection broke"), ()),
    (
        "the next start failed as well",
        UNLINKED,
        ReportLinkLost(at=9, reason="the connection broke"),
        (bot.LinkLost(at=9, reason="the connection broke"),),
    ),
    (
        "it fails all the time",
        (*UNLINKED, *[LOST] * bot.MAX_FLAPS),
        ReportLinkLost(at=9, reason="the connection broke"),
        (),
    ),
    ("still lost, for another reason", UNLINKED, ReportLinkLost(at=9, reason="b"), (bot.LinkLost(at=9, reason="b"),)),
    (
        "no client available while awaiting",
        AWAITING,
        ReportLinkLost(at=9, reason="broke"),
        (bot.LoginFailed(at=9, reason="broke"),),
    ),
    (
        "rooms",
        LOGIN,
        ReportRooms(at=7, rooms=(Room("r1", "一群"), Room("r2", "二群")), complete=True),
        (ROOMS,),
    ),
    (
        "the same rooms again",
        READY,
        ReportRooms(at=9, rooms=(Room("r1", "一群"), Room("r2", "二群")), complete=True),
        (),
    ),
    (
        "a room renamed, one left, one joined",
        READY,
        ReportRooms(at=9, rooms=(Room("r1", "改名"), Room("r3", "三群")), complete=True),
        (bot.RoomsChanged(at=9, joined=(Room("r1", "改名"), Room("r3", "三群")), left=("r2",), complete=True),),
    ),
    (
        "a list that is not whole takes no room away",
        READY,
        ReportRooms(at=9, rooms=(Room("r1", "一群"),), complete=False),
        (bot.RoomsChanged(at=9, joined=(), left=(), complete=False),),
    ),
    ("rooms from a client that is not connected", UNLINKED, ReportRooms(at=9, rooms=(), complete=True), ()),
    ("the gateway is back", LOGIN, bot.RestartClient(at=9, run=1), (bot.ClientRestarted(at=9),)),
    ("the client was started again since", LOGIN, bot.RestartClient(at=9, run=0), ()),
    ("the gateway is back, nothing to run", (ADDED,), bot.RestartClient(at=9, run=0), ()),
    ("a login during a logout waits for its end", LEAVING, _carry_out("login", 7), ()),
    ("the gateway is back during a logout", LEAVING, bot.RestartClient(at=9, run=1), ()),
    ("signed out, told again", (*LEAVING, bot.SignedOut(at=9)), bot.FinishExit(at=9, operation=6, exit="logout"), ()),
    ("signed out, said of an earlier logout", LEAVING, bot.FinishExit(at=9, operation=4, exit="logout"), ()),
    ("signed out, as asked", LEAVING, bot.FinishExit(at=9, operation=6, exit="logout"), (bot.SignedOut(at=9),)),
    ("released, said of an earlier stop", STOPPING, bot.FinishExit(at=9, operation=4, exit="stop"), ()),
    ("released, as asked", STOPPING, bot.FinishExit(at=9, operation=6, exit="stop"), (bot.Stopped(at=9),)),
]


@pytest.mark.parametrize(
    ("given", "when", "then"), [case[1:] for case in CASES], ids=[case[0].replace(" ", "_") for case in CASES]
)
def test_decide(given: tuple[Any, ...], when: Any, then: tuple[Any, ...]) -> None:
    """Each command leads to its events, or to none where it has happened or no longer matters."""
    the_bot = fold(bot, given)

    assert then == bot.decide(the_bot, _command(the_bot, when))


def test_refusals() -> None:
    """A second bot of one name, and anything asked of a bot that is not there, is refused in a sentence."""
    with pytest.raises(AlreadyTaken, match="bot 'b' is there already"):
        bot.decide(fold(bot, LOGIN), bot.Add(ADDED))
    with pytest.raises(Refusal, match="no such bot"):
        bot.decide(None, _command(None, ReportScanned(at=1)))


def notify(status: str, reason: str = "", wxid: str = "wxid_b", name: str = "Bot") -> Notify:
    """Return what tells channels of a bot's status."""
    return Notify("b", "botStatus", {"botStatus": status, "reason": reason, "wxid": wxid, "name": name})


QR_NOTICE = Notify("b", "qrCode", {"expiresAt": 120_003}, expires_at=120_003, code_id="id of qr-1")
OLD_QR_NOTICE = Notify(
    "b", "qrCode", {"qrcodeImageUrl": "/qr/1.png", "qrcode": "qr-1", "expiresAt": 120_003}, expires_at=120_003
)

CLIENT, QUEUE, RECORDS = WakeClient("b"), WakeQueue("b"), WakeRecords("b")

REACTIONS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((ADDED,), ()),
    (AWAITING, (CLIENT, RECORDS)),
    ((*SHOWN, bot.LoginRequested(at=9, operation=6, kind="mac")), (CLIENT, RECORDS, QR_NOTICE)),
    ((*SHOWN, bot.LoginRequested(at=9, operation=6, kind="web")), (CLIENT, RECORDS)),
    (SHOWN, (QR_NOTICE,)),
    ((*AWAITING, OLD_CODE), (OLD_QR_NOTICE,)),
    ((*SHOWN, SCANNED), ()),
    (LOGIN, (notify("login"), QUEUE, RECORDS)),
    ((*LOGIN, bot.LoginRepeated(at=9, operation=6)), (notify("login"), RECORDS)),
    ((*UNLINKED, bot.LoginRepeated(at=9, operation=6)), (CLIENT, RECORDS)),
    (UNLINKED, ()),
    (
        (*UNLINKED, bot.LinkRestored(at=9, wxid="w", name="n")),
        (notify("login", wxid="w", name="n"), QUEUE, RECORDS),
    ),
    ((*UNLINKED, bot.LinkRestored(at=9, wxid="wxid_b", name="Bot", quiet=True)), (QUEUE, RECORDS)),
    (READY, (QUEUE, RECORDS)),
    (LEAVING, (CLIENT,)),
    ((*LEAVING, bot.SignedOut(at=9)), (CLIENT, notify("logout"), RECORDS)),
    (STOPPING, (CLIENT,)),
    ((*STOPPING, bot.Stopped(at=9)), (CLIENT, notify("off", "stopped"), RECORDS)),
    ((*LOGIN, bot.LoggedOut(at=9, reason="kicked")), (CLIENT, notify("logout", "kicked"))),
    ((*SHOWN, bot.LoginFailed(at=9, reason="refused")), (CLIENT, notify("loginerr", "refused", "", ""))),
    ((*LOGIN, bot.ClientRestarted(at=9)), (CLIENT, RECORDS)),
]


@pytest.mark.parametrize(("history", "effects"), REACTIONS)
def test_react(history: tuple[Any, ...], effects: tuple[Any, ...]) -> None:
    """After each event it is clear which loops wake and which channels are told."""
    assert effects == bot.react(fold(bot, history), history[-1])


@pytest.mark.parametrize(
    ("history", "state", "ready", "action"),
    [
        ((ADDED,), "logout", False, "none"),
        (AWAITING, "awaiting_qr", False, "none"),
        (SHOWN, "awaiting_qr", False, "scan"),
        ((*SHOWN, SCANNED), "awaiting_qr", False, "confirm"),
        ((*SHOWN, bot.DigitsWanted(at=4)), "awaiting_qr", False, "enter_code"),
        (LOGIN, "login", True, "none"),
        (UNLINKED, "login", False, "none"),
        (LEAVING, "login", False, "none"),
        ((*LOGIN, bot.ClientRestarted(at=9)), "login", False, "none"),
        ((*LOGIN, bot.LoggedOut(at=9, reason="kicked")), "logout", False, "relogin"),
        ((*LEAVING, bot.SignedOut(at=9)), "logout", False, "none"),
    ],
)
def test_what_is_told_of_a_bot(history: tuple[Any, ...], state: str, ready: bool, action: str) -> None:
    """State, whether it can send, and what a person has to do, follow from its events."""
    the_bot = fold(bot, history)

    assert (state, ready, action) == (the_bot.state, the_bot.ready, bot.user_action(the_bot))


def test_rooms_stay_known_but_not_complete_over_a_lost_link() -> None:
    """What was known of the rooms is kept, but nothing is called missing before the list was synced again (promise 9)."""
    the_bot = fold(bot, (*READY, LOST, bot.LinkRestored(at=9, wxid="wxid_b", name="Bot", quiet=True)))

    assert {"r1": "一群", "r2": "二群"} == the_bot.rooms
    assert not the_bot.rooms_complete


@pytest.mark.parametrize("before", [READY, (*READY, LOST)], ids=["link_up", "link_down"])
def test_another_account_has_no_rooms_yet(before: tuple[Any, ...]) -> None:
    """Where another account turns up, the rooms of the former one are forgotten, and its list has yet to come."""
    the_bot = fold(bot, (*before, bot.LinkRestored(at=9, wxid="wxid_c", name="Other")))

    assert (True, "wxid_c", {}, False) == (the_bot.ready, the_bot.wxid, the_bot.rooms, the_bot.rooms_complete)


def test_another_account_scans_the_code() -> None:
    """After a logout another account may scan the next code: it starts without rooms, while the same account keeps its own."""
    out = (*READY, bot.LoggedOut(at=8, reason="kicked"), bot.LoginRequested(at=9, operation=7, kind="mac"))
    same = fold(bot, (*out, bot.LoggedIn(at=10, wxid="wxid_b", name="Bot")))
    other = fold(bot, (*out, bot.LoggedIn(at=10, wxid="wxid_c", name="Other")))

    assert {"r1": "一群", "r2": "二群"} == same.rooms
    assert {} == other.rooms


def test_a_new_nickname_alone_keeps_the_room_list() -> None:
    """A report with a new nickname while the link is up is recorded, and the room list stays complete: no other will be reported."""
    the_bot = fold(bot, READY)
    report = ReportLoggedIn(at=9, wxid="wxid_b", name="Renamed")
    [event] = bot.decide(the_bot, bot.TakeReport(run=the_bot.run, report=report))
    after = bot.evolve(the_bot, event)

    assert bot.LinkRestored(at=9, wxid="wxid_b", name="Renamed") == event
    assert ("Renamed", True, the_bot.rooms) == (after.name, after.rooms_complete, after.rooms)


def test_since_and_reason() -> None:
    """`since` moves with the state only; the reason says why it is as it is, until something else happens."""
    kicked = fold(bot, (*LOGIN, bot.LoggedOut(at=90, reason="kicked")))
    asked = fold(bot, (*LOGIN, bot.LoggedOut(at=90, reason="kicked"), bot.LoginRequested(at=95, operation=7)))
    lost = fold(bot, UNLINKED)

    assert (90, "kicked") == (kicked.since, kicked.reason)
    assert (95, "") == (asked.since, asked.reason)
    assert (5, "the connection broke") == (lost.since, lost.reason)
