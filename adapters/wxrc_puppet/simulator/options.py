"""What `wxrc bot add --option k=v` can say about a simulated bot.

Every value is checked when the bot is created, so that a slip shows there and not at the first login.
"""

from collections.abc import Mapping

from attrs import frozen

from wxrc_puppet.port import PuppetError

DEFAULT_TOPICS = ("客服一群", "客服二群", "测试群", "项目沟通群")

FAULTS = ("rejected", "no_receipt", "hang", "lost")
"""What can be wrong with a room.

- `rejected`: WeChat refuses what is sent there.
- `no_receipt`: what is sent arrives, and WeChat names no id for it.
- `hang`: what is sent arrives, and the answer never comes.
- `lost`: what is sent does not arrive, and the answer never comes.
"""


class BadOption(PuppetError):
    """An option of a simulated bot is unknown or its value is not one that it can have; the message names both."""


@frozen(kw_only=True)
class SimulatorOptions:
    """The options of a simulated bot, read and checked.

    Attributes:
        startup_ms: How long the client takes to start, before the first QR code or the login from a session (ms).
        qr_lifetime_ms: How long a QR code works (ms).
        qr_codes: How many QR codes are issued before the client gives up.
        digits: The phone shows digits on confirmation, and wants them handed over.
        rooms: Topics of the rooms; the same topic twice makes two rooms of that name.
        sync_ms: How long the room list takes to be whole after login (ms).
        send_ms: How long WeChat takes over one message (ms): half of it passes before the message is there, half after.
        deduplicates: The same msgid handed over again reaches WeChat once.
        faults: Topic of a room and what is wrong with it (one of `FAULTS`).
    """

    startup_ms: int = 200
    qr_lifetime_ms: int = 120_000
    qr_codes: int = 5
    digits: bool = False
    rooms: tuple[str, ...] = DEFAULT_TOPICS
    sync_ms: int = 100
    send_ms: int = 0
    deduplicates: bool = False
    faults: tuple[tuple[str, str], ...] = ()


DAY_MS = 86_400_000
NUMBERS = {
    "startup_ms": (0, 600_000),
    "qr_lifetime_ms": (50, DAY_MS),
    "qr_codes": (1, 100),
    "sync_ms": (0, 600_000),
    "send_ms": (0, 600_000),
}
SWITCHES = ("digits", "deduplicates")
KNOWN = (*NUMBERS, *SWITCHES, "rooms", "faults")


def read_options(options: Mapping[str, str]) -> SimulatorOptions:
    """Read and check the options of a simulated bot.

    Args:
        options: Names and values as the command line has them.

    Raises:
        BadOption: A name is unknown, or a value is not right; the message names the option and what would be right.
    """
    for name in options:
        if name not in KNOWN:
            raise BadOption(f"The simulator has no option {name!r}; it has {', '.join(sorted(KNOWN))}.")
    topics = _topics(options["rooms"]) if "rooms" in options else DEFAULT_TOPICS
    return SimulatorOptions(
        rooms=topics,
        faults=_faults(options["faults"], topics) if "faults" in options else (),
        digits=_switch("digits", options),
        deduplicates=_switch("deduplicates", options),
        **{name: _number(name, options[name]) for name in NUMBERS if name in options},
    )


def _number(name: str, value: str) -> int:
    low, high = NUMBERS[name]
    if not (value.isascii() and value.isdigit() and len(value) < 12 and low <= int(value) <= high):
        unit = " (milliseconds)" if name.endswith("_ms") else ""
        raise BadOption(f"Option {name} must be a whole number from {low} to {high}{unit}, not {value!r}.")
    return int(value)


def _switch(name: str, options: Mapping[str, str]) -> bool:
    value = options.get(name, "off")
    if value not in ("on", "off"):
        raise BadOption(f"Option {name} must be on or off, not {value!r}.")
    return value == "on"


def _topics(value: str) -> tuple[str, ...]:
    topics = tuple(topic.strip() for topic in value.replace("，", ",").split(","))
    if not all(topic and len(topic) <= 64 and topic.isprintable() for topic in topics) or len(topics) > 200:
        raise BadOption(
            "Option rooms must be room topics of 1 to 64 characters, with commas between them, at most 200."
        )
    return topics


def _faults(value: str, topics: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    faults = []
    for part in value.replace("，", ",").split(","):
        topic, _, fault = (word.strip() for word in part.rpartition(":"))
        if topic not in topics or fault not in FAULTS:
            raise BadOption(
                f"Option faults must be TOPIC:FAULT with commas between them, where TOPIC is one of the bot's rooms and"
                f" FAULT is one of {', '.join(FAULTS)}, not {part!r}."
            )
        faults.append((topic, fault))
    return tuple(faults)
