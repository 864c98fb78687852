"""What follows from an event, and what is to be done next.

An event wakes loops (`WakeClient`, `WakeRecords`, `WakeQueue`, `WakeDeliveries`) and tells channels (`Notify`). A loop that wakes
asks the world what is to be done *now* and gets a step: record something (`Decide`), hand a message over (`Claim`), post a callback
(`Post`), or wait (`Wait`). So nothing is lost when a wake-up is: whatever is still to be done is found by asking again, after a
crash as well.
"""

from typing import Any, NamedTuple, TypeAlias

from attrs import frozen


class Moment(NamedTuple):
    """Now, on two clocks.

    Attributes:
        wall: Epoch ms. It may be set, forward or back; only what people and channels agreed on (expiries) is compared with it.
        mono: Milliseconds on a clock that is never set. Whatever has to last (pace, retries, back-off) is measured with it.
    """

    wall: int
    mono: int


# -- what an event leads to -----------------------------------------------------------------------------------------------------


@frozen
class WakeClient:
    """What is wanted of the bot's client has changed."""

    botcode: str


@frozen
class WakeRecords:
    """Something is to be recorded for the bot: an operation, a notice, an end."""

    botcode: str


@frozen
class WakeQueue:
    """Something changed for the bot's queue."""

    botcode: str


@frozen
class WakeDeliveries:
    """Something changed for the callbacks of this channel about this bot."""

    chid: str
    botcode: str


@frozen
class Notify:
    """Channels are to be told. The bot's world turns this into one delivery per channel that is concerned; no runner ever sees it.

    Attributes:
        botcode: The bot that it is about.
        kind: The callback's type.
        body: The reqBody besides botcode, type, seq and time.
        chid: The one channel that is concerned; empty = every channel with a grant for the bot.
        expires_at: When it is no longer worth telling (epoch ms), or None.
        code_id: The QR code that is to be told (`wxrc_core.qr_code`), or empty.
        answer_ms: How long the request that made the message may still tell this in its answer (ms); then a callback is due.
    """

    botcode: str
    kind: str
    body: dict[str, Any]
    chid: str = ""
    expires_at: int | None = None
    code_id: str = ""
    answer_ms: int = 0


Wake: TypeAlias = WakeClient | WakeRecords | WakeQueue | WakeDeliveries
Effect: TypeAlias = Wake | Notify

# -- what is to be done next ----------------------------------------------------------------------------------------------------


@frozen
class Decide:
    """Hand this command to the aggregate that has this stream."""

    stream: str
    command: Any


@frozen
class Claim:
    """Claim this message for one hand-over to this room, or else to this person, then hand it over."""

    stream: str
    msgid: int
    attempt: int
    room_id: str
    user_id: str = ""


@frozen
class FetchImage:
    """Fetch the image of this message from its source, check and store it; record `StoreImage`, or else `Fail`.

    `chid` is the channel that asked, whose policy says which networks may be called.
    """

    stream: str
    msgid: int
    chid: str
    source: str


@frozen
class Post:
    """Post this callback once, within a time limit, then record how it ended.

    Attributes:
        stream: The delivery.
        chid: The channel.
        botcode: The bot that it is about.
        attempt: The number of this attempt, from 1.
        position: That of its `due` event, where its body stands.
        body: The reqBody as a JSON text; None = read it from the log at `position`.
        code_id: The QR code that belongs into the body and is in the vault (`wxrc_core.qr_code`), or empty.
    """

    stream: str
    chid: str
    botcode: str
    attempt: int
    position: int
    body: str | None
    code_id: str = ""


@frozen
class Wait:
    """Nothing can be done for so long (ms); ask again then, or when woken."""

    ms: int
