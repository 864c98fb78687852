"""The promise about callbacks, 12: who is to be told what, once, in order, under one id, and how each callback comes to its end."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from wxrc_core import bot, delivery, inbound, message
from wxrc_core.delivery import (
    DeliveryAnswered,
    DeliveryCancelled,
    DeliveryDelivered,
    DeliveryDue,
    DeliveryExpired,
    DeliveryGivenUp,
    DeliveryPostponed,
    DeliveryReplayed,
    DeliverySuperseded,
)
from wxrc_core.delivery_schedule import JITTER, SCHEDULE_S
from wxrc_core.log import Recorded, event_as
from wxrc_simulation.promises_facts import CONTROL, Facts, is_end, wire_status
from wxrc_simulation.records import Received


@frozen
class Notice:
    """What a channel is to be told because of one event, with the fields of the body that matter."""

    cause: int
    chid: str
    botcode: str
    kind: str
    body: Mapping[str, Any]

    @cached_property
    def stream(self) -> str:
        """The stream of its delivery."""
        return delivery.stream_name(self.cause, self.chid)

    @property
    def queue(self) -> tuple[str, str, bool]:
        """The queue that it stands in."""
        return self.chid, self.botcode, self.kind in CONTROL


def notices(facts: Facts) -> Iterator[Notice]:
    """Give out every notice that follows from the log, in the order of the events that cause them."""
    links: dict[str, bool] = {}
    for recorded in facts.log:
        event, position = recorded.event, recorded.position
        if recorded.stream.startswith("message/") and is_end(event):
            first = facts.streams[recorded.stream][0]
            queued = event_as(message.MessageQueued, first)
            if facts.callback_url(queued.chid, position):
                status, reason = wire_status(event, queued)
                body = {"msgid": first.position, "sendStatus": status, "sendReason": reason, "txcode": queued.txcode}
                yield Notice(position, queued.chid, queued.botcode, "sendStatus", body)
        elif isinstance(event, inbound.MessageReceived):
            for chid, granted in facts.told_channels(event.botcode, position):
                if granted.inbound == "all" or event.mentioned or not event.room_id:
                    yield Notice(position, chid, event.botcode, "userMsg", {"msgType": event.kind})
        elif recorded.stream.startswith("bot/"):
            botcode = recorded.stream.partition("/")[2]
            told = _bot_notice(event, links.get(botcode, False))
            if isinstance(event, bot.LoggedIn | bot.LinkRestored):
                links[botcode] = True
            elif not isinstance(event, _KEEP_THE_LINK):
                links[botcode] = False
            if told is not None:
                for chid, _ in facts.told_channels(botcode, position):
                    yield Notice(position, chid, botcode, *told)


_KEEP_THE_LINK = (
    bot.RoomsChanged, bot.ContactsChanged, bot.LoginRepeated, bot.LogoutRequested, bot.StopRequested, bot.DigitsSubmitted,
)  # fmt: skip


def _bot_notice(event: object, link: bool) -> tuple[str, Mapping[str, Any]] | None:
    match event:
        case bot.QrCodeIssued():
            return "qrCode", {"expiresAt": event.expires_at}
        case bot.LoggedIn() | bot.LinkRestored(quiet=False):
            return "botStatus", {"botStatus": "login", "wxid": event.wxid, "name": event.name}
        case bot.LoginRepeated() if link:
            return "botStatus", {"botStatus": "login"}
        case bot.LoginFailed():
            return "botStatus", {"botStatus": "loginerr", "reason": event.reason}
        case bot.LoggedOut():
            return "botStatus", {"botStatus": "logout", "reason": event.reason}
        case bot.SignedOut():
            return "botStatus", {"botStatus": "logout"}
        case bot.Stopped():
            return "botStatus", {"botStatus": "off"}
        case _:
            return None


def check_12(facts: Facts) -> Iterator[str]:
    """Check everything about callbacks."""
    expected = {notice.stream: notice for notice in notices(facts)}
    yield from _told(facts, expected)
    yield from _ends(facts, expected)
    yield from _posts(facts)
    yield from _order(facts, expected)


def _told(facts: Facts, expected: Mapping[str, Notice]) -> Iterator[str]:
    """Everybody is told what concerns them, and nothing else."""
    for stream, history in facts.streams.items():
        if not stream.startswith("delivery/"):
            continue
        notice, first = expected.get(stream), history[0].event
        if notice is None:
            if not _repeated_code(facts, delivery.cause(stream)):
                yield f"{stream} is due, and nothing follows from event {delivery.cause(stream)}"
            continue
        if isinstance(first, DeliveryAnswered):
            if notice.kind != "sendStatus":
                yield f"{stream} is called answered and is a {notice.kind}"
            continue
        assert isinstance(first, DeliveryDue)
        body = json.loads(first.body)
        wanted = {"botcode": notice.botcode, "type": notice.kind, "seq": notice.cause, **notice.body}
        wrong = [name for name, value in wanted.items() if body.get(name) != value]
        if wrong or first.kind != notice.kind or first.chid != notice.chid:
            yield f"{stream} tells something else in {', '.join(wrong) or 'its kind'}"
    if facts.run.quiet:
        for stream in expected:
            if stream not in facts.streams:
                yield f"{stream} was never due: channel {expected[stream].chid} was not told of event {expected[stream].cause}"


def _repeated_code(facts: Facts, cause: int) -> bool:
    """Return whether a request for login shows the code once more that waits to be scanned."""
    return isinstance(facts.log[cause - 1].event, bot.LoginRequested)


def _ends(facts: Facts, expected: Mapping[str, Notice]) -> Iterator[str]:
    newest: dict[tuple[str, str, str], int] = {}
    for notice in expected.values():
        newest[notice.chid, notice.botcode, notice.kind] = max(
            notice.cause, newest.get((notice.chid, notice.botcode, notice.kind), 0)
        )
    for stream, history in facts.streams.items():
        due = history[0].event
        if isinstance(due, DeliveryDue):  # also what a login that was asked for again has told once more
            name = (due.chid, due.botcode, due.kind)
            newest[name] = max(delivery.cause(stream), newest.get(name, 0))
    for stream, history in facts.streams.items():
        due = history[0].event
        if not isinstance(due, DeliveryDue):
            continue
        last = history[-1]
        posts = facts.received.get(delivery.webhook_id(stream), [])
        match last.event:
            case DeliveryDelivered():
                before = facts.durable_at(last.position)
                if not any(post.acknowledged and post.at <= before for post in posts):
                    yield f"{stream} is called delivered, and its receiver never acknowledged it"
            case DeliveryExpired(at=at):
                if due.expires_at is None or at + _next_wait_ms(history, posts) < due.expires_at:
                    yield f"{stream} is called expired at {at}, and its time was {due.expires_at}"
            case DeliverySuperseded():
                overtaken = newest.get((due.chid, due.botcode, due.kind), 0) > delivery.cause(stream)
                if due.kind not in CONTROL or not (overtaken or _code_over(facts, due, history)):
                    yield f"{stream} ({due.kind}) is called superseded, and nothing newer was to be told"
            case DeliveryGivenUp():
                yield from _given_up(facts, stream, history)
            case DeliveryCancelled():
                if not 0 < facts.removed_at(due.chid) < last.position:
                    yield f"{stream} is called cancelled, and its channel was not removed"
            case _:
                if facts.run.quiet:
                    yield f"{stream} has not ended"


_CODE_OVER = (
    bot.QrCodeIssued,
    bot.LoggedIn,
    bot.LoginFailed,
    bot.ClientRestarted,
    bot.SignedOut,
    bot.Stopped,
    bot.BotRemoved,
)
"""What ends the QR code that waits; so does a request for another kind of client."""


def _code_over(facts: Facts, due: DeliveryDue, history: list[Recorded]) -> bool:
    """Return whether the code that a callback tells was over when it ended."""
    if due.kind != "qrCode":
        return False
    cause, kind = delivery.cause(history[0].stream), ""
    for recorded in facts.streams[f"bot/{due.botcode}"]:
        event, told = recorded.event, recorded.position > cause
        if recorded.position >= history[-1].position:
            return False
        if told and isinstance(event, _CODE_OVER):
            return True
        if isinstance(event, bot.LoginRequested):
            if told and event.kind != kind:
                return True
            kind = event.kind
    return False


def _next_wait_ms(history: list[Recorded], posts: list[Received]) -> int:
    """Return how long the next attempt may be away after a failed one (ms): an expiry before that is known already."""
    failures = 1 + sum(isinstance(recorded.event, DeliveryPostponed) for recorded in history)
    asked = RETRY_AFTER_S if any(post.status == 429 for post in posts) else 0
    return int(1_000 * (1 + JITTER) * max(SCHEDULE_S[failures - 1], asked))


RETRY_AFTER_S = 20
"""What receivers ask for in a `Retry-After`."""


def _given_up(facts: Facts, stream: str, history: list[Recorded]) -> Iterator[str]:
    chid = event_as(DeliveryDue, history[0]).chid
    refused = any(
        post.chid == chid and post.status == 410 and post.at <= facts.durable_at(history[-1].position)
        for post in facts.run.received
    )
    tried = 1 + sum(isinstance(recorded.event, DeliveryPostponed) for recorded in history)
    if not refused and tried < len(SCHEDULE_S):
        yield f"{stream} was given up after {tried} attempts, and the receiver is not gone"


def _posts(facts: Facts) -> Iterator[str]:
    """What arrived at receivers: one id, one body, properly signed, due at the time, at an address that is theirs."""
    for webhook_id, posts in facts.received.items():
        if len({(post.format, json.dumps(post.body, sort_keys=True)) for post in posts}) > 1:
            yield f"callback {webhook_id} changed its body"
        stream = f"delivery/{webhook_id}"
        if stream not in facts.streams:
            yield f"callback {webhook_id} was posted, and nothing of that name was ever due"
            continue
        history = facts.streams[stream]
        due = history[0].event
        for post in posts:
            if not post.genuine:
                yield f"callback {webhook_id} was posted with a wrong signature"
            if not isinstance(due, DeliveryDue) or history[0].position > post.log_end:
                yield f"callback {webhook_id} was posted before it was due"
            elif post.chid != due.chid:
                yield f"callback {webhook_id} for {due.chid} was posted to {post.chid}"
            elif post.body != _as_written(_body(facts, due, post), post.format):
                yield f"callback {webhook_id} was posted with another body than was due"
            if not _url_of(facts, post):
                yield f"callback {webhook_id} was posted to {post.url}, which was not the channel's"
        yield from _again(facts, stream, posts)


def _body(facts: Facts, due: DeliveryDue, post: Received) -> dict[str, Any]:
    """Return the body that was due; a QR code is in no event, so it is the one that the client showed, and its image the code's own."""
    body: dict[str, Any] = json.loads(due.body)
    if due.kind != "qrCode":
        return body
    shown = [
        code.text for code in facts.run.codes if code.botcode == due.botcode and code.expires_at == body["expiresAt"]
    ]
    told, url = post.body.get("qrcode"), str(post.body.get("qrcodeImageUrl"))
    named = hashlib.sha256(url.rpartition("/")[2].encode()).hexdigest() == due.code_id
    return {**body, "qrcode": told if told in shown else shown, "qrcodeImageUrl": url if named else due.code_id}


