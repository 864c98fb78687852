"""What the command line shows of the state of everything: each thing with since when, why, and what to do."""

from collections.abc import Iterator
from itertools import groupby

from wxrc_gateway.listing import Listing, MessageEntry
from wxrc_gateway.moments import moment
from wxrc_gateway.overview import BotOverview, ChannelOverview, Overview
from wxrc_gateway.timeline import Timeline, TimelineEntry
from wxrc_service.data import Holder
from wxrc_service.event_texts import event_text
from wxrc_service.language import LocalizedText, choose, say
from wxrc_service.layout import padded, printable, time_text, wrapped, zone_text

_STATES = {
    "logout": LocalizedText("未登录", "logged out"),
    "awaiting_qr": LocalizedText("等待扫码", "waits for a scan"),
    "login": LocalizedText("已登录", "logged in"),
    "removed": LocalizedText("已移除", "removed"),
    "queued": LocalizedText("排队中", "queued"),
    "attempted": LocalizedText("正在发送", "being sent"),
    "sent": LocalizedText("已发送", "sent"),
    "room_not_found": LocalizedText("群或联系人不存在", "no such room or person"),
    "rejected": LocalizedText("被微信拒绝", "refused by WeChat"),
    "failed": LocalizedText("失败", "failed"),
    "expired": LocalizedText("已过期", "expired"),
    "cancelled": LocalizedText("已取消", "cancelled"),
    "in_doubt": LocalizedText("存疑", "in doubt"),
}

_ACTIONS = {
    "scan": LocalizedText("扫描二维码：wxrc login {bot}", "scan the QR code: wxrc login {bot}"),
    "confirm": LocalizedText("在手机上确认登录", "confirm the login on the phone"),
    "enter_code": LocalizedText("录入手机显示的数字", "hand over the digits that the phone shows"),
    "relogin": LocalizedText("wxrc login {bot}", "wxrc login {bot}"),
}

_INDENT = " " * 11


def state_text(state: str) -> str:
    """Return the name of a bot's or a message's state."""
    return choose(_STATES[state]) if state in _STATES else state


def clock_time(at: int) -> str:
    """Return a time (epoch ms) as people here write it, with its zone."""
    return time_text(moment(at))


# -- status ---------------------------------------------------------------------------------------------------------------------


def status_lines(found: Overview, holder: Holder | None) -> Iterator[str]:
    """Give out the state of everything in lines."""
    if holder is None:
        yield _line(say("服务", "service"), say("未运行；启动：wxrc serve", "not running; start it: wxrc serve"))
    else:
        text = say("运行于 {url}（进程 {pid}）", "running at {url} (process {pid})", url=holder.url, pid=holder.pid)
        yield _line(say("服务", "service"), text)
        yield _INDENT + say("自 {since}", "since {since}", since=clock_time(holder.since))
    for each in found.bots:
        yield from bot_lines(each)
    if not found.bots:
        yield _line(say("机器人", "bot"), say("没有；添加：wxrc bot add", "none; add one: wxrc bot add"))
    for channel in found.channels:
        yield from _channel_lines(channel, holder is not None)
    if not found.channels:
        yield _line(say("渠道", "channel"), say("没有；添加：wxrc channel add", "none; add one: wxrc channel add"))
    text = say(
        "{queued} 条排队，{attempted} 条正在发送，{in_doubt} 条存疑",
        "{queued} queued, {attempted} being sent, {in_doubt} in doubt",
        queued=found.queued,
        attempted=found.attempted,
        in_doubt=found.in_doubt,
    )
    yield _line(say("消息", "messages"), text)
    for entry in found.doubts:
        yield from _doubt_lines(entry)
    if found.in_doubt > len(found.doubts):
        more = found.in_doubt - len(found.doubts)
        yield _INDENT + say(
            "另有 {more} 条：wxrc messages --in-doubt", "{more} more: wxrc messages --in-doubt", more=more
        )
    yield _line(say("回调", "callbacks"), say("{due} 条待投递", "{due} due", due=found.due))


def _line(what: str, text: str) -> str:
    return f"{padded(what, 9)}  {text}"


def _why(reason: str) -> Iterator[str]:
    if reason:
        yield from wrapped(printable(reason.rstrip(".")), _INDENT + say("原因：", "why: "))


