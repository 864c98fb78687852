"""What an embedding program and the admin API may change by way of a gateway: each call of `admin`, with its clock and chance.

What was changed holds when the call returns: this gateway has folded it.
"""

import random
from collections.abc import Callable, Mapping
from typing import Literal, Unpack

from wxrc_core.errors import NotFound
from wxrc_core.localized import LocalizedText
from wxrc_core.token import Role
from wxrc_gateway import admin
from wxrc_gateway._health import Lifecycle
from wxrc_gateway._runtime import Runtime
from wxrc_gateway.admin import ChannelSecrets, NewSecret, PuppetKind
from wxrc_gateway.admin_token import NewToken
from wxrc_gateway.admin_values import ChannelSettings, GrantTerms
from wxrc_store.port import Store, Vault

APPLICATION = "application"
"""Who does it, where the embedding program does not say."""

_NO_KIND = LocalizedText(
    "没有名为 '{kind}' 的 puppet；有：{kinds}", "there is no kind of puppet '{kind}'; there are: {kinds}"
)


class Administration:
    """The part of a gateway that changes channels, bots and tokens.

    Every method takes `by`: who does it, as it will stand in the log. All raise `InvalidValue` (a value cannot be used; the sentence names
    it), `NotFound`, another `Refusal` (it cannot be done; the sentence says why), or `StoreError`.

    Attributes:
        store: The log.
        vault: Where secrets are.
        clock: Now (epoch ms).
    """

    store: Store
    vault: Vault
    clock: Callable[[], int]
    _chance: random.Random
    _puppets: Mapping[str, PuppetKind]
    _life: Lifecycle

    @property
    def _runtime(self) -> Runtime:
        raise NotImplementedError

    async def _reached(self, position: int) -> None:
        await self._runtime.ledger.reached(position)

    # -- bots -------------------------------------------------------------------------------------------------------------------

    async def add_bot(
        self,
        botcode: str,
        puppet: str,
        *,
        options: Mapping[str, str] | None = None,
        pace: Literal["customary", "none"] | None = None,
        by: str = APPLICATION,
    ) -> None:
        """Make a bot with a puppet of this kind (see `admin.add_bot`)."""
        self._life.check()
        kind = self._puppets.get(puppet)
        if kind is None:
            raise NotFound(_NO_KIND.filled(kind=puppet, kinds=", ".join(self._puppets)))
        position = await admin.add_bot(
            self.store, self.vault, botcode, puppet, kind,
            at=self.clock(), by=by, options=options, pace=pace, chance=self._chance,
        )  # fmt: skip
        await self._reached(position)

    async def remove_bot(self, botcode: str, *, by: str = APPLICATION) -> None:
        """Remove a bot for ever: its account is signed out, its queued messages are not sent (see `admin.remove_bot`)."""
        self._life.check()
        await self._reached(await admin.remove_bot(self.store, botcode, at=self.clock(), by=by))

    # -- channels ---------------------------------------------------------------------------------------------------------------

    async def add_channel(
        self,
        chid: str,
        *,
        by: str = APPLICATION,
        key: str | None = None,
        webhook_secret: str | None = None,
        **settings: Unpack[ChannelSettings],
    ) -> ChannelSecrets:
        """Make a channel (see `admin.add_channel`); return its secrets, which are shown this once."""
        self._life.check()
        made = await admin.add_channel(
            self.store, self.vault, chid,
            at=self.clock(), by=by, key=key, webhook_secret=webhook_secret, chance=self._chance, **settings,
        )  # fmt: skip
        await self._reached(made.position)
        return made

    async def change_channel(self, chid: str, *, by: str = APPLICATION, **settings: Unpack[ChannelSettings]) -> None:
        """Change settings of a channel; those that are left out stay as they are."""
        self._life.check()
        await self._reached(await admin.change_channel(self.store, chid, at=self.clock(), by=by, **settings))

    async def move_callback(
        self, chid: str, callback_url: str, /, *, by: str = APPLICATION, **settings: Unpack[ChannelSettings]
    ) -> None:
        """Have a channel's callbacks go elsewhere, those included that are under way."""
        self._life.check()
        settings["callback_url"] = callback_url
        await self.change_channel(chid, by=by, **settings)

    async def suspend(self, chid: str, *, reason: str = "", by: str = APPLICATION) -> None:
        """Refuse a channel's requests from now on; what was accepted goes on, and callbacks still go out."""
        self._life.check()
        await self._reached(await admin.suspend(self.store, chid, at=self.clock(), by=by, reason=reason))

    async def resume(self, chid: str, *, by: str = APPLICATION) -> None:
        """Take a channel's requests again."""
        self._life.check()
        await self._reached(await admin.resume(self.store, chid, at=self.clock(), by=by))

    async def remove_channel(self, chid: str, *, by: str = APPLICATION) -> None:
        """Remove a channel for ever: its queued messages and callbacks are cancelled, its secrets deleted."""
        self._life.check()
        await self._reached(await admin.remove_channel(self.store, self.vault, chid, at=self.clock(), by=by))

    # -- grants -----------------------------------------------------------------------------------------------------------------

    async def grant_bot(self, chid: str, botcode: str, *, by: str = APPLICATION, **terms: Unpack[GrantTerms]) -> None:
        """Let a channel use a bot on these terms, in place of earlier ones."""
        self._life.check()
        await self._reached(await admin.grant_bot(self.store, chid, botcode, at=self.clock(), by=by, **terms))

    async def revoke(self, chid: str, botcode: str, *, by: str = APPLICATION) -> None:
        """Take a grant back; messages that were accepted go on, and the channel is told of their ends."""
        self._life.check()
        await self._reached(await admin.revoke(self.store, chid, botcode, at=self.clock(), by=by))

    # -- KEYs and webhook secrets -----------------------------------------------------------------------------------------------

    async def rotate_key(self, chid: str, *, key: str | None = None, by: str = APPLICATION) -> NewSecret:
        """Make one more KEY valid; the one before stays valid until `end_key`."""
        self._life.check()
        made = await admin.rotate_key(
            self.store, self.vault, chid, at=self.clock(), by=by, key=key, chance=self._chance
        )
        await self._reached(made.position)
        return made

    async def end_key(self, chid: str, key_id: str, *, by: str = APPLICATION) -> None:
        """End a KEY; the last one cannot be ended."""
        self._life.check()
        await self._reached(await admin.end_key(self.store, self.vault, chid, key_id, at=self.clock(), by=by))

    async def rotate_secret(self, chid: str, *, webhook_secret: str | None = None, by: str = APPLICATION) -> NewSecret:
        """Sign callbacks with one more webhook secret; the one before signs too until `end_secret`."""
        self._life.check()
        made = await admin.rotate_secret(
            self.store, self.vault, chid, at=self.clock(), by=by, webhook_secret=webhook_secret, chance=self._chance
        )
        await self._reached(made.position)
        return made

    async def end_secret(self, chid: str, secret_id: str, *, by: str = APPLICATION) -> None:
        """End a webhook secret; the last one cannot be ended."""
        self._life.check()
        await self._reached(await admin.end_secret(self.store, self.vault, chid, secret_id, at=self.clock(), by=by))

    # -- tokens of the admin API ------------------------------------------------------------------------------------------------

    async def add_token(self, name: str, role: Role, *, by: str = APPLICATION) -> NewToken:
        """Make a token for the admin API, shown this once."""
        self._life.check()
        made = await admin.add_token(self.store, name, role, at=self.clock(), by=by, chance=self._chance)
        await self._reached(made.position)
        return made

    async def remove_token(self, name: str, *, by: str = APPLICATION) -> None:
        """End a token."""
        self._life.check()
        await self._reached(await admin.remove_token(self.store, name, at=self.clock(), by=by))
