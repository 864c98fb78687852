"""Doubles for testing what speaks the wire: a backend in memory, and a channel that signs. They need the extra `testing` (httpx2).

The backend keeps its log in a list and lets the core decide and fold, so it is as honest as a store: what a request leaves behind can be
counted.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec

from wxrc_core import aggregate, bot, channel, content, message, operation, puppet
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Recorded
from wxrc_core.qr_code import QrCode
from wxrc_http import Api, Backend, MessageRecord

NOW = 1_795_431_600_000
"""2026-11-23 19:00:00 in Shanghai (epoch ms), the moment of the vectors."""

TXTIME = "20261123190000"
KEY = "6f1d7a0c5b9e4e2f8a3c"
OTHER_KEY = "0a7f3c55d1e94b6f9d20"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"text": "你好", "roomTopic": "客服一群"}


class FakeBackend:
    """The gateway's place, held by a list of events.

    It starts with two channels, `crm` and `shop`. `crm` holds grants for the bots `zhao` (logged in, three rooms), `qian` (awaiting a scan;
    default room), `sun` (never logged in) and for `li`, which is not there; `shop` for `zhou` only.

    Attributes:
        now: What the clock says (epoch ms).
        reason: Why nothing can be accepted; empty = all is well.
        log: Every event that a request has left, in order.
        outcome: What the puppet answers at once to a message whose answer waits; None = it takes longer.
        able: What every puppet can do.
        waits: The `wait_ms` of every accepted message.
        digits: The digits of logins that were accepted.
        images: The images that were stored, by SHA-256.
        failure: What every call that writes or reads raises, if anything.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.reason = ""
        self.log: list[Recorded] = []
        self.outcome: puppet.SendOutcome | None = None
        self.able = puppet.Capabilities(
            login_kinds=("web", "mac"), contacts=True, content=frozenset({"text", "app", "image"})
        )
        self.digits: list[str] = []
        self.images: dict[str, bytes] = {}
        self.waits: list[int] = []
        self.failure: Exception | None = None
        self.signing_keys: dict[str, Sequence[str]] = {"crm": (KEY,), "shop": (OTHER_KEY,)}
        self.channels = {
            "crm": a_channel(
                "crm",
                granted("zhao"),
                granted("qian", room_topic="默认群", on_doubt="resend"),
                granted("sun"),
                granted("li"),
            ),
            "shop": a_channel("shop", granted("zhou", room_id="9@chatroom")),
        }
        rooms = puppet.ReportRooms(
            at=NOW,
            rooms=(
                puppet.Room("1@chatroom", "客服一群"),
                puppet.Room("3@chatroom", "同名群"),
                puppet.Room("2@chatroom", "同名群"),
            ),
            complete=True,
        )
        contacts = puppet.ReportContacts(
            at=NOW,
            contacts=(
                puppet.Contact("wxid_1", "小王"),
                puppet.Contact("wxid_2", "Lily", "王总"),
                puppet.Contact("wxid_3", "王总"),
                puppet.Contact("wxid_4", "同名"),
                puppet.Contact("wxid_5", "同名"),
            ),
            complete=True,
        )
        code = puppet.ReportQrCode(at=NOW, text="weixin://1", expires_at=NOW + 60_000)
        login = bot.CarryOut(at=NOW, operation=1, kind="login")
        logged_in = puppet.ReportLoggedIn(at=NOW + 5, wxid="wxid_zhao", name="小赵")
        self.codes = {"c1": QrCode(code.text, "https://wxrc.example/qr/abc", code.expires_at)}
        self.bots = {
            "zhao": a_bot("zhao", login, reported(logged_in), reported(rooms), reported(contacts)),
            "qian": a_bot("qian", login, reported(code, "c1")),
            "sun": a_bot("sun"),
            "zhou": a_bot("zhou"),
        }

    def the_message(self) -> message.MessageQueued:
        """Return the only event that requests have left, which must be a message."""
        [recorded] = self.log
        assert isinstance(recorded.event, message.MessageQueued)
        return recorded.event

    def clock(self) -> int:
        """Return what `now` says."""
        return self.now

    def unavailable(self) -> LocalizedText | None:
        """Return what `reason` says."""
        return LocalizedText(self.reason, self.reason) if self.reason else None

    def channel(self, chid: str) -> channel.Channel | None:
        """Return a channel."""
        return self.channels.get(chid)

    async def keys(self, chid: str) -> Sequence[str]:
        """Return its KEYs."""
        return self.signing_keys[chid]

    def bot(self, botcode: str) -> bot.Bot | None:
        """Return a bot."""
        return self.bots.get(botcode)

    async def qr_code(self, botcode: str) -> QrCode | None:
        """Return the code that waits to be scanned, as `codes` has it."""
        found = self.bots[botcode].qr
        return self.codes.get(found.code_id) if found is not None and found.expires_at > self.now else None

    def capabilities(self, botcode: str) -> puppet.Capabilities:
        """Return what `able` says."""
        return self.able

    async def queue(self, stream: str, queued: message.MessageQueued, wait_ms: int) -> tuple[int, message.Message]:
        """Record the message if it is new, and what became of it at once."""
        self.waits.append(wait_ms)
        self.write(stream, message.Queue(queued))
        if wait_ms and self.outcome is not None and self._fold(stream).state == "queued":
            to_person = message.is_to_person(queued)
            room_id, user_id = "" if to_person else queued.room_id or "1@chatroom", "wxid_1" if to_person else ""
            self.write(stream, message.ClaimAttempt(at=self.now, attempt=1, room_id=room_id, user_id=user_id, epoch=1))
            self.write(stream, message.RecordOutcome(at=self.now, attempt=1, outcome=self.outcome))
        record = await self.message_in(stream)
        assert record is not None
        return record.msgid, record.message

    async def operate(self, stream: str, accepted: operation.OperationAccepted) -> None:
        """Record the operation if it is new."""
        self.write(stream, operation.Accept(accepted))

    async def operation_in(self, stream: str) -> operation.Operation | None:
        """Return the operation that has this stream."""
        self._fail()
        found = self._fold(stream)
        return found if isinstance(found, operation.Operation) else None

    async def submit_digits(self, stream: str, accepted: operation.OperationAccepted, digits: str) -> None:
        """Record the operation if it is new, and keep the digits."""
        before = len(self.log)
        self.write(stream, operation.Accept(accepted))
        if len(self.log) > before:
            self.digits.append(digits)

    async def cancel(self, msgid: int) -> MessageRecord:
        """Cancel the message with this number."""
        self.write(self.log[msgid - 1].stream, message.Cancel(at=self.now))
        record = await self.message(msgid)
        assert record is not None
        return record

    async def store_image(self, data: bytes) -> content.Image:
        """Check the image and keep it."""
        self._fail()
        shape, digest = content.check_image(data), hashlib.sha256(data).hexdigest()
        self.images[digest] = data
        return content.Image(source="", digest=digest, media_type=shape.media_type, size=len(data))

    def allowance(self, botcode: str, chid: str) -> tuple[int | None, int]:
        """Return no limit for `zhao`, and some for others."""
        return (None, self.now) if botcode == "zhao" else (7, self.now + 3_000)

    async def message(self, msgid: int) -> MessageRecord | None:
        """Return the message with this number."""
        self._fail()
        if not 0 < msgid <= len(self.log) or not isinstance(self.log[msgid - 1].event, message.MessageQueued):
            return None
        return await self.message_in(self.log[msgid - 1].stream)

    async def message_in(self, stream: str) -> MessageRecord | None:
        """Return the message that has this stream."""
        self._fail()
        history = self.history(stream)
        found = self._fold(stream)
        return MessageRecord(history[0].position, found, history) if isinstance(found, message.Message) else None

    def history(self, stream: str) -> list[Recorded]:
        """Return the events of a stream."""
        return [recorded for recorded in self.log if recorded.stream == stream]

    def tell(self, botcode: str, *reports: puppet.BotReport) -> None:
        """Let a bot's client report something."""
        for report in reports:
            known = self.bots[botcode]
            for event in bot.decide(known, reported(report, run=known.run)):
                self.bots[botcode] = bot.evolve(self.bots[botcode], event)

    def _fold(self, stream: str) -> Any:
        return aggregate.fold(self.history(stream))[0]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def write(self, stream: str, command: Any) -> None:
        """Record what happens because of a command to the message or operation in this stream."""
        self._fail()
        for event in aggregate.decide(self._fold(stream), command):
            self.log.append(Recorded(len(self.log) + 1, stream, len(self.history(stream)) + 1, event))


