"""A bot's states, the steps between them, and the events that are stored.

The first part of the bot aggregate: `wxrc_core.bot` has the rest and offers all of these names too.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

from attrs import frozen

from wxrc_core.puppet import Contact, Room
from wxrc_core.table import Table, Transitions

# -- states and transitions -----------------------------------------------------------------------------------------------------


class BotState(StrEnum):
    """Where a bot stands. `NEW` is before its first event."""

    NEW = "new"
    LOGOUT = "logout"
    AWAITING_QR = "awaiting_qr"
    LOGIN = "login"
    REMOVED = "removed"


_RUNNING = ["awaiting_qr", "login"]
_ANY = ["logout", *_RUNNING]

TRANSITIONS: Transitions = (
    {"trigger": "added", "source": "new", "dest": "logout"},
    # requested
    {"trigger": "login_requested", "source": ["logout", "awaiting_qr"], "dest": "awaiting_qr"},
    {"trigger": "login_repeated", "source": "login", "dest": "="},
    {"trigger": "logout_requested", "source": _ANY, "dest": "="},
    {"trigger": "stop_requested", "source": _ANY, "dest": "="},
    {"trigger": "digits_submitted", "source": _ANY, "dest": "="},
    # reported by the puppet
    {"trigger": "qr_code_issued", "source": "awaiting_qr", "dest": "="},
    {"trigger": "qr_code_scanned", "source": "awaiting_qr", "dest": "="},
    {"trigger": "digits_wanted", "source": "awaiting_qr", "dest": "="},
    {"trigger": "logged_in", "source": "awaiting_qr", "dest": "login"},
    {"trigger": "login_failed", "source": "awaiting_qr", "dest": "logout"},
    {"trigger": "logged_out", "source": "login", "dest": "logout"},
    {"trigger": "rooms_changed", "source": "login", "dest": "="},
    {"trigger": "contacts_changed", "source": "login", "dest": "="},
    {"trigger": "link_lost", "source": "login", "dest": "="},
    {"trigger": "link_restored", "source": "login", "dest": "="},
    # done by the gateway
    {"trigger": "client_restarted", "source": _RUNNING, "dest": "="},
    {"trigger": "signed_out", "source": _ANY, "dest": "logout"},
    {"trigger": "stopped", "source": _ANY, "dest": "logout"},
    # done by an operator, for ever: the account is still to be signed out
    {"trigger": "removed", "source": _ANY, "dest": "removed"},
    {"trigger": "signed_out", "source": "removed", "dest": "="},
)


# -- events: what is stored -----------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class _BotEvent:
    """What all events of a bot have: when they happened (epoch ms)."""

    at: int


@frozen(kw_only=True)
class BotAdded(_BotEvent):
    """The bot exists.

    Attributes:
        botcode: Its name.
        puppet: The kind of its puppet: `simulator`, `wechaty`, ...
        pace: How much it may send: `customary` or `none` (see `wxrc_core.pace`).
        deduplicates: Its puppet sends the same message once however often it is handed over.
        options_id: Which of the bot's options in the vault are valid; empty in logs of older releases.
        by: Who made it; empty in logs of older releases.
    """

    botcode: str
    puppet: str
    pace: Literal["customary", "none"] = "customary"
    deduplicates: bool = False
    options_id: str = ""
    by: str = ""


@frozen(kw_only=True)
class _Requested(_BotEvent):
    """What the events have that carry out an accepted operation: its position."""

    operation: int


@frozen(kw_only=True)
class LoginRequested(_Requested):
    """A channel asked for login; a client of this kind is started (empty = the puppet's default)."""

    kind: str = ""


@frozen(kw_only=True)
class LoginRepeated(_Requested):
    """A channel asked for login although the bot is logged in; it is told so again."""


@frozen(kw_only=True)
class LogoutRequested(_Requested):
    """A channel asked to sign the account out; its stored session goes too."""


@frozen(kw_only=True)
class StopRequested(_Requested):
    """A channel asked to release the client; the session is kept, so that the next login needs no scan."""


@frozen(kw_only=True)
class DigitsSubmitted(_Requested):
    """A channel handed over the digits that the phone shows. The vault has them, under the name that `secret_id` leads to."""

    secret_id: str


@frozen(kw_only=True)
class QrCodeIssued(_BotEvent):
    """A QR code waits to be scanned. It logs an account in, so the vault has it and not the log (`wxrc_core.qr_code`).

    Attributes:
        expires_at: When it stops working (epoch ms).
        code_id: Which code it is; empty in logs of older releases.
        text: What it encodes, in logs of older releases.
        image_url: Where its image was, in logs of older releases.
    """

    expires_at: int
    code_id: str = ""
    text: str = ""
    image_url: str = ""


@frozen(kw_only=True)
class QrCodeScanned(_BotEvent):
    """The code was scanned; the login is to be confirmed on the phone."""


@frozen(kw_only=True)
class DigitsWanted(_BotEvent):
    """The phone shows digits that must be handed over; `wrong`: the ones handed over before were not right."""

    wrong: bool = False


@frozen(kw_only=True)
class LoggedIn(_BotEvent):
    """The bot is logged in with this account."""

    wxid: str
    name: str


@frozen(kw_only=True)
class LoginFailed(_BotEvent):
    """The login failed, and why."""

    reason: str


@frozen(kw_only=True)
class LoggedOut(_BotEvent):
    """The account is no longer logged in here, and why: kicked, signed out on the phone, session dead."""

    reason: str


@frozen(kw_only=True)
class RoomsChanged(_BotEvent):
    """The room list changed: rooms joined or renamed, ids of rooms left, and whether the list is now known to be complete."""

    joined: tuple[Room, ...]
    left: tuple[str, ...]
    complete: bool


@frozen(kw_only=True)
class ContactsChanged(_BotEvent):
    """The contact list changed: people added or renamed, ids of people who are gone, and whether it is now known to be complete."""

    joined: tuple[Contact, ...]
    left: tuple[str, ...]
    complete: bool


@frozen(kw_only=True)
class LinkLost(_BotEvent):
    """The client cannot be reached, or failed again. The account may still be logged in; nothing is sent until the link is back."""

    reason: str


@frozen(kw_only=True)
class LinkRestored(_BotEvent):
    """The client says again that the account is logged in. `quiet`: there is nothing in it that channels do not know."""

    wxid: str
    name: str
    quiet: bool = False


@frozen(kw_only=True)
class ClientRestarted(_BotEvent):
    """The bot has a new owner, which starts the client again, with the stored session where there is one."""


@frozen(kw_only=True)
class SignedOut(_BotEvent):
    """The account was signed out as requested; its stored session is gone."""


@frozen(kw_only=True)
class Stopped(_BotEvent):
    """The client was released as requested; the session is kept."""


@frozen(kw_only=True)
class BotRemoved(_BotEvent):
    """The bot is gone for ever: requests for it get what those for an unknown bot get, and what waits for it is not sent.

    `SignedOut` follows when its account is signed out and its secrets are deleted. `by`: who removed it.
    """

    by: str = ""


BotEvent: TypeAlias = (
    BotAdded | LoginRequested | LoginRepeated | LogoutRequested | StopRequested | DigitsSubmitted | QrCodeIssued | QrCodeScanned
    | DigitsWanted | LoggedIn | LoginFailed | LoggedOut | RoomsChanged | ContactsChanged | LinkLost | LinkRestored | ClientRestarted
    | SignedOut | Stopped | BotRemoved
)  # fmt: skip
TABLE = Table("bot", BotState, TRANSITIONS, BotEvent)
