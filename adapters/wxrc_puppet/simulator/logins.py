"""QR codes and sessions: who may log in as a bot's account, and which client is logged in.

A code is issued, opened on a phone (scanned), confirmed, and used once by the client that showed it. What the client gets for it is a
session: credentials with which it logs in again without a code until the account is signed out or kicked. WeChat keeps only their
digest.
"""

import hashlib
import hmac
from collections.abc import Callable
from random import Random

import apsw

from wxrc_puppet.simulator.chance import new_digits, new_token
from wxrc_puppet.simulator.model import OPEN, Code, CodeState, Ended, Login
from wxrc_puppet.simulator.news import News

WRONG_DIGITS = 3
"""After so many wrong digits a code is blocked."""

KEPT_CODES = 100
"""So many of a bot's codes are kept, for the words on their pages."""


class Logins:
    """The logins of one simulated WeChat. All calls are short and synchronous; what they change is durable when they return."""

    def __init__(self, db: apsw.Connection, news: News, clock: Callable[[], int], chance: Random) -> None:
        self._db = db
        self._news = news
        self._clock = clock
        self._chance = chance

    # -- QR codes, as the client and the phone see them ----------------------------------------------------------------

    def issue(self, bot: str, *, lifetime_ms: int, digits: bool) -> Code:
        """Issue a new code for a bot; all its earlier ones stop working."""
        token = new_token(self._chance, 24)
        shown = new_digits(self._chance) if digits else ""
        with self._db:
            self._db.execute(
                "UPDATE code SET state = 'withdrawn' WHERE bot = ?"
                " AND (state IN ('shown', 'scanned', 'digits') AND expires_at > ? OR state = 'confirmed')",
                (bot, self._clock()),
            )
            nr = self._db.execute("SELECT coalesce(max(nr), 0) + 1 FROM code WHERE bot = ?", (bot,)).get
            self._db.execute(
                "INSERT INTO code (token, bot, state, expires_at, digits, nr) VALUES (?, ?, 'shown', ?, ?, ?)",
                (token, bot, self._clock() + lifetime_ms, shown, nr),
            )
            self._db.execute("DELETE FROM code WHERE bot = ? AND nr <= ?", (bot, nr - KEPT_CODES))
        self._news.tell(bot)
        code = self.code(token)
        assert code is not None
        return code

    def code(self, token: str) -> Code | None:
        """Return the code with this token, as it stands now."""
        row = self._db.execute(
            "SELECT token, bot, state, expires_at, digits, wrong FROM code WHERE token = ?", (token,)
        ).fetchone()
        if row is None:
            return None
        token, bot, state, expires_at, digits, wrong = row
        if state in OPEN and self._clock() >= expires_at:
            state = "expired"
        return Code(token=token, bot=bot, state=state, expires_at=expires_at, digits=digits, wrong=wrong)

    def open_code(self, bot: str) -> Code | None:
        """Return the bot's newest code if it can still be scanned or confirmed."""
        row = self._db.execute("SELECT token FROM code WHERE bot = ? ORDER BY nr DESC LIMIT 1", (bot,)).fetchone()
        code = self.code(row[0]) if row else None
        return code if code is not None and code.state in OPEN else None

    def scan(self, token: str) -> Code | None:
        """Open the code on the phone."""
        return self._move(token, {"shown": "scanned"})

    def confirm(self, token: str) -> Code | None:
        """Confirm the login on the phone; where digits are wanted the phone shows them now."""
        code = self.code(token)
        after: CodeState = "digits" if code is not None and code.digits else "confirmed"
        return self._move(token, {"shown": after, "scanned": after})

    def refuse(self, token: str) -> Code | None:
        """Refuse the login on the phone."""
        return self._move(token, {"shown": "refused", "scanned": "refused", "digits": "refused"})

    def withdraw(self, token: str) -> None:
        """Take the code back where it has led to nothing yet: the client that showed it goes."""
        self._move(
            token, {"shown": "withdrawn", "scanned": "withdrawn", "digits": "withdrawn", "confirmed": "withdrawn"}
        )

    def seconds_left(self, code: Code) -> float:
        """Return how long the code still works."""
        return (code.expires_at - self._clock()) / 1000

    def enter_digits(self, bot: str, digits: str) -> None:
        """Take the digits that a client hands over; nothing happens when the phone shows none."""
        code = self.open_code(bot)
        if code is None or code.state != "digits":
            return
        if hmac.compare_digest(code.digits.encode(), digits.strip().encode(errors="replace")):
            self._move(code.token, {"digits": "confirmed"})
        else:
            state = "blocked" if code.wrong + 1 >= WRONG_DIGITS else "digits"
            with self._db:
                self._db.execute("UPDATE code SET state = ?, wrong = wrong + 1 WHERE token = ?", (state, code.token))
            self._news.tell(bot)

    def _move(self, token: str, moves: dict[CodeState, CodeState]) -> Code | None:
        with self._db:
            code = self.code(token)
            if code is None or code.state not in moves:
                return code
            self._db.execute("UPDATE code SET state = ? WHERE token = ?", (moves[code.state], token))
            self._news.tell(code.bot)
        return self.code(token)

    # -- sessions ------------------------------------------------------------------------------------------------------

    def log_in(self, code: Code, kind: str) -> Login | None:
        """Log a client in with a confirmed code, once; an older client is out. None = somebody withdrew the code."""
        session = new_token(self._chance, 32)
        with self._db:
            now = self.code(code.token)
            if now is None or now.state != "confirmed":
                return None
            self._db.execute("UPDATE code SET state = 'used' WHERE token = ?", (code.token,))
            self._db.execute(
                "UPDATE account SET session = ?, client = client + 1, kind = ?, since = ?, ended = '' WHERE bot = ?",
                (_digest(session), kind, self._clock(), code.bot),
            )
            client = self._client(code.bot)
        self._news.tell(code.bot)
        return Login(client, session)

    def resume(self, bot: str, session: str, kind: str) -> Login | None:
        """Log a client in with the credentials of an earlier login; an older client is out. None = they hold no more."""
        with self._db:
            self._db.execute(
                "UPDATE account SET client = client + 1, kind = ? WHERE bot = ? AND session = ?",
                (kind, bot, _digest(session)),
            )
            if not self._db.changes():
                return None
            client = self._client(bot)
        self._news.tell(bot)
        return Login(client, session)

    def sign_out(self, bot: str, client: int) -> None:
        """Sign the account out at a client's wish, unless another client is logged in by now."""
        self._end(bot, "client", client)

    def sign_out_on_phone(self, bot: str) -> bool:
        """Sign the client out on the phone; False = nobody was logged in."""
        return self._end(bot, "phone", self._client(bot))

    def kick(self, bot: str) -> bool:
        """Kick the client, as when the account logs in on another device; False = nobody was logged in."""
        return self._end(bot, "kicked", self._client(bot))

    def _end(self, bot: str, why: Ended, client: int) -> bool:
        with self._db:
            self._db.execute(
                "UPDATE account SET session = '', since = ?, ended = ? WHERE bot = ? AND client = ? AND session <> ''",
                (self._clock(), why, bot, client),
            )
            ended = bool(self._db.changes())
        self._news.tell(bot)
        return ended

    def _client(self, bot: str) -> int:
        return int(self._db.execute("SELECT coalesce(max(client), 0) FROM account WHERE bot = ?", (bot,)).get)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode(errors="replace")).hexdigest()
