"""Shared by all tests: everything asynchronous runs under asyncio and under trio."""

from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, settings

from tests.nats import nats_cluster as nats_cluster
from tests.openapi import answer_place, errors
from tests.postgres import postgres as postgres
from tests.receiver import Receiver
from tests.webhooks import KEY, SECRET
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_http import testing
from wxrc_simulation.fixture import virtual as virtual

# How long an example takes depends on what else the machine does: it is no reason to fail.
settings.register_profile("wxrc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wxrc")


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


@pytest.fixture
def backend() -> testing.FakeBackend:
    """What stands behind the API: two channels and some bots."""
    return testing.FakeBackend()


@pytest.fixture
def caller(backend: testing.FakeBackend) -> testing.Caller:
    """Someone who calls the API in front of it."""
    return testing.Caller(backend)


@pytest.fixture(scope="session", autouse=True)
def answers_conform() -> Iterator[None]:
    """Check every answer that a test gets by `wxrc_http.testing.Caller` against the OpenAPI document."""
    enveloped = testing.enveloped

    def checked(response: httpx2.Response) -> httpx2.Response:
        place = answer_place(response.request.url.path.removeprefix("/api/"), response.status_code)
        assert [] == errors(place, enveloped(response).json())
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "enveloped", checked)
        yield
