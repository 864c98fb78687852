"""A bot's state, and how events change it.

The second part of the bot aggregate, between `wxrc_core.bot_events` and `wxrc_core.bot`.
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.bot_events import (
    TABLE,
    BotAdded,
    BotEvent,
    BotRemoved,
    BotState,
    ClientRestarted,
    ContactsChanged,
    DigitsSubmitted,
    DigitsWanted,
    LinkLost,
    LinkRestored,
    LoggedIn,
    LoggedOut,
    LoginFailed,
    LoginRepeated,
    LoginRequested,
    LogoutRequested,
    QrCodeIssued,
    QrCodeScanned,
    RoomsChanged,
    SignedOut,
    Stopped,
    StopRequested,
)
from wxrc_core.puppet import Contact

REMOVED = "the bot was removed"
"""Why a bot that was removed is logged out."""

Exit: TypeAlias = Literal["", "logout", "stop", "remove"]
"""What a client may be asked to leave for."""

# -- state ----------------------------------------------------------------------------------------------------------------------


class LogoutState(Struct, frozen=True, tag="logout"):
    """Logged out: no client is meant to run."""

    state: ClassVar[BotState] = BotState.LOGOUT


class AwaitingState(Struct, frozen=True, tag="awaiting_qr"):
    """A client runs and waits for a person: how far the login is, the QR code that was shown last, and the digits to hand over."""

    phase: Literal["starting", "code_shown", "scanned", "digits_wanted"] = "starting"
    qr: QrCodeIssued | None = None
    digits: DigitsSubmitted | None = None
    state: ClassVar[BotState] = BotState.AWAITING_QR


class LoginState(Struct, frozen=True, tag="login"):
    """Logged in.

    Attributes:
        link: The client can be used.
        link_since: Since when it can be used, or cannot (epoch ms).
        rooms_complete: The room list is known to be complete, since the link came up.
        contacts_complete: So is the contact list.
        asked: A channel asked for login while the link was down: it is told when the link is back.
    """

    link: bool
    link_since: int
    rooms_complete: bool = False
    contacts_complete: bool = False
    asked: bool = False
    state: ClassVar[BotState] = BotState.LOGIN


class RemovedState(Struct, frozen=True, tag="removed"):
    """Removed for ever: no client is meant to run but to sign the account out. `link`: its client could be used when it was removed;
    `by`: who removed it.
    """

    link: bool = False
    by: str = ""
    state: ClassVar[BotState] = BotState.REMOVED


class Bot(Struct, frozen=True):
    """The fold of a bot's events.

    Attributes:
        added: Its first event.
        where: Where it stands, with what is known only there.
        since: Since when it stands there (epoch ms).
        reason: Why, in a sentence; empty where there is nothing to say.
        pending_exit: What was asked for and is not finished: `logout`, `stop`, `remove` (its account is still
            to be signed out) or nothing.
        kind: The kind of client that runs, or ran last; empty = the puppet's default.
        wxid: The id of the account that was logged in last; empty before the first login.
        name: Its nickname.
        rooms: Topics by room id; never changed in place.
        contacts: People to whom it can write, by id; never changed in place.
        operation: The position of the latest operation that was carried out; they are carried out in the order of their positions.
        run: The number of the client that runs now; a report from any other is ignored.
        flaps: How many links in a row were short or did not come up at all; no higher than `MAX_FLAPS`.
    """

    added: BotAdded
    where: LogoutState | AwaitingState | LoginState | RemovedState
    since: int
    reason: str = ""
    pending_exit: Exit = ""
    kind: str = ""
    wxid: str = ""
    name: str = ""
    rooms: dict[str, str] = {}
    contacts: dict[str, Contact] = {}
    operation: int = 0
    run: int = 0
    flaps: int = 0

    @property
    def state(self) -> BotState:
        """Where it stands."""
        return self.where.state

    @property
    def running(self) -> bool:
        """Its client is meant to run."""
        return isinstance(self.where, AwaitingState | LoginState)

    @property
    def removed(self) -> bool:
        """It is gone for ever."""
        return isinstance(self.where, RemovedState)

    @property
    def link(self) -> bool:
        """Its account is logged in and its client can be reached."""
        return isinstance(self.where, LoginState) and self.where.link

    @property
    def ready(self) -> bool:
        """It can send now."""
        return self.link and not self.pending_exit

    @property
    def rooms_complete(self) -> bool:
        """The room list is known to be complete: only now may a room be called not found."""
        return isinstance(self.where, LoginState) and self.where.rooms_complete

    @property
    def contacts_complete(self) -> bool:
        """The contact list is known to be complete: only now may a person be called not found."""
        return isinstance(self.where, LoginState) and self.where.contacts_complete

    @property
    def phase(self) -> Literal["", "starting", "code_shown", "scanned", "digits_wanted"]:
        """How far the login is; empty where none is under way."""
        return self.where.phase if isinstance(self.where, AwaitingState) else ""

    @property
    def digits(self) -> DigitsSubmitted | None:
        """The digits that were handed over and that the client is to take."""
        return self.where.digits if isinstance(self.where, AwaitingState) else None

    @property
    def qr(self) -> QrCodeIssued | None:
        """The QR code that waits to be scanned or was scanned."""
        return self.where.qr if isinstance(self.where, AwaitingState) else None


# -- evolve ---------------------------------------------------------------------------------------------------------------------

STEADY_LINK_MS = 60_000
"""A link that lasts this long is no flap (ms)."""

MAX_FLAPS = 8
"""Beyond these they are not counted, since the wait before the next start no longer grows."""


def evolve(bot: Bot | None, event: BotEvent) -> Bot:
    """Return the bot after an event. Total: a recorded fact is never refused, and a step that the table does not have changes nothing."""
    if bot is None:
        assert isinstance(event, BotAdded), "a bot's first event is `added`"
        return Bot(event, LogoutState(), event.at)
    where = bot.where
    state = TABLE.next[event.__class__].get(where.state)
    if state is None:
        return bot
    since = bot.since if state is where.state else event.at
    match event:
        case RoomsChanged():
            assert isinstance(where, LoginState)
            rooms = bot.rooms | {room.id: room.topic for room in event.joined}
            for room_id in event.left:
                rooms.pop(room_id, None)
            return replace(bot, rooms=rooms, where=replace(where, rooms_complete=where.link and event.complete))
        case ContactsChanged():
            assert isinstance(where, LoginState)
            contacts = bot.contacts | {contact.id: contact for contact in event.joined}
            for user_id in event.left:
                contacts.pop(user_id, None)
            complete = where.link and event.complete
            return replace(bot, contacts=contacts, where=replace(where, contacts_complete=complete))
        case LinkLost():
            assert isinstance(where, LoginState)
            steady = where.link and event.at - where.link_since >= STEADY_LINK_MS
            down = LoginState(False, event.at, asked=where.asked)
            return replace(bot, reason=event.reason, where=down, flaps=0 if steady else min(bot.flaps + 1, MAX_FLAPS))
        case LinkRestored():
            assert isinstance(where, LoginState)
            up = where if where.link else LoginState(True, event.at)
            return _with_account(bot, event, up, since)
        case LoggedIn():
            return _with_account(bot, event, LoginState(True, event.at), since)
        case QrCodeIssued():
            return replace(bot, reason="", where=AwaitingState("code_shown", event))
        case QrCodeScanned():
            return replace(bot, reason="", where=AwaitingState("scanned", bot.qr))
        case DigitsWanted():
            return replace(bot, reason="", where=AwaitingState("digits_wanted", bot.qr))
        case LoginRequested() if isinstance(where, AwaitingState) and event.kind == bot.kind:
            return replace(bot, reason="", operation=event.operation)  # the code that waits stays
        case LoginRequested():
            return replace(
                bot, where=AwaitingState(), since=since, reason="", kind=event.kind, operation=event.operation,
                run=bot.run + 1, flaps=0,
            )  # fmt: skip
        case LoginRepeated():
            assert isinstance(where, LoginState)
            if where.link:
                return replace(bot, operation=event.operation)
            # A person asks, so the next start need not wait long.
            return replace(bot, operation=event.operation, where=replace(where, asked=True), flaps=0)
        case DigitsSubmitted():
            wanted = isinstance(where, AwaitingState) and where.phase == "digits_wanted"
            return replace(bot, operation=event.operation, where=replace(where, digits=event) if wanted else where)
        case LogoutRequested():
            return replace(bot, operation=event.operation, pending_exit="logout")
        case StopRequested():
            return replace(bot, operation=event.operation, pending_exit="stop")
        case ClientRestarted():
            again = LoginState(False, event.at, asked=where.asked) if isinstance(where, LoginState) else AwaitingState()
            return replace(bot, where=again, reason="the gateway was started again", run=bot.run + 1)
        case LoginFailed() | LoggedOut():
            return replace(bot, where=LogoutState(), since=since, reason=event.reason, run=bot.run + 1)
        case SignedOut() if isinstance(where, RemovedState):
            return replace(bot, pending_exit="")
        case SignedOut():
            return replace(bot, where=LogoutState(), since=since, reason="", pending_exit="", run=bot.run + 1)
        case Stopped():
            return replace(bot, where=LogoutState(), since=since, reason="stopped", pending_exit="", run=bot.run + 1)
        case BotRemoved():
            return replace(
                bot, where=RemovedState(bot.link, event.by), since=since, reason=REMOVED, pending_exit="remove", run=bot.run + 1,
                rooms={}, contacts={},
            )  # fmt: skip
        case BotAdded():
            return bot
        case _:
            assert_never(event)


def _with_account(bot: Bot, event: LoggedIn | LinkRestored, where: LoginState, since: int) -> Bot:
    """Return the bot logged in. The rooms and contacts of another account are not those of this one."""
    if bot.wxid and event.wxid != bot.wxid:
        where = replace(where, rooms_complete=False, contacts_complete=False)
        return replace(
            bot, where=where, since=since, reason="", wxid=event.wxid, name=event.name,
            rooms={},
            contacts={},
        )  # fmt: skip
    return replace(bot, where=where, since=since, reason="", wxid=event.wxid, name=event.name)


# -- what follows from the state ------------------------------------------------------------------------------------------------

_ACTION = {"starting": "none", "code_shown": "scan", "scanned": "confirm", "digits_wanted": "enter_code"}


def user_action(bot: Bot) -> str:
    """Return what a person must do now: `none`, `scan`, `confirm`, `enter_code` or `relogin` (wire.md, botStatus)."""
    if bot.phase:
        return _ACTION[bot.phase]
    return "relogin" if bot.state is BotState.LOGOUT and bot.reason else "none"


def restart_wait_ms(bot: Bot) -> int:
    """Return how long to wait before a client that failed is started again (ms): doubled for each link in a row that was short."""
    return min(500 << max(bot.flaps - 1, 0), 60_000)
