"""A bot: one WeChat account, from logout to login and back.

Everything that decides about a bot stands in this file. A bot is *logged out*, *awaiting* somebody who scans its QR code, or *logged in*.
Beside that state runs a second, smaller fact: whether its puppet can be used just now (`link`). A gateway that was killed, or a WeChat
client that dropped, does not log an account out; but nothing is sent, and nobody is told "online", until the puppet says again that the
account is logged in.

What a channel asks for (log in, log out, stop) is recorded as an operation first and reaches the bot as a command that carries the
operation's position, so that it is carried out once, also when we are killed in between.
"""

from enum import StrEnum
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from wxrc_core.effects import Dispatch, Effect, Notify, ReleasePuppet, SignOut, StartPuppet, StopPuppet
from wxrc_core.errors import AlreadyTaken, Refusal
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
from wxrc_core.table import Table, machine

# -- states and transitions -----------------------------------------------------------------------------------------------------


class BotState(StrEnum):
    """Where a bot stands. `NEW` is before its first event."""

    NEW = "new"
    LOGOUT = "logout"
    AWAITING_QR = "awaiting_qr"
    LOGIN = "login"


_EVERYWHERE = ("logout", "awaiting_qr", "login")

TRANSITIONS = (
    {"trigger": "added", "source": "new", "dest": "logout"},
    # asked for
    {"trigger": "login_requested", "source": "logout", "dest": "awaiting_qr"},
    {"trigger": "login_requested", "source": "awaiting_qr", "dest": "awaiting_qr"},
    {"trigger": "login_repeated", "source": "login", "dest": "login"},
    *({"trigger": "logout_requested", "source": state, "dest": state} for state in _EVERYWHERE),
    *({"trigger": "stop_requested", "source": state, "dest": state} for state in _EVERYWHERE),
    # reported by the puppet
    {"trigger": "qr_code_issued", "source": "awaiting_qr", "dest": "awaiting_qr"},
    {"trigger": "qr_code_scanned", "source": "awaiting_qr", "dest": "awaiting_qr"},
    {"trigger": "digits_wanted", "source": "awaiting_qr", "dest": "awaiting_qr"},
    {"trigger": "logged_in", "source": "awaiting_qr", "dest": "login"},
    {"trigger": "login_failed", "source": "awaiting_qr", "dest": "logout"},
    {"trigger": "logged_out", "source": "login", "dest": "logout"},
    {"trigger": "rooms_changed", "source": "login", "dest": "login"},
    {"trigger": "link_lost", "source": "login", "dest": "login"},
    {"trigger": "link_restored", "source": "login", "dest": "login"},
    # what became of our own doing
    {"trigger": "client_restarted", "source": "awaiting_qr", "dest": "awaiting_qr"},
    {"trigger": "client_restarted", "source": "login", "dest": "login"},
    *({"trigger": "signed_out", "source": state, "dest": "logout"} for state in _EVERYWHERE),
    *({"trigger": "stopped", "source": state, "dest": "logout"} for state in _EVERYWHERE),
)


# -- events: what is stored -----------------------------------------------------------------------------------------------------
# `at` is epoch ms everywhere. `operation` is the position of the accepted operation that this carries out.


@frozen(kw_only=True)
class BotAdded:
    """The bot exists.

    Attributes:
        botcode: Its name.
        puppet: The kind of its puppet: `simulator`, `wechaty`, ...
        pace: How much it may send: `customary` or `none` (see `wxrc_core.pace`).
        deduplicates: Its puppet sends the same message once however often it is handed over.
    """

    at: int
    botcode: str
    puppet: str
    pace: Literal["customary", "none"] = "customary"
    deduplicates: bool = False


@frozen(kw_only=True)
class LoginRequested:
    """Somebody asked for login; the client is started with this kind of client (empty = the puppet's default)."""

    at: int
    operation: int
    kind: str = ""


