"""A WeChat of our own: its accounts, its rooms, and the record of what really happened there. It outlives every gateway."""

from collections.abc import Callable

from attrs import define, field

from wxrc_core.puppet import Contact, Outgoing, ReportMessage, Room
from wxrc_simulation import pictures
from wxrc_simulation.chance import Chance
from wxrc_simulation.contents import PEOPLE
from wxrc_simulation.loop import VirtualLoop
from wxrc_simulation.records import Arrival, LoginFact, PersonFact, RoomFact, Run, Spoken
from wxrc_simulation.schedule import TOPICS, BotPlan


def label(outgoing: Outgoing) -> str:
    """Return what tells contents apart: the text, a card's title, or the URL whose image has these bytes."""
    if outgoing.image is not None:
        return pictures.source(outgoing.image.data)
    return outgoing.card.title if outgoing.card is not None else outgoing.text


@define(eq=False)
class Account:
    """One WeChat account: its rooms (topics by id), its contacts (nickname and remark by id), what people wrote where it can read it."""

    wxid: str
    rooms: dict[str, str] = field(factory=dict)
    people: dict[str, tuple[str, str]] = field(factory=dict)
    inbox: list[ReportMessage] = field(factory=list)


@define(eq=False)
class Phone:
    """The phone behind one bot.

    Attributes:
        plan: The bot.
        own: Its usual account.
        other: Another account of the same person, which may scan the code instead.
        session: The token that logs in without a scan, and the account; None = none holds.
        told: How much of each account's inbox a gateway has confirmed.
        digits: What it shows during login; empty = nothing.
        client: Told when something happens to the account that is logged in.
    """

    plan: BotPlan
    own: Account
    other: Account
    session: tuple[str, Account] | None = None
    told: dict[str, int] = field(factory=dict)
    digits: str = ""
    client: Callable[[str], None] | None = None
    client_name: str = ""
    tokens: int = 0


