"""The options of a Wechaty puppet, and what it answers where there is no gateway at all."""

from pathlib import Path

import pytest
import trio
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from tests.wechaty import certificates
from wxrc_core.puppet import NotConnected, Outgoing, Report
from wxrc_core.testing.puppet_driver import MemorySlot
from wxrc_puppet.port import PuppetContext, PuppetError
from wxrc_puppet.wechaty import WechatyPuppet, parse_options, puppet_pb2

RIGHT = {"endpoint": "127.0.0.1:8788", "token": "insecure_secret"}


def puppet(options: dict[str, str]) -> WechatyPuppet:
    """Make a puppet with these options."""
    return WechatyPuppet(
        PuppetContext(
            botcode="bot",
            options=options,
            session=MemorySlot(),
            clock=lambda: 1,
            login_kind="web",
            public_url="http://127.0.0.1:8080",
        )
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "127.0.0.1"}, "endpoint"),
        ({"endpoint": ":8788"}, "endpoint"),
        ({"endpoint": "http://127.0.0.1:8788"}, "endpoint"),
        ({"endpoint": "127.0.0.1:0"}, "endpoint"),
        ({"endpoint": "127.0.0.1:65536"}, "endpoint"),
        ({"endpoint": "127.0.0.1:²"}, "endpoint"),
        ({"endpoint": "::1:8788"}, "endpoint"),
        ({"endpoint": "a\nb:8788"}, "endpoint"),
        ({"token": ""}, "token"),
        ({"token": "insecure_secret two"}, "token"),
        ({"token": "insecure_secret\n"}, "token"),
        ({"token": "insecure_secret密"}, "token"),
        ({"tls": "insecure"}, "tls"),
        ({"tls": ""}, "tls"),
        ({"ca_file": "/no/such/file"}, "ca_file"),
        ({"ca_file": ""}, "ca_file"),
        ({"ca_file": "a\0b"}, "ca_file"),
        ({"ca_file": __file__}, "ca_file"),
        ({"ca_file": __file__, "tls": "off"}, "ca_file"),
        ({"server_name": "insecure", "tls": "off"}, "server_name"),
        ({"server_name": ""}, "server_name"),
        ({"server_name": "a b"}, "server_name"),
        ({"silence_ms": "0"}, "silence_ms"),
        ({"silence_ms": "-1"}, "silence_ms"),
        ({"answer_ms": "1.5"}, "answer_ms"),
        ({"qr_lifetime_ms": "9" * 5000}, "qr_lifetime_ms"),
        ({"login_wait_ms": "٣"}, "login_wait_ms"),
        ({"tokens": "insecure_secret"}, "tokens"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_options_are_refused_by_name(change: dict[str, str], named: str) -> None:
    """Each wrong option is refused in a sentence that names it and holds nothing of the token."""
    with pytest.raises(PuppetError) as caught:
        puppet(RIGHT | change)

    assert named in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("missing", ["endpoint", "token"])
def test_required_options_are_asked_for(missing: str) -> None:
    """Without endpoint or token there is no puppet."""
    with pytest.raises(PuppetError, match=f"Option {missing} must be"):
        parse_options({name: value for name, value in RIGHT.items() if name != missing})


def test_right_options(tmp_path: Path) -> None:
    """Everything can be set; TLS is on by default; the token shows in no repr."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(certificates().authority)
    options = parse_options(
        RIGHT | {"endpoint": "[::1]:8788", "ca_file": str(ca_file), "server_name": "insecure", "silence_ms": "500"}
    )

    assert options.tls
    assert ca_file.read_bytes() == options.ca_file
    assert ("[::1]:8788", "insecure", 500) == (options.endpoint, options.server_name, options.silence_ms)
    assert "secret" not in repr(options)
    assert not parse_options(RIGHT | {"tls": "off"}).tls


def test_trio_is_refused() -> None:
    """Under trio the puppet says at once that it needs asyncio."""

    async def run() -> None:
        async def nothing(report: Report) -> None:
            raise AssertionError(report)

        with pytest.raises(PuppetError, match="asyncio only"):
            await puppet(RIGHT).run(nothing)

    trio.run(run)


def test_generated_code_fits_the_proto_file(tmp_path: Path) -> None:
    """`puppet_pb2.py` is what `puppet.proto` says, and loads with the oldest protobuf that we promise (6.30)."""
    generated = Path(puppet_pb2.__file__)
    described = tmp_path / "described"
    folder = generated.parents[2]
    proto = generated.with_name("puppet.proto")
    assert 0 == protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={described}", str(proto)])
    [file] = FileDescriptorSet.FromString(described.read_bytes()).file
    for field in (field for message in file.message_type for field in message.field):
        field.ClearField("json_name")  # protoc derives it; generated code leaves it out
    ours = FileDescriptorProto()
    puppet_pb2.DESCRIPTOR.CopyToProto(ours)

    assert file == ours
    assert "# Protobuf Python Version: 6.30." in generated.read_text()


@pytest.mark.anyio
async def test_without_a_connection() -> None:
    """A puppet that does not run sends nothing, and says so; it can neither sign out nor release."""
    idle = puppet(RIGHT)
    outcome = await idle.send(Outgoing(msgid=1, attempt=1, room_id="1@chatroom", text="hello"))

    assert isinstance(outcome, NotConnected)
    for call in (idle.sign_out, idle.release):
        with pytest.raises(PuppetError, match="no connection to the Wechaty gateway"):
            await call()
    with pytest.raises(PuppetError, match="takes no digits"):
        await idle.submit_digits("123456")
