"""What a bot's queue keeps of one message, and what a snapshot keeps of the queue."""

from attrs import define
from msgspec import Struct

from wxrc_core.message_state import Message


@define
class Item:
    """A queued message.

    Attributes:
        msgid: Its number.
        message: Its state.
        account: The account that was logged in when it was accepted.
        ready_at: From when on it may go (mono, ms).
        peer: The id of its room or person; empty = not known yet.
        conversation: What names the conversation with it; empty = not known yet.
    """

    msgid: int
    message: Message
    account: str
    ready_at: int
    peer: str = ""
    conversation: str = ""


class QueueSnapshot(Struct, frozen=True):
    """What a snapshot keeps of a queue beside its open messages: their accounts, the sends that count for the pace, when the
    latest of these was claimed (epoch ms), and the sends that count for the paces of grants, by channel.
    """

    accounts: dict[str, str]
    sends: list[tuple[int, str]]
    claimed_at: int = 0
    own_sends: dict[str, list[int]] = {}
