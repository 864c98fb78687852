"""Everything that this package raises. Every text is for people and has no KEY in it; each class says what the caller can do."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, NamedTuple

Language = Literal["zh", "en"]


class Advice(NamedTuple):
    """A sentence in both languages."""

    en: str
    zh: str


class ClientError(Exception):
    """Base of all errors of this package.

    Attributes:
        what_to_do: What helps, as a sentence in English (`en`) and Chinese (`zh`).
        maybe_accepted: Whether the gateway may have accepted the request all the same, by this try or by one whose answer was lost.
    """

    what_to_do: ClassVar[Advice] = Advice("See the text of the error.", "请看错误信息。")
    maybe_accepted = False


class NoAnswer(ClientError):
    """No answer came within the time limit, however often the request was repeated. Nobody knows yet what became of it.

    Attributes:
        txcode: The serial number of all tries.
        txdate: Their day in the channel's time zone, `yyyymmdd`.
        tries: How many there were.
        retry_after: What the last answer's Retry-After said (seconds), if there was one.
    """

    what_to_do = Advice(
        "Make the same call again with the same txcode on the same day, or ask msgStatus with txcode and txdate. "
        "A new txcode may send it twice.",
        "当天用同一个 txcode 重发同一请求，或用 txcode 和 txdate 查询 msgStatus。换新的 txcode 可能会重复发送。",
    )

    def __init__(
        self, why: str, *, txcode: str, txdate: str, tries: int, maybe_accepted: bool, retry_after: float | None
    ) -> None:
        doubt = "it may have been accepted" if maybe_accepted else "it was not accepted"
        super().__init__(f"no answer after {tries} tries ({why}); txcode {txcode} of {txdate}: {doubt}")
        self.txcode = txcode
        self.txdate = txdate
        self.tries = tries
        self.maybe_accepted = maybe_accepted
        self.retry_after = retry_after


class NotAnEnvelope(ClientError):
    """What answered is not the gateway, or not one that this release understands."""

    what_to_do = Advice(
        "Check the base URL, and what stands between the client and the gateway.",
        "请检查基础地址，以及客户端与网关之间的代理。",
    )


class Refused(ClientError):
    """The gateway refused the request; nothing was recorded, unless `maybe_accepted` says otherwise.

    Attributes:
        rt_code: The response code (wire.md, "Response codes").
        rt_msg: The gateway's sentence: it names the field and what would be right.
        txcode: The serial number of the request.
    """

    what_to_do = Advice("Read rt_msg.", "请看 rt_msg。")

    def __init__(self, rt_code: str, rt_msg: str, *, txcode: str, maybe_accepted: bool) -> None:
        super().__init__(f"{rt_code}: {rt_msg}")
        self.maybe_accepted = maybe_accepted
        self.rt_code = rt_code
        self.rt_msg = rt_msg
        self.txcode = txcode


class HeadRefused(Refused):
    """10 or 11: chid, botcode, txcode or txtime is not right."""

    what_to_do = Advice(
        "Correct the value that rt_msg names; for txtime, set this machine's clock.",
        "请更正 rt_msg 指出的值；若是 txtime，请校准本机时钟。",
    )


class TxcodeReused(Refused):
    """12: this txcode was used today for something else, which stands."""

    what_to_do = Advice(
        "Take a new txcode for a new request; repeat a request with exactly the same body.",
        "新的请求请用新的 txcode；重发请求时内容必须完全相同。",
    )


class SignatureRefused(Refused):
    """13: the signature does not hold, the channel does not accept its type, or there is no such channel."""

    what_to_do = Advice(
        "Check chid and KEY, and that the channel accepts this signature type.",
        "请检查 chid 和 KEY，以及渠道是否接受该签名类型。",
    )


class NotAllowed(Refused):
    """20 or 21: there is no such interface, or the channel may not do that with this bot."""

    what_to_do = Advice(
        "Check the interface and the botcode; the operator gives grants.",
        "请检查接口名和 botcode；授权由运营方配置。",
    )


class GatewayFault(Refused):
    """22 or 23: the gateway failed. What was asked for may have been recorded."""

    what_to_do = Advice(
        "Make the same call again with the same txcode; tell the operator if it goes on.",
        "请用同一个 txcode 重发同一请求；持续出现时请联系运营方。",
    )


class BodyRefused(Refused):
    """30, 31 or 32: a field of the body is missing, of the wrong type, or has a wrong value."""

    what_to_do = Advice("Correct the field that rt_msg names.", "请更正 rt_msg 指出的字段。")


class Taken(Refused):
    """33: the value is already taken."""

    what_to_do = Advice("Choose another value.", "请换一个值。")


class CannotDo(Refused):
    """34: the interface could not do it."""

    what_to_do = Advice(
        "rt_msg says why; botStatus and botList say what the bot can do now.",
        "rt_msg 说明了原因；botStatus 和 botList 说明机器人当前能做什么。",
    )


class CallbackRefused(ClientError):
    """A callback is not genuine, too old, or not readable. Answer it with HTTP 401 and change nothing."""

    what_to_do = Advice(
        "Answer 401. If all callbacks are refused, check the webhook secret and this machine's clock.",
        "请回复 401。若所有回调都被拒绝，请检查 webhook 密钥和本机时钟。",
    )


_BY_CODE: Final[Mapping[str, type[Refused]]] = {
    "10": HeadRefused,
    "11": HeadRefused,
    "12": TxcodeReused,
    "13": SignatureRefused,
    "20": NotAllowed,
    "21": NotAllowed,
    "22": GatewayFault,
    "23": GatewayFault,
    "30": BodyRefused,
    "31": BodyRefused,
    "32": BodyRefused,
    "33": Taken,
    "34": CannotDo,
}


def refused(rt_code: str, rt_msg: str, txcode: str, maybe_accepted: bool) -> Refused:
    """Return the error for a response code; `Refused` itself for one that this release does not know.

    Args:
        rt_code: The code.
        rt_msg: The gateway's sentence.
        txcode: The serial number of the request.
        maybe_accepted: Whether an earlier try may have been accepted.
    """
    kind = _BY_CODE.get(rt_code, Refused)
    return kind(rt_code, rt_msg, txcode=txcode, maybe_accepted=maybe_accepted or kind is GatewayFault)
