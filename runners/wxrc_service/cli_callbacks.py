"""`wxrc callbacks ...`: how callbacks stand, what waits, what was given up, and having it delivered after all."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import click

from wxrc_gateway import Gateway
from wxrc_gateway.callback_views import says_which
from wxrc_gateway.callbacks import CallbackHealth, CallbackStep, CallbackView, Selection
from wxrc_gateway.gateway import wall_clock
from wxrc_service.cli_admin import cli_user, json_option, perform, show
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.options import data_option
from wxrc_service.show import clock_time

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return a time in epoch ms: a day, a time, or how long ago (`30m`, `2h`, `5d`)."""
    if value is None:
        return None
    number, unit = value[:-1], value[-1:]
    if number.isdecimal() and len(number) < 7 and unit in _UNITS:
        return wall_clock() - int(timedelta(**{_UNITS[unit]: int(number)}).total_seconds() * 1000)
    try:
        return int(datetime.fromisoformat(value).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            say(
                "{value} 应为时间，如 2026-01-31、2026-01-31T08:00，或多久以前，如 30m、2h、5d",
                "{value} must be a time, as 2026-01-31 or 2026-01-31T08:00, or how long ago, as 30m, 2h or 5d",
                value=repr(value),
            )
        ) from None


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which callbacks are meant."""
    for option in (
        click.option("--channel", "chid", metavar="CHID", help="Of this channel."),
        click.option("--bot", "botcode", metavar="BOT", help="About this bot."),
        click.option("--since", metavar="TIME", callback=_time, help="Due since then: 2026-01-31T08:00, or 2h (ago)."),
    ):
        command = option(command)
    return command


@click.group("callbacks")
def callbacks_group() -> None:
    """Callbacks: their state, dead letters, retry and replay."""


@callbacks_group.command("list")
@selection_options
@json_option
@data_option
def callbacks_list(data: DataDir, chid: str | None, botcode: str | None, since: int | None, as_json: bool) -> None:
    """Tell how every channel's callback URL stands, and list the callbacks that wait."""
    selection = Selection(chid=chid, botcode=botcode, since=since)

    async def work(gateway: Gateway) -> tuple[list[CallbackHealth], list[CallbackView]]:
        health = [each for each in gateway.callbacks.health() if chid in (None, each.chid)]
        return health, gateway.callbacks.waiting(selection)

    health, waiting = perform(data, work)
    lines = [health_line(each) for each in health] + [_line(each) for each in waiting]
    show(as_json, {"channels": health, "waiting": waiting}, lines or [say("没有渠道", "there are no channels")])


@callbacks_group.command("dead")
@selection_options
@json_option
@data_option
def callbacks_dead(data: DataDir, chid: str | None, botcode: str | None, since: int | None, as_json: bool) -> None:
    """List the dead letters: callbacks that were given up, and why. `wxrc callbacks replay` has them delivered after all."""
    selection = Selection(chid=chid, botcode=botcode, since=since)
    found = perform(data, lambda gateway: gateway.callbacks.dead(selection))
    show(as_json, found, list(map(_line, found)) or [say("没有死信", "there are no dead letters")])


@callbacks_group.command("show")
@click.argument("webhook_id", metavar="ID")
@json_option
@data_option
def callbacks_show(data: DataDir, webhook_id: str, as_json: bool) -> None:
    """Tell what happened to one callback: each attempt that is on record, and how it ended."""
    found = perform(data, lambda gateway: gateway.callbacks.history(webhook_id))
    show(as_json, found, [_line(found.callback), *map(_step_line, found.steps)])


@callbacks_group.command("retry")
@click.argument("chid")
@json_option
@data_option
def callbacks_retry(data: DataDir, chid: str, as_json: bool) -> None:
    """Have everything that waits for a channel posted at once, in order; a callback URL that was disabled is used again."""
    count = perform(data, lambda gateway: gateway.callbacks.retry(chid, by=cli_user()))
    sentence = say(
        "渠道 {chid} 的 {count} 个回调将立即按顺序重试",
        "{count} callbacks to channel {chid} are tried again at once, in order",
        chid=chid,
        count=count,
    )
    show(as_json, {"chid": chid, "waiting": count}, [sentence])


