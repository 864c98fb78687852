"""What the OpenAPI document says in words, in Chinese and English: interfaces, callbacks, HTTP statuses, and fields of answers.

What a field of a request has to be stands in `wxrc_http.sentences.RULES` and is not repeated here.
"""

from collections.abc import Mapping
from typing import Final

from wxrc_core.localized import LocalizedText

TITLE: Final = LocalizedText("WXRC：微信机器人远程控制", "WXRC: WeChat Remote Control")

OVERVIEW: Final = LocalizedText(
    "业务系统（渠道）通过这些接口使用微信机器人。请求是一个信封 `{reqHead, reqBody}`，可以是 JSON、表单或 GET 查询"
    "（另有方括号表单，仅限 RSA）。应答总是 `{resHead, resBody}`；凡是得出了结论的应答，HTTP 状态都是 200，结论看 `rtCode`。\n\n"
    "签名：T 是发出的 JSON 原文（表单和 GET 为 reqHead 与 reqBody 两段文本相连）。推荐 `HMAC-SHA256-V2`："
    "以 KEY 为密钥，对“接口名 + 换行 + T”计算 HMAC-SHA256，写成十六进制，放在 `X-Ecaspsplus-Signature` 头中。\n\n"
    "没收到应答时，用同一个 txcode 和同样的内容再问一次即可，不会重复发送。",
    "Business systems (channels) use WeChat bots through these interfaces. A request is an envelope `{reqHead, reqBody}`, as JSON, "
    "as a form or as the query of a GET (and as a bracket form, with RSA only). The answer is always `{resHead, resBody}`; HTTP status "
    "is 200 for every answer that was reached, and `rtCode` says which.\n\n"
    "Signing: T is the JSON text exactly as it is sent (for form and GET the texts of reqHead and reqBody, joined). Recommended "
    "is `HMAC-SHA256-V2`: the HMAC-SHA256, under the KEY, of the interface's name, a line feed and T, as hex, in the header "
    "`X-Ecaspsplus-Signature`.\n\n"
    "When an answer is lost, ask again with the same txcode and the same content; nothing is sent twice.",
)

INTERFACE: Final[Mapping[str, LocalizedText]] = {
    "login": LocalizedText(
        "让机器人登录；二维码或登录结果通过回调通知", "Log the bot in; QR code or result arrive by callback"
    ),
    "macLogin": LocalizedText("以 Mac 客户端登录", "Log in as a Mac client"),
    "webLogin": LocalizedText("以网页客户端登录", "Log in as a web client"),
    "loginCode": LocalizedText("提交登录时手机上显示的数字", "Hand over the digits that the phone shows during login"),
    "botStatus": LocalizedText("查询机器人的状态", "Ask where the bot stands"),
    "roomSendText": LocalizedText("向群发送文本，可以@人", "Send a text to a room, with or without mentions"),
    "roomSendApp": LocalizedText("向群发送小程序卡片", "Send a mini-program card to a room"),
    "roomSendImg": LocalizedText("向群发送图片", "Send an image to a room"),
    "userSendText": LocalizedText("向联系人发送文本", "Send a text to a person"),
    "userSendApp": LocalizedText("向联系人发送小程序卡片", "Send a mini-program card to a person"),
    "userSendImg": LocalizedText("向联系人发送图片", "Send an image to a person"),
    "msgStatus": LocalizedText("查询一条消息的结果和经过", "Ask what became of a message, and how"),
    "msgCancel": LocalizedText("取消仍在排队的消息", "Cancel a message that is still queued"),
    "logout": LocalizedText("退出登录；保存的会话被删除", "Sign the account out; the stored session is gone"),
    "stop": LocalizedText(
        "释放客户端，保留会话：下次登录不用扫码",
        "Release the client and keep the session: the next login needs no scan",
    ),
    "roomList": LocalizedText("列出机器人所在的群", "List the rooms that the bot is in"),
    "contactList": LocalizedText("列出机器人可以写信的联系人", "List the people whom the bot can write to"),
    "botList": LocalizedText("列出渠道可以使用的机器人", "List the bots that the channel may use"),
}
"""What each interface does, in one line."""

CALLBACK: Final[Mapping[str, LocalizedText]] = {
    "qrCode": LocalizedText("有新的登录二维码", "A QR code waits to be scanned"),
    "botStatus": LocalizedText("机器人的状态变了", "The bot's status has changed"),
    "userMsg": LocalizedText("有人在群里@机器人，或直接写给机器人", "Somebody mentioned the bot, or wrote to it"),
    "sendStatus": LocalizedText(
        "应答时为 0 的消息有了最终结果", "A message that was answered with 0 has come to its end"
    ),
}
"""What each type of callback tells, in one line."""

