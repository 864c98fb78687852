"""What the simulator's pages show: values for the templates, read from the simulated WeChat."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from attrs import frozen

from wxrc_puppet.simulator.model import Account, ChatMessage, Person
from wxrc_puppet.simulator.wechat import SimulatedWeChat

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
COLOURS = 8
PAUSE_MS = 5 * 60_000
"""After so long a pause a chat shows the time again, as WeChat does."""


@frozen
class Line:
    """One chat in the list of chats.

    Attributes:
        path: The last part of its page's address.
        name: The room's topic or the person's name.
        room: It is a room.
        members: How many people a room has, the account included.
        fault: What is wrong with the room.
        last: What was written last, in one line; empty = nothing.
        kind: What that is: `text`, `app` or `image`.
        when: When that was.
        mentioned: That mentions the account.
    """

    path: str
    name: str
    room: bool
    members: int
    fault: str
    last: str
    when: str
    mentioned: bool
    kind: str = "text"


@frozen
class Bubble:
    """One message in a chat.

    Attributes:
        message: The message.
        mine: The account wrote it.
        reminded: Names of those who are mentioned for real.
        time: The time to show above it; empty = none.
        iso: Its time for machines.
    """

    message: ChatMessage
    mine: bool
    reminded: str
    time: str
    iso: str


def chat_lines(wechat: SimulatedWeChat, account: Account) -> list[Line]:
    """Return the account's chats, those with the newest messages first."""
    lines: list[tuple[int, Line]] = []
    for room in wechat.directory.rooms(account.bot):
        last = wechat.messages.chat(account.bot, room_id=room.id, limit=1)
        members = len(wechat.directory.members(account.bot, room.id)) + 1
        lines.append(_line(wechat, account, f"room/{room.id}", room.topic, last, members=members, fault=room.fault))
    for person in wechat.directory.people(account.bot):
        last = wechat.messages.chat(account.bot, user_id=person.id, limit=1)
        lines.append(_line(wechat, account, f"user/{person.id}", person.remark or person.name, last))
    return [line for _, line in sorted(lines, key=lambda pair: -pair[0])]


def _line(
    wechat: SimulatedWeChat,
    account: Account,
    path: str,
    name: str,
    last: Sequence[ChatMessage],
    *,
    members: int = 0,
    fault: str = "",
) -> tuple[int, Line]:
    text, when, seq, mentioned, kind = "", "", 0, False, "text"
    if last:
        [message] = last
        mentioned = account.wxid in message.mentions
        who = f"{message.from_name}: " if members and message.via == "person" else ""
        kind = "app" if message.card is not None else "image" if message.picture else "text"
        said = message.card.title if message.card is not None else message.text
        text = " ".join(f"{who}{said[:80]}".split())
        when, seq = clock_time(message.time, wechat.clock()), message.seq
    return seq, Line(path, name, members > 0, members, fault, text, when, mentioned, kind)


def bubbles(wechat: SimulatedWeChat, account: Account, messages: Sequence[ChatMessage]) -> list[Bubble]:
    """Return the messages of a chat as they stand on the screen."""
    names = {person.id: person.name for person in (*wechat.directory.people(account.bot), me(account))}
    shown: list[Bubble] = []
    before = 0
    for message in messages:
        pause = message.time - before > PAUSE_MS
        reminded = "、".join(names.get(wxid, wxid) for wxid in message.mentions)
        time = clock_time(message.time, wechat.clock()) if pause else ""
        shown.append(Bubble(message, message.via != "person", reminded, time, _iso(message.time)))
        before = message.time
    return shown


def me(account: Account) -> Person:
    """Return the account itself as one of the people."""
    return Person(account.wxid, account.name)


def clock_time(at: int, now: int) -> str:
    """Return a time of day in China, with the date where it is not today's."""
    then, today = (datetime.fromtimestamp(ms / 1000, CHINA) for ms in (at, now))
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then:%m-%d %H:%M}" if then.year == today.year else f"{then:%Y-%m-%d %H:%M}"


def colour(name: str) -> int:
    """Return a colour for a name's picture, always the same one."""
    return sum(name.encode()) % COLOURS


def initial(name: str) -> str:
    """Return the character for a name's picture: the last one of a Chinese name, else the first."""
    name = name.strip() or "?"
    return name[-1] if name[-1] > "\u2e80" and len(name) <= 4 else name[0].upper()


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
