"""`wxrc channel ...`: business systems, and what they may do. Every change stands in the log with who made it."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import click

from wxrc_gateway import ChannelSettings, Gateway
from wxrc_gateway.admin_views import ChannelView, GrantView, all_channels, one_channel
from wxrc_service import show as shown
from wxrc_service.cli_admin import cli_user, json_option, perform, read_text, show
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.options import data_option

FORMATS = ("form", "json", "bracket")
TYPES = ("HMAC-SHA256-V2", "HMAC-SHA256", "MD5", "RSA")

chid_argument = click.argument("chid")


@click.group("channel")
def channel_group() -> None:
    """Business systems."""


# -- what a channel is set to ---------------------------------------------------------------------------------------------------

_SETTINGS = (
    click.option("--callback", "callback_url", metavar="URL", help="Where callbacks go; '' = nowhere."),
    click.option("--callback-format", type=click.Choice(FORMATS), help="How they are written (form)."),
    click.option("--allow-private/--no-allow-private", default=None, help="Callbacks may go to private addresses."),
    click.option(
        "--private-network", "private_networks", multiple=True, metavar="NET",
        help="Callbacks may go to this private network; repeatable; '' = to none.",
    ),
    click.option(
        "--signature-type", "signature_types", multiple=True, type=click.Choice(TYPES),
        help="A type of signature that it may use; repeatable (all but RSA).",
    ),
    click.option(
        "--rsa-public-key-file", metavar="FILE",
        help="Its RSA public key (PEM), for the type RSA; - = stdin, '' = none any more.",
    ),
    click.option(
        "--allow-address", "allowed_addresses", multiple=True, metavar="NET",
        help="It may call from this address or network only; repeatable; '' = from anywhere.",
    ),
    click.option("--timezone", metavar="NAME", help="The zone of its txtime and its day (Asia/Shanghai)."),
    click.option("--window", "window_s", type=int, metavar="SECONDS", help="How far its txtime may be off (300)."),
    click.option(
        "--quota", "requests_per_minute", type=int, metavar="N", help="Requests per minute; 0 = no quota (0)."
    ),
    click.option("--burst", type=int, metavar="N", help="So many of them at once; 0 = as many as in a minute (0)."),
)  # fmt: skip


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a channel's settings."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def _settings(options: dict[str, Any]) -> ChannelSettings:
    """Return the settings that were given on the command line; one that is empty is set to nothing."""
    path = options.pop("rsa_public_key_file", None)
    found = {name: value for name, value in options.items() if value is not None and value != ()}
    if path is not None:
        found["rsa_public_key"] = read_text(path) if path else ""
    for name, value in found.items():
        if isinstance(value, tuple):
            found[name] = tuple(each for each in value if each)
    return cast(ChannelSettings, found)


# -- make, look, change ---------------------------------------------------------------------------------------------------------


@channel_group.command("add")
@chid_argument
@settings_options
@click.option("--key-file", metavar="FILE", help="Its KEY, in a file or - = stdin; by default a new one is made.")
@click.option("--secret-file", metavar="FILE", help="Its webhook secret, likewise.")
@json_option
@data_option
def channel_add(
    data: DataDir, chid: str, as_json: bool, key_file: str | None, secret_file: str | None, **options: Any
) -> None:
    """Make a channel, and print its KEY and webhook secret: they are shown this once."""
    key, secret, settings = read_text(key_file), read_text(secret_file), _settings(options)
    made = perform(
        data,
        lambda gateway: gateway.add_channel(chid, by=cli_user(), key=key, webhook_secret=secret, **settings),
        make=True,
    )
    said = {"chid": made.chid, "key": made.key, "webhook_secret": made.webhook_secret}
    show(as_json, said, (f"{name:<15} {value}" for name, value in said.items()))


@channel_group.command("list")
@json_option
@data_option
def channel_list(data: DataDir, as_json: bool) -> None:
    """List the channels."""
    found = perform(data, _all)
    show(
        as_json,
        found,
        map(_line, found) if found else [say("没有渠道；添加：wxrc channel add", "none; add one: wxrc channel add")],
    )


async def _all(gateway: Gateway) -> list[ChannelView]:
    return all_channels(gateway.view)


@channel_group.command("show")
@chid_argument
@json_option
@data_option
def channel_show(data: DataDir, chid: str, as_json: bool) -> None:
    """Show a channel's settings and grants. KEYs and secrets are named by their ids only."""
    _show(data, chid, as_json, None)


@channel_group.command("set")
@chid_argument
@settings_options
@json_option
@data_option
def channel_set(data: DataDir, chid: str, as_json: bool, **options: Any) -> None:
    """Change settings; those that are not given stay as they are."""
    settings = _settings(options)
    _show(data, chid, as_json, lambda gateway: gateway.change_channel(chid, by=cli_user(), **settings))