CALLBACK_FORMATS: Final = LocalizedText(
    '渠道可以选择格式：`form`（默认）、`json` 或 `bracket`。确认收到：HTTP 2xx 和 `{"result": "success"}`；否则会重试，webhook-id 不变。',
    "A channel chooses the format: `form` (the default), `json` or `bracket`. Acknowledge with HTTP 2xx and "
    '`{"result": "success"}`; anything else and it comes again, with the same webhook-id.',
)

PARAMETER: Final[Mapping[str, LocalizedText]] = {
    "X-Ecaspsplus-Signature": LocalizedText(
        "签名。不能设置头的客户端把它放在 reqHead.sign 中，T 中该值为空",
        "The signature. A client that cannot set headers puts it into reqHead.sign; in T that value is then empty",
    ),
    "X-Ecaspsplus-SignatureType": LocalizedText(
        "签名类型；缺省为 MD5", "The signature's type; MD5 where it is missing"
    ),
    "Accept-Language": LocalizedText("rtMsg 的语言：zh（默认）或 en", "The language of rtMsg: zh (the default) or en"),
    "webhook-id": LocalizedText("同一回调的每次尝试都相同", "The same over all tries of a callback"),
    "webhook-timestamp": LocalizedText("本次尝试的时间（Unix 秒）", "When this try was made (epoch seconds)"),
    "webhook-signature": LocalizedText(
        "`v1,` 加 Base64 的 HMAC-SHA256（Standard Webhooks），密钥为 whsec_…；轮换期间有两个，以空格分开",
        "`v1,` and the Base64 of an HMAC-SHA256 (Standard Webhooks) under whsec_...; two during a rotation, with a space between",
    ),
    "callback X-Ecaspsplus-Signature": LocalizedText(
        "十六进制的 MD5(T + KEY)，供旧版接口的渠道核对", "Hex MD5 of T and the KEY, for channels of the older revision"
    ),
}

STATUS: Final[Mapping[int, LocalizedText]] = {
    200: LocalizedText("已得出结论；结论看 rtCode", "An answer was reached; rtCode says which"),
    400: LocalizedText("不是有效的 HTTP/1.1 请求", "That is not valid HTTP/1.1"),
    408: LocalizedText("请求收得太慢", "The request came in too slowly"),
    413: LocalizedText("请求体过大", "The request body is too large"),
    429: LocalizedText(
        "超过配额（22），或错误的签名过多（13）；Retry-After 秒后重试",
        "Over the quota (22), or too many wrong signatures (13); try again after Retry-After seconds",
    ),
    431: LocalizedText("请求头过大", "The head of the request is too large"),
    503: LocalizedText(
        "正在启动、停止、存储不可用或过忙；Retry-After 秒后用同一个 txcode 重试",
        "Starting, stopping, without the store, or too busy; try again after Retry-After seconds with the same txcode",
    ),
}

