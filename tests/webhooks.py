"""What the tests of callbacks share: an attempt, a receiver that knows its secrets, a resolver with given answers."""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import Any

from attrs import evolve

from wxrc_webhook import (
    CallbackRequest,
    new_webhook_secret,
)

KEY = "6f1d7a0c5b9e4e2f8a3c"
SECRET = new_webhook_secret(bytes(range(32)))
OTHER_SECRET = new_webhook_secret(bytes(range(24)))
NEVER_S = 60.0  # longer than any test waits
LOOPBACK = (ip_network("127.0.0.1/32"),)


def attempt_at(url: str, **changes: Any) -> CallbackRequest:
    """An attempt for a channel that may be called on this machine."""
    attempt = CallbackRequest(
        url=url,
        webhook_id="evt_7_crm",
        body={"botcode": "zhao", "type": "userMsg", "msgData": {"text": "你好 & =✅"}, "seq": 7},
        channel_key=KEY,
        webhook_secrets=(SECRET,),
        timestamp=1_795_431_600,
        allow_private=True,
    )
    return evolve(attempt, **changes)


def names(*answers: Sequence[str]) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    """A resolver that gives these answers in turn (the last one from then on), and the list of names it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked
