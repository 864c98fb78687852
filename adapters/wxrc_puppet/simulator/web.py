"""The simulator's pages: phones in the browser. They work without JavaScript; with it they follow what happens by themselves.

| page | what | | --- | --- | | `/sim` | the phones | | `/sim/{bot}` | a phone: its login, its chats | | `/sim/{bot}/room/{id}`,
`/sim/{bot}/user/{id}` | a chat: read it, and write as anybody in it | | `/sim/picture/{digest}` | an image that reached
this WeChat | | `/sim/qr/{token}` | what the phone shows once a QR code was
scanned; forms there post to `.../confirm` and `.../refuse` |

A page consists of a *live* part and the rest. Asked with `?live=TAG`, it answers with its live part alone as soon as that differs from
the one with this tag, and with 204 when it does not within a second. The second is also how long a page may hold up a server that
wants to stop.
"""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, quote

import apsw
from attrs import field, frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from wxrc_puppet.simulator.api import api_routes
from wxrc_puppet.simulator.directory import by_id
from wxrc_puppet.simulator.http import HEADERS, METHODS, BadBody, is_cross_site, read_body
from wxrc_puppet.simulator.model import OPEN, Account, Code, SimulatorError
from wxrc_puppet.simulator.texts import Texts, texts_for
from wxrc_puppet.simulator.views import bubbles, chat_lines, clock_time, colour, initial, me
from wxrc_puppet.simulator.wechat import SimulatedWeChat

STATIC = {"sim.css": "text/css", "sim.js": "text/javascript", "icon.svg": "image/svg+xml"}

DEAD = ("expired", "blocked", "withdrawn")
"""States of a code whose page answers 410: it will never work again, and has not worked."""


@frozen
class View:
    """What one page shows.

    Attributes:
        name: The page's template, and with an underscore before it that of its live part.
        values: The values for both.
        status: The HTTP status.
    """

    name: str
    values: dict[str, Any] = field(factory=dict)
    status: int = 200


class Trouble(Exception):
    """A request that ends in a page with words instead of what was asked for."""

    def __init__(self, title: str, text: str, status: int) -> None:
        super().__init__(title)
        self.title, self.text, self.status = title, text, status


NOTHING = ("nothing_title", "nothing_text", 404)


def routes(wechat: SimulatedWeChat) -> list[BaseRoute]:
    """Return the routes of the pages and of the JSON API (`api`), to be served at the root."""
    pages = _Pages(wechat)
    return [
        *api_routes(wechat),
        pages.route("/sim", get=pages.phones),
        pages.route("/sim/static/{name}", get=pages.static),
        pages.route("/sim/qr/{token}", get=pages.code),
        pages.route("/sim/qr/{token}/confirm", post=pages.confirm),
        pages.route("/sim/qr/{token}/refuse", post=pages.refuse),
        pages.route("/sim/picture/{digest}", get=pages.picture),
        pages.route("/sim/{bot}", get=pages.phone),
        pages.route("/sim/{bot}/logout", post=pages.log_out),
        pages.route("/sim/{bot}/kick", post=pages.kick),
        pages.route("/sim/{bot}/rooms", post=pages.add_room),
        pages.route("/sim/{bot}/room/{id}", get=pages.room, post=pages.say_in_room),
        pages.route("/sim/{bot}/user/{id}", get=pages.direct, post=pages.say_directly),
        pages.route("/sim/{rest:path}", get=pages.nothing),
    ]


Handler = Callable[[Request], Awaitable[Response]]


