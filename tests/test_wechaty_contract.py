"""The contract that holds for every puppet, held by the Wechaty puppet over the real gateway. asyncio only, as the puppet is."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from tests.wechaty import GatewayProcess, shared_gateway
from wxrc_core.content import Card
from wxrc_core.puppet import Room
from wxrc_core.testing.puppet_contract import Check, checks
from wxrc_core.testing.puppet_driver import Ability, Person, Slot, Written
from wxrc_puppet.port import PuppetContext
from wxrc_puppet.wechaty import WechatyPuppet

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The puppet runs under asyncio only."""
    return "asyncio"


class GatewayDriver:
    """Moves the WeChat side of the test gateway."""

    abilities: ClassVar[frozenset[Ability]] = frozenset({"refuse", "expire", "kick", "own", "unknown_room", "outsider"})
    room = Room("1001@chatroom", "订单群")
    member = Person("wxid_alice", "Alice")
    outsider = Person("wxid_carol", "Carol")

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway

    def puppet(self, session: Slot) -> WechatyPuppet:
        """Make a new puppet for the account behind the gateway."""
        clock = iter(range(1_700_000_000_000, 1_800_000_000_000)).__next__
        return WechatyPuppet(
            PuppetContext(
                botcode="bot",
                options=self.gateway.options,
                session=session,
                clock=clock,
                login_kind="web",
                public_url="http://127.0.0.1:8080",
            )
        )

    async def confirm(self, code: str) -> None:
        """Scan and confirm."""
        assert code == self.gateway.do("code")["code"]
        self.gateway.do("confirm")

    async def refuse(self, code: str) -> None:
        """Scan and refuse."""
        assert code == self.gateway.do("code")["code"]
        self.gateway.do("refuse")

    async def expire(self, code: str) -> None:
        """Let the code expire."""
        assert code == self.gateway.do("code")["code"]
        self.gateway.do("expire")

    async def kick(self) -> None:
        """Log the account in elsewhere."""
        self.gateway.do("kick")

    async def say(self, text: str, *, room_id: str = "", mention: bool = False, own: bool = False) -> None:
        """Write as a person."""
        self.gateway.do(
            "say",
            room=room_id,
            text=f"@demo\u2005{text}" if mention else text,
            mention=["wxid_bot"] if mention else [],
            **{"from": "wxid_bot" if own else self.member.id},
        )

    async def record(self) -> Sequence[Written]:
        """What reached WeChat."""
        return [
            Written(
                receipt=sent["id"],
                text=sent["text"],
                room_id=sent["conversation"],
                mentions=tuple(sent["mentions"]),
                card=_card(sent["card"]) if "card" in sent else None,
                image=sent.get("image", ""),
            )
            for sent in self.gateway.record()
        ]


def _card(sent: dict[str, str]) -> Card:
    """Return the card that arrived."""
    return Card(
        title=sent["title"], page_path=sent["pagePath"], appid=sent["appid"], username=sent["username"],
        description=sent["description"], thumb_url=sent["thumbUrl"], thumb_key=sent["thumbKey"],
    )  # fmt: skip


@pytest.fixture
def driver() -> Iterator[GatewayDriver]:
    """A fresh gateway: logged out, nothing recorded."""
    gateway = shared_gateway()
    gateway.open()
    yield GatewayDriver(gateway)
    gateway.do("close")


@pytest.mark.parametrize(
    "check", checks(WechatyPuppet.capabilities, GatewayDriver.abilities), ids=lambda check: check.__name__
)
async def test_contract(check: Check, driver: GatewayDriver) -> None:
    """The puppet keeps this part of the contract."""
    await check(driver)
