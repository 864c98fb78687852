"""The real service, killed with -9 again and again under load: what was accepted ends once, nothing is sent twice, callbacks arrive.

The judge is the simulator's own record of what reached WeChat, which is kept apart from the gateway's log.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx2
import pytest

from tests.live import Service, call, cli_json, record, scan_and_confirm
from tests.receiver import Receiver
from wxrc_core import bot, delivery, message, operation
from wxrc_core.log import Recorded
from wxrc_simulation.histories import Asked, violations
from wxrc_store.sqlite import SqliteStore

KILLS = int(os.environ.get("WXRC_KILLS", "30"))
ROOMS = ("客服一群", "测试群", "没有这个群")


@attrs.define
class Load:
    """Channels that keep asking, and ask again with the same txcode when the answer is lost."""

    url: str
    key: str
    stop: threading.Event = attrs.field(factory=threading.Event)
    answers: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    texts: dict[str, str] = attrs.field(factory=dict)
    failed: list[str] = attrs.field(factory=list)
    history: list[Asked] = attrs.field(factory=list)

    def run(self, name: str, seed: int) -> None:
        """Ask until told to stop; never give up on a request that was begun."""
        chance = random.Random(seed)
        number = 0
        while not self.stop.is_set():
            number += 1
            txcode, room = f"{name}-{number}", chance.choice(ROOMS)
            self.texts[txcode] = f"第 {txcode} 条"
            body = {"text": self.texts[txcode], "roomTopic": room}
            times = 1 + (chance.random() < 0.2)  # a fifth is asked twice although the answer came
            self.answers[txcode] = [self._insist(txcode, body) for _ in range(times)]
            time.sleep(chance.random() * 0.02)

    def _insist(self, txcode: str, body: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(body, sort_keys=True)
        for _ in range(600):
            began = time.monotonic_ns()
            try:
                answer = call(self.url, "crm", self.key, "zhao", "roomSendText", body, txcode=txcode)
            except httpx2.HTTPError:
                self.history.append(Asked(txcode, txcode, content, began, None, "unknown"))
                time.sleep(0.05)
                continue
            known = int(answer["msgid"]) if answer["rtCode"] == "0" else "unknown"
            self.history.append(Asked(txcode, txcode, content, began, time.monotonic_ns(), known))
            if answer["rtCode"] == "0":
                return answer
            if answer["rtCode"] != "22":
                self.failed.append(f"{txcode}: {answer}")
                return answer
            time.sleep(0.05)
        self.failed.append(f"{txcode}: no answer")
        return {}


async def whole_log(data: Path) -> list[Recorded]:
    """Return every event of a log that no service runs on."""
    async with SqliteStore(data / "wxrc.db") as store:
        events: list[Recorded] = []
        while page := await store.read_all(len(events), 5_000):
            events += page
        return events


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.wire("once.restart")
def test_killed_at_random_moments_under_load(tmp_path: Path) -> None:
    """Over all kills: one message per txcode, each with one end, none in WeChat twice, every due callback told, one scan."""
    chance = random.Random(20261124)
    with Receiver() as receiver, Service(tmp_path / "data") as service:
        made = cli_json(
            "channel", "add", "crm", "--callback", receiver.url, "--allow-private", "--json", data=service.data
        )
        service.cli(
            "bot",
            "add",
            "zhao",
            "--puppet",
            "simulator",
            "--channel",
            "crm",
            "--option",
            "startup_ms=0",
            "--option",
            "send_ms=4",
        )
        service.start()
        call(service.url, "crm", made["key"], "zhao", "login", {})
        [told] = receiver.wait_for(1)
        scan_and_confirm(told.req_body["qrcode"])
        receiver.wait_until(lambda got: any(each.req_body.get("botStatus") == "login" for each in got))

        load = Load(service.url, made["key"])
        workers = [threading.Thread(target=load.run, args=(f"w{seed}", seed)) for seed in range(6)]
        for worker in workers:
            worker.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.5))
            service.kill()
            service.start()
        load.stop.set()
        for worker in workers:
            worker.join()
        until_settled(service, made["key"], load)
        reached = record(service.url, "zhao")
        assert service.stop() == 0
        events = anyio.run(whole_log, service.data)

    assert load.failed == []
    assert [] == list(violations(load.history)), "a foreign judge: no order of the calls explains the answers"
    check_once(load, events)
    check_record(events, reached, load.texts)
    check_callbacks(events, receiver)
    assert sum(isinstance(each.event, bot.QrCodeIssued) for each in events) == 1


def until_settled(service: Service, key: str, load: Load) -> None:
    """Wait until no accepted message is under way any more, as a channel would ask for it."""
    for answers in load.answers.values():
        for _ in range(600):
            status = call(service.url, "crm", key, "zhao", "msgStatus", {"msgid": answers[0]["msgid"]})
            if status["sendStatus"] != "0":
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"still under way: {status}")


def check_once(load: Load, events: list[Recorded]) -> None:
    """Invariants 1, 2, 3, 4: one `queued` per accepted request, the same msgid to everybody who asked, no gaps."""
    queued = {each.event.txcode: each.position for each in events if isinstance(each.event, message.MessageQueued)}
    versions: Counter[str] = Counter()
    for position, each in enumerate(events, 1):
        versions[each.stream] += 1
        assert (position, versions[each.stream]) == (each.position, each.version)
    assert set(load.answers) == set(queued)
    assert {txcode: {answer["msgid"] for answer in answers} for txcode, answers in load.answers.items()} == {
        txcode: {position} for txcode, position in queued.items()
    }


def check_record(events: list[Recorded], reached: list[dict[str, Any]], texts: dict[str, str]) -> None:
    """Invariants 5, 6, 7, 9: the log against what WeChat says it got."""
    ended: dict[str, message.Message] = {}
    last: dict[str, message.MessageEvent] = {}
    for recorded in events:
        stream, event = recorded.stream, recorded.event
        if stream.startswith("message/") and not isinstance(event, operation.OperationAccepted):
            ended[stream] = message.evolve(ended.get(stream), event)
            last[stream] = event
    arrived = Counter(entry["text"] for entry in reached)
    receipts = {entry["text"]: entry["msgid"] for entry in reached}

    assert max(arrived.values()) == 1, "nothing reached WeChat twice"
    assert set(arrived) <= set(texts.values())
    for stream, each in ended.items():
        text = each.queued.text
        match last[stream]:
            case message.MessageSent(receipt=receipt):
                assert receipts.get(text) == receipt
            case message.MessageRoomNotFound():
                assert each.queued.room_topic == "没有这个群"
                assert text not in arrived
            case message.MessageInDoubt():
                assert each.tries == 1
            case _:
                raise AssertionError(f"no end: {each}")
    assert any(isinstance(event, message.MessageSent) for event in last.values())


def check_callbacks(events: list[Recorded], receiver: Receiver) -> None:
    """Invariant 12: every delivery that was due ended delivered, and the receiver saw each under its one id; none is missing."""
    state: dict[str, delivery.Delivery] = {}
    for each in events:
        if each.stream.startswith("delivery/"):
            state[each.stream] = delivery.evolve(state.get(each.stream), each.event)
    seen = {each.webhook_id for each in receiver.received}
    due = {
        delivery.stream_name(each.position, "crm")
        for each in events
        if each.stream.startswith("message/crm/") and _is_told(each.event)
    }

    ended = {delivery.DeliveryState.DELIVERED, delivery.DeliveryState.EXPIRED, delivery.DeliveryState.SUPERSEDED}
    answered = {stream for stream, each in state.items() if each.state is delivery.DeliveryState.ANSWERED}
    assert {each.state for stream, each in state.items() if stream not in answered} <= ended
    assert due <= set(state)
    assert {delivery.webhook_id(stream) for stream in due - answered} <= seen
    assert all(each.verified for each in receiver.received) or receiver.key == ""


def _is_told(event: Any) -> bool:
    ends = (message.MessageSent, message.MessageRoomNotFound, message.MessageInDoubt, message.MessageFailed)
    return isinstance(event, ends) and not event.answered
