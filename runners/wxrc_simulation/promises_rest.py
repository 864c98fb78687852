"""The promises 14 (inbound messages), 15 (everything goes on, nothing accepted is lost) and 16 (secrets stay secret)."""

import re
from collections import defaultdict
from collections.abc import Iterator

from wxrc_core import bot, channel, codec, message
from wxrc_core.inbound import MessageReceived
from wxrc_core.log import Recorded
from wxrc_core.operation import OperationAccepted
from wxrc_core.puppet import Accepted
from wxrc_simulation.kinds import RATES, STRIKES
from wxrc_simulation.promises_facts import STEPS, Facts, MessageFacts, trigger
from wxrc_simulation.promises_sending import able

KNOWN_LATE_MS = 20_000
"""How late a replica may know of a changed grant (ms)."""


def check_14(facts: Facts) -> Iterator[str]:
    """Check that what was said is recorded once, before its puppet is told so, and all of it where a client is connected in the end."""
    recorded: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
    for one in facts.log:
        if isinstance(one.event, MessageReceived):
            recorded[one.event.botcode, one.event.message_id].append(one)
    spoken = {(each.botcode, each.message_id): each for each in facts.run.spoken}
    for key, events in recorded.items():
        if len(events) > 1:
            yield f"the inbound message {key} is recorded {len(events)} times"
        if key not in spoken:
            yield f"the inbound message {key} is recorded and nobody wrote it"
    heard = {each.message_id: each.at for each in reversed(facts.run.heard)}
    for (botcode, message_id), each in spoken.items():
        wanted = each.mentioned or not each.room_id or _wants_all(facts, botcode, each.at - KNOWN_LATE_MS)
        events = recorded.get((botcode, message_id), [])
        if message_id in heard:
            if wanted and not (events and facts.durable_at(events[0].position) <= heard[message_id]):
                yield f"the puppet was told that the inbound message {message_id} is recorded, and it was not"
        elif facts.run.quiet and each.wxid == _connected(facts, botcode):
            yield f"the inbound message {message_id} was never taken"


def _wants_all(facts: Facts, botcode: str, at: int) -> bool:
    """Return whether a channel asked for everything that is said to this bot, from that time to the end."""
    found = False
    for stream, history in facts.streams.items():
        if stream.startswith("channel/"):
            grants = [
                (each, each.event.inbound if isinstance(each.event, channel.BotGranted) else "nothing")
                for each in history
                if isinstance(each.event, channel.ChannelRemoved)
                or (isinstance(each.event, channel.BotGranted | channel.BotRevoked) and each.event.botcode == botcode)
            ]
            before = [inbound for each, inbound in grants if facts.durable_at(each.position) <= at]
            after = [inbound for each, inbound in grants if facts.durable_at(each.position) > at]
            found = found or (bool(before) and set(before[-1:] + after) == {"all"})
    return found


def _connected(facts: Facts, botcode: str) -> str:
    """Return the account that is connected in the end; empty = none is."""
    history = facts.bots.get(botcode, [])
    if not able(history):
        return ""
    accounts = [each.event.wxid for each in history if isinstance(each.event, bot.LoggedIn | bot.LinkRestored)]
    return str(accounts[-1])


def check_15(facts: Facts) -> Iterator[str]:
    """Check that once faults are over nothing is left half done and no outcome was dropped."""
    run = facts.run
    if not run.quiet:
        yield "it never came to rest"
        return
    stepped = any("step" in fault.kind for fault in run.faults)
    for msgid, each in facts.messages.items():
        queued = each.queued
        if each.state == "attempted":
            yield f"message {msgid} is still attempted"
        elif each.state == "queued" and able(facts.bots[queued.botcode]):
            yield f"message {msgid} is still queued although its bot can send"
        elif each.state == "queued" and facts.removed_bot(queued.botcode) is not None:
            yield f"message {msgid} is still queued although its bot was removed"
        elif each.state == "queued" and facts.removed_at(queued.chid):
            yield f"message {msgid} is still queued although its channel was removed"
        elif each.state == "queued" and queued.expires_at is not None and not stepped:
            over = facts.durable_at(msgid) + queued.expires_at - queued.at
            if over + KNOWN_LATE_MS < run.ended_at:
                yield f"message {msgid} is still queued, and its time was over {run.ended_at - over} ms ago"
        yield from _dropped(facts, each)
    for botcode, history in facts.bots.items():
        yield from _left(botcode, history)
        yield from _removed(facts, botcode)
    for recorded in facts.log:
        if not isinstance(recorded.event, OperationAccepted) or recorded.event.kind == "cancel":
            continue  # whoever accepts a cancellation does it at once: its answer says so
        if facts.removed_bot(recorded.event.botcode) is not None:
            continue  # it may have come too late
        if not facts.operations[recorded.position]:
            yield f"operation {recorded.position} ({recorded.event.kind}) was never carried out"


