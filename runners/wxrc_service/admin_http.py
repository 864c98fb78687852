"""The admin API's one way in: who calls, in which role, with what; and how what comes of it, or goes wrong, is answered.

A route is an `AdminRoute`: method, path, the role that it takes, the type of its body, and the function that does it. Routes stand in
files of their own (`admin_api` for channels, bots and tokens); `admin_app` serves any number of them. So a new one needs no word about
tokens, roles, JSON or errors:

    ROUTES = (AdminRoute("POST", "/bots/{botcode}/stop", "operator", stop),)

    async def stop(call: AdminCall) -> object:
        await call.gateway.stop(call.path["botcode"])
        return {"botcode": call.path["botcode"]}

Every answer is JSON. An error is `{"error": {"kind": ..., "field": ..., "message": ...}}`: the message is a sentence, in Chinese, or in
English where `Accept-Language` prefers it; the field is named where one is at fault.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Literal, TypeAlias, TypedDict, TypeVar

import anyio
import msgspec
from attrs import frozen
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wxrc_core.errors import AlreadyTaken, InvalidValue, NotFound, Refusal, Unavailable, WxrcError
from wxrc_core.localized import LocalizedText
from wxrc_core.token import RANKS, Role
from wxrc_gateway import Gateway
from wxrc_gateway.admin_token import authenticate
from wxrc_gateway.admin_values import checked
from wxrc_gateway.retry import error_location
from wxrc_http.answers import prefers_english

log = logging.getLogger("wxrc.admin")

T = TypeVar("T")

BODY_LIMIT: Final = 262_144
"""The most that a request's body may have (bytes)."""

DISCARD_LIMIT: Final = 8 * 1_048_576
"""So much of a body that is too large is still read (bytes)."""

BODY_TIMEOUT_S: Final = 10.0
"""How long it may take to arrive (seconds)."""

Kind: TypeAlias = Literal[
    "unauthorized", "forbidden", "not_found", "method_not_allowed", "invalid_value", "refused", "taken", "too_large", "too_slow",
    "unavailable", "unexpected",
]  # fmt: skip
"""What kind of error it is, for programs."""


class Nothing(TypedDict, total=False):
    """The body of a request that takes none: absent, or `{}`."""


@frozen
class AdminCall:
    """A request to the admin API whose token and body hold.

    Attributes:
        gateway: The gateway.
        by: The name of the token: who does it, for the log.
        path: What stands in the path for its `{...}`.
        query: The query's fields.
        body: The body, checked by the route's type; empty where the route takes none.
    """

    gateway: Gateway
    by: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any


@frozen
class AdminRoute:
    """One thing that the admin API does.

    Attributes:
        method: `GET` or `POST`.
        path: Its path below `/admin/api`, with `{...}` for names.
        role: The least role that may do it.
        work: Does it; what it returns is the answer, as anything that msgspec writes, or `Pieces`. It may raise any `WxrcError`.
        body: The `TypedDict` that its body must be.
        status: The HTTP status where it is done.
    """

    method: Literal["GET", "POST"]
    path: str
    role: Role
    work: Callable[[AdminCall], Awaitable[object]]
    body: type = Nothing
    status: int = 200


@frozen
class Pieces:
    """An answer that is written as it is made, in pieces; `media_type` says what it is.

    What fails before the first piece is answered as any error is; what fails later ends the connection, so that the client sees an answer
    that is not whole.
    """

    pieces: AsyncGenerator[bytes, None]
    media_type: str


class AdminError(Exception):
    """The request is not carried out; `localized` says why."""

    def __init__(self, kind: Kind, status: int, localized: LocalizedText, field: str = "", **headers: str) -> None:
        super().__init__(localized.en)
        self.kind, self.status, self.localized, self.field = kind, status, localized, field
        self.headers = headers


