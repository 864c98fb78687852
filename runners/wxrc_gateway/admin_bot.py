"""Bots: made, removed (see `admin`)."""

import random
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from attrs import frozen

from wxrc_core import bot
from wxrc_core.bot import Bot
from wxrc_core.errors import InvalidValue, NotFound, Refusal
from wxrc_core.localized import LocalizedText
from wxrc_core.puppet import Capabilities
from wxrc_gateway._append import append, read_state
from wxrc_gateway.admin_values import SYSTEM_CHANCE, check_name, token_hex
from wxrc_puppet.port import PuppetError, PuppetFactory
from wxrc_store.port import Store, Vault

_NO_BOT = LocalizedText("没有机器人 '{botcode}'；请先添加", "there is no bot '{botcode}'; add it first")
_BOT_REMOVED = LocalizedText(
    "机器人 '{botcode}' 已被移除，不能再使用；请用另一个 botcode 添加",
    "bot '{botcode}' was removed and cannot be used; add one with another botcode",
)


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
    by: str = "",
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
        by: Who does it.
        options: What the puppet is to be told.
        pace: How much it may send; by default what the puppet's kind says.
        chance: Where ids come from.

    Raises:
        Refusal: The name is taken or malformed, or an option cannot be used; the sentence says which and why.
        StoreError: The store is unavailable.
    """
    check_name("botcode", botcode)
    stream = bot.stream_name(botcode)
    found, _ = await read_state(store, stream)
    bot.check_free(found if isinstance(found, Bot) else None, botcode)
    try:
        can = kind.prepare(botcode, options or {}) if kind.prepare else kind.capabilities
    except (ValueError, PuppetError) as error:
        raise InvalidValue(LocalizedText(f"选项不能使用：{error}", str(error)), "options") from error
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
        by=by,
    )
    return (await append(store, stream, bot.Add(added))).last


async def known_bot(store: Store, botcode: str) -> Bot:
    """Return a bot as the log has it now.

    Raises:
        InvalidValue: The name cannot be one.
        Refusal: There is no such bot, or it was removed.
        StoreError: The store is unavailable.
    """
    check_name("botcode", botcode)
    found, _ = await read_state(store, bot.stream_name(botcode))
    if not isinstance(found, Bot):
        raise NotFound(_NO_BOT.filled(botcode=botcode))
    if found.removed:
        raise Refusal(_BOT_REMOVED.filled(botcode=botcode))
    return found


async def remove_bot(store: Store, botcode: str, *, at: int, by: str = "") -> int:
    """Remove a bot for ever; return the position of the event, or 0 where it was removed before.

    Requests for it are refused from now on, and what waits for it ends as not sent. Its owner signs its account out, deletes its session
    and options, tells the channels that could use it, and ends their grants. Its name is not used again.

    Raises:
        NotFound: There is no such bot.
        StoreError: The store is unavailable.
    """
    check_name("botcode", botcode)
    stream = bot.stream_name(botcode)
    if not await store.read(stream):
        raise NotFound(_NO_BOT.filled(botcode=botcode))
    return (await append(store, stream, bot.Remove(at=at, by=by))).last
