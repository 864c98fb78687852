"""Channels: made, changed, suspended, removed; their KEYs and webhook secrets rotated; bots granted and revoked (see `admin`).

New secrets go to the vault before the log names them, and leave it after the log has ended them: a crash in between leaves a secret in the
vault that nothing names.
"""

import random
from typing import Annotated, Any, TypedDict, Unpack

from attrs import frozen
from msgspec import Meta

from wxrc_core import channel
from wxrc_core.channel import Change, Channel, ChannelAdded
from wxrc_core.errors import AlreadyTaken, NotFound, Refusal
from wxrc_core.localized import LocalizedText
from wxrc_gateway._append import Written, append, read_state
from wxrc_gateway._options import checked
from wxrc_gateway.admin_bot import known_bot
from wxrc_gateway.admin_values import (
    SYSTEM_CHANCE,
    ChannelSettings,
    GrantTerms,
    check_key,
    check_name,
    check_settings,
    check_terms,
    check_webhook_secret,
    token_hex,
)
from wxrc_store.port import Store, Vault
from wxrc_webhook import new_webhook_secret


class _Reason(TypedDict):
    reason: Annotated[str, Meta(max_length=500)]


_NO_CHANNEL = LocalizedText("没有渠道 '{chid}'；请先添加", "there is no channel '{chid}'; add it first")
_NO_ID = LocalizedText(
    "渠道 '{chid}' 没有 {field} '{found}'；有效的有：{ids}",
    "channel '{chid}' has no {field} '{found}'; valid now: {ids}",
)
_TAKEN = LocalizedText(
    "渠道 '{chid}' 已经存在；请换一个 chid", "channel '{chid}' is there already; choose another chid"
)


@frozen
class ChannelSecrets:
    """What the people behind a new channel must be given, once: nobody can read it out again."""

    chid: str
    key: str
    webhook_secret: str
    position: int = 0

    def __repr__(self) -> str:
        return f"ChannelSecrets(chid={self.chid!r})"


@frozen
class NewSecret:
    """A KEY or webhook secret that was added in a rotation, and the one that it will replace.

    Attributes:
        id: The name by which it is ended.
        secret: It; shown this once.
        valid: The ids that are valid now, the newest first.
        position: That of its event.
    """

    id: str
    secret: str
    valid: tuple[str, ...]
    position: int = 0

    def __repr__(self) -> str:
        return f"NewSecret(id={self.id!r}, valid={self.valid!r})"


async def add_channel(
    store: Store,
    vault: Vault,
    chid: str,
    *,
    at: int,
    by: str = "",
    key: str | None = None,
    webhook_secret: str | None = None,
    chance: random.Random = SYSTEM_CHANCE,
    **settings: Unpack[ChannelSettings],
) -> ChannelSecrets:
    """Make a channel and its secrets.

    Args:
        store: The log.
        vault: Where the secrets go.
        chid: The channel's name.
        at: Now (epoch ms).
        by: Who does it.
        key: The KEY; by default a new one. At least 16 characters.
        webhook_secret: `whsec_…`; by default a new one.
        chance: Where new secrets and ids come from.
        settings: See `ChannelSettings`; what is left out is as in `wxrc_core.channel.ChannelAdded`.

    Raises:
        AlreadyTaken: The name is in use, or was.
        InvalidValue: A value cannot be used; the sentence says which and why.
        StoreError: The store is unavailable.
    """
    check_name("chid", chid)
    given = checked(ChannelSettings, "add_channel", **settings)
    if key is not None:
        check_key(key)
    if webhook_secret is not None:
        check_webhook_secret(webhook_secret)
    key_id, secret_id = token_hex(chance, 4), token_hex(chance, 4)
    added = ChannelAdded(at=at, chid=chid, key_id=key_id, webhook_secret_id=secret_id, by=by, **given)
    check_settings({name: getattr(added, name) for name in ChannelSettings.__annotations__})
    if await store.read(channel.stream_name(chid)):
        # Before the vault is touched. Of two at once, the log lets one through; each has secrets under ids of its own.
        raise AlreadyTaken(_TAKEN.filled(chid=chid))
    key = key or token_hex(chance, 20)
    webhook_secret = webhook_secret or new_webhook_secret(chance.randbytes(32))
    # The secrets first: a channel must never be seen without them.
    await vault.put(channel.key_name(chid, key_id), key.encode())
    await vault.put(channel.webhook_secret_name(chid, secret_id), webhook_secret.encode())
    written = await append(store, channel.stream_name(chid), channel.Add(added))
    return ChannelSecrets(chid, key, webhook_secret, written.last)


