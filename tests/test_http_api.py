"""The head, the order of checks, once only, and every code of wire.md, section 1, through the real application."""

import logging
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from wxrc_core.errors import AlreadyTaken, Refusal, Unavailable
from wxrc_http.testing import (
    JSON,
    KEY,
    NOW,
    OTHER_KEY,
    TEXT,
    TXTIME,
    Caller,
    FakeBackend,
    a_channel,
    a_head,
    a_json,
    dumps,
    granted,
    res_body,
    signed,
)

pytestmark = pytest.mark.anyio


# -- reqHead ------------------------------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (1, 1.5, True, [], {}, "", "é", "a b", "\0", "\ud800", "x" * 65)
HEADS = [
    *((a_head(**{name: None}), "10", name) for name in ("chid", "botcode", "txcode", "txtime")),
    ({}, "10", "chid"),
    *((a_head(**{name: value}), "11", name) for name in a_head() for value in ODD),
    *((a_head() | {name: None}, "11", name) for name in a_head()),
    (a_head(sign=1), "11", "sign"),
    (a_head(signType=5), "11", "signType"),
    *(
        (a_head(txtime=txtime), "11", "txtime")
        for txtime in (
            "2026112319000",
            "202611231900",
            "2026-11-23 19:00:00",
            "20261323190000",
            "20260230190000",
            "20261123240000",
            "20261123196000",
            "20261123190060",
            "00000101000000",
            " 20261123190000",
            "２０２６１１２３１９００００",
            "20261123190501",
            "20261123185459",
            "20251123190000",
            "20271123190000",
            "20261123110000",
            str(NOW + 300_001),
            str(NOW - 300_001),
            str(NOW // 1000),
            "99991231235959",
            "00010101000000",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("head", "code", "named"), HEADS, ids=range(len(HEADS)))
@pytest.mark.wire("head.required", "head.values", "head.txcode", "code.10", "code.11")
async def test_heads(head: dict[str, Any], code: str, named: str, backend: FakeBackend, caller: Caller) -> None:
    """A field missing in the head gets 10, one of another type or with an illegal value 11, and the sentence names it."""
    said = await caller.call("roomSendText", TEXT, head=head)

    assert code == said["rtCode"]
    assert f"reqHead.{named}" in said["rtMsg"]
    assert [] == backend.log


@pytest.mark.parametrize(
    "txtime", [TXTIME, str(NOW), "20261123190500", "20261123185500", str(NOW + 300_000), str(NOW - 300_000)]
)
@pytest.mark.wire("head.txtime", "head.txtime_ms", "head.window")
async def test_txtimes(txtime: str, caller: Caller) -> None:
    """The window's edges belong to it, in both forms."""
    assert "0" == (await caller.call("roomSendText", TEXT, head=a_head(txtime=txtime)))["rtCode"]


@pytest.mark.wire("head.unknown")
async def test_unknown_head_fields_are_ignored(caller: Caller) -> None:
    """What nobody knows in the head, of any type, is ignored."""
    assert "0" == (await caller.call("roomSendText", TEXT, head=a_head(version=3, extra={"a": [None]})))["rtCode"]


@pytest.mark.parametrize(
    ("zone", "txtime", "day"),
    [
        ("Asia/Shanghai", "20261123235959", "20261123"),
        ("Asia/Shanghai", "1795449599000", "20261123"),
        ("Asia/Shanghai", "1795449600000", "20261124"),
        ("America/New_York", "20261123110000", "20261123"),
        ("America/New_York", "1795449600000", "20261123"),
        ("Pacific/Kiritimati", "20261124060000", "20261124"),
        # the hour that is there twice: 05:30 and 06:30 UTC
        ("America/New_York", "20261101013000", "20261101"),
    ],
)
@pytest.mark.wire("head.txtime")
async def test_zones(zone: str, txtime: str, day: str, backend: FakeBackend, caller: Caller) -> None:
    """A txtime is read in the channel's zone, and the day that a txcode belongs to is the day there."""
    backend.channels["crm"] = a_channel("crm", granted("zhao"), timezone=zone)
    moments = {
        "20261101013000": (1793511000000, 1793514600000),
        "20261123110000": (1795449600000,),
        "20261124060000": (1795449600000,),
    }
    for moment in moments.get(txtime, (1795449600000,)):
        backend.now = moment

        assert "0" == (await caller.call("roomSendText", TEXT, head=a_head(txtime=txtime)))["rtCode"]
    assert [f"message/crm/{day}/T1"] == [recorded.stream for recorded in backend.log]


# -- the order of checks ------------------------------------------------------------------------------------------------------


class Wrong:
    """A request that faults are put into."""

    def __init__(self) -> None:
        self.interface = "roomSendText"
        self.head = a_head()
        self.body: dict[str, Any] = dict(TEXT)
        self.raw: Callable[[bytes], bytes] = lambda raw: raw
        self.key = KEY
        self.size = 0


def _set(name: str, value: object) -> Callable[[Wrong], None]:
    return lambda wrong: setattr(wrong, name, value)


FAULTS: list[tuple[str, str, Callable[[Wrong], None]]] = [
    ("size", "413", _set("size", 20_000)),
    ("syntax", "31", _set("raw", lambda raw: raw[:-1])),
    ("head incomplete", "10", lambda wrong: wrong.head.pop("txcode", None)),
    ("head illegal", "11", lambda wrong: wrong.head.update(botcode=5)),
    ("window", "11", lambda wrong: wrong.head.update(txtime="20251123190000")),
    ("signature", "13", _set("key", "another")),
    ("interface", "20", _set("interface", "roomSendTexts")),
    ("grant", "21", lambda wrong: wrong.head.update(botcode="zhou") if wrong.head["botcode"] == "zhao" else None),
    ("body incomplete", "30", lambda wrong: wrong.body.pop("text", None)),
    ("types", "31", lambda wrong: wrong.body.update(roomTopic=7)),
    ("values", "32", lambda wrong: wrong.body.update(atList=[""])),
    ("txcode", "12", lambda wrong: wrong.head.update(txcode="USED") if "txcode" in wrong.head else None),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(combinations(range(len(FAULTS)), 2)))
@pytest.mark.wire("order", "order.nothing_recorded")
async def test_order_of_checks(first: int, second: int, backend: FakeBackend) -> None:
    """A request with two faults gets the code of the one that is checked first."""
    caller = Caller(backend, max_body_bytes=10_000)
    await caller.call("roomSendText", TEXT | {"text": "别的"}, head=a_head(txcode="USED"))
    wrong = Wrong()
    for number in (first, second):
        FAULTS[number][2](wrong)
    raw = wrong.raw(dumps({"reqHead": wrong.head, "reqBody": wrong.body, "fill": "x" * wrong.size}).encode())
    response = await caller.send(wrong.interface, raw, JSON | signed(raw, wrong.key))
    expected = FAULTS[first][1]

    assert expected == (str(response.status_code) if expected == "413" else res_body(response)["rtCode"])
    assert 1 == len(backend.log)


@pytest.mark.parametrize("number", range(len(FAULTS)))
@pytest.mark.wire("order", "code.30", "code.31", "code.32")
async def test_single_faults(number: int, backend: FakeBackend) -> None:
    """Each of the faults alone gets its code, so that the pairs prove something."""
    await test_order_of_checks(number, number, backend)


# -- interface and grant ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "x", "LOGIN", "login/", "login/x", "../login", "roomSendVideo", "__init__", "é", "%00", "call"]
)
@pytest.mark.wire("code.20")
async def test_unknown_interfaces(name: str, backend: FakeBackend, caller: Caller) -> None:
    """An unknown interface gets 20, and names those that there are."""
    said = await caller.call(name, TEXT)

    assert "20" == said["rtCode"]
    assert "roomSendText" in said["rtMsg"]
    assert [] == backend.log


@pytest.mark.wire("code.21", "attack.foreign")
async def test_another_channels_bot_is_as_no_bot(backend: FakeBackend, caller: Caller) -> None:
    """Another channel's bot, a bot that does not exist and a grant for one that is gone cannot be told apart."""
    answers = [await caller.call("botStatus", head=a_head(botcode=name)) for name in ("zhou", "nobody", "li")]

    assert ["21"] * 3 == [answer["rtCode"] for answer in answers]
    assert answers[0] == answers[1] == answers[2]


# -- once only ----------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("once.same", "once.different", "code.0", "code.12")
async def test_a_repeated_message(backend: FakeBackend, caller: Caller) -> None:
    """The same txcode and content is answered with the same msgid; anything different gets 12 and leaves nothing."""
    first = await caller.call("roomSendText", TEXT)

    assert first == await caller.call("roomSendText", TEXT, head=a_head(txtime="20261123190100"))
    for interface, body, botcode in (
        ("roomSendText", TEXT | {"text": "你好!"}, "zhao"),
        ("roomSendText", TEXT | {"unknown": 1}, "zhao"),
        ("roomSendText", TEXT, "qian"),
        ("login", None, "zhao"),
    ):
        said = await caller.call(interface, body, head=a_head(botcode=botcode))

        assert "12" == said["rtCode"]
        assert "reqHead.txcode" in said["rtMsg"]
    assert 1 == len(backend.log)


@pytest.mark.wire("once.day")
async def test_a_txcode_is_the_channels_and_the_days(backend: FakeBackend, caller: Caller) -> None:
    """Another day, or another channel, has the txcode for itself."""
    await caller.call("roomSendText", TEXT)
    backend.now += 86_400_000
    other_day = await caller.call("roomSendText", TEXT, head=a_head(txtime="20261124190000"))
    other_channel = await caller.call(
        "roomSendText", TEXT, head=a_head(chid="shop", botcode="zhou", txtime="20261124190000"), key=OTHER_KEY
    )

    assert [2, 3] == [other_day["msgid"], other_channel["msgid"]]


@pytest.mark.wire("once.queries")
async def test_queries_are_not_recorded(backend: FakeBackend, caller: Caller) -> None:
    """Queries leave nothing, and may be repeated with their txcode."""
    await caller.call("roomSendText", TEXT)
    for interface, body in (("botStatus", None), ("roomList", None), ("msgStatus", {"msgid": 1})):
        assert "0" == (await caller.call(interface, body, head=a_head(txcode=interface)))["rtCode"]
        assert "0" == (await caller.call(interface, body, head=a_head(txcode=interface)))["rtCode"]

    assert 1 == len(backend.log)


# -- when something is wrong on our side --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["starting", "store"])
@pytest.mark.wire("answer.503", "code.22")
async def test_unavailable(where: str, backend: FakeBackend, caller: Caller) -> None:
    """Where nothing can be promised the answer is 503 with Retry-After and code 22."""
    if where == "starting":
        backend.reason = "the gateway is starting"
    else:
        backend.failure = Unavailable("the gateway is starting")
    response = await caller.send("roomSendText", a_json(), JSON | signed(a_json()))

    assert 503 == response.status_code
    assert "1" == response.headers["retry-after"]
    assert "22" == res_body(response)["rtCode"]
    assert "the gateway is starting" in res_body(response)["rtMsg"]


@pytest.mark.parametrize(
    ("error", "code"), [(Refusal("the bot is gone"), "34"), (AlreadyTaken("the name is taken"), "33")]
)
@pytest.mark.wire("code.33", "code.34", "answer.200")
async def test_refusals(error: Exception, code: str, backend: FakeBackend, caller: Caller) -> None:
    """What the core refuses comes with its reason."""
    backend.failure = error
    said = await caller.call("roomSendText", TEXT)

    assert code == said["rtCode"]
    assert str(error) in said["rtMsg"]


@pytest.mark.wire("code.23", "rtMsg.secrets")
async def test_the_unexpected(backend: FakeBackend, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error is 23 with HTTP 200; the log tells where it was, and nothing of what it was about."""
    backend.failure = RuntimeError(f"secret {KEY} 你好")
    with caplog.at_level(logging.DEBUG, logger="wxrc.http"):
        response = await caller.send("roomSendText", a_json(), JSON | signed(a_json()))
        await caller.call("botStatus", None)

    assert 200 == response.status_code
    assert "23" == res_body(response)["rtCode"]
    [record] = caplog.records
    assert "RuntimeError in roomSendText" in record.getMessage()
    assert "_fail (testing.py:" in record.getMessage()
    for secret in (KEY, "你好", "secret"):
        assert secret not in caplog.text
        assert secret not in response.text


# -- languages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "english"),
    [
        ("", False),
        ("en", True),
        ("en-US,en;q=0.9", True),
        ("zh-CN,zh;q=0.9,en;q=0.8", False),
        ("en;q=0.8, zh;q=0.9", False),
        ("zh;q=0.5, en", True),
        ("en, zh", True),
        ("zh, en", False),
        ("fr, en;q=0.3", True),
        ("fr, *;q=0.5", False),
        ("*", False),
        ("*, en;q=0.5", False),
        ("en;q=0", False),
        ("en;q=0, zh;q=0", False),
        ("zh;q=0, en;q=0.001", True),
        ("EN-gb ; Q=1.000", True),
        ("en;q=2", False),
        ("en;q=abc, zh", False),
        ("english", False),
        (",,;q=1,en;;q", False),
        ("en" * 40_000, False),
        ("é", False),
    ],
)
@pytest.mark.wire("rtMsg.language")
async def test_languages(accept: str, english: bool, caller: Caller) -> None:
    """The sentence is Chinese, or English where Accept-Language prefers it; the rest is the same."""
    raw = a_json(a_head(txcode=5))
    pairs = [*JSON.items(), *signed(raw).items()]
    said: list[tuple[str, bytes]] = [(name, value.encode()) for name, value in pairs]
    response = await caller.send("login", raw, [*said, ("Accept-Language", accept.encode("latin-1"))])

    assert english == ("must be" in res_body(response)["rtMsg"])
    assert english == res_body(response)["rtMsg"].isascii()
    assert "11" == res_body(response)["rtCode"]