ON_ITS_WAY_MS = 40_000
"""How long a callback may be on its way, with a lagging follower before and a slow network behind (ms)."""


def _url_of(facts: Facts, post: Received) -> bool:
    """Return whether the channel's callbacks went to this address when it was posted, or shortly before."""
    url = facts.callback_url(post.chid, post.log_end)
    if url == post.url:
        return True
    for recorded in facts.streams[f"channel/{post.chid}"]:
        late = recorded.position <= post.log_end and facts.durable_at(recorded.position) > post.at - ON_ITS_WAY_MS
        if late and facts.callback_url(post.chid, recorded.position - 1) == post.url:
            return True
    return False


def _as_written(value: Any, form: str) -> Any:
    """Return a reqBody as it reads in this format: in bracket form every value is a text."""
    if form != "bracket":
        return value
    match value:
        case dict():
            return {name: _as_written(each, form) for name, each in value.items()}
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case _:
            return str(value)


def _again(facts: Facts, stream: str, posts: list[Received]) -> Iterator[str]:
    """What is known to be acknowledged is not posted again: nothing is acknowledged twice but around a crash or a change of owner."""
    ended = 0
    for recorded in facts.streams[stream]:
        if delivery.TABLE.next[recorded.event.__class__].get("due") in delivery.FINAL:
            ended = recorded.position
        elif isinstance(recorded.event, DeliveryReplayed) and ended:
            yield from _late(facts, stream, posts, ended, facts.durable_at(recorded.position))
            ended = 0
    if ended:
        yield from _late(facts, stream, posts, ended, facts.run.ended_at + 1)


