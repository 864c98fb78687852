"""Mentions, out and in.

WeChat shows a mention as `@name` + U+2005 in the text and sends the mentioned one's id beside it; that id makes the red dot. A mention in
the text alone is a fake one (wire.md, roomSendText).
"""

from typing import Literal, TypeAlias

import anyio
from attrs import frozen

from wxrc_core.puppet import Outgoing
from wxrc_puppet.wechaty._rooms import Rooms
from wxrc_puppet.wechaty._server import CallFailed

SEPARATOR = "\u2005"
_LOOK_UP_S = 8.0

Found: TypeAlias = Literal["ok", "not_in_room", "unknown"]
_WORSE: tuple[Found, ...] = ("ok", "not_in_room", "unknown")


@frozen
class Mentions:
    """What a message with its mentions becomes.

    Attributes:
        text: The text to send.
        ids: Who is mentioned for real.
        found: What `Accepted.mention` says, the worst of them.
    """

    text: str
    ids: tuple[str, ...] = ()
    found: Found = "ok"


async def mentions_of(message: Outgoing, rooms: Rooms) -> Mentions:
    """Find out who can be mentioned for real, in limited time; where the gateway cannot say, mentions are put in the text only.

    Raises:
        CallFailed: The connection is of no more use. Nothing was sent.
    """
    asked = bool(message.mention_names or message.mention_id)
    names = list(message.mention_names)
    ids: list[str] = []
    found: Found = "ok"
    if asked and message.room_id:
        try:
            with anyio.move_on_after(_LOOK_UP_S):
                members = await rooms.members(message.room_id)
                for name in message.mention_names:
                    matches = [member.id for member in members if name in member.names]
                    # Two of the same name: a mention of the wrong one is worse than none.
                    ids += matches if len(matches) == 1 else []
                    found = _worse(found, "ok" if matches else await _absent(name, rooms))
                if message.mention_id:
                    member = next((each for each in members if each.id == message.mention_id), None)
                    found = _worse(found, "ok" if member else await _absent(message.mention_id, rooms))
                    if member:
                        ids.append(member.id)
                        names += member.names[:1]
        except CallFailed as failure:
            if not failure.refused:
                raise
    prefix = "".join(f"@{name}{SEPARATOR}" for name in dict.fromkeys(names))
    return Mentions(prefix + message.text, tuple(dict.fromkeys(ids)), found)


async def _absent(person: str, rooms: Rooms) -> Found:
    try:
        return "not_in_room" if await rooms.is_known(person) else "unknown"
    except CallFailed as failure:
        if failure.refused:
            return "not_in_room"
        raise


def _worse(one: Found, other: Found) -> Found:
    return max(one, other, key=_WORSE.index)


def names_in_text(text: str, names: tuple[str, ...]) -> bool:
    """Whether a text mentions one of these names: `@name`, then U+2005, a space or the end.

    Clients end a mention with U+2005; people who type one by hand use a space.
    """
    for name in filter(None, names):
        _, found, after = text.partition(f"@{name}")
        while found:
            if not after or after[0].isspace():
                return True
            _, found, after = after.partition(f"@{name}")
    return False
