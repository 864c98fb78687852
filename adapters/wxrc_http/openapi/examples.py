"""The examples of the OpenAPI document: a whole request and a whole answer of each interface, in Chinese and English, and each callback.

Each is checked against the schema of its place by a test.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from wxrc_http.answers import Code, sentence
from wxrc_http.sentences import NOTHING, RULES, LocalizedText

LANGUAGES: Final = ("zh", "en")

HEAD: Final = {"chid": "crm", "botcode": "zhao", "txcode": "20261124093000000001", "txtime": "20261124093000"}
SIGNATURE: Final = "9a3f7c5e1b2d4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"
AT: Final = 1_795_483_800_000
"""The moment of `HEAD` (epoch ms)."""


class Example(NamedTuple):
    """What an interface takes and answers. A `LocalizedText` in it is taken in the language of the example.

    Attributes:
        body: `reqBody`.
        said: The name of the answer's sentence.
        fields: What the answer has besides rtCode and rtMsg.
    """

    body: Mapping[str, Any]
    said: str = "accepted"
    fields: Mapping[str, Any] = {}


_ROOM: Final = LocalizedText("客服一群", "Support 1")
_PERSON: Final = LocalizedText("陈静", "Jane Chen")
_TEXT: Final = LocalizedText("您好，订单已发货。", "Hello, your order has been shipped.")
_CARD: Final = {
    "title": LocalizedText("查看工单", "Your ticket"),
    "pagepath": "pages/ticket?id=42",
    "appid": "wx0123456789abcdef",
    "thumbnailUrl": "https://shop.example/ticket.png",
}
_SENT: Final = {"msgid": 42, "sendStatus": "1", "sendReason": ""}
_QUEUED: Final = {"msgid": 42, "sendStatus": "0", "sendReason": ""}
_IMAGE: Final = "https://shop.example/receipt.png"
_STATUS: Final = {
    "botStatus": "login",
    "botState": "login",
    "since": AT,
    "reason": "",
    "userAction": "none",
    "wxid": "wxid_zhao",
    "name": LocalizedText("小赵", "Zhao"),
}
_ABLE: Final = {
    "loginKinds": ["web", "mac"],
    "content": ["app", "image", "text"],
    "rooms": True,
    "contacts": True,
    "mentions": True,
    "receipts": True,
    "deduplicates": True,
    "inbound": True,
}
_CANCELLED: Final = {"msgid": 43, "sendStatus": "-1", "sendReason": "cancelled", "detail": "", "evidence": ""}

EXAMPLES: Final[Mapping[str, Example]] = {
    "login": Example({}),
    "macLogin": Example({}),
    "webLogin": Example({}),
    "loginCode": Example({"code": "482913"}),
    "botStatus": Example({}, "done", _STATUS),
    "roomSendText": Example(
        {"roomTopic": _ROOM, "text": _TEXT, "atList": [_PERSON], "expiresIn": 600}, "status 1", _SENT
    ),
    "roomSendApp": Example({"roomTopic": _ROOM, "app": _CARD}, "status 1", _SENT),
    "roomSendImg": Example({"roomTopic": _ROOM, "file": _IMAGE}, "status 0", _QUEUED),
    "userSendText": Example({"userName": _PERSON, "text": _TEXT}, "status 1", _SENT),
    "userSendApp": Example({"userName": _PERSON, "app": _CARD}, "status 1", _SENT),
    "userSendImg": Example({"userId": "wxid_chen", "file": _IMAGE}, "status 0", _QUEUED),
    "msgStatus": Example(
        {"msgid": 42},
        "status 1",
        {
            **_SENT,
            "detail": "",
            "evidence": "receipt",
            "state": "sent",
            "botcode": "zhao",
            "txcode": HEAD["txcode"],
            "history": [
                {"event": "queued", "time": AT},
                {"event": "attempted", "time": AT + 3, "attempt": 1, "roomId": "1@chatroom"},
                {"event": "sent", "time": AT + 240, "attempt": 1, "receipt": "7301"},
            ],
        },
    ),
    "msgCancel": Example({"msgid": 43}, "cancelled", _CANCELLED),
    "logout": Example({}),
    "stop": Example({}),
    "roomList": Example(
        {"limit": 1},
        "done",
        {"rooms": [{"roomId": "1@chatroom", "roomTopic": _ROOM}], "complete": True, "cursor": "1@chatroom"},
    ),
    "contactList": Example(
        {"cursor": "wxid_an"},
        "done",
        {"contacts": [{"userId": "wxid_chen", "userName": _PERSON, "remark": ""}], "complete": True},
    ),
    "botList": Example(
        {},
        "done",
        {
            "bots": [
                {"botcode": "zhao", **_STATUS, "capabilities": _ABLE, "sendsLeft": 18, "nextAt": AT + 2_000},
            ]
        },
    ),
}
"""By the interface's name."""