async def alter(store: Store, chid: str, *changes: Change) -> Written:
    """Record changes of a channel that are checked already: all that change something, or none where one is refused.

    Raises:
        NotFound: There is no such channel.
        Refusal: It cannot be done; the sentence says why.
        StoreError: The store is unavailable.
    """
    return await append(store, channel.stream_name(chid), channel.Alter(changes))


async def known_channel(store: Store, chid: str) -> Channel:
    """Return a channel as the log has it now. Raises as `alter`."""
    check_name("chid", chid)
    state, _ = await read_state(store, channel.stream_name(chid))
    if not isinstance(state, Channel):
        raise NotFound(_NO_CHANNEL.filled(chid=chid))
    return state


_MOVED = ("callback_url", "callback_format", "allow_private", "private_networks")


async def change_channel(store: Store, chid: str, *, at: int, by: str = "", **settings: Unpack[ChannelSettings]) -> int:
    """Change settings of a channel; return the position of the last event, or 0 where nothing changed.

    Raises:
        InvalidValue: A value cannot be used; the sentence says which and why.
        Refusal: There is no such channel, or it was removed.
        StoreError: The store is unavailable.
    """
    given: dict[str, Any] = dict(checked(ChannelSettings, "change_channel", **settings))
    known = (await known_channel(store, chid)).settings
    merged = {name: given.get(name, getattr(known, name)) for name in ChannelSettings.__annotations__}
    check_settings(merged)
    changes: list[Change] = []
    if any(name in given for name in _MOVED):
        changes.append(channel.CallbackMoved(at=at, by=by, **{name: merged[name] for name in _MOVED}))
    others = {name: value for name, value in given.items() if name not in _MOVED}
    if others:
        changes.append(channel.SettingsChanged(at=at, by=by, **others))
    return (await alter(store, chid, *changes)).last


async def grant_bot(
    store: Store, chid: str, botcode: str, *, at: int, by: str = "", **terms: Unpack[GrantTerms]
) -> int:
    """Let a channel use a bot on these terms, in place of earlier ones; return the position of the event, or 0 where nothing changed.

    Raises:
        InvalidValue: A term cannot be used; the sentence says which and why.
        Refusal: There is no such channel or bot, or it was removed.
        StoreError: The store is unavailable.
    """
    given = checked(GrantTerms, "grant_bot", **terms)
    check_terms(given)
    await known_bot(store, botcode)
    await known_channel(store, chid)
    return (await alter(store, chid, channel.BotGranted(at=at, botcode=botcode, by=by, **given))).last


async def revoke(store: Store, chid: str, botcode: str, *, at: int, by: str = "") -> int:
    """Take a grant back; return the position of the event, or 0 where there was none.

    Messages that were accepted go on, and the channel is told of their ends.

    Raises:
        Refusal: There is no such channel, or it never had a grant for the bot.
        StoreError: The store is unavailable.
    """
    check_name("botcode", botcode)
    history = await store.read(channel.stream_name((await known_channel(store, chid)).settings.chid))
    if not any(isinstance(each.event, channel.BotGranted) and each.event.botcode == botcode for each in history):
        text = LocalizedText(
            "渠道 '{chid}' 没有机器人 '{botcode}' 的授权", "channel '{chid}' has no grant for bot '{botcode}'"
        )
        raise NotFound(text.filled(chid=chid, botcode=botcode))
    return (await alter(store, chid, channel.BotRevoked(at=at, botcode=botcode, by=by))).last


# -- rotation -------------------------------------------------------------------------------------------------------------------


async def rotate_key(
    store: Store,
    vault: Vault,
    chid: str,
    *,
    at: int,
    by: str = "",
    key: str | None = None,
    chance: random.Random = SYSTEM_CHANCE,
) -> NewSecret:
    """Make one more KEY valid; the one before stays valid until `end_key`. By default a new one is made.

    Raises:
        InvalidValue: The KEY is empty, short or a sample.
        Refusal: There is no such channel, it was removed, or two KEYs are valid already.
        StoreError: The store is unavailable.
    """
    if key is not None:
        check_key(key)
    await known_channel(store, chid)
    key, key_id = key or token_hex(chance, 20), token_hex(chance, 4)
    await vault.put(channel.key_name(chid, key_id), key.encode())
    try:
        written = await alter(store, chid, channel.KeyAdded(at=at, key_id=key_id, by=by))
    except Refusal:
        await vault.delete(channel.key_name(chid, key_id))
        raise
    return NewSecret(key_id, key, (await known_channel(store, chid)).key_ids, written.last)


