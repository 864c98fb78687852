"""A gateway in virtual time, for the tests of programs that embed one: a flow of 24 hours takes milliseconds.

    from wxrc_simulation.fixture import Virtual, virtual  # `virtual` is a pytest fixture; it runs each test on asyncio and on trio

    def test_a_day(virtual: Virtual) -> None:
        async def flow() -> None:
            gateway = await virtual.start(puppets={"scripted": kind})
            await gateway.add_bot("demo", "scripted")
            await anyio.sleep(86_400)
            ...

        virtual.run(flow)

Time passes only while everything waits. Wall clock and event loop agree, unless `step_clock` sets the wall clock. Callbacks go to
`callbacks` and are acknowledged, unless `receiver` says otherwise. On asyncio a gateway can be killed before any of its next steps
(`crash`), as by kill -9.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import anyio
import anyio.lowlevel
import pytest

from wxrc_gateway import Gateway, PuppetKind
from wxrc_simulation.loop import Process, VirtualLoop
from wxrc_store import MemoryStore
from wxrc_store.port import Store
from wxrc_webhook import Acknowledged, CallbackRequest, Failed, WebhookSender

T = TypeVar("T")

START = 1_795_500_000_000
"""When virtual time begins (epoch ms)."""


class Diary(WebhookSender):
    """A callback sender that posts nowhere: it keeps what it is told to post and asks `receiver` for the outcome."""

    def __init__(self, virtual: "Virtual") -> None:
        super().__init__()
        self._virtual = virtual

    async def __aenter__(self) -> Self:
        """Open nothing."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing."""

    async def post(self, request: CallbackRequest) -> Acknowledged | Failed:
        """Keep the callback; return what the receiver answers."""
        await anyio.lowlevel.checkpoint()
        outcome = self._virtual.receiver(request)
        if isinstance(outcome, Acknowledged):
            self._virtual.callbacks.append(dict(request.body))
        return outcome


class Virtual:
    """Virtual time, and what a gateway in it needs.

    Attributes:
        backend: `asyncio` or `trio`.
        store: The store of all gateways that are started here; what it holds outlives them.
        callbacks: The reqBody of every callback that was acknowledged.
        receiver: Answers callbacks.
    """

    def __init__(self, backend: Literal["asyncio", "trio"] = "asyncio", seed: int = 0) -> None:
        self.backend = backend
        self.store = MemoryStore(shards=4)
        self.callbacks: list[dict[str, Any]] = []
        self.receiver: Callable[[CallbackRequest], Acknowledged | Failed] = lambda request: Acknowledged()
        self._seed = seed
        self._offset = 0
        self._loop: VirtualLoop | None = None
        self._stack: AsyncExitStack | None = None
        self._processes: dict[Gateway, Process] = {}
        self._leaves: dict[Gateway, tuple[anyio.Event, anyio.Event]] = {}

    def run(self, flow: Callable[[], Awaitable[T]]) -> T:
        """Run a flow to its end; gateways that still run then leave."""

        async def main() -> T:
            async with AsyncExitStack() as stack:
                self._stack = stack
                return await flow()

        if self.backend == "trio":
            import trio
            import trio.testing

            return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        self._loop = VirtualLoop(Random(self._seed))  # noqa: S311 - it has to be predictable
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # of killed processes, whose tasks never end
        try:
            return self._loop.run_until_complete(main())
        finally:
            for process in self._processes.values():
                process.kill()
            self._loop.forget_tasks()
            self._loop.close()
            asyncio.set_event_loop(None)
            sys.unraisablehook = hook

    def clock(self) -> int:
        """Return the wall clock (epoch ms)."""
        return START + self._offset + int(anyio.current_time() * 1000)

    def step_clock(self, ms: int) -> None:
        """Set the wall clock forward, or back (ms)."""
        self._offset += ms

    async def start(self, puppets: Mapping[str, PuppetKind], *, store: Store | None = None, **further: Any) -> Gateway:
        """Start a gateway on `store`, by default a replica on the shared one; return it when it is up.

        Args:
            puppets: As for `Gateway`.
            store: Another store.
            further: Further settings of `Gateway`.
        """
        settings: dict[str, Any] = {
            "clock": self.clock,
            "chance": Random(self._seed),  # noqa: S311
            "sender": Diary(self),
            "probe_every_s": 3600.0,  # days pass here in moments: a probe every second would be most of the work
        } | further
        gateway = Gateway(store=store or self.store.replica(), puppets=puppets, **settings)
        if self._loop is None:
            assert self._stack is not None
            return await self._stack.enter_async_context(gateway)
        process = self._processes[gateway] = Process("gateway")
        up: asyncio.Future[None] = self._loop.create_future()
        leave, left = self._leaves[gateway] = (anyio.Event(), anyio.Event())

        async def main() -> None:
            try:
                async with gateway:
                    up.set_result(None)
                    await leave.wait()
            except BaseException as error:
                if not up.done():
                    up.set_exception(error)
                    return
                raise
            finally:
                left.set()

        self._loop.spawn(main(), process)
        await up
        return gateway

    async def leave(self, gateway: Gateway) -> None:
        """Have a gateway leave in good order (asyncio only; on trio it leaves when the flow ends)."""
        leave, left = self._leaves[gateway]
        leave.set()
        await left.wait()

    def crash(self, gateway: Gateway, after: int = 0) -> None:
        """Kill a gateway before so many more of its steps (asyncio only).

        Raises:
            NotImplementedError: On trio, which has no way to drop a task without running its `finally` blocks.
        """
        if self._loop is None:
            raise NotImplementedError("a gateway can be killed on asyncio only; ask for `Virtual('asyncio')`")
        process = self._processes[gateway]
        if after:
            process.countdown = after
        else:
            process.kill()

    def pause(self, gateway: Gateway, seconds: float) -> None:
        """Hold a gateway back for a while, as SIGSTOP does (asyncio only)."""
        if self._loop is None:
            raise NotImplementedError("a gateway can be stopped on asyncio only; ask for `Virtual('asyncio')`")
        process = self._processes[gateway]
        process.paused = True
        self._loop.outside(seconds, self._loop.go_on, process)


@pytest.fixture(params=["asyncio", "trio"])
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """Virtual time on asyncio, and again on trio."""
    return Virtual(request.param)
