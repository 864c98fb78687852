"""A captured request cannot be turned into another one (wire.md, section 1, "Signatures")."""

import pytest

from wxrc_http.arrivals import Arrivals
from wxrc_http.testing import (
    JSON,
    NOW,
    TEXT,
    Caller,
    FakeBackend,
    a_channel,
    a_head,
    a_signature,
    dumps,
    granted,
    res_body,
    signed,
)

pytestmark = pytest.mark.anyio

WINDOW_MS = 600_000


PAIRS = [
    ("botStatus", "logout"),
    ("botStatus", "roomList"),
    ("roomList", "login"),
    ("login", "logout"),
    ("login", "botStatus"),
    ("logout", "roomList"),
]


@pytest.mark.parametrize(("original", "body"), [("roomSendText", TEXT), ("login", {})])
async def test_a_copy_before_the_repetition(
    original: str, body: dict[str, object], backend: FakeBackend, caller: Caller
) -> None:
    """After a restart a copy at another interface may come first; the client that repeats its request gets its answer all the same."""
    raw = dumps({"reqHead": a_head(), "reqBody": body}).encode()
    headers = JSON | signed(raw, kind="MD5")
    first = res_body(await caller.send(original, raw, headers))
    restarted = Caller(backend)

    assert "12" == res_body(await restarted.send("logout", raw, headers))["rtCode"]
    again = res_body(await restarted.send(original, raw, headers))
    assert ("0", first.get("msgid")) == (again["rtCode"], again.get("msgid"))


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("kind", ["MD5", "HMAC-SHA256"])
@pytest.mark.wire("sign.one_interface", "attack.replay")
async def test_a_captured_request_at_another_interface(
    kind: str, first: str, second: str, backend: FakeBackend, caller: Caller
) -> None:
    """The very bytes of a request, signature included, get 12 at another interface, and do nothing there."""
    raw = dumps({"reqHead": a_head(), "reqBody": {}}).encode()
    headers = JSON | signed(raw, kind=kind)

    assert "0" == res_body(await caller.send(first, raw, headers))["rtCode"]
    left = len(backend.log)
    assert "12" == res_body(await caller.send(second, raw, headers))["rtCode"]
    assert left == len(backend.log)
    assert "0" == res_body(await caller.send(first, raw, headers))["rtCode"]


@pytest.mark.wire("sign.HMAC-SHA256-V2", "attack.replay")
async def test_the_interface_is_signed(backend: FakeBackend, caller: Caller) -> None:
    """With HMAC-SHA256-V2 the captured bytes are simply not signed for another interface, and no memory is needed."""
    raw = dumps({"reqHead": a_head(), "reqBody": {}}).encode()
    sign = a_signature(b"botStatus\n" + raw, kind="HMAC-SHA256-V2")
    headers = JSON | {"X-Ecaspsplus-Signature": sign, "X-Ecaspsplus-SignatureType": "HMAC-SHA256-V2"}

    assert "0" == res_body(await caller.send("botStatus", raw, headers))["rtCode"]
    assert "13" == res_body(await caller.send("logout", raw, headers))["rtCode"]
    assert [] == backend.log


async def test_the_same_txcode_may_be_signed_for_two_interfaces(caller: Caller) -> None:
    """With HMAC-SHA256-V2 a txcode may be used for queries at several interfaces: each request is signed for its own."""
    raw = dumps({"reqHead": a_head()}).encode()
    for interface in ("botStatus", "roomList"):
        sign = a_signature(interface.encode() + b"\n" + raw, kind="HMAC-SHA256-V2")
        headers = JSON | {"X-Ecaspsplus-Signature": sign, "X-Ecaspsplus-SignatureType": "HMAC-SHA256-V2"}

        assert "0" == res_body(await caller.send(interface, raw, headers))["rtCode"]


@pytest.mark.wire("order")
async def test_the_other_interface_checks_its_body_first(caller: Caller) -> None:
    """12 comes last in the order of checks: the other interface's own faults come before it."""
    await caller.call("botStatus", head=a_head())

    assert "20" == (await caller.call("roomSend", TEXT, head=a_head()))["rtCode"]
    assert "21" == (await caller.call("roomSendText", TEXT, head=a_head(botcode="zhou")))["rtCode"]
    assert "30" == (await caller.call("roomSendText", {}, head=a_head()))["rtCode"]
    assert "31" == (await caller.call("roomSendText", TEXT | {"text": 1}, head=a_head()))["rtCode"]
    assert "32" == (await caller.call("roomSendText", TEXT | {"text": ""}, head=a_head()))["rtCode"]
    assert "12" == (await caller.call("roomSendText", TEXT, head=a_head()))["rtCode"]


async def test_only_what_was_signed_and_may_be_done_counts(backend: FakeBackend, caller: Caller) -> None:
    """A wrong signature, an interface that does not exist and another channel's txcode take nothing away."""
    backend.channels["shop"] = a_channel("shop", granted("zhao"))
    await caller.call("botStatus", head=a_head(), key="guessed")
    await caller.call("botStat", head=a_head())
    await caller.call("botStatus", head=a_head(chid="shop"), key="0a7f3c55d1e94b6f9d20")

    assert "0" == (await caller.call("logout", head=a_head()))["rtCode"]


@pytest.mark.wire("sign.one_interface")
async def test_it_holds_as_long_as_the_request_does(backend: FakeBackend, caller: Caller) -> None:
    """A request whose txtime lies in the future is still known when that future ends."""
    head = a_head(txtime=str(NOW + 299_000))
    raw = dumps({"reqHead": head}).encode()
    headers = JSON | signed(raw)
    await caller.send("botStatus", raw, headers)
    for later in (1, 300_000, 598_000):
        backend.now = NOW + later
        await caller.call("botStatus", head=a_head(txcode=f"L{later}", txtime=str(backend.now)))

        assert "12" == res_body(await caller.send("logout", raw, headers))["rtCode"]
    backend.now = NOW + 599_001
    assert "11" == res_body(await caller.send("logout", raw, headers))["rtCode"]
    assert [] == backend.log


@pytest.mark.wire("attack.memory")
def test_memory_is_bounded_and_a_channel_forgets_its_own_only() -> None:
    """The newest are known, the oldest are forgotten, and one busy channel takes nothing from another."""
    arrivals = Arrivals(most=100)
    arrivals.first("quiet", "T", "a", NOW, 300)
    for number in range(1_000):
        arrivals.first("busy", str(number), "a", NOW, 300)
    kept = sum(len(part) for found in arrivals._channels.values() for part in (found.newer, found.older))

    assert kept <= 2 * 100 + 1
    assert "a" == arrivals.first("quiet", "T", "b", NOW, 300)
    assert ["a"] * 100 == [arrivals.first("busy", str(number), "b", NOW, 300) for number in range(900, 1_000)]
    assert "b" == arrivals.first("busy", "1", "b", NOW, 300)


@pytest.mark.parametrize("jump", [-86_400_000, 86_400_000])
def test_a_jump_of_the_clock(jump: int) -> None:
    """A clock that is set keeps nothing for ever; set back, it forgets nothing early."""
    arrivals = Arrivals()
    arrivals.first("crm", "T", "a", NOW, 300)

    assert ("a" if jump < 0 else "b") == arrivals.first("crm", "T", "b", NOW + jump, 300)
    arrivals.first("crm", "U", "a", NOW + jump + WINDOW_MS, 300)
    arrivals.first("crm", "V", "a", NOW + jump + 2 * WINDOW_MS, 300)
    assert 2 == sum(len(part) for found in arrivals._channels.values() for part in (found.newer, found.older))