class _Pages:
    def __init__(self, wechat: SimulatedWeChat) -> None:
        self._wechat = wechat
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"colour": colour, "initial": initial, "segment": lambda text: quote(text, safe="@")}
        folder = files(__package__) / "static"
        self._static = {name: (folder / name).read_bytes() for name in STATIC}

    # -- how a request is answered ---------------------------------------------------------------------------------------

    def route(self, path: str, *, get: Handler | None = None, post: Handler | None = None) -> Route:
        """Return a route that answers every request with a page, whatever goes wrong."""

        async def answer(request: Request) -> Response:
            try:
                handler = {"GET": get, "HEAD": get, "POST": post}.get(request.method)
                if handler is None:
                    raise Trouble("wrong_title", "method_text", 405)
                if request.method == "POST" and is_cross_site(request):
                    raise Trouble("foreign_title", "foreign_text", 403)
                return await handler(request)
            except Trouble as trouble:
                return self._trouble(request, trouble)
            except SimulatorError as error:
                found = NOTHING if error.missing else ("wrong_title", "wrong_text", 400)
                return self._trouble(request, Trouble(*found))
            except BadBody as error:
                return self._trouble(request, Trouble("wrong_title", "wrong_text", error.status))
            except apsw.Error:
                return self._trouble(request, Trouble("wrong_title", "closed_text", 503))

        return Route(path, answer, methods=METHODS)

    async def _show(self, request: Request, view: Callable[[Texts], View]) -> Response:
        """Answer with a page, or with its live part once that has changed."""
        texts = _texts(request)
        number = self._wechat.news.number
        shown, live, tag = self._live(request, texts, view(texts))
        seen = request.query_params.get("live")
        if seen is None:
            page = self._render(request, texts, shown.name, live=Markup(live), tag=tag, **shown.values)  # noqa: S704
            return _html(page, shown.status)
        if tag == seen:
            await self._wechat.news.after(number)
            shown, live, tag = self._live(request, texts, view(texts))
        if tag == seen:
            return Response(status_code=204, headers=HEADERS)
        return _html(live, 200, {"X-Live": tag})

    def _live(self, request: Request, texts: Texts, view: View) -> tuple[View, str, str]:
        live = self._render(request, texts, f"_{view.name}", **view.values)
        return view, live, hashlib.sha256(live.encode()).hexdigest()[:16]

    def _render(self, request: Request, texts: Texts, name: str, **values: Any) -> str:
        base = request.scope.get("root_path", "") + "/sim"
        return self._templates.get_template(f"{name}.html").render(t=texts, base=base, **values)

    def _trouble(self, request: Request, trouble: Trouble) -> Response:
        page = self._render(request, _texts(request), "trouble", title=trouble.title, text=trouble.text)
        return _html(page, trouble.status)

    def _back(self, request: Request, path: str) -> Response:
        """Send the browser on to a page after a form, and say so to others."""
        where = request.scope.get("root_path", "") + path
        texts = _texts(request)
        return _html(f'<a href="{Markup.escape(where)}">{texts("back")}</a>\n', 303, {"Location": where})

    def _account(self, request: Request) -> Account:
        account = self._wechat.account(request.path_params["bot"])
        if account is None:
            raise Trouble(*NOTHING)
        return account

    # -- the phones ------------------------------------------------------------------------------------------------------

    async def phones(self, request: Request) -> Response:
        """Show all phones."""

        def view(texts: Texts) -> View:
            now = self._wechat.clock()
            return View("phones", {"accounts": [self._status(account, now) for account in self._wechat.accounts()]})

        return await self._show(request, view)

    def _status(self, account: Account, now: int) -> dict[str, Any]:
        code = None if account.logged_in else self._wechat.logins.open_code(account.bot)
        return {
            "account": account,
            "since": clock_time(account.since, now),
            "connected": self._wechat.is_connected(account.bot),
            "code": code,
        }

    async def phone(self, request: Request) -> Response:
        """Show one phone: its login and its chats."""

        def view(texts: Texts) -> View:
            account = self._account(request)
            return View(
                "phone", {**self._status(account, self._wechat.clock()), "chats": chat_lines(self._wechat, account)}
            )

        return await self._show(request, view)

    async def log_out(self, request: Request) -> Response:
        """Sign the client out on the phone."""
        account = self._account(request)
        self._wechat.logins.sign_out_on_phone(account.bot)
        return self._back(request, f"/sim/{quote(account.bot)}")

    async def kick(self, request: Request) -> Response:
        """Log the account in on another device."""
        account = self._account(request)
        self._wechat.logins.kick(account.bot)
        return self._back(request, f"/sim/{quote(account.bot)}")

    async def add_room(self, request: Request) -> Response:
        """Make a new room."""
        account = self._account(request)
        form = await _form(request)
        room = self._wechat.directory.add_room(account.bot, form.get("topic", "").strip())
        return self._back(request, f"/sim/{quote(account.bot)}/room/{quote(room.id, safe='@')}")

    # -- chats -----------------------------------------------------------------------------------------------------------

    async def room(self, request: Request) -> Response:
        """Show a room."""

        def view(texts: Texts) -> View:
            account = self._account(request)
            room = self._wechat.directory.room(account.bot, request.path_params["id"])
            members = self._wechat.directory.members(account.bot, room.id)
            messages = self._wechat.messages.chat(account.bot, room_id=room.id)
            return View("chat", {
                "account": account,
                "title": room.topic,
                "count": len(members) + 1,
                "fault": room.fault,
                "bubbles": bubbles(self._wechat, account, messages),
                "speakers": [*members, me(account)],
                "speaker": request.query_params.get("from", ""),
                "action": f"{quote(account.bot)}/room/{quote(room.id, safe='@')}",
            })  # fmt: skip

        return await self._show(request, view)

    async def direct(self, request: Request) -> Response:
        """Show a direct chat."""

        def view(texts: Texts) -> View:
            account = self._account(request)
            person = by_id(self._wechat.directory.people(account.bot), request.path_params["id"])
            if person is None:
                raise Trouble(*NOTHING)
            messages = self._wechat.messages.chat(account.bot, user_id=person.id)
            return View("chat", {
                "account": account,
                "title": texts("called", remark=person.remark, name=person.name) if person.remark else person.name,
                "count": 0,
                "fault": "",
                "bubbles": bubbles(self._wechat, account, messages),
                "speakers": [person, me(account)],
                "speaker": request.query_params.get("from", ""),
                "action": f"{quote(account.bot)}/user/{quote(person.id, safe='@')}",
            })  # fmt: skip

        return await self._show(request, view)

    async def say_in_room(self, request: Request) -> Response:
        """Write in a room."""
        return await self._say(request, "room")

    async def say_directly(self, request: Request) -> Response:
        """Write in a direct chat."""
        return await self._say(request, "user")

    async def _say(self, request: Request, kind: str) -> Response:
        account = self._account(request)
        form = await _form(request)
        chat = request.path_params["id"]
        text, sender = form.get("text", "").replace("\r\n", "\n"), form.get("from", "")
        self._wechat.messages.say(account.bot, text, sender=sender, **{kind: chat})
        where = f"/sim/{quote(account.bot)}/{kind}/{quote(chat, safe='@')}"
        return self._back(request, f"{where}?from={quote(sender)}")

    # -- QR codes --------------------------------------------------------------------------------------------------------

    async def code(self, request: Request) -> Response:
        """Show what the phone shows once it has scanned a code; opening this page is scanning it."""
        token = request.path_params["token"]
        if request.method == "GET":
            self._wechat.logins.scan(token)
        return await self._show(request, lambda texts: self._code_view(self._wechat.logins.code(token)))

    async def confirm(self, request: Request) -> Response:
        """Confirm the login."""
        return await self._decide(request, self._wechat.logins.confirm, ("digits", "confirmed", "used"))

    async def refuse(self, request: Request) -> Response:
        """Refuse the login."""
        return await self._decide(request, self._wechat.logins.refuse, ("refused",))

    async def _decide(self, request: Request, decide: Callable[[str], Code | None], done: tuple[str, ...]) -> Response:
        token = request.path_params["token"]
        code = decide(token)
        if code is not None and code.state in done:
            return self._back(request, f"/sim/qr/{quote(token)}")
        return await self._show(request, lambda texts: self._code_view(self._wechat.logins.code(token)))

    def _code_view(self, code: Code | None) -> View:
        account = self._wechat.account(code.bot) if code is not None else None
        if code is None or account is None:
            return View("code", {"state": "unknown", "open": False, "code": None, "account": None}, 404)
        values = {"state": code.state, "open": code.state in OPEN, "code": code, "account": account}
        return View("code", values, 410 if code.state in DEAD else 200)

    # -- the rest --------------------------------------------------------------------------------------------------------

    async def static(self, request: Request) -> Response:
        """Serve the style sheet, the script and the icon."""
        name = request.path_params["name"]
        if name not in self._static:
            raise Trouble(*NOTHING)
        return Response(self._static[name], headers={**HEADERS, "Cache-Control": "no-cache"}, media_type=STATIC[name])

    async def picture(self, request: Request) -> Response:
        """Serve an image that reached this WeChat; it never changes under its name."""
        found = self._wechat.messages.picture(request.path_params["digest"])
        if found is None:
            raise Trouble(*NOTHING)
        kept = "private, max-age=31536000, immutable"
        return Response(found[1], headers={**HEADERS, "Cache-Control": kept}, media_type=found[0])

    async def nothing(self, request: Request) -> Response:
        """Say that there is nothing here."""
        raise Trouble(*NOTHING)


async def _form(request: Request) -> dict[str, str]:
    body = await read_body(request)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20))
    except ValueError:  # no UTF-8, or too many fields
        raise Trouble("wrong_title", "wrong_text", 400) from None


def _texts(request: Request) -> Texts:
    return texts_for(request.headers.get("accept-language", ""))


def _html(text: str, status: int, more: dict[str, str] | None = None) -> Response:
    return HTMLResponse(text, status, headers={**HEADERS, "Vary": "Accept-Language", **(more or {})})
