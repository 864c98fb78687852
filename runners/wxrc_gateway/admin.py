"""Setting up: channels, bots and grants, written straight to a store and its vault.

A gateway that runs on the same log, in this process or another, takes them in as they are written.
"""

import random
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from attrs import frozen

from wxrc_core import bot, channel
from wxrc_core.errors import Refusal
from wxrc_core.puppet import Capabilities
from wxrc_gateway._append import append
from wxrc_puppet.port import PuppetError, PuppetFactory
from wxrc_store.port import Store, Vault
from wxrc_webhook import check_url, new_webhook_secret

SYSTEM_CHANCE: random.Random = secrets.SystemRandom()
"""The operating system's randomness, fit for secrets. Simulations pass a seeded source instead."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@frozen
class PuppetKind:
    """A kind of puppet that a gateway can run.

    Attributes:
        create: Makes one.
        capabilities: What it can do.
        prepare: Gets ready for a new bot with these options and returns what its puppet can do; raises PuppetError, with a sentence
            that names the option and what would be right, for options that it cannot use. By default every option is taken.
    """

    create: PuppetFactory
    capabilities: Capabilities
    prepare: Callable[[str, Mapping[str, str]], Capabilities] | None = None


@frozen
class ChannelSecrets:
    """What the people behind a new channel must be given, once: nobody can read it out again."""

    chid: str
    key: str
    webhook_secret: str
    position: int = 0

    def __repr__(self) -> str:
        return f"ChannelSecrets(chid={self.chid!r})"


def token_hex(chance: random.Random, count: int) -> str:
    """Return so many random bytes as hexadecimal digits."""
    return chance.randbytes(count).hex()


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refusal(
            f"{field} must be 1 to 64 letters, digits or _ . @ -, beginning with a letter or digit; it is {name!r:.80}"
        )


def _check_callback(url: str, allow_private: bool) -> None:
    try:
        check_url(url, allow_private)
    except ValueError as error:
        raise Refusal(str(error)) from error


async def add_channel(
    store: Store,
    vault: Vault,
    chid: str,
    *,
    at: int,
    callback_url: str = "",
    callback_format: channel.CallbackFormat = "form",
    allow_private: bool = False,
    key: str | None = None,
    webhook_secret: str | None = None,
    chance: random.Random = SYSTEM_CHANCE,
) -> ChannelSecrets:
    """Make a channel and its secrets.

    Args:
        store: The log.
        vault: Where the secrets go.
        chid: The channel's name.
        at: Now (epoch ms).
        callback_url: Where callbacks go; empty = nowhere.
        callback_format: How they are written.
        allow_private: Callbacks may go to private and loopback addresses.
        key: The KEY; by default a new one. At least 16 characters.
        webhook_secret: `whsec_…`; by default a new one.
        chance: Where new secrets and ids come from.

    Raises:
        Refusal: The name is taken or malformed, or a value cannot be used; the sentence says which and why.
        StoreError: The store is unavailable.
    """
    _check_name("chid", chid)
    if callback_url:
        _check_callback(callback_url, allow_private)
    if key is not None and len(key) < 16:
        raise Refusal("the channel's KEY must have at least 16 characters")
    if await store.read(channel.stream_name(chid)):
        # Before the vault is touched. Of two at once, the log lets one through; each has secrets under ids of its own.
        raise Refusal(f"channel '{chid}' is there already; choose another chid")
    key = key or token_hex(chance, 20)
    webhook_secret = webhook_secret or new_webhook_secret(chance.randbytes(32))
    key_id, secret_id = token_hex(chance, 4), token_hex(chance, 4)
    added = channel.ChannelAdded(
        at=at,
        chid=chid,
        key_id=key_id,
        webhook_secret_id=secret_id,
        callback_url=callback_url,
        callback_format=callback_format,
        allow_private=allow_private,
    )
    # The secrets first: a channel must never be seen without them.
    await vault.put(channel.key_name(chid, key_id), key.encode())
    await vault.put(channel.webhook_secret_name(chid, secret_id), webhook_secret.encode())
    written = await append(store, channel.stream_name(chid), channel.Add(added))
    return ChannelSecrets(chid, key, webhook_secret, written.last)


async def move_callback(store: Store, chid: str, moved: channel.CallbackMoved) -> int:
    """Have a channel's callbacks go elsewhere; return the position of the event, or 0 where nothing changed.

    Raises:
        Refusal: There is no such channel, or the URL cannot be used.
    """
    if moved.callback_url:
        _check_callback(moved.callback_url, moved.allow_private)
    _check_name("chid", chid)
    if not await store.read(channel.stream_name(chid)):
        raise Refusal(f"there is no channel '{chid}'; add it first")
    return (await append(store, channel.stream_name(chid), channel.MoveCallback(moved))).last


def options_name(botcode: str, options_id: str) -> str:
    """Return the name under which the vault has a bot's options (they may hold tokens)."""
    return f"bot/{botcode}/options/{options_id}" if options_id else f"bot/{botcode}/options"


def session_name(botcode: str) -> str:
    """Return the name under which the vault has a bot's stored session."""
    return f"bot/{botcode}/session"


async def add_bot(
    store: Store,
    vault: Vault,
    botcode: str,
    puppet: str,
    kind: PuppetKind,
    *,
    at: int,
    options: Mapping[str, str] | None = None,
    pace: Literal["customary", "none"] | None = None,
    chance: random.Random = SYSTEM_CHANCE,
) -> int:
    """Make a bot; return the position of its first event.

    Args:
        store: The log.
        vault: Where the options go.
        botcode: The bot's name.
        puppet: The name of its kind of puppet.
        kind: That kind.
        at: Now (epoch ms).
        options: What the puppet is to be told.
        pace: How much it may send; by default what the puppet's kind says.
        chance: Where ids come from.

    Raises:
        Refusal: The name is taken or malformed, or an option cannot be used; the sentence says which and why.
        StoreError: The store is unavailable.
    """
    _check_name("botcode", botcode)
    stream = bot.stream_name(botcode)
    if await store.read(stream):
        raise Refusal(f"bot '{botcode}' is there already; choose another botcode")
    try:
        can = kind.prepare(botcode, options or {}) if kind.prepare else kind.capabilities
    except (ValueError, PuppetError) as error:
        raise Refusal(str(error)) from error
    # Of two that make the same bot at once, the log lets one through, with its own options.
    options_id = token_hex(chance, 4)
    await vault.put(options_name(botcode, options_id), msgspec.json.encode(dict(options or {})))
    added = bot.BotAdded(
        at=at,
        botcode=botcode,
        puppet=puppet,
        pace=pace or can.pace,
        deduplicates=can.deduplicates,
        options_id=options_id,
    )
    return (await append(store, stream, bot.Add(added))).last


async def grant_bot(store: Store, chid: str, granted: channel.BotGranted) -> int:
    """Let a channel use a bot; return the position of the event, or 0 where nothing changed.

    Raises:
        Refusal: There is no such channel or bot.
        StoreError: The store is unavailable.
    """
    _check_name("chid", chid)
    _check_name("botcode", granted.botcode)
    if not await store.read(bot.stream_name(granted.botcode)):
        raise Refusal(f"there is no bot '{granted.botcode}'; add it first")
    if not await store.read(channel.stream_name(chid)):
        raise Refusal(f"there is no channel '{chid}'; add it first")
    return (await append(store, channel.stream_name(chid), channel.Grant(granted))).last
