"""What a test of a puppet moves and watches: the WeChat side, and a running puppet with its reports.

The checks themselves are in `puppet_contract`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Literal, Protocol, TypeAlias, TypeVar

import anyio
from attrs import field, frozen, mutable

from wxrc_core.content import Card
from wxrc_core.puppet import (
    Capabilities,
    Outgoing,
    Report,
    ReportContacts,
    ReportLoggedIn,
    ReportMessage,
    ReportQrCode,
    ReportRooms,
    Room,
    SendOutcome,
)

LIMIT = 60.0
"""Seconds after which a check that still waits has failed."""

FAKE_MENTION_END = "\u2005"
"""What ends a mention in a text (wire.md, roomSendText)."""

Ability: TypeAlias = Literal[
    "refuse", "expire", "kick", "own", "redeliver", "unknown_room", "outsider", "unknown_user", "digits"
]
"""What a driver can do beyond the least.

- `refuse`: say no on the phone; `expire`: make a code expire; `kick`: log the account in elsewhere.
- `own`: write as the account itself, from its phone.
- `redeliver`: WeChat keeps what was said until the client has taken it.
- `unknown_room`: WeChat knows which rooms do not exist.
- `outsider`: there is a person whom the account knows and who is not in the room.
- `unknown_user`: WeChat knows which people do not exist, or cannot be written to.
- `digits`: make a phone that shows digits on confirmation.
"""


@frozen
class Person:
    """Somebody on WeChat."""

    id: str
    name: str


@frozen
class Written:
    """A message that reached WeChat, as the people there see it.

    Attributes:
        receipt: WeChat's id of the message.
        text: The text on the screen.
        room_id: Where it went; empty = to a person.
        user_id: To whom; empty = to a room.
        mentions: WeChat ids of those who were mentioned for real.
        card: The mini-program card; None = it is none.
        image: SHA-256 of the image's bytes (hex); empty = it is none.
    """

    receipt: str
    text: str
    room_id: str = ""
    user_id: str = ""
    mentions: tuple[str, ...] = ()
    card: Card | None = None
    image: str = ""


class Slot(Protocol):
    """The stored session, as `wxrc_puppet.port.SessionSlot` has it."""

    async def load(self) -> bytes | None:
        """Return what was saved last, or None."""

    async def save(self, credentials: bytes) -> None:
        """Keep the credentials."""

    async def clear(self) -> None:
        """Forget them."""


class ContractPuppet(Protocol):
    """The calls of `wxrc_puppet.port.Puppet`, said again here since the core knows no adapter."""

    capabilities: ClassVar[Capabilities]

    async def run(self, report: Callable[[Report], Awaitable[None]]) -> None:
        """Log in and report until the client has ended."""

    async def send(self, message: Outgoing) -> SendOutcome:
        """Hand one message to WeChat."""

    async def submit_digits(self, digits: str) -> None:
        """Hand over the digits that the phone shows."""

    async def sign_out(self) -> None:
        """Sign the account out."""

    async def release(self) -> None:
        """Stop the client and keep the session."""


class WeChatDriver(Protocol):
    """The WeChat side as a test moves it.

    Attributes:
        abilities: What it can do beyond the least.
        room: A room that the account is in.
        member: Somebody in that room who is not the account itself; where the puppet has contacts, the two
            can write to each other directly.
        outsider: Somebody whom the account knows and who is not in that room (ability `outsider`).
    """

    abilities: ClassVar[frozenset[Ability]]
    room: Room
    member: Person
    outsider: Person

    def puppet(self, session: Slot) -> ContractPuppet:
        """Make a new puppet for the same account with this stored session."""

    async def confirm(self, code: str) -> None:
        """Scan the QR code with this text and confirm the login on the phone."""

    async def refuse(self, code: str) -> None:
        """Scan the QR code and refuse the login."""

    async def expire(self, code: str) -> None:
        """Let the QR code expire."""

    async def kick(self) -> None:
        """Log the account in on another device, so that this client is kicked."""

    async def digits(self, code: str) -> str:
        """Return the digits that the phone shows after the QR code was confirmed (ability `digits`)."""

    async def say(self, text: str, *, room_id: str = "", mention: bool = False, own: bool = False) -> None:
        """Write as a person does.

        Args:
            text: What the person writes, without the mention.
            room_id: Where; empty = directly to the account.
            mention: The person mentions the account.
            own: The writer is the account itself (ability `own`), else `member`.
        """

    async def record(self) -> Sequence[Written]:
        """Return what reached WeChat, in order."""


@mutable
class MemorySlot:
    """A stored session in memory."""

    credentials: bytes | None = None

    async def load(self) -> bytes | None:
        """Return what was saved last, or None."""
        return self.credentials

    async def save(self, credentials: bytes) -> None:
        """Keep the credentials."""
        self.credentials = credentials

    async def clear(self) -> None:
        """Forget them."""
        self.credentials = None


R = TypeVar("R", bound=Report)


@mutable
class Client:
    """A running puppet and what it has reported so far."""

    puppet: ContractPuppet
    reports: list[Report] = field(factory=list)
    ended: anyio.Event = field(factory=anyio.Event)
    _news: anyio.Event = field(factory=anyio.Event)

    async def take(self, report: Report) -> None:
        """Take one report, as a runner does once it is durable."""
        self.reports.append(report)
        self._news.set()
        self._news = anyio.Event()

    def all(self, kind: type[R]) -> list[R]:
        """Return the reports of a kind so far."""
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, kind: type[R], test: Callable[[R], bool] = lambda report: True) -> R:
        """Wait for the first report of a kind that passes a test, from the start of the run."""
        while True:
            for report in self.all(kind):
                if test(report):
                    return report
            await self._news.wait()

    async def until_any(self, *kinds: type[Report]) -> Report:
        """Wait for the first report of any of these kinds, from the start of the run."""
        while True:
            for report in self.reports:
                if isinstance(report, kinds):
                    return report
            await self._news.wait()

    async def until_message(self, text: str) -> ReportMessage:
        """Wait for somebody's message that has this text in it."""
        return await self.until(ReportMessage, lambda message: text in message.text)


@asynccontextmanager
async def running(puppet: ContractPuppet) -> AsyncIterator[Client]:
    """Run a puppet as a runner does: in a task, which is cancelled in the end to let go of it."""
    client = Client(puppet)

    async def run() -> None:
        await puppet.run(client.take)
        client.ended.set()

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield client
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def logged_in(driver: WeChatDriver, session: Slot) -> AsyncIterator[Client]:
    """Run a new puppet, scan its code if it shows one, and wait until its rooms are known."""
    async with running(driver.puppet(session)) as client:
        report = await client.until_any(ReportQrCode, ReportLoggedIn)
        if isinstance(report, ReportQrCode):
            await driver.confirm(report.text)
        await client.until(ReportLoggedIn)
        if client.puppet.capabilities.rooms:
            await client.until(ReportRooms, lambda rooms: rooms.complete)
        if client.puppet.capabilities.contacts:
            await client.until(ReportContacts, lambda contacts: contacts.complete)
        yield client
