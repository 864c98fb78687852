"""The simulator's phones in the browser: scanning, reading, writing, in words for people, safe from strangers."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.applications import Starlette

from wxrc_core.puppet import Outgoing, ReportLoggedIn, ReportLoggedOut, ReportMessage, ReportQrCode
from wxrc_core.testing.puppet_driver import MemorySlot, running
from wxrc_puppet import PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat, routes
from wxrc_puppet.simulator.texts import WORDS, texts_for
from wxrc_puppet.simulator.wechat import wall_clock

pytestmark = pytest.mark.anyio

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def wechat(tmp_path: Path) -> Iterator[SimulatedWeChat]:
    """Return a new WeChat with the account of the bot `demo`."""
    with SimulatedWeChat(tmp_path / "simulator.db") as wechat:
        wechat.ensure_account("demo", {})
        yield wechat


@pytest.fixture
async def browser(wechat: SimulatedWeChat) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a browser that follows redirects."""
    transport = httpx2.ASGITransport(Starlette(routes=routes(wechat)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://sim.test", follow_redirects=True) as browser:
        yield browser


def puppet(wechat: SimulatedWeChat, public_url: str = "http://sim.test", **options: str) -> SimulatedPuppet:
    """Make a client of the bot `demo`."""
    context = PuppetContext(
        botcode="demo",
        options={"startup_ms": "0", "sync_ms": "0", **options},
        session=MemorySlot(),
        clock=wall_clock,
        login_kind="web",
        public_url=public_url,
    )
    return SimulatedPuppet(context, wechat)


def live_tag(page: httpx2.Response) -> str:
    """Return the tag of a page's live part."""
    found = re.search(r'data-live="([0-9a-f]+)"', page.text)
    assert found
    return found[1]


# -- QR codes ----------------------------------------------------------------------------------------------------------


async def test_scanning_and_confirming(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """Opening the code's URL scans it; the form there that posts to `/confirm` logs the bot in, and the page says so."""
    async with running(puppet(wechat)) as client:
        url = (await client.until(ReportQrCode)).text
        page = await browser.get(url)

        assert 200 == page.status_code
        assert f'action="{httpx2.URL(url).path}/confirm"' in page.text
        assert f'action="{httpx2.URL(url).path}/refuse"' in page.text

        confirmed = await browser.post(f"{url}/confirm")
        await client.until(ReportLoggedIn)
        after = await browser.get(url)

        assert 200 == confirmed.status_code
        assert 200 == after.status_code
        assert "登录成功" in after.text


async def test_refusing(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """The other form refuses the login, and the page says how to try again."""
    async with running(puppet(wechat)) as client:
        url = (await client.until(ReportQrCode)).text
        page = await browser.post(f"{url}/refuse", headers={"accept-language": "en"})
        await client.ended.wait()

        assert 200 == page.status_code
        assert "Login refused" in page.text
        assert "let the bot start again" in page.text
        assert 410 != (await browser.post(f"{url}/confirm")).status_code
        assert [] == client.all(ReportLoggedIn)


async def test_digits_are_shown_after_confirming(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """With `digits=on` the page shows the digits once the login is confirmed, not before."""
    async with running(puppet(wechat, digits="on")) as client:
        url = (await client.until(ReportQrCode)).text
        code = wechat.logins.code(url.rpartition("/")[2])
        assert code is not None

        assert code.digits not in (await browser.get(url)).text
        assert code.digits in (await browser.post(f"{url}/confirm")).text

        await client.puppet.submit_digits(code.digits)
        await client.until(ReportLoggedIn)


async def test_codes_that_work_no_more_say_so(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """Expired, taken-back and unknown codes have pages that say what happened and what to do, and confirm nothing."""
    expired = wechat.logins.issue("demo", lifetime_ms=-1, digits=False)
    withdrawn = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    wechat.logins.withdraw(withdrawn.token)
    for token, status, words in [
        (expired.token, 410, "二维码已过期"),
        (withdrawn.token, 410, "二维码已失效"),
        ("guessed", 404, "没有这个二维码"),
    ]:
        for page in (await browser.get(f"/sim/qr/{token}"), await browser.post(f"/sim/qr/{token}/confirm")):
            assert status == page.status_code
            assert words in page.text
            assert "<form" not in page.text


async def test_looking_at_a_code_without_reading_it_is_no_scan(
    wechat: SimulatedWeChat, browser: httpx2.AsyncClient
) -> None:
    """A HEAD request, as a link checker sends it, leaves the code as it was."""
    code = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    await browser.head(f"/sim/qr/{code.token}")

    assert code == wechat.logins.code(code.token)


# -- phone and chats ---------------------------------------------------------------------------------------------------


async def test_the_phone_shows_the_login_and_logs_out(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """The phone shows a waiting login, then since when it is logged in; its button logs the client out."""
    assert "未登录" in (await browser.get("/sim/demo")).text
    async with running(puppet(wechat)) as client:
        url = (await client.until(ReportQrCode)).text
        waiting = await browser.get("/sim/demo")

        assert httpx2.URL(url).path in waiting.text

        await browser.post(f"{url}/confirm")
        await client.until(ReportLoggedIn)
        phone = await browser.get("/sim/demo")

        assert "网页版微信已登录" in phone.text
        assert re.search(r"\d\d:\d\d 起（北京时间）", phone.text)

        out = await browser.post("/sim/demo/logout")
        await client.until(ReportLoggedOut)

        assert "从手机退出" in out.text


async def test_a_chat_is_read_and_written(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """What the bot sent stands in the room's page; what a person writes there reaches the bot, mention included."""
    room = wechat.directory.find_room("demo", "测试群")
    [person, *_] = wechat.directory.members("demo", room.id)
    async with running(puppet(wechat)) as client:
        await browser.post((await client.until(ReportQrCode)).text + "/confirm")
        await client.until(ReportLoggedIn)
        await client.puppet.send(
            Outgoing(msgid=1, attempt=1, room_id=room.id, text="货已发出", mention_names=("钱多多",))
        )
        page = await browser.get(f"/sim/demo/room/{room.id}")

        assert "@钱多多\u2005货已发出" in page.text
        assert "提醒了 钱多多" in page.text

        form = {"from": person.id, "text": "@demo 你好\r\n谢谢"}
        page = await browser.post(f"/sim/demo/room/{room.id}", data=form)
        message = await client.until(ReportMessage)

        assert "@demo 你好\n谢谢" in page.text
        assert f'<option value="{person.id}" selected>' in page.text
        assert ("@demo 你好\n谢谢", True, person.name) == (message.text, message.mentioned, message.from_name)


async def test_a_direct_chat_is_written(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """A person writes to the bot directly on the page of their chat."""
    [person, *_] = wechat.directory.people("demo")
    page = await browser.post(f"/sim/demo/user/{person.id}", data={"from": person.id, "text": "在吗"})

    assert "在吗" in page.text
    assert [("在吗", "")] == [(message.text, message.room_id) for message in wechat.messages.waiting("demo")]


async def test_a_room_is_made_on_the_phone(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """The phone's form makes a room and opens it; an empty name is refused in words."""
    page = await browser.post("/sim/demo/rooms", data={"topic": " 新群 "})
    refused = await browser.post("/sim/demo/rooms", data={"topic": ""})

    assert f"/room/{wechat.directory.find_room('demo', '新群').id}" in str(page.url)
    assert 400 == refused.status_code
    assert "没有成功" in refused.text


@pytest.mark.slow
async def test_a_page_follows_what_happens(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """Asked for its live part, a page answers at once when there is something new, as soon as there is, and 204 else."""
    room = wechat.directory.find_room("demo", "测试群")
    url = f"/sim/demo/room/{room.id}"
    first = await browser.get(url)
    tag = live_tag(first)
    answers: list[httpx2.Response] = []

    async def wait() -> None:
        answers.append(await browser.get(url, params={"live": tag}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        wechat.messages.say("demo", "新消息", room=room.id, sender="赵立伟")
    [answer] = answers
    at_once = await browser.get(url, params={"live": tag})
    nothing = await browser.get(url, params={"live": answer.headers["x-live"]})

    assert "新消息" in answer.text
    assert "<html" not in answer.text
    assert answer.text == at_once.text
    assert 204 == nothing.status_code


# -- languages and safety ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("", "zh-CN"),
        ("en-US,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("de, en;q=0.5", "en"),
        ("en;q=0.3, zh;q=0.7", "zh-CN"),
        ("fr", "zh-CN"),
        ("en;q=much", "zh-CN"),
    ],
)
async def test_pages_speak_the_language_that_is_preferred(browser: httpx2.AsyncClient, header: str, lang: str) -> None:
    """Chinese is the default; English where the browser prefers it."""
    page = await browser.get("/sim/demo", headers={"accept-language": header})

    assert f'<html lang="{lang}">' in page.text
    assert "Accept-Language" == page.headers["vary"]


def test_all_words_are_there_in_both_languages() -> None:
    """Each text has a Chinese and an English form with the same values in it."""
    for key, (chinese, english) in WORDS.items():
        values = [set(re.findall(r"\{(\w+)\}", text)) for text in (chinese, english)]

        assert values[0] == values[1], key
        assert chinese != english, key
    assert "en" == texts_for("en").lang


@pytest.mark.parametrize(
    "path", ["/sim", "/sim/demo", "/sim/static/sim.css", "/sim/qr/none", "/sim/nothing/at/all", "/sim/api/demo"]
)
async def test_every_answer_keeps_to_itself(browser: httpx2.AsyncClient, path: str) -> None:
    """Every answer forbids foreign and inline script, framing and guessing of types."""
    page = await browser.get(path)
    policy = page.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "nosniff" == page.headers["x-content-type-options"]
    assert not re.search(
        r"<script(?! src=)|<style|\son\w+=|style=|javascript:|https?://", page.text.partition("*/")[2] or page.text
    )


@pytest.mark.wire("attack.console")
@pytest.mark.wire("attack.console")
async def test_names_and_texts_are_harmless(wechat: SimulatedWeChat, browser: httpx2.AsyncClient) -> None:
    """Markup in a bot's code, a topic, a name or a text is shown and not obeyed."""
    wechat.ensure_account("<b>bot", {})
    room = wechat.directory.add_room("<b>bot", EVIL)
    wechat.messages.say("<b>bot", EVIL, room=room.id, sender=EVIL)
    wechat.messages.say("<b>bot", EVIL, user=EVIL)
    person = wechat.directory.find_person("<b>bot", EVIL)
    code = wechat.logins.issue("<b>bot", lifetime_ms=60_000, digits=False)
    assert person is not None
    for path in [
        "",
        "/%3Cb%3Ebot",
        f"/%3Cb%3Ebot/room/{room.id}",
        f"/%3Cb%3Ebot/user/{person.id}",
        f"/qr/{code.token}",
    ]:
        page = await browser.get(f"/sim{path}")

        assert 200 == page.status_code
        assert "&lt;" in page.text
        assert "<img" not in page.text
        assert "<b>bot" not in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://sim.test"}, 200),
        ({"origin": "http://sim.test:80", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://sim.test"}, 403),
        ({"origin": "http://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
    ],
)
@pytest.mark.wire("attack.console")
@pytest.mark.wire("attack.console")
async def test_other_sites_cannot_post(
    wechat: SimulatedWeChat, browser: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    """A form on another site's page is refused by the pages and the API; a client that is no browser is not."""
    code = wechat.logins.issue("demo", lifetime_ms=60_000, digits=False)
    form = await browser.post(f"/sim/qr/{code.token}/confirm", headers=headers)
    call = await browser.post("/sim/api/demo/kick", headers=headers)
    after = wechat.logins.code(code.token)

    assert (status, status) == (form.status_code, call.status_code)
    assert after is not None
    assert ("confirmed" if status == 200 else "shown") == after.state


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sim/nobody", 404),
        ("GET", "/sim/demo/room/none", 404),
        ("GET", "/sim/demo/user/none", 404),
        ("POST", "/sim/demo/room/none", 400),
        ("GET", "/sim/static/../web.py", 404),
        ("GET", "/sim/static/web.py", 404),
        ("POST", "/sim/demo", 405),
        ("GET", "/sim/qr/x/confirm", 405),
        ("DELETE", "/sim", 405),
        ("GET", "/sim/%00/%ff", 404),
    ],
)
async def test_what_is_not_there(browser: httpx2.AsyncClient, method: str, path: str, status: int) -> None:
    """What is not there, or takes no such request, is answered by a page with words and a way on."""
    page = await browser.request(method, path)

    assert status == page.status_code
    assert "全部手机" in page.text


@pytest.mark.parametrize(
    "body", [b"text=%ff&from=x", b"\xff\xfe", b"text=" + b"x" * 70_000, b"&".join([b"a=1"] * 50), b""]
)
async def test_broken_forms_are_refused_in_words(
    wechat: SimulatedWeChat, browser: httpx2.AsyncClient, body: bytes
) -> None:
    """A form that cannot be read writes nothing and is answered by a page."""
    room = wechat.directory.rooms("demo")[0]
    headers = {"content-type": "application/x-www-form-urlencoded"}
    page = await browser.post(f"/sim/demo/room/{room.id}", content=body, headers=headers)

    assert page.status_code in (400, 413)
    assert "没有成功" in page.text
    assert [] == wechat.messages.waiting("demo")
