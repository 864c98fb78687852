"""What holds of the shipped backend in memory itself."""

from typing import Any

import pytest

from wxrc_core import message, operation
from wxrc_core.errors import TxcodeReused, Unavailable
from wxrc_http.testing import NOW, FakeBackend

pytestmark = pytest.mark.anyio


def a_queued(**changes: Any) -> message.MessageQueued:
    """Return an accepted message."""
    fields = {"chid": "crm", "botcode": "zhao", "txcode": "T1", "interface": "roomSendText", "digest": "d", "text": "t"}
    return message.MessageQueued(**({"at": NOW} | fields | changes))


def an_operation(**changes: Any) -> operation.OperationAccepted:
    """Return an accepted operation."""
    fields = {"chid": "crm", "botcode": "zhao", "txcode": "T1", "interface": "login", "digest": "d", "kind": "login"}
    return operation.OperationAccepted(**({"at": NOW} | fields | changes))


async def test_queue_is_once_only() -> None:
    """The same message again has the same number and leaves nothing; other content is refused."""
    backend = FakeBackend()
    first, _ = await backend.queue("s", a_queued(), 0)
    again, _ = await backend.queue("s", a_queued(at=NOW + 1), 0)

    assert 1 == first == again == len(backend.log)
    with pytest.raises(TxcodeReused):
        await backend.queue("s", a_queued(digest="other"), 0)
    with pytest.raises(TxcodeReused):
        await backend.operate("s", an_operation())


async def test_operate_is_once_only() -> None:
    """The same operation again leaves nothing; a message in its stream is refused."""
    backend = FakeBackend()
    await backend.operate("s", an_operation())
    await backend.operate("s", an_operation(at=NOW + 1))

    assert 1 == len(backend.log)
    with pytest.raises(TxcodeReused):
        await backend.queue("s", a_queued(), 0)
    assert await backend.message(1) is None
    assert await backend.message_in("s") is None


async def test_a_failing_backend() -> None:
    """A backend told to fail fails."""
    backend = FakeBackend()
    backend.failure = Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        await backend.queue("s", a_queued(), 0)
    assert [] == backend.log