async def rotate_secret(
    store: Store, vault: Vault, chid: str, *, at: int, by: str = "", webhook_secret: str | None = None,
    chance: random.Random = SYSTEM_CHANCE,
) -> NewSecret:  # fmt: skip
    """Sign callbacks with one more webhook secret; the one before signs too until `end_secret`. Raises as `rotate_key`."""
    if webhook_secret is not None:
        check_webhook_secret(webhook_secret)
    await known_channel(store, chid)
    secret, secret_id = webhook_secret or new_webhook_secret(chance.randbytes(32)), token_hex(chance, 4)
    await vault.put(channel.webhook_secret_name(chid, secret_id), secret.encode())
    try:
        written = await alter(store, chid, channel.SecretAdded(at=at, secret_id=secret_id, by=by))
    except Refusal:
        await vault.delete(channel.webhook_secret_name(chid, secret_id))
        raise
    return NewSecret(secret_id, secret, (await known_channel(store, chid)).webhook_secret_ids, written.last)


async def end_key(store: Store, vault: Vault, chid: str, key_id: str, *, at: int, by: str = "") -> int:
    """End a KEY; return the position of the event, or 0 where it was ended before.

    Raises:
        Refusal: There is no such channel or KEY, or it is the only one that is valid.
        StoreError: The store is unavailable.
    """
    known = await known_channel(store, chid)
    if not await _ever_had(store, chid, "key_id", key_id):
        raise NotFound(_NO_ID.filled(chid=chid, field="KEY", found=key_id, ids=", ".join(known.key_ids)))
    written = await alter(store, chid, channel.KeyEnded(at=at, key_id=key_id, by=by))
    await vault.delete(channel.key_name(chid, key_id))
    return written.last


async def end_secret(store: Store, vault: Vault, chid: str, secret_id: str, *, at: int, by: str = "") -> int:
    """End a webhook secret; return the position of the event, or 0 where it was ended before. Raises as `end_key`."""
    known = await known_channel(store, chid)
    if not await _ever_had(store, chid, "secret_id", secret_id):
        ids = ", ".join(known.webhook_secret_ids)
        raise NotFound(_NO_ID.filled(chid=chid, field="webhook secret", found=secret_id, ids=ids))
    written = await alter(store, chid, channel.SecretEnded(at=at, secret_id=secret_id, by=by))
    await vault.delete(channel.webhook_secret_name(chid, secret_id))
    return written.last


async def _ever_had(store: Store, chid: str, field: str, found: str) -> bool:
    events = [recorded.event for recorded in await store.read(channel.stream_name(chid))]
    first = {"key_id": "key_id", "secret_id": "webhook_secret_id"}[field]
    return found in (getattr(events[0], first), *(getattr(event, field, None) for event in events))


# -- suspend, resume, remove ----------------------------------------------------------------------------------------------------


async def suspend(store: Store, chid: str, *, at: int, by: str = "", reason: str = "") -> int:
    """Refuse a channel's requests from now on. What was accepted goes on, and callbacks still go out.

    Returns:
        The position of the event, or 0 where nothing changed.

    Raises:
        Refusal: There is no such channel, or it was removed.
        StoreError: The store is unavailable.
    """
    checked(_Reason, "suspend", reason=reason)
    await known_channel(store, chid)
    return (await alter(store, chid, channel.ChannelSuspended(at=at, reason=reason, by=by))).last


async def resume(store: Store, chid: str, *, at: int, by: str = "") -> int:
    """Take a channel's requests again. Returns and raises as `suspend`."""
    await known_channel(store, chid)
    return (await alter(store, chid, channel.ChannelResumed(at=at, by=by))).last


async def remove_channel(store: Store, vault: Vault, chid: str, *, at: int, by: str = "") -> int:
    """Remove a channel for ever: its queued messages and callbacks are cancelled, its secrets deleted, its name is not used again.

    Returns:
        The position of the event, or 0 where it was removed before.

    Raises:
        NotFound: There is no such channel.
        StoreError: The store is unavailable.
    """
    known = await known_channel(store, chid)
    written = await alter(store, chid, channel.ChannelRemoved(at=at, by=by))
    for key_id in known.key_ids:
        await vault.delete(channel.key_name(chid, key_id))
    for secret_id in known.webhook_secret_ids:
        await vault.delete(channel.webhook_secret_name(chid, secret_id))
    return written.last
