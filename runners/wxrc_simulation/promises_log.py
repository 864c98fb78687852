"""The promises about the log and what is read from it: 3, 4 (order), 8 (owners), 13, 19 (folds are equal), 18 (everything can be
read back).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from wxrc_core import bot, channel, codec, inbound, message, snapshot
from wxrc_core.log import Recorded, event_as
from wxrc_core.operation import OperationAccepted
from wxrc_core.shard import ShardFreed, ShardTaken
from wxrc_core.world import World
from wxrc_simulation.promises_facts import STEPS, Facts, trigger

# -- 3, 4 -----------------------------------------------------------------------------------------------------------------------


def check_3(facts: Facts) -> Iterator[str]:
    """Check that versions run 1..n without a gap and that only legal steps are recorded."""
    for stream, history in facts.streams.items():
        if [recorded.version for recorded in history] != list(range(1, len(history) + 1)):
            yield f"{stream} has the versions {[recorded.version for recorded in history]}"
        kind = stream.partition("/")[0]
        first = history[0].event
        if kind in ("inbound",) or isinstance(first, OperationAccepted):
            if len(history) > 1:
                yield f"{stream} has {len(history)} events and is to have one"
        elif kind == "channel":
            if [isinstance(recorded.event, channel.ChannelAdded) for recorded in history] != [True] + [False] * (
                len(history) - 1
            ):
                yield f"{stream} was not added once, at first"
        elif kind == "shard":
            yield from _shard_steps(stream, history)
        else:
            yield from _steps(kind, stream, history)


def _steps(kind: str, stream: str, history: list[Recorded]) -> Iterator[str]:
    state, attempt = "new", 0
    for recorded in history:
        after = STEPS[kind].get((state, trigger(recorded.event, kind)))
        if after is None:
            yield f"{stream}: {recorded.event.__class__.__name__} in the state '{state}'"
            return
        state = after
        if isinstance(recorded.event, message.MessageAttempted):
            if recorded.event.attempt != attempt + 1:
                yield f"{stream}: attempt {recorded.event.attempt} follows attempt {attempt}"
            attempt = recorded.event.attempt


def _shard_steps(stream: str, history: list[Recorded]) -> Iterator[str]:
    owner = ""
    for recorded in history:
        event = recorded.event
        if isinstance(event, ShardFreed) and event.member != owner:
            yield f"{stream} was let go of by '{event.member}' and belonged to '{owner}'"
        if isinstance(event, ShardTaken) and event.member == owner:
            yield f"{stream} was taken twice by '{owner}'"
        owner = event.member if isinstance(event, ShardTaken) else ""


def check_4(facts: Facts) -> Iterator[str]:
    """Check that positions are gapless, become durable in order, and that nobody acted on events that were not there."""
    if [recorded.position for recorded in facts.log] != list(range(1, len(facts.log) + 1)):
        yield "positions have a gap"
    for position in range(2, len(facts.log) + 1):
        if facts.durable_at(position) < facts.durable_at(position - 1):
            yield f"event {position} became durable before event {position - 1}"
    for name, world in facts.run.worlds:
        if world.position > len(facts.log):
            yield f"{name} has folded up to {world.position}, and the log ends at {len(facts.log)}"


# -- 8 --------------------------------------------------------------------------------------------------------------------------

_UNFENCED = (message.MessageQueued, message.MessageSent, message.MessageCancelled, bot.BotAdded, bot.BotRemoved)


def check_8(facts: Facts) -> Iterator[str]:
    """Check that only the owner of a shard writes what only an owner may, and that nobody carries out what another has claimed."""
    for recorded in facts.log:
        author = facts.author(recorded.position)
        botcode = _fenced_for(facts, recorded, author)
        if botcode and not facts.owns(author, botcode, recorded.position - 1):
            yield f"{recorded.event.__class__.__name__} at {recorded.position} was written by {author}, which did not own {botcode}"
        if isinstance(recorded.event, message.MessageAttempted):
            bot_of_it = event_as(message.MessageQueued, facts.streams[recorded.stream][0]).botcode
            epoch, _ = facts.epoch(bot_of_it, recorded.position - 1)
            if recorded.event.epoch != epoch:
                yield f"the claim at {recorded.position} is of epoch {recorded.event.epoch}, and it was {epoch}"
    for hand_over in facts.run.handed:
        claim = facts.attempts.get((hand_over.msgid, hand_over.attempt))
        if claim is None:
            continue  # promise 5
        if facts.author(claim.position) != hand_over.process:
            yield f"message {hand_over.msgid} was claimed by {facts.author(claim.position)} and handed over by {hand_over.process}"
        elif not facts.owns(hand_over.process, hand_over.botcode, hand_over.log_end):
            yield f"message {hand_over.msgid} was handed over by {hand_over.process} when it no longer owned {hand_over.botcode}"
        elif hand_over.at > facts.member_until(hand_over.process, hand_over.at):
            yield f"message {hand_over.msgid} was handed over by {hand_over.process} when its membership had run out"


def _fenced_for(facts: Facts, recorded: Recorded, author: str) -> str:
    """Return the bot whose owner alone may write this event; empty = anybody may."""
    event = recorded.event
    if not author or isinstance(event, _UNFENCED):
        return ""
    kind, _, name = recorded.stream.partition("/")
    if kind == "bot":
        return name
    if isinstance(event, inbound.MessageReceived):
        return event.botcode
    if kind != "message" or isinstance(event, OperationAccepted):
        return ""
    msgid = facts.streams[recorded.stream][0].position
    if facts.by_operator(facts.messages[msgid]) and bool(getattr(event, "by", "")):
        return ""  # an operator's word
    if isinstance(event, message.MessageInDoubt) and "an operator has looked" in event.detail:
        return ""  # the same, about a message of which an earlier attempt may have arrived
    if recorded.stream in facts.run.cancelled and isinstance(event, message.MessageInDoubt):
        return ""  # a cancelled message that may have arrived before
    if not isinstance(event, message.MessageAttempted):
        claims = [
            each
            for each in facts.messages[msgid].history
            if isinstance(each.event, message.MessageAttempted) and each.position < recorded.position
        ]
        if claims and facts.author(claims[-1].position) == author:
            return ""  # a fact about its own attempt
    return event_as(message.MessageQueued, facts.streams[recorded.stream][0]).botcode


# -- 13, 18, 19 -----------------------------------------------------------------------------------------------------------------


def _folded(log: Sequence[Recorded], world: World, streams: dict[str, list[Recorded]]) -> World:
    """Fold what a world does not have yet, as any reader of the log does."""
    for recorded in log[world.position :]:
        if recorded.stream in world.doubts:
            world.recall(recorded.stream, streams[recorded.stream])
        world.fold(recorded, 0)
    return world


def _open(world: World) -> dict[str, Any]:
    """Return what is open in a world, in a form in which equal worlds are equal.

    The exact times of the latest sends are what their owner measured, and other readers know them only roughly: the rooms are compared.
    """
    found: dict[str, Any] = msgspec.to_builtins(snapshot.take(world))
    for each in found["worlds"]:
        each["queue"]["sends"] = [room for _, room in each["queue"]["sends"]]
        for kind in ("due", "expected"):
            each["deliveries"][kind].sort(key=lambda one: one["stream"])
        each["operations"].sort()
    empty = {"operations": [], "queue": {"accounts": {}, "sends": []}, "deliveries": {"due": [], "expected": []}}
    found["worlds"] = [each for each in found["worlds"] if {**each, "botcode": ""} != {**empty, "botcode": ""}]
    for name in ("bots", "channels", "shards", "messages", "doubts", "worlds"):
        found[name].sort(key=repr)
    del found["told_to"]
    return found


def _differing(one: dict[str, Any], other: dict[str, Any]) -> str:
    return ", ".join(name for name in one if one[name] != other[name])


def check_13(facts: Facts) -> Iterator[str]:
    """Check that what every replica holds is what a new reader makes of the same log."""
    for name, world in facts.run.worlds:
        if facts.run.quiet and world.position != len(facts.log):
            yield f"{name} has folded {world.position} of {len(facts.log)} events"
        again = _folded(facts.log[: world.position], World(world.told_to), facts.streams)
        if differing := _differing(_open(again), _open(world)):
            yield f"the fold of the log and {name} differ in {differing}"


EVENT_BYTES = 100_000
"""What no event of these runs comes near, whatever a puppet says (bytes)."""


def check_18(facts: Facts) -> Iterator[str]:
    """Check that every event can be read back, and that no gateway ended by itself."""
    for recorded in facts.log:
        try:
            kind, schema, data = codec.encode(recorded.event)
            again = codec.decode(kind, schema, data)
        except Exception as error:
            yield f"event {recorded.position} ({recorded.event.__class__.__name__}) cannot be read back: {error}"
            continue
        if len(data) > EVENT_BYTES:
            yield f"event {recorded.position} ({recorded.event.__class__.__name__}) has {len(data)} bytes"
        if again != recorded.event:
            yield f"event {recorded.position} ({recorded.event.__class__.__name__}) is read back as something else"
    for escaped in facts.run.escaped:
        yield f"a gateway ended by itself: {escaped}"


def check_19(facts: Facts) -> Iterator[str]:
    """Check that every snapshot that was kept, and one from the middle of the log, lead with the tail after them to the fold of
    the whole.
    """
    if not facts.log:
        return
    whole = _open(_folded(facts.log, World(), facts.streams))
    middle = 1 + facts.run.seed * 7919 % len(facts.log)
    blobs = [*facts.run.snapshots, (middle, snapshot.encode(_folded(facts.log[:middle], World(), facts.streams)))]
    for position, blob in blobs:
        world = snapshot.decode(blob, 0)
        if world.position != position:
            yield f"the snapshot at {position} says that it is at {world.position}"
        if differing := _differing(whole, _open(_folded(facts.log, world, facts.streams))):
            yield f"the snapshot at {position} and the tail differ from the fold of the whole log in {differing}"
