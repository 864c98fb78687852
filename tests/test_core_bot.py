"""A bot: given what happened, when somebody asks or the puppet reports, then this is recorded and that must be done."""

from typing import Any

import pytest

from tests.core import fold
from wxrc_core import bot
from wxrc_core.effects import Dispatch, Notify, ReleasePuppet, SignOut, StartPuppet, StopPuppet
from wxrc_core.errors import AlreadyTaken, Refusal
from wxrc_core.puppet import (
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

ADDED = bot.BotAdded(at=1, botcode="b", puppet="simulator")
REQUESTED = bot.LoginRequested(at=2, operation=5, kind="mac")
CODE = bot.QrCodeIssued(at=3, text="qr-1", expires_at=120_003, image_url="/qr/1.png")
SCANNED = bot.QrCodeScanned(at=4)
LOGGED_IN = bot.LoggedIn(at=5, wxid="wxid_b", name="Bot")
LOST = bot.LinkLost(at=6, reason="the connection broke")
ROOMS = bot.RoomsChanged(at=7, joined=(Room("r1", "一群"), Room("r2", "二群")), left=(), complete=True)

AWAITING = (ADDED, REQUESTED)
SHOWN = (*AWAITING, CODE)
LOGIN = (*SHOWN, SCANNED, LOGGED_IN)
READY = (*LOGIN, ROOMS)
UNLINKED = (*LOGIN, LOST)
LEAVING = (*LOGIN, bot.LogoutRequested(at=8, operation=6))
STOPPING = (*LOGIN, bot.StopRequested(at=8, operation=6))


def _report_code(text: str) -> bot.ShowQrCode:
    return bot.ShowQrCode(report=ReportQrCode(at=9, text=text, expires_at=99), image_url="/qr/2.png")


CASES: list[tuple[str, tuple[Any, ...], Any, tuple[Any, ...]]] = [
    ("added", (), bot.Add(ADDED), (ADDED,)),
    (
        "login asked for",
        (ADDED,),
        bot.RequestLogin(at=9, operation=5, kind="mac"),
        (bot.LoginRequested(at=9, operation=5, kind="mac"),),
    ),
    (
        "asked for again while awaiting",
        SHOWN,
        bot.RequestLogin(at=9, operation=6),
        (bot.LoginRequested(at=9, operation=6),),
    ),
    (
        "asked for although logged in",
        LOGIN,
        bot.RequestLogin(at=9, operation=6),
        (bot.LoginRepeated(at=9, operation=6),),
    ),
    ("an operation that was carried out", LOGIN, bot.RequestLogin(at=9, operation=5), ()),
    ("logout asked for", LOGIN, bot.RequestLogout(at=9, operation=6), (bot.LogoutRequested(at=9, operation=6),)),
    ("that logout again", LEAVING, bot.RequestLogout(at=9, operation=6), ()),
    ("stop asked for", SHOWN, bot.RequestStop(at=9, operation=6), (bot.StopRequested(at=9, operation=6),)),
    ("that stop again", STOPPING, bot.RequestStop(at=9, operation=6), ()),
    (
        "a code",
        AWAITING,
        _report_code("qr-1"),
        (bot.QrCodeIssued(at=9, text="qr-1", expires_at=99, image_url="/qr/2.png"),),
    ),
    ("the same code shown again", SHOWN, _report_code("qr-1"), ()),
    (
        "the next code",
        SHOWN,
        _report_code("qr-2"),
        (bot.QrCodeIssued(at=9, text="qr-2", expires_at=99, image_url="/qr/2.png"),),
    ),
    (
        "a code although we hold it to be logged in",
        UNLINKED,
        _report_code("qr-2"),
        (bot.LoggedOut(at=9, reason="the stored session no longer holds"),),
    ),
    ("a code that nobody waits for", (ADDED,), _report_code("qr-1"), ()),
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
    ("logged in, told again", LOGIN, ReportLoggedIn(at=9, wxid="w", name="n"), ()),
    (
        "the link is back",
        UNLINKED,
        ReportLoggedIn(at=9, wxid="w", name="n"),
        (bot.LinkRestored(at=9, wxid="w", name="n"),),
    ),
    ("logged in when nobody asked", (ADDED,), ReportLoggedIn(at=9, wxid="w", name="n"), ()),
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
    ("the link is lost, told again", UNLINKED, ReportLinkLost(at=9, reason="the connection broke"), ()),
    ("still lost, for another reason", UNLINKED, ReportLinkLost(at=9, reason="b"), (bot.LinkLost(at=9, reason="b"),)),
    (
        "no client to be had while awaiting",
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
    ("the gateway is back", LOGIN, bot.RestartClient(at=9, starts=1), (bot.ClientRestarted(at=9),)),
    ("somebody started the client since", LOGIN, bot.RestartClient(at=9, starts=0), ()),
    ("the gateway is back, nothing to run", (ADDED,), bot.RestartClient(at=9, starts=0), ()),
    ("the gateway is back during a logout", LEAVING, bot.RestartClient(at=9, starts=1), ()),
    ("signed out, told again", (*LEAVING, bot.SignedOut(at=9)), bot.FinishLogout(at=9, operation=6), ()),
    ("signed out, said of an earlier logout", LEAVING, bot.FinishLogout(at=9, operation=4), ()),
    ("signed out, as asked", LEAVING, bot.FinishLogout(at=9, operation=6), (bot.SignedOut(at=9),)),
    ("released, said of an earlier stop", STOPPING, bot.FinishStop(at=9, operation=4), ()),
    ("released, as asked", STOPPING, bot.FinishStop(at=9, operation=6), (bot.Stopped(at=9),)),
    ("a stop that was a logout", LEAVING, bot.FinishStop(at=9, operation=6), ()),
]


@pytest.mark.parametrize(
    ("given", "when", "then"), [case[1:] for case in CASES], ids=[case[0].replace(" ", "_") for case in CASES]
)
def test_decide(given: tuple[Any, ...], when: Any, then: tuple[Any, ...]) -> None:
    """Each command leads to its events, or to none where it has happened or no longer matters."""
    assert then == bot.decide(fold(bot, given), when)


def test_refusals() -> None:
    """A second bot of one name, and anything asked of a bot that is not there, is refused in a sentence."""
    with pytest.raises(AlreadyTaken, match="bot 'b' is there already"):
        bot.decide(fold(bot, LOGIN), bot.Add(ADDED))
    with pytest.raises(Refusal, match="no such bot"):
        bot.decide(None, ReportScanned(at=1))


def _notify(status: str, reason: str = "", wxid: str = "wxid_b", name: str = "Bot") -> Notify:
    return Notify("b", "botStatus", {"botStatus": status, "reason": reason, "wxid": wxid, "name": name})


QR_NOTICE = Notify(
    "b", "qrCode", {"qrcodeImageUrl": "/qr/1.png", "qrcode": "qr-1", "expiresAt": 120_003}, expires_at=120_003
)

REACTIONS: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((ADDED,), ()),
    (AWAITING, (StartPuppet("b"),)),
    ((*SHOWN, bot.LoginRequested(at=9, operation=6)), (StartPuppet("b"), QR_NOTICE)),
    (SHOWN, (QR_NOTICE,)),
    ((*SHOWN, SCANNED), ()),
    (LOGIN, (_notify("login"), Dispatch("b"))),
    ((*LOGIN, bot.LoginRepeated(at=9, operation=6)), (_notify("login"),)),
    ((*UNLINKED, bot.LoginRepeated(at=9, operation=6)), (StartPuppet("b"),)),
    (UNLINKED, ()),
    ((*UNLINKED, bot.LinkRestored(at=9, wxid="w", name="n")), (_notify("login", wxid="w", name="n"), Dispatch("b"))),
    (READY, (Dispatch("b"),)),
    (LEAVING, (SignOut("b", 6),)),
    ((*LEAVING, bot.SignedOut(at=9)), (_notify("logout"),)),
    (STOPPING, (ReleasePuppet("b", 6),)),
    ((*STOPPING, bot.Stopped(at=9)), (_notify("off", "stopped"),)),
    ((*LOGIN, bot.LoggedOut(at=9, reason="kicked")), (StopPuppet("b"), _notify("logout", "kicked"))),
    ((*SHOWN, bot.LoginFailed(at=9, reason="refused")), (StopPuppet("b"), _notify("loginerr", "refused", "", ""))),
    ((*LOGIN, bot.ClientRestarted(at=9)), (StartPuppet("b"),)),
]


@pytest.mark.parametrize(("history", "effects"), REACTIONS)
def test_react(history: tuple[Any, ...], effects: tuple[Any, ...]) -> None:
    """After each event it is clear what a runner must do and whom it tells."""
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
    """What was known of the rooms is kept, but nothing is called missing before the list was synced again (invariant 9)."""
    client = fold(bot, (*READY, LOST, bot.LinkRestored(at=9, wxid="w", name="n"))).client

    assert {"r1": "一群", "r2": "二群"} == client.rooms
    assert not client.rooms_complete


def test_since_and_reason() -> None:
    """`since` moves with the state only; the reason says why it is as it is, until something else happens."""
    kicked = fold(bot, (*LOGIN, bot.LoggedOut(at=90, reason="kicked")))
    asked = fold(bot, (*LOGIN, bot.LoggedOut(at=90, reason="kicked"), bot.LoginRequested(at=95, operation=7)))
    lost = fold(bot, UNLINKED)

    assert (90, "kicked") == (kicked.since, kicked.reason)
    assert (95, "") == (asked.since, asked.reason)
    assert (5, "the connection broke") == (lost.since, lost.reason)
