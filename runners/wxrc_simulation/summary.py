"""What is worth knowing of a run once it is judged: little enough to send it from process to process."""

import time

from attrs import field, frozen

from wxrc_simulation.run import simulate
from wxrc_simulation.sometimes import Coverage


@frozen(kw_only=True)
class Summary:
    """One run, or several added up."""

    seed: int
    schedule: str
    broken: tuple[tuple[int, str], ...]
    coverage: Coverage
    runs: int = 1
    calls: int = 0
    events: int = 0
    arrivals: int = 0
    received: int = 0
    faults: int = 0
    cpu_s: float = field(default=0.0, eq=False)

    @classmethod
    def nothing(cls) -> "Summary":
        """Return the sum of no runs."""
        return cls(seed=-1, schedule="", broken=(), coverage=Coverage(), runs=0)

    def plus(self, other: "Summary") -> "Summary":
        """Return both added up."""
        return Summary(
            seed=-1,
            schedule="",
            broken=(),
            coverage=self.coverage,
            runs=self.runs + other.runs,
            calls=self.calls + other.calls,
            events=self.events + other.events,
            arrivals=self.arrivals + other.arrivals,
            received=self.received + other.received,
            faults=self.faults + other.faults,
            cpu_s=self.cpu_s + other.cpu_s,
        )


def summary(seed: int) -> Summary:
    """Run one seed and return what is worth knowing of it."""
    began = time.process_time()
    run = simulate(seed)
    coverage = Coverage()
    coverage.add(run)
    return Summary(
        seed=seed,
        schedule=run.schedule,
        broken=tuple(run.broken),
        coverage=coverage,
        calls=len(run.calls),
        events=len(run.log),
        arrivals=len(run.arrivals),
        received=len(run.received),
        faults=len(run.faults),
        cpu_s=time.process_time() - began,
    )
