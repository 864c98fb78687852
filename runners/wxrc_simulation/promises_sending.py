"""The promises about sending: 5, 6 (claims and repetition), 7 (evidence), 9 (ends), 10 (order, account, expiry), 11 (pace)."""

from collections import defaultdict
from collections.abc import Iterator

from wxrc_core import bot, message, pace
from wxrc_core.log import Recorded, event_as
from wxrc_core.puppet import Accepted, NotConnected, NotSent, RoomMissing, UserMissing, conversation
from wxrc_simulation import pictures
from wxrc_simulation.promises_facts import FINAL, Facts, MessageFacts, label
from wxrc_simulation.promises_peers import Known, right_peer, there_all_the_time
from wxrc_simulation.records import HandOver

# -- 5, 6 -----------------------------------------------------------------------------------------------------------------------


def check_5(facts: Facts) -> Iterator[str]:
    """Check that every hand-over has a claim of its own, durable before it, for what is handed over and where to."""
    for (msgid, attempt), hand_overs in facts.handed.items():
        if len(hand_overs) > 1:
            yield f"attempt {attempt} of message {msgid} was handed over {len(hand_overs)} times"
        claim = facts.attempts.get((msgid, attempt))
        for hand_over in hand_overs:
            if claim is None or claim.position > hand_over.log_end:
                yield f"message {msgid} was handed over before its attempt {attempt} was durable"
                continue
            attempted = event_as(message.MessageAttempted, claim)
            meant = (attempted.room_id, attempted.user_id, label(facts.messages[msgid].queued))
            if meant != (hand_over.room_id, hand_over.user_id, hand_over.text):
                yield f"message {msgid} was handed over with another content or to another conversation than was claimed"


def check_6(facts: Facts) -> Iterator[str]:
    """Check that a further attempt follows only a definite failure, an operator's word or a policy; and that nothing arrives twice."""
    for msgid, each in facts.messages.items():
        queued = each.queued
        deduplicates = facts.added(queued.botcode).deduplicates
        attempt = 0
        for before, recorded in zip(each.history, each.history[1:], strict=False):
            event = recorded.event
            if isinstance(event, message.MessageAttempted):
                attempt = event.attempt
                yield from _late_hand_over(facts, each, recorded)
            if not isinstance(event, message.MessageRequeued):
                continue
            if isinstance(before.event, message.MessageInDoubt):
                if not (deduplicates or facts.may_repeat(each)):
                    yield f"message {msgid} was sent again out of doubt, and nobody had allowed it"
            elif (msgid, attempt) in facts.handed:
                said = facts.outcomes.get((msgid, attempt))
                if not isinstance(said, NotSent | NotConnected | RoomMissing | UserMissing):
                    yield f"message {msgid} went back to the queue, and attempt {attempt} had not failed for certain"
                elif event.held == isinstance(said, NotSent):
                    yield f"message {msgid}: attempt {attempt} was counted wrongly after {said.__class__.__name__}"
            elif not event.held:
                yield f"message {msgid}: attempt {attempt} is called failed and was never handed over"
        if len(facts.arrivals.get(msgid, ())) > 1 and not facts.may_repeat(each):
            yield f"message {msgid} arrived {len(facts.arrivals[msgid])} times"
        tries = sum(
            1
            for (number, tried), _ in facts.handed.items()
            if number == msgid
            and not isinstance(facts.outcomes.get((number, tried)), NotConnected | RoomMissing | UserMissing)
        )
        if tries > message.MAX_ATTEMPTS and not facts.by_operator(each):
            yield f"message {msgid} was handed over {tries} times"


def _late_hand_over(facts: Facts, each: MessageFacts, claim: Recorded) -> Iterator[str]:
    """Check that what was claimed is handed over while the claim is open, not after it came to its end."""
    for hand_over in facts.handed.get((each.msgid, event_as(message.MessageAttempted, claim).attempt), ()):
        if claim.position <= hand_over.log_end and each.state_at(hand_over.log_end) != "attempted":
            yield f"message {each.msgid} was handed over when it was {each.state_at(hand_over.log_end)}"


# -- 7 --------------------------------------------------------------------------------------------------------------------------


def check_7(facts: Facts) -> Iterator[str]:
    """Check that `sent` stands on a receipt that WeChat gave for this message, or on an operator's word about a doubt, and that
    nothing that arrived is called not sent.
    """
    for msgid, each in facts.messages.items():
        if facts.arrivals.get(msgid) and each.state in FINAL - {"sent"} and not facts.by_operator(each):
            yield f"message {msgid} is called {each.state} and has arrived"
        for recorded in each.history:
            event = recorded.event
            if isinstance(event, message.MessageFailed) and event.reason == "no_file":
                yield from _there(facts, each)
            if not isinstance(event, message.MessageSent):
                continue
            if event.by and not event.receipt and each.stream in facts.run.vouched:
                if each.state_at(recorded.position - 1) != "in_doubt":
                    yield f"message {msgid} is called sent by an operator and was not in doubt"
            elif facts.run.receipts.get(event.receipt) != msgid:
                yield f"message {msgid} is called sent on '{event.receipt}', which is no receipt for it"
            elif not any(
                arrival.at <= facts.durable_at(recorded.position) for arrival in facts.arrivals.get(msgid, ())
            ):
                yield f"message {msgid} is called sent and had not arrived"
            said = facts.outcomes.get((msgid, event.attempt))
            if isinstance(said, Accepted) and said.receipt == event.receipt and said.mention != event.mention:
                yield f"message {msgid}: its mention is called {event.mention} and was {said.mention}"


