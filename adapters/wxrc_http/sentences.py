"""Every sentence that is answered, in Chinese and in English, in one table; and what each field has to be."""

from collections.abc import Mapping
from typing import Final

from wxrc_core.localized import LocalizedText as LocalizedText

RULES: Final[Mapping[str, LocalizedText]] = {
    "chid": LocalizedText(
        "WXRC 分配的渠道号，1 到 64 个可见 ASCII 字符的字符串",
        "the channel that WXRC assigned, a string of 1 to 64 visible ASCII characters",
    ),
    "botcode": LocalizedText(
        "机器人编号，1 到 64 个可见 ASCII 字符的字符串", "the bot's code, a string of 1 to 64 visible ASCII characters"
    ),
    "txcode": LocalizedText(
        "渠道当日唯一的流水号，1 到 64 个可见 ASCII 字符的字符串",
        "the channel's serial number, unique for the day, a string of 1 to 64 visible ASCII characters",
    ),
    "txtime": LocalizedText(
        "yyyymmddhhmmss 格式的真实时间，或 13 位毫秒时间戳，字符串",
        "a real time as yyyymmddhhmmss, or 13 digits of epoch milliseconds, as a string",
    ),
    "sign": LocalizedText(
        "签名字符串，放在 X-Ecaspsplus-Signature 头或 reqHead.sign 中",
        "the signature as a string, in the header X-Ecaspsplus-Signature or in reqHead.sign",
    ),
    "signType": LocalizedText(
        "字符串 HMAC-SHA256-V2、HMAC-SHA256、MD5 或 RSA", "one of the strings HMAC-SHA256-V2, HMAC-SHA256, MD5 and RSA"
    ),
    "text": LocalizedText(
        "1 到 4000 个字符（按 Unicode 码点计）的字符串，不含 NUL 和孤立代理项",
        "a string of 1 to 4000 characters (Unicode code points) without NUL and lone surrogates",
    ),
    "roomId": LocalizedText(
        "群编号，1 到 256 个字符的字符串，不含 NUL 和孤立代理项",
        "the room's id, a string of 1 to 256 characters without NUL and lone surrogates",
    ),
    "roomTopic": LocalizedText(
        "群名称，1 到 256 个字符的字符串，不含 NUL 和孤立代理项",
        "the room's name, a string of 1 to 256 characters without NUL and lone surrogates",
    ),
    "atList": LocalizedText(
        "字符串数组，最多 100 个名称，每个 1 到 100 个字符，不含 NUL 和孤立代理项",
        "an array of at most 100 names, each a string of 1 to 100 characters without NUL and lone surrogates",
    ),
    "atUser": LocalizedText(
        "微信号，1 到 256 个字符的字符串，不含 NUL 和孤立代理项",
        "a WeChat id, a string of 1 to 256 characters without NUL and lone surrogates",
    ),
    "userId": LocalizedText(
        "联系人的微信号，1 到 256 个字符的字符串，不含 NUL 和孤立代理项",
        "the person's WeChat id, a string of 1 to 256 characters without NUL and lone surrogates",
    ),
    "userName": LocalizedText(
        "联系人的备注名或昵称，1 到 256 个字符的字符串，不含 NUL 和孤立代理项",
        "the person's remark or else nickname, a string of 1 to 256 characters without NUL and lone surrogates",
    ),
    "expiresIn": LocalizedText(
        "有效期秒数，1 到 604800（7 天）的整数",
        "for how many seconds it is worth sending, an integer from 1 to 604800 (7 days)",
    ),
    "code": LocalizedText(
        "手机上显示的数字，1 到 16 位数字的字符串", "the digits that the phone shows, a string of 1 to 16 digits"
    ),
    "app": LocalizedText(
        "小程序卡片，JSON 对象，或者内容为一个 JSON 对象的字符串",
        "the mini-program card, a JSON object or a string with the JSON text of one",
    ),
    "title": LocalizedText("卡片标题，1 到 256 个字符的字符串", "the card's title, a string of 1 to 256 characters"),
    "pagepath": LocalizedText(
        "小程序页面路径，1 到 1024 个字符的字符串", "the page that the card opens, a string of 1 to 1024 characters"
    ),
    "appid": LocalizedText(
        "小程序的 appid，1 到 256 个字符的字符串；appid 和 username 至少给出一个",
        "the mini-program's appid, a string of 1 to 256 characters; one of appid and username is required",
    ),
    "username": LocalizedText(
        "小程序的原始 ID（gh_ 开头），1 到 256 个字符的字符串",
        "the mini-program's original id (gh_...), a string of 1 to 256 characters",
    ),
    "description": LocalizedText(
        "卡片说明，1 到 1024 个字符的字符串", "the card's second line, a string of 1 to 1024 characters"
    ),
    "thumbnailUrl": LocalizedText(
        "卡片图片的地址，1 到 2048 个字符的字符串", "the URL of the card's picture, a string of 1 to 2048 characters"
    ),
    "thumbUrl": LocalizedText(
        "卡片图片的地址，1 到 2048 个字符的字符串", "the URL of the card's picture, a string of 1 to 2048 characters"
    ),
    "thumbKey": LocalizedText(
        "微信给卡片图片的密钥，1 到 1024 个字符的字符串",
        "WeChat's key for the card's picture, a string of 1 to 1024 characters",
    ),
    "file": LocalizedText(
        "图片：http(s) 网址、媒体文件夹中的文件名（不含 .. 等路径），或 data: 网址（base64）",
        "the image: an http(s) URL, a name inside the media folder (without `..`), or a data: URL in base64",
    ),
    "msgid": LocalizedText(
        "发送消息时得到的编号，1 到 2^53-1 的整数",
        "the number that sending the message gave, an integer from 1 to 2^53-1",
    ),
    "txdate": LocalizedText(
        "txtime 的日期，yyyymmdd 格式的真实日期，字符串", "the date of its txtime, a real date as yyyymmdd, as a string"
    ),
    "cursor": LocalizedText(
        "上一页返回的 cursor，1 到 256 个字符的字符串；第一页不传",
        "the cursor that the page before gave, a string of 1 to 256 characters; left out for the first page",
    ),
    "limit": LocalizedText("1 到 500 的整数", "an integer from 1 to 500"),
    "reqHead": LocalizedText("JSON 对象", "a JSON object"),
    "reqBody": LocalizedText("JSON 对象", "a JSON object"),
}
"""What each field has to be."""

