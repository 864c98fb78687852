"""The admin API in the OpenAPI document: from its routes and the types of their bodies; and what each answers, as a type."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, get_args

import msgspec

from wxrc_core.localized import LocalizedText
from wxrc_gateway.admin_views import BotView, ChannelView, TokenView
from wxrc_gateway.callbacks import CallbackHistory
from wxrc_gateway.listing import Listing, MessageEntry, Wanted
from wxrc_gateway.overview import BotOverview, Overview
from wxrc_gateway.timeline import Timeline
from wxrc_service.admin_callbacks import EXPORT_TYPE, Callbacks, Chosen, DeadLetters, Replayed, Retried
from wxrc_service.admin_http import AdminRoute, Kind, Nothing

Schema = dict[str, Any]


class Channels(TypedDict):
    """All channels."""

    channels: list[ChannelView]


class Bots(TypedDict):
    """All bots."""

    bots: list[BotView]


class Tokens(TypedDict):
    """All tokens."""

    tokens: list[TokenView]


class MadeChannel(TypedDict):
    """A channel and its secrets, this once."""

    channel: ChannelView
    key: str
    webhook_secret: str


class MadeKey(TypedDict):
    """A KEY, this once."""

    id: str
    key: str
    valid: list[str]


class MadeSecret(TypedDict):
    """A webhook secret, this once."""

    id: str
    webhook_secret: str
    valid: list[str]


class MadeToken(TypedDict):
    """A token, this once."""

    name: str
    role: str
    token: str


class RemovedToken(TypedDict):
    """A token that is no more."""

    name: str
    removed: bool


class Asked(TypedDict):
    """What was asked of a bot."""

    asked: str
    bot: BotOverview


ADMIN_ANSWERS: Final[Mapping[str, tuple[type, LocalizedText]]] = {
    "GET /whoami": (TokenView, LocalizedText("令牌的名称和角色", "The token's name and role")),
    "GET /status": (Overview, LocalizedText("总体状态，以及该做什么", "How everything is, with what to do")),
    "GET /channels": (Channels, LocalizedText("列出渠道", "List the channels")),
    "POST /channels": (
        MadeChannel,
        LocalizedText("新建渠道；KEY 只在这个应答中", "Make a channel; only this answer has its KEY"),
    ),
    "GET /channels/{chid}": (ChannelView, LocalizedText("查看渠道", "Show a channel")),
    "POST /channels/{chid}/settings": (ChannelView, LocalizedText("更改渠道的设置", "Change a channel's settings")),
    "POST /channels/{chid}/keys": (
        MadeKey,
        LocalizedText("增加一个 KEY；只在这个应答中", "Add a KEY; only this answer has it"),
    ),
    "POST /channels/{chid}/keys/{id}/end": (ChannelView, LocalizedText("停用一个 KEY", "End a KEY")),
    "POST /channels/{chid}/secrets": (
        MadeSecret,
        LocalizedText("增加一个回调密钥；只在这个应答中", "Add a webhook secret; only this answer has it"),
    ),
    "POST /channels/{chid}/secrets/{id}/end": (ChannelView, LocalizedText("停用一个回调密钥", "End a webhook secret")),
    "POST /channels/{chid}/suspend": (ChannelView, LocalizedText("暂停渠道", "Suspend a channel")),
    "POST /channels/{chid}/resume": (ChannelView, LocalizedText("恢复渠道", "Resume a channel")),
    "POST /channels/{chid}/remove": (ChannelView, LocalizedText("移除渠道", "Remove a channel")),
    "POST /channels/{chid}/grants/{botcode}": (
        ChannelView,
        LocalizedText("授权渠道使用机器人", "Grant a bot to a channel"),
    ),
    "POST /channels/{chid}/grants/{botcode}/revoke": (ChannelView, LocalizedText("收回授权", "Take a grant back")),
    "GET /bots": (Bots, LocalizedText("列出机器人", "List the bots")),
    "POST /bots": (BotView, LocalizedText("新建机器人", "Make a bot")),
    "GET /bots/{botcode}": (BotView, LocalizedText("查看机器人", "Show a bot")),
    "POST /bots/{botcode}/remove": (BotView, LocalizedText("永久移除机器人", "Remove a bot for ever")),
    "POST /bots/{botcode}/login": (Asked, LocalizedText("让机器人登录", "Ask a bot to log in")),
    "POST /bots/{botcode}/logout": (Asked, LocalizedText("让机器人退出登录", "Ask a bot to sign out")),
    "POST /bots/{botcode}/stop": (Asked, LocalizedText("释放机器人的客户端", "Ask to release a bot's client")),
    "GET /messages": (Listing, LocalizedText("列出消息", "List messages")),
    "POST /messages/{msgid}/resolve": (
        MessageEntry,
        LocalizedText("裁定一条存疑的消息", "Say what has become of a message in doubt"),
    ),
    "GET /log/{what}": (
        Timeline,
        LocalizedText("一条消息、一个机器人或渠道的经过", "What happened to a message, a bot or a channel"),
    ),
    "GET /callbacks": (Callbacks, LocalizedText("回调的状态，以及等待中的回调", "How callbacks stand, and what waits")),
    "GET /callbacks/dead": (DeadLetters, LocalizedText("列出死信", "List the dead letters")),
    "GET /callbacks/{id}": (
        CallbackHistory,
        LocalizedText("一个回调的经过：每次尝试和结果", "What happened to a callback: its attempts and its end"),
    ),
    "POST /callbacks/replay": (
        Replayed,
        LocalizedText("重放回调：按编号、按范围或全部死信", "Replay callbacks: by ids, a range, or all dead letters"),
    ),
    "POST /channels/{chid}/callbacks/retry": (
        Retried,
        LocalizedText("立即重试一个渠道等待中的全部回调", "Try everything that waits for a channel again at once"),
    ),
    "POST /export": (
        bytes,
        LocalizedText("导出日志（JSON 行），供 wxrc import 使用", "Export the log as JSON lines, for `wxrc import`"),
    ),
    "GET /tokens": (Tokens, LocalizedText("列出令牌", "List the tokens")),
    "POST /tokens": (MadeToken, LocalizedText("新建令牌；只在这个应答中", "Make a token; only this answer has it")),
    "POST /tokens/{name}/remove": (RemovedToken, LocalizedText("移除令牌", "Remove a token")),
}
"""What each route answers, and what it does in one line; by method and path."""

_ERRORS: Final[Mapping[int, LocalizedText]] = {
    400: LocalizedText("请求的值不对；field 指出是哪个字段", "A value is wrong; field says which"),
    401: LocalizedText("没有有效的令牌", "There is no valid token"),
    403: LocalizedText("令牌的角色不够", "The token's role does not allow it"),
    404: LocalizedText("没有这个对象", "There is no such thing"),
    408: LocalizedText("请求收得太慢", "The request came in too slowly"),
    409: LocalizedText("现在不能这样做", "That cannot be done now"),
    413: LocalizedText("请求体过大", "The request body is too large"),
    503: LocalizedText("暂时不可用；请稍后重试", "Unavailable just now; try again shortly"),
}
_TOKEN: Final = LocalizedText("由 wxrc token add 生成的令牌", "A token that `wxrc token add` has made")
_ROLE: Final = LocalizedText("需要的角色：{role}", "Takes the role {role}")
_QUERY: Final[Mapping[str, type]] = {"/messages": Wanted, "/callbacks": Chosen, "/callbacks/dead": Chosen}
"""What the query of a path may have."""

_CALLED: Final[Mapping[str, str]] = {"botcode": "bot", "chid": "channel"}
"""What fields are called in the query."""


def admin_document(routes: Sequence[AdminRoute], english: bool) -> Schema:
    """Return the paths and components of the admin API."""
    kinds = ({kind for kind, _ in ADMIN_ANSWERS.values()} | {route.body for route in routes}) - {bytes}
    _, found = msgspec.json.schema_components(
        sorted(kinds, key=lambda kind: kind.__name__), ref_template="#/components/schemas/Admin{name}"
    )
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(f"/admin/api{route.path}", {})[route.method.lower()] = _operation(route, english)
    schemas = {f"Admin{name}": _plain(schema) for name, schema in found.items()}
    return {
        "paths": paths,
        "components": {
            "schemas": {**schemas, "AdminError": _error()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _TOKEN[english]}},
        },
    }


def _plain(schema: Schema) -> Schema:
    """Return a schema without its docstring, which is for programmers."""
    return {name: value for name, value in schema.items() if name != "description"}


def _ref(kind: type) -> Schema:
    return {"$ref": f"#/components/schemas/Admin{kind.__name__}"}


def _operation(route: AdminRoute, english: bool) -> Schema:
    answer, summary = ADMIN_ANSWERS[f"{route.method} {route.path}"]
    names = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    required = bool(getattr(route.body, "__required_keys__", ()))
    body = {"required": required, "content": {"application/json": {"schema": _ref(route.body)}}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/AdminError"}}}
    content: Schema = {"application/json": {"schema": _ref(answer)}}
    if answer is bytes:
        content = {EXPORT_TYPE: {"schema": {"type": "string"}}}
    return {
        "tags": ["admin"],
        "operationId": f"admin {route.method} {route.path}",
        "summary": summary[english],
        "description": _ROLE.filled(role=route.role)[english],
        "security": [{"token": []}],
        "parameters": names + _query(route.path),
        **({} if route.body is Nothing else {"requestBody": body}),
        "responses": {
            str(route.status): {
                "description": summary[english],
                "content": content,
            },
            **{str(status): {"description": text[english], "content": error} for status, text in _ERRORS.items()},
        },
    }


def _query(path: str) -> list[Schema]:
    if path == "/log/{what}":
        return [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 10_000}}]
    if path not in _QUERY:
        return []
    _, found = msgspec.json.schema_components([_QUERY[path]])
    return [
        {"name": _CALLED.get(name, name), "in": "query", "schema": schema}
        for name, schema in found[_QUERY[path].__name__]["properties"].items()
    ]


def _error() -> Schema:
    error = {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(get_args(Kind))},
            "field": {"type": "string"},
            "message": {"type": "string", "minLength": 1},
        },
        "required": ["kind", "field", "message"],
    }
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}
