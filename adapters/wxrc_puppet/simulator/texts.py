"""The words on the simulator's pages, in Chinese and in English."""

from attrs import frozen

WORDS: dict[str, tuple[str, str]] = {
    "app": ("模拟微信", "Simulated WeChat"),
    "about": (
        "这里是 WXRC 自带的模拟微信。它替代真实的微信：机器人在这里登录、进群、收发消息，真实的微信不会收到任何内容。",
        "This WeChat comes with WXRC and stands in for the real one: here bots log in, read and write. Nothing reaches the real WeChat.",
    ),
    "phones": ("手机", "Phones"),
    "phones_hint": ("每个模拟机器人有一部手机。", "Each simulated bot has a phone."),
    "no_phones": (
        "还没有模拟机器人。用 wxrc bot add 添加一个，puppet 选 simulator。",
        "There is no simulated bot yet. Add one with wxrc bot add and the puppet simulator.",
    ),
    "record": ("真正到达微信的消息（JSON）", "What really reached WeChat (JSON)"),
    "back": ("返回", "Back"),
    "phone_of": ("{name} 的手机", "{name}'s phone"),
    "chats": ("微信", "Chats"),
    "group": ("群", "room"),
    "no_messages": ("还没有消息", "No messages yet"),
    "in": ("{kind}已登录 WXRC", "{kind} is logged in to WXRC"),
    "in_since": ("{since} 起（北京时间）", "since {since} (China time)"),
    "in_away": ("客户端不在线，登录仍有效。", "The client is away; its login still holds."),
    "kind_web": ("网页版微信", "Web WeChat"),
    "kind_mac": ("Mac 版微信", "WeChat for Mac"),
    "out": ("未登录", "Not logged in"),
    "out_hint": (
        "让机器人开始登录（wxrc login {bot}），登录请求会出现在这里。",
        "Let the bot log in (wxrc login {bot}); its request then shows here.",
    ),
    "ended_kicked": (
        "上次登录在 {since} 被另一台设备挤下线。",
        "The last login was kicked by another device at {since}.",
    ),
    "ended_phone": ("上次登录在 {since} 从手机退出。", "The last login was ended on this phone at {since}."),
    "ended_client": ("上次登录在 {since} 由机器人退出。", "The last login was signed out by the bot at {since}."),
    "wants_in": ("有一个登录请求", "A client wants to log in"),
    "scan": ("扫一扫", "Scan its code"),
    "log_out": ("退出登录", "Log out"),
    "kick": ("在另一台设备登录（挤下线）", "Log in elsewhere (kicks it)"),
    "new_room": ("新群的名称", "Name of a new room"),
    "create": ("建群", "Create"),
    "members": ("{n} 人", "{n} people"),
    "fault_rejected": ("故障：拒收", "Fault: refuses"),
    "fault_no_receipt": ("故障：无回执", "Fault: no receipt"),
    "fault_hang": ("故障：到达但不应答", "Fault: arrives, no answer"),
    "fault_lost": ("故障：丢失", "Fault: lost"),
    "speaker": ("谁在说话", "Who speaks"),
    "own_phone": ("{name}（本机）", "{name} (this phone)"),
    "text": ("消息", "Message"),
    "text_hint": ("写 @{name} 加空格，就是提到机器人", "@{name} and a space mentions the bot"),
    "send": ("发送", "Send"),
    "refresh": ("刷新", "Refresh"),
    "empty_chat": (
        "这里还没有消息。在下面写一条，机器人就会收到。",
        "Nothing here yet. Write something below and the bot will get it.",
    ),
    "via": ("机器人发送", "sent by the bot"),
    "via_phone": ("手机发送", "sent on the phone"),
    "mini_program": ("小程序", "Mini program"),
    "image": ("图片", "Image"),
    "called": ("{remark}（{name}）", "{remark} ({name})"),
    "reminded": ("提醒了 {names}", "mentions {names}"),
    "mentioned_me": ("[有人@我]", "[You were mentioned]"),
    "confirm_title": ("登录 WXRC", "Log in to WXRC"),
    "confirm_text": (
        "机器人 {name} 想用你的微信账号登录。请确认这是你本人的操作。",
        "The bot {name} wants to log in with your WeChat account. Confirm only if this was you.",
    ),
    "confirm": ("登录", "Log in"),
    "refuse": ("取消登录", "Refuse"),
    "digits_title": ("请在电脑上输入这串数字", "Enter these digits on the computer"),
    "digits_text": (
        "输入正确后 {name} 就会登录，例如用接口 loginCode 提交。",
        "Once they are right {name} is logged in. The interface loginCode takes them, for example.",
    ),
    "digits_wrong": ("刚才的数字不对，请再输一次。", "Those digits were not right. Enter them again."),
    "confirmed_title": ("已确认", "Confirmed"),
    "confirmed_text": ("正在等机器人完成登录……", "Waiting for the bot to finish logging in."),
    "used_title": ("登录成功", "Logged in"),
    "used_text": (
        "二维码已经用过了，{name} 已登录。可以关闭此页。",
        "This code has been used: {name} is logged in. You may close this page.",
    ),
    "refused_title": ("已取消登录", "Login refused"),
    "refused_text": (
        "{name} 没有登录。要登录，请让机器人重新开始登录。",
        "{name} is not logged in. To log in, let the bot start again.",
    ),
    "expired_title": ("二维码已过期", "This code has expired"),
    "expired_text": (
        "请扫新的二维码：旧码过期后机器人会换一个，也可以在它的手机页上找到。",
        "Scan the new one: the bot shows another code when one has expired. Its phone page has it, too.",
    ),
    "blocked_title": ("数字错了太多次", "Wrong digits too often"),
    "blocked_text": ("这个二维码已作废，请扫新的二维码。", "This code works no more. Scan the new one."),
    "withdrawn_title": ("二维码已失效", "This code was taken back"),
    "withdrawn_text": (
        "机器人已停止，或换了新的二维码。请扫最新的二维码。",
        "The bot has stopped, or shows a newer code. Scan the newest one.",
    ),
    "unknown_title": ("没有这个二维码", "There is no such code"),
    "unknown_text": (
        "网址可能不完整，或者二维码太旧。请重新扫机器人显示的二维码。",
        "The address may be incomplete, or the code too old. Scan the code that the bot shows now.",
    ),
    "to_phone": ("打开 {name} 的手机", "Open {name}'s phone"),
    "to_phones": ("全部手机", "All phones"),
    "nothing_title": ("这里什么也没有", "There is nothing here"),
    "nothing_text": ("没有这个页面、机器人、群或联系人。", "There is no such page, bot, room or person."),
    "wrong_title": ("没有成功", "That did not work"),
    "wrong_text": (
        "消息不能为空，最多 10000 个字。群名和人名为 1 到 64 个字。",
        "A message has 1 to 10,000 characters, a name 1 to 64.",
    ),
    "foreign_title": ("已拒绝", "Refused"),
    "foreign_text": (
        "这个请求来自别的网站。请在本页操作。",
        "This request came from another site. Use the pages here.",
    ),
    "method_text": ("这个网址不接受这种请求。", "This address does not take that kind of request."),
    "closed_text": (
        "模拟微信的文件暂时打不开，请稍后再试。",
        "The simulator's file cannot be used now. Try again later.",
    ),
}


@frozen
class Texts:
    """The words in one language.

    Attributes:
        lang: `zh-CN` or `en`.
    """

    lang: str

    def __call__(self, key: str, **values: object) -> str:
        """Return the words for a key, with values put in."""
        return WORDS[key][self.lang == "en"].format(**values)


def texts_for(accept_language: str) -> Texts:
    """Choose the language that a browser prefers; Chinese where it says nothing of either (RFC 9110, 12.5.4)."""
    best = {"zh": 0.0, "en": 0.0}
    for part in accept_language.split(","):
        name, _, weight = part.strip().partition(";")
        language = name.strip().lower().partition("-")[0]
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if language in best:
            best[language] = max(best[language], quality)
    return Texts("en" if best["en"] > best["zh"] else "zh-CN")
