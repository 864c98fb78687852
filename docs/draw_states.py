"""Draw the states of bot, message and delivery from their declarations in the core: `make states` writes `states.md` in both languages.

The arrows come from the machines that `transitions` has checked; only what a state means is written here.
"""

from pathlib import Path
from typing import Any

from wxrc_core import bot, delivery, message

HERE = Path(__file__).parent
MODULES = {"bot": bot, "message": message, "delivery": delivery}
FINAL = {"bot": frozenset[str](), "message": message.FINAL, "delivery": delivery.FINAL}

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "States",
        "note": "[中文](../zh/states.md) · [Documentation](README.md)",
        "intro": (
            "What can become of a bot, a message and a callback. The diagrams are drawn from the tables that the core runs on "
            "(`make states`), so they cannot be out of date. The names are those of the event log (`wxrc log`, `msgStatus`): "
            "a state, and on each arrow the event that leads from one to the next. No other step is ever recorded."
        ),
        "head": "| state | what it means |",
        "stays": " events that leave it as it is |",
        "bot": "Bot",
        "bot.intro": (
            "An account that drops or a gateway that restarts does not log a bot out: it stays in `login`, and nothing is sent "
            "until its client says again that the account is logged in (`link_lost`, `link_restored`)."
        ),
        "bot.logout": "No account is logged in. Messages wait.",
        "bot.awaiting_qr": "The client is started, and a person has to scan its QR code, confirm, or hand over digits.",
        "bot.login": "The account is logged in. Messages go out while the client can be reached.",
        "bot.removed": "Gone for ever. Its account is signed out, what waits for it is not sent, and its name is not used again.",
        "message": "Message",
        "message.intro": (
            "An attempt is recorded before the message is handed over. So wherever the gateway is killed, the log says what may "
            "have been sent. A message that may have arrived is never reported as not sent: it goes into doubt."
        ),
        "message.queued": "Accepted, and on disk. It waits for its bot, its turn in its conversation, the pace, and its image.",
        "message.attempted": "It is being handed to the WeChat client.",
        "message.sent": "WeChat took it and gave a receipt. Final.",
        "message.room_not_found": "The bot's complete list of rooms, or of contacts, has no such room or person. Final.",
        "message.rejected": "WeChat refused this content. Final.",
        "message.failed": "It was not sent and will not be. Final.",
        "message.expired": "Its time was over before it could be sent. Final.",
        "message.cancelled": "It was taken back while it was queued. Final.",
        "message.in_doubt": (
            "It was handed over and it is unknown whether it arrived. It leaves this state only by a late receipt, by policy or by "
            "an operator."
        ),
        "delivery": "Delivery",
        "delivery.intro": (
            "One callback to one channel, at least once and always under the same `webhook-id`. Nothing is recorded before a "
            "post: one that was cut short by a crash is made again."
        ),
        "delivery.due": "It is to be posted, now or after a wait.",
        "delivery.delivered": "The receiver acknowledged it. An operator may have it replayed.",
        "delivery.expired": "It was no longer worth telling (QR codes, what people say). An operator may have it replayed.",
        "delivery.superseded": "A newer notice of its kind about its bot has overtaken it, or the QR code in it can no longer be scanned.",
        "delivery.dead": (
            "A dead letter: the schedule is used up, or the URL is disabled (410, or failures for 5 days). An operator may have it "
            "replayed."
        ),
        "delivery.cancelled": "Its channel was removed first. Final.",
        "delivery.answered": "The request that made the message was still waiting and got the end in its answer: no callback. Final.",
    },
    "zh": {
        "title": "状态",
        "note": "[English](../en/states.md) · [文档](README.md)",
        "intro": (
            "机器人、消息和回调会经历什么。图是从核心实际运行的状态表画出来的（`make states`），不会过时。名称与事件日志一致"
            "（`wxrc log`、`msgStatus`）：方框是状态，箭头上是把它带到下一个状态的事件。除此之外的变化不会出现在日志里。"
        ),
        "head": "| 状态 | 含义 |",
        "stays": " 不改变状态的事件 |",
        "bot": "机器人",
        "bot.intro": (
            "连接断开或者网关重启，都不等于退出登录：机器人仍在 `login`，只是在客户端再次报告账号在线之前什么也不发"
            "（`link_lost`、`link_restored`）。"
        ),
        "bot.logout": "没有登录。消息先等着。",
        "bot.awaiting_qr": "客户端已启动，要有人扫码、确认，或者输入数字。",
        "bot.login": "账号已登录。客户端连得上，消息就往外发。",
        "bot.removed": "永久移除。微信账号退出，排队的消息不再发送，名称不再使用。",
        "message": "消息",
        "message.intro": (
            "先记录尝试，再把消息交出去。所以网关无论在哪一刻被杀掉，日志都说得清哪些消息可能已经发出。可能已经送到的消息，"
            "绝不会被说成没有发出，而是进入存疑。"
        ),
        "message.queued": "已受理，已落盘。等机器人、等本群（或本人）轮到它、等发送节奏，图片消息还要等图片取回来。",
        "message.attempted": "正在交给微信客户端。",
        "message.sent": "微信已接收，并给了回执。终态。",
        "message.room_not_found": "机器人完整的群列表或联系人列表里没有这个群或这个人。终态。",
        "message.rejected": "微信拒绝了这个内容。终态。",
        "message.failed": "没有发出，也不会再发。终态。",
        "message.expired": "还没能发出就过了有效期。终态。",
        "message.cancelled": "排队期间被撤回。终态。",
        "message.in_doubt": "已经提交，但谁也说不准到没到。只有迟到的回执、策略或运维人员能让它离开这个状态。",
        "delivery": "投递",
        "delivery.intro": (
            "一条发给一个渠道的回调，至少送达一次，`webhook-id` 始终不变。投递之前不写任何记录：因崩溃而中断的投递会重做。"
        ),
        "delivery.due": "等待投递：马上，或者过一会儿。",
        "delivery.delivered": "接收方已确认。管理员可以重放。",
        "delivery.expired": "已经不值得通知（二维码、别人说的话）。管理员可以重放。",
        "delivery.superseded": "同一机器人的同类新通知已经取代了它，或者其中的二维码已不能再扫。终态。",
        "delivery.dead": "死信：重试次数用完，或者地址已停用（410，或连续失败 5 天）。管理员可以重放。",
        "delivery.cancelled": "渠道在此之前被移除。终态。",
        "delivery.answered": "创建这条消息的请求还在等待，已经在应答里得到了结果：不再回调。终态。",
    },
}


