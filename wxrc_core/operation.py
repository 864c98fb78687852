"""An operation: what a channel asks other than to send a message (login, the digits of a login, logout, stop, cancelling a message).

It shares its stream name with messages (`wxrc_core.message.stream_name`), because a txcode names one thing only, whichever interface it was
used with. It has one event; what becomes of it stands in the bot's own stream, under the operation's position.
"""

from typing import Literal, TypeAlias

from attrs import frozen
from msgspec import Struct

from wxrc_core.errors import TxcodeReused

Kind: TypeAlias = Literal["login", "code", "logout", "stop", "cancel"]
"""What is to be done. The bot's owner carries it out, except `cancel`, which whoever accepted it does at once."""


@frozen(kw_only=True)
class OperationAccepted:
    """The request was accepted.

    Attributes:
        at: When (epoch ms).
        chid: The channel that asked; `-` = the operator or the embedding application.
        botcode: The bot it is for.
        txcode: The channel's serial number.
        interface: The interface that was called.
        digest: Fingerprint of interface, botcode and body (`wxrc_core.message.digest`).
        kind: What is to be done.
        login_kind: For `login`: the kind of client; empty = the puppet's default.
        secret_id: For `code`: under which name the vault has the digits (`digits_name`).
    """

    at: int
    chid: str
    botcode: str
    txcode: str
    interface: str
    digest: str
    kind: Kind
    login_kind: str = ""
    secret_id: str = ""


def digits_name(botcode: str, secret_id: str) -> str:
    """Return the name under which the vault has the digits of a login until they are handed over."""
    return f"bot/{botcode}/digits/{secret_id}"


class Operation(Struct, frozen=True):
    """The fold of an operation's events."""

    accepted: OperationAccepted


@frozen
class Accept:
    """Accept a request: `accepted` is the event to record if the stream is new."""

    accepted: OperationAccepted


OperationEvent: TypeAlias = OperationAccepted
Command: TypeAlias = Accept


def decide(operation: Struct | None, command: Command) -> tuple[OperationEvent, ...]:
    """Return what happens: nothing where the same request was accepted before.

    Args:
        operation: The state of the stream. It may be a message's, since a txcode names one thing only.
        command: The request.

    Raises:
        TxcodeReused: The txcode was used today for something else.
    """
    if operation is None:
        return (command.accepted,)
    if not isinstance(operation, Operation) or operation.accepted.digest != command.accepted.digest:
        raise TxcodeReused
    return ()


def evolve(operation: Operation | None, event: OperationEvent) -> Operation:
    """Return the operation after an event."""
    return Operation(event)
