"""Who is the fastest: what a record keeps of a ranking and a recommendation, and what a report draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean
from typing import Annotated

from int8bench.documents import (
    AT_LEAST_MINUS_1,
    AT_MOST_1,
    Count,
    Length,
    Level,
    Natural,
    NotNegative,
    OneOf,
    Positive,
    Share,
)
from int8bench.study.cells import FAILED, SKIPPED, Interval, Precision, Role, Word
from int8bench.workload.cases import Variant

SWITCH, STAY, UNCLEAR = "switch", "stay", "unclear"
INACCURATE, IN_NAME_ONLY, UNPAIRED = "inaccurate", "in name only", "unpaired"
Layout = Annotated[str, OneOf(choices=("channels_last", "nchw"))]
ShareChange = Annotated[float, AT_LEAST_MINUS_1, AT_MOST_1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Interval):
    """A ratio with its interval, and the launches it rests on."""

    launches: Count

    @classmethod
    def mean_of(cls, leads: Sequence["Lead"]) -> "Ratio":
        """Return the geometric means of the ratios and of the ends of their intervals."""
        return cls(
            value=geometric_mean(lead.value for lead in leads),
            low=geometric_mean(lead.low for lead in leads),
            high=geometric_mean(lead.high for lead in leads),
            launches=min(lead.launches for lead in leads),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Times as fast as a float32 cell, with the verdict."""

    reference: str
    value: Positive
    low: Positive
    high: Positive
    verdict: Word
    launches: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A contender as a record names it."""

    engine: str
    precision: Precision
    layout: Layout

    @property
    def variant(self) -> Variant:
        """The same as a grid has it."""
        return Variant(engine=self.engine, precision=self.precision, layout=self.layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Named):
    """A contender that is ranked in a setting, fastest first.

    `behind` is its time over the fastest's, from paired samples; the fastest's own is 1. `best` says that it is the
    fastest or tied with it, and its rank is then 1. `sqnr_db` is None where answers are the same to the bit.
    """

    id: str
    rank: Count
    best: bool
    behind: Ratio
    pareto: bool
    latency_s: Positive
    threads_used: NotNegative
    peak_bytes: float
    weights_bytes: Natural
    sqnr_db: float | None
    top1: Share | None
    top1_change: ShareChange | None
    conversion_s: NotNegative | None
    speedups: Mapping[Role, Lead]
    """By role; none for float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unranked(Named):
    """A contender without a rank, and why: failed, skipped, inaccurate, int8 in name only, or not to be paired."""

    id: str
    status: Annotated[str, OneOf(choices=(FAILED, SKIPPED, IN_NAME_ONLY, INACCURATE, UNPAIRED))]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The ranking of a batch on a number of threads."""

    batch: Count
    threads: Count
    entries: tuple[Entry, ...]
    unranked: tuple[Unranked, ...]

    @property
    def best(self) -> list[Variant]:
        """The fastest, and those tied with it."""
        return [entry.variant for entry in self.entries if entry.best]

    def entry_of(self, variant: Variant) -> Entry | None:
        """Return the entry of a contender; None where it is not ranked."""
        return next((entry for entry in self.entries if entry.variant == variant), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Named):
    """What the rankings add up to for one contender.

    `speedup` over the best float32 is the geometric mean over its settings. Its ends are the means of the settings'
    ends: a mean of errors spreads no more than the mean of their spreads, whatever joins them, so it is wide enough.
    """

    best_in: Natural
    alone_in: Natural
    ranked_in: Count
    mean_log_behind: float
    speedup: Ratio | None
    references: tuple[str, ...]
    """The engines of the float32 that it was held against."""
    sqnr_db: float | None
    """The lowest of its settings; None where answers are the same to the bit."""
    top1_change: ShareChange | None
    """The worst of its settings."""
    verdicts: tuple[Word, ...] = field(repr=False)
    """Against the best float32, a setting each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Win:
    """A setting that the runner-up is best in and the choice is not; how far the choice is behind, if it ran there."""

    batch: Count
    threads: Count
    behind: Ratio | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerUp(Named):
    """The contender that is best in most of the settings that the choice loses."""

    wins: Annotated[tuple[Win, ...], Length(at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to choose: to switch to int8, to stay with a float32, or that float32 is not beaten as far as can be told.

    `error` is the chance, at most, that a setting's truly fastest contender is missing from its best set.
    """

    answer: Annotated[str, OneOf(choices=(SWITCH, STAY, UNCLEAR))]
    choice: Standing
    nearest: Standing | None
    """The best of reduced precision, where the choice is float32."""
    runner_up: RunnerUp | None
    settings: Count
    launches: tuple[Count, Count]
    error: Level
