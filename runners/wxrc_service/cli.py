"""The `wxrc` command. Each subcommand works beside a running service on the same data directory, or without one."""

import io
import logging
import os
import sys
from pathlib import Path

import anyio
import click

from wxrc_core import bot, message
from wxrc_core.errors import Refusal
from wxrc_gateway import Gateway
from wxrc_service import demo as demonstration
from wxrc_service import show
from wxrc_service.app import qr_terminal
from wxrc_service.cli_bot import bot_group
from wxrc_service.cli_channel import channel_group
from wxrc_service.cli_maintenance import prune_command, verify_command
from wxrc_service.cli_run import attached, opened, run
from wxrc_service.cli_token import token_group
from wxrc_service.data import DataDir
from wxrc_service.options import data_option, serve_options, simulator_hosts_option, simulator_options
from wxrc_service.output import open_standard_streams, say
from wxrc_service.serve import Settings, serve
from wxrc_store.sqlite import SqliteStore

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@click.group()
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
    data: Path,
    host: str,
    port: int,
    public_url: str,
    answer_wait_ms: int,
    simulator: bool | None,
    simulator_hosts: tuple[str, ...],
) -> None:
    """Run the service until it is told to stop (SIGTERM, Ctrl-C); then finish what is under way."""
    settings = Settings(
        data=DataDir(data),
        host=host,
        port=port,
        public_url=public_url,
        answer_wait_ms=answer_wait_ms,
        simulator=simulator,
        simulator_hosts=simulator_hosts,
    )
    run(lambda: serve(settings, lambda _, url: say(f"wxrc serves {url} on {data}")))


@main.command("demo")
@serve_options
@simulator_hosts_option
def demo_command(
    data: Path, host: str, port: int, public_url: str, answer_wait_ms: int, simulator_hosts: tuple[str, ...]
) -> None:
    """Run the service with channel and bot `demo`, the simulator, and a receiver that prints the callbacks."""
    receiver = demonstration.DemoReceiver(say)
    settings = Settings(
        data=DataDir(data),
        host=host,
        port=port,
        public_url=public_url,
        answer_wait_ms=answer_wait_ms,
        simulator=True,
        simulator_hosts=simulator_hosts,
        extra=(receiver.route,),
    )

    async def ready(gateway: Gateway, url: str) -> None:
        await demonstration.set_up(gateway, url, receiver)
        say(demonstration.guide(gateway, url, receiver.key))

    run(lambda: serve(settings, ready))


@main.command("login")
@click.argument("botcode", metavar="BOT")
@data_option
def login_command(data: Path, botcode: str) -> None:
    """Log a bot in: show each QR code here until somebody has scanned it."""

    async def work() -> None:
        async with attached(data) as (gateway, served), anyio.create_task_group() as tasks:
            if served:
                tasks.start_soon(_watch_service, DataDir(data))
            await follow(gateway)
            tasks.cancel_scope.cancel()

    async def follow(gateway: Gateway) -> None:
        start, ours = gateway.world.position, False
        await gateway.login(botcode)
        async for recorded in gateway.events(start):
            if recorded.stream != bot.stream_name(botcode):
                continue
            # What happens before our own request is carried out is the end of an earlier one.
            ours = ours or isinstance(recorded.event, bot.LoginRequested | bot.LoginRepeated)
            if ours:
                match recorded.event:
                    case bot.LoginRequested():
                        waiting = gateway.bot(botcode)
                        if waiting is not None and waiting.qr is not None:
                            _show_code(waiting.qr)  # asked for before; that code still waits
                    case bot.QrCodeIssued() as code:
                        _show_code(code)
                    case bot.QrCodeScanned():
                        click.echo("Scanned; now confirm on the phone.")
                    case bot.DigitsWanted():
                        click.echo("The phone shows digits that have to be handed over.")
                    case bot.LoggedIn(wxid=wxid, name=name) | bot.LinkRestored(wxid=wxid, name=name):
                        click.echo(f"{botcode} is logged in as {name} ({wxid}).")
                        return
                    case bot.LoginRepeated():
                        known = gateway.bot(botcode)
                        if known is not None and known.ready:
                            click.echo(f"{botcode} is logged in already, since {show.clock_time(known.since)}.")
                            return
                        click.echo("The bot is logged in but cannot be reached just now; waiting.")
                    case bot.LoginFailed(reason=reason) | bot.LoggedOut(reason=reason):
                        raise Refusal(f"{botcode} is not logged in: {reason}")
                    case bot.SignedOut() | bot.Stopped():
                        raise Refusal(
                            f"{botcode} is not logged in: somebody asked for its logout or stop in the meantime"
                        )

    run(work)


