"""Where an application is mounted, and how browsers reach it: the two prefixes of a request's path."""

from collections.abc import Iterator


def place(path: str, root_path: str, public_path: str) -> tuple[str, str]:
    """Return the prefix of links, as a browser needs it, and the path below it.

    By ASGI `path` has `root_path` in front. Behind a proxy that strips its prefix, with that prefix set by hand as FastAPI's `root_path`,
    only what was mounted further in is there; behind a proxy that strips nothing and without any `root_path`, all of the prefix is.

    Args:
        path: The request's path.
        root_path: What servers and routers have taken note of so far; empty = nothing.
        public_path: The path of the URL under which browsers reach the application; empty = none, or not known.
    """
    below = path
    for prefix in [*_endings(root_path), *([] if root_path else [public_path])]:
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            below = path[len(prefix) :]
            break
    return (public_path if fits(root_path, public_path) else root_path), below or "/"


def fits(root_path: str, public_path: str) -> bool:
    """Return whether an application that is mounted here can be what browsers reach there: a proxy may have put a prefix in front."""
    return public_path.endswith(root_path)


def _endings(root_path: str) -> Iterator[str]:
    """Give out a prefix, then what is left of it without its first segment, without its second, ..."""
    while root_path:
        yield root_path
        slash = root_path.find("/", 1)
        root_path = root_path[slash:] if slash > 0 else ""
