"""What the judges know of a run: the records of those around the gateway, never the gateway's own word.

All times are true virtual milliseconds since the run began, whatever the clock of a replica says.
"""

from collections.abc import Sequence
from typing import Any, Literal

from attrs import define, field, frozen

from wxrc_core.log import Recorded
from wxrc_core.puppet import SendOutcome
from wxrc_core.world import World


@frozen
class HandOver:
    """A replica called a puppet's `send`. `text` is what tells contents apart: the text, a card's title, or the URL of an image's bytes.

    `process`: which run of the replica; `log_end`: where the shared log ended; `wall`: the replica's wall clock (epoch ms).
    """

    at: int
    replica: str
    botcode: str
    wxid: str
    room_id: str
    msgid: int
    attempt: int
    text: str
    process: str = ""
    log_end: int = 0
    wall: int = 0
    user_id: str = ""


@frozen
class Membership:
    """The store told a replica's run (`process`) at `at` that it is a member, until `until`."""

    at: int
    until: int
    process: str


@frozen
class Said:
    """What the puppet answered to a hand-over. There is none where it never returned."""

    at: int
    msgid: int
    attempt: int
    outcome: SendOutcome


@frozen
class Arrival:
    """A message really reached a room or a person; `text` as in `HandOver`."""

    at: int
    wxid: str
    room_id: str
    msgid: int
    attempt: int
    text: str
    receipt: str
    user_id: str = ""


@frozen
class PersonFact:
    """A person's nickname and remark from then on; None = the account can no longer write to them."""

    at: int
    wxid: str
    user_id: str
    names: tuple[str, str] | None


@frozen
class DigitsFact:
    """A client was handed digits during login: which process's, for which bot, and what the phone showed then."""

    at: int
    process: str
    botcode: str
    digits: str
    shown: str


@frozen
class CodeFact:
    """A client showed a QR code."""

    botcode: str
    text: str
    expires_at: int


@frozen
class RoomFact:
    """A room's topic from then on; None = the account is no longer in it."""

    at: int
    wxid: str
    room_id: str
    topic: str | None


@frozen
class LoginFact:
    """The account that is logged in for a bot from then on; None = none."""

    at: int
    botcode: str
    wxid: str | None


@frozen
class Spoken:
    """What a person wrote where the bot can read it."""

    at: int
    botcode: str
    wxid: str
    message_id: str
    room_id: str
    mentioned: bool


@frozen
class Heard:
    """A puppet reported what a person wrote, and the gateway confirmed that it is durable."""

    at: int
    message_id: str


@frozen
class Received:
    """A callback that reached a receiver.

    Attributes:
        at: When.
        chid: The channel whose receiver it is.
        url: Where it arrived.
        webhook_id: Its id.
        body: The reqBody.
        genuine: Its signatures hold.
        acknowledged: The receiver acknowledged it, and the answer was sent.
        status: The HTTP status of the answer; 0 = none was given.
        log_end: Where the shared log ended when it arrived.
        signers: The KEY and the webhook secrets that signed it.
        format: How it was written: `form`, `json` or `bracket`, in which all values are texts.
    """

    at: int
    chid: str
    url: str
    webhook_id: str
    body: dict[str, Any]
    genuine: bool
    acknowledged: bool
    status: int
    log_end: int = 0
    signers: tuple[str, ...] = ()
    format: str = "form"


@frozen
class Call:
    """One try of a request, as its client saw it.

    Attributes:
        number: In order of the tries' begin.
        chid: The channel.
        interface: What was asked.
        botcode: The bot it is for.
        txcode: The txcode.
        day: Its day, `yyyymmdd`.
        content: What makes two requests the same.
        invoked: When it was sent.
        returned: When the answer arrived; None = it never did.
        status: The answer's HTTP status; 0 = there is none.
        rtcode: The answer's code; empty = there is none.
        msgid: The message's number, where the answer has one.
        send_status: As answered.
        send_reason: As answered.
        replica: Which replica was asked.
        gone: The client went away before the answer.
        gone_at: When.
        given: The replica gave this answer, whether it arrived or not.
        text: What is to be sent, as in `HandOver`; empty = it is no message.
        log_end: Where the shared log ended when the replica gave the answer.
        given_at: When it gave it.
        key: The KEY that signed it.
        known: Up to where the replica had folded the log, for certain, when the request reached it.
    """

    number: int
    chid: str
    interface: str
    botcode: str
    txcode: str
    day: str
    content: str
    invoked: int
    returned: int | None = None
    status: int = 0
    rtcode: str = ""
    msgid: int | None = None
    send_status: str = ""
    send_reason: str = ""
    replica: str = ""
    gone: bool = False
    gone_at: int = 0
    given: bool = False
    text: str = ""
    log_end: int = 0
    given_at: int = 0
    key: str = ""
    known: int = 0

    @property
    def odd(self) -> str:
        """What makes it a request that must be refused; empty = nothing."""
        return self.content.rpartition("|")[2]


