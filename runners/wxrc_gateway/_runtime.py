"""What all loops of one gateway share."""

import random
from collections.abc import Callable, Mapping

import anyio
from attrs import define, field

from wxrc_core.effects import Moment
from wxrc_core.endpoint import Endpoint
from wxrc_core.log import Member
from wxrc_core.qr_code import QrCode
from wxrc_gateway._clock import mono
from wxrc_gateway._ledger import Ledger
from wxrc_gateway._media_folder import MediaFolder
from wxrc_gateway._secrets import Secrets
from wxrc_gateway.admin import PuppetKind
from wxrc_store.port import Media, Store, Vault
from wxrc_webhook import FileFetcher, WebhookSender

POSTS_AT_ONCE = 32
"""Callbacks that are posted to one channel at the same time."""

FETCHES_AT_ONCE = 4
"""Images that are fetched at the same time; each may take 20 MiB."""


@define(eq=False)
class Runtime:
    """The outside of a gateway, and what its loops know in common.

    Attributes:
        store: The log.
        vault: Where secrets are.
        ledger: Follows the log and appends to it.
        puppets: Kinds of puppet by name.
        sender: Posts callbacks.
        secrets: KEYs and webhook secrets, read from the vault once.
        clock: Epoch ms.
        chance: The one source of tokens, ids and jitter.
        public_url: How browsers reach this service.
        send_limit_s: How long a puppet may take for one send (seconds).
        media: Images, by their content.
        media_folder: Files that channels may name.
        fetcher: Fetches images by URL.
        fetch_limit: Bounds the images that are in memory at the same time because they are fetched.
        member: This gateway as the store knows it; None = it owns nothing.
        draining: It begins nothing new.
        wake_channel: Wakes every queue of callbacks to a channel.
        endpoints: The health of each channel's callback URL.
        codes: Each bot's latest QR code as it was read from the vault, with its id.
    """

    store: Store
    vault: Vault
    ledger: Ledger
    puppets: Mapping[str, PuppetKind]
    sender: WebhookSender
    secrets: Secrets
    clock: Callable[[], int]
    chance: random.Random
    public_url: str
    send_limit_s: float
    media: Media
    media_folder: MediaFolder
    fetcher: FileFetcher
    fetch_limit: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(FETCHES_AT_ONCE))
    member: Member | None = None
    draining: bool = False
    wake_channel: Callable[[str], None] = field(default=lambda chid: None)
    endpoints: dict[str, Endpoint] = field(factory=dict)
    codes: dict[str, tuple[str, QrCode]] = field(factory=dict)
    _busy: int = 0
    _idle: anyio.Event = field(factory=anyio.Event)
    _limits: dict[str, anyio.Semaphore] = field(factory=dict)

    def now(self) -> Moment:
        """Return the time on both clocks."""
        return Moment(self.clock(), mono())

    def alive(self) -> bool:
        """Return whether effects may begin at all: the membership has not run out."""
        return self.member is not None and self.store.monotonic() < self.member.until

    def may_begin(self) -> bool:
        """Return whether something new may begin: the gateway is alive and not going down."""
        return not self.draining and self.alive()

    def endpoint(self, chid: str) -> Endpoint:
        """Return the health of a channel's callback URL."""
        found = self.endpoints.get(chid)
        if found is None:
            found = self.endpoints[chid] = Endpoint()
            channel = self.ledger.world.view.channels.get(chid)
            if channel is not None and channel.state.disabled is not None:
                found.disable(channel.state.disabled.reason)
        return found

    def post_limit(self, chid: str) -> anyio.Semaphore:
        """Return what bounds the callbacks that are posted to a channel at the same time."""
        found = self._limits.get(chid)
        if found is None:
            found = self._limits[chid] = anyio.Semaphore(POSTS_AT_ONCE, fast_acquire=True)
        return found

    def begin(self) -> None:
        """Count something that must end before the gateway goes down: a claim and its send, a callback, a logout."""
        self._busy += 1

    def end(self) -> None:
        """Count its end."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()
            self._idle = anyio.Event()

    async def idle(self) -> None:
        """Wait until everything that was begun has ended."""
        while self._busy:
            await self._idle.wait()
