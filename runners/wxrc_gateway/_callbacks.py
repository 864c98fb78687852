"""The callback loops of one bot: for each channel two delivery queues, control notices apart from data, each posted in order.

A callback is posted without anything being recorded before: a crash in between posts it again under the same id. Its outcome is recorded by
the bot's records loop, together with whatever else is to be recorded, while the next callback is on its way.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.abc
import msgspec
from attrs import frozen

from wxrc_core import delivery
from wxrc_core.bot_world import BotWorld
from wxrc_core.callback_health import Failing, too_long
from wxrc_core.channel import Alter, CallbackDisabled, stream_name
from wxrc_core.delivery import DeliveryDue
from wxrc_core.effects import Decide, Moment, Post, Wait
from wxrc_core.errors import Unavailable
from wxrc_core.localized import LocalizedText
from wxrc_gateway._clock import mono
from wxrc_gateway._qr_codes import read_code
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_gateway.retry import error_location
from wxrc_webhook import Acknowledged, CallbackRequest, Failed, networks

log = logging.getLogger("wxrc.gateway")

IDLE_MS = 1_000


@frozen
class Outcome:
    """How an attempt for a channel ended: the command that records it."""

    chid: str
    stream: str
    command: delivery.Command


class Callbacks:
    """Posts the callbacks about one bot."""

    def __init__(self, runtime: Runtime, world: BotWorld, records: Signal) -> None:
        self._runtime, self._world, self._records = runtime, world, records
        self._signals: dict[tuple[str, bool], Signal] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._gone: set[str] = set()  # channels whose callback URL is to be disabled
        self._tasks: anyio.abc.TaskGroup | None = None
        self._ended = False

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start a loop for every queue that has something, now and when woken; in the end leave what is not recorded to the next owner."""
        self._tasks = tasks
        try:
            for chid in self._world.deliveries.channels():
                self.wake(chid)
            await anyio.sleep_forever()
        finally:
            self._ended = True
            self.recorded(self.unrecorded())

    def wake(self, chid: str) -> None:
        """Wake the loops of a channel's queues; the first call starts them."""
        if self._tasks is None:
            return  # `run` looks at all queues
        for control in (True, False):
            signal = self._signals.get((chid, control))
            if signal is not None:
                signal.set()
            elif self._world.deliveries.has(chid, control):
                self._signals[chid, control] = Signal()
                self._tasks.start_soon(self._post_all, chid, control)

    def wake_waiting(self, chid: str) -> None:
        """Wake the loops of a channel's queues that have something; none is started."""
        for control in (True, False):
            signal = self._signals.get((chid, control))
            if signal is not None:
                signal.set()

    def unrecorded(self) -> list[Outcome]:
        """Return the outcomes that are to be recorded."""
        return list(self._outcomes.values())

    def to_disable(self) -> list[Decide]:
        """Return what disables callback URLs, until it is recorded or another URL is set."""
        runtime, steps = self._runtime, []
        for chid in list(self._gone):
            channel = runtime.ledger.world.view.channels[chid].state
            endpoint = runtime.endpoint(chid)
            if channel.disabled is not None or not endpoint.gone:
                self._gone.discard(chid)
                continue
            failing, now = runtime.ledger.world.view.failing.get(chid), runtime.clock()
            disabled = CallbackDisabled(
                at=now,
                since=failing.since if failing is not None else now,
                reason=endpoint.reason,
                callback_url=channel.settings.callback_url,
            )
            steps.append(Decide(stream_name(chid), Alter((disabled,))))
        return steps

    def recorded(self, outcomes: Sequence[Outcome]) -> None:
        """Forget outcomes that are recorded, or have nothing left to record."""
        for outcome in outcomes:
            if self._outcomes.get(outcome.stream) is outcome:
                del self._outcomes[outcome.stream]
                self._world.deliveries.end(outcome.stream)
                self.wake_waiting(outcome.chid)
                self._runtime.end()

    async def _post_all(self, chid: str, control: bool) -> None:
        """Post what is due in one queue, in order, until nothing is left in it."""
        runtime, deliveries, key = self._runtime, self._world.deliveries, (chid, control)
        signal = self._signals[key]
        while True:
            signal.clear()
            if not runtime.may_begin():
                await signal.wait(IDLE_MS)
                continue
            endpoint, now = runtime.endpoint(chid), runtime.now()
            for hopeless in deliveries.hopeless(chid, control, now, endpoint):
                runtime.begin()
                deliveries.begin(hopeless.stream)
                self._note(chid, hopeless.stream, hopeless.command)
            step = deliveries.next_post(chid, control, now, endpoint)
            if isinstance(step, Post):
                async with runtime.post_limit(chid):
                    # Waiting for the limit takes time: the endpoint may be down now, or the callback have ended.
                    step = deliveries.next_post(chid, control, runtime.now(), endpoint)
                    if isinstance(step, Post):
                        await self._post(step)
            elif isinstance(step, Wait):
                await signal.wait(step.ms)
            else:
                del self._signals[key]
                return

    async def _post(self, post: Post) -> None:
        runtime, deliveries = self._runtime, self._world.deliveries
        endpoint = runtime.endpoint(post.chid)
        runtime.begin()  # ended when the outcome is recorded
        deliveries.begin(post.stream)
        try:
            endpoint.begin(post.stream, mono())
            outcome = await self._posted(post)
        except BaseException:
            deliveries.end(post.stream)
            endpoint.abandon(post.stream)
            runtime.end()
            raise
        now = runtime.now()
        if isinstance(outcome, Acknowledged):
            down_ms = endpoint.down_ms(now.mono)
            changed = endpoint.succeeded(post.stream)
            if changed:
                log.warning("channel %s: its callback URL answers again, after %s", post.chid, _duration(down_ms))
            deliveries.acknowledged(post.stream)
            self._note(post.chid, post.stream, delivery.RecordSuccess(at=now.wall, attempt=post.attempt))
        else:
            changed = self._failed(post, outcome, now)
        if changed:
            runtime.wake_channel(post.chid)

    def _failed(self, post: Post, outcome: Failed, now: Moment) -> bool:
        """Take in a failure; return whether other callbacks are concerned."""
        runtime, endpoint = self._runtime, self._runtime.endpoint(post.chid)
        log.info("callback %s, attempt %d: %s", delivery.webhook_id(post.stream), post.attempt, outcome.reason)
        jitter = runtime.chance.random()
        was_up = endpoint.up
        gone = outcome.gone and endpoint.closed(post.stream, outcome.reason)
        changed = gone or endpoint.failed(post.stream, now.mono, outcome.reason, outcome.retry_after_s, jitter)
        failing = runtime.ledger.world.view.failing.get(post.chid)
        if not gone and not endpoint.up and too_long(failing, now.wall, endpoint.down_ms(now.mono)):
            endpoint.disable(outcome.reason)
            changed = True
        if endpoint.gone:
            self._disable(post.chid, failing)
        elif was_up and not endpoint.up:
            next_ms = endpoint.wait_ms(post.stream, post.attempt, now.mono) or 0
            log.warning(
                "channel %s: its callback URL fails since now: %s; next try in %s",
                post.chid,
                outcome.reason,
                _duration(next_ms),
            )
        failure = delivery.RecordFailure(
            at=now.wall,
            attempt=post.attempt,
            reason=outcome.reason,
            retry_after_s=outcome.retry_after_s,
            gone=gone,
            jitter=jitter,
        )
        self._note(post.chid, post.stream, failure)
        return changed

    def _disable(self, chid: str, failing: Failing | None) -> None:
        """Have it recorded that nothing goes to a channel's callback URL any more, and tell the operator."""
        if chid in self._gone or self._runtime.ledger.world.view.channels[chid].state.disabled is not None:
            return
        self._gone.add(chid)
        log.warning(
            "channel %s: its callback URL is disabled: %s, failing since %s; what waits becomes dead letters. Set another URL, or use "
            "this one again: wxrc callbacks retry %s",
            chid,
            self._runtime.endpoint(chid).reason,
            _time(failing.since) if failing is not None else "now",
            chid,
        )

    def _note(self, chid: str, stream: str, command: delivery.Command) -> None:
        outcome = self._outcomes[stream] = Outcome(chid, stream, command)
        self._records.set()
        if self._ended:
            self.recorded([outcome])  # nobody records it any more

    async def _posted(self, post: Post) -> Acknowledged | Failed:
        """Post a callback once; whatever happens is an outcome."""
        try:
            request = await self._request(post)
            return await self._runtime.sender.post(request)
        except Unavailable as error:
            return Failed(str(error))  # its secrets or its text cannot be read now: as good as a receiver that is away
        except Exception as error:
            log.error("callback %s could not be made: %s", delivery.webhook_id(post.stream), error_location(error))
            return Failed(f"the callback could not be made ({type(error).__name__})")

    async def _request(self, post: Post) -> CallbackRequest:
        runtime = self._runtime
        channel = runtime.ledger.world.view.channels[post.chid].state
        body = post.body
        if body is None:
            recorded = await runtime.store.at(post.position)
            if recorded is None or not isinstance(recorded.event, DeliveryDue):
                raise Unavailable(
                    LocalizedText("日志中这条回调无法读取", "the log cannot be read where the callback stands")
                )
            body = recorded.event.body
        told: dict[str, Any] = msgspec.json.decode(body)
        if post.code_id:
            code = await read_code(runtime, post.botcode, post.code_id)
            if code is None:
                raise Unavailable(LocalizedText("它的二维码不在保险库中", "its QR code is not in the vault"))
            told |= code.told()
        return CallbackRequest(
            url=channel.settings.callback_url,
            webhook_id=delivery.webhook_id(post.stream),
            body=told,
            format=channel.settings.callback_format,
            # The oldest: while a KEY is rotated, a receiver knows the new one only from the moment at which its people put it in.
            channel_key=(await runtime.secrets.keys(channel))[-1],
            webhook_secrets=tuple(await runtime.secrets.webhook_secrets(channel)),
            timestamp=runtime.clock() // 1000,
            allow_private=channel.settings.allow_private or networks(channel.settings.private_networks) or False,
        )


def _duration(ms: int) -> str:
    return f"{ms / 1000:.0f} s" if ms < 600_000 else f"{ms / 60_000:.0f} min"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
