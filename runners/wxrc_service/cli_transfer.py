"""`wxrc export` and `wxrc import`: a log moves from one store to another."""

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread
import click

from wxrc_core.errors import Refusal
from wxrc_gateway.restore import import_log
from wxrc_service.cli_run import echo_json, opened, run
from wxrc_service.data import DataDir
from wxrc_service.exporting import exported
from wxrc_service.language import say
from wxrc_service.options import data_option, json_option

READ = 1 << 20
"""So many bytes are read at once."""

secrets_option = click.option(
    "--with-secrets",
    "passphrase",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, allow_dash=False, path_type=Path),
    help="Take KEYs, webhook secrets, bot options and sessions too, sealed with the passphrase in this file.",
)


def _passphrase(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise Refusal(f"the passphrase cannot be read from {path}: {error.strerror}") from None


@click.command("export")
@click.argument("file", default="-", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--since",
    "after",
    default=0,
    type=click.IntRange(0),
    metavar="POSITION",
    help="Only what came after this position: the other store has the log up to there.",
)
@secrets_option
@json_option
@data_option
def export_command(data: DataDir, file: Path, after: int, passphrase: Path | None, as_json: bool) -> None:
    """Write the whole log to FILE (by default to stdout), one event a line, for `wxrc import`; also beside a running service.

    What is told about it goes to stderr.
    """

    async def work() -> None:
        data.check()
        lines = 0
        with ExitStack() as stack:
            out = sys.stdout.buffer if file == Path("-") else stack.enter_context(_created(file))
            async with opened(data) as store:
                chunks = exported(store, store.vault, after=after, passphrase=_passphrase(passphrase))
                async with aclosing(chunks):
                    async for chunk in chunks:
                        out.write(chunk)
                        lines += chunk.count(b"\n")
            out.flush()
            if file != Path("-"):
                os.fsync(out.fileno())
        if as_json:
            click.echo(f'{{"lines": {lines}, "secrets": {"true" if passphrase else "false"}}}', err=True)
            return
        click.echo(say("已导出 {lines} 行。", "{lines} lines are exported.", lines=lines), err=True)
        if passphrase is None:
            click.echo(
                say(
                    "不含 KEY、回调密钥和会话；需要时加上 --with-secrets。",
                    "KEYs, webhook secrets and sessions are not among them; --with-secrets takes them too.",
                ),
                err=True,
            )

    run(work)


def _created(file: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # it has texts in it
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error.strerror}") from None


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True, path_type=Path))
@secrets_option
@json_option
@data_option
def import_command(data: DataDir, file: Path, passphrase: Path | None, as_json: bool) -> None:
    """Read an exported log from FILE (- = stdin) into a data directory that is empty or has a beginning of the same log.

    An import that was interrupted goes on when it is run again. No service starts on the log before it is finished.
    """

    async def work() -> None:
        if (holder := data.holder()) is not None:
            raise Refusal(f"a wxrc service (process {holder.pid}) runs on {data}; stop it first")
        with ExitStack() as stack:
            read = _reader(sys.stdin.buffer if file == Path("-") else stack.enter_context(file.open("rb")))
            async with opened(data) as store:
                if owner := next((each.member for each in (await store.owners()).values() if each.alive), None):
                    raise Refusal(f"a wxrc service ({owner}) uses the log on {data}; stop it first")
                done = await import_log(store, store.vault, read, passphrase=_passphrase(passphrase))
        if as_json:
            echo_json({"events": done.events, "held": done.held, "secrets": done.secrets, "position": done.position})
            return
        click.echo(
            say(
                "已导入 {events} 个事件（之前已有 {held} 个），到位置 {position}。",
                "{events} events are imported ({held} were there before), up to position {position}.",
                events=done.events,
                held=done.held,
                position=done.position,
            )
        )
        if done.secrets is None:
            click.echo(
                say(
                    "文件里没有 KEY、回调密钥和会话：渠道和机器人需要它们。请带 --with-secrets 重新导出并导入。",
                    "The file has no KEYs, webhook secrets and sessions, which channels and bots need: export and import again"
                    " with --with-secrets.",
                )
            )

    run(work)


def _reader(file: BinaryIO) -> Callable[[], Awaitable[bytes]]:
    read1 = getattr(file, "read1", file.read)  # a pipe is read as it comes

    async def read() -> bytes:
        return bytes(await anyio.to_thread.run_sync(read1, READ, abandon_on_cancel=True))

    return read