def _there(facts: Facts, each: MessageFacts) -> Iterator[str]:
    """Check that no image is called missing that was there, and that nothing kept from being fetched."""
    troubled = any(fault.kind in ("image server fails", "image slow") for fault in facts.run.faults)
    if pictures.is_there(label(each.queued)) and not troubled:
        yield f"message {each.msgid}: its image is called missing, and was there all the time"


# -- 9 --------------------------------------------------------------------------------------------------------------------------

_UP = (bot.LoggedIn, bot.LinkRestored)
_DOWN = (
    bot.LinkLost, bot.LoggedOut, bot.LoginFailed, bot.SignedOut, bot.Stopped, bot.ClientRestarted, bot.LoginRequested,
    bot.BotRemoved,
)  # fmt: skip
_UNABLE = (*_DOWN, bot.LogoutRequested, bot.StopRequested)


def check_9(facts: Facts) -> Iterator[str]:
    """Check that ends are final, that no room is called missing that was there all the time, and that texts reach the room that
    was named.
    """
    for msgid, each in facts.messages.items():
        ended = ""
        for (position, state), recorded in zip(each.states, each.history, strict=True):
            if ended:
                yield f"message {msgid}: {recorded.event.__class__.__name__} at {position}, after its end as {ended}"
            ended = state if state in FINAL else ""
            if isinstance(recorded.event, message.MessageRoomNotFound):
                yield from _not_found(facts, each, recorded)
        for arrival in facts.arrivals.get(msgid, ()):
            yield from right_peer(facts.run, each.msgid, each.queued, arrival)


def _not_found(facts: Facts, each: MessageFacts, recorded: Recorded) -> Iterator[str]:
    queued = each.queued
    attempt = each.history[-2].event
    said = facts.outcomes.get((each.msgid, attempt.attempt)) if isinstance(attempt, message.MessageAttempted) else None
    if isinstance(attempt, message.MessageAttempted) and not isinstance(said, RoomMissing | UserMissing):
        yield f"message {each.msgid}: its room is called missing, and the client did not say so"
    since: Recorded | None = None
    complete = False
    for one in facts.bot_events(queued.botcode, facts.seen(recorded.position)):
        if isinstance(one.event, _UP):
            since, complete = one, complete and since is not None
        elif isinstance(one.event, _DOWN):
            since, complete = None, False
        elif isinstance(one.event, bot.ContactsChanged if message.is_to_person(queued) else bot.RoomsChanged):
            complete = one.event.complete
    if since is None or not complete:
        yield f"message {each.msgid}: its room was called missing while the list was not known to be complete"
        return
    assert isinstance(since.event, _UP)
    wxid = since.event.wxid
    begin = facts.durable_at(since.position) - TELLING_MS
    if there_all_the_time(facts.run, wxid, queued, begin, facts.durable_at(recorded.position)):
        yield f"message {each.msgid}: its room was called missing, and was there all the time"


TELLING_MS = 60_000
"""How long what happens in WeChat may be on its way to the gateway (ms)."""


# -- 10 -------------------------------------------------------------------------------------------------------------------------


def check_10(facts: Facts) -> Iterator[str]:
    """Check that claims to a room go in accept order, from a bot that can send, for the right account, before the message's time
    is over.
    """
    by_bot: dict[str, list[MessageFacts]] = defaultdict(list)
    for each in facts.messages.values():
        by_bot[each.queued.botcode].append(each)
    for (msgid, attempt), claim in facts.attempts.items():
        each = facts.messages[msgid]
        botcode = each.queued.botcode
        known = facts.bot_events(botcode, facts.seen(claim.position))
        if not able(known):
            yield f"attempt {attempt} of message {msgid} was claimed although its bot was known not to be able to send"
        lists = Known(known)
        for older in by_bot[botcode]:
            if older.msgid < msgid and _goes_before(facts, older, claim, lists):
                yield f"message {msgid} was claimed before message {older.msgid} for the same conversation, which was accepted earlier"
    for hand_over in facts.run.handed:
        yield from _fit(facts, hand_over)


def able(known: list[Recorded]) -> bool:
    """Return whether a bot with this history can send: its account is logged in, its client connected, and nobody wants it to leave."""
    found = False
    for recorded in known:
        if isinstance(recorded.event, _UP):
            found = True
        elif isinstance(recorded.event, _UNABLE):
            found = False
    return found


