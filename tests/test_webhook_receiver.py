"""The receiver that other tests rely on: it waits with a limit, and runs as a program of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.receiver import Receiver
from wxrc_webhook import Acknowledged, CallbackRequest, WebhookSender, new_webhook_secret

KEY = "6f1d7a0c5b9e4e2f8a3c"
SECRET = new_webhook_secret(bytes(range(32)))


def attempt_at(url: str) -> CallbackRequest:
    """An attempt for a channel on this machine."""
    return CallbackRequest(
        url=url,
        webhook_id="evt_1",
        body={"botcode": "zhao", "type": "qrCode"},
        channel_key=KEY,
        webhook_secrets=(SECRET,),
        timestamp=1_795_431_600,
        allow_private=True,
    )


@pytest.mark.anyio
async def test_waiting() -> None:
    """Waiting returns what has arrived, and says what is missing when it takes too long."""
    with Receiver(key=KEY, secrets=[SECRET]) as receiver:
        async with WebhookSender() as sender:
            await sender.post(attempt_at(receiver.url))

        assert receiver.received == receiver.wait_for(1)
        assert receiver.received == await receiver.arrived(1)
        with pytest.raises(TimeoutError, match=r"0\.05 s for 2 callbacks; 1 have arrived"):
            receiver.wait_for(2, within_s=0.05)
        with pytest.raises(TimeoutError, match=r"0\.05 s for 2 callbacks; 1 have arrived"):
            await receiver.arrived(2, within_s=0.05)


@pytest.mark.anyio
async def test_wrong_signatures_are_noticed() -> None:
    """A receiver with another key or secret verifies nothing."""
    with Receiver(key="another", secrets=[new_webhook_secret(bytes(24))]) as receiver:
        async with WebhookSender() as sender:
            await sender.post(attempt_at(receiver.url))
    [received] = receiver.received

    assert not received.standard_verified
    assert not received.md5_verified


@pytest.mark.anyio
async def test_as_a_program() -> None:
    """Run by hand, it prints one JSON line for each callback."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.receiver", "--key", KEY, "--secret", SECRET],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            assert program.stderr is not None
            assert program.stdout is not None
            [url] = re.findall(r"http://\S+", program.stderr.readline())
            async with WebhookSender() as sender:
                outcome = await sender.post(attempt_at(url))
            line = json.loads(program.stdout.readline())
        finally:
            program.terminate()

    assert Acknowledged() == outcome
    assert line == {
        "path": "/callback",
        "webhookId": "evt_1",
        "verified": True,
        "botcode": "zhao",
        "type": "qrCode",
    }
