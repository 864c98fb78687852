"""The addresses of QR images: public, so they must not be guessed, nor lead anywhere once the code is over."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

from wxrc_core.puppet import ReportLoggedIn, ReportQrCode
from wxrc_core.testing.scripted import ScriptedClient
from wxrc_gateway import Gateway, PuppetKind
from wxrc_service.app import wxrc_app
from wxrc_store import MemoryStore, StoreError
from wxrc_store.memory import MemoryVault

pytestmark = pytest.mark.anyio

NOW = 1_795_500_000_000
LIFETIME_MS = 120_000


class CountingVault(MemoryVault):
    """A vault that counts how often it is read, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.away = False

    async def get(self, name: str) -> bytes | None:
        """Return a secret."""
        self.reads += 1
        if self.away:
            raise StoreError("the vault is away")
        return await super().get(name)


class Shown:
    """A gateway with one bot that shows a code, and a browser."""

    def __init__(
        self,
        gateway: Gateway,
        script: ScriptedClient,
        browser: httpx2.AsyncClient,
        vault: CountingVault,
        clock: list[int],
    ) -> None:
        self.gateway, self.script, self.browser, self.vault = gateway, script, browser, vault
        self.clock = clock

    async def image_url(self) -> str:
        """Return the path of the image."""
        code = await self.gateway.qr_code("demo")
        assert code is not None
        return code.image_url.removeprefix("http://localhost")

    async def status(self, path: str) -> int:
        """Return the status of the answer."""
        return (await self.browser.get(path)).status_code


@asynccontextmanager
async def showing() -> AsyncIterator[Shown]:
    """Have bot `demo` show a code."""
    script, vault, clock = ScriptedClient(), CountingVault(), [NOW]
    gateway = Gateway(
        store=MemoryStore(),
        vault=vault,
        puppets={"scripted": PuppetKind(script.create, script.capabilities)},
        public_url="http://localhost",
        clock=lambda: clock[0],
    )
    transport = httpx2.ASGITransport(wxrc_app(gateway))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        shown = Shown(gateway, script, browser, vault, clock)
        async with gateway:
            await gateway.add_bot("demo", "scripted")
            await gateway.login("demo")
            with anyio.fail_after(60):
                await script.report(ReportQrCode(at=NOW, text="weixin://one", expires_at=NOW + LIFETIME_MS))
            yield shown


@pytest.mark.wire("attack.qr_urls")
async def test_guessed_addresses() -> None:
    """Only the address that the channel was told leads to an image: not the id in the log, not what is near; all others look the same."""
    async with showing() as shown:
        path = await shown.image_url()
        name = path.removeprefix("/qr/")
        code_id = shown.gateway.bot("demo").qr.code_id  # type: ignore[union-attr]
        other = "1" if name[-5] == "0" else "0"
        guesses = [
            code_id, f"{code_id}.png", name.removesuffix(".png"), name.upper(), f"{name}%00", f"{name}%20", f".{name}", name[1:],
            f"{name[:-5]}{other}.png", "demo", "demo.png", "0" * 48 + ".png", "*", "%25", "..%2f" + name, "%E4%BA%8C.png", "%FF.png",
            "x" * 5000, hashlib.sha256(code_id.encode()).hexdigest(),
        ]  # fmt: skip
        reads = shown.vault.reads
        answers = [await shown.browser.get(f"/qr/{guess}") for guess in guesses]
        read, right = shown.vault.reads - reads, await shown.browser.get(path)

    assert {404} == {answer.status_code for answer in answers}
    assert {"This QR code is no longer valid. 二维码已失效。\n", "Not Found"} == {answer.text for answer in answers}
    assert 0 == read, "a guess made the gateway read its vault"
    assert (200, "image/png", "no-store") == (
        right.status_code,
        right.headers["content-type"],
        right.headers["cache-control"],
    )


@pytest.mark.wire("attack.qr_urls")
@pytest.mark.parametrize("how", ["its time is over", "somebody has logged in", "another code is shown", "stopped"])
async def test_addresses_of_codes_that_are_over(how: str) -> None:
    """An address leads nowhere as soon as its code can no longer be scanned, whatever is left of it anywhere."""
    async with showing() as shown:
        path = await shown.image_url()
        before = await shown.status(path)
        match how:
            case "its time is over":
                shown.clock[0] = NOW + LIFETIME_MS
            case "somebody has logged in":
                await shown.script.report(ReportLoggedIn(at=NOW, wxid="wxid_1", name="一"))
            case "another code is shown":
                await shown.script.report(ReportQrCode(at=NOW, text="weixin://two", expires_at=NOW + LIFETIME_MS))
                assert 200 == await shown.status(await shown.image_url())
            case "stopped":
                await shown.gateway.stop("demo")
                with anyio.fail_after(60):
                    while shown.gateway.bot("demo").running:  # type: ignore[union-attr]
                        await anyio.sleep(0.01)
        after = await shown.status(path)

    assert (200, 404) == (before, after)


async def test_a_vault_that_is_away() -> None:
    """A replica that cannot read the vault says that it should be asked again, rather than that the code is over."""
    async with showing() as shown:
        path = await shown.image_url()
        shown.gateway._runtime.codes.clear()  # as on another replica
        shown.vault.away = True
        away = await shown.browser.get(path)
        guess = await shown.status("/qr/guess.png")
        shown.vault.away = False
        back = await shown.status(path)

    assert (503, "1", 404, 200) == (away.status_code, away.headers["retry-after"], guess, back)


async def test_before_and_after(tmp_path: Path) -> None:
    """A gateway that is not there shows nothing."""
    async with showing() as shown:
        path = await shown.image_url()

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(wxrc_app(shown.gateway)), base_url="http://localhost"
    ) as browser:
        assert 404 == (await browser.get(path)).status_code
