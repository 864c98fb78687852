"""What each event of the log says, as a sentence in both languages, for `wxrc log`."""

from collections.abc import Mapping
from typing import Any, Final

from wxrc_gateway.moments import moment
from wxrc_gateway.timeline import TimelineEntry
from wxrc_service.language import LocalizedText, choose, say
from wxrc_service.layout import printable, time_text

TEXTS: Final[Mapping[str, LocalizedText]] = {
    "bot.added": LocalizedText("机器人创建，客户端为 {puppet}", "added, with the client {puppet}"),
    "bot.login_requested": LocalizedText("请求登录", "login was asked for"),
    "bot.login_repeated": LocalizedText("再次请求登录，已经登录", "login was asked for again; it is logged in"),
    "bot.logout_requested": LocalizedText("请求退出登录", "logout was asked for"),
    "bot.stop_requested": LocalizedText("请求停止客户端", "a stop of the client was asked for"),
    "bot.qr_code_issued": LocalizedText("显示二维码，有效期到 {expires_at}", "a QR code is shown, until {expires_at}"),
    "bot.qr_code_scanned": LocalizedText("二维码已扫描，待手机确认", "the code was scanned; the phone has to confirm"),
    "bot.digits_wanted": LocalizedText("手机显示数字，需要录入", "the phone shows digits to hand over"),
    "bot.digits_submitted": LocalizedText("数字已录入", "digits were handed over"),
    "bot.logged_in": LocalizedText("已登录，账号 {name}（{wxid}）", "logged in as {name} ({wxid})"),
    "bot.login_failed": LocalizedText("登录失败：{reason}", "the login failed: {reason}"),
    "bot.logged_out": LocalizedText("账号已退出：{reason}", "the account was logged out: {reason}"),
    "bot.rooms_changed": LocalizedText(
        "群列表更新：新增或改名 {joined} 个，退出 {left} 个", "rooms: {joined} joined or renamed, {left} left"
    ),
    "bot.contacts_changed": LocalizedText(
        "联系人更新：新增或改名 {joined} 个，离开 {left} 个", "contacts: {joined} new or renamed, {left} gone"
    ),
    "bot.link_lost": LocalizedText("客户端连接中断：{reason}", "the client cannot be reached: {reason}"),
    "bot.link_restored": LocalizedText("客户端连接恢复，账号 {name}", "the client is back, as {name}"),
    "bot.client_restarted": LocalizedText("网关重启，重新启动客户端", "the gateway started its client again"),
    "bot.signed_out": LocalizedText("已按请求退出微信", "signed out of WeChat as requested"),
    "bot.stopped": LocalizedText("客户端已按请求停止", "the client was released as requested"),
    "bot.removed": LocalizedText("机器人移除，排队的消息不再发送", "removed for ever; what waits for it is not sent"),
    "channel.added": LocalizedText("渠道创建，回调地址 {callback_url}", "added, with callbacks to {callback_url}"),
    "channel.bot_granted": LocalizedText("可使用机器人 {botcode}", "may use bot {botcode}"),
    "channel.callback_moved": LocalizedText("回调地址改为 {callback_url}", "callbacks go to {callback_url}"),
    "channel.callback_disabled": LocalizedText(
        "回调地址停用，自 {since} 起失败：{reason}", "its callback URL is disabled, failing since {since}: {reason}"
    ),
    "channel.callback_retried": LocalizedText(
        "立即重试全部回调，重新启用回调地址", "all callbacks are tried at once; the callback URL is used"
    ),
    "channel.bot_revoked": LocalizedText("不再可用机器人 {botcode}", "may no longer use bot {botcode}"),
    "channel.settings_changed": LocalizedText("设置变更", "settings changed"),
    "channel.key_added": LocalizedText("新增 KEY {key_id}", "KEY {key_id} is valid too"),
    "channel.key_ended": LocalizedText("停用 KEY {key_id}", "KEY {key_id} is no longer valid"),
    "channel.secret_added": LocalizedText("新增回调密钥 {secret_id}", "webhook secret {secret_id} signs too"),
    "channel.secret_ended": LocalizedText("停用回调密钥 {secret_id}", "webhook secret {secret_id} no longer signs"),
    "channel.suspended": LocalizedText("暂停：{reason}", "suspended: {reason}"),
    "channel.resumed": LocalizedText("恢复", "resumed"),
    "channel.removed": LocalizedText("删除", "removed for ever"),
    "delivery.cancelled": LocalizedText("渠道已删除，不再投递", "cancelled, since the channel was removed"),
    "delivery.due": LocalizedText("待投递", "is due"),
    "delivery.answered": LocalizedText("结果已随应答告知，无需回调", "not needed: the answer told it"),
    "delivery.attempted": LocalizedText("正在投递", "is being posted"),
    "delivery.postponed": LocalizedText(
        "第 {attempt} 次投递失败：{reason}；下次 {not_before}",
        "attempt {attempt} failed: {reason}; next by schedule {not_before}",
    ),
    "delivery.delivered": LocalizedText("已送达（第 {attempt} 次）", "acknowledged (attempt {attempt})"),
    "delivery.expired": LocalizedText("已过期，不再投递", "expired before it was acknowledged"),
    "delivery.superseded": LocalizedText("被更新的通知取代", "overtaken by a newer notice"),
    "delivery.given_up": LocalizedText("第 {attempt} 次后放弃：{reason}", "given up after attempt {attempt}: {reason}"),
    "delivery.replayed": LocalizedText("重放，再次投递", "replayed: it is due again"),
    "inbound.received": LocalizedText("收到 {from} 的消息{room}", "received from {from}{room}"),
    "message.queued": LocalizedText("{origin}提交，发往 {target}", "accepted from {origin}, for {target}"),
    "message.image_stored": LocalizedText("图片已取得并保存", "its image is fetched and stored"),
    "message.attempted": LocalizedText("第 {attempt} 次交给微信客户端", "handed to the client, attempt {attempt}"),
    "message.sent": LocalizedText("已发送，回执 {receipt}", "sent, with receipt {receipt}"),
    "message.room_not_found": LocalizedText("群或联系人不存在，不再发送", "there is no such room or person"),
    "message.rejected": LocalizedText("微信拒绝：{detail}", "refused by WeChat: {detail}"),
    "message.failed": LocalizedText("失败（{reason}）：{detail}", "failed ({reason}): {detail}"),
    "message.expired": LocalizedText("已过期，未发送", "expired before it could be sent"),
    "message.cancelled": LocalizedText("已取消", "cancelled"),
    "message.in_doubt": LocalizedText("存疑，不知是否送达：{detail}", "in doubt, it may have arrived: {detail}"),
    "message.requeued": LocalizedText("退回队列：{detail}", "back in the queue: {detail}"),
    "operation.accepted": LocalizedText("{origin}请求 {kind}", "{origin} asked for {kind}"),
}
"""By the event's name. One that is not here is shown with its fields."""


