"""Callbacks over TLS: the certificate must be right for the name, though the connection goes to an address."""

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.receiver import Answer, Receiver
from tests.webhooks import KEY, SECRET, attempt_at, names
from wxrc_webhook import (
    Acknowledged,
    Failed,
    WebhookSender,
)

pytestmark = pytest.mark.anyio


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
