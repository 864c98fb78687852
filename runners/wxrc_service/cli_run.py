"""What every subcommand needs: to run something asynchronous and fail with a sentence, and to reach the log or the gateway."""

import errno
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import click
import msgspec

from wxrc_core.errors import WxrcError
from wxrc_gateway import Gateway, PuppetKind
from wxrc_gateway.retry import error_location
from wxrc_service.data import DataDir, InUse
from wxrc_service.language import language
from wxrc_service.serve import Settings, service
from wxrc_service.stores import DurableStore

T = TypeVar("T")


def echo_json(found: object) -> None:
    """Print something as JSON; times in it are ISO 8601 with their zone."""
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something asynchronous; what goes wrong becomes a sentence, not a traceback."""
    try:
        return anyio.run(work, backend="asyncio", backend_options={"use_uvloop": sys.platform != "win32"})
    except BaseException as error:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, WxrcError):
                raise click.ClickException(getattr(cause.localized, language())) from None
        if isinstance(causes[0], KeyboardInterrupt):
            raise SystemExit(130) from None
        if isinstance(causes[0], OSError):
            if causes[0].errno == errno.EPIPE:
                raise causes[0] from None  # whoever read along has gone: click ends quietly
            raise click.ClickException(str(causes[0])) from None
        if not isinstance(causes[0], Exception):
            raise
        raise click.ClickException(f"this should not happen, please report it: {error_location(causes[0])}") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    else:
        yield error


@asynccontextmanager
async def attached(data: DataDir) -> AsyncIterator[tuple[Gateway, bool]]:
    """Give a gateway on this directory: beside the service that runs there, or a whole service of our own for as long as it takes.

    Yields:
        The gateway, and whether another service runs the bots.
    """
    data.check()
    if data.holder() is None:
        with suppress(InUse):  # another command was quicker to run a service
            async with service(Settings(data=data, port=0)) as (gateway, _):
                yield gateway, False
            return
    async with observed(data) as gateway:
        yield gateway, True


@asynccontextmanager
async def observed(
    data: DataDir, *, make: bool = False, puppets: Mapping[str, PuppetKind] | None = None
) -> AsyncIterator[Gateway]:
    """Give a gateway that only follows the log of this directory and writes to it, whether or not a service runs there.

    Args:
        data: The directory.
        make: Make it where it is not there yet.
        puppets: The kinds of puppet that bots can be made with.
    """
    if make:
        data.make()
    else:
        data.check()
    async with Gateway(store=data.store(), puppets=puppets or {}, passive=True) as gateway:
        yield gateway


@asynccontextmanager
async def opened(data: DataDir) -> AsyncIterator[DurableStore]:
    """Open the log of this directory, whether or not a service runs on it."""
    data.make()
    store = data.store()
    async with store:
        yield store