@frozen(kw_only=True)
class LoginRepeated:
    """Somebody asked for login although the bot is logged in; they are told so again."""

    at: int
    operation: int


@frozen(kw_only=True)
class LogoutRequested:
    """Somebody asked to sign the account out; its stored session goes too."""

    at: int
    operation: int


@frozen(kw_only=True)
class StopRequested:
    """Somebody asked to release the client; the session is kept, so that the next login needs no scan."""

    at: int
    operation: int


@frozen(kw_only=True)
class QrCodeIssued:
    """A QR code waits to be scanned.

    Attributes:
        at: When.
        text: What it encodes.
        expires_at: When it stops working (epoch ms).
        image_url: Where everybody who has this unguessable URL sees it as an image.
    """

    at: int
    text: str
    expires_at: int
    image_url: str


@frozen(kw_only=True)
class QrCodeScanned:
    """Somebody scanned the code and has yet to confirm."""

    at: int


@frozen(kw_only=True)
class DigitsWanted:
    """The phone shows digits that must be handed over; `wrong`: the ones handed over were not right."""

    at: int
    wrong: bool = False


@frozen(kw_only=True)
class LoggedIn:
    """The bot is logged in."""

    at: int
    wxid: str
    name: str


@frozen(kw_only=True)
class LoginFailed:
    """The login came to nothing, and why."""

    at: int
    reason: str


@frozen(kw_only=True)
class LoggedOut:
    """The account is no longer logged in here, and why: kicked, signed out on the phone, session dead."""

    at: int
    reason: str


@frozen(kw_only=True)
class RoomsChanged:
    """The room list changed: rooms joined or renamed, ids of rooms left, and whether the list is now known to be whole."""

    at: int
    joined: tuple[Room, ...]
    left: tuple[str, ...]
    complete: bool


@frozen(kw_only=True)
class LinkLost:
    """The puppet cannot be reached. The account may still be logged in; nothing is sent until the link is back."""

    at: int
    reason: str


@frozen(kw_only=True)
class LinkRestored:
    """The puppet says again that the account is logged in."""

    at: int
    wxid: str
    name: str


@frozen(kw_only=True)
class ClientRestarted:
    """The gateway was started again and starts the client again, with the stored session where one holds."""

    at: int


@frozen(kw_only=True)
class SignedOut:
    """The account was signed out because somebody asked; its stored session is gone."""

    at: int


@frozen(kw_only=True)
class Stopped:
    """The client was released because somebody asked; the session is kept."""

    at: int


TRIGGERS: dict[type, str] = {
    BotAdded: "added",
    LoginRequested: "login_requested",
    LoginRepeated: "login_repeated",
    LogoutRequested: "logout_requested",
    StopRequested: "stop_requested",
    QrCodeIssued: "qr_code_issued",
    QrCodeScanned: "qr_code_scanned",
    DigitsWanted: "digits_wanted",
    LoggedIn: "logged_in",
    LoginFailed: "login_failed",
    LoggedOut: "logged_out",
    RoomsChanged: "rooms_changed",
    LinkLost: "link_lost",
    LinkRestored: "link_restored",
    ClientRestarted: "client_restarted",
    SignedOut: "signed_out",
    Stopped: "stopped",
}
MACHINE = machine(list(BotState), TRANSITIONS, BotState.NEW)
TABLE = Table("bot", MACHINE, TRIGGERS)
BotEvent: TypeAlias = (
    BotAdded
    | LoginRequested
    | LoginRepeated
    | LogoutRequested
    | StopRequested
    | QrCodeIssued
    | QrCodeScanned
    | DigitsWanted
    | LoggedIn
    | LoginFailed
    | LoggedOut
    | RoomsChanged
    | LinkLost
    | LinkRestored
    | ClientRestarted
    | SignedOut
    | Stopped
)


# -- state ----------------------------------------------------------------------------------------------------------------------