async def _watch_service(directory: DataDir) -> None:
    """End in a sentence when the service that runs the bots goes away, rather than wait for it without end."""
    while directory.holder() is not None:  # noqa: ASYNC110  another process: nobody here would set an event
        await anyio.sleep(1)
    raise Refusal("the service that runs the bot has stopped; start it again, or run this command again without it")


def _show_code(code: bot.QrCodeIssued) -> None:
    qr_terminal(code.text, click.echo, sys.stdout.encoding)
    click.echo(f"Scan this with WeChat, or open {code.text}\nIt holds until {show.clock_time(code.expires_at)}.")


@main.command("status")
@data_option
def status_command(data: Path) -> None:
    """Tell how everything is: what, since when, why, and what to do next."""

    async def work() -> None:
        directory = DataDir(data)
        directory.check()
        async with (
            opened(data) as store,
            Gateway(store=SqliteStore(directory.log), puppets={}, passive=True) as gateway,
        ):
            del store
            for line in show.status_lines(gateway.world, directory.holder()):
                click.echo(line)

    run(work)


@main.command("send")
@click.argument("botcode", metavar="BOT")
@click.option("--room", required=True, metavar="TOPIC", help="The room's name.")
@click.option(
    "--wait",
    "wait_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds to wait for its end.",
)
@click.argument("text")
@data_option
def send_command(data: Path, botcode: str, room: str, wait_s: float, text: str) -> None:
    """Send a text to a room, and tell what became of it."""

    async def work() -> int:
        async with attached(data) as (gateway, _):
            record = await gateway.send_text(botcode, text, room=room, wait_s=wait_s)
            the_bot = gateway.bot(botcode)
            status, reason = message.send_status(record.message)
            click.echo(f"message {record.msgid}: {record.message.state}{f' ({reason})' if reason else ''}")
            if status == "0" and the_bot is not None and not the_bot.ready:
                click.echo(f"It is held until the bot can send. {show.bot_line(the_bot, served=True)}")
            if record.message.state is message.MessageState.ROOM_NOT_FOUND:
                click.echo(f"The bot is in no room named {room!r}.")
            return 0 if status in ("0", "1", "3", "4") else 1

    raise SystemExit(run(work))


@main.command("log")
@click.argument("what", metavar="MSGID|BOT")
@data_option
def log_command(data: Path, what: str) -> None:
    """Print the event history of a message (by its number) or of a bot (by its name)."""

    async def work() -> None:
        DataDir(data).check()
        async with opened(data) as store:
            first = await store.at(int(what)) if what.isdecimal() and len(what) < 19 else None
            numbered = first is not None and isinstance(first.event, message.MessageQueued)
            stream = first.stream if first is not None and numbered else bot.stream_name(what)
            history = await store.read(stream) if stream.isprintable() else ()
            if not history:
                raise Refusal(
                    f"there is no message with the number {what}" if what.isdecimal() else f"there is no bot '{what}'"
                )
            for recorded in history:
                click.echo(show.event_line(recorded))

    run(work)


main.add_command(channel_group)
main.add_command(bot_group)
main.add_command(token_group)
main.add_command(verify_command)
main.add_command(prune_command)