def _dropped(facts: Facts, each: MessageFacts) -> Iterator[str]:
    """Nothing that a puppet said to an owner that goes on owning is forgotten."""
    if each.state != "in_doubt":
        return
    alive = {name for name, _ in facts.run.worlds}
    for recorded in each.history:
        event = recorded.event
        if isinstance(event, message.MessageAttempted):
            said = facts.outcomes.get((each.msgid, event.attempt))
            proper = isinstance(said, Accepted) and facts.run.receipts.get(said.receipt) == each.msgid
            epoch, _ = facts.epoch(each.queued.botcode, len(facts.log))
            if proper and facts.author(recorded.position) in alive and event.epoch == epoch:
                yield f"message {each.msgid} is in doubt, and its client had answered with a receipt"


def _removed(facts: Facts, botcode: str) -> Iterator[str]:
    """A bot that was removed is gone in the end: its account is signed out, its secrets are deleted, and no channel has a grant for it."""
    removed = facts.removed_bot(botcode)
    if removed is None:
        return
    if not isinstance(facts.bots[botcode][-1].event, bot.SignedOut):
        yield f"bot {botcode} was removed, and its account was never signed out"
    kept = [name for name in facts.run.store.vault._secrets if name.startswith(f"bot/{botcode}/")]
    # What a request put there after the removal was known to nobody.
    if [name for name in kept if "/digits/" not in name]:
        yield f"bot {botcode} was removed, and the vault has {', '.join(kept)}"
    begin, end = facts.durable_at(removed.position) - DISTURBED_MS, facts.durable_at(facts.bots[botcode][-1].position)
    disturbed = any(
        fault.kind in (*RATES, *STRIKES, *MISHAPS) and begin <= fault.at <= end for fault in facts.run.faults
    )
    accounts = [fact.wxid for fact in facts.run.logins if fact.botcode == botcode]
    if not disturbed and accounts and accounts[-1] is not None:
        yield f"bot {botcode} was removed, and {accounts[-1]} is still logged in"
    for stream, history in facts.streams.items():
        if not stream.startswith("channel/"):
            continue
        granted = False
        for each in history:
            if isinstance(each.event, channel.ChannelRemoved):
                granted = False
            elif isinstance(each.event, channel.BotGranted | channel.BotRevoked) and each.event.botcode == botcode:
                granted = isinstance(each.event, channel.BotGranted)
        if granted:
            yield f"bot {botcode} was removed, and {stream} still has a grant for it"


MISHAPS = ("kick", "sign out", "drop")
"""What may end a login or a client beside the faults."""

DISTURBED_MS = 30_000
"""For how long a fault may keep a client from signing out (ms)."""


def _left(botcode: str, history: list[Recorded]) -> Iterator[str]:
    state, leaving = "new", ""
    for recorded in history:
        event = recorded.event
        state = STEPS["bot"].get((state, trigger(event, "bot")), state)
        if isinstance(event, bot.LogoutRequested | bot.StopRequested):
            leaving = event.__class__.__name__
        elif state in ("logout", "removed"):
            leaving = ""
    if leaving:
        yield f"bot {botcode} is still leaving after {leaving}"
    elif state == "login" and not able(history):
        yield f"bot {botcode} is logged in, and its link never came back"


def check_16(facts: Facts) -> Iterator[str]:
    """Check that no key, secret, session or text of a message is in a log line, and that the log has no QR code."""
    yield from _codes(facts)
    texts = {call.text for call in facts.run.calls if len(call.text) > 3}
    secret = [*(each for each in facts.run.secrets if each), *sorted(texts), "私密"]
    for line in facts.run.log_lines:
        for each in secret:
            if each in line:
                yield f"a log line has '{each[:8]}...' in it: {line.replace(each, '***')[:120]}"


def _codes(facts: Facts) -> Iterator[str]:
    """A QR code logs an account in: no event has it, and the vault only while it may be scanned."""
    shown: dict[str, Recorded] = {}
    codes = re.compile("|".join(re.escape(code.text) for code in facts.run.codes) or "(?!)")
    for recorded in facts.log:
        if recorded.stream.startswith(("bot/", "delivery/")):
            text = codec.encode(recorded.event)[2].decode()
            if codes.search(text) or "/qr/" in text:
                yield f"event {recorded.position} ({recorded.event.__class__.__name__}) has a QR code in it"
        if isinstance(recorded.event, bot.QrCodeIssued):
            shown[f"{recorded.stream}/qr/{recorded.event.code_id}"] = recorded
    for name in facts.run.vault if facts.run.quiet else ():
        issued, botcode = shown.get(name), name.split("/")[1]
        if issued is None or facts.epoch(botcode, issued.position) != facts.epoch(botcode, len(facts.log)):
            continue  # no code, or its gateway was gone before it could clear up
        if _over(facts.streams[issued.stream], issued):
            yield f"the vault still has the QR code of event {issued.position}"


def _over(history: list[Recorded], issued: Recorded) -> bool:
    """Return whether the code of this event can no longer be scanned."""
    state = "awaiting_qr"
    for recorded in history:
        if recorded.position > issued.position:
            state = STEPS["bot"].get((state, trigger(recorded.event, "bot")), state)
            if isinstance(recorded.event, bot.QrCodeIssued | bot.ClientRestarted):
                return True
    return state != "awaiting_qr"