FIELD: Final[Mapping[str, LocalizedText]] = {
    "rtCode": LocalizedText("响应码；0 = 成功或已受理", "The response code; 0 = done, or accepted"),
    "rtMsg": LocalizedText(
        "一句话的说明，语言随 Accept-Language", "One plain sentence, in the language of Accept-Language"
    ),
    "hints": LocalizedText(
        "请求中像是拼错的字段；应答不受影响", "Fields of the request that look misspelt; the answer is the same"
    ),
    "resHead": LocalizedText("总是空的", "Always empty"),
    "resBody": LocalizedText("应答的内容", "What is answered"),
    "botStatus": LocalizedText(
        "login · logout · err（客户端连不上）；回调中还有 loginerr、off（客户端已释放）",
        "login, logout, err (the client cannot be reached); in callbacks also loginerr and off (the client was released)",
    ),
    "botState": LocalizedText("更细的状态", "The state, more precisely"),
    "since": LocalizedText("从何时起（毫秒时间戳）", "Since when (epoch ms)"),
    "reason": LocalizedText("原因；没有则为空", "Why, where there is something to say"),
    "userAction": LocalizedText("现在需要人做什么", "What a person must do now"),
    "wxid": LocalizedText("登录的微信号", "The account that is logged in"),
    "name": LocalizedText("昵称", "Its nickname"),
    "qrcodeImageUrl": LocalizedText(
        "二维码图片的地址，公开但无法猜到，随二维码失效", "The QR code's image: public, unguessable, gone with the code"
    ),
    "qrcode": LocalizedText("二维码的内容", "The text that the QR code encodes"),
    "expiresAt": LocalizedText("二维码何时失效（毫秒时间戳）", "When the code expires (epoch ms)"),
    "msgid": LocalizedText("消息的编号，小于 2^53", "The message's number, below 2^53"),
    "sendStatus": LocalizedText(
        "0 排队中 · 1 已发送 · 2 群或联系人不存在 · 3 被@的人不在群里，或卡片、图片未能发出（见 sendReason）· 4 被@的人不存在 · -1 失败",
        "0 queued, 1 sent, 2 no such room or person, 3 the one to mention is not in the room, or the card or image was not sent (see "
        "sendReason), 4 the one to mention does not exist, -1 failed",
    ),
    "sendReason": LocalizedText(
        "failed、rejected、unconfirmed（可能已送达）、expired、cancelled、unsupported 或 window_closed；没有则为空",
        "failed, rejected, unconfirmed (it may have arrived), expired, cancelled, unsupported or window_closed; empty where there is none",
    ),
    "detail": LocalizedText("原因，一句话", "Why, as a sentence"),
    "evidence": LocalizedText("凭什么说已发送：receipt、echo、operator", "How sent is known: receipt, echo, operator"),
    "state": LocalizedText("更细的状态（文档“状态”一页）", "The state, more precisely (docs, States)"),
    "botcode": LocalizedText("机器人编号", "The bot"),
    "txcode": LocalizedText("发送时的流水号", "The serial number that it was sent with"),
    "history": LocalizedText("消息的经过，从早到晚", "The message's events, oldest first"),
    "event": LocalizedText("发生了什么", "What happened"),
    "time": LocalizedText("何时（毫秒时间戳）", "When (epoch ms)"),
    "attempt": LocalizedText("第几次尝试", "The number of the attempt"),
    "mediaType": LocalizedText("图片的类型", "The image's type"),
    "size": LocalizedText("图片的字节数", "The image's size (bytes)"),
    "receipt": LocalizedText("微信给消息的编号", "What WeChat named the message"),
    "mention": LocalizedText("@的结果", "What became of the mention"),
    "notBefore": LocalizedText("在此之前不再尝试（毫秒时间戳）", "Not again before (epoch ms)"),
    "rooms": LocalizedText("群的列表", "The rooms"),
    "contacts": LocalizedText("联系人的列表", "The people"),
    "bots": LocalizedText("机器人的列表", "The bots"),
    "roomId": LocalizedText(
        "群编号；回调中为空 = 直接写给机器人", "The room's id; empty in a callback = to the bot directly"
    ),
    "roomTopic": LocalizedText("群名称", "The room's name"),
    "userId": LocalizedText("联系人的微信号", "The person's WeChat id"),
    "userName": LocalizedText("昵称", "The person's nickname"),
    "remark": LocalizedText("备注名", "The remark"),
    "complete": LocalizedText("列表已知是完整的", "Whether the list is known to be whole"),
    "cursor": LocalizedText("下一页的 cursor；没有 = 最后一页", "For the next page; absent = this is the last"),
    "capabilities": LocalizedText("客户端能做什么", "What the bot's client can do"),
    "sendsLeft": LocalizedText(
        "一分钟内还能发几条；null = 不限", "How many may still go within a minute; null = no limit"
    ),
    "nextAt": LocalizedText("下一条最早何时发出（毫秒时间戳）", "When the next may go (epoch ms)"),
    "Capabilities.rooms": LocalizedText("能向群发送", "It can write to rooms"),
    "Capabilities.contacts": LocalizedText("能向联系人发送", "It can write to people"),
    "loginKinds": LocalizedText("支持的登录方式", "The kinds of client that it can log in as"),
    "content": LocalizedText("能发送的内容", "What it can send"),
    "mentions": LocalizedText("能真正地@人", "It can mention for real"),
    "receipts": LocalizedText("会报告是否送达", "It says whether a message arrived"),
    "deduplicates": LocalizedText("重复提交只发送一次", "It takes the same message twice and sends it once"),
    "inbound": LocalizedText("能收到别人写的消息", "It tells what people write"),
    "type": LocalizedText("回调的类型", "The callback's type"),
    "seq": LocalizedText("机器人的事件号，越大越新", "The bot's event number: the larger the newer"),
    "msgType": LocalizedText("text、image、file、voice、app 等", "text, image, file, voice, app, ..."),
    "msgData": LocalizedText("消息", "The message"),
    "text": LocalizedText("内容", "What it says"),
    "fromId": LocalizedText("谁写的", "Who wrote it"),
    "fromName": LocalizedText("写信人的昵称", "The writer's nickname"),
    "messageId": LocalizedText("微信的消息编号", "WeChat's number of the message"),
    "mentioned": LocalizedText("是否@了机器人", "Whether the bot was mentioned"),
}
"""What each field of an answer or a callback means, by its name, or by schema and name where the name means something else there."""
