"""What an operator looks at, and decides: `wxrc status`, `messages`, `log` and `resolve`."""

import re
from datetime import datetime
from typing import Any, cast, get_args

import click
import msgspec

from wxrc_core import message
from wxrc_gateway import doubts, listing
from wxrc_gateway.gateway import wall_clock
from wxrc_gateway.overview import overview
from wxrc_gateway.timeline import timeline
from wxrc_service import show
from wxrc_service.cli_admin import cli_user
from wxrc_service.cli_run import echo_json, observed, run
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.layout import moment_text
from wxrc_service.options import data_option, json_option

_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> int:
    """Return a time as epoch ms: `30m`, `2h` or `3d` ago, or a date or time, in the zone of this machine unless it names one."""
    if value is None:
        return 0
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", value):
        return wall_clock() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return int(datetime.fromisoformat(value).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} must be a time, as in 2026-01-31, 2026-01-31T10:30+08:00, or 30m, 2h, 3d ago"
        ) from None


@click.command("status")
@json_option
@data_option
def status_command(data: DataDir, as_json: bool) -> None:
    """Tell how everything is: what, since when, why, and what to do next."""

    async def work() -> None:
        async with observed(data) as gateway:
            holder = data.holder()
            found = await overview(gateway, served=holder is not None)
            if as_json:
                service = holder and {"url": holder.url, "pid": holder.pid, "since": moment_text(holder.since)}
                echo_json({"service": service, **msgspec.to_builtins(found)})
                return
            for line in show.status_lines(found, holder):
                click.echo(line)

    run(work)


@click.command("messages")
@click.option(
    "--in-doubt", is_flag=True, help="Those of which it is unknown whether they arrived; the same as --state in_doubt."
)
@click.option("--bot", "botcode", default="", metavar="BOT", help="Of this bot.")
@click.option(
    "--channel", "chid", default="", metavar="CHID", help="Of this channel; '-' = sent from the command line."
)
@click.option("--state", type=click.Choice(get_args(listing.StateName)), help="In this state.")
@click.option(
    "--since",
    callback=_time,
    metavar="TIME",
    help="Accepted since: 2026-01-31, 2026-01-31T10:30+08:00, or 30m, 2h, 3d ago.",
)
@click.option("--before", default=0, type=click.IntRange(0), metavar="MSGID", help="With a lower number than this.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@json_option
@data_option
def messages_command(data: DataDir, in_doubt: bool, as_json: bool, **filters: Any) -> None:
    """List messages, the newest first.

    Those that are queued, being sent or in doubt are all found. For the others the log is read backwards, at most 200,000 events; what
    was not looked at is said, and --before goes on there.
    """
    if in_doubt and filters["state"] not in (None, "in_doubt"):
        raise click.UsageError("--in-doubt and --state name two states; give one of them")
    if in_doubt:
        filters["state"] = "in_doubt"

    async def work() -> None:
        async with observed(data) as gateway:
            found = await listing.messages(gateway, listing.Wanted(**filters))
            if as_json:
                echo_json(found)
                return
            for line in show.listing_lines(found):
                click.echo(line)

    run(work)


@click.command("resolve")
@click.argument("msgid", type=click.IntRange(1))
@click.argument("verdict", type=click.Choice(get_args(message.Verdict)))
@click.option("--by", default=cli_user, show_default="your user name", metavar="NAME", help="Who says so, for the log.")
@json_option
@data_option
def resolve_command(data: DataDir, msgid: int, verdict: str, by: str, as_json: bool) -> None:
    """Say what has become of a message in doubt: it was sent, it failed, or it is to be sent once more.

    Look in WeChat first. Its channel is told. `resend` may deliver it twice.
    """

    async def work() -> None:
        async with observed(data) as gateway:
            record = await doubts.resolve(gateway, msgid, cast("message.Verdict", verdict), by=by)
            entry = listing.message_entry(record)
            if as_json:
                echo_json(entry)
                return
            for line in show.message_lines(entry):
                click.echo(line)
            if verdict == "resend" and data.holder() is None:
                click.echo(say("没有服务在运行，服务启动后才会重发。", "No service runs; it is resent when one does."))

    run(work)


@click.command("log")
@click.argument("what", metavar="MSGID|BOT|CHANNEL")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="At most so many events of a bot or channel, the newest.",
)
@json_option
@data_option
def log_command(data: DataDir, what: str, limit: int, as_json: bool) -> None:
    """Print what happened to a message (by its number), a bot or a channel (by its name), its callbacks included.

    Where a bot and a channel have the same name, `channel:NAME` means the channel.
    """

    async def work() -> None:
        async with observed(data) as gateway:
            found = await timeline(gateway, what, limit=limit)
            if as_json:
                echo_json(found)
                return
            for line in show.timeline_lines(found):
                click.echo(line)

    run(work)