@frozen
class Client:
    """What is known of the running client.

    Attributes:
        link: The puppet can be used: it said that the account is logged in, and has not been lost since.
        phase: While awaiting: `starting`, `code_shown`, `scanned`, `digits_wanted`; else empty.
        kind: The kind of client asked for; empty = the puppet's default.
        qr: The QR code that waits, if one does.
        wxid: The account's id; empty before the first login.
        name: Its nickname.
        rooms: Topics by room id.
        rooms_complete: The list is known to be whole, since the link came up.
    """

    link: bool = False
    phase: Literal["", "starting", "code_shown", "scanned", "digits_wanted"] = ""
    kind: str = ""
    qr: QrCodeIssued | None = None
    wxid: str = ""
    name: str = ""
    rooms: dict[str, str] = field(factory=dict)  # never changed in place
    rooms_complete: bool = False


@frozen
class Bot:
    """The fold of a bot's events.

    Attributes:
        added: Its first event.
        state: Where it stands.
        since: Since when (epoch ms).
        reason: Why, in a sentence; empty where there is nothing to say.
        ending: What was asked for and is not finished: `logout`, `stop` or nothing.
        client: What is known of the running client.
        operation: The position of the latest operation that was carried out; they are carried out in the order of their positions.
        starts: How often a client was started.
    """

    added: BotAdded
    state: BotState
    since: int
    reason: str
    ending: Literal["", "logout", "stop"]
    client: Client
    operation: int = 0
    starts: int = 0

    @property
    def ready(self) -> bool:
        """It can send now."""
        return self.state is BotState.LOGIN and self.client.link and not self.ending

    @property
    def running(self) -> bool:
        """Its client is meant to run."""
        return self.state is not BotState.LOGOUT


def stream_name(botcode: str) -> str:
    """Return the stream of a bot."""
    return f"bot/{botcode}"


_ACTION = {"starting": "none", "code_shown": "scan", "scanned": "confirm", "digits_wanted": "enter_code"}


def user_action(bot: Bot) -> str:
    """Return what a person must do now: `none`, `scan`, `confirm`, `enter_code` or `relogin` (wire.md, botStatus)."""
    if bot.state is BotState.AWAITING_QR:
        return _ACTION[bot.client.phase]
    return "relogin" if bot.state is BotState.LOGOUT and bot.reason else "none"


# -- commands and decide --------------------------------------------------------------------------------------------------------
# Beside these, every `BotReport` of wxrc_core.puppet is a command to the bot.


@frozen
class Add:
    """Make the bot: `added` is the event to record."""

    added: BotAdded


@frozen(kw_only=True)
class RequestLogin:
    """Log in, with this kind of client (empty = the default one)."""

    at: int
    operation: int
    kind: str = ""


@frozen(kw_only=True)
class RequestLogout:
    """Sign the account out."""

    at: int
    operation: int


@frozen(kw_only=True)
class RequestStop:
    """Release the client, keep the session."""

    at: int
    operation: int


@frozen(kw_only=True)
class ShowQrCode:
    """A puppet's report of a QR code, with the URL that its image has here."""

    report: ReportQrCode
    image_url: str


@frozen(kw_only=True)
class RestartClient:
    """The gateway has come up and found the bot's client meant to be running. `starts`: how often it had been started by then."""

    at: int
    starts: int


@frozen(kw_only=True)
class FinishLogout:
    """The account is signed out and the stored session is gone, as this operation asked."""

    at: int
    operation: int


@frozen(kw_only=True)
class FinishStop:
    """The client is released, as this operation asked."""

    at: int
    operation: int


_SESSION_GONE = "the stored session no longer holds"


def _add(bot: Bot | None, command: Add) -> tuple[BotEvent, ...]:
    if bot is not None:
        raise AlreadyTaken(f"bot '{command.added.botcode}' is there already; choose another botcode")
    return (command.added,)


