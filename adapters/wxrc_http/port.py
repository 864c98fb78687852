"""What the request side needs of whoever runs the bots; the gateway offers it."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from wxrc_core.bot import Bot
from wxrc_core.channel import Channel
from wxrc_core.content import Image
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Recorded
from wxrc_core.message import Message, MessageQueued
from wxrc_core.operation import Operation, OperationAccepted
from wxrc_core.puppet import Capabilities
from wxrc_core.qr_code import QrCode


@frozen
class MessageRecord:
    """A message as the log has it: its number, its state and its events, in order."""

    msgid: int
    message: Message
    history: Sequence[Recorded]


class Backend(Protocol):
    """Everything that the interfaces of wire.md ask for. Raises only `wxrc_core.errors.WxrcError`."""

    def clock(self) -> int:
        """Return now, in epoch milliseconds."""

    def unavailable(self) -> LocalizedText | None:
        """Return why nothing can be accepted now (starting, draining, store lost), in a sentence; None = all is well."""

    def channel(self, chid: str) -> Channel | None:
        """Return a channel, or None where there is none of that name."""

    async def keys(self, chid: str) -> Sequence[str]:
        """Return the KEYs that a channel may sign with now: one, or two during a rotation; cached, so cheap."""

    def bot(self, botcode: str) -> Bot | None:
        """Return a bot, or None where there is none of that name."""

    async def qr_code(self, botcode: str) -> QrCode | None:
        """Return the QR code of a bot that waits to be scanned, or None; cached, so cheap.

        Raises:
            Unavailable: It cannot be read just now (503, code 22).
        """

    def capabilities(self, botcode: str) -> Capabilities:
        """Return what the bot's puppet can do."""

    async def queue(self, stream: str, queued: MessageQueued, wait_ms: int) -> tuple[int, Message]:
        """Accept a message durably, then wait a while for its end.

        Args:
            stream: `wxrc_core.message.stream_name` of channel, day and txcode.
            queued: What is asked for.
            wait_ms: How long to wait for a final state (ms); 0 = not at all.

        Returns:
            The msgid, and the message as it is now. A repeated request gets the same msgid and the current state.

        Raises:
            TxcodeReused: The txcode was used today for something else (code 12).
            Unavailable: Nothing was promised (503, code 22).
        """

    async def operate(self, stream: str, accepted: OperationAccepted) -> None:
        """Accept an operation durably; it is carried out soon after. A repeated request does nothing.

        Raises:
            TxcodeReused: The txcode was used today for something else (code 12).
            Unavailable: Nothing was promised (503, code 22).
        """

    async def operation_in(self, stream: str) -> Operation | None:
        """Return the operation that has this stream, or None."""

    async def submit_digits(self, stream: str, accepted: OperationAccepted, digits: str) -> None:
        """Accept the digits of a login (`loginCode`) like `operate`. They are in no event: only the client gets to see them.

        Raises:
            TxcodeReused: The txcode was used today for something else (code 12).
            Unavailable: Nothing was promised (503, code 22).
        """

    async def cancel(self, msgid: int) -> MessageRecord:
        """Cancel a message that is queued, durably; return it as it is then. One that is cancelled already stays so.

        Raises:
            Refusal: It is no longer queued, or there is none of that number (code 34).
            Unavailable: Nothing was promised (503, code 22).
        """

    async def store_image(self, data: bytes) -> Image:
        """Check an image by its content and keep it durably; return what it is.

        Raises:
            InvalidValue: It is no image, or too large (code 32).
            Unavailable: It could not be kept (503, code 22).
        """

    def allowance(self, botcode: str, chid: str) -> tuple[int | None, int]:
        """Return how many more messages of this channel the bot's pace and that of the grant allow within a minute of now (None = no
        limit), and from when on the next one (epoch ms).
        """

    async def message(self, msgid: int) -> MessageRecord | None:
        """Return the message with this number, or None."""

    async def message_in(self, stream: str) -> MessageRecord | None:
        """Return the message that has this stream, or None."""
