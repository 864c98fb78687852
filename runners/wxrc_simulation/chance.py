"""Chance while a run goes on: one source for each place where something is decided, so that leaving one thing out changes little else."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Faults:
    """Which faults strike, how likely, and whether any do now."""

    def __init__(self, seed: int, rates: Mapping[str, float], note: Callable[[str], None]) -> None:
        self.on = True
        self._seed, self._rates, self._note = seed, rates, note

    def at(self, place: str) -> "Chance":
        """Return the source of chance for one place."""
        return Chance(Random(f"{place} {self._seed}"), self)  # noqa: S311 - it has to be predictable

    def strikes(self, random: Random, name: str) -> bool:
        """Return whether this fault happens here and now."""
        rate = self._rates.get(name, 0.0)
        if not self.on or not rate or random.random() >= rate:
            return False
        self._note(name)
        return True


class Chance:
    """The source of chance for one place.

    Attributes:
        random: The source itself.
    """

    def __init__(self, random: Random, faults: Faults) -> None:
        self.random = random
        self._faults = faults

    def strikes(self, name: str) -> bool:
        """Return whether this fault happens here and now."""
        return self._faults.strikes(self.random, name)

    def seconds(self, shortest: float, longest: float) -> float:
        """Return a while."""
        return shortest + self.random.random() * (longest - shortest)

    @property
    def on(self) -> bool:
        """Whether faults strike at all now."""
        return self._faults.on

    def happens(self, likely: float) -> bool:
        """Return whether something happens that is no fault."""
        return self.random.random() < likely

    def pick(self, among: Sequence[T]) -> T:
        """Return one of several."""
        return among[int(self.random.random() * len(among))]
