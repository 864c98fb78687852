"""KEYs and webhook secrets: read from the vault once, since each has an id of its own and never changes."""

from collections.abc import Sequence

from wxrc_core import channel
from wxrc_core.channel import Channel
from wxrc_core.errors import Unavailable, WxrcError
from wxrc_core.localized import LocalizedText
from wxrc_core.view import View
from wxrc_gateway.admin_values import key_fault, secret_fault
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
                    LocalizedText(
                        "保险库中缺少一个渠道的密钥；请恢复属于这份日志的保险库",
                        "a channel's secret is missing in the vault; restore the vault that belongs to this log",
                    )
                )
            known = self._known[name] = found.decode()
        return known


_WEAK = LocalizedText(
    "渠道 '{chid}' 的{what}不能使用：{fault}。请用 wxrc channel {rotate} {chid} 轮换，并结束旧的，然后再启动",
    "channel '{chid}' cannot be served with its {what}: {fault}. Rotate it with `wxrc channel {rotate} {chid}`, "
    "end the old one, and start again",
)


async def refuse_weak_secrets(view: View, secrets: Secrets) -> None:
    """Refuse to serve a channel with an empty, short or sample KEY or webhook secret.

    What the vault does not give just now is passed over: whatever needs it will say so.

    Raises:
        WxrcError: A channel has one; the sentence says which channel and what to do, and never has the secret in it.
    """
    for chid, known in view.channels.items():
        for what, rotate, read, fault_of in (
            (LocalizedText("KEY", "KEY"), "rotate-key", secrets.keys, key_fault),
            (LocalizedText("回调密钥", "webhook secret"), "rotate-secret", secrets.webhook_secrets, secret_fault),
        ):
            try:
                found = await read(known.state)
            except Unavailable:
                continue
            for fault in filter(None, map(fault_of, found)):
                zh = _WEAK.zh.format(chid=chid, what=what.zh, fault=fault.zh, rotate=rotate)
                en = _WEAK.en.format(chid=chid, what=what.en, fault=fault.en, rotate=rotate)
                raise WxrcError(LocalizedText(zh, en))