def bot_lines(each: BotOverview) -> Iterator[str]:
    """Give out a bot's state in lines: what, since when, why, and what to do."""
    state = state_text(each.state)
    if each.reachable is None and each.state not in ("logout", "removed"):
        state = say("未运行（原为{state}）", "not running (was {state} at the end)", state=state)
    elif each.state == "login" and not each.reachable:
        state = say("已登录，但无法连接", "logged in, but not reachable")
    yield _line(say("机器人", "bot"), f"{each.botcode}  {state}")
    yield _INDENT + say("自 {since}", "since {since}", since=time_text(each.since))
    if each.state == "login" and each.wxid:
        account = say(
            "账号 {name}（{wxid}），{rooms} 个群",
            "as {name} ({wxid}), {rooms} rooms",
            name=printable(each.name),
            wxid=printable(each.wxid),
            rooms=each.rooms,
        )
        yield from wrapped(account, _INDENT)
    if each.leaving == "remove":
        yield _INDENT + say("正在退出微信并清除会话", "its account is still to be signed out")
    elif each.leaving:
        yield _INDENT + say("正在执行 {what}", "a {what} is under way", what=each.leaving)
    if each.state != "removed":
        yield from _why(each.reason)
    if each.queued or each.in_doubt:
        yield _INDENT + say(
            "{queued} 条消息等待，{in_doubt} 条存疑",
            "{queued} messages wait, {in_doubt} in doubt",
            queued=each.queued,
            in_doubt=each.in_doubt,
        )
    if each.action in _ACTIONS:
        yield _INDENT + say("操作：", "do: ") + choose(_ACTIONS[each.action], bot=each.botcode)
    elif each.action == "wait" and each.reachable is None:
        yield _INDENT + say("操作：启动服务 wxrc serve", "do: start the service: wxrc serve")
    elif each.action == "wait":
        yield _INDENT + say("操作：无，会自动重连", "do: nothing; the client is started again by itself")


def _channel_lines(each: ChannelOverview, served: bool) -> Iterator[str]:
    bots = ", ".join(each.bots) or say("无", "none")
    yield from wrapped(
        say("机器人：{bots}", "bots: {bots}", bots=bots), _line(say("渠道", "channel"), f"{each.chid}  "), _INDENT
    )
    if each.state == "removed":
        yield _INDENT + say("已删除", "removed")
        return
    if each.since is not None:
        yield _INDENT + say("暂停，自 {since}", "suspended since {since}", since=time_text(each.since))
        yield from _why(each.reason)
        yield _INDENT + say("操作：", "do: ") + f"wxrc channel resume {each.chid}"
    calls = each.callbacks
    if not calls.url:
        yield _INDENT + say("没有回调地址", "no callback URL")
        return
    yield from wrapped(say("回调到 {url}", "callbacks to {url}", url=printable(calls.url)), _INDENT)
    health = {
        "up": say("正常", "up"),
        "failing": say("失败中", "failing"),
        "disabled": say("已停用", "disabled"),
        None: "",
    }[calls.health]
    if calls.failed:
        health = say(
            "{failed} / {due} 条未被确认",
            "{failed} of {due} due were not acknowledged",
            failed=calls.failed,
            due=calls.due,
        )
    elif calls.due and calls.oldest is not None:
        health = say(
            "{due} 条待投递，最早自 {oldest}；{health}",
            "{due} due, the oldest since {oldest}; {health}",
            due=calls.due,
            oldest=time_text(calls.oldest),
            health=health,
        )
    else:
        health = say("没有待投递；端点状态{health}", "none due; endpoint {health}", health=health)
    yield from wrapped(health, _INDENT)
    if calls.failing_since is not None:
        yield _INDENT + say("失败自 {since}", "failing since {since}", since=time_text(calls.failing_since))
        yield from _why(calls.reason)
        if calls.health == "disabled":
            yield _INDENT + say("操作：", "do: ") + f"wxrc callbacks retry {each.chid}"
        elif not served:
            yield _INDENT + say("下次尝试：服务启动后", "next try: when the service runs")
        elif calls.next_try is not None:
            yield _INDENT + say("下次计划：{time}", "next try by schedule: {time}", time=time_text(calls.next_try))
        else:
            yield _INDENT + say("下次尝试：未知，由服务决定", "next try: unknown here, the service decides")


