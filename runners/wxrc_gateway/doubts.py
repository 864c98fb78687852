"""Messages in doubt: what an operator says has become of them."""

from wxrc_core import message
from wxrc_core.errors import Refusal
from wxrc_gateway._options import ResolveArguments, checked
from wxrc_gateway._requests import NO_MESSAGE
from wxrc_gateway.gateway import Gateway
from wxrc_http.port import MessageRecord


async def resolve(gateway: Gateway, msgid: int, verdict: message.Verdict, *, by: str) -> MessageRecord:
    """Say what has become of a message in doubt, or have it sent once more. Its channel is told.

    Args:
        gateway: Any gateway on the log.
        msgid: The message's number.
        verdict: `sent`: it arrived; `failed`: it did not, and is not to be sent again; `resend`: send it once more.
        by: Who says so; it stands in the log.

    Returns:
        The message as it is then.

    Raises:
        Refusal: There is no such message, or it is not in doubt.
        Unavailable: The store failed; ask again.
    """
    arguments = checked(ResolveArguments, "resolve", msgid=msgid, verdict=verdict, by=by)
    record = await gateway.message(msgid)
    if record is None:
        raise Refusal(NO_MESSAGE.filled(msgid=msgid))
    stream = record.history[0].stream
    await gateway.execute(stream, message.Resolve(at=gateway.clock(), verdict=arguments.verdict, by=by))
    found = await gateway.message_in(stream)
    assert found is not None, "a message stays in the log while it is in doubt"
    return found