class WeChat:
    """The accounts, and what reached them."""

    def __init__(self, loop: VirtualLoop, run: Run, chance: Chance) -> None:
        self.phones: dict[str, Phone] = {}
        self.read_digits: Callable[[str, str], None] = lambda botcode, digits: None
        self._loop, self._run, self._chance = loop, run, chance

    @property
    def now(self) -> int:
        """True ms since the run began."""
        return int(self._loop.time() * 1000)

    def add(self, plan: BotPlan) -> None:
        """Give a bot its phone."""
        code = plan.botcode
        own = Account(
            f"wxid_{code}",
            {f"{room}@{code}": TOPICS[room] for room in range(plan.rooms)},
            {f"{number}-{code}": names for number, names in enumerate(PEOPLE)},
        )
        other = Account(f"other_{code}", {f"0@{code}-other": TOPICS[0]}, {f"0-{code}-other": PEOPLE[0]})
        self.phones[code] = Phone(plan, own, other)
        for account in (own, other):
            for room_id, topic in account.rooms.items():
                self._run.rooms.append(RoomFact(0, account.wxid, room_id, topic))
            for user_id, names in account.people.items():
                self._run.people.append(PersonFact(0, account.wxid, user_id, names))

    # -- what clients do --------------------------------------------------------------------------------------------------------

    def log_in(self, phone: Phone, account: Account) -> str:
        """Log an account in; return the token with which the next client logs in without a scan."""
        phone.tokens += 1
        token = f"token-{phone.plan.botcode}-{phone.tokens}"
        phone.session = (token, account)
        self._run.logins.append(LoginFact(self.now, phone.plan.botcode, account.wxid))
        return token

    def sign_out(self, phone: Phone) -> None:
        """Sign the account out; its session is gone."""
        phone.session = None
        self._run.logins.append(LoginFact(self.now, phone.plan.botcode, None))

    def arrive(self, phone: Phone, account: Account, outgoing: Outgoing) -> str:
        """Let a message reach its room; return its receipt."""
        deduplicates = phone.plan.deduplicates
        receipt = f"wx{outgoing.msgid}" if deduplicates else f"wx{outgoing.msgid}-{len(self._run.arrivals)}"
        if not (deduplicates and receipt in self._run.receipts):
            self._run.arrivals.append(
                Arrival(
                    self.now,
                    account.wxid,
                    outgoing.room_id,
                    outgoing.msgid,
                    outgoing.attempt,
                    label(outgoing),
                    receipt,
                    outgoing.user_id,
                )
            )
        self._run.receipts[receipt] = outgoing.msgid
        return receipt

    def room_list(self, account: Account) -> tuple[Room, ...]:
        """Return the rooms of an account."""
        return tuple(Room(room_id, topic) for room_id, topic in account.rooms.items())

    def contact_list(self, account: Account) -> tuple[Contact, ...]:
        """Return the contacts of an account."""
        return tuple(Contact(user_id, name, remark) for user_id, (name, remark) in account.people.items())

    def show_digits(self, phone: Phone, digits: str) -> None:
        """Show digits on a phone, or none any more; whoever looks types them in."""
        phone.digits = digits
        if digits:
            self._run.digits_shown.append((phone.plan.botcode, digits))
            self.read_digits(phone.plan.botcode, digits)

    # -- what happens there -----------------------------------------------------------------------------------------------------

    def happen(self, botcode: str, how: str, number: int) -> None:
        """Let something happen to a bot's account."""
        phone = self.phones[botcode]
        account = phone.session[1] if phone.session is not None else phone.own
        rooms = list(account.rooms)
        if how in ("kick", "sign out"):
            if phone.session is not None:
                self.sign_out(phone)
            self._tell(phone, how)
        elif how == "drop":
            self._tell(phone, how)
        elif how == "speak":
            self._speak(phone, account, rooms, number)
        elif how == "found":
            self._room(account, f"{number}-{self.now}@{botcode}", TOPICS[number])
            self._tell(phone, "rooms")
        elif how in ("unfriend", "remark"):
            self._person(account, number, how)
            self._tell(phone, "contacts")
        elif rooms:
            room_id = rooms[number % len(rooms)]
            if how == "dissolve":
                self._room(account, room_id, None)
            else:
                self._room(account, room_id, TOPICS[(number + 1) % len(TOPICS)] if number % 2 else f"改名 {self.now}")
            self._tell(phone, "rooms")

    def _person(self, account: Account, number: int, how: str) -> None:
        people = list(account.people)
        if not people:
            return
        user_id = people[number % len(people)]
        if how == "unfriend":
            del account.people[user_id]
        else:
            account.people[user_id] = (account.people[user_id][0], PEOPLE[number][0])
        self._run.people.append(PersonFact(self.now, account.wxid, user_id, account.people.get(user_id)))

    def _room(self, account: Account, room_id: str, topic: str | None) -> None:
        if topic is None:
            del account.rooms[room_id]
        else:
            account.rooms[room_id] = topic
        self._run.rooms.append(RoomFact(self.now, account.wxid, room_id, topic))

    def _speak(self, phone: Phone, account: Account, rooms: list[str], number: int) -> None:
        direct = number == 0 or not rooms
        room_id = "" if direct else rooms[number % len(rooms)]
        message_id = f"in-{account.wxid}-{len(account.inbox)}"
        mentioned = number == 1
        account.inbox.append(
            ReportMessage(
                at=0,
                message_id=message_id,
                kind="text",
                text=f"你好 {number}",
                from_id="wxid_person",
                room_id=room_id,
                room_topic=account.rooms.get(room_id, ""),
                mentioned=mentioned,
            )
        )
        self._run.spoken.append(Spoken(self.now, phone.plan.botcode, account.wxid, message_id, room_id, mentioned))
        self._tell(phone, "inbox")

    def _tell(self, phone: Phone, what: str) -> None:
        if phone.client is not None:
            phone.client(what)
