"""An awaitable that is run at once, and waited for only if it has to be.

Nearly always a request's body is there before anybody asks for it, and a time limit that is set and taken back again costs 4 us, a tenth of
the whole request. So `receive` is run up to its first pause: up to there it takes no time. Only if it does pause a time limit is set, and
it is resumed. The cancel scope must be there before the start, though, since `receive` may open scopes of its own inside it.
"""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Started(Generic[T]):
    """An awaitable that has been started.

    Attributes:
        finished: It has come to its end; `result` has what it returned.
        result: What it returned.
    """

    __slots__ = ("_pause", "_steps", "finished", "result")

    def __init__(self, awaitable: Awaitable[T]) -> None:
        """Run it up to its first pause, or to its end; what it raises is raised here."""
        self._steps: Generator[Any, Any, T] = awaitable.__await__()
        self.finished = False
        try:
            self._pause = self._steps.send(None)
        except StopIteration as ended:
            self.finished, self.result = True, ended.value

    def __await__(self) -> Generator[Any, Any, T]:
        """Resume it; to be awaited before anything else is, since its first pause belongs to the event loop."""
        pause = self._pause
        try:
            while True:
                try:
                    answer = yield pause
                except BaseException as error:
                    # Cancellation, as everything else that the event loop throws in, is for the awaitable to deal with.
                    pause = self._steps.throw(error)
                else:
                    pause = self._steps.send(answer)
        except StopIteration as ended:
            result: T = ended.value
            return result
