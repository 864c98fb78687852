"""The `wxrc` command. Each subcommand works beside a running service on the same data directory, or without one."""

import io
import json
import logging
import os
import sys
from typing import Any

import anyio
import click

from wxrc_core import bot, channel, message
from wxrc_core.errors import Refusal
from wxrc_gateway import Gateway, add_bot, add_channel, grant_bot, move_callback
from wxrc_gateway.gateway import wall_clock
from wxrc_service import demo as demonstration
from wxrc_service import show
from wxrc_service.app import qr_terminal
from wxrc_service.cli_maintenance import prune_command, verify_command
from wxrc_service.cli_run import attached, opened, run
from wxrc_service.data import DataDir, opened_world
from wxrc_service.options import data_option, serve_options, simulator_hosts_option, simulator_options
from wxrc_service.output import open_standard_streams, say
from wxrc_service.puppets import NAMES, kind_named
from wxrc_service.serve import Settings, serve

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
    data: DataDir,
    host: str,
    port: int,
    public_url: str,
    answer_wait_ms: int,
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
        simulator=simulator,
        simulator_hosts=simulator_hosts,
    )
    run(lambda: serve(settings, lambda _, url: say(f"wxrc serves {url} on {data}")))


@main.command("demo")
@serve_options
@simulator_hosts_option
def demo_command(
    data: DataDir, host: str, port: int, public_url: str, answer_wait_ms: int, simulator_hosts: tuple[str, ...]
) -> None:
    """Run the service with channel and bot `demo`, the simulator, and a receiver that prints the callbacks."""
    receiver = demonstration.DemoReceiver(say)
    settings = Settings(
        data=data,
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


@main.group("channel")
def channel_group() -> None:
    """Business systems."""


@channel_group.command("add")
@click.argument("chid")
@click.option("--callback", "callback_url", default="", metavar="URL", help="Where callbacks go; without it, nowhere.")
@click.option("--callback-format", type=click.Choice(["form", "json", "bracket"]), default="form", show_default=True)
@click.option("--allow-private", is_flag=True, help="Callbacks may go to private and loopback addresses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def channel_add(
    data: DataDir,
    chid: str,
    callback_url: str,
    callback_format: channel.CallbackFormat,
    allow_private: bool,
    as_json: bool,
) -> None:
    """Make a channel, and print its KEY and webhook secret: they are shown this once."""

    async def work() -> None:
        async with opened(data) as store:
            made = await add_channel(
                store,
                store.vault,
                chid,
                at=wall_clock(),
                callback_url=callback_url,
                callback_format=callback_format,
                allow_private=allow_private,
            )
        said = {"chid": made.chid, "key": made.key, "webhook_secret": made.webhook_secret}
        if as_json:
            click.echo(json.dumps(said))
        else:
            for name, value in said.items():
                click.echo(f"{name:<15} {value}")

    run(work)


@channel_group.command("callback")
@click.argument("chid")
@click.argument("callback_url", metavar="URL")
@click.option("--callback-format", type=click.Choice(["form", "json", "bracket"]), default="form", show_default=True)
@click.option("--allow-private", is_flag=True, help="Callbacks may go to private and loopback addresses.")
@data_option
def channel_callback(
    data: DataDir, chid: str, callback_url: str, callback_format: channel.CallbackFormat, allow_private: bool
) -> None:
    """Have a channel's callbacks go to another URL, those included that are under way."""

    async def work() -> None:
        data.check()
        async with opened(data) as store:
            moved = channel.CallbackMoved(
                at=wall_clock(), callback_url=callback_url, callback_format=callback_format, allow_private=allow_private
            )
            await move_callback(store, chid, moved)
        click.echo(f"callbacks of channel {chid} go to {callback_url}")

    run(work)


@channel_group.command("grant")
@click.argument("chid")
@click.argument("botcode", metavar="BOT")
@click.option("--room", "room_topic", default="", metavar="TOPIC", help="The default room.")
@click.option(
    "--on-doubt", type=click.Choice(["leave", "resend"]), default="leave", show_default=True, help="Messages in doubt."
)
@click.option(
    "--inbound",
    type=click.Choice(["addressed", "all"]),
    default="addressed",
    show_default=True,
    help="What is passed on.",
)
@data_option
def channel_grant(data: DataDir, chid: str, botcode: str, room_topic: str, on_doubt: Any, inbound: Any) -> None:
    """Let a channel use a bot, on these terms; they replace earlier ones."""

    async def work() -> None:
        data.check()
        async with opened(data) as store:
            granted = channel.BotGranted(
                at=wall_clock(), botcode=botcode, room_topic=room_topic, on_doubt=on_doubt, inbound=inbound
            )
            await grant_bot(store, chid, granted)
        click.echo(f"channel {chid} may use bot {botcode}")

    run(work)


@main.group("bot")
def bot_group() -> None:
    """WeChat accounts."""


def _options(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} must be written name=value")
        if name in options:
            raise click.BadParameter(f"{name} is given twice")
        options[name] = content
    return options


@bot_group.command("add")
@click.argument("botcode")
@click.option("--puppet", required=True, type=click.Choice(NAMES), help="The kind of WeChat client.")
@click.option(
    "--option", "options", multiple=True, metavar="K=V", callback=_options, help="An option of the puppet; repeatable."
)
@click.option("--channel", "chid", metavar="CHID", help="A channel that may use it.")
@click.option(
    "--pace", type=click.Choice(["customary", "none"]), help="How much it may send; by default what the puppet says."
)
@data_option
def bot_add(data: DataDir, botcode: str, puppet: str, options: dict[str, str], chid: str | None, pace: Any) -> None:
    """Make a bot, and let a channel use it."""

    async def work() -> None:
        async with opened(data) as store:
            if chid is not None and not await store.read(channel.stream_name(chid)):
                raise Refusal(f"there is no channel '{chid}'; make it first: wxrc channel add {chid} --callback URL")
            with opened_world(data.world) as world:
                kind = kind_named(puppet, world)
                await add_bot(store, store.vault, botcode, puppet, kind, at=wall_clock(), options=options, pace=pace)
            if chid is not None:
                await grant_bot(store, chid, channel.BotGranted(at=wall_clock(), botcode=botcode))
        used = f" for channel {chid}" if chid else ""
        click.echo(f"bot {botcode} is there, with puppet {puppet}{used}; log it in: wxrc login {botcode}")

    run(work)


@main.command("login")
@click.argument("botcode", metavar="BOT")
@data_option
def login_command(data: DataDir, botcode: str) -> None:
    """Log a bot in: show each QR code here until somebody has scanned it."""

    async def work() -> None:
        async with attached(data) as (gateway, served), anyio.create_task_group() as tasks:
            if served:
                tasks.start_soon(_watch_service, data)
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
def status_command(data: DataDir) -> None:
    """Tell how everything is: what, since when, why, and what to do next."""

    async def work() -> None:
        data.check()
        async with (
            opened(data) as store,
            Gateway(store=data.store(), puppets={}, passive=True) as gateway,
        ):
            del store
            for line in show.status_lines(gateway.world, data.holder()):
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
def send_command(data: DataDir, botcode: str, room: str, wait_s: float, text: str) -> None:
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
def log_command(data: DataDir, what: str) -> None:
    """Print the event history of a message (by its number) or of a bot (by its name)."""

    async def work() -> None:
        data.check()
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


main.add_command(verify_command)
main.add_command(prune_command)