def _request_login(bot: Bot, command: RequestLogin) -> tuple[BotEvent, ...]:
    if command.operation <= bot.operation:
        return ()  # carried out before
    if bot.state is BotState.LOGIN:
        return (LoginRepeated(at=command.at, operation=command.operation),)
    return (LoginRequested(at=command.at, operation=command.operation, kind=command.kind),)


def _request_logout(bot: Bot, command: RequestLogout) -> tuple[BotEvent, ...]:
    if command.operation <= bot.operation:
        return ()
    return (LogoutRequested(at=command.at, operation=command.operation),)


def _request_stop(bot: Bot, command: RequestStop) -> tuple[BotEvent, ...]:
    if command.operation <= bot.operation:
        return ()
    return (StopRequested(at=command.at, operation=command.operation),)


def _show_qr_code(bot: Bot, command: ShowQrCode) -> tuple[BotEvent, ...]:
    report = command.report
    if bot.state is BotState.LOGIN:
        # The client asks for a scan although we hold the account to be logged in: it is not, and a person has to act.
        return (LoggedOut(at=report.at, reason=_SESSION_GONE),)
    if bot.state is not BotState.AWAITING_QR or bot.ending:
        return ()
    if bot.client.qr is not None and bot.client.qr.text == report.text:
        return ()  # the same code shown again
    return (QrCodeIssued(at=report.at, text=report.text, expires_at=report.expires_at, image_url=command.image_url),)


def _scanned(bot: Bot, report: ReportScanned) -> tuple[BotEvent, ...]:
    if bot.state is not BotState.AWAITING_QR or bot.client.phase == "scanned":
        return ()
    return (QrCodeScanned(at=report.at),)


def _digits_wanted(bot: Bot, report: ReportDigitsWanted) -> tuple[BotEvent, ...]:
    if bot.state is not BotState.AWAITING_QR or (bot.client.phase == "digits_wanted" and not report.wrong):
        return ()
    return (DigitsWanted(at=report.at, wrong=report.wrong),)


def _logged_in(bot: Bot, report: ReportLoggedIn) -> tuple[BotEvent, ...]:
    if bot.state is BotState.AWAITING_QR:
        return (LoggedIn(at=report.at, wxid=report.wxid, name=report.name),)
    if bot.state is BotState.LOGIN and not bot.client.link:
        return (LinkRestored(at=report.at, wxid=report.wxid, name=report.name),)
    return ()


def _login_failed(bot: Bot, report: ReportLoginFailed) -> tuple[BotEvent, ...]:
    if bot.state is BotState.AWAITING_QR:
        return (LoginFailed(at=report.at, reason=report.reason),)
    if bot.state is BotState.LOGIN:
        return (LoggedOut(at=report.at, reason=report.reason),)
    return ()


def _logged_out(bot: Bot, report: ReportLoggedOut) -> tuple[BotEvent, ...]:
    if bot.ending == "logout":
        return ()  # we asked for it; `FinishLogout` records the end when the session is gone as well
    if bot.state is BotState.LOGIN:
        return (LoggedOut(at=report.at, reason=report.reason),)
    if bot.state is BotState.AWAITING_QR:
        return (LoginFailed(at=report.at, reason=report.reason),)
    return ()


def _link_lost(bot: Bot, report: ReportLinkLost) -> tuple[BotEvent, ...]:
    if bot.state is BotState.LOGIN:
        # The reason is news too: after a restart, or when the gateway refuses at first and then is not there at all.
        news = bot.client.link or bot.reason != report.reason
        return (LinkLost(at=report.at, reason=report.reason),) if news else ()
    if bot.state is BotState.AWAITING_QR and not bot.ending:
        # Nobody is logged in and nothing can be shown: tell the channel rather than wait in silence. It can ask again.
        return (LoginFailed(at=report.at, reason=report.reason),)
    return ()


