"""The descriptors of this process: as many as may be had, and a word in the log when all of them are in use.

When none is left the server drops new connections without a word, and those that are there go on.
"""

import errno
import logging
import os
import resource

import anyio

log = logging.getLogger("wxrc.service")

EVERY_S = 1.0
"""How often it is looked whether one is left (seconds)."""

WANTED = 65_536
"""More than so many are not asked for: some systems have no limit at all."""


def raise_limit() -> int:
    """Raise the limit as far as the system lets us without special rights; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            log.info("the limit of open files stays at %d", soft)
    return soft


def used_up() -> bool:
    """Return whether no further file or connection can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


async def watch() -> None:
    """Say in the log when all descriptors are in use, and when that is over, until cancelled."""
    said = False
    while True:
        now = used_up()
        if now and not said:
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            log.warning(
                "all %d file descriptors are in use: new connections are dropped, those that are there go on; close idle ones,"
                " or raise the limit (`ulimit -n`, LimitNOFILE= of systemd)",
                limit,
            )
        elif said and not now:
            log.warning("file descriptors are free again: new connections are accepted")
        said = now
        await anyio.sleep(EVERY_S)
