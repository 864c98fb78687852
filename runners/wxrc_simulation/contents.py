"""What the messages of a run carry and where they go: texts, cards and images, to rooms and to people."""

from collections.abc import Sequence
from random import Random
from typing import Any

from wxrc_simulation import pictures

PEOPLE = (("小王", ""), ("Lily", "王总"), ("王总", ""), ("老李", "李哥"))
"""Nickname and remark of the people whom an account knows."""

CONTENTS = ("text", "text", "text", "app", "image", "image missing", "image text")
"""What messages carry; at the URL of an image there may be nothing, or something else."""

_INTERFACES = {
    "text": ("roomSendText", "userSendText"),
    "app": ("roomSendApp", "userSendApp"),
    "image": ("roomSendImg", "userSendImg"),
}
SENDING = frozenset(interface for pair in _INTERFACES.values() for interface in pair)
"""The interfaces that send a message."""

_AT_URL: dict[str, pictures.Kind] = {"image": "there", "image missing": "missing", "image text": "text"}


def draw_target(random: Random, botcode: str, rooms: int, topics: Sequence[str]) -> dict[str, str]:
    """Draw a room or a person, by id or by name, there or not."""
    if random.random() < 0.3:
        kind = random.random()
        if kind < 0.1:
            return {"user_id": "nobody"}
        if kind < 0.2:
            return {"user_name": "没有这个人"}
        if kind < 0.5:
            return {"user_id": f"{random.randrange(len(PEOPLE))}-{botcode}"}
        return {"user_name": random.choice([name for names in PEOPLE for name in names if name])}
    room, kind = random.randrange(rooms), random.random()
    if kind < 0.08:
        return {"room_topic": "no such room"}
    if kind < 0.12:
        return {"room_id": "nowhere@x"}
    return {"room_topic": topics[room]} if kind < 0.6 else {"room_id": f"{room}@{botcode}"}


def draw(random: Random, number: int, target: dict[str, str]) -> dict[str, Any]:
    """Draw what a message to this room or person carries; return the fields of its `schedule.Ask`."""
    content = random.choice(CONTENTS)
    text = pictures.url(_AT_URL[content], number) if content in _AT_URL else f"text {number}"
    to_person = "user_id" in target or "user_name" in target
    interface = _INTERFACES[content.partition(" ")[0]][to_person]
    return {"content": content, "text": text, "interface": interface, **target}