def _rooms(bot: Bot, report: ReportRooms) -> tuple[BotEvent, ...]:
    client = bot.client
    if not client.link or bot.state is not BotState.LOGIN:
        return ()
    joined = tuple(room for room in report.rooms if client.rooms.get(room.id) != room.topic)
    # A list that is not whole cannot tell which rooms were left.
    left = tuple(client.rooms.keys() - {room.id for room in report.rooms}) if report.complete else ()
    if not joined and not left and report.complete == client.rooms_complete:
        return ()
    return (RoomsChanged(at=report.at, joined=joined, left=tuple(sorted(left)), complete=report.complete),)


def _restart_client(bot: Bot, command: RestartClient) -> tuple[BotEvent, ...]:
    if not bot.running or bot.ending or command.starts != bot.starts:
        return ()  # no longer meant to run, or started by somebody else since
    return (ClientRestarted(at=command.at),)


def _finish_logout(bot: Bot, command: FinishLogout) -> tuple[BotEvent, ...]:
    if bot.ending != "logout" or command.operation != bot.operation:
        return ()
    return (SignedOut(at=command.at),)


def _finish_stop(bot: Bot, command: FinishStop) -> tuple[BotEvent, ...]:
    if bot.ending != "stop" or command.operation != bot.operation:
        return ()
    return (Stopped(at=command.at),)


_DECIDE: dict[type, Any] = {
    Add: _add,
    RequestLogin: _request_login,
    RequestLogout: _request_logout,
    RequestStop: _request_stop,
    ShowQrCode: _show_qr_code,
    ReportScanned: _scanned,
    ReportDigitsWanted: _digits_wanted,
    ReportLoggedIn: _logged_in,
    ReportLoginFailed: _login_failed,
    ReportLoggedOut: _logged_out,
    ReportLinkLost: _link_lost,
    ReportRooms: _rooms,
    RestartClient: _restart_client,
    FinishLogout: _finish_logout,
    FinishStop: _finish_stop,
}
COMMANDS = tuple(_DECIDE)
Command: TypeAlias = (
    Add
    | RequestLogin
    | RequestLogout
    | RequestStop
    | ShowQrCode
    | RestartClient
    | FinishLogout
    | FinishStop
    | BotReport
)


