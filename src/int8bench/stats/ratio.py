"""The ratio of two contenders with an interval that knows launches and forks. Pure.

Model: log-ratio of fork j in launch i = truth + launch effect i + fork effect ij. Forks of one launch share the
launch's effect, so the unit of inference is the launch: the interval is Student's on launch means, whose spread
contains both effects (Kalibera and Jones 2013, section 8, with the levels launch and fork).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scipy.special import stdtrit

from int8bench.stats.limits import LAUNCHES_FOR_A_SPREAD, ROUNDS_OF_A_FORK


def comparison_error(comparisons: int, *, each: float, family: float) -> float:
    """Return the smaller of the declared error of one comparison and its share of the grid's (Bonferroni; Dunn 1961).

    With this error a comparison, one wrong verdict or more in the whole grid has at most probability `family`,
    whatever the dependence between the comparisons.

    Args:
        comparisons: of the grid, one or more.
        each: the declared error of one comparison.
        family: the declared error of the whole grid.

    Raises:
        ValueError: no comparison.
    """
    if comparisons < 1:
        raise ValueError(f"comparison_error: {comparisons} comparisons, expected one or more")
    return min(each, family / comparisons)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanInterval:
    """A mean and its two-sided interval; both ends are the mean itself where one replicate cannot tell."""

    value: float
    low: float
    high: float
    replicates: int


def mean_interval(values: Sequence[float], *, confidence: float) -> MeanInterval:
    """Return the mean of independent replicates with a Student interval at `confidence`.

    Args:
        values: one number a replicate, in any unit; finite.
        confidence: between 0 and 1.

    Raises:
        ValueError: no value.
    """
    count = len(values)
    if count == 0:
        raise ValueError("mean_interval: no replicate, expected one or more")
    mean = fmean(values)
    if count == 1:
        return MeanInterval(value=mean, low=mean, high=mean, replicates=1)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * math.sqrt(variance(values) / count)
    return MeanInterval(value=mean, low=mean - half, high=mean + half, replicates=count)


def fork_log_ratio(
    reference_s: Sequence[float], candidate_s: Sequence[float], kept: Sequence[bool] | Sequence[int]
) -> float | None:
    """Return the log-ratio of a fork: the median over its kept rounds of log(reference / candidate).

    It is positive where the candidate is faster, and None where too few rounds are kept.

    Args:
        reference_s: seconds a call (round,), each above zero.
        candidate_s: in the same rounds (round,).
        kept: which rounds count (round,).

    Raises:
        ValueError: the lengths differ.
    """
    rounds = zip(reference_s, candidate_s, kept, strict=True)
    logs = [math.log(reference / candidate) for reference, candidate, keeps in rounds if keeps]
    return median(logs) if len(logs) >= ROUNDS_OF_A_FORK else None


LARGEST_LOG = 700.0  # e to this is 1e304; beyond 709 a float overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTable:
    """Fork estimates by launch, as log-ratios (launch, fork), and the number of pairs behind them all.

    Raises:
        ValueError: no launch, a launch without forks, or a value that is not finite.
    """

    log_ratios: tuple[tuple[float, ...], ...]
    pairs: int

    def __post_init__(self) -> None:
        """Check that every launch has forks and every fork a number."""
        if not self.log_ratios or not all(self.log_ratios):
            raise ValueError("LaunchTable: every launch needs one fork or more")
        if not all(math.isfinite(value) for forks in self.log_ratios for value in forks):
            raise ValueError("LaunchTable: every log-ratio must be finite")

    @property
    def launches(self) -> int:
        """How many launches."""
        return len(self.log_ratios)

    @property
    def forks(self) -> int:
        """How many forks in all launches."""
        return sum(len(forks) for forks in self.log_ratios)

    @property
    def launch_means(self) -> tuple[float, ...]:
        """The mean log-ratio of each launch."""
        return tuple(map(fmean, self.log_ratios))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A ratio with its interval, and what it rests on; above 1 the candidate is faster."""

    value: float
    low: float
    high: float
    confidence: float
    launches: int
    forks: int
    pairs: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval as a fraction of the ratio."""
        return (self.high - self.low) / 2 / self.value

    @property
    def is_bounded(self) -> bool:
        """Whether both ends are the interval's own, and not those of what a float holds."""
        return self.low > bounded_exp(-LARGEST_LOG) and self.high < bounded_exp(LARGEST_LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard deviations of the log-ratio: of launch effects, and of forks within a launch."""

    launch_sd: float
    fork_sd: float


def centre_and_error(table: LaunchTable) -> tuple[float, float]:
    """Return the mean of the launch means and its standard error, both in log units.

    Raises:
        ValueError: fewer than two launches.
    """
    means = table.launch_means
    if len(means) < LAUNCHES_FOR_A_SPREAD:
        raise ValueError(f"an interval needs {LAUNCHES_FOR_A_SPREAD} launches or more, got {len(means)}")
    return fmean(means), math.sqrt(variance(means) / len(means))


def bounded_exp(log: float) -> float:
    """Return the ratio of a log-ratio, kept within the range of a float.

    At a small error, the interval of two launches bounds next to nothing.
    """
    return math.exp(max(-LARGEST_LOG, min(LARGEST_LOG, log)))


def estimate(table: LaunchTable, *, confidence: float, nominal_error: float | None = None) -> Estimate:
    """Return the ratio and its interval.

    Args:
        table: log-ratios (launch, fork).
        confidence: what the interval is declared to have, for the record.
        nominal_error: two-sided error of the Student quantile; ``1 - confidence`` where a look is not one of several.

    Raises:
        ValueError: fewer than two launches.
    """
    centre, error = centre_and_error(table)
    nominal = 1 - confidence if nominal_error is None else nominal_error
    half = float(stdtrit(table.launches - 1, 1 - nominal / 2)) * error
    return Estimate(
        value=bounded_exp(centre),
        low=bounded_exp(centre - half),
        high=bounded_exp(centre + half),
        confidence=confidence,
        launches=table.launches,
        forks=table.forks,
        pairs=table.pairs,
    )


def smallest_of(
    tables: Mapping[str, LaunchTable], *, confidence: float, nominal_error: float | None = None
) -> tuple[str, Estimate]:
    """Return the smallest of several ratios of one candidate, and the name of the reference that gives it.

    With ratios r_i over references i, the estimand is min r_i: the speed-up over the best reference. No reference is
    chosen by the data: the interval is [min low_i at error/2, min high_i at error/(2 m)] for m references. It holds
    under any dependence: where i attains the minimum, min low > r_i implies low_i > r_i (error/2); and min high < r_i
    implies high_j < r_i <= r_j for some j (at most m times error/(2 m)).

    Args:
        tables: log-ratios (launch, fork) against each reference, by its name.
        confidence: declared of the interval, for the record.
        nominal_error: two-sided error of the interval; None is ``1 - confidence``.

    Raises:
        ValueError: no reference, or fewer than two launches.
    """
    if not tables:
        raise ValueError("smallest_of: no reference given")
    nominal = 1 - confidence if nominal_error is None else nominal_error
    plain = {name: estimate(table, confidence=confidence, nominal_error=nominal) for name, table in tables.items()}
    wide = [
        estimate(table, confidence=confidence, nominal_error=nominal / len(tables)).high for table in tables.values()
    ]
    name = min(plain, key=lambda each: plain[each].value)
    best = plain[name]
    return name, Estimate(
        value=best.value,
        low=min(each.low for each in plain.values()),
        high=min(wide),
        confidence=confidence,
        launches=best.launches,
        forks=best.forks,
        pairs=best.pairs,
    )


def spread(table: LaunchTable) -> Spread:
    """Return launch and fork standard deviations by the method of moments.

    It is the one-way analysis of variance; launches may have unlike numbers of forks.

    Raises:
        ValueError: fewer than two launches.
    """
    centre_and_error(table)
    sizes = [len(forks) for forks in table.log_ratios]
    within_freedom = sum(sizes) - len(sizes)
    within = sum(variance(forks) * (len(forks) - 1) for forks in table.log_ratios if len(forks) > 1)
    fork_variance = within / within_freedom if within_freedom else 0.0
    launch_variance = variance(table.launch_means) - fork_variance * fmean(1 / size for size in sizes)
    return Spread(launch_sd=math.sqrt(max(0.0, launch_variance)), fork_sd=math.sqrt(fork_variance))


def variance(values: Sequence[float]) -> float:
    """Return the variance of a sample of two values or more."""
    centre = fmean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