@callbacks_group.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@selection_options
@click.option("--until", metavar="TIME", callback=_time, help="Due before then.")
@click.option("--from-seq", "first", type=click.IntRange(1), help="Telling of this event (`seq`) or a later one.")
@click.option("--to-seq", "last", type=click.IntRange(1), help="Telling of this event (`seq`) or an earlier one.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--delivered", is_flag=True, help="Also what was delivered, or had expired.")
@json_option
@data_option
def callbacks_replay(
    data: DataDir, ids: tuple[str, ...], everything: bool, delivered: bool, as_json: bool, **chosen: Any
) -> None:
    """Have callbacks delivered once more, under their own ids: these, or the dead letters of a selection."""
    selection = Selection(**chosen)
    if not says_which(ids, selection, everything=everything):
        raise click.UsageError(
            say(
                "请给出回调编号，或用 --channel、--bot、--since、--until、--from-seq、--to-seq 选择，或用 --all 重放全部死信",
                "name callbacks by their ids, or choose them by --channel, --bot, --since, --until, --from-seq, --to-seq, "
                "or replay all dead letters with --all",
            )
        )

    def work(gateway: Gateway) -> Awaitable[int]:
        return gateway.callbacks.replay_chosen(
            ids, selection, everything=everything, delivered=delivered, by=cli_user()
        )

    count = perform(data, work)
    sentence = say("{count} 个回调将重新送达", "{count} callbacks are due again", count=count)
    show(as_json, {"replayed": count}, [sentence])


def health_line(health: CallbackHealth) -> str:
    """Return how a channel's callback URL stands, in one line: since when it fails, why, when it is tried next, how many wait."""
    parts = {
        "none": say("无回调地址", "no callback URL"),
        "healthy": say("正常", "healthy"),
        "failing": say("失败中", "failing"),
        "disabled": say("已停用", "disabled"),
    }
    line = f"{health.chid}  {parts[health.state]}"
    if health.since is not None:
        line += say(
            "，自 {since} 起：{why}", " since {since}: {why}", since=clock_time(health.since), why=health.reason
        )
    if health.next_try is not None:
        line += say("；下次尝试 {time}", "; next try {time}", time=clock_time(health.next_try))
    elif health.state == "failing" and health.waiting:
        line += say("；下次尝试由运行中的服务决定", "; the service that runs the bots decides on the next try")
    if health.state == "disabled":
        line += say(
            "；请换一个地址，或执行 wxrc callbacks retry {chid}",
            "; set another URL, or run `wxrc callbacks retry {chid}`",
            chid=health.chid,
        )
    return line + say("；等待中 {count} 个", "; {count} waiting", count=health.waiting)


def _line(view: CallbackView) -> str:
    said = f"{view.id}  {view.kind}  {view.botcode}  {view.state}  {clock_time(view.at)}"
    parts: Iterable[str] = (
        said,
        say("失败 {n} 次", "{n} attempts failed", n=view.attempts) if view.attempts else "",
        say("放弃于 {t}", "given up {t}", t=clock_time(view.ended_at)) if view.ended_at is not None else "",
        view.reason,
        say("下次 {t}", "again {t}", t=clock_time(view.next_try)) if view.next_try is not None else "",
    )
    return "; ".join(filter(None, parts))


def _step_line(step: CallbackStep) -> str:
    parts: Iterable[str] = (
        f"  {clock_time(step.at)}  {step.event}",
        say("第 {n} 次", "attempt {n}", n=step.attempt) if step.attempt else "",
        step.reason,
        say("下次 {t}", "again {t}", t=clock_time(step.next_try)) if step.next_try is not None else "",
        step.by,
    )
    return "; ".join(filter(None, parts))