def admin_app(gateway: Gateway, routes: Sequence[AdminRoute]) -> Starlette:
    """Return the admin API as an ASGI application, to be mounted at `/admin/api`."""
    paths: dict[str, dict[str, AdminRoute]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = route
    return Starlette(
        routes=[
            Route(path, _endpoint(gateway, by_method), methods=list(by_method)) for path, by_method in paths.items()
        ],
        exception_handlers={HTTPException: _not_routed},  # type: ignore[dict-item]
    )


def _endpoint(gateway: Gateway, by_method: Mapping[str, AdminRoute]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        # HEAD is answered as GET: Starlette adds it.
        route = by_method["GET" if request.method == "HEAD" else request.method]
        try:
            found = await _carried_out(gateway, route, request)
            if isinstance(found, Pieces):
                return PiecewiseResponse(found, await anext(found.pieces), route)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return _error_answer(_as_error(error, route), request)
        return _json(route.status, found)

    return answer


async def _carried_out(gateway: Gateway, route: AdminRoute, request: Request) -> object:
    if reason := gateway.unavailable():
        raise Unavailable(reason)
    by = _caller(gateway, request, route.role)
    body = await _body(route, request)
    return await route.work(AdminCall(gateway, by, request.path_params, request.query_params, body))


# -- who calls ------------------------------------------------------------------------------------------------------------------

_NO_TOKEN = LocalizedText(
    "请在 Authorization 头中给出有效的令牌（Bearer wxrc_...）；令牌由 wxrc token add 生成",
    "give a valid token in the header Authorization (Bearer wxrc_...); `wxrc token add` makes one",
)
_ROLE = LocalizedText(
    "令牌 {name} 的角色是 {role}，此操作需要 {needed}", "the token {name} has the role {role}; this takes {needed}"
)


def _caller(gateway: Gateway, request: Request, needed: Role) -> str:
    """Return the name of the token that a request carries. The one place where tokens and roles are checked."""
    scheme, _, text = request.headers.get("authorization", "")[:512].partition(" ")
    token = authenticate(gateway.view, text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise AdminError("unauthorized", 401, _NO_TOKEN, **{"WWW-Authenticate": "Bearer"})
    name, role = token.added.name, token.added.role
    if RANKS[role] < RANKS[needed]:
        raise AdminError("forbidden", 403, _ROLE.filled(name=name, role=role, needed=needed))
    return name


# -- the body -------------------------------------------------------------------------------------------------------------------

_TOO_LARGE = LocalizedText("请求体过大；最多 {most} 字节", "the body is too large; it may have at most {most} bytes")
_TOO_SLOW = LocalizedText("请求体没有在 {seconds} 秒内收完", "the body did not arrive within {seconds} seconds")
_QUERY = LocalizedText("查询参数不对：{what}", "the query is wrong: {what}")
_NOT_JSON = LocalizedText("请求体应为一个 JSON 对象（UTF-8）", "the body must be a JSON object, in UTF-8")


async def _body(route: AdminRoute, request: Request) -> Any:
    raw, arrived = bytearray(), 0
    with anyio.move_on_after(BODY_TIMEOUT_S) as limit:
        async with aclosing(request.stream()) as parts:
            async for part in parts:
                arrived += len(part)
                if arrived <= BODY_LIMIT:
                    raw += part
                elif arrived > DISCARD_LIMIT:
                    break  # up to here it is read and forgotten: a client that is still sending would not see the answer
    if arrived > BODY_LIMIT:
        raise AdminError("too_large", 413, _TOO_LARGE.filled(most=BODY_LIMIT), Connection="close")
    if limit.cancelled_caught:
        raise AdminError("too_slow", 408, _TOO_SLOW.filled(seconds=f"{BODY_TIMEOUT_S:g}"), Connection="close")
    return read_body(route.body, bytes(raw))


def read_body(kind: type, raw: bytes) -> Any:
    """Return a body by its type.

    Raises:
        AdminError: It is none.
        InvalidValue: A field is unknown, missing or wrong; it is named.
    """
    try:
        found = msgspec.json.decode(raw, type=dict[str, Any]) if raw.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AdminError("invalid_value", 400, _NOT_JSON) from None
    return checked(kind, "the body", **found)


def read_query(kind: type[T], query: Mapping[str, str]) -> T:
    """Return the query's fields as this type.

    Raises:
        InvalidValue: A field is unknown or wrong; it is named.
    """
    try:
        return msgspec.convert(dict(query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(_QUERY.filled(what=error)) from None


# -- answers --------------------------------------------------------------------------------------------------------------------

_UNEXPECTED = LocalizedText(
    "WXRC 内部错误；服务日志中有它的位置", "something unexpected happened inside WXRC; the service's log says where"
)
_STORE = LocalizedText("存储暂时不可用；请稍后重试", "the store is unavailable just now; try again shortly")
_NO_ROUTE = LocalizedText("没有这个地址；接口见文档", "there is nothing at this path; the docs list what there is")
_METHOD = LocalizedText("HTTP 方法不对", "the HTTP method is wrong here")


def _as_error(error: Exception, route: AdminRoute) -> AdminError:
    """Return what an exception is answered with. The one place where errors become answers."""
    match error:
        case AdminError():
            return error
        case Unavailable():
            # A store's own sentence may name files of this machine: that is for the operator's log.
            text = error.localized if type(error) is Unavailable else _STORE
            return AdminError("unavailable", 503, text, **{"Retry-After": "1"})
        case NotFound():
            return AdminError("not_found", 404, error.localized)
        case InvalidValue():
            return AdminError("invalid_value", 400, error.localized, error.field)
        case AlreadyTaken():
            return AdminError("taken", 409, error.localized)
        case Refusal() | WxrcError():
            return AdminError("refused", 409, error.localized)
    log.error("%s %s: %s", route.method, route.path, error_location(error))
    return AdminError("unexpected", 500, _UNEXPECTED)


def _error_answer(error: AdminError, request: Request) -> Response:
    english = prefers_english(request.headers.get("accept-language", "")[:256].encode("latin-1", "replace"))
    said = {"kind": error.kind, "field": error.field, "message": error.localized.en if english else error.localized.zh}
    return _json(error.status, {"error": said}, error.headers)


async def _not_routed(request: Request, error: HTTPException) -> Response:
    kind: Kind = "method_not_allowed" if error.status_code == 405 else "not_found"
    text = _METHOD if error.status_code == 405 else _NO_ROUTE
    return _error_answer(AdminError(kind, error.status_code, text, **dict(error.headers or {})), request)


class PiecewiseResponse(Response):
    """Sends the pieces one by one, each when the client has taken those before it."""

    def __init__(self, found: Pieces, first: bytes, route: AdminRoute) -> None:
        super().__init__(b"", route.status, _HEADERS, found.media_type)
        del self.headers["content-length"]
        self._found, self._first, self._route = found, first, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, as long as there is a client."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, receive, tasks.cancel_scope)
            await self._send(send)
            tasks.cancel_scope.cancel()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._found.pieces) as pieces:
                await send({"type": "http.response.body", "body": self._first, "more_body": True})
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except WxrcError as error:
            log.warning("%s %s ended early: %s", self._route.method, self._route.path, error)
        except Exception as error:
            log.error("%s %s ended early: %s", self._route.method, self._route.path, error_location(error))
        else:
            await send({"type": "http.response.body", "body": b""})


_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    said = {**_HEADERS, **(headers or {})}
    return Response(msgspec.json.encode(value), status, said, media_type="application/json")
