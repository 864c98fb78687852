"""Planted faults: mistakes that are easily made, one at a time, in the code that runs. The simulation must find each of them.

A plant is a piece of a module's source and what stands there instead. It is put in when the module is imported, in a process of its own. A piece
that is no longer in the source is an error, so that this list cannot go stale.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from attrs import frozen


@frozen
class Plant:
    """One mistake: in which module, what stands there, and what is put in its place."""

    name: str
    module: str
    old: str
    new: str


_SENDING, _CLIENT, _OWNERSHIP = "wxrc_gateway._sending", "wxrc_gateway._client", "wxrc_gateway._ownership"
_LEDGER, _REQUESTS, _BOT, _CALLBACKS = (
    "wxrc_gateway._ledger",
    "wxrc_gateway._requests",
    "wxrc_gateway._bot",
    "wxrc_gateway._callbacks",
)
_APPEND, _SENDER, _API = "wxrc_gateway._append", "wxrc_webhook.sender", "wxrc_http.api"

PLANTS = (
    # -- the gateway: sending
    Plant("no last look", _SENDING, "        if hindrance:\n", "        if False:\n"),
    Plant("claim without a fence", _SENDING, "execute(claim.stream, command, self._fence):", "execute(claim.stream, command):"),
    Plant("an unknown claim is handed over", _SENDING, '            await self._put_back(claim, "the store did not confirm the claim")\n            return\n', "            pass\n"),
    Plant("an unknown claim is forgotten", _SENDING, '            await self._put_back(claim, "the store did not confirm the claim")\n', "            pass\n"),
    Plant("a failing puppet counts as not sent", _SENDING, 'return Unconfirmed(f"the bot\'s client failed while sending', 'return NotConnected(f"the bot\'s client failed while sending'),
    Plant("a time-out counts as not connected", _SENDING, 'return Unconfirmed(f"no answer from', 'return NotConnected(f"no answer from'),
    Plant("an outcome is recorded once or never", _SENDING, "        await retry_until_available(once)\n\n    async def _put_back", "        try:\n            await once()\n        except Unavailable:\n            pass\n\n    async def _put_back"),
    Plant("the wrong attempt is recorded", _SENDING, "                attempt=claim.attempt,\n                outcome=outcome", "                attempt=claim.attempt + 1,\n                outcome=outcome"),
    Plant("the hand-over has no time limit", _SENDING, "            with anyio.fail_after(limit_s):\n", "            with anyio.fail_after(10_000):\n"),
    Plant("outcomes are not checked", _SENDING, "return checked_outcome(await puppet.send(outgoing))", "return await puppet.send(outgoing)"),
    Plant("hand over after the membership has run out", _SENDING, "        if not hindrance and not runtime.alive():\n", "        if False:\n"),
    Plant("any file is an image", "wxrc_gateway._images", "                    shape = check_image(data)\n", "                    shape = check_image(b'GIF89a\\x01\\x00\\x01\\x00')\n"),
    # -- the gateway: clients
    Plant("reports are not checked", _CLIENT, "            report = checked_report(report)\n", "            pass\n"),
    Plant("a report is tried once", _CLIENT, "            await retry_until_available(lambda: self._runtime.ledger.execute(stream, command, self._fence))\n", "            await self._runtime.ledger.execute(stream, command, self._fence)\n"),
    Plant("inbound messages of rooms are dropped", _CLIENT, "addressed = report.mentioned or not report.room_id", "addressed = not report.room_id"),
    Plant("a client that failed is not started again", _CLIENT, "        if after is not None and not after.pending_exit:\n            await self._wait_before_restart(after)\n", "        if after is not None and not after.pending_exit:\n            await self.signal.wait()\n"),
    Plant("a lost link is not reported", _CLIENT, "        await self._record_report(run, ReportLinkLost(at=self._runtime.clock(), reason=self._reason))\n", ""),
    Plant("a client that is no longer wanted goes on", _CLIENT, "            if wanted.run != run:\n                return None\n", ""),
    Plant("late receipts are ignored", _CLIENT, "                await self._confirm(report)\n", "                pass\n"),
    Plant("a logout forgets to finish", _CLIENT, "            await self._record(finished)\n", "            await anyio.sleep(1)\n"),
    # -- the gateway: ownership, log, requests, records, callbacks
    Plant("shards are never taken over", "wxrc_core.shard", "if owner not in due]", "if not owner]"),
    Plant("act before the lease is folded", _OWNERSHIP, "        await runtime.ledger.reached(max(lease.position for lease in taken.values()))\n", ""),
    Plant("nothing is resumed at a takeover", _OWNERSHIP, "        world.resume(fence.epoch, mono())\n", "        world.epoch = fence.epoch\n"),
    Plant("a lapsed member goes on", _OWNERSHIP, "                self._lose_all()\n                continue\n", "                self._runtime.member = await self._runtime.store.join(self._name)\n                continue\n"),
    Plant("the log is not followed after an error", _LEDGER, "                await anyio.sleep(1)\n                continue\n", "                return\n"),
    Plant("the first end wakes nobody", _LEDGER, "        if open_message is None:\n", "        if open_message is None and False:\n"),
    Plant("dropped on a state that is out of date", _APPEND, "        if not events and not fresh:\n", "        if False:\n"),
    Plant("a fence that fails is a conflict", _APPEND, "            raise ShardLost(fence.shard)\n        found", "            pass\n        found"),
    Plant("everything is fenced by nothing", _APPEND, 'fenced = not step.stream.startswith("delivery/")', "fenced = False"),
    Plant("an answer without its claim", _REQUESTS, "    return bool(written.events)\n", "    return True\n"),
    Plant("a repeated request claims the answer", _REQUESTS, "        return record.msgid, record.message\n", "        await _claim_answer(runtime, record.history[-1].position, record.msgid, queued)\n        return record.msgid, record.message\n"),
    Plant("an answer before it is durable", _REQUESTS, "    if not written.events:\n        # A repeated", "    if not written.events and False:\n        # A repeated"),
    Plant("records are tried once", _BOT, "                recorded = False\n            finally", "                return\n            finally"),
    Plant("outcomes of callbacks are forgotten", _BOT, "            steps = [Decide(outcome.stream, outcome.command) for outcome in outcomes]\n", "            steps = []\n"),
    Plant("failures of callbacks count as success", _CALLBACKS, "        if isinstance(outcome, Acknowledged):\n            down_ms", "        if isinstance(outcome, Acknowledged | Failed):\n            down_ms"),
    Plant("an endpoint never comes up again", _CALLBACKS, "            changed = endpoint.succeeded(post.stream)\n", "            changed = False\n"),
    Plant("a broken-off callback stays busy", _CALLBACKS, "                del self._outcomes[outcome.stream]\n                self._world.deliveries.end(outcome.stream)\n", "                del self._outcomes[outcome.stream]\n"),
    Plant("a replay is posted without an end", "wxrc_core.world", "        if isinstance(event, DeliveryDue | DeliveryReplayed):\n", "        if isinstance(event, DeliveryDue):\n"),
    Plant("a replay goes before its text is found", "wxrc_core.delivery_queue", "recorded.version, event.position, mono, None)", "recorded.version, recorded.position, mono, None)"),
    # -- the callback sender and the HTTP application
    Plant("any answer is an acknowledgement", "wxrc_webhook.answer", "def judge(answer: Answer, *, now: int) -> Outcome:\n", "def judge(answer: Answer, *, now: int) -> Outcome:\n    if answer.status:\n        return Acknowledged()\n"),
    Plant("callbacks are signed with the wrong text", "wxrc_core.signing", 'signed = f"{webhook_id}.{timestamp}.".encode()', 'signed = f"{webhook_id}.{timestamp}".encode()'),
    Plant("callbacks have no time limit", _SENDER, "anyio.move_on_after(self._time_limit_s)", "anyio.move_on_after(None)"),
    Plant("signatures are not checked", _API, "if not await self._in_turn(", "if channel is None and not await self._in_turn("),
    Plant("grants are not checked", _API, "        if grant is None or bot is None:\n", "        if bot is None:\n"),
    Plant("the store's failure is called success", "wxrc_http.exchange", "return Fault(Code.UNAVAILABLE, \"unavailable\", status=503, reason=reason)", "return Fault(Code.DONE, \"done\", status=200)"),
    Plant("any txcode is a new one", "wxrc_http.call", "return stream_name(self.head.chid, self.day, self.head.txcode)", "return stream_name(self.head.chid, self.day, f\"{self.head.txcode}-{self.now}\")"),
    Plant("the digest forgets the room", "wxrc_http.call", "return digest(self.interface, self.head.botcode, self.body)", "return digest(self.interface, self.head.botcode, sorted(self.body))"),
    Plant("a client that goes is not noticed", "wxrc_http.disconnect", "            tasks.cancel_scope.cancel()\n\n        tasks.start_soon(watch)", "            pass\n\n        tasks.start_soon(watch)"),
    # -- channels
    Plant("suspension is not looked at", "wxrc_http.admission", "        if channel.suspended is not None:\n", "        if False:\n"),
    Plant("a quota has no end", "wxrc_http.admission", "        if settings.requests_per_minute:\n", "        if False:\n"),
    Plant("a KEY that was ended stays valid", "wxrc_core.channel", "            return replace(channel, key_ids=_without(channel.key_ids, key_id))\n", "            return channel\n"),
    Plant("a grant that was taken back stays", "wxrc_core.channel", "return replace(channel, grants={code: each for code, each in channel.grants.items() if code != botcode})", "return channel"),
    Plant("a revoked channel is still told", "wxrc_core.view", "            self._grants.get(event.botcode, {}).pop(chid, None)\n", "            pass\n"),
    Plant("callbacks are signed with the newest KEY", _CALLBACKS, "(await runtime.secrets.keys(channel))[-1]", "(await runtime.secrets.keys(channel))[0]"),
    Plant("one webhook secret signs", _CALLBACKS, "tuple(await runtime.secrets.webhook_secrets(channel))", "tuple(await runtime.secrets.webhook_secrets(channel))[:1]"),
    Plant("removal cancels no message", "wxrc_core.bot_world", "            yield Decide(stream, message.Cancel(at=now.wall))\n", "            pass\n"),
    Plant("removal cancels no callback", "wxrc_core.delivery_queue", "                self._cancelled.update((item.stream, None) for item in queue.items.values())\n", "                pass\n"),
    # -- bots that are removed, grants' paces
    Plant("a removed bot takes requests", "wxrc_gateway.gateway", "        found = self.view.bots.get(botcode)\n        return found.state if found and not found.state.removed else None", "        found = self.view.bots.get(botcode)\n        return found.state if found else None"),
    Plant("a removed bot keeps its secrets", _CLIENT, "                await self._forget_secrets()\n", "                pass\n"),
    Plant("a removed bot's client stays logged in", _CLIENT, "            await (puppet.release() if leaving.pending_exit == \"stop\" else puppet.sign_out())\n", "            await (puppet.sign_out() if leaving.pending_exit == \"logout\" else puppet.release())\n"),
    Plant("a removed bot's messages wait for ever", "wxrc_core.bot_world", "        for stream in islice(waiting, AT_ONCE):\n", "        for stream in ():\n"),
    Plant("a removed bot keeps its grants", "wxrc_core.bot_world", "        if not the_bot.pending_exit:\n            for chid", "        if False:\n            for chid"),
    Plant("a grant's pace is not looked at", "wxrc_core.pace", "        return own[-limits.per_minute] + MINUTE_MS if len(own) >= limits.per_minute else 0\n", "        return 0\n"),
    # -- the core
    Plant("in doubt is resent without permission", "wxrc_core.message", 'resend = (resend or message.queued.on_doubt == "resend") and', "resend = True and"),
    Plant("accepted without a receipt is sent", "wxrc_core.message", "if isinstance(outcome, Accepted) and outcome.receipt:", "if isinstance(outcome, Accepted):"),
    Plant("an earlier doubt is forgotten", "wxrc_core.message", "    if not message.doubted:\n", "    if True:\n"),
    Plant("a room that is missing is decided too early", "wxrc_core.message_queue", "self._rooms.take(bot.rooms, bot.rooms_complete)", "self._rooms.take(bot.rooms, bot.link)"),
    Plant("no order across names", "wxrc_core.message_queue", "            if oldest and oldest < msgid:\n", "            if False:\n"),
    Plant("the account is not looked at", "wxrc_core.message_queue", "if bot.ready and bot.wxid:", "if False:"),
    Plant("the pace starts anew at a takeover", "wxrc_core.message_queue", "        self.pace.rebase(mono)\n", "        self._paces.ledger = PaceLedger()\n"),
    Plant("the pace counts from nowhere", "wxrc_core.pace", "        self._sends[-1] = (mono, self._sends[-1][1])\n", "        pass\n"),
    Plant("the log has the QR code", "wxrc_core.bot", "expires_at=report.expires_at, code_id=code_id)", "expires_at=report.expires_at, code_id=code_id, text=report.text)"),
    Plant("QR codes stay in the vault", "wxrc_gateway._qr_codes", "                await runtime.vault.delete(qr_code.vault_name(self._world.botcode, code_id))\n", ""),
    Plant("a report of any run counts", "wxrc_core.bot", "if command.run == bot.run else None", "if command.run else None"),
    Plant("a person who is missing is decided too early", "wxrc_core.message_queue", "self._people.take(bot.contacts, bot.contacts_complete)", "self._people.take(bot.contacts, bot.link)"),
    Plant("an image is claimed before it is stored", "wxrc_core.message_queue", "        if head is None or awaits_image(head[1].message):\n            self._waiting", "        if head is None:\n            self._waiting"),
    Plant("a nickname is as good as a remark", "wxrc_core.name_index", "    return by_nickname | by_remark\n", "    return by_remark | by_nickname\n"),
    Plant("a refused card counts as failed", "wxrc_core.message_state", '        return "3", "rejected"\n', '        return "-1", "rejected"\n'),
    Plant("an operation is carried out twice", "wxrc_core.bot", "    if operation <= bot.operation or bot.pending_exit or bot.removed:\n", "    if bot.pending_exit or bot.removed:\n"),
    Plant("old rooms are used for another account", "wxrc_core.bot_state", "            rooms={},\n", ""),
    Plant("abandoned attempts stay open", "wxrc_core.bot_world", "            if attempted.state.epoch < self.epoch:\n                resend", "            if False:\n                resend"),
    Plant("claims on what a former client said", "wxrc_core.bot_world", "if the_bot is None or self.attempted or self._inherits_client(the_bot):", "if the_bot is None or self.attempted:"),
    Plant("a callback is posted when its time is over", "wxrc_core.delivery", "        case Expire(at=at):\n            over = delivery.expires_at is not None and at >= delivery.expires_at", "        case Expire(at=at):\n            over = False"),
    Plant("the memory store knows no fences", "wxrc_store.memory", "        if fence is not None and len(self.streams.get(stream_name(fence.shard), ())) != fence.epoch:\n            return Fenced()\n", ""),
)  # fmt: skip
"""Every plant. The first part is in the runner, the callback sender and the HTTP application, the rest in the core and a store."""


class _Planter(MetaPathFinder):
    """Puts a plant into its module while it is imported."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self.plant.module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None:
            raise ImportError(f"there is no module {name}")
        spec.loader = _Loader(name, spec.origin, self.plant)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, plant: Plant) -> None:
        super().__init__(name, path)
        self._plant = plant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        plant = self._plant
        if source.count(plant.old) != 1:
            raise ImportError(
                f"plant '{plant.name}': its piece stands {source.count(plant.old)} times in {plant.module}"
            )
        return compile(source.replace(plant.old, plant.new), self.path, "exec")