def event_text(entry: TimelineEntry) -> str:
    """Return what an event says."""
    fields = _shown(entry.fields)
    if entry.event == "message.sent" and entry.fields.get("by"):
        return say("{by} 确认已送达", "{by} says that it arrived", **fields)
    text = TEXTS.get(entry.event)
    if text is None:
        return " ".join([entry.event, *(f"{name}={value}" for name, value in fields.items() if value != "")])
    said = choose(text, **_Fields(fields, entry))
    if entry.fields.get("by"):
        said += say("（{by}）", " (by {by})", **fields)
    if entry.event == "message.queued" and fields.get("text"):
        said += say("：“{text}”", ': "{text}"', **fields)
    return said


class _Fields(dict[str, object]):
    """An event's fields, and what the texts make of them. What an older event does not have is empty."""

    def __init__(self, fields: Mapping[str, object], entry: TimelineEntry) -> None:
        own = entry.fields
        target = own.get("room_topic") or own.get("room_id") or own.get("user_name") or own.get("user_id") or ""
        room = own.get("room_topic") or own.get("room_id") or ""
        super().__init__(
            dict.fromkeys(_NAMES, "")
            | dict(fields)
            | {
                "target": printable(str(target)),
                "from": printable(str(own.get("from_name") or own.get("from_id") or "")),
                "room": say("（{room}）", " in {room}", room=printable(str(room))) if room else "",
                "origin": say("操作员", "an operator")
                if own.get("chid") == "-"
                else say("渠道 {chid} ", "channel {chid}", chid=fields.get("chid", "")),
            }
        )


_NAMES = (
    *("puppet", "expires_at", "name", "wxid", "reason", "joined", "left", "callback_url", "botcode", "attempt"),
    *("not_before", "since", "receipt", "detail", "kind", "chid", "key_id", "secret_id"),
)


def _shown(fields: Mapping[str, Any]) -> dict[str, object]:
    shown: dict[str, object] = {}
    for name, value in fields.items():
        if name in ("expires_at", "not_before", "since") and isinstance(value, int):
            shown[name] = time_text(moment(value))
        elif isinstance(value, list | tuple):
            shown[name] = len(value) if name in ("joined", "left") else ", ".join(map(str, value))
        else:
            shown[name] = printable(value.rstrip(".")) if isinstance(value, str) else "" if value is None else value
    return shown
