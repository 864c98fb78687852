"""A log that is written by hand, and the world that follows it: the driving contract of `wxrc_core`, a step for each method.

    told = Story.with_bot()          # a bot, a channel that may use it, and an owner of the bot's shard
    told.log_in()
    told.queue("1", room_id="r1")
    told.send(Accepted("wx1"))       # claim, last look, hand-over, outcome
    told.settle()                    # record whatever is to be recorded: here, that a callback is due
    told.post()                      # post it, successfully
    again = told.restarted()         # a crash: a new world that has folded the same log

Nothing happens by itself. Time passes when `wait` is called; a step that is left out is a crash at that place.
"""

from collections.abc import Sequence
from typing import Any, Self, TypeVar, cast

from wxrc_core import bot, channel, delivery, inbound, message, operation, shard
from wxrc_core.bot import Bot
from wxrc_core.bot_world import BotWorld
from wxrc_core.content import Image
from wxrc_core.effects import Claim, Decide, FetchImage, Post, Wait, Wake
from wxrc_core.endpoint import Endpoint
from wxrc_core.log import Recorded
from wxrc_core.message import Message
from wxrc_core.operation import Kind
from wxrc_core.puppet import (
    Accepted,
    BotReport,
    Contact,
    Outgoing,
    Report,
    ReportContacts,
    ReportDigitsWanted,
    ReportLoggedIn,
    ReportMessage,
    ReportQrCode,
    ReportReceipt,
    ReportRooms,
    Room,
    SendOutcome,
)
from wxrc_core.testing._log_story import LogStory

BOTCODE = "b"
CHID = "ch"
DAY = "20261124"
ROOMS = (Room("r1", "一群"), Room("r2", "二群"), Room("r3", "同名"), Room("r4", "同名"))
"""Two rooms with names of their own, and two that share one."""

CONTACTS = (
    Contact("u1", "小王"),
    Contact("u2", "Lily", "王总"),
    Contact("u3", "王总"),
    Contact("u4", "同名"),
    Contact("u5", "同名"),
)
"""A person with a nickname, one with a remark, one whose nickname is that remark, and two who share a nickname."""

ROUNDS = 1_000
"""So often `settle` asks at most: a world that always has one more thing to record never comes to rest."""

E = TypeVar("E")


def stream(txcode: str, chid: str = CHID) -> str:
    """Return the stream of a request."""
    return message.stream_name(chid, DAY, txcode)


