"""How callbacks stand, and what an operator does about them: health, waiting ones, dead letters, retry and replay.

Everything is read from the log or its fold, and done by events in it, so that it is the same on every replica and beside a service.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

from wxrc_core import aggregate, channel, delivery
from wxrc_core.delivery import (
    REPLAYABLE,
    Delivery,
    DeliveryDelivered,
    DeliveryDue,
    DeliveryExpired,
    DeliveryGivenUp,
    DeliveryReplayed,
)
from wxrc_core.effects import Decide
from wxrc_core.errors import InvalidValue, NotFound, Refusal
from wxrc_core.localized import LocalizedText
from wxrc_core.log import Recorded
from wxrc_gateway._append import append, append_all
from wxrc_gateway._clock import mono
from wxrc_gateway._runtime import Runtime
from wxrc_gateway.callback_views import EVERYTHING as EVERYTHING
from wxrc_gateway.callback_views import CallbackHealth as CallbackHealth
from wxrc_gateway.callback_views import CallbackHistory as CallbackHistory
from wxrc_gateway.callback_views import CallbackStep as CallbackStep
from wxrc_gateway.callback_views import CallbackView as CallbackView
from wxrc_gateway.callback_views import Selection as Selection
from wxrc_gateway.callback_views import callback_history, dead_view, says_which, waiting_view

PAGE = 5_000
"""Events that are read from the log at once."""

REPLAYED_AT_ONCE = 200
"""Callbacks that are replayed in one append."""

CLOCK_MARGIN_MS = 3_600_000
"""Clocks of replicas differ: a search by time begins so much earlier in the log (ms)."""

_NO_CALLBACK = LocalizedText(
    "没有编号为 '{id}' 的回调；用 wxrc callbacks list 或 dead 查看",
    "there is no callback '{id}'; see `wxrc callbacks list` or `dead`",
)
_NOT_REPLAYABLE = LocalizedText(
    "回调 '{id}' 的状态为 {state}，不能重放；只有已送达、已过期或已放弃的回调可以重放（二维码除外）",
    "callback '{id}' is {state} and cannot be replayed; what was delivered, expired or given up can, but for QR codes",
)
_DISABLED = LocalizedText(
    "渠道 '{chid}' 的回调地址已停用（{reason}）；请先换一个地址，或执行 wxrc callbacks retry {chid}",
    "the callback URL of channel '{chid}' is disabled ({reason}); set another one, or run `wxrc callbacks retry {chid}` first",
)
_CHOOSE = LocalizedText(
    "请给出回调编号，或按渠道、机器人、时间、seq 选择，或选择全部死信；三者只取其一",
    "name callbacks by their ids, or choose them by channel, bot, time or seq, or choose all dead letters: exactly one of these",
)
_NO_URL = LocalizedText("渠道 '{chid}' 没有回调地址；请先设置", "channel '{chid}' has no callback URL; set one first")
_NO_CHANNEL = LocalizedText("没有渠道 '{chid}'", "there is no channel '{chid}'")


class CallbackDesk:
    """Callbacks as an operator sees them. All methods raise `Unavailable` while the store is."""

    def __init__(self, runtime: Runtime, passive: bool) -> None:
        self._runtime, self._passive = runtime, passive

    # -- looking ----------------------------------------------------------------------------------------------------------------

    def health(self) -> list[CallbackHealth]:
        """Return how the callback URL of every channel stands, without channels that were removed."""
        view = self._runtime.ledger.world.view
        return [self.health_of(known.state) for known in view.channels.values() if not known.state.removed]

    def health_of(self, state: channel.Channel) -> CallbackHealth:
        """Return how the callback URL of a channel stands."""
        world, chid = self._runtime.ledger.world, state.settings.chid
        counts = [each.deliveries.waiting(chid) for each in world.bots.values()]
        waiting = sum(count for count, _ in counts)
        if not state.settings.callback_url:
            return CallbackHealth(chid=chid, state="none", waiting=waiting)
        if state.disabled is not None:
            at, since, reason = state.disabled.at, state.disabled.since, state.disabled.reason
            return CallbackHealth(
                chid=chid, state="disabled", since=since, reason=reason, last_failure=at, waiting=waiting
            )
        failing = world.view.failing.get(chid)
        if failing is None:
            return CallbackHealth(chid=chid, state="healthy", waiting=waiting)
        return CallbackHealth(
            chid=chid,
            state="failing",
            since=failing.since,
            reason=failing.reason,
            last_failure=failing.last_at,
            next_try=self._next_try(chid, [time for _, time in counts if time is not None]),
            waiting=waiting,
        )

    def _next_try(self, chid: str, times: list[int]) -> int | None:
        """Return when a channel is tried next, as far as this process can know.

        Only who posts knows what else an attempt waits for: the endpoint's gap, its `Retry-After`, an attempt that is under way.
        """
        endpoint = self._runtime.endpoints.get(chid)
        if self._passive or endpoint is None or not times:
            return None
        now = self._runtime.now()
        gap = endpoint.wait_ms("", 1, mono())
        return None if gap is None else max(now.wall + gap, min(times))

    def waiting(self, selection: Selection = EVERYTHING) -> list[CallbackView]:
        """Return the callbacks that are due, the oldest first."""
        found = [
            waiting_view(due)
            for each in self._runtime.ledger.world.bots.values()
            for due in each.deliveries.due()
            if selection.has(due.stream, due.state.chid, due.state.botcode, due.state.at)
        ]
        return sorted(found, key=lambda view: view.seq)

    async def dead(self, selection: Selection = EVERYTHING) -> list[CallbackView]:
        """Return the dead letters, in the order in which they were given up. Reads the log from `selection.since` on."""
        ends = await self._ends(selection, (DeliveryGivenUp,))
        found = []
        async for stream, due, history in self._histories(ends):
            end = history[-1].event
            if isinstance(end, DeliveryGivenUp) and selection.has(stream, due.chid, due.botcode, due.at):
                found.append(dead_view(stream, due, end))
        return found

    async def history(self, webhook_id: str) -> CallbackHistory:
        """Return a callback and what happened to it: each attempt that is on record, and how it ended.

        Raises:
            NotFound: There is none with this id.
        """
        return callback_history(await self._recorded(webhook_id))

    # -- doing ------------------------------------------------------------------------------------------------------------------

    async def retry(self, chid: str, *, by: str = "application") -> int:
        """Have everything that waits for a channel posted at once, in order; a disabled URL is used again. Return how many wait.

        Raises:
            NotFound: There is no such channel.
            Refusal: It has no callback URL.
        """
        self._channel(chid)
        retried = channel.CallbackRetried(at=self._runtime.clock(), by=by)
        written = await append(self._runtime.store, channel.stream_name(chid), channel.Alter((retried,)))
        await self._runtime.ledger.reached(written.last)
        return sum(each.deliveries.waiting(chid)[0] for each in self._runtime.ledger.world.bots.values())

    async def replay_ids(self, ids: Sequence[str], *, by: str = "application") -> int:
        """Have callbacks that have ended delivered once more, under their own ids; return how many. All of them, or none.

        Raises:
            NotFound: There is none with one of the ids.
            Refusal: One cannot be replayed; the sentence says why.
        """
        steps = {webhook_id: await self._replaying(webhook_id, by) for webhook_id in ids}
        await self._append(list(steps.values()))
        return len(steps)

    async def _replaying(self, webhook_id: str, by: str) -> Decide:
        history = await self._recorded(webhook_id)
        state, _ = aggregate.fold(history)
        assert isinstance(state, Delivery)
        self._usable(state.chid)
        if state.state not in REPLAYABLE or state.kind == "qrCode":
            raise Refusal(_NOT_REPLAYABLE.filled(id=webhook_id, state=state.state))
        command = delivery.Replay(at=self._runtime.clock(), position=history[0].position, by=by)
        return Decide(history[0].stream, command)

    async def replay(
        self, selection: Selection = EVERYTHING, *, delivered: bool = False, by: str = "application"
    ) -> int:
        """Have all dead letters of a selection delivered once more, under their own ids; return how many.

        Args:
            selection: Which ones. Channels that are removed or have no URL are left out.
            delivered: What was delivered, or had expired, as well.
            by: Who asks for it.

        Raises:
            NotFound: There is no such channel.
            Refusal: The selection names a channel whose URL cannot be used.
        """
        if selection.chid is not None:
            self._usable(selection.chid)
        kinds = (DeliveryGivenUp, DeliveryDelivered, DeliveryExpired) if delivered else (DeliveryGivenUp,)
        steps: list[Decide] = []
        count = 0
        async for stream, due, history in self._histories(await self._ends(selection, kinds)):
            meant = selection.has(stream, due.chid, due.botcode, due.at) and due.kind != "qrCode"
            if meant and self._reachable(due.chid):
                command = delivery.Replay(at=self._runtime.clock(), position=history[0].position, by=by)
                steps.append(Decide(stream, command))
            if len(steps) >= REPLAYED_AT_ONCE:
                count += await self._append(steps)
                steps = []
        return count + (await self._append(steps) if steps else 0)

    async def _append(self, steps: list[Decide]) -> int:
        last = await append_all(self._runtime.store, steps, self._runtime.ledger.known)
        await self._runtime.ledger.reached(last)
        return len(steps)

    async def replay_chosen(
        self, ids: Sequence[str], selection: Selection, *, everything: bool, delivered: bool, by: str
    ) -> int:
        """Have these callbacks delivered once more, or else those of a selection, or else all dead letters; return how many.

        Raises:
            InvalidValue: It does not say which in exactly one way.
            NotFound: As `replay_ids` and `replay`.
            Refusal: As `replay_ids` and `replay`.
        """
        if not says_which(ids, selection, everything=everything):
            raise InvalidValue(_CHOOSE)
        if ids:
            return await self.replay_ids(ids, by=by)
        return await self.replay(selection, delivered=delivered, by=by)

    # -- the log ----------------------------------------------------------------------------------------------------------------

    async def _ends(self, selection: Selection, kinds: tuple[type, ...]) -> list[str]:
        """Return the deliveries whose latest end is of these kinds, in the order of those ends."""
        store = self._runtime.store
        position = await self._position(selection)
        found: dict[str, None] = {}
        while page := await store.read_all(position, PAGE):
            position = page[-1].position
            for recorded in page:
                if isinstance(recorded.event, kinds):
                    found.pop(recorded.stream, None)
                    if selection.chid in (None, delivery.channel_of(recorded.stream)):
                        found[recorded.stream] = None
                elif isinstance(recorded.event, DeliveryReplayed):
                    found.pop(recorded.stream, None)
        return list(found)

    async def _position(self, selection: Selection) -> int:
        """Return a position before which nothing of the selection can have ended."""
        first = (selection.first or 1) - 1
        if selection.since is None:
            return first
        low, high = first, self._runtime.ledger.world.position
        while low < high:
            middle = (low + high) // 2
            page = await self._runtime.store.read_all(middle, 1)
            if page and page[0].event.at < selection.since - CLOCK_MARGIN_MS:
                low = page[0].position
            else:
                high = middle
        return low

    async def _histories(self, streams: Iterable[str]) -> AsyncIterator[tuple[str, DeliveryDue, list[Recorded]]]:
        for stream in streams:
            history = list(await self._runtime.store.read(stream))
            due = history[0].event if history else None
            if isinstance(due, DeliveryDue):
                yield stream, due, history

    async def _recorded(self, webhook_id: str) -> Sequence[Recorded]:
        history = await self._runtime.store.read(f"delivery/{webhook_id}") if webhook_id.isprintable() else ()
        if not history:
            raise NotFound(_NO_CALLBACK.filled(id=webhook_id))
        return history

    # -- channels ---------------------------------------------------------------------------------------------------------------

    def _channel(self, chid: str) -> channel.Channel:
        known = self._runtime.ledger.world.view.channels.get(chid)
        if known is None or known.state.removed:
            raise NotFound(_NO_CHANNEL.filled(chid=chid))
        return known.state

    def _usable(self, chid: str) -> None:
        state = self._channel(chid)
        if state.disabled is not None:
            raise Refusal(_DISABLED.filled(chid=chid, reason=state.disabled.reason))
        if not state.settings.callback_url:
            raise Refusal(_NO_URL.filled(chid=chid))

    def _reachable(self, chid: str) -> bool:
        known = self._runtime.ledger.world.view.channels.get(chid)
        return known is not None and bool(known.state.settings.callback_url) and known.state.disabled is None
