"""The simulator keeps the contract of every puppet, with a driver that clicks in its WeChat."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import evolve

from wxrc_core.puppet import Room
from wxrc_core.testing.puppet_contract import Check, checks, digit_checks
from wxrc_core.testing.puppet_driver import Ability, ContractPuppet, MemorySlot, Person, Slot, Written
from wxrc_puppet import PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat
from wxrc_puppet.simulator.wechat import wall_clock

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = wall_clock()

    def __call__(self) -> int:
        """Return the time in epoch milliseconds."""
        return self.now


class SimulatorDriver:
    """Moves the simulated WeChat as its pages would."""

    abilities: ClassVar[frozenset[Ability]] = frozenset(
        {"refuse", "expire", "kick", "own", "redeliver", "unknown_room", "outsider", "unknown_user", "digits"}
    )

    def __init__(self, wechat: SimulatedWeChat, clock: HandClock, options: dict[str, str]) -> None:
        self.wechat = wechat
        self.clock = clock
        self.options = {"startup_ms": "0", "sync_ms": "20", **options}
        wechat.ensure_account("demo", self.options)
        room = wechat.directory.rooms("demo")[0]
        self.room = Room(room.id, room.topic)
        member, *_ = wechat.directory.members("demo", room.id)
        outsider = wechat.directory.people("demo")[-1]
        self.member = Person(member.id, member.name)
        self.outsider = Person(outsider.id, outsider.name)

    def puppet(self, session: Slot) -> ContractPuppet:
        """Make a new client of the account."""
        context = PuppetContext(
            botcode="demo",
            options=self.options,
            session=session,
            clock=self.clock,
            login_kind="web",
            public_url="http://sim.test",
        )
        return SimulatedPuppet(context, self.wechat)

    async def confirm(self, code: str) -> None:
        """Scan and confirm."""
        self.wechat.logins.scan(_token(code))
        self.wechat.logins.confirm(_token(code))

    async def refuse(self, code: str) -> None:
        """Scan and refuse."""
        self.wechat.logins.scan(_token(code))
        self.wechat.logins.refuse(_token(code))

    async def expire(self, code: str) -> None:
        """Let the time pass in which the code works."""
        found = self.wechat.logins.code(_token(code))
        assert found is not None
        self.clock.now = found.expires_at
        self.wechat.news.tell()

    async def kick(self) -> None:
        """Log in elsewhere."""
        assert self.wechat.logins.kick("demo")

    async def digits(self, code: str) -> str:
        """Return what the phone shows."""
        found = self.wechat.logins.code(_token(code))
        assert found is not None
        return found.digits

    async def say(self, text: str, *, room_id: str = "", mention: bool = False, own: bool = False) -> None:
        """Write as the member, or as the account itself."""
        self.wechat.messages.say(
            "demo",
            f"@demo\u2005{text}" if mention else text,
            room=room_id,
            user="" if room_id else self.member.id,
            sender="demo" if own else self.member.id,
        )

    async def record(self) -> Sequence[Written]:
        """Return what reached WeChat."""
        return [
            Written(
                receipt=message.id,
                text=message.text,
                room_id=message.room_id,
                user_id=message.user_id,
                mentions=message.mentions,
                card=message.card,
                image=message.picture,
            )
            for message in self.wechat.messages.record("demo")
        ]


def _token(code: str) -> str:
    assert code.startswith("http://sim.test/sim/qr/")
    return code.rpartition("/")[2]


@pytest.fixture
def clock() -> HandClock:
    """Return the clock of this test."""
    return HandClock()


@pytest.fixture
def wechat(tmp_path: Path, clock: HandClock) -> Iterator[SimulatedWeChat]:
    """Return a new WeChat whose clock a test moves by hand."""
    with SimulatedWeChat(tmp_path / "simulator.db", clock=clock) as wechat:
        yield wechat


@pytest.mark.parametrize(
    "check", checks(SimulatedPuppet.capabilities, SimulatorDriver.abilities), ids=lambda check: check.__name__
)
async def test_simulator_keeps_the_contract(check: Check, wechat: SimulatedWeChat, clock: HandClock) -> None:
    """The simulator does what every puppet must do."""
    await check(SimulatorDriver(wechat, clock, {}))


@pytest.mark.parametrize("check", digit_checks(SimulatorDriver.abilities), ids=lambda check: check.__name__)
async def test_simulator_with_digits_keeps_the_contract(
    check: Check, wechat: SimulatedWeChat, clock: HandClock
) -> None:
    """With `digits=on` the simulator asks for the digits that its phone shows."""
    await check(SimulatorDriver(wechat, clock, {"digits": "on"}))


DEDUPLICATING = evolve(SimulatedPuppet.capabilities, deduplicates=True)


@pytest.mark.parametrize("check", checks(DEDUPLICATING, SimulatorDriver.abilities), ids=lambda check: check.__name__)
async def test_simulator_that_deduplicates_keeps_the_contract(
    check: Check, wechat: SimulatedWeChat, clock: HandClock
) -> None:
    """With `deduplicates=on` the simulator does what a puppet with that capability must do."""
    driver = SimulatorDriver(wechat, clock, {"deduplicates": "on"})

    assert driver.puppet(MemorySlot()).capabilities == DEDUPLICATING

    await check(driver)
