"""The plan of a run: everything that is drawn from the seed before it begins, as plain data.

A plan can be written down as one line, played again byte for byte, and made smaller: whatever the run still breaks without is left out.
"""

import base64
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal

import msgspec
from msgspec import Struct

from wxrc_simulation import contents
from wxrc_simulation.kinds import ABOUT_BOTS as ABOUT_BOTS
from wxrc_simulation.kinds import AT_THE_DOOR as AT_THE_DOOR
from wxrc_simulation.kinds import HAPPENINGS as HAPPENINGS
from wxrc_simulation.kinds import MOODS as MOODS
from wxrc_simulation.kinds import OPERATIONS as OPERATIONS
from wxrc_simulation.kinds import RATES as RATES
from wxrc_simulation.kinds import STRIKES as STRIKES
from wxrc_simulation.kinds import TOPICS as TOPICS

UNLENT = "unlent"
"""A bot that no channel may use."""


class Event(Struct, frozen=True, tag_field="what", array_like=False):
    """Something that happens at a time (true ms since the run began)."""

    at: int


class Ask(Event, frozen=True, tag="ask"):
    """A business system asks; `repeats`: again so many ms after it was first sent, also when it was answered.

    `content` is one of `contents.CONTENTS`; `text` is the text, a card's title, or an image's URL; for `msgCancel` the txcode of the
    message, for `loginCode` the digits. `lifetime` is `expiresIn` (seconds; 0 = for ever).
    """

    chid: str
    botcode: str
    interface: str
    txcode: str
    text: str = ""
    room_id: str = ""
    room_topic: str = ""
    user_id: str = ""
    user_name: str = ""
    content: str = "text"
    lifetime: int = 0
    odd: str = ""
    repeats: tuple[int, ...] = ()
    leaves_after: int = 0
    day: int = 0


class Operate(Event, frozen=True, tag="operate"):
    """An operator does something: `grant`, `channel`, `move`, `cancel`, `resend`, `fail`, `bot`, `retry`, `replay`, or one of
    `AT_THE_DOOR` and `ABOUT_BOTS`.
    """

    action: str
    chid: str = ""
    botcode: str = ""
    txcode: str = ""
    value: str = ""


class Happen(Event, frozen=True, tag="happen"):
    """Something happens in WeChat: `kick`, `drop`, `rename`, `dissolve`, `found`, `speak`, `sign out`, `unfriend`, `remark`."""

    botcode: str
    how: str
    room: int = 0


class Strike(Event, frozen=True, tag="strike"):
    """Something happens to a replica: one of `STRIKES`; `amount` in callbacks or ms."""

    replica: int
    how: str
    amount: int


class Mood(Event, frozen=True, tag="mood"):
    """A channel's receiver fails for a while (ms)."""

    chid: str
    how: str
    lasts: int


Item = Ask | Operate | Happen | Strike | Mood


class BotPlan(Struct, frozen=True):
    """A bot: its pace, whether its puppet deduplicates, how many rooms its account has."""

    botcode: str
    pace: Literal["customary", "none"]
    deduplicates: bool
    rooms: int


class ChannelPlan(Struct, frozen=True):
    """A channel: whether it has a callback, and its grants: (botcode, on_doubt, inbound)."""

    chid: str
    callback: bool
    grants: tuple[tuple[str, str, str], ...]


class Schedule(Struct, frozen=True):
    """One run's plan.

    Attributes:
        seed: What it was drawn from; also the seed of everything that is decided while it runs.
        replicas: How many replicas there are.
        drifts: How fast each replica's wall clock runs, in ppm off.
        answer_wait_ms: How long an answer waits for a message's end.
        bots: The bots.
        channels: The channels.
        rates: How likely each fault is.
        length: How long the time of faults lasts (ms).
        items: What happens.
    """

    seed: int
    replicas: int
    drifts: tuple[int, ...]
    answer_wait_ms: int
    bots: tuple[BotPlan, ...]
    channels: tuple[ChannelPlan, ...]
    rates: dict[str, float]
    length: int
    items: tuple[Item, ...]

    def encode(self) -> str:
        """Return it as one line."""
        return base64.urlsafe_b64encode(zlib.compress(msgspec.msgpack.encode(self), 9)).decode()


