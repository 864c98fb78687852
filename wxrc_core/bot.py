"""A bot: one WeChat account, from logout to login and back.

Everything that decides about a bot stands in three files, to be read in this order: `wxrc_core.bot_events` has the states, the steps
between them and the events; `wxrc_core.bot_state` what they lead to; this one what is done about commands and events. It offers all of
their names.

A bot is *logged out*, *awaiting* a person who scans its QR code, *logged in*, or *removed* for ever. A bot
that is logged in has a *link* while its client can be reached. A gateway that was killed, or a WeChat client that dropped, does not log
an account out; but nothing is sent until the client says again that the account is logged in.

What a channel asks for (log in, log out, stop) is recorded as an operation first and reaches the bot as a command that carries the
operation's position. So it is carried out once, whatever crashes in between.

Every client that is started for the bot is a *run* with a number, and whatever starts, replaces or ends a client raises the number. A
report of an earlier run is ignored: it describes a client that is gone.
"""

from typing import Any, TypeAlias, assert_never

from attrs import frozen

from wxrc_core.bot_events import TABLE as TABLE
from wxrc_core.bot_events import TRANSITIONS as TRANSITIONS
from wxrc_core.bot_events import BotAdded as BotAdded
from wxrc_core.bot_events import BotEvent as BotEvent
from wxrc_core.bot_events import BotRemoved as BotRemoved
from wxrc_core.bot_events import BotState as BotState
from wxrc_core.bot_events import ClientRestarted as ClientRestarted
from wxrc_core.bot_events import ContactsChanged as ContactsChanged
from wxrc_core.bot_events import DigitsSubmitted as DigitsSubmitted
from wxrc_core.bot_events import DigitsWanted as DigitsWanted
from wxrc_core.bot_events import LinkLost as LinkLost
from wxrc_core.bot_events import LinkRestored as LinkRestored
from wxrc_core.bot_events import LoggedIn as LoggedIn
from wxrc_core.bot_events import LoggedOut as LoggedOut
from wxrc_core.bot_events import LoginFailed as LoginFailed
from wxrc_core.bot_events import LoginRepeated as LoginRepeated
from wxrc_core.bot_events import LoginRequested as LoginRequested
from wxrc_core.bot_events import LogoutRequested as LogoutRequested
from wxrc_core.bot_events import QrCodeIssued as QrCodeIssued
from wxrc_core.bot_events import QrCodeScanned as QrCodeScanned
from wxrc_core.bot_events import RoomsChanged as RoomsChanged
from wxrc_core.bot_events import SignedOut as SignedOut
from wxrc_core.bot_events import Stopped as Stopped
from wxrc_core.bot_events import StopRequested as StopRequested
from wxrc_core.bot_state import MAX_FLAPS as MAX_FLAPS
from wxrc_core.bot_state import REMOVED as REMOVED
from wxrc_core.bot_state import AwaitingState as AwaitingState
from wxrc_core.bot_state import Bot as Bot
from wxrc_core.bot_state import Exit as Exit
from wxrc_core.bot_state import LoginState as LoginState
from wxrc_core.bot_state import LogoutState as LogoutState
from wxrc_core.bot_state import RemovedState as RemovedState
from wxrc_core.bot_state import evolve as evolve
from wxrc_core.bot_state import restart_wait_ms as restart_wait_ms
from wxrc_core.bot_state import user_action as user_action
from wxrc_core.effects import Effect, Notify, WakeClient, WakeQueue, WakeRecords
from wxrc_core.errors import AlreadyTaken, NotFound
from wxrc_core.localized import LocalizedText
from wxrc_core.operation import Kind
from wxrc_core.puppet import BotReport as BotReport
from wxrc_core.puppet import (
    ReportContacts,
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


def stream_name(botcode: str) -> str:
    """Return the stream of a bot."""
    return f"bot/{botcode}"


# -- commands -------------------------------------------------------------------------------------------------------------------


@frozen
class Add:
    """Make the bot: `added` is the event to record."""

    added: BotAdded


@frozen(kw_only=True)
class CarryOut:
    """Carry out the accepted operation at this position; `kind`, `login_kind` and `secret_id` as in `OperationAccepted`."""

    at: int
    operation: int
    kind: Kind
    login_kind: str = ""
    secret_id: str = ""


@frozen(kw_only=True)
class TakeReport:
    """Take a report of the client that has this run number; `code_id` says which code a reported QR code is (`wxrc_core.qr_code`)."""

    run: int
    report: BotReport
    code_id: str = ""


@frozen(kw_only=True)
class RestartClient:
    """The bot has a new owner, whose client replaces the one of this run."""

    at: int
    run: int


@frozen(kw_only=True)
class FinishExit:
    """The client has left as this operation asked: signed out with its session gone, or released. `exit`: for what it left."""

    at: int
    operation: int
    exit: Exit


@frozen(kw_only=True)
class Remove:
    """Remove the bot for ever; `by` says who does."""

    at: int
    by: str = ""


Command: TypeAlias = Add | CarryOut | TakeReport | RestartClient | FinishExit | Remove


# -- decide ---------------------------------------------------------------------------------------------------------------------

_SESSION_GONE = "the stored session no longer holds"
_NO_BOT = LocalizedText("没有这个机器人；请先用 wxrc bot add 添加", "there is no such bot; add it first")
_TAKEN = LocalizedText(
    "机器人 '{botcode}' 已经存在；请换一个 botcode", "bot '{botcode}' is there already; choose another botcode"
)
_REMOVED = LocalizedText(
    "机器人 '{botcode}' 已被移除，这个名称不能再用；请换一个 botcode",
    "bot '{botcode}' was removed, and its name cannot be used again; choose another botcode",
)


def decide(bot: Bot | None, command: Command) -> tuple[BotEvent, ...]:
    """Return what happens because of a command: nothing where it has happened before or no longer matters.

    Raises:
        Refusal: It cannot be done; the text says why.
    """
    if bot is None:
        if isinstance(command, Add):
            return (command.added,)
        raise NotFound(_NO_BOT)
    event = _next_event(bot, command)
    if event is None:
        return ()
    TABLE.check(bot.state, event.__class__)
    return (event,)


def check_free(bot: Bot | None, botcode: str) -> None:
    """Refuse a name that a bot has, or had before it was removed.

    Raises:
        AlreadyTaken: The sentence says which of the two.
    """
    if bot is not None:
        raise AlreadyTaken((_REMOVED if bot.removed else _TAKEN).filled(botcode=botcode))


def _next_event(bot: Bot, command: Command) -> BotEvent | None:
    match command:
        case Add(added):
            check_free(bot, added.botcode)
            return None
        case TakeReport():
            return _reported(bot, command.report, command.code_id) if command.run == bot.run else None
        case CarryOut():
            return _carried_out(bot, command)
        case RestartClient():
            replaced = bot.running and not bot.pending_exit and command.run == bot.run
            return ClientRestarted(at=command.at) if replaced else None
        case FinishExit(at=at, operation=operation):
            if not bot.pending_exit or (operation, command.exit) != (bot.operation, bot.pending_exit):
                return None
            return Stopped(at=at) if bot.pending_exit == "stop" else SignedOut(at=at)
        case Remove(at=at, by=by):
            return BotRemoved(at=at, by=by) if not bot.removed else None
        case _:
            assert_never(command)


def _carried_out(bot: Bot, command: CarryOut) -> BotEvent | None:
    at, operation = command.at, command.operation
    if operation <= bot.operation or bot.pending_exit or bot.removed:
        return None  # carried out before, or to be carried out when the exit is finished
    match command.kind:
        case "login" if bot.state is BotState.LOGIN:
            return LoginRepeated(at=at, operation=operation)
        case "login":
            return LoginRequested(at=at, operation=operation, kind=command.login_kind)
        case "logout":
            return LogoutRequested(at=at, operation=operation)
        case "stop":
            return StopRequested(at=at, operation=operation)
        case "code":
            return DigitsSubmitted(at=at, operation=operation, secret_id=command.secret_id)
        case "cancel":
            return None  # of a message: the bot has no part in it
        case _:
            assert_never(command.kind)


def _reported(bot: Bot, report: BotReport, code_id: str) -> BotEvent | None:
    match bot.where:
        case LogoutState() | RemovedState():
            return None
        case AwaitingState():
            return _reported_awaiting(bot, bot.where, report, code_id)
        case LoginState():
            return _reported_login(bot, bot.where, report)
        case _:
            assert_never(bot.where)


def _reported_awaiting(bot: Bot, where: AwaitingState, report: BotReport, code_id: str) -> BotEvent | None:
    at = report.at
    match report:
        case ReportQrCode():
            if bot.pending_exit or (where.qr is not None and where.qr.code_id == code_id):
                return None  # no longer wanted, or the same code shown again
            return QrCodeIssued(at=at, expires_at=report.expires_at, code_id=code_id)
        case ReportScanned():
            return QrCodeScanned(at=at) if where.phase != "scanned" else None
        case ReportDigitsWanted(wrong=wrong):
            return DigitsWanted(at=at, wrong=wrong) if wrong or where.phase != "digits_wanted" else None
        case ReportLoggedIn():
            return LoggedIn(at=at, wxid=report.wxid, name=report.name)
        case ReportLoginFailed():
            return LoginFailed(at=at, reason=report.reason)
        case ReportLoggedOut():
            # A requested logout has its own end: `FinishExit`, when the session is gone as well.
            return LoginFailed(at=at, reason=report.reason) if bot.pending_exit != "logout" else None
        case ReportLinkLost():
            # No account is logged in and no code can be shown: tell the channel rather than wait in silence. It can ask again.
            return LoginFailed(at=at, reason=report.reason) if not bot.pending_exit else None
        case ReportRooms() | ReportContacts():
            return None
        case _:
            assert_never(report)


def _reported_login(bot: Bot, where: LoginState, report: BotReport) -> BotEvent | None:
    at = report.at
    match report:
        case ReportRooms():
            return _rooms_changed(bot, report) if where.link else None
        case ReportContacts():
            return _contacts_changed(bot, report) if where.link else None
        case ReportLinkLost(reason=reason):
            # Without a link, a new reason is news, and so is each failure that makes the next wait longer. The same report again is not.
            failed_again = bot.flaps < MAX_FLAPS and at != where.link_since
            return LinkLost(at=at, reason=reason) if where.link or reason != bot.reason or failed_again else None
        case ReportLoggedIn(wxid=wxid, name=name):
            changed = (wxid, name) != (bot.wxid, bot.name)
            if where.link and not changed:
                return None
            return LinkRestored(at=at, wxid=wxid, name=name, quiet=not (changed or where.asked))
        case ReportLoggedOut() if bot.pending_exit == "logout":
            return None  # as requested: `FinishExit` follows when the session is gone as well
        case ReportLoggedOut() | ReportLoginFailed():
            return LoggedOut(at=at, reason=report.reason)
        case ReportQrCode():
            # The client asks for a scan although the account counts as logged in: it is not, and a person has to act.
            return LoggedOut(at=at, reason=_SESSION_GONE)
        case ReportScanned() | ReportDigitsWanted():
            return None
        case _:
            assert_never(report)


def _rooms_changed(bot: Bot, report: ReportRooms) -> RoomsChanged | None:
    topics = {room.id: room.topic for room in report.rooms}
    known = bot.rooms
    joined = tuple(Room(room_id, topic) for room_id, topic in topics.items() if known.get(room_id) != topic)
    # An incomplete list cannot tell which rooms were left.
    left = tuple(sorted(known.keys() - topics.keys())) if report.complete else ()
    if not joined and not left and report.complete == bot.rooms_complete:
        return None
    return RoomsChanged(at=report.at, joined=joined, left=left, complete=report.complete)


def _contacts_changed(bot: Bot, report: ReportContacts) -> ContactsChanged | None:
    contacts, known = {contact.id: contact for contact in report.contacts}, bot.contacts
    joined = tuple(contact for user_id, contact in contacts.items() if known.get(user_id) != contact)
    left = tuple(sorted(known.keys() - contacts.keys())) if report.complete else ()
    if not joined and not left and report.complete == bot.contacts_complete:
        return None
    return ContactsChanged(at=report.at, joined=joined, left=left, complete=report.complete)


# -- react ----------------------------------------------------------------------------------------------------------------------


def react(bot: Bot, event: BotEvent) -> tuple[Effect, ...]:
    """Return what follows now that the event is recorded; `bot` is the state after it."""
    code = bot.added.botcode
    match event:
        case LoginRequested():
            shown = () if bot.qr is None else (_tell_qr_code(code, bot.qr),)
            return (WakeClient(code), WakeRecords(code), *shown)
        case LoginRepeated() if bot.link:
            return (_tell(bot, "login"), WakeRecords(code))
        case LoginRepeated() | ClientRestarted():
            return (WakeClient(code), WakeRecords(code))
        case LogoutRequested() | StopRequested():
            return (WakeClient(code),)
        case DigitsSubmitted():
            return (WakeClient(code), WakeRecords(code))
        case QrCodeIssued():
            return (_tell_qr_code(code, event),)
        case LinkRestored(quiet=True):
            return (WakeQueue(code), WakeRecords(code))
        case LoggedIn() | LinkRestored():
            return (_tell(bot, "login"), WakeQueue(code), WakeRecords(code))
        case RoomsChanged() | ContactsChanged():
            return (WakeQueue(code), WakeRecords(code))
        case LoginFailed():
            return (WakeClient(code), _tell(bot, "loginerr"))
        case LoggedOut():
            return (WakeClient(code), _tell(bot, "logout"))
        case BotRemoved():
            return (WakeClient(code), WakeQueue(code), WakeRecords(code))
        case SignedOut():
            # Of a bot that was removed too: the channels that could use it are told once it is gone, and then their grants end.
            return (WakeClient(code), _tell(bot, "logout"), WakeRecords(code))
        case Stopped():
            return (WakeClient(code), _tell(bot, "off"), WakeRecords(code))
        case BotAdded() | QrCodeScanned() | DigitsWanted() | LinkLost():
            return ()
        case _:
            assert_never(event)


def _tell(bot: Bot, status: str) -> Notify:
    body = {"botStatus": status, "reason": bot.reason, "wxid": bot.wxid, "name": bot.name}
    return Notify(bot.added.botcode, "botStatus", body)


def _tell_qr_code(botcode: str, qr: QrCodeIssued) -> Notify:
    body: dict[str, Any] = {"expiresAt": qr.expires_at}  # whoever posts it adds what the vault has under `code_id`
    if not qr.code_id:
        body |= {"qrcodeImageUrl": qr.image_url, "qrcode": qr.text}  # an earlier release recorded it
    return Notify(botcode, "qrCode", body, expires_at=qr.expires_at, code_id=qr.code_id)
