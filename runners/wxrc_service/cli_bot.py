"""`wxrc bot ...`: WeChat accounts."""

from collections.abc import Iterator
from typing import Any

import click

from wxrc_gateway import Gateway
from wxrc_gateway.admin_views import BotView, all_bots, one_bot, one_channel
from wxrc_service import show as shown
from wxrc_service.cli_admin import cli_user, json_option, perform, read_text, show
from wxrc_service.data import DataDir, opened_world
from wxrc_service.language import say
from wxrc_service.options import data_option
from wxrc_service.puppets import NAMES, kind_named


@click.group("bot")
def bot_group() -> None:
    """WeChat accounts."""


def _options(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for value in values:
        _add_option(options, value)
    return options


def _add_option(options: dict[str, str], written: str) -> None:
    name, equals, content = written.partition("=")
    if not equals or not name:
        # What stands there may be a token that lost its name: it is not repeated.
        raise click.BadParameter(say("选项应写成 名称=值", "an option must be written name=value"))
    if name in options:
        raise click.BadParameter(say("{name} 给出了两次", "{name} is given twice", name=name))
    options[name] = content


@bot_group.command("add")
@click.argument("botcode")
@click.option("--puppet", required=True, type=click.Choice(NAMES), help="The kind of WeChat client.")
@click.option(
    "--option", "options", multiple=True, metavar="K=V", callback=_options, help="An option of the puppet; repeatable."
)
@click.option("--option-file", metavar="FILE", help="Further options, one K=V a line (tokens belong here); - = stdin.")
@click.option("--channel", "chid", metavar="CHID", help="A channel that may use it.")
@click.option(
    "--pace", type=click.Choice(["customary", "none"]), help="How much it may send; by default what the puppet says."
)
@json_option
@data_option
def bot_add(
    data: DataDir, botcode: str, puppet: str, options: dict[str, str], option_file: str | None, chid: str | None, pace: Any,
    as_json: bool,
) -> None:  # fmt: skip
    """Make a bot, and let a channel use it."""
    for line in (read_text(option_file) or "").splitlines():
        if line.strip() and not line.startswith("#"):
            _add_option(options, line)
    data.make()

    async def work(gateway: Gateway) -> BotView:
        if chid is not None:
            one_channel(gateway.view, chid)  # before anything is made
        await gateway.add_bot(botcode, puppet, options=options, pace=pace, by=cli_user())
        if chid is not None:
            await gateway.grant_bot(chid, botcode, by=cli_user())
        return one_bot(gateway.view, botcode)

    with opened_world(data.world) as world:
        found = perform(data, work, make=True, puppets={puppet: kind_named(puppet, world)})
    used = say("，渠道 {chid} 可以使用", " for channel {chid}", chid=chid) if chid else ""
    text = say(
        "机器人 {botcode} 已添加，puppet 为 {puppet}{used}；登录：wxrc login {botcode}",
        "bot {botcode} is there, with puppet {puppet}{used}; log it in: wxrc login {botcode}",
        botcode=botcode, puppet=puppet, used=used,
    )  # fmt: skip
    show(as_json, found, [text])


@bot_group.command("list")
@json_option
@data_option
def bot_list(data: DataDir, as_json: bool) -> None:
    """List the bots."""

    async def work(gateway: Gateway) -> list[BotView]:
        return all_bots(gateway.view)

    found = perform(data, work)
    none = say("没有机器人；添加：wxrc bot add", "none; add one: wxrc bot add")
    show(as_json, found, [_line(each) for each in found] or [none])


@bot_group.command("show")
@click.argument("botcode", metavar="BOT")
@json_option
@data_option
def bot_show(data: DataDir, botcode: str, as_json: bool) -> None:
    """Show a bot: its state, its account, and which channels may use it."""

    async def work(gateway: Gateway) -> BotView:
        return one_bot(gateway.view, botcode)

    found = perform(data, work)
    show(as_json, found, _lines(found))


@bot_group.command("remove")
@click.argument("botcode", metavar="BOT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@data_option
def bot_remove(data: DataDir, botcode: str, yes: bool, as_json: bool) -> None:
    """Remove a bot for ever: its account is signed out, its queued messages are not sent, its session and options are deleted."""
    if not yes:
        question = say(
            "永久移除机器人 {bot}？微信账号会退出，排队的消息不再发送，这个名称不能再用",
            "Remove bot {bot} for ever? Its account is signed out, its queued messages are not sent, and its name cannot be used again",
            bot=botcode,
        )  # fmt: skip
        click.confirm(question, abort=True, err=True)

    async def work(gateway: Gateway) -> BotView:
        await gateway.remove_bot(botcode, by=cli_user())
        return one_bot(gateway.view, botcode)

    found = perform(data, work)
    text = say(
        "机器人 {bot} 已移除；它的微信账号由服务退出，用 wxrc status 查看",
        "bot {bot} is removed; the service signs its account out, see wxrc status",
        bot=botcode,
    )
    show(as_json, found, [text])


def _line(found: BotView) -> str:
    channels = ", ".join(found.channels) or say("无", "none")
    return say(
        "{botcode}  {state}，自 {since}；puppet：{puppet}；渠道：{channels}",
        "{botcode}  {state} since {since}; puppet: {puppet}; channels: {channels}",
        botcode=found.botcode, state=found.state, since=shown.clock_time(found.since), puppet=found.puppet, channels=channels,
    )  # fmt: skip


def _lines(found: BotView) -> Iterator[str]:
    yield _line(found)
    rows = (
        ("账号", "account", f"{found.name} ({found.wxid})" if found.wxid else ""),
        ("群", "rooms", str(found.rooms or "")),
        ("原因", "why", found.reason),
        ("速率", "pace", found.pace),
        ("创建", "added", f"{shown.clock_time(found.added_at)} {found.added_by}".rstrip()),
    )
    for zh, en, value in rows:
        if value:
            yield f"{say(zh, en)}: {value}"
