"""The interface between a runner and a puppet: what every puppet offers and what it is given.

A runner creates a puppet, calls `run` in a task of its own, and cancels that task to let go of it. All calls run under asyncio; a puppet
says in its docstring whether it runs under trio too.
"""

from collections.abc import Awaitable, Callable, Mapping
from random import Random, SystemRandom
from typing import ClassVar, Protocol

from attrs import field, frozen

from wxrc_core.puppet import Capabilities, Outgoing, Report, SendOutcome


class SessionSlot(Protocol):
    """Where one bot's session credentials are kept, encrypted at rest, outside the event log."""

    async def load(self) -> bytes | None:
        """Return what was saved last, or None."""

    async def save(self, credentials: bytes) -> None:
        """Keep the credentials durably, in place of any earlier ones."""

    async def clear(self) -> None:
        """Forget them."""


@frozen(kw_only=True)
class PuppetContext:
    """What a runner gives to a new puppet.

    Attributes:
        botcode: The bot it is for.
        options: What `wxrc bot add --option k=v` said.
        session: The stored session.
        clock: Now, in epoch milliseconds. Under test it may be virtual.
        login_kind: The kind of client asked for; one of the puppet's `login_kinds`.
        public_url: How browsers reach this service, without a slash at the end.
        chance: Where all ids, tokens and random waits come from. Under test it may be seeded.
    """

    botcode: str
    options: Mapping[str, str]
    session: SessionSlot
    clock: Callable[[], int]
    login_kind: str
    public_url: str
    chance: Random = field(factory=SystemRandom)


ReportTo = Callable[[Report], Awaitable[None]]
"""Hands one report to the runner; returns when it is durable. A puppet moves its own cursor only after that."""


class Puppet(Protocol):
    """One WeChat client of one bot."""

    capabilities: ClassVar[Capabilities]

    async def run(self, report: ReportTo) -> None:
        """Connect, log in (from the stored session where one holds, else by QR code) and report until the client has ended.

        It returns after it has reported the end (`ReportLoginFailed`, `ReportLoggedOut`). It raises `PuppetError` when the client
        cannot be reached; the runner then reports the lost link and calls `run` of a new puppet after a while. Cancelling it closes
        connections and leaves the account logged in: that is what a runner does when it shuts down.

        Args:
            report: Where reports go.

        Raises:
            PuppetError: The client cannot be reached or refuses; the text says why, in a sentence for people, without secrets.
        """

    async def send(self, message: Outgoing) -> SendOutcome:
        """Hand one message to WeChat, once. Called only while logged in, one call at a time, under the runner's time limit.

        Being cancelled, raising anything, or answering with anything but one of the outcomes counts as `Unconfirmed`. `NotConnected` and
        `RoomMissing` say for certain that nothing was sent: the one holds the message, the other ends it.
        """

    async def submit_digits(self, digits: str) -> None:
        """Hand over the digits that the phone shows during login."""

    async def sign_out(self) -> None:
        """Sign the account out on the WeChat side and forget the session. Called while `run` is running, which then ends."""

    async def release(self) -> None:
        """Stop the client but keep the account's session, so that the next login needs no scan."""


class PuppetError(Exception):
    """The client cannot be reached or refuses. The message is a sentence for people; it holds no secret and no stack trace."""


PuppetFactory = Callable[[PuppetContext], Puppet]
