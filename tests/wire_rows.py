"""What the wire contract and the list of attacks say, row by row: id, then the sentence in Chinese and in English.

A test that shows a row carries `@pytest.mark.wire("<id>")`; it may show several, and a row may have several tests. `tests/wire_table.py`
writes the table, `tests/test_wire_table.py` wants each row to have a test. A row that nobody shows yet stands in `PENDING`; whoever marks a
test for it takes it out.
"""

ROWS: dict[str, tuple[str, str]] = {
    # section 1, requests
    "carrier.json": ("JSON 请求体", "a JSON body"),
    "carrier.form": ("表单字段 reqHead 和 reqBody", "a form with reqHead and reqBody"),
    "carrier.query": ("GET 查询串中的同样两个字段", "the same two fields in a query"),
    "carrier.bracket": ("方括号表单，值均为字符串", "the bracket form, whose values are strings"),
    "carrier.no_body": ("不需要 reqBody 的接口可以省略它", "reqBody may be absent where an interface takes none"),
    "carrier.repeated": ("重复的字段和重复的 JSON 名称是错误", "repeated fields and repeated JSON names are errors"),
    "answer.envelope": ("任何应答都是 resHead 和 resBody", "every answer has resHead and resBody"),
    "answer.200": ("业务拒绝的 HTTP 状态也是 200", "refusals have HTTP status 200"),
    "answer.405": ("方法不是 GET 或 POST：405", "405 for a method other than GET and POST"),
    "answer.413": ("请求体过大：413", "413 for a body that is too large"),
    "answer.431": ("请求头过大：431", "431 for a head that is too large"),
    "answer.408": ("请求头或请求体太慢：408", "408 for a head or body that is too slow"),
    "answer.429": ("超出渠道配额：429 和 Retry-After", "429 with Retry-After over the channel's quota"),
    "answer.503": ("不可用：503 和 Retry-After", "503 with Retry-After while nothing can be accepted"),
    # reqHead
    "head.required": (
        "chid、botcode、txcode、txtime、签名缺一则 10",
        "chid, botcode, txcode, txtime and a signature are required: 10",
    ),
    "head.values": ("头中的值类型或格式不对：11", "a wrong type or value in the head: 11"),
    "head.txcode": ("txcode 为 1 到 64 个可见 ASCII 字符", "txcode has 1 to 64 visible ASCII characters"),
    "head.txtime": ("txtime 为渠道时区的 14 位时间", "txtime as 14 digits in the channel's zone"),
    "head.txtime_ms": ("txtime 为 13 位毫秒时间戳", "txtime as 13 digits of epoch milliseconds"),
    "head.window": ("txtime 超出时间窗：11", "txtime outside the window: 11"),
    "head.unknown": ("未知字段被忽略", "unknown fields are ignored"),
    "head.hints": ("疑似拼错的字段带 hints", "hints where a field looks misspelt"),
    # signatures
    "sign.header": ("签名放在 HTTP 头", "the signature in the header"),
    "sign.in_head": ("签名放在 reqHead.sign，T 中其值为空", "the signature in reqHead.sign, emptied in T"),
    "sign.type": ("signType；缺省时按 RSA 或 MD5 判断", "signType, and what its absence means"),
    "sign.MD5": ("MD5，大小写均可", "MD5, in upper and lower case"),
    "sign.HMAC-SHA256": ("HMAC-SHA256", "HMAC-SHA256"),
    "sign.RSA": ("RSA，只保护头", "RSA, which covers the head"),
    "sign.HMAC-SHA256-V2": ("HMAC-SHA256-V2，包含接口名", "HMAC-SHA256-V2, which covers the interface's name"),
    "sign.one_interface": (
        "签名的请求只在最先到达的接口有效：其他接口 12",
        "a signed request counts at one interface: 12 at another",
    ),
    "sign.accepted": (
        "渠道接受哪些签名类型；RSA 须先登记公钥",
        "the types that a channel accepts; RSA only with a public key",
    ),
    "sign.two_keys": ("轮换期间两个 KEY 同时有效", "two KEYs during a rotation"),
    "sign.uniform": (
        "未知渠道与签名错误的应答和耗时相同",
        "an unknown channel and a wrong signature: same answer, same work",
    ),
    "sign.vectors": ("全部签名样例", "all test vectors"),
    "order": ("检查的顺序", "the order of checks"),
    "order.nothing_recorded": ("被拒绝的请求不留任何记录", "nothing is recorded for what is refused"),
    # once only
    "once.same": ("同一 txcode、同样内容：同一个 msgid，不重发", "the same again: the same msgid, nothing is sent"),
    "once.different": ("同一 txcode、不同内容：12", "the same txcode with anything else: 12"),
    "once.day": ("txcode 以渠道时区的日期为界", "a txcode is for one day in the channel's zone"),
    "once.queries": ("查询不留记录，可在同一接口重复", "queries are not recorded and may be repeated"),
    "once.restart": ("重启和多副本后仍然成立", "it holds across restarts and replicas"),
    # codes
    **{
        f"code.{code}": (f"rtCode {code}", f"rtCode {code}")
        for code in (0, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 34)
    },
    "rtMsg.language": ("rtMsg 按 Accept-Language 用中文或英文", "rtMsg in Chinese or English by Accept-Language"),
    "rtMsg.secrets": ("rtMsg 不含密钥和堆栈", "rtMsg has no secret and no stack trace"),
    # section 2, interfaces
    "login": ("login、macLogin、webLogin", "login, macLogin, webLogin"),
    "loginCode": ("loginCode", "loginCode"),
    "logout": ("logout、stop", "logout, stop"),
    "botStatus": ("botStatus 的各个字段", "the fields of botStatus"),
    "roomSendText": ("roomSendText 的各个字段", "the fields of roomSendText"),
    "roomSendApp": ("roomSendApp，两个版本的字段", "roomSendApp, with the fields of both revisions"),
    "roomSendImg": ("roomSendImg：URL、文件夹、data:", "roomSendImg: URL, folder, data:"),
    "userSend": ("userSendText、userSendApp、userSendImg", "userSendText, userSendApp, userSendImg"),
    "sendStatus": ("每个 sendStatus 和 sendReason", "every sendStatus and sendReason"),
    "msgStatus": ("msgStatus", "msgStatus"),
    "msgCancel": ("msgCancel", "msgCancel"),
    "roomList": ("roomList 分页", "roomList, page by page"),
    "contactList": ("contactList 分页", "contactList, page by page"),
    "botList": ("botList", "botList"),
    # section 3, callbacks
    "callback.qrCode": ("qrCode 回调", "the callback qrCode"),
    "callback.botStatus": ("botStatus 回调", "the callback botStatus"),
    "callback.userMsg": ("userMsg 回调", "the callback userMsg"),
    "callback.sendStatus": ("sendStatus 回调", "the callback sendStatus"),
    "callback.formats": ("form、json、bracket 三种格式", "the formats form, json, bracket"),
    "callback.acknowledge": ("什么算确认", "what counts as acknowledged"),
    "callback.retries": ("重试时刻、Retry-After、410、过期", "retries, Retry-After, 410, lifetimes"),
    "callback.dead": ("死信与重放", "dead letters and replay"),
    "callback.order": ("按渠道和机器人保持顺序", "order for each channel and bot"),
    "callback.signatures": ("两种签名", "both signatures"),
    # input and attack
    "attack.head": (
        "请求头的大小和数量，尾部字段与分块扩展",
        "size of the head, number of headers, trailers and chunk extensions",
    ),
    "attack.slow": ("慢速的请求头和请求体", "heads and bodies that drip in"),
    "attack.connections": ("沉默和过多的连接；文件描述符", "silent and too many connections; file descriptors"),
    "attack.one_address": ("一个地址占满连接", "one address that takes all connections"),
    "attack.pipelining": ("流水线请求", "pipelined requests"),
    "attack.no_reading": ("从不读取应答的客户端", "a client that never reads its answers"),
    "attack.cpu": ("签名成立之前的 CPU", "CPU before the signature holds"),
    "attack.memory": ("内存平稳", "memory stays flat"),
    "attack.not_http": ("不是 HTTP 的字节", "bytes that are not HTTP"),
    "attack.json": (
        "JSON：重复、嵌套、超大数、BOM、字符集",
        "JSON: repeated names, nesting, huge numbers, BOM, charset",
    ),
    "attack.encoding": ("未知的内容类型和压缩", "unknown content types and encodings"),
    "attack.signature": ("畸形的十六进制和 Base64", "malformed hex and Base64"),
    "attack.replay": ("签名用于别的路径、内容、渠道", "a right signature on another path, body, channel"),
    "attack.foreign": ("别的渠道的机器人和消息如同不存在", "another channel's bot or message is as none"),
    "attack.fields": (
        "每个字段：缺失、类型、长度、空、NUL、代理项",
        "every field: missing, type, length, empty, NUL, surrogates",
    ),
    "attack.qr_urls": ("猜测的和过期的二维码地址", "guessed and expired QR URLs"),
    "attack.ssrf": ("回调和图片地址的 SSRF", "SSRF by callback and image URLs"),
    "attack.files": ("../、符号链接、设备文件作为 file", "../, symlinks and devices as file"),
    "attack.bombs": ("解压炸弹", "decompression bombs"),
    "attack.console": ("页面中的 HTML 与跨站提交", "HTML in pages and cross-site posts"),
    "attack.simulator": ("模拟器页面只应答本机名", "the simulator answers to loopback names only"),
    "attack.guessing": ("猜测密钥和令牌", "guessing of keys and tokens"),
    "attack.sample_secrets": ("空的、短的、样例密钥不能启动", "empty, short or sample secrets at start"),
    "attack.vault": ("数据库读者看不到二维码链接", "a reader of the database learns no login link"),
}

PENDING: frozenset[str] = frozenset()
"""Rows without a marked test yet."""
