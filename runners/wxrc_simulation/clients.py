"""Business systems: they sign real requests, call some replica's HTTP application, and ask again until they have an answer."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import attrs
import msgspec

from wxrc_core import message
from wxrc_core.content import Card
from wxrc_core.errors import WxrcError
from wxrc_simulation.chance import Chance, Faults
from wxrc_simulation.contents import SENDING
from wxrc_simulation.loop import VirtualLoop
from wxrc_simulation.records import Call, Run
from wxrc_simulation.replica import START, Replica
from wxrc_simulation.schedule import UNLENT, Ask

GIVE_UP_S = 3.0
"""How long a client waits for an answer before it asks again (seconds)."""

DAY = "20261124"
"""The day of every request, in the channels' time zone."""


class Clients:
    """All business systems.

    Attributes:
        asking: How many requests have no answer yet.
        shown: Tells the digits that a bot's phone shows.
    """

    def __init__(self, loop: VirtualLoop, run: Run, faults: Faults, replicas: Sequence[Replica]) -> None:
        self.keys: dict[str, str] = {}
        self.asking = 0
        self.shown: Callable[[str], str] = lambda botcode: ""
        self._loop, self._run, self._faults, self._replicas = loop, run, faults, replicas

    async def ask(self, item: Ask) -> None:
        """Ask until there is an answer that settles it."""
        chance = self._faults.at(f"ask {item.at} {item.txcode} {item.interface}")
        self.asking += 1
        try:
            while not await self._try(item, chance):  # noqa: ASYNC110 - it asks again, it does not wait for an event
                await asyncio.sleep(chance.seconds(0.1, 2.0))
        finally:
            self.asking -= 1

    async def _try(self, item: Ask, chance: Chance) -> bool:
        """Ask once; return whether that settles it."""
        replica = chance.pick(self._replicas)
        if not replica.serving or not replica.process.alive or replica.process.paused:
            return False
        interface = item.interface.partition(" ")[0]
        if interface == "msgCancel":
            known = [
                each.msgid
                for each in self._run.calls
                if each.txcode == item.text and each.chid == item.chid and each.msgid
            ]
            if not known:
                return True  # there is no number by which it could be cancelled
            self._run.cancelled.add(message.stream_name(item.chid, DAY, item.text))
            item = msgspec.structs.replace(item, content=str(known[0]))
        expires = item.interface.endswith("expires")
        number = len(self._run.calls)
        call = Call(
            number=number,
            chid="-" if expires else item.chid,
            interface=interface,
            botcode=item.botcode,
            txcode=item.txcode,
            day=DAY,
            content=f"{interface}|{item.botcode}|{item.room_id}|{item.room_topic}|{item.user_id}|{item.user_name}|{item.text}|{item.odd}",
            invoked=self._now(),
            replica=replica.process.name,
            text=item.text if interface in SENDING and not item.odd else "",
            key=self.keys.get(item.chid, ""),
        )
        self._run.calls.append(call)
        if chance.strikes("request lost"):
            await asyncio.sleep(GIVE_UP_S)
            return False
        await asyncio.sleep(chance.seconds(0.0, 0.01))
        answered: asyncio.Future[dict[str, Any] | None] = self._loop.create_future()
        gone = asyncio.Event()
        work = self._embedded(item, replica, answered) if expires else self._http(item, number, replica, answered, gone)
        self._loop.spawn(work, replica.process)
        leaves = item.leaves_after / 1000 if item.leaves_after and self._faults.on else None
        done, _ = await asyncio.wait([answered], timeout=leaves or GIVE_UP_S)
        if not done:
            self._note(number, gone=True, gone_at=self._now())
            gone.set()
            return leaves is not None and chance.happens(0.5)
        answer = answered.result()
        if answer is None:
            return False
        self._note(number, given=True, **answer)
        if chance.strikes("answer lost"):
            self._note(number, returned=None)
            await asyncio.sleep(GIVE_UP_S)
            return False
        await asyncio.sleep(chance.seconds(0.0, 0.01))
        self._note(number, returned=self._now())
        if interface == "loginCode" and answer["rtcode"] == "34" and self.shown(item.botcode):
            return False  # this replica has not heard of them yet
        return answer["status"] == 200 and answer["rtcode"] not in ("22", "11" if not item.odd else "")

    def _note(self, number: int, **fields: Any) -> None:
        self._run.calls[number] = attrs.evolve(self._run.calls[number], **fields)

    def _log_end(self) -> int:
        return len(self._run.store._data.log)

    def _now(self) -> int:
        return int(self._loop.time() * 1000)

    # -- by HTTP ----------------------------------------------------------------------------------------------------------------

    async def _http(
        self,
        item: Ask,
        number: int,
        replica: Replica,
        answered: "asyncio.Future[dict[str, Any] | None]",
        gone: asyncio.Event,
    ) -> None:
        """Call the HTTP application of a replica; runs in its process."""
        path, headers, body = self._request(item, self._run.calls[number].key)
        assert replica.store is not None
        self._note(number, known=replica.store.folded)
        begun = False
        status, parts = 0, bytearray()

        async def receive() -> MutableMapping[str, Any]:
            nonlocal begun
            if not begun:
                begun = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                return
            parts.extend(message.get("body", b""))
            if not message.get("more_body") and not answered.done():
                answered.set_result(
                    _answer(status, bytes(parts)) | {"log_end": self._log_end(), "given_at": self._now()}
                )

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        assert replica.api is not None
        await replica.api(scope, receive, send)
        if not answered.done():
            answered.set_result(None)

    def _request(self, item: Ask, right_key: str) -> tuple[str, dict[str, str], bytes]:
        interface, odd = item.interface.partition(" ")[0], item.odd
        head: dict[str, Any] = {
            "chid": item.chid,
            "botcode": {"not granted": "nobody", "not lent": UNLENT}.get(odd, item.botcode),
            "txcode": item.txcode,
            "txtime": str(START + self._now() - (3_000_000 if odd == "late" else 0)),
        }
        body: dict[str, Any] = {}
        if interface in SENDING:
            named = {
                "roomId": item.room_id, "roomTopic": item.room_topic, "userId": item.user_id, "userName": item.user_name,
                "expiresIn": item.lifetime,
            }  # fmt: skip
            body = _content(item) | {name: value for name, value in named.items() if value}
        elif interface == "msgCancel":
            body = {"msgid": int(item.content)}
        elif interface == "loginCode":
            body = {"code": item.text}
        if odd == "no text":
            del body["text"]
            body["roomId"] = "x"
        elif odd == "wrong type":
            body |= {"text": 17, "roomId": "x"}
        elif odd == "empty text":
            body |= {"text": "", "roomId": "x"}
        elif odd == "two rooms":
            body |= {"roomId": "x", "roomTopic": "y"}
        elif odd == "no room":
            del body["roomId"]
        elif odd == "head incomplete":
            del head["botcode"]
        elif odd == "head wrong":
            head["txtime"] = "yesterday"
        raw = json.dumps({"reqHead": head, "reqBody": body}, ensure_ascii=False).encode()
        if odd == "broken json":
            raw = raw[:-3]
        key = right_key if odd != "wrong key" else "not the key of this channel"
        headers = {
            "content-type": "application/json",
            "x-ecaspsplus-signaturetype": "HMAC-SHA256",
            "x-ecaspsplus-signature": hmac.new(key.encode(), raw, hashlib.sha256).hexdigest(),
        }
        return f"/api/{'noSuchThing' if odd == 'no such interface' else interface}", headers, raw

    # -- by an embedding program ------------------------------------------------------------------------------------------------

    async def _embedded(self, item: Ask, replica: Replica, answered: "asyncio.Future[dict[str, Any] | None]") -> None:
        """Send a message that expires, as an embedding program does; runs in the replica's process."""
        assert replica.gateway is not None
        fields: dict[str, Any] = {"status": 200, "rtcode": "0"}
        try:
            where: dict[str, Any] = {
                "room": item.room_topic, "room_id": item.room_id, "user": item.user_name, "user_id": item.user_id,
                "txcode": item.txcode, "expires_at": START + item.at + 1_500, "wait_s": 2.5,
            }  # fmt: skip
            gateway = replica.gateway
            if item.content == "text":
                record = await gateway.send_text(item.botcode, item.text, **where)
            elif item.content == "app":
                record = await gateway.send_app(item.botcode, Card(title=item.text, page_path="p", appid="wx"), **where)
            else:
                record = await gateway.send_image(item.botcode, item.text, **where)
            fields["msgid"] = record.msgid
            fields["send_status"], fields["send_reason"] = message.send_status(record.message)
        except WxrcError as error:
            fields = {"status": 200, "rtcode": {"TxcodeReused": "12", "NotFound": "21"}.get(type(error).__name__, "22")}
        if not answered.done():
            answered.set_result(fields | {"log_end": self._log_end()})


def _content(item: Ask) -> dict[str, Any]:
    """Return what the body of a message carries; cards as each of the two published revisions has them."""
    if item.content == "text":
        return {"text": item.text}
    if item.content != "app":
        return {"file": item.text}
    card = {"title": item.text, "pagepath": "pages/order"}
    if item.at % 2:
        return {"app": card | {"appid": "wx1", "thumbnailUrl": "https://pictures.example/1.png"}}
    return {"app": json.dumps(card | {"username": "gh_1@app", "thumbUrl": "x", "thumbKey": "y"})}


def _answer(status: int, body: bytes) -> dict[str, Any]:
    found = json.loads(body)["resBody"]
    return {
        "status": status,
        "rtcode": found["rtCode"],
        "msgid": found.get("msgid"),
        "send_status": found.get("sendStatus", ""),
        "send_reason": found.get("sendReason", ""),
    }
