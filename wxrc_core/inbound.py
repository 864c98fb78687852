"""An inbound message: what a person wrote where the bot can read it.

Its stream is named after WeChat's id of the message, and creating it expects version 0: however often a puppet repeats it, it is recorded
once (invariant 14).
"""

from typing import TypeAlias

from attrs import frozen
from msgspec import Struct

from wxrc_core.effects import Notify
from wxrc_core.puppet import ReportMessage

USER_MESSAGE_LIFETIME_MS = 300_000
"""How long a `userMsg` callback is worth telling (ms; wire.md, section 3)."""


@frozen(kw_only=True)
class MessageReceived:
    """A person wrote; the fields are those of `wxrc_core.puppet.ReportMessage`."""

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


class Inbound(Struct, frozen=True):
    """The fold of an inbound message's events."""

    received: MessageReceived


@frozen
class Receive:
    """A puppet's report of a message to this bot."""

    botcode: str
    report: ReportMessage


InboundEvent: TypeAlias = MessageReceived
Command: TypeAlias = Receive


def stream_name(botcode: str, message_id: str) -> str:
    """Return the stream of an inbound message."""
    return f"inbound/{botcode}/{message_id}"


def decide(inbound: Inbound | None, command: Command) -> tuple[InboundEvent, ...]:
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


def evolve(inbound: Inbound | None, event: InboundEvent) -> Inbound:
    """Return the inbound message after an event."""
    return Inbound(event)


def notice(event: MessageReceived, chid: str) -> Notify:
    """Return what tells this channel of the message."""
    data = {
        "text": event.text,
        "fromId": event.from_id,
        "roomId": event.room_id,
        "fromName": event.from_name,
        "roomTopic": event.room_topic,
        "messageId": event.message_id,
        "mentioned": event.mentioned,
    }
    body = {"msgType": event.kind, "msgData": data}
    return Notify(event.botcode, "userMsg", body, chid, expires_at=event.at + USER_MESSAGE_LIFETIME_MS)
