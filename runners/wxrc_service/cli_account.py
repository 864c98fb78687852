"""What an operator has a bot do: `wxrc login`, `logout` and `stop`. Each tells what became of it."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.to_thread
import click
import msgspec
from anyio.abc import TaskGroup

from wxrc_core import bot
from wxrc_core.errors import Refusal
from wxrc_core.log import Recorded
from wxrc_core.qr_code import QrCode
from wxrc_gateway import Gateway
from wxrc_gateway.moments import moment
from wxrc_gateway.overview import bot_overview
from wxrc_service import show
from wxrc_service.app import qr_terminal
from wxrc_service.cli_run import attached, echo_json, run
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.options import data_option, json_option

Take: TypeAlias = Callable[[Recorded], Awaitable[bool]]
"""Takes in an event of the bot; returns whether that was the end."""

wait_option = click.option(
    "--wait",
    "wait_s",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds to wait for its end.",
)


async def _follow(
    data: DataDir, botcode: str, ask: Callable[[Gateway], object], take: Callable[[Gateway, TaskGroup], Take]
) -> None:
    """Ask for something, and take in the bot's events from then on until the end; what `take` starts beside it ends then."""
    async with attached(data) as (gateway, served), anyio.create_task_group() as tasks:
        if served:
            tasks.start_soon(_watch_service, data)
        start = gateway.world.position
        await ask(gateway)  # type: ignore[misc]
        takes = take(gateway, tasks)
        async for recorded in gateway.events(start):
            if recorded.stream == bot.stream_name(botcode) and await takes(recorded):
                break
        tasks.cancel_scope.cancel()


async def _watch_service(directory: DataDir) -> None:
    """End in a sentence when the service that runs the bots goes away, rather than wait for it without end."""
    while directory.holder() is not None:  # noqa: ASYNC110  another process: nobody here would set an event
        await anyio.sleep(1)
    raise Refusal("the service that runs the bot has stopped; start it again, or run this command again without it")


# -- login ----------------------------------------------------------------------------------------------------------------------


@click.command("login")
@click.argument("botcode", metavar="BOT")
@json_option
@data_option
def login_command(data: DataDir, botcode: str, as_json: bool) -> None:
    """Log a bot in: show each QR code here until somebody has scanned it.

    With --json each step is one line of JSON.
    """

    def take(gateway: Gateway, tasks: TaskGroup) -> Take:
        ours = False
        tell = _JsonSteps(botcode, tasks) if as_json else _TextSteps(botcode, tasks)

        async def takes(recorded: Recorded) -> bool:
            nonlocal ours
            # What happens before our own request is carried out is the end of an earlier one.
            ours = ours or isinstance(recorded.event, bot.LoginRequested | bot.LoginRepeated)
            return ours and await tell.step(gateway, recorded)

        return takes

    run(lambda: _follow(data, botcode, lambda gateway: gateway.login(botcode), take))


class _TextSteps:
    """Tells the steps of a login in words."""

    def __init__(self, botcode: str, tasks: TaskGroup) -> None:
        self._botcode, self._tasks = botcode, tasks

    async def step(self, gateway: Gateway, recorded: Recorded) -> bool:
        """Tell a step; return whether it is the last one."""
        botcode, known = self._botcode, gateway.bot(self._botcode)
        match recorded.event:
            case bot.LoginRequested():
                await self._show_code(gateway, recorded)  # asked for before; that code still waits
            case bot.QrCodeIssued():
                await self._show_code(gateway, recorded)
            case bot.QrCodeScanned():
                self.say(recorded, say("已扫描，请在手机上确认。", "Scanned; now confirm on the phone."))
            case bot.DigitsWanted(wrong=wrong):
                self.digits(gateway, recorded, wrong)
            case bot.LoggedIn(wxid=wxid, name=name) | bot.LinkRestored(wxid=wxid, name=name):
                said = say(
                    "{bot} 已登录，账号 {name}（{wxid}）。",
                    "{bot} is logged in as {name} ({wxid}).",
                    bot=botcode,
                    name=name,
                    wxid=wxid,
                )
                self.say(recorded, said)
                return True
            case bot.LoginRepeated():
                if known is not None and known.ready:
                    since = show.clock_time(known.since)
                    said = say(
                        "{bot} 已经登录，自 {since}。",
                        "{bot} is logged in already, since {since}.",
                        bot=botcode,
                        since=since,
                    )
                    self.say(recorded, said)
                    return True
                said = say(
                    "已登录，但暂时无法连接，正在等待。",
                    "The bot is logged in but cannot be reached just now; waiting.",
                )
                self.say(recorded, said)
            case bot.LoginFailed(reason=reason) | bot.LoggedOut(reason=reason):
                raise Refusal(
                    say("{bot} 未登录：{reason}", "{bot} is not logged in: {reason}", bot=botcode, reason=reason)
                )
            case bot.BotRemoved():
                raise Refusal(say("{bot} 未登录：它已被移除", "{bot} is not logged in: it was removed", bot=botcode))
            case bot.SignedOut() | bot.Stopped():
                raise Refusal(
                    say(
                        "{bot} 未登录：期间有人请求了退出或停止",
                        "{bot} is not logged in: its logout or stop was asked for in the meantime",
                        bot=botcode,
                    )
                )
        return False

    def say(self, recorded: Recorded, text: str) -> None:
        """Tell something."""
        click.echo(text)

    async def _show_code(self, gateway: Gateway, recorded: Recorded) -> None:
        code = await gateway.qr_code(self._botcode)
        if code is not None:  # else it is over already
            self.code(recorded, code)

    def code(self, recorded: Recorded, code: QrCode) -> None:
        """Show a code."""
        qr_terminal(code.text, click.echo, sys.stdout.encoding)
        click.echo(say("用微信扫描，或打开 {url}", "Scan this with WeChat, or open {url}", url=code.text))
        click.echo(say("有效期到 {time}。", "It holds until {time}.", time=show.clock_time(code.expires_at)))

    def digits(self, gateway: Gateway, recorded: Recorded, wrong: bool) -> None:
        """Ask for the digits, beside whatever else happens."""
        self._tasks.start_soon(_ask_digits, gateway, self._botcode, wrong)


