"""Puppets of other people's: what installed packages offer as entry points of the group `wxrc.puppets`.

An entry point's name is the puppet's, as in `wxrc bot add BOT --puppet NAME`. It names a `wxrc_gateway.PuppetKind`, or a function without
arguments that returns one. A puppet that cannot be loaded is left out with a sentence; the service and its other bots go on.
"""

import logging
from collections.abc import Collection
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

import anyio
import anyio.to_thread

from wxrc_core.errors import Refusal
from wxrc_gateway import PuppetKind

log = logging.getLogger("wxrc.service")

GROUP = "wxrc.puppets"

LIMIT_S = 10.0
"""How long a puppet may take to be imported while the service comes up (seconds)."""


@lru_cache(maxsize=1)
def offered() -> dict[str, list[EntryPoint]]:
    """Return the entry points of the group by name: one each, unless packages disagree."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, _package(each))):
        found.setdefault(entry.name, []).append(entry)
    return found


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def load(name: str) -> PuppetKind:
    """Import the puppet of this name.

    Raises:
        Refusal: It cannot be used; the sentence names it, its package, and why.
    """
    first, *others = offered()[name]
    if others:
        packages = " and ".join(_package(each) for each in (first, *others))
        raise Refusal(f"puppet '{name}' is offered by {packages}; uninstall all but one of them")
    try:
        found = first.load()
        kind = found() if callable(found) and not isinstance(found, PuppetKind) else found
    except (Exception, SystemExit) as error:  # its code may do anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise Refusal(f"puppet '{name}' of {_package(first)} cannot be loaded from {first.value} ({reason})") from error
    if not isinstance(kind, PuppetKind):
        raise Refusal(
            f"puppet '{name}' of {_package(first)}: {first.value} must be a wxrc_gateway.PuppetKind or a function without"
            f" arguments that returns one, not {type(kind).__name__}"
        )
    return kind


async def load_all(reserved: Collection[str], limit_s: float = LIMIT_S) -> dict[str, PuppetKind]:
    """Import every puppet that is offered; what cannot be used, or takes too long, is left out, and a WARNING names it.

    Args:
        reserved: Names that are taken.
        limit_s: How long one may take (seconds).
    """
    loaded: dict[str, PuppetKind] = {}
    for name, entries in offered().items():
        if name in reserved:
            log.warning(
                "puppet '%s' of %s is not used: the service has a puppet of that name", name, _package(entries[0])
            )
            continue
        try:
            with anyio.fail_after(limit_s):
                loaded[name] = await anyio.to_thread.run_sync(load, name, abandon_on_cancel=True)
        except TimeoutError:
            log.warning(
                "puppet '%s' of %s took longer than %g s to import and is left out; its bots cannot run until it is faster",
                name, _package(entries[0]), limit_s,
            )  # fmt: skip
        except Refusal as refusal:
            log.warning("%s; it is left out, and its bots cannot run", refusal)
    return loaded
