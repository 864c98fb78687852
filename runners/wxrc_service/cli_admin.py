"""What the commands share that change channels, bots and tokens: who does it, where secrets are read from, how results are shown."""

import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from wxrc_gateway import Gateway
from wxrc_service.cli_run import observed, run
from wxrc_service.data import DataDir
from wxrc_service.language import LocalizedText, choose
from wxrc_service.options import json_option as json_option

T = TypeVar("T")

FILE_LIMIT = 65_536
"""The most that a file with a secret or with options may have (bytes)."""


def cli_user() -> str:
    """Return who stands in the log for what is done by a command: `cli:` and the name of the user who runs it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):  # a user without a name, as in a container
        return f"cli:{os.getuid()}"


def perform(data: DataDir, work: Callable[[Gateway], Awaitable[T]], **options: Any) -> T:
    """Do something by way of such a gateway, and return what comes of it; what cannot be done ends the command with a sentence."""

    async def whole() -> T:
        async with observed(data, **options) as gateway:
            return await work(gateway)

    return run(whole)


def show(as_json: bool, value: object, lines: Iterable[str]) -> None:
    """Print a result: as one JSON text, or in lines for people."""
    if as_json:
        click.echo(msgspec.json.encode(value).decode())
    else:
        for line in lines:
            click.echo(line)


def read_text(path: str | None) -> str | None:
    """Return what a file has, or stdin where its name is `-`, without the line end at its end; None where none is named.

    Raises:
        click.ClickException: It cannot be read, or is too large.
    """
    if path is None:
        return None
    try:
        raw = sys.stdin.buffer.read(FILE_LIMIT + 1) if path == "-" else _head(Path(path))
    except OSError as error:
        text = LocalizedText("无法读取文件 {path}：{why}", "the file {path} cannot be read: {why}")
        raise click.ClickException(choose(text, path=path, why=error.strerror)) from None
    try:
        if len(raw) <= FILE_LIMIT:
            return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        pass
    rule = LocalizedText(
        "{path} 应为 UTF-8 文本，最多 {most} 字节", "{path} must be UTF-8 text of at most {most} bytes"
    )
    raise click.ClickException(choose(rule, path=path, most=FILE_LIMIT))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_LIMIT + 1)
