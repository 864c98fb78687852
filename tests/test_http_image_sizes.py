"""How large an image in a request may be: what the documentation says of `data:` URLs."""

import base64

import pytest

from wxrc_core.content import MAX_IMAGE_BYTES
from wxrc_http.testing import Caller, FakeBackend, a_head

pytestmark = pytest.mark.anyio

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MIB = 1_048_576


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio: trio objects to a body that the client of these tests has not sent to its end."""
    return "asyncio"


def data_url(size: int) -> str:
    """Return an image of so many bytes."""
    return "data:image/png;base64," + base64.b64encode(PNG + bytes(size - len(PNG))).decode()


def body(size: int) -> dict[str, str]:
    """Return a reqBody with an image of so many bytes."""
    return {"file": data_url(size), "roomTopic": "客服一群"}


async def test_an_image_in_json(backend: FakeBackend, caller: Caller) -> None:
    """It may have the 20 MiB that any image may have; a body beyond 28 MiB is too large."""
    fits = await caller.call("roomSendImg", body(MAX_IMAGE_BYTES), head=a_head(txcode="A"))
    body_too_large = await caller.call("roomSendImg", body(22 * MIB), head=a_head(txcode="C"))

    assert ("0", "32") == (fits["rtCode"], body_too_large["rtCode"])
    assert "29360128" in body_too_large["rtMsg"]
    assert [MAX_IMAGE_BYTES] == [len(image) for image in backend.images.values()]


@pytest.mark.parametrize(("size", "code"), [(700_000, "0"), (MIB, "32")])
async def test_an_image_in_a_form(caller: Caller, size: int, code: str) -> None:
    """A form has at most 1 MiB, whatever the interface."""
    assert code == (await caller.call_form("roomSendImg", body(size)))["rtCode"]
