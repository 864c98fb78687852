"""The simulator's JSON API: read what reached WeChat, and be the people there.

| call | body | answer | | --- | --- | --- | | `GET /sim/api/{bot}` | | the account, its rooms and people | | `GET
/sim/api/{bot}/record` | | `{"record": [...]}`: what the bot's client wrote and really reached WeChat, in order | | `POST
/sim/api/{bot}/say` | `{"room" or "user", "from", "text"}` | `{"msgid": ...}`: somebody writes (`Messages.say`) | | `POST
/sim/api/{bot}/kick` | | `{"done": true}` if somebody was logged in: another device logs in | | `POST /sim/api/{bot}/logout` | | the
same: the account signs the client out on its phone | | `POST /sim/api/{bot}/addRoom` | `{"topic"}` | the room; others may have the
same topic | | `POST /sim/api/{bot}/changeRoom` | `{"room", "topic"?, "fault"?}` | the room, renamed or with a fault
(`options.FAULTS`) | | `POST /sim/api/{bot}/dissolveRoom` | `{"room"}` | `{"done": true}` | | `POST /sim/api/{bot}/changePerson` |
`{"user", "remark"}` | the person, with what the account calls them | | `POST /sim/api/{bot}/forgetPerson` | `{"user"}` |
`{"done": true}`: no contact any more |

Whatever cannot be done is answered with `{"error": sentence}` that names the field and what would be right, and 400, 404, 403
(sent by another site's page), 405, 408, 413 or 503.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import apsw
import msgspec
from attrs import asdict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wxrc_puppet.simulator.http import HEADERS, METHODS, BadBody, is_cross_site, read_body
from wxrc_puppet.simulator.model import Account, ChatMessage, Person, RoomView, SimulatorError
from wxrc_puppet.simulator.wechat import SimulatedWeChat

Body: TypeAlias = Mapping[str, str]
Call: TypeAlias = Callable[[SimulatedWeChat, Account, Body], dict[str, Any]]


def api_routes(wechat: SimulatedWeChat) -> list[BaseRoute]:
    """Return the routes of the JSON API."""

    async def answer(request: Request) -> Response:
        return await _guarded(lambda: _answer(wechat, request))

    async def nothing(request: Request) -> Response:
        return _error(404, f"There is no such call; there are {', '.join(CALLS)}.")

    return [
        Route("/sim/api/{bot}", answer, methods=METHODS),
        Route("/sim/api/{bot}/{call}", answer, methods=METHODS),
        Route("/sim/api/{rest:path}", nothing, methods=METHODS),
    ]


async def _guarded(answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except SimulatorError as error:
        return _error(404 if error.missing else 400, str(error))
    except BadBody as error:
        return _error(error.status, str(error))
    except apsw.Error:
        return _error(503, "The simulator's file cannot be used now; try again later.")


async def _answer(wechat: SimulatedWeChat, request: Request) -> Response:
    name = request.path_params.get("call", "")
    if name not in CALLS:
        raise SimulatorError(f"There is no such call; there are {', '.join(filter(None, CALLS))}.", missing=True)
    method, call = CALLS[name]
    if request.method != method and (request.method, method) != ("HEAD", "GET"):
        return _error(405, f"{name or 'This'} must be called with {method}.", {"Allow": method})
    if method == "POST" and is_cross_site(request):
        return _error(403, "Origin must be this site's own: another site's page sent this request.")
    account = wechat.account(request.path_params["bot"])
    if account is None:
        raise SimulatorError("bot must be the code of a simulated bot; there is no such bot.", missing=True)
    body = await _body(request) if method == "POST" else {}
    return JSONResponse(call(wechat, account, body), headers=HEADERS)


async def _body(request: Request) -> Body:
    """Read a JSON object whose values are strings; nothing at all counts as an empty one."""
    raw = await read_body(request)
    try:
        body = msgspec.json.decode(raw) if raw.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SimulatorError("The body must be a JSON object in UTF-8.") from None
    if not isinstance(body, dict):
        raise SimulatorError("The body must be a JSON object.")
    for field in FIELDS:
        if not isinstance(body.get(field, ""), str):
            raise SimulatorError(f"{field} must be a string.")
    return body


def _error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers={**HEADERS, **(headers or {})})


# -- the calls -----------------------------------------------------------------------------------------------------------


def _state(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    code = wechat.logins.open_code(account.bot)
    return {
        "bot": account.bot,
        "wxid": account.wxid,
        "name": account.name,
        "state": "login" if account.logged_in else "awaiting_qr" if code else "logout",
        "since": account.since,
        "connected": wechat.is_connected(account.bot),
        "rooms": [_room(room) for room in wechat.directory.rooms(account.bot)],
        "people": [_person(person) for person in wechat.directory.people(account.bot)],
    }


def _record(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    return {"record": [_written(message) for message in wechat.messages.record(account.bot)]}


def _say(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    if "text" not in body:
        raise SimulatorError("text is missing: it must be what the person writes.")
    message = wechat.messages.say(
        account.bot, body["text"], room=body.get("room", ""), user=body.get("user", ""), sender=body.get("from", "")
    )
    return {"msgid": message.id, "time": message.time, "from": message.from_name, "mentions": list(message.mentions)}


def _kick(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    return {"done": wechat.logins.kick(account.bot)}


def _log_out(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    return {"done": wechat.logins.sign_out_on_phone(account.bot)}


def _add_room(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    return _room(wechat.directory.add_room(account.bot, body.get("topic", "")))


def _change_room(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    room = wechat.directory.find_room(account.bot, body.get("room", ""))
    return _room(wechat.directory.change_room(account.bot, room.id, topic=body.get("topic"), fault=body.get("fault")))


def _dissolve_room(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    wechat.directory.dissolve_room(account.bot, wechat.directory.find_room(account.bot, body.get("room", "")).id)
    return {"done": True}


def _change_person(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    person = wechat.directory.person(account.bot, body.get("user", ""))
    return _person(wechat.directory.set_remark(account.bot, person.id, body.get("remark", "")))


def _forget_person(wechat: SimulatedWeChat, account: Account, body: Body) -> dict[str, Any]:
    wechat.directory.forget_person(account.bot, wechat.directory.person(account.bot, body.get("user", "")).id)
    return {"done": True}


def _person(person: Person) -> dict[str, Any]:
    return {"id": person.id, "name": person.name, "remark": person.remark}


def _room(room: RoomView) -> dict[str, Any]:
    return {"id": room.id, "topic": room.topic, "fault": room.fault}


def _written(message: ChatMessage) -> dict[str, Any]:
    return {
        "room": message.place if message.room_id else "",
        "roomId": message.room_id,
        "user": message.place if message.user_id else "",
        "userId": message.user_id,
        "text": message.text,
        "mentions": list(message.mentions),
        "msgid": message.id,
        "time": message.time,
        "gatewayMsgid": message.msgid,
        "attempt": message.attempt,
        **({"card": asdict(message.card)} if message.card is not None else {}),
        **({"image": message.picture} if message.picture else {}),
    }


FIELDS = ("room", "user", "from", "text", "topic", "fault", "remark")

CALLS: dict[str, tuple[str, Call]] = {
    "": ("GET", _state),
    "record": ("GET", _record),
    "say": ("POST", _say),
    "kick": ("POST", _kick),
    "logout": ("POST", _log_out),
    "addRoom": ("POST", _add_room),
    "changeRoom": ("POST", _change_room),
    "dissolveRoom": ("POST", _dissolve_room),
    "changePerson": ("POST", _change_person),
    "forgetPerson": ("POST", _forget_person),
}
