"""What a runner must do because something happened. Every runner, the simulation included, carries out the same effects.

How an effect ends comes back as a command (`Decide` says which stream takes it). An effect that a crash swallowed comes again from
`World.resume`.
"""

from typing import Any, TypeAlias

from attrs import frozen

from wxrc_core.puppet import Outgoing


@frozen
class StartPuppet:
    """Run the bot's puppet, unless it runs; while the bot is meant to run, start it again (after a growing wait) when it fails."""

    botcode: str


@frozen
class StopPuppet:
    """The client has ended: let go of the puppet."""

    botcode: str


@frozen
class SignOut:
    """Sign the account out, forget the stored session, let go of the puppet; then `bot.FinishLogout` with this operation."""

    botcode: str
    operation: int


@frozen
class ReleasePuppet:
    """Release the client but keep the session, let go of the puppet; then `bot.FinishStop` with this operation."""

    botcode: str
    operation: int


@frozen
class Dispatch:
    """Something changed for the bot's queue: ask `World.next_message` and do what it says."""

    botcode: str


@frozen
class Send:
    """Hand this message to the bot's puppet, once, within a time limit; then `message.Settle` on the stream, whatever happened."""

    botcode: str
    stream: str
    outgoing: Outgoing


@frozen
class Flush:
    """Something changed for the callbacks of this channel about this bot: ask `World.next_delivery` and do what it says."""

    chid: str
    botcode: str


@frozen
class Post:
    """Post this callback, once, within a time limit; then `delivery.Succeed` or `delivery.Miss` on the stream."""

    stream: str
    chid: str
    attempt: int
    body: str


@frozen
class Decide:
    """Hand this command to the aggregate that has this stream."""

    stream: str
    command: Any


@frozen
class Wait:
    """Nothing can be done before this time (epoch ms); ask again then, or when the effect comes again."""

    until: int


@frozen
class Notify:
    """Channels are to be told. `World` turns this into one delivery per channel that is concerned; no runner ever sees it.

    Attributes:
        botcode: The bot it is about.
        kind: The callback's type.
        body: The reqBody besides botcode, type, seq and time.
        chid: The one channel that is concerned; empty = every channel with a grant for the bot.
        expires_at: When it is no longer worth telling (epoch ms), or None.
    """

    botcode: str
    kind: str
    body: dict[str, Any]
    chid: str = ""
    expires_at: int | None = None


Effect: TypeAlias = StartPuppet | StopPuppet | SignOut | ReleasePuppet | Dispatch | Send | Flush | Post | Decide
