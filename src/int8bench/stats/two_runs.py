"""What changed between two stored runs, each with launches of its own: nothing is paired across them. Pure.

The unit is the launch mean, as within one run (see `ratio`). Two runs differ in the mean of their launch means; its
standard error is Welch's, sqrt(s1^2/n1 + s2^2/n2), and its degrees of freedom are those of the smaller run (Hsu 1938;
Scheffe 1970), which never exceed the declared error. Welch's own (1947) do: simulated at 0.001, up to 4.4 times at 4
against 8 launches of unlike spread, and 1.5 times at 8 against 8.

What is not in it: anything that stays the same within a run and changes from run to run, such as the clock that the
machine holds that day. Ratios taken inside a run hardly feel it, absolute times do; whoever calls this says which.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.special import stdtrit

from int8bench.stats.limits import LAUNCHES_FOR_A_SPREAD, POWER
from int8bench.stats.prediction import visible_effect
from int8bench.stats.ratio import LaunchTable, bounded_exp, variance

SCREENING = 0.1  # of the error is spent on leaving out references that cannot be the best


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The new mean less the old one in log units, its standard error, and the degrees of freedom of that error."""

    centre: float
    error: float
    freedom: int

    def half_width(self, nominal_error: float) -> float:
        """Return half the width of the interval at a two-sided error, in log units."""
        return float(stdtrit(self.freedom, 1 - nominal_error / 2)) * self.error

    def visible(self, nominal_error: float) -> float:
        """Return the difference, as a fraction, that is called with probability `POWER`; see `verdict`."""
        return visible_effect(self.error, freedom=self.freedom, nominal_error=nominal_error, power=POWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChange:
    """New over old as a ratio: the interval shown, the wider judged one, and the smallest effect seen by it."""

    value: float
    low: float
    high: float
    surely_low: float
    surely_high: float
    smallest_visible_effect: float


def difference(old: Sequence[float], new: Sequence[float]) -> Difference:
    """Return the difference of two runs from the launch means of each.

    Args:
        old: launch means in log units, (launch,), two or more.
        new: likewise, (launch,).

    Raises:
        ValueError: a run of fewer than two launches.
    """
    fewest = min(len(old), len(new))
    if fewest < LAUNCHES_FOR_A_SPREAD:
        raise ValueError(f"two runs need {LAUNCHES_FOR_A_SPREAD} launches or more each, got {len(old)} and {len(new)}")
    error = math.sqrt(variance(old) / len(old) + variance(new) / len(new))
    return Difference(centre=fmean(new) - fmean(old), error=error, freedom=fewest - 1)


def pooled(cells: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> dict[str, Difference]:
    """Return the difference of each cell, with at least the spread that all cells share.

    Cells have old and new replicates, in log units.

    For figures of two or three replicates a cell, of which some are alike by chance. The common spread only ever widens
    a cell's own, and the degrees of freedom stay the cell's own: such noise comes in steps, and two runs of one machine
    differed by 3.6 pooled standard errors in the peak memory of one of 12 cells, where one in 2,000 is expected to.

    Raises:
        ValueError: a cell with fewer than two replicates on a side.
    """
    sides = [side for both in cells.values() for side in both]
    if any(len(side) < LAUNCHES_FOR_A_SPREAD for side in sides):
        raise ValueError("a spread needs two replicates or more on each side of a cell")
    freedom = sum(len(side) - 1 for side in sides)
    common = math.fsum(variance(side) * (len(side) - 1) for side in sides) / max(1, freedom)
    return {name: _pooled(old, new, common) for name, (old, new) in cells.items()}


def _pooled(old: Sequence[float], new: Sequence[float], common: float) -> Difference:
    error = math.sqrt(sum(max(common, variance(side)) / len(side) for side in (old, new)))
    return Difference(centre=fmean(new) - fmean(old), error=error, freedom=len(old) + len(new) - 2)


def change(apart: Difference, *, shown_error: float, judged_error: float) -> RunChange:
    """Return a difference as a ratio with its two intervals.

    Args:
        apart: in log units.
        shown_error: two-sided error of the interval that is shown.
        judged_error: two-sided error of the verdict.
    """
    return _spanned((apart,), apart.centre, shown_error, judged_error)


def change_of_smallest(
    old: Mapping[str, LaunchTable], new: Mapping[str, LaunchTable], *, shown_error: float, judged_error: float
) -> RunChange:
    """Return the change of the smallest of several ratios of one candidate: of its speed-up over the best reference.

    With ratios r_i, and s_i in the new run, log min s - log min r lies between the smallest and the largest of the
    changes d_i = log s_i - log r_i of those references that are the best in one of the runs: min s = s_k and
    min r <= r_k bound it from below by d_k, and likewise from above. The interval therefore goes from the smallest
    lower end to the largest upper end, with no error spent on the choice. References that cannot be the best in either
    run, at a share of the error (`SCREENING`, divided among all that are tried), are left out: one that nobody would
    use would widen it.

    Args:
        old: log-ratios (launch, fork) against each reference, by its name.
        new: likewise, of the new run; references that only one run has do not count.
        shown_error: two-sided error of the interval that is shown.
        judged_error: two-sided error of the verdict.

    Raises:
        ValueError: no reference in common, or a run of fewer than two launches.
    """
    shared = [name for name in old if name in new]
    if not shared:
        raise ValueError("change_of_smallest: no reference in common")
    tried = 2 * (len(shared) - 1)
    kept = set(shared)
    if tried:
        allowed = SCREENING * judged_error / tried
        kept = {name for run in (old, new) for name in _perhaps_best({each: run[each] for each in shared}, allowed)}
    differences = [difference(old[name].launch_means, new[name].launch_means) for name in shared if name in kept]
    centre = _smallest(new, shared) - _smallest(old, shared)
    left = 1 - SCREENING if tried else 1.0
    return _spanned(differences, centre, left * shown_error, left * judged_error)


def _perhaps_best(tables: Mapping[str, LaunchTable], error: float) -> list[str]:
    """Return the references that are not surely above another one, at a one-sided error each."""
    means = {name: table.launch_means for name, table in tables.items()}
    return [
        name
        for name, mine in means.items()
        if not any(_surely_above(mine, theirs, error) for other, theirs in means.items() if other != name)
    ]


def _surely_above(mine: Sequence[float], theirs: Sequence[float], error: float) -> bool:
    """Tell whether one reference's ratio lies above another's, launch by launch: they raced in the same launches."""
    if len(mine) != len(theirs):
        return False
    gaps = [one - other for one, other in zip(mine, theirs, strict=True)]
    half = float(stdtrit(len(gaps) - 1, 1 - error)) * math.sqrt(variance(gaps) / len(gaps))
    return fmean(gaps) - half > 0


def _smallest(tables: Mapping[str, LaunchTable], names: Sequence[str]) -> float:
    return min(fmean(tables[name].launch_means) for name in names)


def _spanned(differences: Sequence[Difference], centre: float, shown_error: float, judged_error: float) -> RunChange:
    (low, high), (surely_low, surely_high) = (_span(differences, error) for error in (shown_error, judged_error))
    return RunChange(
        value=bounded_exp(centre),
        low=low,
        high=high,
        surely_low=surely_low,
        surely_high=surely_high,
        smallest_visible_effect=max(each.visible(judged_error) for each in differences),
    )


def _span(differences: Sequence[Difference], error: float) -> tuple[float, float]:
    low = min(each.centre - each.half_width(error) for each in differences)
    high = max(each.centre + each.half_width(error) for each in differences)
    return bounded_exp(low), bounded_exp(high)