class Story(LogStory):
    """A story of bots, channels, messages and callbacks.

    Attributes:
        endpoints: What is known of each channel's receiver, by chid.
        handed: What was handed to the clients.
    """

    def __init__(
        self, log: Sequence[Recorded] = (), *, wall: int = 0, mono: int = 0, kept: bytes | None = None
    ) -> None:
        """Fold a log, or what follows in it after a snapshot; loops are not woken for what is past."""
        super().__init__(log, wall=wall, mono=mono, kept=kept)
        self.endpoints: dict[str, Endpoint] = {}
        self.handed: list[Outgoing] = []

    @classmethod
    def with_bot(
        cls,
        *,
        callback: str = "https://ch.example/",
        pace: str = "none",
        deduplicates: bool = False,
        **grant: Any,
    ) -> Self:
        """Return the usual beginning: one bot, one channel that may use it, and an owner of the bot's shard."""
        told = cls()
        told.add_bot(pace=pace, deduplicates=deduplicates)
        told.add_channel(callback=callback)
        told.grant(**grant)
        told.take_over()
        return told

    def restarted(self, *, own: bool = True, snapshot: bytes | None = None) -> Self:
        """Return the same log with a new world that has folded it, as after a crash.

        Args:
            own: Every bot has a new owner as well.
            snapshot: What was kept of the world at some point; only what follows after it is folded.
        """
        again = type(self)(self.log, wall=self.wall, mono=self.mono, kept=snapshot)
        again.handed = list(self.handed)
        if own:
            for botcode in list(again.world.view.bots):
                again.take_over(botcode)
        return again

    # -- who and what there is --------------------------------------------------------------------------------------------------

    def bot(self, botcode: str = BOTCODE) -> Bot:
        """Return the bot now."""
        return self.world.view.bots[botcode].state

    def own(self, botcode: str = BOTCODE) -> BotWorld:
        """Return what the bot's owner has to do."""
        return self.world.bot_world(botcode)

    def message(self, txcode: str, chid: str = CHID) -> Message:
        """Return a message now."""
        state = self.state(stream(txcode, chid))
        assert isinstance(state, Message)
        return state

    def take_over(self, botcode: str = BOTCODE) -> int:
        """Have a new owner take the bot's shard and go on with the bot; return the epoch."""
        number = shard.shard_of(botcode, shard.SHARDS)
        name = shard.stream_name(number)
        self.record(name, shard.ShardTaken(at=self.wall, member=f"member-{len(self.history(name)) + 1}"))
        epoch = self.world.view.shards[number].version
        for other in self.world.view.bots:
            if shard.shard_of(other, shard.SHARDS) == number:
                self.own(other).resume(epoch, self.mono)
        return epoch

    def add_bot(self, botcode: str = BOTCODE, *, pace: str = "none", deduplicates: bool = False) -> list[Wake]:
        """Make a bot."""
        added = bot.BotAdded(
            at=self.wall,
            botcode=botcode,
            puppet="scripted",
            pace="customary" if pace == "customary" else "none",
            deduplicates=deduplicates,
        )
        return self.do(bot.stream_name(botcode), bot.Add(added))

    def add_channel(self, chid: str = CHID, *, callback: str = "https://ch.example/") -> list[Wake]:
        """Make a channel."""
        added = channel.ChannelAdded(at=self.wall, chid=chid, key_id="k", webhook_secret_id="", callback_url=callback)
        return self.do(channel.stream_name(chid), channel.Add(added))

    def grant(self, chid: str = CHID, botcode: str = BOTCODE, **terms: Any) -> list[Wake]:
        """Let a channel use a bot; `terms` are fields of `channel.BotGranted`."""
        granted = channel.BotGranted(at=self.wall, botcode=botcode, **terms)
        return self.do(channel.stream_name(chid), channel.Alter((granted,)))

    def move_callback(self, url: str, chid: str = CHID) -> list[Wake]:
        """Have a channel's callbacks go elsewhere; what is known of its receiver no longer counts."""
        wakes = self.do(
            channel.stream_name(chid), channel.Alter((channel.CallbackMoved(at=self.wall, callback_url=url),))
        )
        self.endpoint(chid).moved()
        return wakes

    def alter(self, *changes: channel.Change, chid: str = CHID) -> list[Wake]:
        """Change a channel."""
        return self.do(channel.stream_name(chid), channel.Alter(changes))

    # -- what is asked and reported ---------------------------------------------------------------------------------------------

    def operate(self, kind: Kind, txcode: str, *, botcode: str = BOTCODE, login_kind: str = "") -> list[Wake]:
        """Accept an operation: `login`, `logout` or `stop`."""
        accepted = operation.OperationAccepted(
            at=self.wall, chid=CHID, botcode=botcode, txcode=txcode, interface=kind,
            digest=f"{kind} {login_kind} {txcode}", kind=kind, login_kind=login_kind,
        )  # fmt: skip
        return self.do(stream(txcode), operation.Accept(accepted))

    def queue(
        self,
        txcode: str,
        *,
        botcode: str = BOTCODE,
        chid: str = CHID,
        room_id: str = "",
        room_topic: str = "",
        user_id: str = "",
        user_name: str = "",
        expires_at: int | None = None,
        on_doubt: str = "leave",
        answer_by: int = 0,
        **content: Any,
    ) -> list[Wake]:
        """Accept a message; without a room or a person it is for room `r1`, without a card or an image it is a text."""
        room_id = room_id or ("" if room_topic or user_id or user_name else "r1")
        content = content or {"text": f"text {txcode}"}
        queued = message.MessageQueued(
            at=self.wall, chid=chid, botcode=botcode, txcode=txcode, interface="roomSendText",
            digest=f"{botcode} {txcode} {room_id} {room_topic} {user_id} {user_name} {content}", room_id=room_id,
            room_topic=room_topic, user_id=user_id, user_name=user_name, expires_at=expires_at,
            on_doubt="resend" if on_doubt == "resend" else "leave", answer_by=answer_by, **content,
        )  # fmt: skip
        return self.do(stream(txcode, chid), message.Queue(queued))

    def report(self, report: Report, botcode: str = BOTCODE) -> list[Wake]:
        """Take a report of the client that runs now."""
        if isinstance(report, ReportMessage):
            return self.do(inbound.stream_name(botcode, report.message_id), inbound.Receive(botcode, report))
        if isinstance(report, ReportReceipt):
            confirm = message.Confirm(at=report.at, receipt=report.receipt)
            return self.do(self.log[report.msgid - 1].stream, confirm)
        return self.report_of(self.bot(botcode).run, report, botcode)

    def report_of(self, run: int, report: BotReport, botcode: str = BOTCODE) -> list[Wake]:
        """Take a report of the client of this run."""
        code_id = f"id of {report.text}" if isinstance(report, ReportQrCode) else ""
        return self.do(bot.stream_name(botcode), bot.TakeReport(run=run, report=report, code_id=code_id))

    def log_in(
        self,
        botcode: str = BOTCODE,
        *,
        wxid: str = "",
        rooms: Sequence[Room] = ROOMS,
        complete: bool = True,
        contacts: Sequence[Contact] = (),
    ) -> Self:
        """Log the bot in, up to its room list, and its contacts where there are some. Callbacks are left due."""
        if not self.bot(botcode).running:
            self.operate("login", f"login-{botcode}-{len(self.log)}", botcode=botcode)
            self.settle(botcode)
        account = wxid or f"wxid_{botcode}"
        self.report(ReportLoggedIn(at=self.wall, wxid=account, name=f"Bot {botcode}"), botcode)
        self.report(ReportRooms(at=self.wall, rooms=tuple(rooms), complete=complete), botcode)
        if contacts:
            self.report(ReportContacts(at=self.wall, contacts=tuple(contacts), complete=complete), botcode)
        return self

    def want_digits(self, botcode: str = BOTCODE) -> list[Wake]:
        """Have the phone show digits that are to be handed over."""
        return self.report(ReportDigitsWanted(at=self.wall), botcode)

    # -- what the owner does: records -------------------------------------------------------------------------------------------

    def to_record(self, botcode: str = BOTCODE) -> list[Decide]:
        """Return what is to be recorded now; nothing where there is only something to wait for."""
        world, steps = self.own(botcode), list[Decide]()
        found = world.next_records(self.now)
        if isinstance(found, list):
            steps += found
        taken = {step.stream for step in steps}
        for chid, endpoint in self.endpoints.items():
            for control in (True, False):
                hopeless = world.deliveries.hopeless(chid, control, self.now, endpoint)
                steps += [step for step in hopeless if step.stream not in taken]
        return steps

    def settle(self, botcode: str = BOTCODE) -> list[Decide]:
        """Record what is to be recorded now, and what follows from it, to the end; return the steps."""
        done: list[Decide] = []
        for _ in range(ROUNDS):
            steps = self.to_record(botcode)
            if not steps:
                return done
            before = len(self.log)
            for step in steps:
                self.do(step.stream, step.command)
            assert len(self.log) > before, f"the world asks for what changes nothing: {steps}"
            done += steps
        raise AssertionError(f"the world never comes to rest: {done[-3:]}")

    # -- what the owner does: sending -------------------------------------------------------------------------------------------

    def next_claim(self, botcode: str = BOTCODE) -> Claim | Wait | None:
        """Return the message that is next, a time to wait for, or None."""
        return self.own(botcode).next_claim(self.now)

    def claim(self, botcode: str = BOTCODE) -> Claim:
        """Claim the message that is next; there must be one."""
        step = self.next_claim(botcode)
        assert isinstance(step, Claim), f"nothing can be claimed now: {step}"
        world = self.own(botcode)
        command = message.ClaimAttempt(
            at=self.wall,
            attempt=step.attempt,
            room_id=step.room_id,
            user_id=step.user_id,
            epoch=world.epoch,
            gap_ms=world.queue.pace.gap_ms(self.mono),
        )
        self.do(step.stream, command)
        return step

    def hand_over(self, claim: Claim, claimed_at: int | None = None, botcode: str = BOTCODE) -> str:
        """Look once more at what was claimed, and hand it over; return why it was put back instead, or nothing.

        Args:
            claim: What was claimed.
            claimed_at: When, on the clock that is never set; by default now.
            botcode: The bot.
        """
        claimed = cast(Message, self.state(claim.stream))
        since = self.mono if claimed_at is None else claimed_at
        hindrance = self.own(botcode).last_look(claimed, since, self.now)
        if hindrance:
            self.do(claim.stream, message.PutBack(at=self.wall, attempt=claim.attempt, detail=hindrance))
            return hindrance
        self.own(botcode).queue.pace.handed_over(self.mono)
        image = b"bytes of the image" if claimed.image is not None else None
        self.handed.append(message.outgoing(claimed, claim.msgid, image))
        return ""

    def end(self, claim: Claim, outcome: SendOutcome, botcode: str = BOTCODE) -> list[Wake]:
        """Record how a hand-over ended."""
        the_bot = self.bot(botcode)
        command = message.RecordOutcome(
            at=self.wall,
            attempt=claim.attempt,
            outcome=outcome,
            resend=the_bot.added.deduplicates,
            rooms_complete=the_bot.ready and the_bot.rooms_complete,
            contacts_complete=the_bot.ready and the_bot.contacts_complete,
        )
        return self.do(claim.stream, command)

    def send(self, outcome: SendOutcome | None = None, botcode: str = BOTCODE) -> Claim:
        """Send the message that is next, from the claim to the outcome (by default it is accepted); return the claim."""
        claim = self.claim(botcode)
        hindrance = self.hand_over(claim, botcode=botcode)
        assert not hindrance, hindrance
        self.end(claim, outcome or Accepted(f"wx-{claim.msgid}"), botcode)
        return claim

    # -- what the owner does: images --------------------------------------------------------------------------------------------

    def store_images(self, botcode: str = BOTCODE) -> list[FetchImage]:
        """Fetch and store every image that is still to be fetched; return what was to be done."""
        fetches = self.own(botcode).queue.next_fetches()
        for fetch in fetches:
            image = Image(source=fetch.source, digest=f"sha-{fetch.msgid}", media_type="image/png", size=18)
            self.do(fetch.stream, message.StoreImage(at=self.wall, image=image))
        return fetches

    # -- what the owner does: callbacks -----------------------------------------------------------------------------------------

    def endpoint(self, chid: str = CHID) -> Endpoint:
        """Return what is known of a channel's receiver."""
        return self.endpoints.setdefault(chid, Endpoint())

    def next_post(self, chid: str = CHID, *, control: bool = False, botcode: str = BOTCODE) -> Post | Wait | None:
        """Return the callback that is next in a queue, a time to wait for, or None. Nothing goes to a receiver that is gone."""
        if self.endpoint(chid).gone:
            return None
        return self.own(botcode).deliveries.next_post(chid, control, self.now, self.endpoint(chid))

    def begin_post(self, chid: str = CHID, *, control: bool = False, botcode: str = BOTCODE) -> Post:
        """Begin to post the callback that is next; there must be one."""
        step = self.next_post(chid, control=control, botcode=botcode)
        assert isinstance(step, Post), f"nothing can be posted now: {step}"
        self.own(botcode).deliveries.begin(step.stream)
        self.endpoint(chid).begin(step.stream, self.mono)
        return step

    def acknowledge(self, post: Post) -> list[Wake]:
        """The receiver acknowledged it: record that."""
        deliveries = self.own(post.botcode).deliveries
        self.endpoint(post.chid).succeeded(post.stream)
        deliveries.acknowledged(post.stream)
        wakes = self.do(post.stream, delivery.RecordSuccess(at=self.wall, attempt=post.attempt))
        deliveries.end(post.stream)
        return wakes

    def miss(
        self, post: Post, reason: str = "HTTP 500", *, retry_after_s: int | None = None, gone: bool = False
    ) -> list[Wake]:
        """The receiver did not acknowledge it: record that. `gone`: it answered 410, and nothing more goes there."""
        endpoint = self.endpoint(post.chid)
        if gone:
            endpoint.closed(post.stream, reason)
        else:
            endpoint.failed(post.stream, self.mono, reason, retry_after_s, 0.0)
        failure = delivery.RecordFailure(
            at=self.wall, attempt=post.attempt, reason=reason, retry_after_s=retry_after_s, gone=gone, jitter=0.0
        )
        wakes = self.do(post.stream, failure)
        self.own(post.botcode).deliveries.end(post.stream)
        return wakes

    def post(self, chid: str = CHID, *, control: bool = False, botcode: str = BOTCODE) -> Post:
        """Post the callback that is next, successfully; return it."""
        step = self.begin_post(chid, control=control, botcode=botcode)
        self.acknowledge(step)
        return step
