"""The simulated WeChat: what a bot's account and its people see, and what stays when the gateway is killed.

It keeps itself in a SQLite file of its own. Whatever a call has written is in the file when it returns, also when this process is killed
then. All calls are short and synchronous; a change can be waited for at `SimulatedWeChat.news`. Each bot's account has rooms and people of
its own.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from types import TracebackType
from typing import Self

import apsw
from attrs import asdict

from wxrc_puppet.simulator.chance import new_wxid
from wxrc_puppet.simulator.directory import NAME_LIMIT, Directory, is_name
from wxrc_puppet.simulator.logins import Logins
from wxrc_puppet.simulator.messages import Messages
from wxrc_puppet.simulator.model import Account
from wxrc_puppet.simulator.news import POLL_S, News
from wxrc_puppet.simulator.options import BadOption, read_options
from wxrc_puppet.simulator.schema import IN_MEMORY, open_file

RESERVED = ("api", "picture", "qr", "static")
"""Names that the pages need for themselves (`web`)."""


def wall_clock() -> int:
    """Return the time of this machine in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class SimulatedWeChat:
    """A WeChat of our own.

    Args:
        path: Its file; it is made where there is none. `:memory:` keeps it in memory.
        clock: Now, in epoch milliseconds.
        chance: Where ids, tokens and digits come from.

    Attributes:
        clock: Its clock.
        news: Where to wait for the next change.
        logins: Its QR codes and sessions.
        directory: Its rooms and people.
        messages: What was written.
    """

    def __init__(self, path: Path | str, clock: Callable[[], int] = wall_clock, chance: Random | None = None) -> None:
        self._db: apsw.Connection = open_file(path)
        self._chance = chance or SystemRandom()
        self.clock = clock
        self._clients: Counter[str] = Counter()
        self.news = News(POLL_S if path != IN_MEMORY else math.inf)  # no other process can write there
        self.logins = Logins(self._db, self.news, clock, self._chance)
        self.directory = Directory(self._db, self.news, self._chance)
        self.messages = Messages(self._db, self.news, self.directory, clock, self._chance)

    def close(self) -> None:
        """Close the file and wake whatever waits."""
        self.news.tell_all()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- accounts ------------------------------------------------------------------------------------------------------

    def ensure_account(self, bot: str, options: Mapping[str, str]) -> Account:
        """Make the bot's account where there is none; new options count from now on, and rooms that they name are added.

        Raises:
            BadOption: An option is unknown or its value is not right.
        """
        if bot in RESERVED or not is_name(bot) or "/" in bot:
            raise BadOption(
                f"A simulated bot's code must be a name of 1 to {NAME_LIMIT} characters without '/', other than {', '.join(RESERVED)}."
            )
        read = read_options(options)
        said = json.dumps(asdict(read), ensure_ascii=False, sort_keys=True)
        account = self.account(bot)
        with self._db:
            if account is None:
                self._db.execute(
                    "INSERT INTO account (bot, wxid, name, options, since) VALUES (?, ?, ?, '', ?)",
                    (bot, new_wxid(self._chance), bot, self.clock()),
                )
            before = self._db.execute("SELECT options FROM account WHERE bot = ?", (bot,)).get
            if before != said:
                self._db.execute(
                    "UPDATE account SET options = ?, deduplicates = ? WHERE bot = ?", (said, read.deduplicates, bot)
                )
                self.directory.lay_out(bot, read.rooms, read.faults)
        self.news.tell(bot)
        account = self.account(bot)
        assert account is not None
        return account

    def accounts(self) -> list[Account]:
        """Return all accounts."""
        bots = [bot for (bot,) in self._db.execute("SELECT bot FROM account ORDER BY bot")]
        return [account for bot in bots if (account := self.account(bot)) is not None]

    def account(self, bot: str) -> Account | None:
        """Return the bot's account."""
        row = self._db.execute(
            "SELECT bot, wxid, name, session <> '', since, client, kind, ended, taken, deduplicates FROM account WHERE bot = ?",
            (bot,),
        ).fetchone()
        if row is None:
            return None
        bot, wxid, name, logged_in, since, client, kind, ended, taken, deduplicates = row
        return Account(
            bot=bot,
            wxid=wxid,
            name=name,
            logged_in=bool(logged_in),
            since=since,
            client=client,
            kind=kind,
            ended=ended,
            taken=taken,
            deduplicates=bool(deduplicates),
        )

    @contextmanager
    def connection(self, bot: str) -> Iterator[None]:
        """Count a client of the bot as connected, for the pages, as long as this lasts."""
        self._clients[bot] += 1
        self.news.tell()
        try:
            yield
        finally:
            self._clients[bot] -= 1
            self.news.tell()

    def is_connected(self, bot: str) -> bool:
        """Tell whether a client of the bot runs in this process."""
        return self._clients[bot] > 0
