"""Mentions: what `@name` in a text means, and what a client's wish to mention somebody becomes (wire.md, roomSendText)."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from wxrc_core.puppet import Outgoing
from wxrc_puppet.simulator.directory import by_id, by_name
from wxrc_puppet.simulator.model import Person

SPACE = "\u2005"
"""The four-per-em space with which WeChat ends a mention in a text."""

MentionOutcome: TypeAlias = Literal["ok", "not_in_room", "unknown"]
_ORDER: tuple[MentionOutcome, ...] = ("ok", "not_in_room", "unknown")


@frozen
class Placed:
    """A text with its mentions.

    Attributes:
        text: What people see: each mention as `@name` + U+2005, before the text.
        mentions: WeChat ids of those who are mentioned for real.
        outcome: The worst of what became of those to mention.
    """

    text: str
    mentions: tuple[str, ...]
    outcome: MentionOutcome


def place_mentions(outgoing: Outgoing, members: Sequence[Person], known: Sequence[Person]) -> Placed:
    """Turn the mentions that a client wishes for into real ones where it goes, and into text alone where it does not.

    A name that nobody has is shown all the same, as a fake mention; an id that nobody has cannot be shown.

    Args:
        outgoing: What the client hands over.
        members: Who is in the room.
        known: Whom the account knows.
    """
    names: list[str] = []
    mentions: list[str] = []
    outcome: MentionOutcome = "ok"
    wishes: list[
        tuple[Person | None, Person | None, str]
    ] = []  # in the room, known, what to show where nobody is known
    if outgoing.mention_id:
        wishes.append((by_id(members, outgoing.mention_id), by_id(known, outgoing.mention_id), ""))
    wishes += [(by_name(members, name), by_name(known, name), name) for name in outgoing.mention_names]
    for member, stranger, shown in wishes:
        if member is None:
            names.append(stranger.name if stranger is not None else shown)
            missed: MentionOutcome = "unknown" if stranger is None else "not_in_room"
            outcome = max(outcome, missed, key=_ORDER.index)
        elif member.id not in mentions:
            names.append(member.name)
            mentions.append(member.id)
    prefix = "".join(f"@{name}{SPACE}" for name in names if name)
    return Placed(prefix + outgoing.text, tuple(mentions), outcome)


def is_mentioned(name: str, text: str) -> bool:
    """Tell whether a person's text mentions somebody of this name: `@name`, then white space (U+2005 too) or the end."""
    return re.search(rf"@{re.escape(name)}(?:\s|$)", text) is not None