@frozen
class Found:
    """What became of a plant: the seed that found it and how; None = no seed did."""

    name: str
    seed: int | None
    how: str


def hunt(names: Sequence[str] | None, seeds: int, jobs: int) -> Iterator[Found]:
    """Plant each fault in turn, in a process of its own, and run seeds until one finds it."""
    chosen = [plant for plant in PLANTS if names is None or plant.name in names]

    def one(plant: Plant) -> Found:
        command = [sys.executable, "-W", "ignore", "-m", "wxrc_simulation.plants", plant.name, str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        seed, _, how = done.stdout.strip().partition(" ")
        if done.returncode or not seed:
            raise RuntimeError(f"plant '{plant.name}': {done.stderr.strip()[-500:]}")
        return Found(plant.name, None if seed == "none" else int(seed), how)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, chosen)


def report(names: Sequence[str] | None, seeds: int, jobs: int, say: Callable[[str], object]) -> int:
    """Hunt plants and say what became of each; return 1 where one was not found."""
    began, missed = time.perf_counter(), 0
    for found in hunt(names, seeds, jobs):
        if found.seed is None:
            missed += 1
            say(f"{found.name}: NOT FOUND in {seeds} seeds")
        else:
            say(f"{found.name}: {found.seed + 1} seeds, {found.how}")
    say(f"{missed} not found; {time.perf_counter() - began:.0f} s")
    return 1 if missed else 0


def main() -> None:
    """Plant one fault in this process, run seeds until one breaks a promise, and print which."""
    name, seeds = sys.argv[1], int(sys.argv[2])
    sys.meta_path.insert(0, _Planter(next(plant for plant in PLANTS if plant.name == name)))
    from wxrc_simulation.run import simulate

    for seed in range(seeds):
        broken = simulate(seed).broken
        if broken:
            number, sentence = broken[0]
            sys.stdout.write(f"{seed} promise {number}: {sentence.splitlines()[-1][:160]}\n")
            return
    sys.stdout.write("none\n")


if __name__ == "__main__":
    main()
