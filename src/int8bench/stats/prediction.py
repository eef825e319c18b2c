"""One new run against earlier ones of the same thing, by the spread from run to run. Pure.

Each run is one draw: its median carries the luck of its process, which no number of rounds inside it averages away.
Under no change the new run's log is one more draw from the same normal distribution, so with n earlier runs of
standard deviation s the difference to their mean has standard error s sqrt(1 + 1/n) and Student's n - 1 degrees of
freedom (the prediction interval: Hahn and Meeker 1991, section 4.7).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import ndtri, stdtrit

from int8bench.stats.limits import POWER, RUNS_OF_A_PREDICTION
from int8bench.stats.power import visible_effect

MOST_RUNS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """New over earlier, as logarithms: the difference, its standard error, and the degrees of freedom."""

    log_ratio: float
    error: float
    freedom: int

    def interval(self, error_rate: float) -> tuple[float, float]:
        """The two-sided interval of the ratio; above 1 the new run has more."""
        half = float(stdtrit(self.freedom, 1 - error_rate / 2)) * self.error
        return math.exp(self.log_ratio - half), math.exp(self.log_ratio + half)

    def smallest_visible(self, error_rate: float) -> float:
        """The change, as a fraction, whose interval excludes 1 with probability `POWER` (noncentral t)."""
        return visible_effect(self.error, freedom=self.freedom, nominal_error=error_rate, power=POWER)


def change(earlier_s: Sequence[float], new_s: float) -> Change:
    """What a new run shows against earlier ones.

    Args:
        earlier_s: one figure an earlier run, positive.
        new_s: that of the new run, positive.

    Raises:
        ValueError: too few earlier runs to know their spread.
    """
    if len(earlier_s) < RUNS_OF_A_PREDICTION:
        raise ValueError(f"change: {len(earlier_s)} earlier runs, expected {RUNS_OF_A_PREDICTION} or more")
    logs = [math.log(value) for value in earlier_s]
    return Change(
        log_ratio=math.log(new_s) - fmean(logs),
        error=stdev(logs) * math.sqrt(1 + 1 / len(logs)),
        freedom=len(logs) - 1,
    )


def runs_to_see(found: Change, effect: float, error_rate: float) -> int | None:
    """With how many earlier runs of this spread a change of `effect` would be told; None where no number is enough.

    However many runs are stored, the new one is a single draw: what it cannot show, no history makes visible.
    """
    spread = found.error / math.sqrt(1 + 1 / (found.freedom + 1))
    if float(ndtri(1 - error_rate / 2)) * spread >= math.log1p(effect):
        return None
    runs = RUNS_OF_A_PREDICTION
    while runs < MOST_RUNS:
        half = float(stdtrit(runs - 1, 1 - error_rate / 2)) * spread * math.sqrt(1 + 1 / runs)
        if half < math.log1p(effect):
            return runs
        runs += max(1, runs // 20)
    return None