@channel_group.command("callback")
@chid_argument
@click.argument("callback_url", metavar="URL")
@click.option("--callback-format", type=click.Choice(FORMATS))
@click.option("--allow-private/--no-allow-private", default=None)
@json_option
@data_option
def channel_callback(data: DataDir, chid: str, callback_url: str, as_json: bool, **options: Any) -> None:
    """Have a channel's callbacks go to another URL, those included that are under way."""
    settings = _settings(options)
    _show(data, chid, as_json, lambda gateway: gateway.move_callback(chid, callback_url, by=cli_user(), **settings))


# -- grants ---------------------------------------------------------------------------------------------------------------------


@channel_group.command("grant")
@chid_argument
@click.argument("botcode", metavar="BOT")
@click.option("--room", "room_topic", default="", metavar="TOPIC", help="The default room, by its name; or")
@click.option("--room-id", default="", metavar="ID", help="by its id.")
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
@click.option(
    "--interface", "interfaces", multiple=True, metavar="NAME", help="An interface that it may call; repeatable (all)."
)
@click.option(
    "--least-evidence", type=click.Choice(["receipt", "echo"]), default="receipt", show_default=True,
    help="What a message must have before it is called sent.",
)  # fmt: skip
@click.option(
    "--pace", type=int, default=0, show_default=True, metavar="N",
    help="At most so many of its messages in any minute, on top of the bot's pace; 0 = no limit of its own.",
)  # fmt: skip
@json_option
@data_option
def channel_grant(data: DataDir, chid: str, botcode: str, as_json: bool, **terms: Any) -> None:
    """Let a channel use a bot, on these terms; they replace earlier ones."""
    _show(data, chid, as_json, lambda gateway: gateway.grant_bot(chid, botcode, by=cli_user(), **terms))


@channel_group.command("revoke")
@chid_argument
@click.argument("botcode", metavar="BOT")
@json_option
@data_option
def channel_revoke(data: DataDir, chid: str, botcode: str, as_json: bool) -> None:
    """Take a grant back. Messages that were accepted go on, and the channel is told of their ends."""
    _show(data, chid, as_json, lambda gateway: gateway.revoke(chid, botcode, by=cli_user()))


# -- KEYs and webhook secrets ---------------------------------------------------------------------------------------------------


@channel_group.command("rotate-key")
@chid_argument
@click.option("--key-file", metavar="FILE", help="The new KEY, in a file or - = stdin; by default one is made.")
@json_option
@data_option
def channel_rotate_key(data: DataDir, chid: str, key_file: str | None, as_json: bool) -> None:
    """Make one more KEY valid, and print it this once; the one before stays valid until `end-key`."""
    key = read_text(key_file)
    made = perform(data, lambda gateway: gateway.rotate_key(chid, key=key, by=cli_user()))
    _show_new(as_json, chid, "key", "end-key", made.id, made.secret, made.valid)


@channel_group.command("rotate-secret")
@chid_argument
@click.option("--secret-file", metavar="FILE", help="The new secret, in a file or - = stdin; by default one is made.")
@json_option
@data_option
def channel_rotate_secret(data: DataDir, chid: str, secret_file: str | None, as_json: bool) -> None:
    """Sign callbacks with one more webhook secret, and print it this once; the one before signs too until `end-secret`."""
    secret = read_text(secret_file)
    made = perform(data, lambda gateway: gateway.rotate_secret(chid, webhook_secret=secret, by=cli_user()))
    _show_new(as_json, chid, "webhook_secret", "end-secret", made.id, made.secret, made.valid)


def _show_new(as_json: bool, chid: str, name: str, end: str, new: str, secret: str, valid: tuple[str, ...]) -> None:
    said = {"chid": chid, "id": new, name: secret, "valid": valid}
    hint = say(
        "旧的（{old}）仍然有效；渠道换用新的之后请结束它：wxrc channel {end} {chid} {old}",
        "the old one ({old}) is still valid; end it when the channel uses the new one: wxrc channel {end} {chid} {old}",
        end=end, chid=chid, old=valid[-1],
    )  # fmt: skip
    show(as_json, said, (f"{'id':<15} {new}", f"{name:<15} {secret}", hint))


@channel_group.command("end-key")
@chid_argument
@click.argument("key_id", metavar="ID")
@json_option
@data_option
def channel_end_key(data: DataDir, chid: str, key_id: str, as_json: bool) -> None:
    """End a KEY, named by its id; the last one cannot be ended."""
    _show(data, chid, as_json, lambda gateway: gateway.end_key(chid, key_id, by=cli_user()))


@channel_group.command("end-secret")
@chid_argument
@click.argument("secret_id", metavar="ID")
@json_option
@data_option
def channel_end_secret(data: DataDir, chid: str, secret_id: str, as_json: bool) -> None:
    """End a webhook secret, named by its id; the last one cannot be ended."""
    _show(data, chid, as_json, lambda gateway: gateway.end_secret(chid, secret_id, by=cli_user()))