_typed: Callable[[], Backend] = FakeBackend  # mypy holds the fake to the protocol


def granted(botcode: str, **settings: Any) -> channel.BotGranted:
    """Return a grant."""
    return channel.BotGranted(at=NOW, botcode=botcode, **settings)


def reported(report: puppet.BotReport, code_id: str = "", run: int = 1) -> bot.TakeReport:
    """Return the command that takes a puppet's report."""
    return bot.TakeReport(run=run, report=report, code_id=code_id)


def a_channel(chid: str, *grants: channel.BotGranted, **settings: Any) -> channel.Channel:
    """Return a channel with these grants."""
    found = channel.evolve(
        None, channel.ChannelAdded(at=NOW, chid=chid, key_id="k1", webhook_secret_id="w1", **settings)
    )
    for grant in grants:
        found = channel.evolve(found, grant)
    return found


def a_bot(botcode: str, *commands: Any) -> bot.Bot:
    """Return a bot that all this has happened to."""
    found = None
    for command in (bot.Add(bot.BotAdded(at=NOW, botcode=botcode, puppet="simulator")), *commands):
        for event in bot.decide(found, command):
            found = bot.evolve(found, event)
    assert found is not None
    return found


# -- a channel that signs -------------------------------------------------------------------------------------------------------


def dumps(value: object) -> str:
    """Return the compact JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def a_head(**changes: Any) -> dict[str, Any]:
    """Return a right reqHead with these changes; None takes a field out."""
    head = {"chid": "crm", "botcode": "zhao", "txcode": "T1", "txtime": TXTIME} | changes
    return {name: value for name, value in head.items() if value is not None}


def a_json(head: object = None, body: object = None) -> bytes:
    """Return the JSON carrier's body."""
    return dumps({"reqHead": a_head() if head is None else head, "reqBody": TEXT if body is None else body}).encode()


