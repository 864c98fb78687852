"""The interfaces about the bot itself (wire.md, section 2): login and its digits, logout, stop, where it stands, which there are."""

import hashlib
from typing import Any

from wxrc_core.bot import Bot, BotState, user_action
from wxrc_core.operation import Kind, OperationAccepted
from wxrc_core.puppet import Capabilities
from wxrc_core.qr_code import QrCode
from wxrc_http import bodies, fields
from wxrc_http.answers import Code, Fault
from wxrc_http.call import Answer, Call
from wxrc_http.lists import page
from wxrc_http.sentences import NOTHING, LocalizedText


async def login(call: Call) -> Answer:
    """Ask for login with the puppet's default kind of client."""
    return await _login(call, "")


async def mac_login(call: Call) -> Answer:
    """Ask for login as a Mac client."""
    return await _login(call, "mac")


async def web_login(call: Call) -> Answer:
    """Ask for login as a web client."""
    return await _login(call, "web")


async def login_code(call: Call) -> Answer:
    """Hand over the digits that the phone shows during login; 34 while none are wanted.

    The digits stand in no event, and the request's fingerprint is taken together with the channel's KEY: six digits alone could be
    found from it by trying.
    """
    fields.require(call.body, bodies.Code)
    code = fields.read(call.body, bodies.Code).code
    if call.bot.phase != "digits_wanted" and await call.backend.operation_in(call.stream) is None:
        raise Fault(Code.CANNOT, "no digits wanted")
    [key, *_] = await call.backend.keys(call.head.chid)
    accepted = _accepted(call, "code", digest=hashlib.sha256(f"{key} {call.digest()}".encode()).hexdigest())
    await call.backend.submit_digits(call.stream, accepted, code)
    return "accepted", {}


async def logout(call: Call) -> Answer:
    """Sign the account out; the stored session is gone."""
    return await _operate(call, "logout")


async def stop(call: Call) -> Answer:
    """Release the client, keep the session."""
    return await _operate(call, "stop")


async def bot_status(call: Call) -> Answer:
    """Tell where the bot stands. While it is logged in but its puppet cannot be reached, that is `err`."""
    return "done", status_fields(call.bot, await call.backend.qr_code(call.head.botcode))


async def bot_list(call: Call) -> Answer:
    """List the bots that the channel may use, by botcode, page by page: where each stands, what it can do, what its pace allows.

    `sendsLeft` is how many messages may still go within a minute of now, null = no limit; `nextAt` when the next may go (epoch ms).
    """
    backend = call.backend
    channel = backend.channel(call.head.chid)
    granted = channel.grants if channel is not None else {}
    bots = {botcode: bot for botcode in granted if (bot := backend.bot(botcode)) is not None}
    names, rest = page(call, bots)
    listed = []
    for botcode in names:
        left, next_at = backend.allowance(botcode, call.head.chid)
        listed.append(
            {
                "botcode": botcode,
                **status_fields(bots[botcode], await backend.qr_code(botcode)),
                "capabilities": _capabilities(backend.capabilities(botcode)),
                "sendsLeft": left,
                "nextAt": next_at,
            }
        )
    return "done", {"bots": listed, **rest}


def status_fields(bot: Bot, code: QrCode | None) -> dict[str, Any]:
    """Return the fields of botStatus; `code` is the QR code that waits to be scanned."""
    status = "logout"
    if bot.state is BotState.LOGIN:
        status = "login" if bot.link else "err"
    found: dict[str, Any] = {
        "botStatus": status,
        "botState": str(bot.state),
        "since": bot.since,
        "reason": bot.reason,
        "userAction": user_action(bot),
        "wxid": bot.wxid,
        "name": bot.name,
    }
    if code is not None:
        found["qrcodeImageUrl"] = code.image_url
    return found


def _capabilities(able: Capabilities) -> dict[str, Any]:
    return {
        "loginKinds": list(able.login_kinds),
        "content": sorted(able.content),
        "rooms": able.rooms,
        "contacts": able.contacts,
        "mentions": able.mentions,
        "receipts": able.receipts,
        "deduplicates": able.deduplicates,
        "inbound": able.inbound,
    }


async def _login(call: Call, kind: str) -> Answer:
    kinds = call.backend.capabilities(call.head.botcode).login_kinds
    if not kinds or (kind and kind not in kinds):
        listed = ", ".join(kinds) or NOTHING
        raise Fault(Code.CANNOT, "login kind", kind=kind or LocalizedText("默认方式", "default"), kinds=listed)
    return await _operate(call, "login", kind)


async def _operate(call: Call, kind: Kind, login_kind: str = "") -> Answer:
    await call.backend.operate(call.stream, _accepted(call, kind, login_kind=login_kind))
    return "accepted", {}


def _accepted(call: Call, kind: Kind, *, login_kind: str = "", digest: str = "") -> OperationAccepted:
    head = call.head
    return OperationAccepted(
        at=call.now,
        chid=head.chid,
        botcode=head.botcode,
        txcode=head.txcode,
        interface=call.interface,
        digest=digest or call.digest(),
        kind=kind,
        login_kind=login_kind,
    )


def cancel_accepted(call: Call) -> OperationAccepted:
    """Return the operation that stands for a request to cancel a message."""
    return _accepted(call, "cancel")
