"""The `wxrc` command. Each subcommand works beside a running service on the same data directory, or without one."""

import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from wxrc_core.errors import WxrcError
from wxrc_gateway import Gateway
from wxrc_service import demo as demonstration
from wxrc_service.cli_account import login_command, logout_command, stop_command
from wxrc_service.cli_bot import bot_group
from wxrc_service.cli_callbacks import callbacks_group
from wxrc_service.cli_channel import channel_group
from wxrc_service.cli_maintenance import prune_command, verify_command
from wxrc_service.cli_operate import log_command, messages_command, resolve_command, status_command
from wxrc_service.cli_run import run
from wxrc_service.cli_send import send_command
from wxrc_service.cli_token import token_group
from wxrc_service.cli_transfer import export_command, import_command
from wxrc_service.data import DataDir
from wxrc_service.language import language
from wxrc_service.options import serve_options, simulator_hosts_option, simulator_options
from wxrc_service.output import open_standard_streams, say
from wxrc_service.serve import Settings, serve

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class _Commands(click.Group):
    """Commands that refuse in a sentence, also where they refuse before anything runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except WxrcError as error:
            raise click.ClickException(getattr(error.localized, language())) from None


@click.group(cls=_Commands)
@click.version_option(package_name="wxrc")
def main() -> None:
    """WXRC: WeChat bots at the service of business systems."""
    open_standard_streams()
    logging.raiseExceptions = False  # a log line that cannot be written is lost, and not a traceback
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal has no characters for must not stop anything.
            stream.reconfigure(errors="backslashreplace")
    level = os.environ.get("WXRC_LOG_LEVEL", "WARNING").upper()
    if level not in LOG_LEVELS:
        raise click.ClickException(f"WXRC_LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {level!r}")
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


@main.command("serve")
@serve_options
@simulator_options
def serve_command(
    data: DataDir,
    host: str,
    port: int,
    public_url: str,
    answer_wait_ms: int,
    media_folder: Path | None,
    trusted_proxies: tuple[str, ...],
    simulator: bool | None,
    simulator_hosts: tuple[str, ...],
) -> None:
    """Run the service until it is told to stop (SIGTERM, Ctrl-C); then finish what is under way."""
    settings = Settings(
        data=data,
        host=host,
        port=port,
        public_url=public_url,
        answer_wait_ms=answer_wait_ms,
        media_folder=media_folder,
        trusted_proxies=trusted_proxies,
        simulator=simulator,
        simulator_hosts=simulator_hosts,
    )
    run(lambda: serve(settings, lambda _, url: say(f"wxrc serves {url} on {data}")))


@main.command("demo")
@serve_options
@simulator_hosts_option
def demo_command(
    data: DataDir,
    host: str,
    port: int,
    public_url: str,
    answer_wait_ms: int,
    media_folder: Path | None,
    trusted_proxies: tuple[str, ...],
    simulator_hosts: tuple[str, ...],
) -> None:
    """Run the service with channel and bot `demo`, the simulator, and a receiver that prints the callbacks."""
    receiver = demonstration.DemoReceiver(say)
    settings = Settings(
        data=data,
        host=host,
        port=port,
        public_url=public_url,
        answer_wait_ms=answer_wait_ms,
        media_folder=media_folder,
        trusted_proxies=trusted_proxies,
        simulator=True,
        simulator_hosts=simulator_hosts,
        extra=(receiver.route,),
    )

    async def ready(gateway: Gateway, url: str) -> None:
        await demonstration.set_up(gateway, url, receiver)
        say(demonstration.guide(gateway, url, receiver.key))

    run(lambda: serve(settings, ready))


for command in (
    channel_group,
    bot_group,
    token_group,
    callbacks_group,
    login_command,
    logout_command,
    stop_command,
    send_command,
    status_command,
    messages_command,
    resolve_command,
    log_command,
    export_command,
    import_command,
    verify_command,
    prune_command,
):
    main.add_command(command)