# -- suspend, resume, remove ----------------------------------------------------------------------------------------------------


@channel_group.command("suspend")
@chid_argument
@click.option("--reason", default="", help="Why; it stands in the log and in `show`.")
@json_option
@data_option
def channel_suspend(data: DataDir, chid: str, reason: str, as_json: bool) -> None:
    """Refuse a channel's requests. What was accepted goes on, and callbacks still go out."""
    _show(data, chid, as_json, lambda gateway: gateway.suspend(chid, reason=reason, by=cli_user()))


@channel_group.command("resume")
@chid_argument
@json_option
@data_option
def channel_resume(data: DataDir, chid: str, as_json: bool) -> None:
    """Take a channel's requests again."""
    _show(data, chid, as_json, lambda gateway: gateway.resume(chid, by=cli_user()))


@channel_group.command("remove")
@chid_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@data_option
def channel_remove(data: DataDir, chid: str, yes: bool, as_json: bool) -> None:
    """Remove a channel for ever: its queued messages and callbacks are cancelled, its secrets deleted; its history stays in the log."""
    if not yes:
        question = say(
            "永久移除渠道 {chid}？排队的消息和回调会被取消",
            "Remove channel {chid} for ever? Its queued messages and callbacks are cancelled",
            chid=chid,
        )  # fmt: skip
        click.confirm(question, abort=True, err=True)
    _show(data, chid, as_json, lambda gateway: gateway.remove_channel(chid, by=cli_user()))


# -- showing --------------------------------------------------------------------------------------------------------------------


def _show(data: DataDir, chid: str, as_json: bool, change: Callable[[Gateway], Any] | None) -> None:
    async def work(gateway: Gateway) -> ChannelView:
        if change is not None:
            await change(gateway)
        return one_channel(gateway.view, chid)

    found = perform(data, work)
    show(as_json, found, _lines(found))


def _state(found: ChannelView) -> str:
    if found.state == "suspended":
        since = shown.clock_time(found.suspended_at or 0)
        why = f": {found.suspended_reason}" if found.suspended_reason else ""
        return say(
            "已暂停，自 {since}（{by}）{why}",
            "suspended since {since} by {by}{why}",
            since=since,
            by=found.suspended_by,
            why=why,
        )
    return say("已移除", "removed") if found.state == "removed" else say("正常", "active")


def _line(found: ChannelView) -> str:
    bots = ", ".join(grant.botcode for grant in found.grants) or say("无", "none")
    return say(
        "{chid}  {state}；机器人：{bots}；回调：{url}", "{chid}  {state}; bots: {bots}; callbacks: {url}",
        chid=found.chid, state=_state(found), bots=bots, url=found.callback_url or say("无", "none"),
    )  # fmt: skip


def _lines(found: ChannelView) -> Iterator[str]:
    none = say("无", "none")
    quota = str(found.requests_per_minute or none) + (f" ({found.burst})" if found.burst else "")
    private = say("任意", "any") if found.allow_private else ", ".join(found.private_networks) or none
    rows = (
        ("渠道", "channel", found.chid),
        ("状态", "state", _state(found)),
        ("创建", "added", f"{shown.clock_time(found.added_at)} {found.added_by}".rstrip()),
        ("有效的 KEY", "KEYs", ", ".join(found.key_ids)),
        ("有效的回调密钥", "webhook secrets", ", ".join(found.webhook_secret_ids)),
        ("回调", "callbacks", f"{found.callback_url} ({found.callback_format})" if found.callback_url else none),
        ("可回调的内网", "private networks", private),
        ("签名类型", "signature types", ", ".join(found.signature_types)),
        ("RSA 公钥", "RSA public key", say("已登记", "registered") if found.rsa_public_key else none),
        ("允许的地址", "allowed addresses", ", ".join(found.allowed_addresses) or say("任意", "any")),
        ("时区", "time zone", found.timezone),
        ("时间窗", "window", f"±{found.window_s} s"),
        ("每分钟配额（突发）", "quota a minute (burst)", quota),
    )
    for zh, en, value in rows:
        if value:
            yield f"{say(zh, en)}: {value}"
    for grant in found.grants:
        yield _grant_line(grant)


def _grant_line(grant: GrantView) -> str:
    terms = {
        "room": grant.room_topic or grant.room_id,
        "on_doubt": grant.on_doubt,
        "inbound": grant.inbound,
        "least_evidence": grant.least_evidence,
        "pace": f"{grant.pace}/min" if grant.pace else "",
        "interfaces": ",".join(grant.interfaces),
        "by": grant.by,
    }
    said = " ".join(f"{name}={value}" for name, value in terms.items() if value)
    return f"{say('授权', 'grant')}: {grant.botcode}  {said}"
