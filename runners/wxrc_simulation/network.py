"""The network between the callback sender and the receivers, in virtual time, and the receivers with their diaries.

It is plugged in below httpcore, at its network backend: the production sender runs above it unchanged.
"""

# ruff: noqa: ASYNC109  the signatures with `timeout` are httpcore's

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import h11
import httpcore
from attrs import define, evolve, field

from wxrc_simulation import pictures
from wxrc_simulation.chance import Chance
from wxrc_simulation.loop import VirtualLoop
from wxrc_simulation.records import Received, Run


@define(eq=False)
class Receiver:
    """One channel's receiver, under all of its host names.

    Attributes:
        chid: The channel.
        keys: The KEYs that it was given.
        webhook_secrets: The webhook secrets that it was given.
        mood: How it fails now; empty = it does not.
    """

    chid: str
    keys: list[str] = field(factory=list)
    webhook_secrets: list[str] = field(factory=list)
    mood: str = ""
    hosts: dict[str, None] = field(factory=dict)


class Network(httpcore.AsyncNetworkBackend):
    """Connects callbacks to receivers by host name."""

    def __init__(self, loop: VirtualLoop, run: Run, chance: Chance) -> None:
        self.receivers: dict[str, Receiver] = {}
        self.loop, self.run, self.chance = loop, run, chance
        self._addresses: dict[str, str] = {}

    def add(self, chid: str, host: str) -> None:
        """Give a channel's receiver one more name."""
        receiver = self.receivers.setdefault(chid, Receiver(chid))
        receiver.hosts[host] = None
        self._addresses[host] = f"10.0.{len(self._addresses) // 250}.{len(self._addresses) % 250 + 1}"

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the address of a host."""
        await asyncio.sleep(self.chance.seconds(0.0, 0.005))
        if host == pictures.HOST:
            return [pictures.ADDRESS]
        if host not in self._addresses:
            raise OSError("no such host")
        return [self._addresses[host]]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the receiver that has this address."""
        await asyncio.sleep(self.chance.seconds(0.0, 0.005))
        if host == pictures.ADDRESS:
            return pictures.PictureConnection(self.loop, self.chance)
        name = next(name for name, address in self._addresses.items() if address == host)
        receiver = next(each for each in self.receivers.values() if name in each.hosts)
        if receiver.mood == "refuses":
            raise httpcore.ConnectError("refused")
        return Connection(self, receiver, name)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Connection(httpcore.AsyncNetworkStream):
    """One connection to a receiver."""

    def __init__(self, network: Network, receiver: Receiver, host: str) -> None:
        self._network, self._receiver, self._host = network, receiver, host
        self._server = h11.Connection(h11.SERVER)
        self._body = b""
        self._headers: dict[str, str] = {}
        self._arrived = b""
        self._closed = False
        self._news = asyncio.Event()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what the receiver has answered, when there is something; nothing where it has closed."""
        while not self._arrived and not self._closed:
            self._news.clear()
            await self._news.wait()
        data, self._arrived = self._arrived[:max_bytes], self._arrived[max_bytes:]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take in a part of the request."""
        await asyncio.sleep(0)
        if self._closed:
            raise httpcore.WriteError("closed")
        if not buffer:
            return  # to h11 that would be the end of the connection
        self._server.receive_data(buffer)
        while True:
            event = self._server.next_event()
            if isinstance(event, h11.Request):
                self._headers = {name.decode().lower(): value.decode() for name, value in event.headers}
                self._body = b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                delay = self._network.chance.seconds(0.001, 0.03)
                self._network.loop.outside(delay, self._receive)
                return
            else:
                return

    def _receive(self) -> None:
        """The request has arrived at the receiver."""
        receiver, mood = self._receiver, self._receiver.mood
        form, text, told = _parsed(self._headers.get("content-type", ""), self._body.decode())
        signers = self._signers(text)
        status, answer, headers, delay = 200, b'{"result":"success"}', {}, 0.0
        if mood == "slow":
            delay = self._network.chance.seconds(0.5, 7.0)
        elif mood == "error":
            status, answer = 500, b"no"
        elif mood == "garbage":
            status, answer = 200, b"\xff\xfe<html>"
        elif mood == "unacknowledged":
            answer = b'{"result":"fail"}'
        elif mood == "retry later":
            status, answer, headers = 429, b"", {"Retry-After": "20"}
        elif mood == "gone":
            status, answer = 410, b""
        elif mood == "redirect":
            status, answer, headers = 302, b"", {"Location": "http://127.0.0.1/"}
        elif mood == "drip":
            delay = 4.0 if self._network.chance.happens(0.5) else 6.0
        acknowledges = mood in ("", "slow", "drip")
        number = len(self._network.run.received)
        self._network.run.received.append(
            Received(
                int(self._network.loop.time() * 1000),
                receiver.chid,
                f"http://{self._host}/",
                self._headers.get("webhook-id", ""),
                told,
                bool(signers),
                False,  # noted when the answer is on its way
                0 if mood in ("closes", "refuses", "silent") else status,
                len(self._network.run.store._data.log),
                signers,
                form,
            )
        )
        if mood == "silent":
            return
        if mood in ("closes", "refuses"):
            self._network.loop.outside(0.001, self._close)
            return
        self._network.loop.outside(
            delay + 0.001, self._answer, status, answer, headers, number if acknowledges else None
        )

    def _answer(self, status: int, answer: bytes, headers: dict[str, str], number: int | None) -> None:
        if self._closed:
            return
        if number is not None:
            received = self._network.run.received
            received[number] = evolve(received[number], acknowledged=True)
        everything = {"Content-Length": str(len(answer)), **headers}
        try:
            data = self._server.send(h11.Response(status_code=status, headers=list(everything.items()))) or b""
            data += self._server.send(h11.Data(data=answer)) or b""
            data += self._server.send(h11.EndOfMessage()) or b""
            self._server.start_next_cycle()
        except h11.LocalProtocolError:
            self._close()
            return
        self._arrived += data
        self._news.set()

    def _close(self) -> None:
        self._closed = True
        self._news.set()

    async def aclose(self) -> None:
        """Close it."""
        self._closed = True

    def get_extra_info(self, info: str) -> Any:
        """Say that the connection can still be used, or that it cannot."""
        return self._closed if info == "is_readable" else None

    def _signers(self, text: str) -> tuple[str, ...]:
        """Return the KEY and the webhook secrets that signed this callback; none where a signature is wrong, or there is none."""
        receiver, headers = self._receiver, self._headers
        signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + self._body
        standard: dict[str, str] = {}
        for secret in receiver.webhook_secrets:
            raw = base64.b64decode(secret.removeprefix("whsec_"))
            standard["v1," + base64.b64encode(hmac.digest(raw, signed, "sha256")).decode()] = secret
        md5 = {hashlib.md5((text + key).encode(), usedforsecurity=False).hexdigest(): key for key in receiver.keys}
        found = [md5.get(headers.get("x-ecaspsplus-signature", ""))]
        found += [standard.get(each) for each in headers.get("webhook-signature", "").split(" ")]
        return tuple(each for each in found if each) if all(found) else ()


def _parsed(content_type: str, raw: str) -> tuple[str, str, dict[str, Any]]:
    """Return how a callback was written, the text that its MD5 covers, and its reqBody; in bracket form every value is a text."""
    if content_type == "application/json":
        return "json", raw, json.loads(raw)["reqBody"]
    fields = dict(parse_qsl(raw, keep_blank_values=True))
    if "reqBody" in fields:
        return "form", fields["reqHead"] + fields["reqBody"], json.loads(fields["reqBody"])
    body: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.removeprefix("reqBody[").removesuffix("]").split("][")
        place = body
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return "bracket", raw, body
