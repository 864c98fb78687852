"""QR codes: in the vault from before the log names them until they are over (`wxrc_core.qr_code`)."""

import logging

import msgspec

from wxrc_core import qr_code
from wxrc_core.bot import QrCodeIssued
from wxrc_core.bot_world import BotWorld
from wxrc_core.errors import Unavailable
from wxrc_core.localized import LocalizedText
from wxrc_core.puppet import ReportQrCode
from wxrc_core.qr_code import QrCode
from wxrc_gateway._runtime import Runtime
from wxrc_gateway.retry import retry_until_available
from wxrc_store.port import Vault

log = logging.getLogger("wxrc.gateway")

LOOK_AGAIN_MS = 30_000
"""How long an expiry is waited for at once (ms): wall clocks are set, and nothing is to wait for the jump."""

DELETE_AGAIN_MS = 1_000
"""How long until what the vault did not delete is deleted again (ms)."""

STALE_MS = 3_600_000
"""A code that stopped working so long ago is nobody's any more (ms)."""


async def shown_code(runtime: Runtime, botcode: str) -> QrCode | None:
    """Return the QR code that waits to be scanned, or None. Raises as `read_code`."""
    known = runtime.ledger.world.view.bots.get(botcode)
    issued = known.state.qr if known is not None else None
    if issued is None or issued.expires_at <= runtime.clock():
        return None
    if not issued.code_id:
        return QrCode(issued.text, issued.image_url, issued.expires_at)  # an earlier release recorded it
    return await read_code(runtime, botcode, issued.code_id)


async def named_code(runtime: Runtime, name: str) -> QrCode | None:
    """Return the QR code that waits to be scanned and whose image has this name, or None: a guess costs no look into the vault.

    Raises as `read_code`.
    """
    wanted = qr_code.id_of(name)
    for botcode, known in runtime.ledger.world.view.bots.items():
        if known.state.qr is not None and _has_name(known.state.qr, wanted, name):
            return await shown_code(runtime, botcode)
    return None


def _has_name(issued: QrCodeIssued, code_id: str, name: str) -> bool:
    return issued.code_id == code_id if issued.code_id else issued.image_url.endswith(f"/qr/{name}")


async def read_code(runtime: Runtime, botcode: str, code_id: str) -> QrCode | None:
    """Return the QR code with this id, or None where it is over.

    Raises:
        Unavailable: The vault cannot be read, or not with this key.
    """
    kept_id, code = runtime.codes.get(botcode, ("", None))
    if kept_id == code_id:
        return code
    secret = await runtime.vault.get(qr_code.vault_name(botcode, code_id))
    if secret is None:
        return None
    try:
        code = qr_code.decode(secret)
    except msgspec.DecodeError:
        raise Unavailable(
            LocalizedText(
                "保险库中的二维码已损坏；请重新请求登录", "the QR code in the vault is damaged; ask for login again"
            )
        ) from None
    runtime.codes[botcode] = code_id, code
    return code


async def forget_stale_codes(vault: Vault, now: int) -> None:
    """Forget the codes that gateways left in the vault when they were killed."""
    try:
        names = [name for name in await vault.names() if qr_code.is_vault_name(name)]
        for name in names:
            secret = await vault.get(name)
            if secret is not None and qr_code.decode(secret).expires_at + STALE_MS < now:
                await vault.delete(name)
    except (Unavailable, msgspec.DecodeError) as error:
        log.info("the vault was not searched for old QR codes: %s", error)


class BotCodes:
    """The QR codes that the clients of one bot show."""

    def __init__(self, runtime: Runtime, world: BotWorld) -> None:
        self._runtime, self._world = runtime, world
        self._latest: tuple[int, str, str] = (0, "", "")  # run, text and id of the code that was shown last
        the_bot = world.bot
        # What the former owner's client shows is over as soon as the log says that it is gone.
        shown = the_bot.qr.code_id if the_bot is not None and the_bot.qr is not None else ""
        self._kept = {shown} if shown else set()

    async def keep(self, run: int, report: ReportQrCode) -> str:
        """Keep a code that a client shows; return its id, which is the same where the same client shows the same code again."""
        if self._latest[:2] == (run, report.text):
            return self._latest[2]
        runtime, botcode = self._runtime, self._world.botcode
        name = qr_code.image_name(f"{runtime.chance.getrandbits(192):048x}")
        code_id = qr_code.id_of(name)
        code = QrCode(report.text, f"{runtime.public_url}/qr/{name}", report.expires_at)
        place = qr_code.vault_name(botcode, code_id)
        await retry_until_available(lambda: runtime.vault.put(place, qr_code.encode(code)))
        self._latest = run, report.text, code_id
        runtime.codes[botcode] = code_id, code
        return code_id

    def recorded(self, code_id: str) -> None:
        """Take note that the log names this code, or that it never will."""
        self._kept.add(code_id)

    async def forget_over(self) -> int | None:
        """Forget the codes that are over; return how long until the next one may be (ms), or None = there is none."""
        runtime, the_bot = self._runtime, self._world.bot
        shown, now = the_bot.qr if the_bot is not None else None, runtime.clock()
        waits = []
        for code_id in list(self._kept):
            if shown is not None and shown.code_id == code_id and shown.expires_at > now:
                waits.append(min(shown.expires_at - now, LOOK_AGAIN_MS))
                continue
            try:
                await runtime.vault.delete(qr_code.vault_name(self._world.botcode, code_id))
                self._kept.discard(code_id)
                if runtime.codes.get(self._world.botcode, ("",))[0] == code_id:
                    del runtime.codes[self._world.botcode]
            except Unavailable as error:
                log.info("bot %s: its QR code stays in the vault for now: %s", self._world.botcode, error)
                waits.append(DELETE_AGAIN_MS)
        return min(waits, default=None)
