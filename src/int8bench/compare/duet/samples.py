"""What a duet has measured so far, benchmark by benchmark; raw, so that every figure can be computed again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from int8bench import documents
from int8bench.compare.duet.failures import Outcome, sentence
from int8bench.documents import Json
from int8bench.stats.limits import LAUNCHES_FOR_A_SPREAD


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedFork:
    """One fork of each side; seconds a call (round,), and which rounds are kept (round,)."""

    launch: int
    fork: int
    calls: int
    base_s: tuple[float, ...]
    head_s: tuple[float, ...]
    kept: tuple[int, ...]
    log_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedNumbers:
    """What a tracked benchmark said in one fork of each side, by metric."""

    launch: int
    base: Mapping[str, float]
    head: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Log of head's sustained throughput over base's in one launch."""

    launch: int
    log_ratio: float


@dataclass(slots=True)
class DuetSamples:
    """By benchmark: forks, tracked numbers, loads, what became of it launch by launch, and why it has no figures."""

    forks: dict[str, list[PairedFork]] = field(default_factory=dict)
    numbers: dict[str, list[TrackedNumbers]] = field(default_factory=dict)
    loads: dict[str, list[Load]] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    strayed: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def drop(self, name: str, reason: str, *, among: dict[str, str]) -> None:
        """Drop the figures of a benchmark that is not measured any more.

        Args:
            name: the benchmark's row.
            reason: why.
            among: `stopped`: it cannot be measured; `skipped`: it says itself that it cannot run on a side; `strayed`:
                it measures something else than a side's own code.
        """
        among[name] = reason
        for known in (self.forks, self.numbers, self.loads):
            known.pop(name, None)

    def note(self, name: str, outcome: Outcome) -> None:
        """Keep the outcome of a benchmark in a launch.

        Args:
            name: the benchmark's row.
            outcome: of both sides, failed or not.
        """
        self.outcomes.setdefault(name, []).append(outcome)

    @property
    def gone(self) -> set[str]:
        """The benchmarks that are not measured any more."""
        return {*self.stopped, *self.skipped, *self.strayed}

    @property
    def failing(self) -> dict[str, list[Outcome]]:
        """The benchmarks that failed in a launch or more, with what became of them in all."""
        return {name: each for name, each in self.outcomes.items() if any(one.failed for one in each)}

    def why_nothing(self, name: str) -> str | None:
        """Return the reason why a benchmark has no figures; None where it may yet have some."""
        if name in self.stopped or name in self.strayed:
            return self.stopped.get(name) or self.strayed[name]
        launches = {each.launch for each in (*self.forks.get(name, ()), *self.numbers.get(name, ()))}
        if len(launches) >= LAUNCHES_FOR_A_SPREAD:
            return None
        failing = self.outcomes.get(name, [])
        return sentence(failing) if any(each.failed for each in failing) else self.lost.get(name)

    def to_dict(self) -> dict[str, Json]:
        """Return the samples as a record keeps them."""
        return {
            "forks": {name: list(map(documents.written, forks)) for name, forks in self.forks.items()},
            "numbers": {name: list(map(_written, numbers)) for name, numbers in self.numbers.items()},
            "loads": {name: list(map(documents.written, loads)) for name, loads in self.loads.items()},
            "outcomes": {name: list(map(documents.written, each)) for name, each in self.failing.items()},
        }


def _written(numbers: TrackedNumbers) -> dict[str, Json]:
    """Return tracked numbers as JSON, with nan and infinity as Python spells them."""
    sides = {"base": numbers.base, "head": numbers.head}
    spelled = {
        side: {name: value if math.isfinite(value) else str(value) for name, value in found.items()}
        for side, found in sides.items()
    }
    return {"launch": numbers.launch, **spelled}
