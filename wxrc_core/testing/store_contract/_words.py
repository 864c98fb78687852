"""What the parts of the contract share: words, events, and what a log is without any store."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any, ClassVar, TypeAlias

import pytest
from attrs import define, field
from hypothesis import HealthCheck, settings

from wxrc_core.log import Appended, Conflict, Entry, Outcome, Recorded
from wxrc_core.message import MessageAttempted, MessageQueued

Store: TypeAlias = Any
"""A `wxrc_store.port.Store`; the port stands above the core, so it cannot be named here."""

Vault: TypeAlias = Any
"""A `wxrc_store.port.Vault`."""

OpenStore: TypeAlias = Callable[[str], AbstractAsyncContextManager[Store]]
OpenVault: TypeAlias = Callable[[str], AbstractAsyncContextManager[Vault]]

LIMIT = 60
"""How long a test may wait for something that must come (seconds)."""

PROPERTY = settings(
    max_examples=25,
    deadline=None,
    # The fixture only names files, and every example takes a new name; each subclass runs the same property.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)

STREAMS = ("a", "A", "a ", "a/1", "a%", "a'\"", "客服群", "\N{PILE OF POO}")
"""Names that a careless store would mix up."""


def queued(text: str = "您好") -> MessageQueued:
    """Return an event with a text."""
    return MessageQueued(
        at=1_790_000_000_000, chid="shop", botcode="bot", txcode="tx", interface="roomSendText", digest="d", text=text
    )


def attempted(attempt: int) -> MessageAttempted:
    """Return an event with a number."""
    return MessageAttempted(at=1_790_000_000_000, attempt=attempt, room_id="r@chatroom")


async def whole_log(store: Store, page: int = 1000) -> list[Recorded]:
    """Read a log from its beginning to its end."""
    log: list[Recorded] = []
    while found := await store.read_all(len(log), page):
        log += found
    return log


def check_log(log: Sequence[Recorded]) -> None:
    """Check that positions are 1..n and that the versions of each stream are 1..m."""
    assert [each.position for each in log] == list(range(1, len(log) + 1))

    versions: dict[str, int] = {}
    for each in log:
        assert each.version == versions.get(each.stream, 0) + 1

        versions[each.stream] = each.version


@define
class Model:
    """What a log is, without any store: a list."""

    log: list[Recorded] = field(factory=list)

    def read(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return the events of a stream after a version."""
        return [each for each in self.log if each.stream == stream and each.version > after]

    def append(self, entry: Entry) -> Outcome:
        """Append an entry, or not."""
        actual = len(self.read(entry.stream))
        if actual != entry.expected:
            return Conflict(actual)
        first = len(self.log) + 1
        for number, event in enumerate(entry.events):
            self.log.append(Recorded(first + number, entry.stream, actual + 1 + number, event))
        return Appended(first)


class Contract:
    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Name the event loop."""
        return str(request.param)


class StorePart(Contract):
    """A part of the contract of every store. Override the fixture `open_store`."""

    fresh: ClassVar[Callable[[], int]] = count().__next__

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return what makes a store, not yet entered, for the log of a name."""
        raise NotImplementedError("a subclass of StoreContract overrides the fixture open_store")
