"""KEYs and webhook secrets: read from the vault once, since each has an id of its own and never changes."""

from collections.abc import Sequence

from wxrc_core import channel
from wxrc_core.channel import Channel
from wxrc_core.errors import Unavailable
from wxrc_store.port import Vault


class Secrets:
    """The secrets of channels."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[str, str] = {}
        self._keys: dict[tuple[str, tuple[str, ...]], Sequence[str]] = {}

    async def keys(self, state: Channel) -> Sequence[str]:
        """Return the KEYs that a channel may sign with now, the newest first.

        Raises:
            Unavailable: The vault cannot be read, or lacks one.
        """
        chid = state.settings.chid
        found = self._keys.get((chid, state.key_ids))
        if found is None:
            found = [await self._secret(channel.key_name(chid, key_id)) for key_id in state.key_ids]
            self._keys[chid, state.key_ids] = found
        return found

    async def webhook_secrets(self, state: Channel) -> Sequence[str]:
        """Return the secrets that a channel's callbacks are signed with, the newest first. Raises as `keys`."""
        chid = state.settings.chid
        return [await self._secret(channel.webhook_secret_name(chid, each)) for each in state.webhook_secret_ids]

    async def _secret(self, name: str) -> str:
        known = self._known.get(name)
        if known is None:
            found = await self._vault.get(name)
            if found is None:
                raise Unavailable(
                    "a channel's secret is missing in the vault; restore the vault that belongs to this log"
                )
            known = self._known[name] = found.decode()
        return known
