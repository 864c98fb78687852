"""Running the service: the socket, the gateway, the web server, and going down in good order."""

import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from attrs import field, frozen
from starlette.routing import BaseRoute

from wxrc_core.errors import WxrcError
from wxrc_gateway import Gateway, NotEntered
from wxrc_gateway.restore import check_finished
from wxrc_service import descriptors
from wxrc_service.admin_api import admin_mount
from wxrc_service.app import wxrc_app
from wxrc_service.connections import Limits
from wxrc_service.data import DataDir, opened_world
from wxrc_service.http_server import Server
from wxrc_service.proxies import TrustedProxies
from wxrc_service.puppets import kinds


@frozen(kw_only=True)
class Settings:
    """How a service runs.

    Attributes:
        data: Its data directory.
        host: The address that it listens on.
        port: The port; 0 = any that is free.
        public_url: How browsers reach it; empty = by host and port.
        answer_wait_ms: How long an answer waits for a message's end (ms).
        media_folder: The folder whose files channels may name as images; None = `media` in the data directory.
        drain_limit_s: How long going down waits for what is under way (seconds).
        simulator: Whether the simulator's pages are served; None = where a simulated bot exists. False: no simulated bot runs either.
        simulator_hosts: Host names that they answer to besides those of loopback.
        extra: Further routes.
        limits: What the HTTP server bears.
        trusted_proxies: Addresses and networks of the reverse proxies that say whose request it is that they pass on.
    """

    data: DataDir
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    answer_wait_ms: int = 300
    media_folder: Path | None = None
    drain_limit_s: float = 10.0
    simulator: bool | None = None
    simulator_hosts: Sequence[str] = ()
    extra: Sequence[BaseRoute] = field(default=())
    limits: Limits = field(factory=Limits)
    trusted_proxies: Sequence[str] = ()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)  # what is accepted in one go is counted afterwards
    except OSError as error:
        raise WxrcError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another --port or --host"
            " (WXRC_PORT, WXRC_HOST, or port and host in wxrc.toml)"
        ) from error
    return listener


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[tuple[Gateway, str]]:
    """Run the whole service while inside: yield the gateway, which is up, and the URL at which the service is reached.

    While the gateway is coming up or going down the server answers 503.

    Raises:
        WxrcError: It cannot run; the sentence says why.
    """
    proxies = TrustedProxies(settings.trusted_proxies)
    settings.data.make()
    descriptors.raise_limit()
    with _listen(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        shown = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
        url = settings.public_url.rstrip("/") or f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        with settings.data.held(url), ExitStack() as stack:
            world = None if settings.simulator is False else stack.enter_context(opened_world(settings.data.world))
            async with settings.data.store() as store:
                await check_finished(store.vault)
            gateway = Gateway(
                store=settings.data.store(),
                puppets=await kinds(world),
                public_url=url,
                drain_limit_s=settings.drain_limit_s,
                media_folder=settings.media_folder or settings.data.path / "media",
            )

            def simulates() -> bool:
                with suppress(NotEntered):  # until the log is read, nobody knows of a bot
                    bots = gateway.view.bots.values()
                    return settings.simulator or any(
                        each.state.added.puppet == "simulator" and not each.state.removed for each in bots
                    )
                return False

            app = wxrc_app(
                gateway,
                answer_wait_ms=settings.answer_wait_ms,
                simulator=world,
                simulator_hosts=settings.simulator_hosts,
                simulator_when=simulates,
                extra=(admin_mount(gateway), *settings.extra),
            )
            server = Server(app, settings.limits, proxies)
            async with anyio.create_task_group() as tasks:
                stopped = anyio.Event()

                async def run_server() -> None:
                    try:
                        await server.serve(sockets=[listener])
                    finally:
                        stopped.set()

                tasks.start_soon(run_server)
                tasks.start_soon(descriptors.watch)
                try:
                    async with gateway:
                        yield gateway, url
                    # The gateway has drained, and meanwhile the server answered 503.
                finally:
                    server.should_exit = True
                    with anyio.move_on_after(5, shield=True):
                        await stopped.wait()
                    tasks.cancel_scope.cancel()


async def serve(settings: Settings, ready: Callable[[Gateway, str], object]) -> None:
    """Run the service until SIGTERM, SIGINT or SIGHUP, then drain it. Under `nohup` SIGHUP is left ignored.

    Args:
        settings: How it runs.
        ready: Called once when it is up.
    """
    stop, up = anyio.Event(), False

    async def listen(*, task_status: TaskStatus[None]) -> None:
        # A terminal that is closed is no reason to be killed in the middle; under nohup it is none to end at all.
        hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *hangup) as signals:
            task_status.started()
            async for _ in signals:
                stop.set()
                if not up:
                    work.cancel()  # coming up may take as long as the store is away

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as work:
            await tasks.start(listen)
            async with service(settings) as (gateway, url):
                up = True
                # What is open stays for long, and is looked at no more for garbage. Python by itself looks after every 700 new
                # objects; a refused request leaves none behind, so it may look less often. What is in flight when it looks is
                # taken for old: this is why the other two numbers stay small.
                gc.freeze()
                gc.set_threshold(10_000, 20, 10)
                result = ready(gateway, url)
                if hasattr(result, "__await__"):
                    await result
                await stop.wait()
        tasks.cancel_scope.cancel()
