"""What operators change of channels and bots while a run goes on (`AT_THE_DOOR`, `ABOUT_BOTS`), and how they put it right at its end."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal, TypeAlias

from wxrc_core import channel
from wxrc_core.channel import BotGranted
from wxrc_core.log import Recorded
from wxrc_gateway import Gateway
from wxrc_simulation.clients import Clients
from wxrc_simulation.network import Network
from wxrc_simulation.records import Run
from wxrc_simulation.schedule import Operate, Schedule
from wxrc_webhook import new_webhook_secret

QUOTA = 20
"""Requests per minute, three of them at once."""

Made: TypeAlias = Literal["key", "secret"]


class Door:
    """The operators of a run, and what the channels' people are told by them."""

    def __init__(self, schedule: Schedule, run: Run, clients: Clients, network: Network) -> None:
        self.restored = False
        self._schedule, self._run, self._clients, self._network = schedule, run, clients, network

    async def change(self, item: Operate, gateway: Gateway) -> None:
        """Change something by way of a gateway. Everything is told beforehand to those who have to know it: an answer may be lost."""
        chid, by = item.chid, item.txcode
        self._run.operators.add(by)
        known = gateway.channel(chid)
        if known is None:
            return
        match item.action:
            case "rotate key":
                key = self._make(item, "key")
                await gateway.rotate_key(chid, key=key, by=by)
                if int(item.value) % 2:
                    self._clients.keys[chid] = key
            case "rotate secret":
                await gateway.rotate_secret(chid, webhook_secret=self._make(item, "secret"), by=by)
            case "end key" if len(known.key_ids) > 1:
                stays, ends = known.key_ids if int(item.value) % 3 else reversed(known.key_ids)
                self._clients.keys[chid] = self.secret_of(chid, "key", stays)
                await gateway.end_key(chid, ends, by=by)
            case "end secret" if len(known.webhook_secret_ids) > 1:
                await gateway.end_secret(chid, known.webhook_secret_ids[int(item.value) % 2], by=by)
            case "revoke":
                await gateway.revoke(chid, item.botcode, by=by)
            case "suspend":
                await gateway.suspend(chid, reason="unpaid", by=by)
            case "resume":
                await gateway.resume(chid, by=by)
            case "quota":
                await gateway.change_channel(chid, requests_per_minute=QUOTA, burst=3, by=by)
            case "no quota":
                await gateway.change_channel(chid, requests_per_minute=0, burst=0, by=by)
            case "remove bot":
                await gateway.remove_bot(item.botcode, by=by)
            case "pace" if item.botcode in known.grants:
                await self._pace(gateway, known.grants[item.botcode], chid, int(item.value), by)
            case "remove":
                await gateway.remove_channel(chid, by=by)

    async def restore(self, gateway: Gateway) -> None:
        """Let every channel that was not removed do again what it could at the beginning."""
        for plan in self._schedule.channels:
            known = gateway.channel(plan.chid)
            if known is None:
                continue
            self._clients.keys[plan.chid] = self.secret_of(plan.chid, "key", known.key_ids[0])
            await gateway.resume(plan.chid)
            await gateway.change_channel(plan.chid, requests_per_minute=0, burst=0)
            for botcode, on_doubt, inbound in plan.grants:
                if gateway.view.bot_removed(botcode):
                    continue  # removed
                if botcode in known.grants:
                    await self._pace(gateway, known.grants[botcode], plan.chid, 0, "application")
                else:
                    await gateway.grant_bot(plan.chid, botcode, on_doubt=on_doubt, inbound=inbound)  # type: ignore[arg-type]
        self.restored = True

    async def _pace(self, gateway: Gateway, known: BotGranted, chid: str, pace: int, by: str) -> None:
        """Give a grant another pace, and leave its other terms as they are."""
        await gateway.grant_bot(chid, known.botcode, on_doubt=known.on_doubt, inbound=known.inbound, pace=pace, by=by)

    def _make(self, item: Operate, what: Made) -> str:
        """Make a KEY or webhook secret, and give it to the channel's receiver."""
        random = Random(f"made {self._schedule.seed} {item.txcode}")  # noqa: S311 - it has to be predictable
        made = random.randbytes(20).hex() if what == "key" else new_webhook_secret(random.randbytes(32))
        self._run.made[item.txcode] = made
        self._run.secrets.append(made)
        receiver = self._network.receivers.get(item.chid)
        if receiver is not None:
            (receiver.keys if what == "key" else receiver.webhook_secrets).append(made)
        return made

    def secret_of(self, chid: str, what: Made, name: str) -> str:
        """Return the KEY or webhook secret that has this id in the log."""
        log = [each for each in self._run.store._data.log if each is not None]
        return next(secret for known, secret in secrets_of(self._run, chid, what, log) if known == name)


def secrets_of(run: Run, chid: str, what: Made, log: Iterable[Recorded]) -> Iterator[tuple[str, str]]:
    """Give out (id, secret) of every KEY or webhook secret that a channel ever had."""
    for recorded in log:
        if recorded.stream != channel.stream_name(chid):
            continue
        match recorded.event:
            case channel.ChannelAdded(key_id=key_id, webhook_secret_id=secret_id):
                yield key_id if what == "key" else secret_id, run.made.get(f"{chid} {what}", "")
            case channel.KeyAdded(key_id=key_id, by=by) if what == "key":
                yield key_id, run.made[by]
            case channel.SecretAdded(secret_id=secret_id, by=by) if what == "secret":
                yield secret_id, run.made[by]
