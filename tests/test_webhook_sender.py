"""Posting one callback to real receivers: faults, limits, refused addresses, certificates; under asyncio and trio."""

import datetime
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import httpcore
import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.receiver import SUCCESS, Answer, Receiver
from wxrc_core.channel import CallbackFormat
from wxrc_webhook import (
    Acknowledged,
    AllowPrivate,
    Attempt,
    Failed,
    WebhookSecretError,
    WebhookSender,
    new_webhook_secret,
)
from wxrc_webhook.pools import PoolKey, Pools

pytestmark = pytest.mark.anyio

KEY = "6f1d7a0c5b9e4e2f8a3c"
SECRET = new_webhook_secret(bytes(range(32)))
OTHER_SECRET = new_webhook_secret(bytes(range(24)))
NEVER_S = 60.0  # longer than any test waits
LOOPBACK = (ip_network("127.0.0.1/32"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that knows the channel's key and secret."""
    with Receiver(key=KEY, secrets=[SECRET]) as receiver:
        yield receiver


def attempt_at(url: str, **changes: Any) -> Attempt:
    """An attempt for a channel that may be called on this machine."""
    attempt = Attempt(
        url=url,
        webhook_id="evt_7_crm",
        body={"botcode": "zhao", "type": "userMsg", "msgData": {"text": "你好 & =✅"}, "seq": 7},
        channel_key=KEY,
        webhook_secrets=(SECRET,),
        timestamp=1_795_431_600,
        allow_private=True,
    )
    return evolve(attempt, **changes)


def names(*answers: Sequence[str]) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    """A resolver that gives these answers in turn (the last one from then on), and the list of names it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


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
        (Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), Failed("the connection was closed without a proper answer")),
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


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f000001:{port}/",
        "http://2130706433:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://0.0.0.0:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://169.254.169.254/latest",
    ],
)
async def test_refused_url(receiver: Receiver, url: str) -> None:
    """A URL that may not be called is an outcome too, and nothing is sent."""
    async with WebhookSender() as sender:
        outcome = await sender.post(attempt_at(url.format(port=receiver.port), allow_private=False))

    assert isinstance(outcome, Failed)
    assert "callback URL" in outcome.reason
    assert receiver.received == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["93.184.216.34", "127.0.0.1"]]
)
async def test_name_that_leads_inside(receiver: Receiver, addresses: list[str]) -> None:
    """A public name is refused when any of its addresses is not public."""
    resolve, _ = names(addresses)
    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"http://crm.example:{receiver.port}/", allow_private=False))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"The callback URL's host crm.example leads to {addresses[-1]}, which is a ")
    assert receiver.received == []


async def test_name_that_resolves_differently_within_an_attempt(receiver: Receiver) -> None:
    """A name is resolved once for a connection: what was checked is where it goes."""
    resolve, asked = names(["127.0.0.1"], ["10.0.0.1"])
    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK))

    assert Acknowledged() == outcome
    assert asked == ["crm.example"]
    assert receiver.received[0].headers["host"] == f"crm.example:{receiver.port}"


async def test_name_that_resolves_differently_the_second_time(receiver: Receiver) -> None:
    """A new connection checks the name's addresses again."""
    receiver.answer_next(Answer(headers=[("Connection", "close")]))
    resolve, asked = names(["127.0.0.1"], ["127.0.0.2"])
    attempt = attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK)
    async with WebhookSender(resolve=resolve) as sender:
        first = await sender.post(attempt)
        second = await sender.post(attempt)

    assert Acknowledged() == first
    assert isinstance(second, Failed)
    assert "leads to 127.0.0.2, which is a loopback address" in second.reason
    assert asked == ["crm.example"] * 2
    assert len(receiver.received) == 1


async def test_connections_are_kept(receiver: Receiver) -> None:
    """Callbacks one after the other share a connection to the address that was checked."""
    resolve, asked = names(["127.0.0.1"], ["10.0.0.1"])
    attempt = attempt_at(f"http://crm.example:{receiver.port}/", allow_private=LOOPBACK)
    async with WebhookSender(resolve=resolve) as sender:
        outcomes = [await sender.post(attempt) for _ in range(3)]

    assert [Acknowledged()] * 3 == outcomes
    assert {1} == {received.connection for received in receiver.received}
    assert asked == ["crm.example"]


@pytest.mark.parametrize("stricter", [False, (), (ip_network("10.0.0.0/8"),)])
async def test_connections_are_not_shared_between_policies(receiver: Receiver, stricter: AllowPrivate) -> None:
    """A connection opened for a channel that allows private networks is not there for one that does not."""
    resolve, _ = names(["127.0.0.1"])
    url = f"http://crm.example:{receiver.port}/"
    async with WebhookSender(resolve=resolve) as sender:
        assert Acknowledged() == await sender.post(attempt_at(url, allow_private=True))
        outcome = await sender.post(attempt_at(url, allow_private=stricter))

    assert isinstance(outcome, Failed)
    assert "leads to 127.0.0.1" in outcome.reason
    assert len(receiver.received) == 1


async def test_idle_connections_are_closed(receiver: Receiver) -> None:
    """Connections to a receiver that has had nothing for a while are closed when others get something."""

    def make(allow_private: AllowPrivate) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(network_backend=httpcore.AnyIOBackend())

    pools = Pools(make, keep_alive_s=0)
    key = PoolKey(True, "http", "127.0.0.1", receiver.port)
    async with pools.use(key) as quiet, pools.use(key) as same:
        await quiet.request("POST", receiver.url, content=b"")

        assert same is quiet
        assert len(quiet.connections) == 1
    async with pools.use(PoolKey(False, "http", "127.0.0.1", receiver.port)) as other:
        assert other is not quiet
        assert quiet.connections == []
    await pools.aclose()


async def test_next_address(receiver: Receiver) -> None:
    """Where the first address of a name does not take the connection, the next one is tried."""
    resolve, _ = names(["127.0.0.2", "127.0.0.1"])
    async with WebhookSender(resolve=resolve) as sender:
        assert Acknowledged() == await sender.post(attempt_at(f"http://crm.example:{receiver.port}/"))


async def test_system_resolver(receiver: Receiver) -> None:
    """Without a resolver of its own, the sender asks the operating system."""
    async with WebhookSender() as sender:
        assert Acknowledged() == await sender.post(attempt_at(f"http://localhost:{receiver.port}/"))


async def test_unknown_name() -> None:
    """A name without addresses is a plain sentence."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at("http://crm.example/"))

    assert Failed("the name crm.example could not be resolved") == outcome


async def test_no_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: it would resolve names by itself."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with WebhookSender() as sender:
        assert Acknowledged() == await sender.post(attempt_at(receiver.url))


@pytest.mark.slow
async def test_one_slow_receiver_holds_up_nobody(receiver: Receiver) -> None:
    """While a hundred callbacks wait for a receiver that does not answer, those of others go out."""
    with Receiver() as slow:
        slow.default = Answer(delay_s=NEVER_S)
        async with WebhookSender(time_limit_s=NEVER_S) as sender, anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(sender.post, attempt_at(slow.url))
            await slow.arrived(100)
            outcomes = [await sender.post(attempt_at(receiver.url)) for _ in range(20)]
            group.cancel_scope.cancel()

    assert [Acknowledged()] * 20 == outcomes


@pytest.mark.slow
async def test_many_receivers_at_once() -> None:
    """Callbacks to many receivers at once each reach their own."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver(key=KEY, secrets=[SECRET])) for _ in range(10)]
        outcomes = []

        async def post(sender: WebhookSender, url: str, webhook_id: str) -> None:
            outcomes.append(await sender.post(attempt_at(url, webhook_id=webhook_id)))

        async with WebhookSender() as sender, anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(post, sender, receivers[number % 10].url, f"evt_{number}")

        assert [Acknowledged()] * 100 == outcomes
        for number, one in enumerate(receivers):
            assert {f"evt_{i}" for i in range(number, 100, 10)} == {received.webhook_id for received in one.received}
            assert all(received.verified for received in one.received)


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


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate authority, and a certificate by it for hooks.example and 127.0.0.1: (authority, chain with key)."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = (
        build("test authority", "test authority", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    alternatives = x509.SubjectAlternativeName([x509.DNSName("hooks.example")])
    certificate = (
        build("hooks.example", "test authority", key)
        .add_extension(alternatives, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return folder / "ca.pem", folder / "server.pem"


@pytest.fixture
def tls_receiver(authority: tuple[Path, Path]) -> Iterator[Receiver]:
    """A receiver with a certificate for hooks.example, which refuses a connection that does not ask for that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[1])
    with Receiver(key=KEY, secrets=[SECRET], tls=context) as receiver:
        yield receiver


async def test_tls(tls_receiver: Receiver, authority: tuple[Path, Path]) -> None:
    """Over TLS, a callback arrives where the certificate is right for the name, though the connection goes to an address."""
    trusted = ssl.create_default_context(cafile=authority[0])
    resolve, _ = names(["127.0.0.1"])
    tls_receiver.answer_next(Answer(), Answer(times=10**6))
    async with WebhookSender(ssl_context=trusted, resolve=resolve) as sender:
        attempt = attempt_at(f"https://hooks.example:{tls_receiver.port}/")
        outcomes = [await sender.post(attempt) for _ in range(3)]

    assert [
        Acknowledged(),
        Failed("answered 200, but the answer is longer than 65536 bytes"),
        Acknowledged(),
    ] == outcomes
    assert all(received.verified for received in tls_receiver.received)
    assert tls_receiver.received[0].headers["host"] == f"hooks.example:{tls_receiver.port}"


async def test_server_name(authority: tuple[Path, Path]) -> None:
    """The TLS handshake asks for the name, not for the address."""
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[1])
    context.sni_callback = lambda connection, name, used: asked.append(name)
    resolve, _ = names(["127.0.0.1"])
    with Receiver(tls=context) as receiver:
        async with WebhookSender(
            ssl_context=ssl.create_default_context(cafile=authority[0]), resolve=resolve
        ) as sender:
            await sender.post(attempt_at(f"https://hooks.example:{receiver.port}/"))

    assert asked == ["hooks.example"]


@pytest.mark.parametrize(
    ("host", "words"),
    [("other.example", "Hostname mismatch"), ("127.0.0.1", "IP address mismatch")],
)
async def test_certificate_for_another_name(
    tls_receiver: Receiver, authority: tuple[Path, Path], host: str, words: str
) -> None:
    """A trusted certificate for another name is refused, with a sentence that says so, and nothing is sent."""
    resolve, _ = names(["127.0.0.1"])
    async with WebhookSender(ssl_context=ssl.create_default_context(cafile=authority[0]), resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"https://{host}:{tls_receiver.port}/"))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"the certificate of {host} is not valid: {words}")
    assert tls_receiver.received == []


async def test_certificate_by_a_stranger(tls_receiver: Receiver) -> None:
    """By default only the usual authorities are trusted."""
    resolve, _ = names(["127.0.0.1"])
    async with WebhookSender(resolve=resolve) as sender:
        outcome = await sender.post(attempt_at(f"https://hooks.example:{tls_receiver.port}/"))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("the certificate of hooks.example is not valid: unable to get local issuer")
    assert tls_receiver.received == []


async def test_no_tls_there(receiver: Receiver) -> None:
    """An https URL at a plain HTTP port is a plain sentence."""
    async with WebhookSender() as sender:
        outcome = await sender.post(attempt_at(receiver.url.replace("http:", "https:")))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"no TLS connection to 127.0.0.1:{receiver.port}: ")