def _doubt_lines(entry: MessageEntry) -> Iterator[str]:
    head = say(
        "{msgid} 机器人 {bot}，{origin}，发往 {target}",
        "{msgid} bot {bot}, {origin}, to {target}",
        msgid=entry.msgid,
        bot=entry.botcode,
        origin=_origin(entry),
        target=printable(entry.target),
    )
    yield from wrapped(head, "  " + padded(say("存疑", "in doubt"), 9), _INDENT)
    yield _INDENT + say("自 {since}", "since {since}", since=time_text(entry.since))
    yield from _why(entry.reason)
    yield from resolve_lines(entry)


def _origin(entry: MessageEntry) -> str:
    if entry.chid == "-":
        return say("来自操作员", "from an operator")
    return say("渠道 {chid}", "channel {chid}", chid=entry.chid)


def resolve_lines(entry: MessageEntry) -> Iterator[str]:
    """Give out what to do about a message in doubt."""
    look = say("在微信里看它是否已到，然后：", "see in WeChat whether it arrived, then:")
    yield _INDENT + say("操作：", "do: ") + look
    yield f"{_INDENT}    wxrc resolve {entry.msgid} sent|failed|resend"


# -- messages -------------------------------------------------------------------------------------------------------------------


def listing_lines(found: Listing) -> Iterator[str]:
    """Give out messages in lines, the newest first."""
    for entry in found.messages:
        yield from message_lines(entry)
    if not found.messages:
        yield say("没有找到消息。", "No messages were found.")
    if found.looked_back_to is not None:
        yield from wrapped(
            say(
                "只查看了 {time} 之后的日志；继续：加上 --before {before}",
                "Only the log since {time} was looked at; go on with --before {before}",
                time=time_text(found.looked_back_to),
                before=found.before,
            ),
            "",
        )
    elif not found.complete:
        yield say("还有更多：加上 --before {before}", "There are more: --before {before}", before=found.before)


def message_lines(entry: MessageEntry) -> Iterator[str]:
    """Give out a message in lines."""
    number = f"{entry.msgid:>9}  "
    state = say(
        "{state}，自 {since}", "{state} since {since}", state=state_text(entry.state), since=time_text(entry.since)
    )
    if entry.evidence:
        state += say("（依据：{evidence}）", " (evidence: {evidence})", evidence=entry.evidence)
    yield from wrapped(state, number)
    where = say(
        "机器人 {bot}，{origin}，发往 {target}，流水号 {txcode}",
        "bot {bot}, {origin}, to {target}, txcode {txcode}",
        bot=entry.botcode,
        origin=_origin(entry),
        target=printable(entry.target),
        txcode=entry.txcode,
    )
    yield from wrapped(where, _INDENT)
    yield from _why(entry.reason)
    if entry.action == "resolve":
        yield from resolve_lines(entry)


# -- log ------------------------------------------------------------------------------------------------------------------------


def timeline_lines(found: Timeline) -> Iterator[str]:
    """Give out what happened in lines, a heading for each day with its zone."""
    if found.looked_back_to is not None:
        text = say(
            "只查看了 {time} 之后的消息和回调，更早的没有查看。",
            "Messages and callbacks before {time} were not looked at.",
            time=time_text(found.looked_back_to),
        )
        yield from wrapped(text, "")
    elif not found.complete:
        yield say("更早的没有显示；加上 --limit。", "Earlier events are not shown; raise --limit.")
    for day, entries in groupby(found.entries, key=lambda each: f"{each.time:%Y-%m-%d} {zone_text(each.time)}"):
        yield day
        for entry in entries:
            yield from _entry_lines(entry)


def _entry_lines(entry: TimelineEntry) -> Iterator[str]:
    about = {
        "bot": say("机器人 {subject}", "bot {subject}", subject=entry.subject),
        "channel": say("渠道 {subject}", "channel {subject}", subject=entry.subject),
        "message": say("消息 {subject}", "message {subject}", subject=entry.subject),
        "request": say("请求 {subject}", "request {subject}", subject=entry.subject),
        "inbound": say("来信", "inbound"),
        "callback": say(
            "回调 {kind} 到 {chid}",
            "callback {kind} to {chid}",
            kind=entry.fields.get("kind", ""),
            chid=entry.fields.get("chid", ""),
        ),
    }[entry.about]
    before = f"{entry.position:>8}  {entry.time:%H:%M:%S}  "
    yield from wrapped(say("{about}：{text}", "{about}: {text}", about=about, text=event_text(entry)), before)
