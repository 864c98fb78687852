"""Behind a reverse proxy the client's address is what trusted proxies say, and never what anybody else writes into a header."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.served import LIMIT_S, Served, a_request, read_all, read_answer
from wxrc_core.errors import InvalidValue
from wxrc_http.admission import parsed_address
from wxrc_http.testing import a_channel, granted
from wxrc_service.cli import main
from wxrc_service.proxies import TrustedProxies

PROXY = "10.0.0.5"
TRUSTED = TrustedProxies(["10.0.0.0/24", "2001:db8:ffff::/48", "192.0.2.1"])
XFF, FORWARDED = "X-Forwarded-For", "Forwarded"


def client(*lines: tuple[str, str], peer: str = PROXY) -> str:
    """Return whose request it is that has these header lines."""
    return TRUSTED.client(peer, [(name.lower().encode(), value.encode("latin-1")) for name, value in lines])


CASES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nobody is named": (PROXY, []),
    "one client": ("203.0.113.9", [(XFF, "203.0.113.9")]),
    "the client's own word before": ("203.0.113.9", [(XFF, "198.51.100.1, 203.0.113.9")]),
    "a claim to be a proxy": ("203.0.113.9", [(XFF, "198.51.100.1, 10.0.0.7, 203.0.113.9")]),
    "two proxies": ("203.0.113.9", [(XFF, "198.51.100.1, 203.0.113.9, 10.0.0.7")]),
    "two lines": ("203.0.113.9", [(XFF, "198.51.100.1"), (XFF, "203.0.113.9")]),
    "rubbish before": ("203.0.113.9", [(XFF, "\x00\xff\", ,,;<script>, 203.0.113.9")]),
    "32,000 claims before": ("203.0.113.9", [(XFF, "10.0.0.7," * 8_000 + "203.0.113.9")]),
    "spaces and tabs": ("203.0.113.9", [(XFF, "\t 203.0.113.9 \t")]),
    "a port": ("203.0.113.9", [(XFF, "203.0.113.9:4711")]),
    "IPv6": ("2001:db8::9", [(XFF, "2001:db8::9")]),
    "IPv6 in brackets with a port": ("2001:db8::9", [(XFF, "[2001:db8::9]:4711")]),
    "IPv6 proxies": ("2001:db8::9", [(XFF, "2001:db8::9, 2001:db8:ffff::1")]),
    "IPv4 written as IPv6": ("203.0.113.9", [(XFF, "::ffff:203.0.113.9, ::ffff:10.0.0.7")]),
    "only proxies": ("10.0.0.8", [(XFF, "10.0.0.8, 10.0.0.7")]),
    "rubbish at the end": ("", [(XFF, "203.0.113.9, unknown")]),
    "nothing at the end": ("", [(XFF, "203.0.113.9,")]),
    "an empty line": ("", [(XFF, "")]),
    "rubbish between proxies": ("", [(XFF, "203.0.113.9, ?, 10.0.0.7")]),
    "a bracket that is open": ("", [(XFF, "[2001:db8::9")]),
    "a port that is none": ("", [(XFF, "203.0.113.9:x")]),
    "not quite an address": ("", [(XFF, "203.0.113.09")]),
    "forwarded": ("203.0.113.9", [(FORWARDED, "for=203.0.113.9;proto=https;by=10.0.0.5")]),
    "forwarded in capitals": ("203.0.113.9", [(FORWARDED, "Proto=https; For=203.0.113.9")]),
    "forwarded IPv6": ("2001:db8::9", [(FORWARDED, 'for="[2001:db8::9]:4711"')]),
    "forwarded, the client's own word before": ("203.0.113.9", [(FORWARDED, "for=198.51.100.1, for=203.0.113.9")]),
    "forwarded, an open quote before": ("203.0.113.9", [(FORWARDED, 'for="198.51.100.1, for=203.0.113.9')]),
    "forwarded, a quote around all": ("", [(FORWARDED, '"for=198.51.100.1, for=203.0.113.9"')]),
    "forwarded, two in one": ("", [(FORWARDED, "for=198.51.100.1;for=203.0.113.9")]),
    "forwarded, hidden": ("", [(FORWARDED, "for=203.0.113.9, for=_hidden")]),
    "forwarded for nobody": ("", [(FORWARDED, "by=10.0.0.5")]),
    "both, and the same": ("203.0.113.9", [(XFF, "203.0.113.9"), (FORWARDED, "for=198.51.100.1, for=203.0.113.9")]),
    "both, and one forged": ("", [(XFF, "198.51.100.1"), (FORWARDED, "for=203.0.113.9")]),
    "another header": (PROXY, [("X-Real-IP", "198.51.100.1"), ("X-Forwarded", "for=198.51.100.1"), ("Via", "x")]),
}  # fmt: skip


@pytest.mark.parametrize(("address", "lines"), CASES.values(), ids=CASES)
def test_whose_request_it_is(address: str, lines: list[tuple[str, str]]) -> None:
    """The right-most address that is no proxy's; none where the proxies' word cannot be read or contradicts itself."""
    assert address == client(*lines)


@given(st.lists(st.text(st.characters(codec="latin-1"), max_size=40), max_size=6), st.sampled_from([XFF, FORWARDED]))
def test_whatever_a_client_writes_before(claims: list[str], name: str) -> None:
    """A client that calls the proxy has its own address, whatever it wrote into the header that the proxy appends to."""
    ours = "203.0.113.9" if name == XFF else "for=203.0.113.9"
    appended = [(name, ", ".join([*claims, ours]))]
    another_line = [*((name, claim) for claim in claims), (name, ours)]

    assert ("203.0.113.9", "203.0.113.9") == (client(*appended), client(*another_line))


@given(st.binary(max_size=200), st.sampled_from([XFF, FORWARDED]))
def test_whatever_is_in_a_header(value: bytes, name: str) -> None:
    """The answer is an address or nothing."""
    found = TRUSTED.client(PROXY, [(name.lower().encode(), value)])

    assert not found or parsed_address(found) is not None


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.0.0.5", True), ("::ffff:10.0.0.5", True), ("192.0.2.1", True), ("2001:db8:ffff::7", True), ("10.0.1.5", False),
        ("192.0.2.2", False), ("2001:db8::7", False), ("", False), ("unix", False),
    ],
)  # fmt: skip
def test_who_is_trusted(peer: str, trusted: bool) -> None:
    """A proxy is who connects from its address; without an option nobody is."""
    assert (trusted, False) == (TRUSTED.trusts(peer), TrustedProxies().trusts(peer))


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.5/24", "proxy.example", "", "10.0.0.0/33"])
def test_networks_that_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who would trust everybody, or names no network, is told so; by the command too, before anything runs."""
    with pytest.raises(InvalidValue, match="trusted-proxy"):
        TrustedProxies([text])
    if text:
        with pytest.raises(SystemExit):
            main(["serve", "--trusted-proxy", f"127.0.0.1,{text}"])
        assert "trusted-proxy" in capsys.readouterr().err