def _goes_before(facts: Facts, older: MessageFacts, claim: Recorded, lists: Known) -> bool:
    """Return whether an older message of the bot waited for this conversation when the claim was made, as far as its maker knew."""
    seen = min(facts.seen(claim.position), claim.position - 1)
    if older.state_at(seen) != "queued" or older.state_at(claim.position) != "queued":
        return False
    queued = older.queued
    if queued.expires_at is not None and claim.event.at >= queued.expires_at:
        return False
    account = _account(facts, older)
    known = facts.bot_events(queued.botcode, seen)
    now = [recorded.event.wxid for recorded in known if isinstance(recorded.event, _UP)]
    if account and now and now[-1] != account:
        return False  # it will be told that it cannot be sent
    attempted = event_as(message.MessageAttempted, claim)
    return lists.meant(queued) == [conversation(attempted.room_id, attempted.user_id)]


def _account(facts: Facts, each: MessageFacts) -> str:
    """Return the account that was logged in last when a message was accepted; empty = none yet."""
    known = facts.bot_events(each.queued.botcode, each.msgid)
    accounts = [recorded.event.wxid for recorded in known if isinstance(recorded.event, _UP)]
    return accounts[-1] if accounts else ""


def _fit(facts: Facts, hand_over: HandOver) -> Iterator[str]:
    each = facts.messages.get(hand_over.msgid)
    if each is None:
        return
    expires_at = each.queued.expires_at
    if expires_at is not None and hand_over.wall >= expires_at:
        yield f"message {hand_over.msgid} was handed over when its time was over"
    account = _account(facts, each)
    if account and hand_over.wxid not in ("", account):
        yield f"message {hand_over.msgid} was accepted for {account} and handed over by {hand_over.wxid}"
    claim = facts.attempts.get((hand_over.msgid, hand_over.attempt))
    if claim is not None and hand_over.at - facts.durable_at(claim.position) > CLAIM_LIFETIME_MS + LEEWAY_MS:
        yield f"message {hand_over.msgid} was handed over {hand_over.at - facts.durable_at(claim.position)} ms after its claim"


CLAIM_LIFETIME_MS = 5_000
LEEWAY_MS = 10
"""What the rounding of times may make of a difference (ms)."""

# -- 11 -------------------------------------------------------------------------------------------------------------------------


def _own_paces(facts: Facts) -> Iterator[str]:
    """No minute has more of a channel's messages to a bot than its grant allows, by any of the terms that the replica may have known."""
    sends: dict[tuple[str, str], list[HandOver]] = defaultdict(list)
    for hand_over in sorted(facts.run.handed, key=lambda each: each.at):
        each, claim = facts.messages.get(hand_over.msgid), facts.attempts.get((hand_over.msgid, hand_over.attempt))
        if each is None or claim is None:
            continue  # promise 5
        chid = each.queued.chid
        earlier = sends[chid, hand_over.botcode]
        paces = facts.own_paces(chid, hand_over.botcode, facts.seen(claim.position), hand_over.log_end)
        allowed = max(paces) if min(paces) > 0 else 0
        if allowed and len(earlier) >= allowed and hand_over.at + LEEWAY_MS < earlier[-allowed].at + 60_000:
            yield f"message {hand_over.msgid} was handed over too early: the grant of {chid} allows {allowed} in a minute"
        if not isinstance(
            facts.outcomes.get((hand_over.msgid, hand_over.attempt)), NotConnected | RoomMissing | UserMissing
        ):
            earlier.append(hand_over)


def check_11(facts: Facts) -> Iterator[str]:
    """Check that no window of true time has more hand-overs than the bot's pace and the grant's own allow, whatever clocks do."""
    yield from _own_paces(facts)
    sends: dict[str, list[HandOver]] = defaultdict(list)
    for hand_over in sorted(facts.run.handed, key=lambda each: each.at):
        limits = pace.PACES[facts.added(hand_over.botcode).pace]
        if limits is None:
            continue
        earlier = sends[hand_over.botcode]
        free_at = 0
        for before in reversed(earlier):
            same = (before.room_id, before.user_id) == (hand_over.room_id, hand_over.user_id)
            gap = limits.room_gap_ms if same else limits.switch_gap_ms
            if before is earlier[-1] or same:
                free_at = max(free_at, before.at + gap)
        if len(earlier) >= limits.per_minute:
            free_at = max(free_at, earlier[-limits.per_minute].at + 60_000)
        if hand_over.at + LEEWAY_MS < free_at:
            yield f"message {hand_over.msgid} was handed over {free_at - hand_over.at} ms before the pace allows it"
        if not isinstance(
            facts.outcomes.get((hand_over.msgid, hand_over.attempt)), NotConnected | RoomMissing | UserMissing
        ):
            earlier.append(hand_over)