def decide(bot: Bot | None, command: Command) -> tuple[BotEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before or no longer matters.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if bot is None and type(command) is not Add:
        raise Refusal("there is no such bot")
    events: tuple[BotEvent, ...] = _DECIDE[type(command)](bot, command)
    state = bot.state if bot is not None else BotState.NEW
    for event in events:
        TABLE.check(state, event.__class__)
    return events


# -- evolve ---------------------------------------------------------------------------------------------------------------------


def _evolve_client(client: Client, event: BotEvent) -> Client:
    match event:
        case LoginRequested():
            if client.phase:
                return client  # asked for again while awaiting: the code that waits stays
            return Client(False, "starting", event.kind, None, client.wxid, client.name, client.rooms, False)
        case QrCodeIssued():
            return Client(False, "code_shown", client.kind, event, client.wxid, client.name, client.rooms, False)
        case QrCodeScanned():
            return Client(False, "scanned", client.kind, client.qr, client.wxid, client.name, client.rooms, False)
        case DigitsWanted():
            return Client(False, "digits_wanted", client.kind, client.qr, client.wxid, client.name, client.rooms, False)
        case LoggedIn() | LinkRestored():
            return Client(True, "", client.kind, None, event.wxid, event.name, client.rooms, False)
        case RoomsChanged():
            rooms = client.rooms | {room.id: room.topic for room in event.joined}
            for room_id in event.left:
                rooms.pop(room_id, None)
            return Client(
                client.link, client.phase, client.kind, client.qr, client.wxid, client.name, rooms, event.complete
            )
        case LinkLost():
            return Client(False, client.phase, client.kind, client.qr, client.wxid, client.name, client.rooms, False)
        case ClientRestarted():
            phase: Literal["", "starting"] = "starting" if client.phase else ""
            return Client(False, phase, client.kind, None, client.wxid, client.name, client.rooms, False)
        case LoginFailed() | LoggedOut() | SignedOut() | Stopped():
            return Client(False, "", client.kind, None, client.wxid, client.name, client.rooms, False)
        case _:
            return client


_REASON: dict[type, str] = {ClientRestarted: "the gateway was started again", SignedOut: "", Stopped: "stopped"}
_SAYS_WHY = (LoginFailed, LoggedOut, LinkLost)
_KEEPS_REASON = (RoomsChanged, LoginRepeated, LogoutRequested, StopRequested)
_CARRIES_OUT = (LoginRequested, LoginRepeated, LogoutRequested, StopRequested)
_STARTS = (LoginRequested, ClientRestarted)
_ENDING: dict[type, Literal["", "logout", "stop"]] = {
    LogoutRequested: "logout",
    StopRequested: "stop",
    SignedOut: "",
    Stopped: "",
}
_NEXT: dict[type, dict[str, BotState]] = {
    event: {source: BotState(dest) for source, dest in row.items()} for event, row in TABLE.next.items()
}


def evolve(bot: Bot | None, event: BotEvent) -> Bot:
    """Return the bot after an event. Total: a recorded fact is never refused."""
    kind = event.__class__
    if bot is None or kind is BotAdded:
        assert isinstance(event, BotAdded), "a bot's first event is `added`"
        return Bot(event, BotState.LOGOUT, event.at, "", "", Client())
    state = _NEXT[kind].get(bot.state, bot.state)
    if isinstance(event, _SAYS_WHY):
        reason = event.reason
    elif kind in _KEEPS_REASON:
        reason = bot.reason
    else:
        reason = _REASON.get(kind, "")
    return Bot(
        bot.added,
        state,
        bot.since if state is bot.state else event.at,
        reason,
        _ENDING.get(kind, bot.ending),
        _evolve_client(bot.client, event),
        event.operation if isinstance(event, _CARRIES_OUT) else bot.operation,
        bot.starts + (kind in _STARTS),
    )


# -- react ----------------------------------------------------------------------------------------------------------------------


def react(bot: Bot, event: BotEvent) -> tuple[Effect | Notify, ...]:
    """Return what a runner must do now that the event is recorded; `bot` is the state after it."""
    code = bot.added.botcode
    match event:
        case LoginRequested() if bot.client.qr is not None:
            return (StartPuppet(code), _tell_qr_code(code, bot.client.qr))
        case LoginRequested() | ClientRestarted():
            return (StartPuppet(code),)
        case LoginRepeated() if bot.client.link:
            return (_tell(bot, "login"),)
        case LoginRepeated():
            return (StartPuppet(code),)  # they are told when the link is back
        case LogoutRequested():
            return (SignOut(code, event.operation),)
        case StopRequested():
            return (ReleasePuppet(code, event.operation),)
        case QrCodeIssued():
            return (_tell_qr_code(code, event),)
        case LoggedIn() | LinkRestored():
            return (_tell(bot, "login"), Dispatch(code))
        case RoomsChanged():
            return (Dispatch(code),)
        case LoginFailed():
            return (StopPuppet(code), _tell(bot, "loginerr"))
        case LoggedOut():
            return (StopPuppet(code), _tell(bot, "logout"))
        case SignedOut():
            return (_tell(bot, "logout"),)
        case Stopped():
            return (_tell(bot, "off"),)
        case _:
            return ()


def _tell(bot: Bot, status: str) -> Notify:
    client = bot.client
    return Notify(
        bot.added.botcode,
        "botStatus",
        {"botStatus": status, "reason": bot.reason, "wxid": client.wxid, "name": client.name},
    )


def _tell_qr_code(botcode: str, qr: QrCodeIssued) -> Notify:
    body = {"qrcodeImageUrl": qr.image_url, "qrcode": qr.text, "expiresAt": qr.expires_at}
    return Notify(botcode, "qrCode", body, expires_at=qr.expires_at)
