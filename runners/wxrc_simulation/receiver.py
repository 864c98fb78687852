"""The business systems' callback receivers, and what they were told."""

from typing import TypeAlias

from attrs import frozen

from wxrc_core import delivery
from wxrc_core.effects import Post
from wxrc_simulation.scheduler import Steps
from wxrc_simulation.stage import Stage


@frozen
class Received:
    """One callback that reached its receiver."""

    webhook_id: str
    chid: str
    body: str


Verdict: TypeAlias = delivery.Succeed | delivery.Miss


class Receivers:
    """All receivers; `received` is what reached them, in order."""

    def __init__(self, stage: Stage) -> None:
        self.received: list[Received] = []
        self._stage = stage

    def post(self, effect: Post) -> Steps[Verdict]:
        """Post a callback once; return the command that tells how it ended."""
        stage, attempt = self._stage, effect.attempt
        yield stage.delay(1, 40)
        if stage.faults.strike("callback fails"):
            yield 5_000 if stage.random.random() < 0.2 else stage.delay(1, 50)
            retry_after_s = 600 if stage.random.random() < 0.1 else None
            return delivery.Miss(
                at=stage.now,
                attempt=attempt,
                reason="HTTP 500",
                retry_after_s=retry_after_s,
                jitter=stage.random.random(),
            )
        if stage.faults.strike("receiver gone"):
            return delivery.Miss(at=stage.now, attempt=attempt, reason="HTTP 410", gone=True)
        self.received.append(Received(delivery.webhook_id(effect.stream), effect.chid, effect.body))
        stage.note("called back", effect.stream, attempt)
        yield stage.delay(1, 40)
        if stage.faults.strike("callback not acknowledged"):
            return delivery.Miss(at=stage.now, attempt=attempt, reason="not acknowledged", jitter=stage.random.random())
        return delivery.Succeed(at=stage.now, attempt=attempt)
