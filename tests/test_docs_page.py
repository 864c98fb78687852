"""The page at /docs, in a real browser, against a real service: it shows every interface, signs with the KEY, and sends."""

import json
import shutil
from collections.abc import Iterator

import httpx2
import pytest
from attrs import field, frozen
from playwright.sync_api import Page, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.live import Service, cli_json
from wxrc_gateway import Gateway
from wxrc_http import INTERFACES
from wxrc_http.openapi import CALLBACKS
from wxrc_service import wxrc_app
from wxrc_store import MemoryStore

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_MS = 30_000


@frozen
class Site:
    """A service with channel `crm` and bot `zhao`."""

    url: str
    key: str = field(repr=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the service."""
    data = tmp_path_factory.mktemp("docs") / "data"
    with Service(data) as service:
        made = cli_json("channel", "add", "crm", "--json", data=data)
        service.cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm")
        service.start()
        yield Site(service.url, made["key"])


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page of this width (pixels) that reads Chinese; whatever its console complains of fails the test."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "the docs page is tested in Chromium; run: sudo apt-get install --yes chromium"
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": request.param, "height": 900}, locale="zh-CN")
        page.set_default_timeout(LIMIT_MS)
        page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        yield page
        browser.close()
    assert [] == [each for each in troubles if "favicon" not in each]


@pytest.mark.slow
def test_it_signs_and_sends(site: Site, page: Page) -> None:
    """A call filled in by hand is signed in the browser and answered; the KEY is in no request; nothing is wider than the screen."""
    asked: list[tuple[str, str, str]] = []
    page.on("request", lambda each: asked.append((each.url, str(each.headers), each.post_data or "")))
    page.goto(f"{site.url}/docs")
    page.click("a[href='#interface/roomSendText']")
    page.fill("[name=chid]", "crm")
    page.fill("[name=botcode]", "zhao")
    page.fill("[name=key]", site.key)
    page.fill("[name=body]", json.dumps({"roomTopic": "客服一群", "text": "<b>你好</b>"}, ensure_ascii=False))
    page.click("#try button")
    answer = json.loads(page.inner_text("#answer"))["resBody"]
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    assert ("0", "0", "消息已受理，排队中") == (answer["rtCode"], answer["sendStatus"], answer["rtMsg"])
    assert width <= 0
    [sent] = [each for each in asked if "/api/" in each[0]]
    assert "hmac-sha256-v2" in sent[1].lower()
    assert "<b>你好</b>" in sent[2]
    assert not [each for each in asked if site.key in "".join(each)]
    assert {site.url} == {each[0][: len(site.url)] for each in asked}


@pytest.mark.slow
def test_wrong_input_is_told(site: Site, page: Page) -> None:
    """Without a KEY, with JSON that is none, and with a wrong KEY, the page says so; in English once that is chosen."""
    page.goto(f"{site.url}/docs#interface/botStatus")
    page.click("#try button")
    without = page.inner_text("#result")
    page.fill("[name=chid]", "crm")
    page.fill("[name=botcode]", "zhao")
    page.fill("[name=key]", "x" * 40)
    page.fill("[name=body]", "{")
    page.click("#try button")
    no_json = page.inner_text("#result")
    page.click("[data-lang=en]")
    page.wait_for_selector("text=Sign and send")
    page.click("#try button")
    refused = json.loads(page.inner_text("#answer"))["resBody"]

    assert "请填写 chid、botcode 和 KEY" in without
    assert "reqBody 不是有效的 JSON" in no_json
    assert ("13", True) == (refused["rtCode"], refused["rtMsg"].startswith("The signature"))


@pytest.mark.slow
def test_every_interface_is_shown(site: Site, page: Page) -> None:
    """Each interface and each callback has its page, in both languages, with fields and examples."""
    for language, words in (("zh", ("示例", "请求")), ("en", ("Examples", "Request"))):
        page.goto(f"{site.url}/docs?lang={language}")
        for link in [*(f"interface/{name}" for name in INTERFACES), *(f"callback/{name}" for name in CALLBACKS)]:
            page.click(f"a[href='#{link}']")
            page.wait_for_selector(f"h2:text-is('{link.partition('/')[2]}')")
            shown = page.inner_text("main")
            assert any(word in shown for word in words)
            assert page.locator("main pre").count() >= 1
            assert "undefined" not in shown


def test_its_policy(site: Site) -> None:
    """Nothing but what the service itself serves may be loaded, run or called, and no other site may frame it."""
    page = httpx2.get(f"{site.url}/docs")
    policy = page.headers["content-security-policy"]

    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in page.text


@pytest.mark.parametrize("prefix", ["", "/wechat"])
def test_it_works_under_a_path(prefix: str) -> None:
    """Under any path the page finds its files and the document, which says where the interfaces are."""
    gateway = Gateway(store=MemoryStore(), puppets={}, public_url=f"http://localhost{prefix}")
    app = wxrc_app(gateway)
    with TestClient(Starlette(routes=[Mount(prefix, app)]) if prefix else app, "http://localhost") as client:
        page = client.get(f"{prefix}/docs")
        home = client.get(f"{prefix}/")
        files = [client.get(f"{prefix}/docs/{name}").status_code for name in ("page.js", "page.css")]
        document = client.get(f"{prefix}/openapi.json").json()

    assert 'src="docs/page.js"' in page.text
    assert f'href="{prefix}/docs?lang=en"' in home.text
    assert [200, 200] == files
    assert [{"url": prefix or "/"}] == document["servers"]
