"""At the door: suspension, addresses, quota, wrong signatures, and the interfaces of a grant."""

from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from wxrc_core import channel
from wxrc_http import Api
from wxrc_http.admission import PLACES, WRONG_AT_ONCE, Admission
from wxrc_http.answers import Fault
from wxrc_http.testing import NOW, TEXT, Caller, FakeBackend, a_channel, a_head, a_json, granted, res_body, signed

pytestmark = pytest.mark.anyio


def set_up(backend: FakeBackend, **settings: Any) -> None:
    """Give channel `crm` these settings."""
    backend.channels["crm"] = a_channel("crm", granted("zhao"), **settings)


class From:
    """The application as it is called from an address."""

    def __init__(self, backend: FakeBackend, address: str) -> None:
        self._http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(Api(backend), client=(address, 1)), base_url="http://wxrc.example"
        )

    async def status(self, key: str = "") -> httpx2.Response:
        """Ask for a bot's status."""
        raw = a_json(body={})
        said = signed(raw, key) if key else signed(raw)
        return await self._http.post("/api/botStatus", content=raw, headers=said | {"Content-Type": "application/json"})


# -- suspension -----------------------------------------------------------------------------------------------------------------


async def test_a_suspended_channel_is_refused_and_nothing_is_recorded(backend: FakeBackend) -> None:
    """Its requests get 21 with a sentence, at every interface, until it is resumed."""
    caller = Caller(backend)
    known = backend.channels["crm"]
    backend.channels["crm"] = channel.evolve(known, channel.ChannelSuspended(at=NOW))
    refused = [
        await caller.call("roomSendText", TEXT),
        await caller.call("botStatus", {}),
        await caller.call("logout", {}),
    ]
    log = len(backend.log)
    backend.channels["crm"] = known

    assert {"21"} == {each["rtCode"] for each in refused}
    assert "暂停" in refused[0]["rtMsg"]
    assert 0 == log
    assert "0" == (await caller.call("roomSendText", TEXT))["rtCode"]


async def test_a_wrong_signature_learns_nothing_of_a_suspension(backend: FakeBackend) -> None:
    """Only who has the KEY is told that the channel is suspended."""
    backend.channels["crm"] = channel.evolve(backend.channels["crm"], channel.ChannelSuspended(at=NOW))

    assert "13" == (await Caller(backend).call("botStatus", {}, key="0" * 20))["rtCode"]


# -- addresses ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "address", "code"),
    [
        ((), "203.0.113.9", "0"),
        (("203.0.113.0/24",), "203.0.113.9", "0"),
        (("203.0.113.9",), "203.0.113.9", "0"),
        (("198.51.100.0/24", "2001:db8::/32"), "2001:db8::5", "0"),
        (("203.0.113.0/24",), "::ffff:203.0.113.9", "0"),
        (("203.0.113.0/24",), "203.0.114.9", "21"),
        (("203.0.113.0/24",), "2001:db8::5", "21"),
        (("203.0.113.0/24",), "testclient", "21"),
        (("203.0.113.0/24",), "", "21"),
    ],
)
async def test_calls_from_elsewhere_are_refused(
    backend: FakeBackend, allowed: tuple[str, ...], address: str, code: str
) -> None:
    """Where a channel lists addresses, it is let in from these only; the answer names the address that was seen."""
    set_up(backend, allowed_addresses=allowed)
    answer = (await From(backend, address).status()).json()["resBody"]

    assert code == answer["rtCode"]
    assert code == "0" or address in answer["rtMsg"]


# -- quota ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.wire("answer.429")
async def test_over_its_quota_a_channel_is_told_when_to_come_back(backend: FakeBackend) -> None:
    """The answer is 429 with the envelope, code 22 and `Retry-After`; nothing is recorded, and other channels go on."""
    set_up(backend, requests_per_minute=2)
    raw = [a_json(a_head(txcode=f"T{number}")) for number in range(3)]
    caller = Caller(backend)
    answers = [
        await caller.send("roomSendText", each, signed(each) | {"Content-Type": "application/json"}) for each in raw
    ]

    assert [200, 200, 429] == [each.status_code for each in answers]
    assert "22" == res_body(answers[2])["rtCode"]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    assert 2 == len(backend.log)


