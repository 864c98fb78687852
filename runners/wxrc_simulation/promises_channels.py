"""The promise about channels, 22: what an operator has changed of a channel holds, everywhere, as soon as the log tells it.

A replica judges a request by the log as far as it has folded it. For each request it is known up to where that was for certain
(`Call.known`) and where the log ended when the answer was given (`Call.log_end`): somewhere between, the answer must have been right.
"""

from collections.abc import Iterator

from wxrc_core import channel
from wxrc_core.channel import Channel
from wxrc_simulation.door import secrets_of
from wxrc_simulation.promises_facts import Facts
from wxrc_simulation.records import Call, Received

ADMITTED = frozenset({"0", "12", "20", "30", "31", "32", "33", "34"})
"""Codes that only a request gets whose signature holds and whose channel is let in."""

UNREAD = frozenset({"broken json", "head incomplete", "head wrong", "late"})
"""What is refused before anything of the channel is looked at."""

NOT_THEIRS = frozenset({"not granted", "not lent"})
"""Requests for bots that the channel has no grant for."""


def check_22(facts: Facts) -> Iterator[str]:
    """Check every answer to a request, the quota, and who signed the callbacks."""
    for call in facts.run.calls:
        if call.given_at and facts.channel_events(call.chid) and call.odd not in UNREAD:
            yield from _answered(facts, call)
    yield from _quota(facts)
    for received in facts.run.received:
        yield from _signed(facts, received)
    for chid in {call.chid for call in facts.run.calls}:
        for position, event in facts.channel_events(chid)[1:]:
            by = event.by
            if isinstance(event, channel.CallbackDisabled):
                yield from _disabled(facts, chid, position, event)
                continue
            if facts.author(position) and by != "application" and by not in facts.run.operators:
                yield f"the change at {position} is said to be by '{by}', who did nothing"


def _disabled(facts: Facts, chid: str, position: int, event: channel.CallbackDisabled) -> Iterator[str]:
    """A run is too short for five days of failures: a URL is disabled after its receiver answered 410 there, by nobody's word."""
    gone = any(
        each.chid == chid
        and each.status == 410
        and each.url == event.callback_url
        and each.at <= facts.durable_at(position)
        for each in facts.run.received
    )
    if event.by or not gone:
        yield f"the callback URL of {chid} was disabled at {position}, and its receiver is not gone"


def _states(facts: Facts, chid: str, first: int, last: int) -> list[Channel]:
    """Return a channel's states while the log grew from one position to another."""
    state: Channel | None = None
    found: list[Channel] = []
    for position, event in facts.channel_events(chid):
        if position > last:
            break
        if position > first and state is not None:
            found.append(state)
        state = channel.evolve(state, event)
    return [*found, state] if state is not None else found


def _answered(facts: Facts, call: Call) -> Iterator[str]:
    states = _states(facts, call.chid, call.known, call.log_end)
    keys = dict(secrets_of(facts.run, call.chid, "key", facts.log))
    signed = [state for state in states if call.key in {keys[key_id] for key_id in state.key_ids}]
    admitted = [state for state in signed if state.suspended is None]
    gone = facts.removed_bot(call.botcode)
    if call.odd == "wrong key":
        signed = admitted = []
    if call.rtcode in ADMITTED and not admitted:
        yield f"call {call.number} got {call.rtcode}, and its channel was suspended, removed or signed with an ended KEY"
    elif call.rtcode in ADMITTED - {"20"} and gone is not None and gone.position <= call.known and not call.odd:
        yield f"call {call.number} got {call.rtcode}, and its bot was removed"
    elif call.rtcode in ADMITTED - {"20"} and not any(_granted(state, call) for state in admitted):
        yield f"call {call.number} got {call.rtcode}, and its channel had no grant for the bot"
    elif call.rtcode == "21" and gone is not None and gone.position <= call.log_end:
        return
    elif call.rtcode == "21" and all(state.suspended is None and _granted(state, call) for state in signed):
        yield f"call {call.number} got 21, and its channel was neither suspended nor without the grant"
    elif call.rtcode == "13" and len(signed) == len(states) and call.odd != "wrong key":
        yield f"call {call.number} got 13, and its KEY was valid"
    elif call.status == 429 and not any(state.settings.requests_per_minute for state in states):
        yield f"call {call.number} got 429, and its channel had no quota"


def _granted(state: Channel, call: Call) -> bool:
    return call.odd not in NOT_THEIRS and call.botcode in state.grants


def _quota(facts: Facts) -> Iterator[str]:
    """No more requests are let in by one process than the quota that it knew of allows."""
    counted: dict[tuple[str, str], list[Call]] = {}
    for call in facts.run.calls:
        states = _states(facts, call.chid, call.known, call.log_end) if call.given_at else []
        if len(states) == 1 and states[0].settings.requests_per_minute and call.rtcode in ADMITTED | {"21"}:
            counted.setdefault((call.replica, call.chid), []).append(call)
    for (replica, chid), calls in counted.items():
        settings = _states(facts, chid, calls[0].known, calls[0].log_end)[0].settings
        for first in calls:
            for last in calls:
                within = [each for each in calls if first.invoked <= each.invoked and each.given_at <= last.given_at]
                if last.given_at < first.invoked:
                    continue
                most = settings.burst + settings.requests_per_minute * (last.given_at - first.invoked) / 60_000 + 1
                unsuspended = [each for each in within if each.rtcode != "21"]
                if len(unsuspended) > most:
                    yield f"{replica} let in {len(unsuspended)} requests of {chid} within {last.given_at - first.invoked} ms"
                    return


LATE_MS = 40_000
"""How long a callback may be on its way, with a lagging follower before and a slow network behind (ms)."""


def _signed(facts: Facts, received: Received) -> Iterator[str]:
    """Each callback is signed with the oldest KEY and all webhook secrets that were valid when it was posted, or shortly before."""
    if not received.signers:
        return  # promise 12
    since = [
        position
        for position, _ in facts.channel_events(received.chid)
        if facts.durable_at(position) <= received.at - LATE_MS
    ]
    states = _states(facts, received.chid, max(since, default=0), received.log_end)
    keys = dict(secrets_of(facts.run, received.chid, "key", facts.log))
    secrets = dict(secrets_of(facts.run, received.chid, "secret", facts.log))
    wanted = [
        (keys[state.key_ids[-1]], *(secrets[each] for each in state.webhook_secret_ids))
        for state in states
        if state.key_ids
    ]
    if received.signers not in wanted:
        yield f"callback {received.webhook_id} at {received.at} was not signed with what was valid then"
