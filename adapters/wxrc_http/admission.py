"""Whether a signed request is let in: its channel is not suspended, calls from an allowed address, and has some of its quota left.

What is counted here is counted in this process's memory: with several replicas a channel has its quota on each. A channel's quota is
counted only once its signature holds, so nobody else can use it up. Wrong signatures are counted by channel and address, in a table of a
fixed size; a right signature is let in however many wrong ones came before it, so nobody can lock a channel out.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import anyio
from attrs import define

from wxrc_core.channel import BotGranted, Channel
from wxrc_http.answers import Code, Fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WRONG_AT_ONCE: Final = 20
"""So many wrong signatures for one channel from one address are answered at once with 13."""

WRONG_PER_MINUTE: Final = 20
"""So many more in a minute; those beyond are answered with 429."""

PLACES: Final = 10_000
"""How many pairs of channel and address are remembered; the one that was seen longest ago is forgotten first."""


@define
class Bucket:
    """A token bucket: what is left of it, and when that was worked out (seconds)."""

    left: float
    at: float

    def take(self, per_s: float, most: float, now: float) -> float:
        """Take one out; return 0.0, or for how long there will be none (seconds), in which case nothing is taken."""
        self.left = min(most, self.left + (now - self.at) * per_s)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / per_s


class Admission:
    """Lets signed requests in, and counts.

    Args:
        clock: A clock that is never set (seconds).
    """

    def __init__(self, clock: Callable[[], float] = anyio.current_time) -> None:
        self._clock = clock
        self._quotas: dict[str, Bucket] = {}
        self._wrong: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def admit(self, channel: Channel, peer: str) -> None:
        """Let a signed request in.

        Args:
            channel: The channel.
            peer: The address that the request came from, or empty.

        Raises:
            Fault: It is suspended or calls from elsewhere (21), or its quota is used up (429).
        """
        settings = channel.settings
        if channel.suspended is not None:
            raise Fault(Code.NOT_GRANTED, "suspended")
        if settings.allowed_addresses and not _allowed(settings.allowed_addresses, peer):
            raise Fault(Code.NOT_GRANTED, "address", address=peer or "?")
        if settings.requests_per_minute:
            self._count(settings.chid, settings.requests_per_minute, settings.burst)

    def _count(self, chid: str, per_minute: int, burst: int) -> None:
        now, most = self._clock(), float(burst or per_minute)
        bucket = self._quotas.get(chid)
        if bucket is None:
            bucket = self._quotas[chid] = Bucket(most, now)
        wait_s = bucket.take(per_minute / 60, most, now)
        if wait_s:
            seconds = math.ceil(wait_s)
            raise Fault(Code.UNAVAILABLE, "quota", status=429, retry_after_s=seconds, limit=per_minute, seconds=seconds)

    def wrong_signature(self, chid: str, peer: str) -> Fault:
        """Count a wrong signature; return what it is answered with: 13, the first times with status 200 and then with 429."""
        place, now = (chid, _place(peer)), self._clock()
        bucket = self._wrong.get(place)
        if bucket is None:
            if len(self._wrong) >= PLACES:
                self._wrong.popitem(last=False)
            bucket = self._wrong[place] = Bucket(WRONG_AT_ONCE, now)
        self._wrong.move_to_end(place)
        wait_s = bucket.take(WRONG_PER_MINUTE / 60, WRONG_AT_ONCE, now)
        if wait_s:
            seconds = math.ceil(wait_s)
            return Fault(Code.SIGNATURE_WRONG, "throttled", status=429, retry_after_s=seconds, seconds=seconds)
        return Fault(Code.SIGNATURE_WRONG, "signature")


def check_interface(grant: BotGranted, interface: str) -> None:
    """Refuse an interface that a grant does not cover (21)."""
    if grant.interfaces and interface not in grant.interfaces:
        raise Fault(Code.NOT_GRANTED, "interface not granted", interface=interface, names=", ".join(grant.interfaces))


def peer_of(scope: Any) -> str:
    """Return the address that a request came from, as the ASGI server says; empty where it does not."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@lru_cache(maxsize=4_096)
def _allowed(allowed: tuple[str, ...], peer: str) -> bool:
    address = parsed_address(peer)
    return address is not None and any(address in network for network in map(ipaddress.ip_network, allowed))


@lru_cache(maxsize=4_096)
def _place(peer: str) -> str:
    """Return what stands for an address when wrong signatures are counted: of IPv6 the network of a site, since a caller has all of it."""
    address = parsed_address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return peer[:64]


def parsed_address(peer: str) -> Address | None:
    """Return an address, an IPv4 one that is written as IPv6 as what it is; None = it is none."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
