"""What a JetStream server is asked and answers: the conditions of a message, the codes of refusals, names as parts of subjects."""

import re
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

SUBJECT_LIMIT = 3_000
"""The longest subject (bytes): a server takes a line of 4,096 with everything that stands beside it."""

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"
"""The conditions that a message can carry; the last one holds for the stream, and only at the first message of a batch."""

# What a server answers (`err_code`): https://github.com/nats-io/nats-server/blob/main/server/errors.json
NO_MESSAGE, NO_STREAM, NO_JETSTREAM, NO_PEERS = 10037, 10059, (10039, 10076), (10005, 10074)
WRONG_SEQUENCE, NOT_STORED = 10071, 10077
SOON = frozenset({10008, 10009, 10164, 10176, 10210})
"""Not now, but soon: no leader; another batch on the same condition; a batch that was not whole; too many at once."""

Answer: TypeAlias = dict[str, Any]


class NoAnswer(Exception):
    """What was asked was not answered: it is not known whether it was done."""


class Stored(NamedTuple):
    """A message of a stream."""

    sequence: int
    subject: str
    data: bytes
    time: str


def taken(answer: Answer) -> bool:
    """Return whether a message was refused since a condition does not hold: its subject is taken, or a fence is over."""
    code = code_of(answer)
    return code == WRONG_SEQUENCE or (code == NOT_STORED and "per subject" in answer["error"].get("description", ""))


def code_of(answer: Answer) -> int:
    """Return the code of a refusal; 0 = it is none."""
    error = answer.get("error")
    return 0 if error is None else int(error.get("err_code") or error.get("code") or 1)


def words(error: Exception) -> str:
    """Return what an error says, for the end of a sentence and without what the library puts around it."""
    text = re.sub(r"^nats: '?|'$", "", str(error)).strip(" .")
    return text or type(error).__name__


_UNSAFE = re.compile(r"[\s\x00-\x20\x7f.*>%]")


def token(name: str) -> str:
    """Return a name as one token of a subject: what has a meaning there is percent-encoded."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name) or "%"


def untoken(text: str) -> str:
    """Return the name that a token stands for."""
    return "" if text == "%" else unquote(text)