async def _ask_digits(gateway: Gateway, botcode: str, wrong: bool) -> None:
    """Ask in the terminal for the digits that the phone shows, and hand them over."""
    question = say("请输入手机显示的数字", "Enter the digits that the phone shows")
    if wrong:
        question = say("数字不对，请重新输入", "Those digits were not right; enter them again")
    while True:
        # Not by click's prompt: a wait for the terminal must end when the login does.
        click.echo(f"{question}: ", nl=False)
        line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        if not line:
            click.echo(
                say(
                    "没有输入；可用接口 loginCode 提交",
                    "nothing was entered; hand them over with the interface loginCode",
                )
            )
            return
        if line.strip().isascii() and line.strip().isdecimal():
            await gateway.submit_code(botcode, line.strip())
            return
        question = say("只能是数字，请重新输入", "That must be digits only; enter them again")


class _JsonSteps(_TextSteps):
    """Tells the steps of a login in lines of JSON."""

    def digits(self, gateway: Gateway, recorded: Recorded, wrong: bool) -> None:
        """See `_TextSteps.digits`; nobody is asked: programs hand them over with the interface loginCode."""
        self.say(recorded, "the digits were wrong" if wrong else "the phone shows digits that have to be handed over")

    def say(self, recorded: Recorded, text: str) -> None:
        """See `_TextSteps.say`."""
        step = {
            "bot": self._botcode,
            "event": type(recorded.event).__name__,
            "time": moment(recorded.event.at),
            "text": text,
        }
        click.echo(msgspec.json.encode(step).decode())

    def code(self, recorded: Recorded, code: QrCode) -> None:
        """See `_TextSteps.code`."""
        step = {
            "bot": self._botcode,
            "event": "QrCodeIssued",
            "time": moment(recorded.event.at),
            "qrcode": code.text,
            "expires_at": moment(code.expires_at),
        }
        click.echo(msgspec.json.encode(step).decode())


# -- logout, stop ---------------------------------------------------------------------------------------------------------------


@click.command("logout")
@click.argument("botcode", metavar="BOT")
@wait_option
@json_option
@data_option
def logout_command(data: DataDir, botcode: str, wait_s: float, as_json: bool) -> None:
    """Sign a bot's account out of WeChat. Its stored session goes too: the next login needs a scan."""
    done = say(
        "{bot} 已退出微信，下次登录需要扫码。",
        "{bot} is signed out of WeChat; the next login needs a scan.",
        bot=botcode,
    )
    _leave(data, botcode, "logout", bot.LogoutRequested, wait_s, done, as_json)


@click.command("stop")
@click.argument("botcode", metavar="BOT")
@wait_option
@json_option
@data_option
def stop_command(data: DataDir, botcode: str, wait_s: float, as_json: bool) -> None:
    """Release a bot's client. The session is kept: the next login needs no scan where WeChat still accepts it."""
    done = say(
        "{bot} 的客户端已停止，会话保留，下次登录通常无需扫码。",
        "The client of {bot} is released; the session is kept, so that the next login needs no scan.",
        bot=botcode,
    )
    _leave(data, botcode, "stop", bot.StopRequested, wait_s, done, as_json)


def _leave(
    data: DataDir, botcode: str, what: str, requested: type[bot.BotEvent], wait_s: float, done: str, as_json: bool
) -> None:
    async def work() -> int:
        ended = False

        def take(gateway: Gateway, _: TaskGroup) -> Take:
            ours = False

            async def takes(recorded: Recorded) -> bool:
                nonlocal ours, ended
                ours = ours or isinstance(recorded.event, requested)
                ended = ours and isinstance(recorded.event, bot.SignedOut | bot.Stopped)
                if ended:
                    _tell_left(gateway, botcode, what, done, as_json)
                return ended

            return takes

        with anyio.move_on_after(wait_s):
            ask = (
                (lambda gateway: gateway.logout(botcode))
                if what == "logout"
                else (lambda gateway: gateway.stop(botcode))
            )
            await _follow(data, botcode, ask, take)
        if not ended:
            raise Refusal(
                say(
                    "{what} 已记录，但 {seconds:g} 秒内没有完成；服务会继续执行，用 wxrc status 查看",
                    "the {what} is recorded and was not finished within {seconds:g} s; the service goes on with it, see wxrc status",
                    what=what,
                    seconds=wait_s,
                )
            )
        return 0

    run(work)


def _tell_left(gateway: Gateway, botcode: str, what: str, done: str, as_json: bool) -> None:
    found = bot_overview(gateway, botcode, served=True)
    if as_json:
        echo_json({"asked": what, "bot": found})
        return
    click.echo(done)
    if found.queued:
        click.echo(
            say("{count} 条消息等待它再次登录。", "{count} messages wait until it logs in again.", count=found.queued)
        )