def decode(line: str) -> Schedule:
    """Return the schedule that `encode` wrote.

    Raises:
        ValueError: It is none.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(base64.urlsafe_b64decode(line.strip())), type=Schedule)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"this is no schedule: {type(error).__name__}") from None


# -- drawing --------------------------------------------------------------------------------------------------------------------


def draw(seed: int) -> Schedule:
    """Draw a plan."""
    random = Random(f"plan {seed}")  # noqa: S311 - it has to be predictable
    length = int(2_000 + random.random() * 40_000)
    replicas = random.choice((1, 1, 1, 2, 2, 3))
    bots = tuple(
        BotPlan(
            f"bot{number}",
            "customary" if random.random() < 0.3 else "none",
            random.random() < 0.2,
            random.randint(1, 4),
        )
        for number in range(1 + (random.random() < 0.3))
    )
    channels = tuple(
        ChannelPlan(
            f"ch{number}",
            number == 0 or random.random() < 0.9,
            tuple(
                (
                    bot.botcode,
                    "resend" if random.random() < 0.2 else "leave",
                    "all" if random.random() < 0.3 else "addressed",
                )
                for bot in bots
                if number == 0 or random.random() < 0.7
            ),
        )
        for number in range(1 + (random.random() < 0.35))
    )
    calm = random.random() < 0.15
    rates = {
        name: round(worst * random.random(), 4) for name, worst in RATES.items() if not calm and random.random() < 0.4
    }
    items = [*_items(random, length, replicas, bots, channels), *_at_the_door(seed, length, channels)]
    items += _about_bots(seed, length, channels)
    together, more = _together(seed, length, channels)
    rates |= together
    items += more
    return Schedule(
        seed=seed,
        replicas=replicas,
        drifts=tuple(random.choice((0, 0, 50, -200, 2_000)) for _ in range(replicas)),
        answer_wait_ms=random.choice((0, 300, 300, 1_000)),
        bots=bots,
        channels=channels,
        rates=rates,
        length=length,
        items=tuple(sorted(items, key=lambda item: item.at)),
    )


def _at_the_door(seed: int, length: int, channels: tuple[ChannelPlan, ...]) -> Iterator[Item]:
    """Give out changes of what channels may do. The first channel is never removed: somebody has to log the bots in again."""
    random = Random(f"door {seed}")  # noqa: S311 - a source of its own, so that it changes nothing else of the plan
    if random.random() < 0.6:
        return
    for number in range(random.choice((1, 2, 3, 5))):
        action = random.choice(AT_THE_DOOR)
        channel = channels[-1] if action == "remove" else random.choice(channels)
        if action == "remove" and len(channels) == 1:
            continue
        bot = random.choice(channel.grants)[0] if channel.grants else ""
        if action != "revoke" or bot:
            yield Operate(
                int(random.random() * length), action, channel.chid, bot, f"door{number}", str(random.randrange(1000))
            )


def _together(seed: int, length: int, channels: tuple[ChannelPlan, ...]) -> tuple[dict[str, float], list[Item]]:
    """Give out what by chance hardly ever comes together: a receipt for what waits to be sent again; a replay of what was given up."""
    random = Random(f"together {seed}")  # noqa: S311 - a source of its own, as for the door
    rates = {"no answer": 0.6, "late receipt": 0.8} if random.random() < 0.15 else {}
    if random.random() >= 0.15:
        return rates, []
    chid, at = random.choice(channels).chid, int(random.random() * length / 2)
    replay = Operate(length - 500, "replay", chid, "", "", str(random.randrange(1000)))
    return rates, [Mood(at, chid, "gone", length), replay]


def _about_bots(seed: int, length: int, channels: tuple[ChannelPlan, ...]) -> Iterator[Item]:
    """Give out removals of bots, and paces that grants are given; `value` is the pace."""
    random = Random(f"bots {seed}")  # noqa: S311 - a source of its own, as for the door
    channel = random.choice([each for each in channels if each.grants])
    if random.random() < 0.12:
        botcode = random.choice(channel.grants)[0]
        yield Operate(int(random.random() * length), "remove bot", channel.chid, botcode, "gone", "0")
    if random.random() < 0.25:
        for number in range(random.choice((1, 1, 2))):
            botcode, pace = random.choice(channel.grants)[0], random.choice((1, 1, 2, 3, 0))
            yield Operate(int(random.random() * length / 2), "pace", channel.chid, botcode, f"pace{number}", str(pace))


ODD = (
    "no such interface", "not granted", "not lent", "wrong key", "no text", "wrong type", "empty text", "head incomplete", "head wrong",
    "late", "two rooms", "no room", "broken json",
)  # fmt: skip
"""Requests that are refused, one for each kind of answer."""


def _items(
    random: Random, length: int, replicas: int, bots: tuple[BotPlan, ...], channels: tuple[ChannelPlan, ...]
) -> Iterator[Item]:
    def sometime() -> int:
        return int(random.random() * length)

    def holder(botcode: str) -> str:
        return random.choice([each.chid for each in channels if any(grant[0] == botcode for grant in each.grants)])

    for number, bot in enumerate(bots):
        kinds = ("login", "login", "webLogin", "macLogin", "logout", "stop")
        yield Ask(int(random.random() * 500), holder(bot.botcode), bot.botcode, "login", f"first{number}")
        for each in range(random.choice((0, 0, 1, 1, 2, 5))):
            yield Ask(sometime(), holder(bot.botcode), bot.botcode, random.choice(kinds), f"op{number}-{each}")
        for _ in range(random.choice((0, 1, 1, 2, 4))):
            how = random.choice(HAPPENINGS)
            yield Happen(sometime(), bot.botcode, how, random.randrange(4))
    cancels = random.random() < 0.2
    for number in range(random.choice((1, 2, 4, 6, 10, 16))):
        asked = _message(random, number, sometime(), bots, channels, holder)
        yield asked
        if cancels and random.random() < 0.5:
            at = asked.at + int(random.random() * random.choice((50, 5_000)))
            if random.random() < 0.5:
                yield Operate(at, "cancel", asked.chid, asked.botcode, asked.txcode, str(random.randrange(1000)))
            else:
                yield Ask(at, asked.chid, asked.botcode, "msgCancel", f"cancel{number}", asked.txcode)
    for number in range(random.choice((0, 0, 1, 2))):
        bot = random.choice(bots)
        yield Ask(
            sometime(),
            holder(bot.botcode),
            bot.botcode,
            "roomSendText",
            f"odd{number}",
            "x",
            f"0@{bot.botcode}",
            odd=random.choice(ODD),
        )
    for number in range(random.choice((0, 0, 1))):
        bot = random.choice(bots)
        yield Ask(
            sometime(),
            holder(bot.botcode),
            bot.botcode,
            random.choice(("botStatus", "roomList", "contactList", "botList")),
            f"q{number}",
        )
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        action = random.choice(OPERATIONS)
        bot = random.choice(bots)
        yield Operate(
            sometime(),
            action,
            random.choice(channels).chid,
            bot.botcode,
            f"tx{random.randrange(6)}",
            str(random.randrange(1000)),
        )
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        how = random.choice(("crash", "crash", "crash", "stall", *STRIKES))
        amount = {
            "crash": random.randrange(60),
            "pause": int(random.random() * 25_000),
            "step": random.choice((-3_600_000, 3_600_000, -5_000, 90_000)),
            "cut off": int(random.random() * 15_000),
            "stall": int(8_000 + random.random() * 14_000),
            "freeze": int(11_000 + random.random() * 14_000),
            "deaf": int(8_000 + random.random() * 14_000),
            "leave": 0,
        }[how]
        yield Strike(sometime(), random.randrange(replicas), how, amount)
    for _ in range(random.choice((0, 0, 1, 2))):
        yield Mood(sometime(), random.choice(channels).chid, random.choice(MOODS), int(random.random() * 25_000))


def _message(
    random: Random,
    number: int,
    at: int,
    bots: tuple[BotPlan, ...],
    channels: tuple[ChannelPlan, ...],
    holder: Callable[[str], str],
) -> Ask:
    bot = random.choice(bots)
    repeats = random.choice(((), (), (), (0,), (20,), (int(random.random() * 30_000),)))
    expires = random.random() < 0.1
    drawn = contents.draw(random, number, contents.draw_target(random, bot.botcode, bot.rooms, TOPICS))
    return Ask(
        at=at,
        chid=holder(bot.botcode),
        botcode=bot.botcode,
        interface=drawn.pop("interface") + (" expires" if expires else ""),
        txcode=f"tx{number}" if random.random() < 0.95 else "tx0",
        lifetime=random.randint(1, 20) if random.random() < 0.1 and not expires else 0,
        repeats=repeats,
        leaves_after=int(random.random() * 400) if random.random() < 0.15 else 0,
        day=1 if random.random() < 0.05 else 0,
        **drawn,
    )


# -- shrinking ------------------------------------------------------------------------------------------------------------------


def shrink(schedule: Schedule, still_broken: Callable[[Schedule], bool], tries: int = 200) -> Schedule:
    """Return a smaller plan that is still broken: without whatever it is broken without as well."""
    left = tries

    def broken(smaller: Schedule) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and still_broken(smaller)

    size = max(1, len(schedule.items) // 2)
    while size:
        at = 0
        while at < len(schedule.items) and left > 0:
            smaller = msgspec.structs.replace(schedule, items=schedule.items[:at] + schedule.items[at + size :])
            if broken(smaller):
                schedule = smaller
            else:
                at += size
        size //= 2
    for name in list(schedule.rates):
        smaller = msgspec.structs.replace(
            schedule, rates={each: rate for each, rate in schedule.rates.items() if each != name}
        )
        if broken(smaller):
            schedule = smaller
    return schedule
