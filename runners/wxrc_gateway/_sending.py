"""The sending loop of one bot: claim, look once more, hand over, record the outcome; strictly one message at a time."""

import logging

import anyio

from wxrc_core import message
from wxrc_core.bot_world import BotWorld
from wxrc_core.boundary import checked_outcome
from wxrc_core.effects import Claim, Wait
from wxrc_core.errors import InvalidValue, Refusal, Unavailable
from wxrc_core.log import Fence
from wxrc_core.message import Message, MessageState
from wxrc_core.puppet import NotConnected, Outgoing, SendOutcome, Unconfirmed
from wxrc_gateway._append import read_state
from wxrc_gateway._client import BotClient
from wxrc_gateway._clock import mono
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_gateway.retry import error_location, retry_until_available

log = logging.getLogger("wxrc.gateway")

IDLE_MS = 1_000
"""How often a loop looks again while this gateway may not act (ms)."""


class Sending:
    """Sends the messages of one bot.

    Attributes:
        signal: Wakes the loop.
        leaving: It begins nothing new.
        under_way: Held while a message is claimed, handed over and recorded.
    """

    def __init__(self, runtime: Runtime, world: BotWorld, fence: Fence, client: BotClient) -> None:
        self.signal = Signal()
        self.leaving = False
        self.under_way = anyio.Lock()
        self._runtime, self._world, self._fence, self._client = runtime, world, fence, client

    async def run(self) -> None:
        """Send what may be sent, until cancelled."""
        while True:
            self.signal.clear()
            if self.leaving or not self._runtime.may_begin():
                await self.signal.wait(IDLE_MS)
                continue
            step = self._world.next_claim(self._runtime.now())
            if isinstance(step, Claim):
                self._runtime.begin()  # going down waits for the send that a claim leads to
                try:
                    async with self.under_way:
                        await self._send(step)
                finally:
                    self._runtime.end()
            else:
                await self.signal.wait(step.ms if isinstance(step, Wait) else None)

    async def _send(self, claim: Claim) -> None:
        runtime, botcode = self._runtime, self._world.botcode
        image, may_go = await self._prepare(claim)
        if not may_go:
            return
        if image is not None and self._world.next_claim(runtime.now()) != claim:
            return  # while the image was being read the bot was removed, or went out, or another message has become the next
        claimed_at = mono()
        command = message.ClaimAttempt(
            at=runtime.clock(),
            attempt=claim.attempt,
            room_id=claim.room_id,
            user_id=claim.user_id,
            epoch=self._fence.epoch,
            gap_ms=self._world.queue.pace.gap_ms(claimed_at),
        )
        try:
            if not await runtime.ledger.execute(claim.stream, command, self._fence):
                return
        except Refusal as refusal:
            log.info("%s: %s", claim.stream, refusal)  # too late: cancelled, or ended by a late receipt
            return
        except Unavailable as error:
            log.warning("bot %s: the store is unavailable, the claim is taken back: %s", botcode, error)
            await self._put_back(claim, "the store did not confirm the claim")
            return
        claimed = runtime.ledger.world.messages.get(claim.stream)
        if claimed is None or claimed.state.state is not MessageState.ATTEMPTED:
            return  # a late receipt of an earlier attempt ended it
        hindrance = self._world.last_look(claimed.state, claimed_at, runtime.now())
        if not hindrance and not runtime.alive():
            hindrance = "this gateway may not act any more"
        if hindrance:
            await self._put_back(claim, hindrance)
            return
        # From here on nothing is awaited before the puppet is called.
        self._world.queue.pace.handed_over(mono())
        outcome = await self._hand_over(message.outgoing(claimed.state, claim.msgid, image))
        await self._record_outcome(claim, outcome)

    async def _prepare(self, claim: Claim) -> tuple[bytes | None, bool]:
        """Look at a message before it is claimed: return its image, if it has one, and whether it may go. What never can is ended."""
        runtime = self._runtime
        waiting = runtime.ledger.world.messages.get(claim.stream)
        if waiting is None:
            return None, False
        queued, image, fail = waiting.state.queued, None, None
        able = self._client.capabilities()
        lacking = able.lacking(message.content(queued), to_person=message.is_to_person(queued)) if able else ""
        try:
            if lacking:
                detail = f"the bot's client cannot do that (unsupported: {lacking})"
                fail = message.Fail(at=runtime.clock(), reason="unsupported", detail=detail)
            elif waiting.state.image is not None:
                image = await runtime.media.get(waiting.state.image.digest)
                if image is None:
                    fail = message.Fail(at=runtime.clock(), reason="no_file", detail="the stored image is gone")
            if fail is not None:
                await runtime.ledger.execute(claim.stream, fail, self._fence)
        except Refusal as refusal:
            log.info("%s: %s", claim.stream, refusal)  # too late: it has ended
            return None, False
        except Unavailable as error:
            log.warning("bot %s: an image cannot be read, retrying: %s", self._world.botcode, error)
            await self.signal.wait(IDLE_MS)
            return None, False
        return image, fail is None

    async def _hand_over(self, outgoing: Outgoing) -> SendOutcome:
        botcode, limit_s = self._world.botcode, self._runtime.send_limit_s
        puppet = self._client.puppet
        if puppet is None:
            return NotConnected("the bot's client is not running")
        try:
            with anyio.fail_after(limit_s):
                return checked_outcome(await puppet.send(outgoing))
        except TimeoutError:
            return Unconfirmed(f"no answer from the bot's client in {limit_s:g} s")
        except InvalidValue as error:
            log.error(
                "the puppet of bot %s answered message %d with an invalid value: %s", botcode, outgoing.msgid, error
            )
            return Unconfirmed(f"the bot's client gave an invalid answer: {error}")
        except Exception as error:
            log.error(
                "the puppet of bot %s failed while sending message %d: %s",
                botcode,
                outgoing.msgid,
                error_location(error),
            )
            return Unconfirmed(f"the bot's client failed while sending ({type(error).__name__})")

    async def _record_outcome(self, claim: Claim, outcome: SendOutcome) -> None:
        """Record how the hand-over ended. Without a fence: it is a fact about our own attempt, whoever owns the bot by now."""
        runtime = self._runtime

        async def once() -> None:
            the_bot = self._world.bot
            assert the_bot is not None
            command = message.RecordOutcome(
                at=runtime.clock(),
                attempt=claim.attempt,
                outcome=outcome,
                resend=the_bot.added.deduplicates,
                rooms_complete=the_bot.ready and the_bot.rooms_complete,
                contacts_complete=the_bot.ready and the_bot.contacts_complete,
            )
            await runtime.ledger.execute(claim.stream, command)

        await retry_until_available(once)

    async def _put_back(self, claim: Claim, why: str) -> None:
        """Return a message that was claimed and not handed over to its place in the queue."""
        runtime = self._runtime

        async def once() -> None:
            state, _ = await read_state(runtime.store, claim.stream)
            if not isinstance(state, Message) or (state.attempt, state.epoch) != (claim.attempt, self._fence.epoch):
                return  # the claim was never recorded
            command = message.PutBack(at=runtime.clock(), attempt=claim.attempt, detail=why)
            await runtime.ledger.execute(claim.stream, command, self._fence)

        try:
            await retry_until_available(once)
        except Refusal as refusal:
            log.info("%s: %s", claim.stream, refusal)