def a_signature(text: bytes, key: str = KEY, kind: str = "MD5") -> str:
    """Return the signature of T, worked out here and not by the code under test."""
    if kind == "MD5":
        return hashlib.md5(text + key.encode()).hexdigest()
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def signed(raw: bytes, key: str = KEY, kind: str = "MD5") -> dict[str, str]:
    """Return the signature headers for T."""
    return {"X-Ecaspsplus-Signature": a_signature(raw, key, kind), "X-Ecaspsplus-SignatureType": kind}


QUERIES = frozenset({"botStatus", "msgStatus", "roomList", "contactList", "botList"})
"""Interfaces that change nothing."""

Headers = Mapping[str, str] | Sequence[tuple[str, str] | tuple[str, bytes]]


class Caller:
    """Calls the API over HTTP, in process, as channel `crm` by default."""

    def __init__(self, backend: FakeBackend, **options: Any) -> None:
        self.backend = backend
        self._queries = 0
        self._http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(Api(backend, **options)),
            base_url="http://wxrc.example",
        )

    async def send(self, interface: str, raw: bytes, headers: Headers, method: str = "POST") -> httpx2.Response:
        """Send a body as it is and check that the answer is an envelope."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        said = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in pairs]
        return enveloped(await self._http.request(method, f"/api/{interface}", content=raw, headers=said))

    async def get(self, interface: str, query: str, headers: Mapping[str, str]) -> httpx2.Response:
        """Send a query as it is."""
        return enveloped(await self._http.get(f"/api/{interface}?{query}", headers=dict(headers)))

    async def call(
        self,
        interface: str,
        body: object = None,
        *,
        head: Mapping[str, Any] | None = None,
        key: str = KEY,
        kind: str = "MD5",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a signed JSON request and return resBody; a body of None is left out. Each query has a txcode of its own."""
        if head is None:
            self._queries += 1
            head = a_head(txcode=f"Q{self._queries}") if interface in QUERIES else a_head()
        whole: dict[str, Any] = {"reqHead": head}
        if body is not None:
            whole["reqBody"] = body
        raw = json.dumps(whole).encode()
        said = signed(raw, key, kind) | {"Content-Type": "application/json"} | dict(headers or {})
        return res_body(await self.send(interface, raw, said))

    async def call_form(self, interface: str, body: object, *, head: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a signed form and return resBody."""
        texts = {"reqHead": dumps(a_head() if head is None else head), "reqBody": dumps(body)}
        said = signed("".join(texts.values()).encode()) | {"Content-Type": "application/x-www-form-urlencoded"}
        return res_body(await self.send(interface, urlencode(texts).encode(), said))


def enveloped(response: httpx2.Response) -> httpx2.Response:
    """Check that an answer is an envelope, with one of the HTTP statuses that may be."""
    whole = msgspec.json.decode(response.content)

    assert {"resHead", "resBody"} == set(whole)
    assert {} == whole["resHead"]
    assert isinstance(whole["resBody"]["rtCode"], str)
    assert isinstance(whole["resBody"]["rtMsg"], str)
    assert whole["resBody"]["rtMsg"]
    assert response.status_code in (200, 405, 408, 413, 429, 503)
    assert "application/json" == response.headers["content-type"]
    return response


def res_body(response: httpx2.Response) -> dict[str, Any]:
    """Return resBody."""
    found: dict[str, Any] = response.json()["resBody"]
    return found
