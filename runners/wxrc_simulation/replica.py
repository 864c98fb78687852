"""One replica of the production gateway: a process that is started again when it was killed or has left."""

import random
import ssl
import traceback
from collections.abc import Callable, Mapping

import anyio

from wxrc_core.errors import Unavailable
from wxrc_gateway import Gateway, PuppetKind
from wxrc_http import Api
from wxrc_puppet.port import Puppet, PuppetContext
from wxrc_simulation.chance import Chance, Faults
from wxrc_simulation.loop import Process, VirtualLoop
from wxrc_simulation.network import Network
from wxrc_simulation.puppet import SimulatedClient
from wxrc_simulation.records import Membership, Run
from wxrc_simulation.store import FaultyMedia, FaultyStore
from wxrc_simulation.wechat import WeChat
from wxrc_store import MemoryStore
from wxrc_webhook import FileFetcher, WebhookSender

START = 1_795_500_000_000
"""When every run begins (epoch ms)."""

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: simulated receivers speak plain HTTP


class Replica:
    """A gateway that runs, falls, and is started again.

    Attributes:
        name: Its name.
        process: The process that runs, or ran last.
        gateway: The gateway in it, once it is up.
        api: Its HTTP application.
        serving: It takes requests.
        offset: How far its wall clock is off (ms).
    """

    def __init__(
        self,
        name: str,
        *,
        loop: VirtualLoop,
        run: Run,
        faults: Faults,
        store: MemoryStore,
        wechat: WeChat,
        network: Network,
        drift_ppm: int,
        answer_wait_ms: int,
        appended: Callable[[int, int, str, int, float], None],
    ) -> None:
        self.name = name
        self.process = Process(f"{name}.0")
        self.process.alive = False
        self.gateway: Gateway | None = None
        self.api: Api | None = None
        self.serving = False
        self.offset = 0
        self.store: FaultyStore | None = None
        self.starts = 0
        self._loop, self._run, self._faults, self._shared = loop, run, faults, store
        self._wechat, self._network, self._drift, self._wait_ms = wechat, network, drift_ppm, answer_wait_ms
        self._appended = appended
        self._leave: anyio.Event | None = None
        self._cut_off = False

    def clock(self) -> int:
        """Return what its wall clock says (epoch ms)."""
        now = self._loop.time() * 1000
        return START + self.offset + int(now * (1 + self._drift / 1_000_000))

    def start(self) -> None:
        """Start the gateway in a new process."""
        self.starts += 1
        self.process = Process(f"{self.name}.{self.starts}", self._crashed)
        self._loop.spawn(self._main(self.process), self.process)

    def leave(self) -> None:
        """Have the gateway leave in good order, and come back."""
        if self._leave is not None and self.serving:
            self._leave.set()

    def cut_off(self, yes: bool) -> None:
        """Cut the replica off from the store, or let it back."""
        self._cut_off = yes
        if self.store is not None:
            self.store.cut_off = yes

    def stall(self, seconds: float, kind: str) -> None:
        """Have the network break right behind the replica's next claim, or the next event that only an owner may write."""
        if self.store is not None:
            self.store.stall = (seconds, kind)

    def freeze(self, seconds: float) -> None:
        """Have heartbeats fail for so long, and the replica paused over the end of its membership while it waits for a claim."""
        if self.store is not None:
            self.store.freeze = self._pause
            self.deafen(True)
            self._loop.outside(seconds, self.deafen, False)

    def _pause(self, seconds: float) -> None:
        process = self.process
        process.paused = True
        self._loop.outside(seconds, self._loop.go_on, process)

    def deafen(self, yes: bool) -> None:
        """Have heartbeats fail, or no longer."""
        if self.store is not None:
            self.store.deaf = yes

    def _crashed(self) -> None:
        self.serving = False
        self._run.trace.append(f"{self._loop.time():.3f} {self.process.name} killed")
        self._loop.outside(self._faults.at(self.process.name).seconds(0.02, 4.0), self.start)

    async def _main(self, process: Process) -> None:
        chance = self._faults.at(f"store {process.name}")
        self.store = FaultyStore(
            self._shared.replica(),
            self._shared,
            self._loop,
            chance,
            lambda position, count, seen, begun: self._appended(position, count, process.name, seen, begun),
            lambda until: self._run.memberships.append(Membership(self._wechat.now, int(until * 1000), process.name)),
        )
        self.store.cut_off = self._cut_off
        leave = self._leave = anyio.Event()
        gateway = Gateway(
            store=self.store,
            vault=self.store.vault,
            puppets=self._kinds(process),
            public_url="https://wxrc.example",
            name=process.name,
            clock=self.clock,
            chance=random.Random(f"gateway {process.name} {self._run.seed}"),  # noqa: S311
            send_limit_s=15.0,
            drain_limit_s=5.0,
            probe_every_s=60.0,
            sender=WebhookSender(network=self._network, resolve=self._network.resolve, ssl_context=_TLS),
            media=FaultyMedia(self._shared.media, chance),
            fetcher=FileFetcher(network=self._network, resolve=self._network.resolve, ssl_context=_TLS),
        )
        try:
            async with gateway:
                self.gateway, self.api = gateway, Api(gateway, answer_wait_ms=self._wait_ms)
                self.serving = True
                await leave.wait()
                self.serving = False
        except Exception as error:
            if not _store_only(error):
                self._run.escaped.append(f"{process.name}: {''.join(traceback.format_exception(error))}")
        self.serving = False
        process.alive = False
        self._loop.outside(chance.seconds(0.05, 2.0), self.start)

    def _log_end(self) -> int:
        return len(self._shared._data.log)

    def _kinds(self, process: Process) -> Mapping[str, PuppetKind]:
        def create(context: PuppetContext) -> Puppet:
            chance: Chance = self._faults.at(f"client {context.botcode} {self._wechat.now}")
            return SimulatedClient(context, self._wechat, self._loop, self._run, chance, self._log_end)

        return {"simulated": PuppetKind(create, SimulatedClient.capabilities)}


def _store_only(error: BaseException) -> bool:
    """Return whether a gateway ended only because its store failed while it was coming up or going down."""
    if isinstance(error, BaseExceptionGroup):
        return all(_store_only(each) for each in error.exceptions)
    return isinstance(error, Unavailable)
