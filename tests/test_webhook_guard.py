"""Which URLs and addresses may be called: every way in that facts and experience name, and what stays allowed."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrc_webhook import AllowPrivate, CallbackUrlError, check_url
from wxrc_webhook.guard import check_address, checked_target

LOOPBACK_ONLY = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/callback",
        "https://crm.example",
        "https://crm.example:8443/a/b?token=1#part",
        "HTTPS://CRM.EXAMPLE/",
        "https://客服.example/回调?名=值",
        "https://crm_internal-1.example./x",
        "http://93.184.216.34/",
        "http://[2606:2800:220:1:248:1893:25c8:1946]:8080/",
        "http://[64:ff9b::93.184.216.34]/",
        "http://1password.example/",
        "http://0xcafe.example/",
    ],
)
def test_public_urls(url: str) -> None:
    """Ordinary URLs of public receivers are fine under every policy."""
    for policy in (False, True, LOOPBACK_ONLY):
        check_url(url, policy)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "crm.example/callback",
        "//crm.example/callback",
        "file:///etc/passwd",
        "gopher://crm.example/",
        "ftp://crm.example/",
        "javascript:alert(1)",
        "http://",
        "http:///callback",
        "http://:80/",
        "http://user@crm.example/",
        "http://user:password@crm.example/",
        "http://@crm.example/",
        "http://93.184.216.34@127.0.0.1/",
        "http://crm.example:0/",
        "http://crm.example:65536/",
        "http://crm.example:eighty/",
        "http://crm.example /",
        " http://crm.example/",
        "http://crm.exa\tmple/",
        "http://crm.example/\r\nHost: other",
        "http://crm.example\\@127.0.0.1/",
        "http://crm..example/",
        "http://.example/",
        "http://crm.example%2f/",
        "http://crm!.example/",
        "http://a℀b.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 127 + "example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.x]/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1.0x/",
        "http://256.256.256.256/",
        "http://0/",
        "http://１２７.１/",
    ],
)
def test_malformed_urls(url: str) -> None:
    """What is not a plain http(s) URL with a plain host is refused, whatever the channel allows."""
    for policy in (False, True, (ip_network("0.0.0.0/0"), ip_network("::/0"))):
        with pytest.raises(CallbackUrlError, match=r"^(The|An|Square) .*callback URL.*\.$"):
            check_url(url, policy)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "localhost",
        "LOCALHOST.",
        "crm.localhost",
        "１２７.０.０.１",
        "127.0.0.1.",
        "[::1]",
        "[fc00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[2002:7f00:1::]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::10.0.0.1]",
    ],
)
@pytest.mark.wire("attack.ssrf")
def test_private_hosts(host: str) -> None:
    """Private and loopback hosts, in every spelling that is one, need the channel's permission; in odd spellings it does not help."""
    with pytest.raises(CallbackUrlError):
        check_url(f"http://{host}/", False)
    if not host.endswith(".1.") and host.isascii():
        check_url(f"http://{host}/", True)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "[::]",
        "[fe80::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[::ffff:169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:7f00:1::]",
    ],
)
@pytest.mark.parametrize("policy", [False, True, LOOPBACK_ONLY])
def test_hosts_that_need_a_network_by_name(host: str, policy: AllowPrivate) -> None:
    """Link-local (cloud metadata), multicast, reserved and unspecified addresses are not private networks."""
    with pytest.raises(CallbackUrlError):
        check_url(f"http://{host}/", policy)


def test_networks_by_name() -> None:
    """A list of networks allows these, public addresses, and no other private ones."""
    policy = (ip_network("10.8.0.0/16"), ip_network("fd00::/8"), ip_network("169.254.7.0/24"))
    for host in ("10.8.1.2", "[fd00::1]", "[::ffff:10.8.1.2]", "169.254.7.1", "93.184.216.34"):
        check_url(f"http://{host}/", policy)
    for host in ("10.9.1.2", "127.0.0.1", "192.168.0.1", "[fc00::1]", "169.254.169.254"):
        with pytest.raises(CallbackUrlError, match="outside the networks"):
            check_url(f"http://{host}/", policy)


def test_no_network_by_name() -> None:
    """An empty list of networks allows no private address."""
    with pytest.raises(CallbackUrlError):
        check_url("http://10.0.0.1/", ())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://user:geheim@crm.example/", "must not hold a user name"),
        ("file:///etc/passwd", "must start with http:// or https://"),
        ("http://127.0.0.1/", "127.0.0.1 is a loopback address; use a public one, or allow private networks"),
        ("http://169.254.169.254/latest", "169.254.169.254 is a link-local address"),
        ("http://0x7f000001/", "four decimal numbers"),
        ("http://crm.example:99999/", "port from 1 to 65535"),
    ],
)
def test_sentences(url: str, words: str) -> None:
    """A refusal says what would be right and repeats no password."""
    with pytest.raises(CallbackUrlError, match=words) as caught:
        check_url(url)

    assert "geheim" not in str(caught.value)


@pytest.mark.wire("attack.ssrf")
def test_resolved_address() -> None:
    """A refusal of a resolved address names both the name and the address; a scope does not confuse it."""
    with pytest.raises(CallbackUrlError, match=r"crm\.example leads to fe80::1%eth0, which is a link-local address"):
        check_address("crm.example", "fe80::1%eth0", True)


@pytest.mark.parametrize(
    ("url", "host", "host_header", "path"),
    [
        ("http://CRM.example", "crm.example", "crm.example", "/"),
        ("http://crm.example:80/a?b=c#d", "crm.example", "crm.example", "/a?b=c"),
        ("https://crm.example:8443?b", "crm.example", "crm.example:8443", "/?b"),
        ("https://crm.example.:443/%E4%BD%A0?q=a%20b", "crm.example", "crm.example", "/%E4%BD%A0?q=a%20b"),
        ("http://中国.example/你", "xn--fiqs8s.example", "xn--fiqs8s.example", "/%E4%BD%A0"),
        ("http://[2606:2800:220:1::1]:81/", "2606:2800:220:1::1", "[2606:2800:220:1::1]:81", "/"),
    ],
)
def test_parts(url: str, host: str, host_header: str, path: str) -> None:
    """A URL comes apart into what the request needs."""
    target = checked_target(url, False)

    assert (host, host_header, path) == (target.host, target.host_header, target.path)


@given(st.text() | st.text().map("http://{}/".format) | st.from_regex(r"https?://[\[\]a-f0-9.:@%\\/x]{0,30}"))
def test_any_text(url: str) -> None:
    """Whatever is given as a URL is either refused with a sentence or comes apart into plain ASCII."""
    try:
        target = checked_target(url, False)
    except CallbackUrlError:
        return

    assert (target.host + target.path).isascii()
    assert not set(target.host_header + target.path) & set(" \r\n\t\\@") - {"@"}


@given(st.ip_addresses())
def test_any_address(address: object) -> None:
    """What the strictest policy lets through, every other one does too."""
    try:
        check_address("crm.example", str(address), False)
    except CallbackUrlError:
        return

    check_address("crm.example", str(address), True)
    check_address("crm.example", str(address), LOOPBACK_ONLY)