@frozen
class Fault:
    """Something went wrong on purpose."""

    at: int
    kind: str
    detail: str = ""


@frozen
class ChannelFact:
    """A channel's callback URL from then on, as the operator asked; `done` = when the gateway confirmed it, None = it never did."""

    at: int
    chid: str
    url: str
    done: int | None


@frozen
class GrantFact:
    """A grant from then on, as the operator asked; `done` as in `ChannelFact`."""

    at: int
    chid: str
    botcode: str
    on_doubt: Literal["leave", "resend"]
    inbound: Literal["addressed", "all"]
    done: int | None


@frozen
class BotFact:
    """A bot: how much it may send, whether its puppet deduplicates, its own account."""

    botcode: str
    pace: Literal["customary", "none"]
    deduplicates: bool
    wxid: str


@define
class Run:
    """Everything that is known of one run.

    Attributes:
        seed: What it was drawn from.
        schedule: What replays it.
        handed: Calls of puppets' `send`.
        said: Their answers.
        arrivals: What reached rooms.
        receipts: The msgid that each receipt was given for.
        rooms: Changes of rooms.
        people: Changes of contacts.
        digits: Digits that clients were handed.
        digits_shown: Digits that phones showed, by botcode.
        codes: QR codes that clients showed.
        logins: Changes of accounts.
        spoken: What people wrote.
        heard: What was reported of it.
        received: What receivers got.
        calls: Requests of clients.
        resends: Numbers of the messages that an operator had sent again, by stream or msgid.
        given_up: Streams of messages in doubt that an operator said had failed.
        vouched: Streams of messages in doubt that an operator said had arrived.
        cancelled: Streams of messages that an operator tried to cancel.
        channels: Callback URLs.
        grants: Grants.
        bots: Bots by botcode.
        faults: What went wrong on purpose.
        log: The shared store's log.
        appended: When the event at each position became durable, by position.
        authors: Which run of which replica (`process`) wrote the event at each position; the members that it joins as start with this name.
        seen: Up to which position whoever wrote the event at each position had read the log when it asked for it to be written.
        begun: When the writer of the event at each position asked for it to be written.
        snapshots: The snapshots that were kept in the end: position, bytes.
        shards: Into how many shards the bots are spread.
        worlds: Each replica that ran at the end, and its fold.
        store: The shared store.
        log_lines: What the gateway logged.
        vault: The names of what the vault has in the end.
        secrets: KEYs and webhook secrets, which no log line may have.
        operators: The names of those who changed something.
        made: The KEY or webhook secret that each operator made who is named so in the log; those of the set-up by channel and kind.
        escaped: Exceptions that came out of a gateway.
        trace: What happened, in order.
        quiet: It came to rest after the faults were over.
        healed_at: When the faults were over.
        ended_at: When the run ended.
    """

    seed: int
    schedule: str = ""
    handed: list[HandOver] = field(factory=list)
    memberships: list[Membership] = field(factory=list)
    said: list[Said] = field(factory=list)
    arrivals: list[Arrival] = field(factory=list)
    receipts: dict[str, int] = field(factory=dict)
    rooms: list[RoomFact] = field(factory=list)
    people: list[PersonFact] = field(factory=list)
    digits: list[DigitsFact] = field(factory=list)
    digits_shown: list[tuple[str, str]] = field(factory=list)
    codes: list[CodeFact] = field(factory=list)
    logins: list[LoginFact] = field(factory=list)
    spoken: list[Spoken] = field(factory=list)
    heard: list[Heard] = field(factory=list)
    received: list[Received] = field(factory=list)
    calls: list[Call] = field(factory=list)
    resends: set[str] = field(factory=set)
    given_up: set[str] = field(factory=set)
    vouched: set[str] = field(factory=set)
    cancelled: set[str] = field(factory=set)
    channels: list[ChannelFact] = field(factory=list)
    grants: list[GrantFact] = field(factory=list)
    bots: dict[str, BotFact] = field(factory=dict)
    faults: list[Fault] = field(factory=list)
    log: Sequence[Recorded] = ()
    appended: dict[int, int] = field(factory=dict)
    authors: dict[int, str] = field(factory=dict)
    seen: dict[int, int] = field(factory=dict)
    begun: dict[int, int] = field(factory=dict)
    snapshots: list[tuple[int, bytes]] = field(factory=list)
    shards: int = 64
    worlds: list[tuple[str, World]] = field(factory=list)
    store: Any = None
    log_lines: list[str] = field(factory=list)
    vault: Sequence[str] = ()
    secrets: list[str] = field(factory=list)
    made: dict[str, str] = field(factory=dict)
    operators: set[str] = field(factory=set)
    escaped: list[str] = field(factory=list)
    trace: list[str] = field(factory=list)
    quiet: bool = False
    healed_at: int = 0
    ended_at: int = 0
    broken: list[tuple[int, str]] = field(factory=list)