def _late(facts: Facts, stream: str, posts: list[Received], ended: int, until: int) -> Iterator[str]:
    begun = facts.durable_at(ended) + ON_ITS_WAY_MS
    late = [post for post in posts if begun < post.at < until]
    if late:
        yield f"{stream} was posted {late[0].at - facts.durable_at(ended)} ms after its end"


def _order(facts: Facts, expected: Mapping[str, Notice]) -> Iterator[str]:
    """In each queue: due in the order of the causes, and first posted so, unless an older one had failed or was over."""
    queues: dict[tuple[str, str, bool], list[Notice]] = defaultdict(list)
    for notice in expected.values():
        queues[notice.queue].append(notice)
    for queue in queues.values():
        queue.sort(key=lambda notice: notice.cause)
        last = 0
        for notice in queue:
            history = facts.streams.get(notice.stream)
            if history is None:
                continue
            if history[0].position < last and isinstance(history[0].event, DeliveryDue):
                yield f"{notice.stream} was due after a younger one"
            if isinstance(history[0].event, DeliveryDue):
                last = max(last, history[0].position)
        yield from _post_order(facts, queue)


def _post_order(facts: Facts, queue: list[Notice]) -> Iterator[str]:
    firsts = [
        (min(post.at for post in posts), min(post.log_end for post in posts), notice)
        for notice in queue
        if (posts := facts.received.get(delivery.webhook_id(notice.stream)))
    ]
    for at, log_end, notice in firsts:
        for older in queue:
            if older.cause >= notice.cause:
                break
            history = facts.streams.get(older.stream)
            if history is None or history[0].position > log_end or not isinstance(history[0].event, DeliveryDue):
                continue
            if any(recorded.position <= log_end for recorded in history[1:]):
                continue  # it had failed before, or it was over
            posted = facts.received.get(delivery.webhook_id(older.stream), [])
            if not any(post.at <= at for post in posted):
                yield f"{notice.stream} was posted before {older.stream}, which is older"