def test_a_quota_fills_again() -> None:
    """A burst at once, then one for each part of the minute; no more than the burst is saved up."""
    now, refused = 0.0, list[tuple[int, int]]()
    admission = Admission(lambda: now)
    limited = a_channel("crm", requests_per_minute=60, burst=3)

    def admitted() -> bool:
        try:
            admission.admit(limited, "")
        except Fault as fault:
            refused.append((fault.status, fault.retry_after_s))
            return False
        return True

    first = [admitted() for _ in range(4)]
    now = 1.0
    second = [admitted() for _ in range(2)]
    now = 1_000.0
    third = [admitted() for _ in range(4)]

    assert [True, True, True, False] == first
    assert [True, False] == second
    assert [True, True, True, False] == third
    assert {(429, 1)} == set(refused)


async def test_nobody_else_uses_up_a_quota(backend: FakeBackend) -> None:
    """Wrong signatures, however many, take nothing of the channel's quota."""
    set_up(backend, requests_per_minute=1)
    caller = From(backend, "203.0.113.9")
    for _ in range(5):
        await caller.status(key="0" * 20)

    assert 200 == (await caller.status()).status_code


def test_a_new_quota_counts_at_once() -> None:
    """A quota that was lowered or raised holds for the next request."""
    admission = Admission(lambda: 0.0)
    limited = a_channel("crm", requests_per_minute=1)
    admission.admit(limited, "")
    with pytest.raises(Fault):
        admission.admit(limited, "")
    settings = channel.evolve(limited, channel.SettingsChanged(at=1, requests_per_minute=0))
    admission.admit(settings, "")


# -- wrong signatures -----------------------------------------------------------------------------------------------------------


@pytest.mark.wire("attack.guessing")
async def test_wrong_signatures_are_throttled_and_the_right_one_is_not(backend: FakeBackend) -> None:
    """After so many from one address the answer is 429; the channel itself is let in from there, and others get 13 elsewhere."""
    here = From(backend, "203.0.113.9")
    wrong = [await here.status(key="0" * 20) for _ in range(WRONG_AT_ONCE + 1)]
    right = await here.status()
    elsewhere = await From(backend, "203.0.113.10").status(key="0" * 20)

    assert [200] * WRONG_AT_ONCE + [429] == [each.status_code for each in wrong]
    assert {"13"} == {each.json()["resBody"]["rtCode"] for each in wrong}
    assert int(wrong[-1].headers["retry-after"]) >= 1
    assert (200, "0") == (right.status_code, right.json()["resBody"]["rtCode"])
    assert 200 == elsewhere.status_code


@pytest.mark.slow
def test_an_attacker_makes_nothing_grow() -> None:
    """However many channels and addresses are tried, no more than a fixed number is remembered."""
    admission = Admission(lambda: 0.0)
    for number in range(3 * PLACES):
        admission.wrong_signature(f"c{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert PLACES == len(admission._wrong)
    assert not admission._quotas


def test_an_ipv6_site_is_one_place() -> None:
    """Whoever has a whole IPv6 network does not get a new count with each of its addresses."""
    admission = Admission(lambda: 0.0)
    faults = [admission.wrong_signature("crm", f"2001:db8:0:1::{number:x}") for number in range(WRONG_AT_ONCE + 1)]

    assert 429 == faults[-1].status


# -- the interfaces of a grant --------------------------------------------------------------------------------------------------


async def test_a_grant_may_name_its_interfaces(backend: FakeBackend) -> None:
    """An interface that a grant does not cover is answered with 21 and the list of those that it does."""
    known = backend.channels["crm"]
    grant = granted("zhao", interfaces=("botStatus", "roomSendText"))
    backend.channels["crm"] = replace(known, grants={"zhao": grant})
    caller = Caller(backend)
    refused = await caller.call("logout", {})

    assert "21" == refused["rtCode"]
    assert "botStatus, roomSendText" in refused["rtMsg"]
    assert "0" == (await caller.call("botStatus", {}))["rtCode"]
    assert "20" == (await caller.call("nonsense", {}))["rtCode"]
