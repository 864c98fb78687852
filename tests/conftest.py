"""Shared by all tests: everything asynchronous runs under asyncio and under trio."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop that a test runs on; one that needs asyncio only overrides this fixture in its own file."""
    return str(request.param)
