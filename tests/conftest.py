"""Shared by all tests: everything asynchronous runs under asyncio and under trio."""

from collections.abc import Iterator

import pytest

from tests.postgres import postgres as postgres
from tests.receiver import Receiver
from tests.webhooks import KEY, SECRET
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_simulation.fixture import virtual as virtual


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop that a test runs on; one that needs asyncio only overrides this fixture in its own file."""
    return str(request.param)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of callbacks that knows the channel's key and secret."""
    with Receiver(key=KEY, secrets=[SECRET]) as receiver:
        yield receiver


@pytest.fixture
def client() -> ScriptedClient:
    """A client that logs in by itself, with two rooms."""
    scripted = ScriptedClient()
    scripted.logs_in("一群", "二群")
    return scripted
