"""The image loop of one bot: fetch what its queued messages name, check it, store it; several at once, beside everything else.

An image is fetched after its request was accepted and before its message is claimed. Before: a slow server would hold up the answer, a
client that gives up and asks again would have it fetched twice, and nothing would be on record that could say `the file is not there`.
Later: a claim would grow old while the server takes its time. So the message waits at its place in the queue, and what is handed over
comes from the store, however often and by whichever owner.
"""

import logging

import anyio
import anyio.abc

from wxrc_core import message
from wxrc_core.bot_world import BotWorld
from wxrc_core.content import MAX_IMAGE_BYTES, Image, check_image, is_url
from wxrc_core.effects import FetchImage
from wxrc_core.errors import InvalidValue, Refusal
from wxrc_core.log import Fence
from wxrc_gateway._media_folder import NoSuchFile
from wxrc_gateway._runtime import Runtime
from wxrc_gateway._signal import Signal
from wxrc_gateway.retry import retry_until_available
from wxrc_webhook import FetchFailed

log = logging.getLogger("wxrc.gateway")

RETRY_S = (2.0, 10.0)
"""How long to wait before an image that could not be fetched for now is tried a second and a third time (seconds)."""

AT_ONCE = 2
"""Images of one bot that are fetched at the same time."""

IDLE_MS = 1_000
"""How often the loop looks again while this gateway may not act (ms)."""


class Images:
    """Fetches the images of one bot's messages.

    Attributes:
        signal: Wakes the loop.
    """

    def __init__(self, runtime: Runtime, world: BotWorld, fence: Fence) -> None:
        self.signal = Signal()
        self._runtime, self._world, self._fence = runtime, world, fence
        self._fetching: set[str] = set()

    async def run(self) -> None:
        """Fetch what is to be fetched, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self.signal.clear()
                if not self._runtime.may_begin():
                    await self.signal.wait(IDLE_MS)
                    continue
                for fetch in self._world.queue.next_fetches():
                    if fetch.stream not in self._fetching and len(self._fetching) < AT_ONCE:
                        self._fetching.add(fetch.stream)
                        tasks.start_soon(self._fetch, fetch)
                await self.signal.wait()

    async def _fetch(self, fetch: FetchImage) -> None:
        """Fetch one image and record what became of it."""
        try:
            command = await self._fetched(fetch)
            await retry_until_available(lambda: self._runtime.ledger.execute(fetch.stream, command, self._fence))
        except Refusal as refusal:
            log.info("%s: %s", fetch.stream, refusal)  # too late: cancelled, or expired
        finally:
            self._fetching.discard(fetch.stream)
            self.signal.set()

    async def _fetched(self, fetch: FetchImage) -> message.StoreImage | message.Fail:
        """Return the command that says what became of an image."""
        runtime = self._runtime
        for wait_s in (*RETRY_S, None):
            try:
                async with runtime.fetch_limit:
                    data = await self._read(fetch)
                    shape = check_image(data)
                    digest = await self._kept(data)
                image = Image(source=fetch.source, digest=digest, media_type=shape.media_type, size=len(data))
                return message.StoreImage(at=runtime.clock(), image=image)
            except InvalidValue as error:
                return message.Fail(at=runtime.clock(), reason="failed", detail=str(error))
            except NoSuchFile as error:
                return message.Fail(at=runtime.clock(), reason="no_file", detail=str(error))
            except FetchFailed as failure:
                if wait_s is None or not failure.retry:
                    return message.Fail(at=runtime.clock(), reason="no_file", detail=str(failure))
                await anyio.sleep(wait_s)
        raise AssertionError("the last try has no wait")

    async def _kept(self, data: bytes) -> str:
        return await retry_until_available(lambda: self._runtime.media.put(data))

    async def _read(self, fetch: FetchImage) -> bytes:
        if not is_url(fetch.source):
            return await self._runtime.media_folder.read(fetch.source)
        return await self._runtime.fetcher.fetch(
            fetch.source, limit=MAX_IMAGE_BYTES, allow_private=self._allow_private(fetch.chid)
        )

    def _allow_private(self, chid: str) -> bool:
        """Return whether an image may come from a private network: as the channel's callbacks may go there; an operator's may."""
        channel = self._world.channel(chid)
        return chid == message.OPERATOR if channel is None else channel.settings.allow_private