# -- on a socket ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The API, which trusts a proxy at 127.0.0.1 and lets channel `crm` call from 203.0.113.0/24 only, five requests at once."""
    served = Served(proxies=TrustedProxies(["127.0.0.1"]), per_address=5, head_s=60.0, request_s=60.0)
    served.backend.channels["crm"] = a_channel("crm", granted("zhao"), allowed_addresses=("203.0.113.0/24",))
    yield served
    served.stop()


def called(served: Served, txcode: str, *lines: str, source: str = "127.0.0.1") -> tuple[str, str]:
    """Call from an address; return rtCode and rtMsg."""
    with socket.create_connection(("127.0.0.1", served.port), LIMIT_S, source_address=(source, 0)) as connection:
        connection.sendall(a_request(txcode, *lines))
        _, _, found = read_answer(connection)
    return found["rtCode"], found["rtMsg"]


def test_the_allow_list_of_a_channel(served: Served) -> None:
    """It is held against the client that a trusted proxy names; a client that connects by itself names nobody."""
    allowed, other = f"{XFF}: 203.0.113.9", f"{XFF}: 203.0.113.9, 198.51.100.1"
    codes = {
        "by the proxy": called(served, "A1", allowed)[0],
        "by the proxy, another client": called(served, "A2", other),
        "by the proxy, nobody named": called(served, "A3")[0],
        "by the proxy, forged": called(served, "A4", f"{XFF}: 198.51.100.1", f"{FORWARDED}: for=203.0.113.9")[0],
        "directly": called(served, "A5", allowed, source="127.0.0.2"),
        "forwarded": called(served, "A6", f"{FORWARDED}: for=203.0.113.9")[0],
    }

    assert "198.51.100.1" in codes["by the proxy, another client"][1]
    assert "127.0.0.2" in codes["directly"][1]
    assert ["0", "21", "21", "21", "21", "0"] == [code if isinstance(code, str) else code[0] for code in codes.values()]


def test_clients_share_connections_of_a_proxy(served: Served) -> None:
    """On one connection each request is its own client's."""
    with served.connect() as connection:
        found = []
        for number, address in enumerate(("203.0.113.9", "198.51.100.1", "203.0.113.10")):
            connection.sendall(a_request(f"B{number}", f"{XFF}: {address}"))
            found.append(read_answer(connection)[2]["rtCode"])

    assert ["0", "21", "0"] == found


@pytest.mark.wire("attack.one_address")
def test_one_client_behind_a_proxy_takes_only_its_share(served: Served) -> None:
    """The limit for an address is the client's, not the proxy's: one that has as much as it may gets 503, and others are served."""

    def unfinished(address: str) -> socket.socket:
        connection = served.connect()
        connection.sendall(a_request("C", f"{XFF}: {address}")[:-1])
        return connection

    idle = [served.connect() for _ in range(20)]
    greedy: list[Any] = [unfinished("198.51.100.7") for _ in range(9)]
    try:
        served.wait_for_connections(25)
        with served.connect() as one_more:
            one_more.sendall(a_request("C1", f"{XFF}: 198.51.100.7"))
            refused = read_all(one_more)
        other = called(served, "C2", f"{XFF}: 203.0.113.9")[0]
    finally:
        for connection in [*idle, *greedy]:
            connection.close()
    served.wait_for_connections(0)
    after = called(served, "C3", f"{XFF}: 198.51.100.7")[0]

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in refused.lower()
    assert ("0", "21") == (other, after)
    assert {} == served.server.limited._by_address
