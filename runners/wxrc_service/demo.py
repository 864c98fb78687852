"""The demonstration: a service with a channel, a simulated bot and a callback receiver that prints what arrives.

The receiver is a business system in small: it checks both signatures of each callback with the client SDK, as a receiver of yours would.
"""

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wxrc_client import ACKNOWLEDGEMENT, CallbackReceiver, CallbackRefused, QrCode
from wxrc_core.channel import key_name, webhook_secret_name
from wxrc_gateway import Gateway

CHID = BOT = "demo"


class DemoReceiver:
    """The callback receiver of channel `demo`."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.key = ""
        self.webhook_secret = ""
        self.route = Route("/demo/callback", self._receive, methods=["POST"])

    async def _receive(self, request: Request) -> Response:
        checks = CallbackReceiver(webhook_secrets=[self.webhook_secret], keys=[self.key])
        try:
            received = checks.receive(request.headers, await request.body())
        except CallbackRefused:
            self._say("✗ a callback whose signatures do not hold was refused")
            return JSONResponse({"result": "fail"}, 401)
        shown = {name: value for name, value in received.body.items() if name not in ("type", "botcode", "seq", "time")}
        self._say(f"← callback {received.body['type']}: {json.dumps(shown, ensure_ascii=False)}")
        if isinstance(received.callback, QrCode):
            self._say(f"  open {received.callback.qrcode} and confirm, as a phone would that scans the code")
        return Response(ACKNOWLEDGEMENT, media_type="application/json")


async def set_up(gateway: Gateway, url: str, receiver: DemoReceiver) -> None:
    """Make the channel and the bot, unless they are there from an earlier run."""
    if gateway.bot(BOT) is None:
        await gateway.add_bot(BOT, "simulator")
    if gateway.channel(CHID) is None:
        await gateway.add_channel(CHID, callback_url=f"{url}/demo/callback", allow_private=True)
        await gateway.grant_bot(CHID, BOT)
    await gateway.move_callback(
        CHID, f"{url}/demo/callback", allow_private=True
    )  # another port than last time, perhaps
    channel = gateway.channel(CHID)
    assert channel is not None
    key = await gateway.vault.get(key_name(CHID, channel.key_ids[0]))
    secret = await gateway.vault.get(webhook_secret_name(CHID, channel.webhook_secret_ids[0]))
    assert key is not None
    assert secret is not None
    receiver.key, receiver.webhook_secret = key.decode(), secret.decode()


def signed_curl(url: str, key: str, interface: str, body: str) -> str:
    """Return a shell line that signs and sends a request of channel `demo`: it takes a new txcode and the time whenever it is run."""
    head = f'{{"chid":"{CHID}","botcode":"{BOT}","txcode":"\'$(openssl rand -hex 10)\'","txtime":"\'$(date +%s)000\'"}}'
    return (
        f'T=\'{{"reqHead":{head},"reqBody":{body}}}\'; '
        f'curl -sS {url}/api/{interface} -H "Content-Type: application/json" -H "X-Ecaspsplus-SignatureType: HMAC-SHA256" '
        f'-H "X-Ecaspsplus-Signature: $(printf %s "$T" | openssl dgst -sha256 -hmac {key} -r | cut -d\' \' -f1)" -d "$T"; echo'
    )


def guide(gateway: Gateway, url: str, key: str) -> str:
    """Return what a person is to do now."""
    bot = gateway.bot(BOT)
    room = "客服一群"
    logged_in = bot is not None and bot.state == "login"
    return f"""
WXRC runs at {url} with channel `{CHID}`, bot `{BOT}` and the simulator. Callbacks are printed here. Ctrl-C stops it.
The channel's KEY is {key}

1. The phone, in any browser:  {url}/sim/{BOT}
2. Log the bot in{" (it is logged in from before)" if logged_in else ""}; the QR code comes as a callback below:

{signed_curl(url, key, "login", "{}")}

3. Send a text to a room; see it on the phone. Then write `@{BOT} 你好` there yourself:

{signed_curl(url, key, "roomSendText", f'{{"roomTopic":"{room}","text":"你好 WXRC"}}')}
"""
