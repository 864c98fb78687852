"""What `wxrc bot add --option k=v` may say for a Wechaty puppet."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from attrs import field, fields, frozen

from wxrc_puppet.port import PuppetError

_LONGEST_MS = 24 * 3600 * 1000


@frozen(kw_only=True)
class WechatyOptions:
    """The options of a Wechaty puppet, checked.

    Attributes:
        endpoint: Where the gateway listens, `host:port`.
        token: What the gateway asks for; never in a log line, an error or a `repr`.
        tls: Speak TLS (`on`, the default). `off` sends the token and all messages in the clear: for the same machine only.
        ca_file: PEM file with the certificate authority to trust instead of the system's. The certificate that gateways have built
            in protects nothing, since its key is public; whoever wants it all the same names its authority here and `insecure` as
            `server_name`.
        server_name: The name in the gateway's certificate where it is not the host of `endpoint`.
        qr_lifetime_ms: How long a QR code is taken to be valid (ms); Wechaty does not say.
        login_wait_ms: How long the gateway may take to show a QR code, the first or the next (ms).
        answer_ms: How long it may take to answer a call (ms).
        silence_ms: How long it may say nothing before it is asked whether it lives (ms).
    """

    endpoint: str
    token: str = field(repr=False)
    tls: bool = True
    ca_file: bytes | None = field(default=None, repr=False)
    server_name: str = ""
    qr_lifetime_ms: int = 120_000
    login_wait_ms: int = 60_000
    answer_ms: int = 10_000
    silence_ms: int = 20_000


def parse_options(options: Mapping[str, str]) -> WechatyOptions:
    """Check the options of a bot and read the file that they name.

    Raises:
        PuppetError: An option is missing, unknown or wrong. The text names it and says what would be right.
    """
    known = [each.name for each in fields(WechatyOptions)]
    for name in options:
        if name not in known:
            raise PuppetError(f"The wechaty puppet has no option {name[:40]!r}; it has {', '.join(known)}.")
    tls = _tls(options)
    return WechatyOptions(
        endpoint=_endpoint(options),
        token=_token(options),
        tls=tls,
        ca_file=_ca_file(options, tls=tls),
        server_name=_server_name(options, tls=tls),
        **{name: _milliseconds(options, name) for name in known if name.endswith("_ms") and name in options},
    )


def _endpoint(options: Mapping[str, str]) -> str:
    endpoint = options.get("endpoint", "")
    host, colon, port = endpoint.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host.replace(":", "/")
    right = bool(colon and bare and endpoint.isascii() and endpoint.isprintable())
    if not right or any(each in "/@ ?#[]" for each in bare) or not (port.isdigit() and 0 < int(port) < 65536):
        raise PuppetError("Option endpoint must be the gateway's host and port, as in endpoint=127.0.0.1:8788.")
    return endpoint


def _token(options: Mapping[str, str]) -> str:
    token = options.get("token", "")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise PuppetError("Option token must be the gateway's token: visible ASCII characters without spaces.")
    return token


def _tls(options: Mapping[str, str]) -> bool:
    tls = options.get("tls", "on")
    if tls not in ("on", "off"):
        raise PuppetError("Option tls must be on or off; on is the default.")
    return tls == "on"


def _ca_file(options: Mapping[str, str], *, tls: bool) -> bytes | None:
    if "ca_file" not in options:
        return None
    if not tls:
        raise PuppetError("Option ca_file needs tls=on; leave it out where TLS is off.")
    try:
        authority = Path(options["ca_file"]).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authority.decode("ascii"))
    except (OSError, ValueError) as error:  # a wrong certificate is an OSError too
        raise PuppetError("Option ca_file must name a readable file with PEM certificates.") from error
    return authority


def _server_name(options: Mapping[str, str], *, tls: bool) -> str:
    name = options.get("server_name", "")
    if name and not tls:
        raise PuppetError("Option server_name needs tls=on; leave it out where TLS is off.")
    if "server_name" in options and (not name or not name.isascii() or not name.isprintable() or " " in name):
        raise PuppetError("Option server_name must be the host name in the gateway's certificate.")
    return name


def _milliseconds(options: Mapping[str, str], name: str) -> int:
    text = options[name]
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:10]) <= _LONGEST_MS or len(text) > 10:
        raise PuppetError(f"Option {name} must be a whole number of milliseconds from 1 to {_LONGEST_MS}.")
    return int(text)
