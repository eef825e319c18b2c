"""A cell of a record: a contender in a setting, with its figures, None where it was not measured, and its samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from int8bench.documents import (
    OMITTED,
    Count,
    Each,
    JsonObject,
    Length,
    Level,
    Natural,
    NotNegative,
    OneOf,
    Positive,
    is_number,
)
from int8bench.stats.limits import Verdict
from int8bench.workload.cases import Case, Group, Variant
from int8bench.workload.fidelity import Fidelity

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
# The roles of a reference: the headline's, of any engine; torch's that flatters; and the best of the engine's own.
BEST, NAIVE, OWN = "best_float32", "naive_float32", "own_float32"
FASTER, SLOWER = "faster", "slower"
Precision = Annotated[str, OneOf(choices=("float32", "float16", "int8"))]
Word = Annotated[str, OneOf(choices=(FASTER, SLOWER, Verdict.SAME.value, Verdict.UNCLEAR.value))]
Role = Annotated[str, OneOf(choices=(BEST, NAIVE, OWN))]
POSITIVE = Each(
    expected="expected a positive number",
    holds=lambda value: isinstance(value, int | float) and is_number(value) and value > 0,
)
Seconds = Annotated[tuple[float, ...], Length(at_least=1), POSITIVE]
Kept = Annotated[
    tuple[int, ...],
    Each(
        expected="expected 1 for a round that counts or 0",
        holds=lambda value: type(value) is int and value in {0, 1},
    ),
]
T = TypeVar("T")


def speed_word(verdict: Verdict) -> str:
    """Return the word for a candidate, from the verdict on the ratio of a reference's time to the candidate's."""
    return {Verdict.ABOVE: FASTER, Verdict.BELOW: SLOWER}.get(verdict, verdict.value)


def known(figure: T | None) -> T:
    """Return a figure of a measured cell.

    Raises:
        ValueError: the cell was not measured, and has none.
    """
    if figure is None:
        raise ValueError("a cell whose status is ok has all its figures")
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A positive figure with its interval."""

    value: Positive
    low: Positive
    high: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds of a call: the median with its interval, and percentiles of all calls that were timed one by one."""

    median: Interval
    p50: Positive
    p90: Positive
    p99: Positive
    calls: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput(Interval):
    """Items a second of all streams together."""

    streams: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Resident bytes over those of an idle process; noise may take them below 0."""

    value: float
    low: float
    high: float
    forks: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes: of a process at its peak, of the weights in it, and of the model on disk."""

    peak_delta: Peak
    weights: Natural
    serialized: Natural


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesMade:
    """The files of an engine: the seconds that they took to make, whenever that was, and notes of their maker."""

    seconds: NotNegative
    reused: bool
    notes: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """Times as fast as a float32 cell: a ratio of paired samples with its interval, and the verdict."""

    reference: str
    role: Role
    value: Positive
    low: Positive
    high: Positive
    confidence: Level
    verdict: Word
    launches: Count
    forks: Count
    pairs: Count
    smallest_visible_effect: NotNegative | None
    reason: str | None
    more_launches: Natural | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSample:
    """One fork of one cell; its rounds are aligned with those of the other cells of its setting."""

    launch: Natural
    fork: Natural
    calls: Count
    times_s: Seconds
    kept: Kept
    single_s: Annotated[tuple[float, ...], POSITIVE]
    """Empty where the rounds themselves say what single calls take."""
    cpu_s: NotNegative
    wall_s: Positive
    lingering_s: NotNegative
    noise: Mapping[str, float]
    every: Count = field(default=1, metadata=OMITTED)
    """It took part in one of so many rounds, the first one included; `kept` is of all."""

    @property
    def rounds(self) -> int:
        """In how many rounds it took part."""
        return math.ceil(len(self.kept) / self.every)

    @property
    def calls_s(self) -> tuple[float, ...]:
        """Seconds of single calls: those timed one by one, else the rounds, whose samples are one call each."""
        return self.single_s or self.times_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloSample:
    """One contender alone in a fork: seconds, resident bytes, and items answered under sustained load."""

    launch: Natural
    replicate: Natural
    build_s: Positive
    cold_s: Positive
    peak_bytes: int
    idle_peak_bytes: int
    streams: Count
    items: Natural
    seconds: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The raw samples of a cell, from which its figures can be computed again."""

    races: tuple[RaceSample, ...]
    solos: tuple[SoloSample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the check of a contender said: its answers, and bytes of its weights in memory and of the model on disk."""

    fidelity: Fidelity
    weights_bytes: Natural
    serialized_bytes: Natural


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: its figures, None where it was not measured, and its raw samples."""

    id: str
    model: str
    engine: str
    precision: Precision
    layout: str
    batch: Count
    threads: Count
    status: Annotated[str, OneOf(choices=(OK, FAILED, SKIPPED))]
    error: str | None
    latency_s: Latency | None
    cold_s: Positive | None
    throughput_items_per_s: Throughput | None
    threads_used: NotNegative | None
    memory_bytes: Memory | None
    fidelity: Fidelity | None
    conversion: FilesMade | None
    speedups: tuple[Speedup, ...]
    evidence: JsonObject
    samples: Samples
    answered: Answered | None = field(default=None, metadata=OMITTED)
    """Of a run that goes on, whose figures are computed when somebody looks."""

    @property
    def variant(self) -> Variant:
        """The contender."""
        return Variant(engine=self.engine, precision=self.precision, layout=self.layout)

    @property
    def group(self) -> Group:
        """The setting."""
        return Group(batch=self.batch, threads=self.threads)

    @property
    def case(self) -> Case:
        """The place in the grid."""
        return Case(model=self.model, variant=self.variant, group=self.group)

    @property
    def median(self) -> Interval:
        """The seconds of a call, of a measured cell."""
        return known(self.latency_s).median

    def speedup(self, role: str) -> Speedup | None:
        """Return the speed-up of that role; None where there is none."""
        return next((speedup for speedup in self.speedups if speedup.role == role), None)


def measured(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that have their figures."""
    return [cell for cell in cells if cell.status == OK]
