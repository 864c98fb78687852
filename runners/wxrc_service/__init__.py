"""The Starlette service and the `wxrc` command; for programs that have a web application of their own, its HTTP side: `wxrc_app`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wxrc_service.app import wxrc_app

__all__ = ["wxrc_app"]


def __getattr__(name: str) -> object:
    # Not imported above: the `wxrc` command of a base installation must get far enough to say what to install.
    if name == "wxrc_app":
        from wxrc_service.app import wxrc_app

        return wxrc_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
