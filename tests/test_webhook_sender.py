"""Posting one callback to real receivers: faults, limits, refused addresses, certificates; under asyncio and trio."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.receiver import SUCCESS, Answer, Receiver
from tests.webhooks import KEY, LOOPBACK, NEVER_S, OTHER_SECRET, SECRET, attempt_at, names
from wxrc_core.channel import CallbackFormat
from wxrc_webhook import (
    Acknowledged,
    Failed,
    WebhookSecretError,
    WebhookSender,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("form", ["form", "json", "bracket"])
async def test_acknowledged(receiver: Receiver, form: CallbackFormat) -> None:
    """A callback arrives with both signatures in every format, and is acknowledged."""
    async with WebhookSender() as sender:
        outcome = await sender.post(attempt_at(receiver.url + "?token=1", format=form))
    [received] = receiver.received

    assert Acknowledged() == outcome
    assert received.verified
    assert received.path == "/callback?token=1"
    assert received.webhook_id == "evt_7_crm"
    assert received.headers["webhook-timestamp"] == "1795431600"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.req_body["msgData"] == {"text": "你好 & =✅"}


async def test_rotated_secret(receiver: Receiver) -> None:
    """While a secret is rotated, a receiver verifies with either one; afterwards only with the new one."""
    async with WebhookSender() as sender:
        await sender.post(attempt_at(receiver.url, webhook_secrets=(OTHER_SECRET, SECRET)))
        await sender.post(attempt_at(receiver.url, webhook_secrets=(OTHER_SECRET,)))
    during, after = receiver.received

    assert during.verified
    assert not after.standard_verified
    assert after.md5_verified


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(status=500), Failed("answered 500")),
        (Answer(status=410, body=b""), Failed("answered 410", gone=True)),
        (Answer(status=410, times=100_000), Failed("answered 410", gone=True)),
        (Answer(status=429, headers=[("Retry-After", "600")]), Failed("answered 429", retry_after_s=600)),
        (Answer(status=503, headers=[("Retry-After", "999999")]), Failed("answered 503", retry_after_s=86400)),
        (Answer(body=b'{"result":"fail"}'), Failed('answered 200 but not {"result": "success"}')),
        (Answer(body=b"<html>"), Failed('answered 200 but not {"result": "success"}')),
        (Answer(body=SUCCESS, chunked=True), Acknowledged()),
        (Answer(raw=b"HTTP/1.0 200 OK\r\n\r\nsuccess"), Acknowledged()),
        (Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nsuccess"), Acknowledged()),
        (Answer(body=b" " * 60_000 + SUCCESS), Acknowledged()),
        (Answer(body=SUCCESS + b" " * 65_536), Failed("answered 200, but the answer is longer than 65536 bytes")),
        (Answer(times=10**7), Failed("answered 200, but the answer is longer than 65536 bytes")),
        (Answer(times=10**6, chunked=True), Failed("answered 200, but the answer is longer than 65536 bytes")),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000), Failed("the answer is longer than 65536 bytes")),
        (Answer(raw=b"HTTP/1.1 100 \r\n\r\n" * 10_000), Failed("the answer is longer than 65536 bytes")),
        (Answer(close=True), Failed("the connection was closed without a proper answer")),
        (Answer(raw=b"HTTP/1.1 200"), Failed("the connection was closed without a proper answer")),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), Failed("the answer is not proper HTTP")),
        (Answer(raw=b"HTTP/1.1 204 No Content\r\n\r\n"), Failed('answered 204 but not {"result": "success"}')),
        (Answer(raw=b"HTTP/1.1 200 OK\nContent-Length: 7\n\nsuccess"), Acknowledged()),
        (Answer(raw=b"<html>no head\r\n\r\n"), Failed("the answer is not proper HTTP")),
        (Answer(raw=b"HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\nsuccess"), Failed("the answer is not proper HTTP")),
        (
            Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nsuccess"),
            Failed("answered 200, but the answer is not proper HTTP"),
        ),
    ],
)
async def test_answers(receiver: Receiver, answer: Answer, outcome: object) -> None:
    """Every kind of answer has its outcome, and the next callback to the same receiver is not affected."""
    receiver.answer_next(answer)
    async with WebhookSender() as sender:
        assert outcome == await sender.post(attempt_at(receiver.url))
        assert Acknowledged() == await sender.post(attempt_at(receiver.url))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(delay_s=NEVER_S), "no answer in 1 s"),
        (Answer(drip_s=0.05, times=100), "answered 200, but no complete answer in 1 s"),
        (Answer(drip_s=0.05, times=100, chunked=True), "answered 200, but no complete answer in 1 s"),
        (Answer(drip_s=0.05, times=100, status=500), "answered 500"),
    ],
)
async def test_time_limit(receiver: Receiver, answer: Answer, reason: str) -> None:
    """A receiver that does not answer, or drips, is given up in time; the next callback is not affected."""
    receiver.default = answer
    async with WebhookSender(time_limit_s=1) as sender:
        assert Failed(reason) == await sender.post(attempt_at(receiver.url))
        receiver.default = Answer()
        assert Acknowledged() == await sender.post(attempt_at(receiver.url))


async def test_connecting_takes_too_long() -> None:
    """A machine that does not even take the connection is given up after the time limit."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fill its backlog
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        async with WebhookSender(time_limit_s=0.2) as sender:
            outcome = await sender.post(attempt_at(f"http://127.0.0.1:{listener.getsockname()[1]}/"))

    assert Failed("no answer in 0.2 s") == outcome


