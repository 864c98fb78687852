"""Whether a gateway can do its work: where it stands in its life, and whether its store can be written to and read.

The store is asked by a probe every second, so that a failure shows without traffic. One WARNING tells when a failure began and why,
another when it is over; what else notices the same failure meanwhile says so at INFO.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

import anyio
from attrs import frozen

from wxrc_core.errors import Unavailable
from wxrc_core.localized import LocalizedText
from wxrc_gateway.retry import error_location
from wxrc_store.port import Store

log = logging.getLogger("wxrc.gateway")

PROBE_LIMIT_S = 0.9
"""How long the store may take for a probe; then it counts as failed (seconds). With a probe every second, 2 s are kept."""

Phase: TypeAlias = Literal["new", "starting", "up", "draining", "left"]
Status: TypeAlias = Literal["ok", "starting", "draining", "stopped", "failing"]

UNAVAILABLE: dict[Phase, LocalizedText | None] = {
    "new": LocalizedText(
        "网关没有运行；请先进入：async with gateway: ...",
        "the gateway is not running; enter it first, with `async with gateway: ...`",
    ),
    "starting": LocalizedText("网关正在启动，请稍后重试", "the gateway is starting; try again shortly"),
    "up": None,
    "draining": LocalizedText("网关正在停止，请稍后重试", "the gateway is shutting down; try again shortly"),
    "left": LocalizedText(
        "网关已退出，不再运行；请新建一个并进入", "the gateway was left and runs no more; make a new one and enter it"
    ),
}
"""Why nothing can be accepted in each phase; None = it can."""

_STATUS: dict[Phase, Status] = {
    "new": "stopped", "starting": "starting", "up": "ok", "draining": "draining", "left": "stopped",
}  # fmt: skip


_ENTERED = LocalizedText(
    "这个网关已经进入；一个 async with 就够，所有任务都可以使用它",
    "this gateway is entered already; one `async with` is enough, and every task may use it",
)
_STOPPED = LocalizedText("网关没有运行", "the gateway is not running")


class NotEntered(Unavailable):
    """A call that needs a running gateway came before it was entered, or after it was left; the sentence says which, and what to do.

    Nothing was promised, as with every `Unavailable`; but no second try helps as long as nobody enters the gateway.
    """


@frozen
class Health:
    """Whether a gateway can do its work.

    Attributes:
        status: `ok`; `starting` or `draining`: it will be or was; `failing`: its store cannot be used; `stopped`: it is not running.
        reason: Why it is not `ok`, in a sentence; it may name files of this machine.
        since: Since when it has this status (epoch ms).
    """

    status: Status
    reason: str
    since: int


class Lifecycle:
    """Where a gateway stands: made, coming up, running, going down, gone.

    Attributes:
        phase: Where it stands.
        since: Since when (epoch ms).
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.move("new")

    def move(self, phase: Phase) -> None:
        """Take note of the next phase."""
        self.phase: Phase = phase
        self.since = self._clock()

    def begin(self) -> None:
        """Take note that the gateway is being entered.

        Raises:
            NotEntered: It is running already.
        """
        if self.phase not in ("new", "left"):
            raise NotEntered(_ENTERED)
        self.move("starting")

    def check(self) -> None:
        """Refuse what needs a running gateway.

        Raises:
            NotEntered: It was not entered yet, or was left.
            Unavailable: It is coming up or going down.
        """
        if self.phase in ("new", "left"):
            raise NotEntered(UNAVAILABLE[self.phase] or _STOPPED)
        if self.phase != "up":
            raise Unavailable(UNAVAILABLE[self.phase] or _STOPPED)

    def health(self) -> Health:
        """Return the phase as a health."""
        reason = UNAVAILABLE[self.phase]
        return Health(_STATUS[self.phase], reason.en if reason else "", self.since)


class StoreWatch:
    """Asks the store over and over, and remembers since when it fails and why.

    Attributes:
        failure: The failure that goes on; None = the store works.
    """

    def __init__(self, store: Store, clock: Callable[[], int], read_error: Callable[[], str]) -> None:
        self.failure: Health | None = None
        self._store, self._clock, self._read_error = store, clock, read_error

    async def run(self, every_s: float) -> None:
        """Ask every so many seconds, until cancelled."""
        while True:
            reason = await self._probe()
            self._judge(reason or self._read_error())
            await anyio.sleep(every_s)

    async def _probe(self) -> str:
        """Return why the store cannot be written to; empty = it can."""
        try:
            with anyio.move_on_after(PROBE_LIMIT_S):
                await self._store.probe()
                return ""
        except Unavailable as error:
            return str(error)
        except Exception as error:  # a store of somebody's own
            return f"the store failed in a way that it should not ({error_location(error)})"
        return f"the store did not answer within {PROBE_LIMIT_S:g} s"

    def _judge(self, reason: str) -> None:
        before = self.failure
        if reason and before is None:
            self.failure = Health("failing", reason, self._clock())
            log.warning(
                "the store fails since %s: %s (requests get 503 and nothing is sent until it is over)",
                _time(self.failure.since), reason,
            )  # fmt: skip
        elif reason and before is not None:
            self.failure = Health("failing", reason, before.since)
        elif before is not None:
            self.failure = None
            lasted = max(0, self._clock() - before.since) / 1000
            log.warning("the store works again; it failed for %.1f s, since %s", lasted, _time(before.since))


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000).astimezone().isoformat(timespec="seconds")
