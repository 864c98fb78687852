"""How names become addresses: by the operating system, without anybody waiting for another one's name server.

A look-up of the operating system cannot be cancelled and occupies a thread for as long as a dead name server takes, half a minute and more.
So each name has one thread of its own, which all who ask for that name share, and which nobody waits for at the end: neither the other
receivers nor the way down are ever late because of it.
"""

import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import anyio
import anyio.from_thread
import anyio.lowlevel

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Tells the addresses of a name and port, in the order in which to try them. Raises OSError where there are none."""

NAMES_AT_ONCE: Final = 512


def ask_system(host: str, port: int) -> list[str]:
    """Return what the operating system says; it may take long.

    Raises:
        OSError: There are no addresses.
        UnicodeError: It is no name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _LookUp:
    """A look-up that is under way, and how it ended."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.addresses: Sequence[str] = ()


def system_resolver(ask: Callable[[str, int], Sequence[str]] = ask_system) -> Resolver:
    """Return a resolver that asks the operating system, for use in one event loop.

    Args:
        ask: Called in a thread; says the addresses.
    """
    running: dict[tuple[str, int], _LookUp] = {}

    def work(name: tuple[str, int], look_up: _LookUp, token: anyio.lowlevel.EventLoopToken) -> None:
        with suppress(OSError, UnicodeError):
            look_up.addresses = ask(*name)

        def end() -> None:
            del running[name]
            look_up.ended.set()

        with suppress(RuntimeError):  # the event loop has ended meanwhile
            anyio.from_thread.run_sync(end, token=token)

    async def resolve(host: str, port: int) -> Sequence[str]:
        name = (host, port)
        look_up = running.get(name)
        if look_up is None:
            if len(running) >= NAMES_AT_ONCE:
                raise OSError("too many name servers do not answer")
            look_up = running[name] = _LookUp()
            # Daemon threads: a thread pool's threads would be waited for when the process ends.
            token = anyio.lowlevel.current_token()
            threading.Thread(target=work, args=(name, look_up, token), name="wxrc-look-up", daemon=True).start()
        await look_up.ended.wait()
        return look_up.addresses

    return resolve