async def test_resolving_takes_too_long() -> None:
    """A name server that does not answer counts against the same time limit."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        await anyio.sleep(NEVER_S)
        return []

    async with WebhookSender(time_limit_s=0.1, resolve=resolve) as sender:
        assert Failed("no answer in 0.1 s") == await sender.post(attempt_at("http://crm.example/"))


async def test_nobody_there() -> None:
    """A closed port is a plain sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with WebhookSender() as sender:
        outcome = await sender.post(attempt_at(f"http://127.0.0.1:{port}/"))

    assert Failed(f"could not connect to 127.0.0.1:{port}: Connection refused") == outcome


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect(receiver: Receiver, status: int) -> None:
    """A redirect to an address inside is a failure, and nothing goes there."""
    with Receiver() as inside:
        receiver.answer_next(Answer(status=status, headers=[("Location", inside.url)]))
        async with WebhookSender() as sender:
            outcome = await sender.post(attempt_at(receiver.url, allow_private=LOOPBACK))

        assert Failed(f"redirected ({status}); redirects are not followed") == outcome
        assert inside.received == []


async def test_cancelled(receiver: Receiver) -> None:
    """Cancelling an attempt passes through, and leaves the sender usable."""
    receiver.answer_next(Answer(delay_s=NEVER_S))
    async with WebhookSender(time_limit_s=NEVER_S) as sender:
        async with anyio.create_task_group() as group:
            group.start_soon(sender.post, attempt_at(receiver.url))
            await receiver.arrived(1)
            group.cancel_scope.cancel()

        assert Acknowledged() == await sender.post(attempt_at(receiver.url))


async def test_not_open(receiver: Receiver) -> None:
    """Before it is entered and after it is left, a sender says so."""
    sender = WebhookSender()
    with pytest.raises(RuntimeError, match="not open"):
        await sender.post(attempt_at(receiver.url))
    async with sender:
        await sender.post(attempt_at(receiver.url))
    with pytest.raises(RuntimeError, match="not open"):
        await sender.post(attempt_at(receiver.url))


ANSWERS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda status, headers, body: b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, b"\r\n".join(headers), body),
        st.integers(0, 1100).map(lambda status: b"%d x" % status) | st.binary(max_size=8),
        st.lists(
            st.binary(max_size=20)
            | st.sampled_from(
                [
                    b"Content-Length: 7",
                    b"Content-Length: -1",
                    b"Transfer-Encoding: chunked",
                    b"Connection: upgrade",
                    b"Content-Encoding: gzip",
                    b"Retry-After: x",
                ]
            ),
            max_size=4,
        ),
        st.binary(max_size=50) | st.sampled_from([b"success", SUCCESS, b"7\r\nsuccess\r\n0\r\n\r\n"]),
    ),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=ANSWERS)
async def test_any_bytes(receiver: Receiver, raw: bytes) -> None:
    """Whatever bytes a receiver answers, there is an outcome."""
    receiver.forget()
    receiver.answer_next(Answer(raw=raw))
    async with WebhookSender(resolve=names(["127.0.0.1"])[0], ssl_context=ssl.create_default_context()) as sender:
        outcome = await sender.post(attempt_at(receiver.url))

    assert isinstance(outcome, Acknowledged | Failed)


def test_attempt_shows_nothing() -> None:
    """The repr of an attempt has neither key, secret, text nor URL in it."""
    text = repr(attempt_at("https://crm.example/?token=geheim"))

    assert "evt_7_crm" in text
    for hidden in (KEY, SECRET, "你好", "geheim"):
        assert hidden not in text


@pytest.mark.parametrize("webhook_id", ["", "a b", "a\r\nX: y", "渠道", "x" * 257])
def test_webhook_id_must_fit_a_header(webhook_id: str) -> None:
    """A webhook-id that cannot be a header value is refused when the attempt is made."""
    with pytest.raises(ValueError, match="webhook_id must be 1 to 256 visible ASCII characters"):
        attempt_at("https://crm.example/", webhook_id=webhook_id)


def test_attempt_must_be_signed() -> None:
    """There is no attempt without key or secret, nor with a malformed secret."""
    with pytest.raises(ValueError, match="channel_key must not be empty"):
        attempt_at("https://crm.example/", channel_key="")
    with pytest.raises(ValueError, match="webhook_secrets must not be empty"):
        attempt_at("https://crm.example/", webhook_secrets=())
    with pytest.raises(WebhookSecretError, match="must start with whsec_"):
        attempt_at("https://crm.example/", webhook_secrets=("geheim",))
