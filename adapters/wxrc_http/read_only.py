"""A backend that lets itself be read and accepts nothing: for a request that has arrived at another interface before."""

from typing import Any, Final, NoReturn

from wxrc_core.errors import TxcodeReused
from wxrc_http.port import Backend

_READING: Final = frozenset(
    {"clock", "unavailable", "channel", "bot", "capabilities", "message", "message_in", "operation_in", "allowance"}
)


class _ReadOnly:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name) if name in _READING else _refuse


async def _refuse(*args: object, **kwargs: object) -> NoReturn:
    raise TxcodeReused


def read_only(backend: Backend) -> Backend:
    """Return a view of a backend in which whatever is not known to be reading raises `TxcodeReused`.

    An interface that checks its body and then asks for something thus answers with its own fault, or with code 12, and nothing happens.
    """
    view: Any = _ReadOnly(backend)
    found: Backend = view
    return found