def steps(module: Any) -> dict[tuple[str, str], list[str]]:
    """Return the events that lead from one state to another, as the declared machine has them."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, event in module.TABLE.machine.events.items():
        for options in event.transitions.values():
            for transition in options:
                dest = transition.source if transition.dest is None else transition.dest
                found.setdefault((transition.source, dest), []).append(name)
    return found


def diagram(name: str) -> str:
    """Return an aggregate's states as a Mermaid diagram; events that leave a state as it is are not in it."""
    lines = ["stateDiagram-v2"]
    for (source, dest), events in steps(MODULES[name]).items():
        if source != dest:
            lines.append(f"    {'[*]' if source == 'new' else source} --> {dest}: {', '.join(events)}")
    lines += [f"    {state} --> [*]" for state in MODULES[name].TABLE.machine.states if state in FINAL[name]]
    return "\n".join(lines)


def section(name: str, words: dict[str, str]) -> str:
    """Return what a page says of one aggregate."""
    stays = {source: events for (source, dest), events in steps(MODULES[name]).items() if source == dest}
    rows = [words["head"] + (words["stays"] if stays else ""), "| --- | --- |" + (" --- |" if stays else "")]
    for state in MODULES[name].TABLE.machine.states:
        if state != "new":
            events = ", ".join(f"`{event}`" for event in stays.get(state, ()))
            rows.append(f"| `{state}` | {words[f'{name}.{state}']} |" + (f" {events} |" if stays else ""))
    table = "\n".join(rows)
    return f"## {words[name]}\n\n{words[f'{name}.intro']}\n\n```mermaid\n{diagram(name)}\n```\n\n{table}\n"


def page(language: str) -> str:
    """Return the page in a language."""
    words = WORDS[language]
    sections = "\n".join(section(name, words) for name in MODULES)
    return f"# {words['title']}\n\n{words['note']}\n\n{words['intro']}\n\n{sections}"


def pages() -> dict[Path, str]:
    """Return every page and where it belongs."""
    return {HERE / language / "states.md": page(language) for language in WORDS}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
