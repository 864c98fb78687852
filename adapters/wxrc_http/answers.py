"""What is answered: the codes of wire.md, a fault on its way to its answer, the envelope, and the language of the sentence."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from wxrc_http.sentences import SENTENCES, LocalizedText


class Code(StrEnum):
    """rtCode (wire.md, "Response codes")."""

    DONE = "0"
    HEAD_INCOMPLETE = "10"
    HEAD_ILLEGAL = "11"
    TXCODE_REUSED = "12"
    SIGNATURE_WRONG = "13"
    NO_SUCH_INTERFACE = "20"
    NOT_GRANTED = "21"
    UNAVAILABLE = "22"
    UNEXPECTED = "23"
    BODY_INCOMPLETE = "30"
    BODY_TYPE = "31"
    BODY_VALUE = "32"
    TAKEN = "33"
    CANNOT = "34"


class Fault(Exception):
    """A request cannot be answered as asked; nothing was recorded.

    Attributes:
        code: Its rtCode.
        sentence: The name of its sentence in `SENTENCES`.
        values: What is filled in. A value that is a `LocalizedText` is taken in the language of the answer.
        status: The HTTP status.
        hints: The field `hints` for the answer (`wxrc_http.hints`), if there is something to say.
        retry_after_s: What `Retry-After` says (seconds); 0 = nothing of its own.
    """

    def __init__(
        self, code: Code, sentence: str, *, status: int = 200, retry_after_s: int = 0, **values: object
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.values = values
        self.status = status
        self.hints: Mapping[str, Any] = {}
        self.retry_after_s = retry_after_s


def sentence(name: str, english: bool, values: Mapping[str, object]) -> str:
    """Return a sentence, filled in, in one of the two languages."""
    said = SENTENCES[name]
    if not values:
        return said[english]
    filled = {key: value[english] if isinstance(value, LocalizedText) else value for key, value in values.items()}
    return said[english].format_map(filled)


def envelope(code: str, message: str, fields: Mapping[str, Any]) -> bytes:
    """Return the JSON text of an answer."""
    return _encode({"resHead": {}, "resBody": {"rtCode": code, "rtMsg": message, **fields}})


_encode: Final = msgspec.json.Encoder().encode
_RANGE = re.compile(
    r"\s*(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


@lru_cache(maxsize=256)
def prefers_english(accept_language: bytes) -> bool:
    """Tell whether an Accept-Language header prefers English to Chinese (RFC 9110, section 12.5.4); what cannot be read does not count.

    Args:
        accept_language: The header's value. At equal quality the language named first wins; `*` stands for Chinese.
    """
    english = chinese = 0.0
    english_first = False
    for part in accept_language.decode("latin-1").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        language, quality = match[1].lower().partition("-")[0], float(match[2] or "1")
        if language == "en":
            english_first = english_first or not chinese
            english = max(english, quality)
        elif language in ("zh", "*"):
            chinese = max(chinese, quality)
    return english > chinese or (english_first and english == chinese > 0)
