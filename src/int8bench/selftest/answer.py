"""The answer of a selftest, as ``selftest --json`` writes it: typed values that reports draw. Measures nothing.

The fields of a class are the keys of its JSON, in their order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from int8bench import documents
from int8bench.documents import Json

SCHEMA = "int8bench.selftest"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A count out of so many races, the share, and its exact interval."""

    count: int
    trials: int
    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms(Counted):
    """Races of the same code that were called faster or slower."""

    declared: float
    """The share that may be, by the error rate of a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDowns(Counted):
    """Known slow-downs that were called slower."""

    expected: float
    """How many the spread of launches promises, or more."""
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Intervals that hold the truth: 1 for the same code, the known slow-down for its slowed copy."""

    declared: float
    itself: Counted
    slowed: Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDown:
    """One known slow-down and what a race made of it; both as fractions."""

    true: float
    found: float
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFigures:
    """The figures of one cell."""

    batch: int
    threads: int
    races: int
    false_alarms: int
    median_half_width: float
    launch_sd: float
    fork_sd: float
    smallest_slow_down: Bounded
    slow_downs: tuple[SlowDown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of all cells, and the judgement that they allow."""

    trusted: bool
    trusted_down_to: float | None
    """The smallest slow-down, as a fraction, that is called in any cell; None where verdicts cannot be trusted."""
    judgement: str
    races: int
    false_alarms: FalseAlarms
    coverage: Coverage
    slow_downs: SlowDowns
    median_half_width: float
    cells: tuple[CellFigures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RacedDesign:
    """How every race was run, as `Design` of `study/racing.py` writes itself."""

    looks: tuple[int, ...]
    forks: int
    race_s: float
    warmup_s: float
    precision: float
    margin: float
    confidence: float
    error_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RacedSettings:
    """What an interrupted selftest must share with a later one to be continued."""

    fingerprint: str
    int8bench_version: str
    versions: Mapping[str, str]
    engine: str
    groups: tuple[tuple[int, int], ...]
    """(batch, threads) of each cell."""
    design: RacedDesign


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSteps:
    """What the clock can tell apart, in seconds, as `Resolution` of `lab/clock.py` writes itself."""

    step_s: float
    reading_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selftest:
    """The answer of a selftest."""

    created_at: str
    machine: str
    settings: RacedSettings
    thorough: bool
    budget_s: float
    spent_s: float
    launches: int
    figures: Figures
    clock: ClockSteps
    kept: str | None = None
    """The path under which later verdicts find it; None where it could not be kept."""

    def measured(self) -> dict[str, Json]:
        """Return the kept part of the answer, with the keys of its settings and figures among its own."""
        return {
            "created_at": self.created_at,
            "machine": self.machine,
            **documents.written(self.settings),
            "thorough": self.thorough,
            "budget_s": self.budget_s,
            "spent_s": self.spent_s,
            "launches": self.launches,
            **documents.written(self.figures),
            "clock": documents.written(self.clock),
        }

    def to_dict(self) -> dict[str, Json]:
        """Return the document of ``selftest --json``."""
        return {**headed(self.measured()), "kept": self.kept}


def headed(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a document with its schema before it."""
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **document}
