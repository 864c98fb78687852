"""An inbound message: what somebody wrote where the bot can read it.

Its stream is named after WeChat's id of the message, and creating it expects version 0: however often a puppet repeats it, it is recorded
once (invariant 14).
"""

from typing import TypeAlias

from attrs import frozen

from wxrc_core.puppet import ReportMessage


@frozen(kw_only=True)
class MessageReceived:
    """Somebody wrote; the fields are those of `wxrc_core.puppet.ReportMessage`."""

    at: int
    botcode: str
    message_id: str
    kind: str
    text: str
    from_id: str
    from_name: str = ""
    room_id: str = ""
    room_topic: str = ""
    mentioned: bool = False


TRIGGERS: dict[type, str] = {MessageReceived: "received"}


@frozen
class Inbound:
    """The fold of an inbound message's events."""

    received: MessageReceived


@frozen
class Receive:
    """A puppet's report of a message to this bot."""

    botcode: str
    report: ReportMessage


COMMANDS = (Receive,)
Command: TypeAlias = Receive


def stream_name(botcode: str, message_id: str) -> str:
    """Return the stream of an inbound message."""
    return f"inbound/{botcode}/{message_id}"


def decide(inbound: Inbound | None, command: Receive) -> tuple[MessageReceived, ...]:
    """Return what happens: nothing where it was received before."""
    if inbound is not None:
        return ()
    report = command.report
    return (
        MessageReceived(
            at=report.at,
            botcode=command.botcode,
            message_id=report.message_id,
            kind=report.kind,
            text=report.text,
            from_id=report.from_id,
            from_name=report.from_name,
            room_id=report.room_id,
            room_topic=report.room_topic,
            mentioned=report.mentioned,
        ),
    )


def evolve(inbound: Inbound | None, event: MessageReceived) -> Inbound:
    """Return the inbound message after an event."""
    return Inbound(event)