SENTENCES: Final[Mapping[str, LocalizedText]] = {
    # done
    "done": LocalizedText("成功", "Done."),
    "accepted": LocalizedText("已受理，结果将通过回调通知", "Accepted; what comes of it arrives by callback."),
    "status 0": LocalizedText("消息已受理，排队中", "The message is accepted and queued."),
    "status 1": LocalizedText("消息已发送", "The message was sent."),
    "status 2": LocalizedText("群不存在，消息将不会发送", "There is no such room; the message will not be sent."),
    "status 3": LocalizedText(
        "消息已发送，但被@的人不在群里", "The message was sent, but the one to mention is not in the room."
    ),
    "status 4": LocalizedText(
        "消息已发送，但被@的人不存在", "The message was sent, but the one to mention does not exist."
    ),
    "status -1": LocalizedText(
        "消息未能发送，也不会再发送；原因见 sendReason",
        "The message failed and will not be sent any more; sendReason says why.",
    ),
    "expired": LocalizedText(
        "消息在发出之前已过有效期，没有发送", "The message's time was over before it could be sent; nothing was sent."
    ),
    "cancelled": LocalizedText("消息已取消，没有发送", "The message was cancelled; nothing was sent."),
    "no such person": LocalizedText(
        "联系人不存在，消息将不会发送", "There is no such person among the contacts; the message will not be sent."
    ),
    "refused text": LocalizedText("微信拒绝了这条文本，没有发送", "WeChat refused the text; nothing was sent."),
    "refused app": LocalizedText("微信拒绝了这张卡片，没有发送", "WeChat refused the card; nothing was sent."),
    "refused image": LocalizedText("微信拒绝了这张图片，没有发送", "WeChat refused the image; nothing was sent."),
    "no such image": LocalizedText(
        "图片文件不存在或取不到，没有发送；请检查 reqBody.file",
        "The image is not there or could not be fetched; nothing was sent. Check reqBody.file.",
    ),
    "unconfirmed": LocalizedText(
        "消息已提交给微信，但无法确认是否送达，不会自动重发",
        "The message was handed to WeChat, and whether it arrived is unknown; it is not sent again by itself.",
    ),
    # fields
    "missing": LocalizedText("缺少 {field}；它应为{rule}", "{field} is missing; it must be {rule}."),
    "type": LocalizedText("{field} 的类型不对；它应为{rule}", "{field} has the wrong type; it must be {rule}."),
    "value": LocalizedText("{field} 的值不对；它应为{rule}", "{field} has an illegal value; it must be {rule}."),
    "window": LocalizedText(
        "reqHead.txtime 不在允许的时间范围内；它应在当前时间前后 {seconds} 秒之内，当前时间是 {now}（{zone}）",
        "reqHead.txtime is outside the allowed time; it must lie within {seconds} seconds of now, and now is {now} ({zone}).",
    ),
    "room missing": LocalizedText(
        "缺少 reqBody.roomId 或 reqBody.roomTopic；该渠道对此机器人没有默认群，请给出其中之一",
        "reqBody.roomId or reqBody.roomTopic is missing; the channel has no default room with this bot, so give one of the two.",
    ),
    "person missing": LocalizedText(
        "缺少 reqBody.userId 或 reqBody.userName；请给出其中之一",
        "reqBody.userId or reqBody.userName is missing; give one of the two.",
    ),
    "one of two": LocalizedText(
        "reqBody 中不能同时给出 {one} 和 {other}；请只给其中之一",
        "reqBody has both {one} and {other}; give one of the two only.",
    ),
    "one of two missing": LocalizedText(
        "缺少 reqBody.msgid；也可以改为同时给出 reqBody.txcode 和 reqBody.txdate",
        "reqBody.msgid is missing; reqBody.txcode together with reqBody.txdate would do as well.",
    ),
    "ambiguous room": LocalizedText(
        "群名称（reqBody.roomTopic 或默认群）对应 {count} 个同名的群；请用 reqBody.roomId 指明是哪一个",
        "The room's name (reqBody.roomTopic or the default room) is that of {count} rooms; say which one with reqBody.roomId.",
    ),
    "ambiguous person": LocalizedText(
        "reqBody.userName 对应 {count} 个联系人；请用 reqBody.userId 指明是哪一个",
        "reqBody.userName is the name of {count} contacts; say which one with reqBody.userId.",
    ),
    "no image": LocalizedText(
        "reqBody.file 中的图片不能发送：{reason}；请使用 20 MiB 以内的 PNG、JPEG、GIF、WebP 或 BMP 图片",
        "The image in reqBody.file cannot be sent: {reason}; use a PNG, JPEG, GIF, WebP or BMP image of up to 20 MiB.",
    ),
    "no digits wanted": LocalizedText(
        "机器人现在不需要输入数字；手机上显示数字（botStatus 的 userAction 为 enter_code）时再提交",
        "No digits are wanted now; hand them over while the phone shows some (userAction of botStatus is enter_code).",
    ),
    "too late to cancel": LocalizedText(
        "消息已不在队列中（{state}），无法取消；请用 msgStatus 查看它的结果",
        "The message is no longer queued ({state}) and cannot be cancelled; msgStatus tells what became of it.",
    ),
    "hint": LocalizedText(
        "{unknown} 不是已知字段，已忽略；是否想写 {known}？",
        "{unknown} is no known field and was ignored; was {known} meant?",
    ),
    "no such message": LocalizedText(
        "reqBody 所指的消息不存在；请使用本渠道发送消息时得到的 msgid，或其 txcode 和日期",
        "reqBody names no message; use the msgid that this channel got for sending one, or its txcode and date.",
    ),
    "unencodable": LocalizedText(
        "reqBody 含有孤立代理项或无法处理的数值；请只用有效的 Unicode 字符和有限的数值",
        "reqBody has lone surrogates or numbers that cannot be handled; use valid Unicode characters and finite numbers only.",
    ),
    # envelope
    "too large": LocalizedText(
        "请求体过大；最多 {limit} 字节", "The request body is too large; it may have at most {limit} bytes."
    ),
    "too slow": LocalizedText(
        "请求体没有在 {seconds} 秒内收完；请一次发完",
        "The request body did not arrive within {seconds} seconds; send it in one go.",
    ),
    "head too large": LocalizedText(
        "请求头过大；请求行和所有头最多 {limit} 字节，头最多 {count} 个；较长的内容请用 POST 放进请求体",
        "The head of the request is too large; request line and headers may have at most {limit} bytes and {count} headers; "
        "send long content in the body, with POST.",
    ),
    "head too slow": LocalizedText(
        "请求没有在 {seconds} 秒内收完；请一次发完",
        "The request did not arrive within {seconds} seconds; send it in one go.",
    ),
    "not http": LocalizedText(
        "这不是有效的 HTTP/1.1 请求；请检查请求行和请求头",
        "That is not valid HTTP/1.1; check the request line and the headers.",
    ),
    "too many connections": LocalizedText(
        "连接过多；请复用已有的连接，稍后用同一个 txcode 重试",
        "There are too many connections; use the ones that are open, and try again a little later with the same txcode.",
    ),
    "too many large requests": LocalizedText(
        "正在处理的大请求过多；请稍后用同一个 txcode 重试",
        "There are too many large requests just now; try again a little later with the same txcode.",
    ),
    "method": LocalizedText("HTTP 方法不对；请用 POST 或 GET", "The HTTP method is wrong; use POST or GET."),
    "content type": LocalizedText(
        "Content-Type 不对；它应为 application/json 或 application/x-www-form-urlencoded",
        "Content-Type is wrong; it must be application/json or application/x-www-form-urlencoded.",
    ),
    "charset": LocalizedText(
        "Content-Type 的 charset 不对；它应为 utf-8", "The charset of Content-Type is wrong; it must be utf-8."
    ),
    "content encoding": LocalizedText(
        "不支持 Content-Encoding；请发送未压缩的请求体",
        "Content-Encoding is not supported; send the body uncompressed.",
    ),
    "repeated header": LocalizedText(
        "{field} 头重复；它只能出现一次", "The header {field} is repeated; it may be there once only."
    ),
    "repeated field": LocalizedText(
        "字段 {field} 重复；它只能出现一次", "The field {field} is repeated; it may be there once only."
    ),
    "fields": LocalizedText(
        "表单字段过多；最多 {limit} 个", "The form has too many fields; it may have at most {limit}."
    ),
    "bracket": LocalizedText(
        "{field}[...] 的写法有误；每个名称只能出现一次，数组下标须从 0 起依次递增，最多 {depth} 层",
        "{field}[...] is not written correctly; each name may be there once, the indices of an array must run from 0 upwards, "
        "and there may be at most {depth} levels.",
    ),
    "mixed carriers": LocalizedText(
        "{field}[...] 不能与 JSON 文本混用；reqHead 和 reqBody 要么都写成 JSON 文本，要么都用方括号写法",
        "{field}[...] cannot stand beside a JSON text; write both reqHead and reqBody as JSON texts, or both with brackets.",
    ),
    "empty": LocalizedText(
        '缺少 reqHead：请求体是空的；它应为 JSON 文本 {"reqHead": {...}, "reqBody": {...}}',
        'reqHead is missing: the request body is empty; it must be a JSON text {"reqHead": {...}, "reqBody": {...}}.',
    ),
    "not an object": LocalizedText(
        '请求体不是 JSON 对象；它应为 {"reqHead": {...}, "reqBody": {...}}',
        'The request body is not a JSON object; it must be {"reqHead": {...}, "reqBody": {...}}.',
    ),
    "syntax": LocalizedText(
        "{field} 不是有效的 JSON 文本；请检查引号、逗号和转义",
        "{field} is not valid JSON; check quotes, commas and escapes.",
    ),
    "not_utf8": LocalizedText(
        "{field} 不是有效的 UTF-8；请用 UTF-8 编码", "{field} is not valid UTF-8; encode it as UTF-8."
    ),
    "bom": LocalizedText(
        "{field} 以 BOM 开头；请去掉它，用不带 BOM 的 UTF-8",
        "{field} begins with a byte order mark; leave it out, use UTF-8 without one.",
    ),
    "repeated": LocalizedText(
        "{field} 中的 JSON 名称 {name} 重复；它只能出现一次",
        "{field} has the JSON name {name} more than once; it may be there once only.",
    ),
    "depth": LocalizedText(
        "{field} 的 JSON 嵌套过深；最多 {limit} 层", "{field} is nested too deeply; it may have at most {limit} levels."
    ),
    "elements": LocalizedText(
        "{field} 的 JSON 元素过多；对象、数组及其成员最多 {most} 个",
        "{field} has too many JSON elements; it may have at most {most} objects, arrays and members.",
    ),
    "number": LocalizedText(
        "{field} 含有过大的数值；请用较小的数值或字符串",
        "{field} has a number that is too large; use a smaller one or a string.",
    ),
    # the rest
    "signature": LocalizedText(
        "签名（X-Ecaspsplus-Signature 头或 reqHead.sign）不对；请检查 chid、KEY、签名类型（HMAC-SHA256-V2、HMAC-SHA256、MD5 或 RSA），"
        "以及被签名的文本与发出的完全一致",
        "The signature (header X-Ecaspsplus-Signature or reqHead.sign) is wrong; check chid, KEY, "
        "the signature's type (HMAC-SHA256-V2, HMAC-SHA256, MD5 or RSA) and that the signed text is exactly the text sent.",
    ),
    "interface": LocalizedText(
        "没有这个接口；可用的接口有：{names}", "There is no such interface; there are: {names}."
    ),
    "grant": LocalizedText(
        "渠道 reqHead.chid 无权使用机器人 reqHead.botcode；请使用授权给本渠道的机器人",
        "The channel reqHead.chid may not use the bot reqHead.botcode; use a bot that was granted to it.",
    ),
    "suspended": LocalizedText(
        "渠道 reqHead.chid 已被暂停；请联系 WXRC 的运维人员恢复",
        "The channel reqHead.chid is suspended; ask the operator of WXRC to resume it.",
    ),
    "address": LocalizedText(
        "渠道 reqHead.chid 不允许从地址 {address} 调用；请从已登记的地址调用，或请 WXRC 的运维人员登记该地址",
        "The channel reqHead.chid may not call from the address {address}; call from a registered one, "
        "or ask the operator of WXRC to register it.",
    ),
    "quota": LocalizedText(
        "渠道 reqHead.chid 超过了每分钟 {limit} 个请求的配额，没有记录任何内容；请在 {seconds} 秒后用同一个 txcode 重试",
        "The channel reqHead.chid is over its quota of {limit} requests per minute, and nothing was recorded; "
        "try again in {seconds} seconds with the same txcode.",
    ),
    "throttled": LocalizedText(
        "来自该地址、以 reqHead.chid 签名错误的请求过多；请先检查 chid、KEY 和签名方法，再在 {seconds} 秒后重试",
        "Too many requests from this address were signed wrongly for reqHead.chid; "
        "check chid, KEY and how it is signed, and try again in {seconds} seconds.",
    ),
    "interface not granted": LocalizedText(
        "渠道 reqHead.chid 对机器人 reqHead.botcode 无权调用接口 {interface}；可以调用：{names}",
        "The channel reqHead.chid may not call {interface} with the bot reqHead.botcode; it may call: {names}.",
    ),
    "reused": LocalizedText(
        "reqHead.txcode 当日已用于另一个不同的请求；每个新请求请用新的 txcode",
        "reqHead.txcode was used on this day for a different request; take a new txcode for each new request.",
    ),
    "taken": LocalizedText("该值已被占用：{reason}", "That is taken: {reason}."),
    "refused": LocalizedText("无法执行：{reason}", "That cannot be done: {reason}."),
    "login kind": LocalizedText(
        "该机器人不支持 {kind} 登录；它支持的登录方式有：{kinds}",
        "This bot cannot log in as '{kind}'; the kinds of login it has are: {kinds}.",
    ),
    "unsupported": LocalizedText(
        "该机器人做不到：{what}；请换用支持它的机器人", "This bot cannot do that: {what}; use a bot that can."
    ),
    "evidence": LocalizedText(
        "渠道 reqHead.chid 的授权要求消息至少有 {least} 证据（least_evidence），而该机器人给不出，没有受理；请换用能给出的机器人，"
        "或请 WXRC 的运维人员更改授权",
        "The grant of the channel reqHead.chid asks for the evidence '{least}' at least (least_evidence), which this bot can "
        "never give, and nothing was accepted; use a bot that can, or ask the operator of WXRC to change the grant.",
    ),
    "unavailable": LocalizedText(
        "WXRC 暂时不能受理请求，没有记录任何内容；请稍后用同一个 txcode 重试（{reason}）",
        "WXRC cannot take requests just now, and nothing was promised; try again a little later with the same txcode ({reason}).",
    ),
    "unexpected": LocalizedText(
        "WXRC 内部错误；请用同一个 txcode 重试，仍然如此请联系管理员",
        "Something unexpected happened inside WXRC; try again with the same txcode, and tell its operator if that does not help.",
    ),
}
"""Every sentence that is ever answered, by its name in the code."""

NOTHING: Final = LocalizedText("无", "none")
