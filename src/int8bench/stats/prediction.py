"""What a known spread lets one see; and one new run against earlier ones, by the spread from run to run. Pure.

Each run is one draw: its median carries the luck of its process, which no number of rounds inside it averages away.
Under no change the new run's log is one more draw from the same normal distribution, so with n earlier runs of
standard deviation s the difference to their mean has standard error s sqrt(1 + 1/n) and Student's n - 1 degrees of
freedom (the prediction interval: Hahn and Meeker 1991, section 4.7).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import chdtri, nctdtr, nctdtrinc, ndtri, stdtrit

from int8bench.stats.limits import POWER, RUNS_OF_A_PREDICTION
from int8bench.stats.ratio import LARGEST_LOG

MOST_RUNS = 10_000


def visible_effect(error: float, *, freedom: int, nominal_error: float, power: float) -> float:
    """Return the difference, as a fraction, whose interval excludes 1 with probability `power`.

    In standard errors it is the noncentrality at which noncentral t exceeds the critical t with that power.

    Args:
        error: standard error of the log-ratio.
        freedom: its degrees of freedom.
        nominal_error: two-sided error of the interval.
        power: between 0 and 1.
    """
    critical = float(stdtrit(freedom, 1 - nominal_error / 2))
    return math.expm1(min(LARGEST_LOG, float(nctdtrinc(freedom, 1 - power, critical)) * error))


def smallest_effect(sd: float, *, launches: int, nominal_error: float, power: float) -> float:
    """Return the difference, as a fraction, that a race calls with probability `power`.

    See `verdict.smallest_visible_effect`.

    Args:
        sd: standard deviation of launch means, in log units.
        launches: how many a race has, two or more.
        nominal_error: two-sided error of the race's last look.
        power: between 0 and 1.
    """
    error = sd / math.sqrt(launches)
    return visible_effect(error, freedom=launches - 1, nominal_error=nominal_error, power=power)


def chance_seen(log_effect: float, *, sd: float, launches: int, nominal_error: float) -> float:
    """Return the probability that a race calls a difference in its direction.

    Args:
        log_effect: the difference, in log units.
        sd: standard deviation of launch means, in log units.
        launches: of the race, two or more.
        nominal_error: two-sided error of the look.
    """
    if sd == 0:
        return 1.0 if log_effect > 0 else 0.0
    distance = log_effect / (sd / math.sqrt(launches))
    critical = float(stdtrit(launches - 1, 1 - nominal_error / 2))
    return 1 - float(nctdtr(launches - 1, distance, critical))


def sd_bounds(sd: float, *, freedom: int, confidence: float) -> tuple[float, float]:
    """Return the interval of the standard deviation of normal values (chi-square).

    Args:
        sd: the standard deviation of the sample, in any unit.
        freedom: its degrees of freedom.
        confidence: of the interval, between 0 and 1.
    """
    tail = (1 - confidence) / 2
    low, high = (sd * math.sqrt(freedom / float(chdtri(freedom, above))) for above in (tail, 1 - tail))
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedChange:
    """New over earlier, as logarithms: the difference, its standard error, and the degrees of freedom."""

    log_ratio: float
    error: float
    freedom: int

    def interval(self, error_rate: float) -> tuple[float, float]:
        """Return the two-sided interval of the ratio; above 1 the new run has more."""
        half = float(stdtrit(self.freedom, 1 - error_rate / 2)) * self.error
        return math.exp(self.log_ratio - half), math.exp(self.log_ratio + half)

    def smallest_visible(self, error_rate: float) -> float:
        """Return the change, as a fraction, whose interval excludes 1 with probability `POWER` (noncentral t)."""
        return visible_effect(self.error, freedom=self.freedom, nominal_error=error_rate, power=POWER)


def change(earlier_s: Sequence[float], new_s: float) -> PredictedChange:
    """Return the change of a new run against earlier ones.

    Args:
        earlier_s: one figure an earlier run, positive.
        new_s: that of the new run, positive.

    Raises:
        ValueError: too few earlier runs to know their spread.
    """
    if len(earlier_s) < RUNS_OF_A_PREDICTION:
        raise ValueError(f"change: {len(earlier_s)} earlier runs, expected {RUNS_OF_A_PREDICTION} or more")
    logs = [math.log(value) for value in earlier_s]
    return PredictedChange(
        log_ratio=math.log(new_s) - fmean(logs),
        error=stdev(logs) * math.sqrt(1 + 1 / len(logs)),
        freedom=len(logs) - 1,
    )


def runs_to_see(changed: PredictedChange, effect: float, error_rate: float) -> int | None:
    """Return how many earlier runs of this spread would show a change of `effect`; None where no number is enough.

    However many runs are stored, the new one is a single draw: what it cannot show, no history makes visible.

    Args:
        changed: a change of such runs, from which the spread is taken.
        effect: the change to be seen, as a fraction.
        error_rate: two-sided, of the interval that must exclude 1.
    """
    spread = changed.error / math.sqrt(1 + 1 / (changed.freedom + 1))
    if float(ndtri(1 - error_rate / 2)) * spread >= math.log1p(effect):
        return None
    runs = RUNS_OF_A_PREDICTION
    while runs < MOST_RUNS:
        half = float(stdtrit(runs - 1, 1 - error_rate / 2)) * spread * math.sqrt(1 + 1 / runs)
        if half < math.log1p(effect):
            return runs
        runs += max(1, runs // 20)
    return None
