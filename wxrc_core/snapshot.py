"""A snapshot: the fold of the log up to a position, as bytes, so that a start folds only what came after it.

It is never the truth, only a shortcut to it: `wxrc verify` folds the whole log and compares. `SCHEMA` says what the bytes look
like; a release whose states look different makes another one and folds the whole log once.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from wxrc_core.bot import Bot
from wxrc_core.callback_health import Failing
from wxrc_core.channel import BotGranted, Channel
from wxrc_core.delivery_queue import DeliveriesSnapshot
from wxrc_core.message import Message
from wxrc_core.message_queue import QueueSnapshot
from wxrc_core.operation import OperationAccepted
from wxrc_core.shard import Shard
from wxrc_core.token import Token
from wxrc_core.view import StreamState
from wxrc_core.world import World


class StreamSnapshot(Struct, frozen=True):
    """Where an open stream stands: its name, its version, and the position of its first event."""

    name: str
    version: int
    position: int


class BotSnapshot(Struct, frozen=True):
    """One bot's world: what was asked of it, its queue, its deliveries."""

    botcode: str
    operations: list[tuple[int, OperationAccepted]]
    queue: QueueSnapshot
    deliveries: DeliveriesSnapshot


class Snapshot(Struct, frozen=True):
    """Everything that is open at a position."""

    position: int
    told_to: int
    bots: list[tuple[StreamSnapshot, Bot]]
    channels: list[tuple[StreamSnapshot, Channel]]
    grants: dict[str, dict[str, BotGranted]]
    shards: list[tuple[StreamSnapshot, Shard]]
    tokens: list[tuple[StreamSnapshot, Token]]
    failing: list[tuple[str, Failing]]
    messages: list[tuple[StreamSnapshot, Message]]
    doubts: list[tuple[str, int, str]]
    worlds: list[BotSnapshot]


SCHEMA = hashlib.sha256(msgspec.json.encode(msgspec.json.schema(Snapshot), order="deterministic")).hexdigest()[:16]
"""Names the form of the bytes. It follows from the classes above, so that it changes whenever one of them does."""


def take(world: World) -> Snapshot:
    """Return what is open in a world."""
    view = world.view
    return Snapshot(
        position=world.position,
        told_to=world.told_to,
        bots=[(_place(name, found), found.state) for name, found in view.bots.items()],
        channels=[(_place(name, found), found.state) for name, found in view.channels.items()],
        grants=view.grants_by_bot(),
        shards=[(_place(str(number), found), found.state) for number, found in view.shards.items()],
        tokens=[(_place(name, found), found.state) for name, found in view.tokens.items()],
        failing=list(view.failing.items()),
        messages=[(_place(name, found), found.state) for name, found in world.messages.items()],
        doubts=[(stream, msgid, botcode) for stream, (msgid, botcode) in world.doubts.items()],
        worlds=[
            BotSnapshot(botcode, list(each.operations.items()), each.queue.to_snapshot(), each.deliveries.to_snapshot())
            for botcode, each in world.bots.items()
        ],
    )


def encode(world: World) -> bytes:
    """Return a world as bytes."""
    return msgspec.msgpack.encode(take(world))


def decode(blob: bytes, mono: int) -> World:
    """Return the world that `encode` wrote; `mono` is the time of the start.

    Raises:
        ValueError: The bytes are damaged, or of another schema.
    """
    return restore(msgspec.msgpack.decode(blob, type=Snapshot), mono)


def restore(snapshot: Snapshot, mono: int) -> World:
    """Return a world from what was open."""
    world = World(snapshot.told_to)
    world.position = snapshot.position
    view = world.view
    for place, bot in snapshot.bots:
        view.bots[place.name] = StreamState(bot, place.version, place.position)
    for place, channel in snapshot.channels:
        view.channels[place.name] = StreamState(channel, place.version, place.position)
    view.restore_grants(snapshot.grants)
    for place, shard in snapshot.shards:
        view.shards[int(place.name)] = StreamState(shard, place.version, place.position)
    for place, token in snapshot.tokens:
        view.tokens[place.name] = StreamState(token, place.version, place.position)
    view.failing = dict(snapshot.failing)
    by_bot: dict[str, list[tuple[str, int, Message]]] = {}
    for place, message in snapshot.messages:
        world.messages[place.name] = StreamState(message, place.version, place.position)
        by_bot.setdefault(message.queued.botcode, []).append((place.name, place.position, message))
    world.doubts = {stream: (msgid, botcode) for stream, msgid, botcode in snapshot.doubts}
    for each in snapshot.worlds:
        bot_world = world.bot_world(each.botcode)
        bot_world.operations = dict(each.operations)
        if each.botcode in view.bots:
            state = view.bots[each.botcode].state
            bot_world.queue.lists_changed(state)
            bot_world.deliveries.show_code(state.qr.code_id if state.qr is not None else "")
        bot_world.queue.restore(each.queue, by_bot.get(each.botcode, ()), mono)
        bot_world.deliveries.restore(each.deliveries, mono)
        bot_world.restore_messages(world.messages, by_bot.get(each.botcode, ()))
        for due in each.deliveries.due:
            world.delivery_bots[due.stream] = each.botcode
    return world


def difference(world: World, blob: bytes, *, pruned: bool = False) -> str:
    """Return in what a snapshot differs from a world at the same position; empty = in nothing.

    Args:
        world: The fold of the log.
        blob: The snapshot.
        pruned: The log has been pruned since the snapshot was taken. The sends of messages that are gone no longer count in the fold's
            pace, nor do failures of deliveries that are gone; all of that is days old.
    """
    try:
        kept = msgspec.msgpack.decode(blob, type=Snapshot)
    except ValueError:
        return "it cannot be read"
    now = take(world)
    if pruned:
        kept = replace(kept, worlds=[_as_pruned(each, now.worlds) for each in kept.worlds])
    for name in Snapshot.__struct_fields__:
        if name == "told_to" or (pruned and name == "failing"):
            continue
        ours, theirs = getattr(now, name), getattr(kept, name)
        if _sorted(ours) != _sorted(theirs):
            return f"they differ in {name}"
    return ""


def _as_pruned(kept: BotSnapshot, folded: list[BotSnapshot]) -> BotSnapshot:
    """Return a bot's snapshot with only as many of its latest sends as the fold has."""
    queue = next((each.queue for each in folded if each.botcode == kept.botcode), kept.queue)
    sends = kept.queue.sends[len(kept.queue.sends) - len(queue.sends) :]
    claimed_at = kept.queue.claimed_at if sends else 0
    return replace(kept, queue=replace(kept.queue, sends=sends, claimed_at=claimed_at, own_sends=queue.own_sends))


def _sorted(value: Any) -> Any:
    """Return a value in which the order of what was open plays no part."""
    return sorted(value, key=repr) if isinstance(value, list) else value


def _place(name: str, found: StreamState[Any]) -> StreamSnapshot:
    return StreamSnapshot(name, found.version, found.position)