CALLBACK_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "qrCode": {
        "qrcodeImageUrl": "https://wxrc.example/qr/Jf3kQ9sV0cR2.png",
        "qrcode": "https://wxrc.example/sim/qr/Jf3kQ9sV0cR2",
        "expiresAt": AT + 120_000,
    },
    "botStatus": {"botStatus": "login", "reason": "", "wxid": "wxid_zhao", "name": LocalizedText("小赵", "Zhao")},
    "userMsg": {
        "msgType": "text",
        "msgData": {
            "text": LocalizedText("@小赵 我的订单到哪了？", "@Zhao where is my order?"),
            "fromId": "wxid_chen",
            "roomId": "1@chatroom",
            "fromName": _PERSON,
            "roomTopic": _ROOM,
            "messageId": "7302",
            "mentioned": True,
        },
    },
    "sendStatus": {
        **_SENT,
        "txcode": HEAD["txcode"],
        "detail": "",
        "evidence": "receipt",
    },
}
"""What `reqBody` of each type of callback has besides botcode, type, seq and time."""


class RefusalExample(NamedTuple):
    """A refusal: its code, the name of its sentence, and what is filled in."""

    code: Code
    said: str
    values: Mapping[str, object] = {}


def _rule(where: str, name: str) -> dict[str, object]:
    return {"field": f"{where}.{name}", "rule": RULES[name]}


REFUSALS: Final[Mapping[Code, RefusalExample]] = {
    each.code: each
    for each in (
        RefusalExample(Code.HEAD_INCOMPLETE, "missing", _rule("reqHead", "txcode")),
        RefusalExample(Code.HEAD_ILLEGAL, "window", {"seconds": 300, "now": HEAD["txtime"], "zone": "Asia/Shanghai"}),
        RefusalExample(Code.TXCODE_REUSED, "reused"),
        RefusalExample(Code.SIGNATURE_WRONG, "signature"),
        RefusalExample(Code.NO_SUCH_INTERFACE, "interface", {"names": "login, ..."}),
        RefusalExample(Code.NOT_GRANTED, "grant"),
        RefusalExample(Code.UNAVAILABLE, "unavailable", {"reason": "starting"}),
        RefusalExample(Code.UNEXPECTED, "unexpected"),
        RefusalExample(Code.BODY_INCOMPLETE, "missing", _rule("reqBody", "text")),
        RefusalExample(Code.BODY_TYPE, "type", _rule("reqBody", "text")),
        RefusalExample(Code.BODY_VALUE, "value", _rule("reqBody", "text")),
        RefusalExample(Code.TAKEN, "taken", {"reason": "-"}),
        RefusalExample(Code.CANNOT, "login kind", {"kind": "mac", "kinds": NOTHING}),
    )
}
"""One for each code."""

STATUS_EXAMPLES: Final[Mapping[int, RefusalExample]] = {
    400: RefusalExample(Code.HEAD_ILLEGAL, "not http"),
    408: RefusalExample(Code.BODY_INCOMPLETE, "too slow", {"seconds": "10"}),
    413: RefusalExample(Code.BODY_VALUE, "too large", {"limit": 1_048_576}),
    429: RefusalExample(Code.UNAVAILABLE, "quota", {"limit": 600, "seconds": 3}),
    431: RefusalExample(Code.HEAD_ILLEGAL, "head too large", {"limit": 65_536, "count": 100}),
    503: REFUSALS[Code.UNAVAILABLE],
}
"""One for each HTTP status but 200."""


def in_language(value: Any, language: str) -> Any:
    """Return a value with each `LocalizedText` in it in one language."""
    match value:
        case LocalizedText():
            return getattr(value, language)
        case Mapping():
            return {name: in_language(each, language) for name, each in value.items()}
        case list():
            return [in_language(each, language) for each in value]
    return value


def request_example(name: str, language: str) -> dict[str, Any]:
    """Return a whole request to an interface."""
    return {"reqHead": HEAD, "reqBody": in_language(EXAMPLES[name].body, language)}


def answer_example(name: str, language: str) -> dict[str, Any]:
    """Return a whole answer of an interface."""
    example = EXAMPLES[name]
    message = sentence(example.said, language == "en", {})
    return envelope_example(Code.DONE, message, in_language(example.fields, language))


def refusal_example(refusal: RefusalExample, language: str) -> dict[str, Any]:
    """Return a whole refusal."""
    return envelope_example(refusal.code, sentence(refusal.said, language == "en", refusal.values), {})


def envelope_example(code: str, message: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope of an answer."""
    return {"resHead": {}, "resBody": {"rtCode": str(code), "rtMsg": message, **fields}}


def callback_example(name: str, language: str) -> dict[str, Any]:
    """Return a whole callback."""
    body = {"botcode": "zhao", "type": name, **in_language(CALLBACK_EXAMPLES[name], language), "seq": 108, "time": AT}
    return {"reqHead": {}, "reqBody": body}
